//! Converts the settings into a store, for all commands.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use serde_json::Value;

use super::places;
use super::{Error, Workspace};
use crate::config::{AwsProfile, DatabaseConfig, Setting, is_store_name};
use crate::process::{Cmd, Secret};
use crate::store::{
    self, Access, BackupDestination, CloudSettings, Keyring, Passphrase, Scheme, Store, StoreUrl,
};

/// Prefixes of the environment variables that the tools of the clouds read.
const CLOUDS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
/// Size in bytes of the local cache of packs of a cloud.
const CACHE_BYTES: u64 = 2 << 30;
/// Size in bytes of the local cache of manifests of a cloud. A manifest has a few kilobytes for each
/// gigabyte of a backup.
const MANIFEST_CACHE_BYTES: u64 = 64 << 20;
/// Time limit of a program that prints credentials.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the URL of the store: that of the command line, else the configured one, else the store in
/// the git directory. Fails if the URL is invalid.
pub fn url(
    workspace: &Workspace,
    explicit: Option<&str>,
    configured: Option<&Setting<String>>,
) -> Result<StoreUrl, Error> {
    if let Some(text) = explicit {
        if is_store_name(text)
            && let Some(named) = workspace.config()?.named_store(text)?
        {
            return Ok(named.value.parse()?);
        }
        return match text.contains("://") {
            true => Ok(text.parse()?),
            // A path on the command line may be relative.
            false => Ok(StoreUrl::from_directory(&workspace.cwd().join(text))?),
        };
    }
    if let Some(setting) = configured {
        return Ok(setting.value.parse()?);
    }
    default_url(workspace)
}

/// Returns the URL of the default store, in the git directory. Fails if there is no repository.
pub fn default_url(workspace: &Workspace) -> Result<StoreUrl, Error> {
    Ok(StoreUrl::from_directory(&workspace.repository()?.common_dir().join("pggit").join("store"))?)
}

/// Returns the destination of backups of `database`: that of the command line, else the configured one.
/// It is a directory of plain files if one is named. Fails if the store is missing or cannot be
/// opened, or if the directory lacks the plain files that records name.
pub fn place(
    workspace: &Workspace,
    database: &DatabaseConfig,
    output: Option<&Path>,
    store: Option<&str>,
) -> Result<BackupDestination, Error> {
    let configured = || database.output.as_ref().map(|output| output.value.clone());
    let directory = match (output, store) {
        (Some(output), _) => Some(workspace.cwd().join(output)),
        (None, Some(_)) => None,
        (None, None) => configured(),
    };
    if let Some(directory) = directory {
        // Records name directories without `..`. A missing directory is reported later.
        let directory = directory.canonicalize().unwrap_or(directory);
        places::check_directory(workspace, &directory, &database.name)?;
        let place = BackupDestination::Directory(directory);
        if output.is_some() || !database.output.as_ref().is_none_or(Setting::is_lasting) {
            places::remember(workspace, &place)?;
        }
        return Ok(place);
    }
    let url = url(workspace, store, database.store.as_ref())?;
    let access = access(workspace, &url)?;
    // The default store in the git directory is created, because its URL cannot be a typing error.
    let ours = store.is_none() && database.store.is_none();
    let opened = match places::open(workspace, &url, &access)? {
        Some(store) => store,
        None if ours => Store::open_or_init(&url, &access, workspace.now())?,
        None => return Err(store::Error::NoStore { url: url.to_string() }.into()),
    };
    let place = BackupDestination::Store { store: opened, staging: staging(workspace)? };
    if store.is_some() || !database.store.as_ref().is_none_or(Setting::is_lasting) {
        places::remember(workspace, &place)?;
    }
    Ok(place)
}

/// Returns the staging directory, for programs that read or write files. Callers create the directory.
/// Fails if there is no repository.
pub fn staging(workspace: &Workspace) -> Result<PathBuf, Error> {
    Ok(workspace.repository()?.common_dir().join("pggit/staging"))
}

/// Returns the URL of the store for a command without a database. Fails if the URL is invalid.
pub fn general_url(workspace: &Workspace, explicit: Option<&str>) -> Result<StoreUrl, Error> {
    let configured = workspace.config()?.store()?;
    url(workspace, explicit, configured.as_ref())
}

/// Opens the store of a command without a database. Fails if there is no store or it cannot be opened.
pub fn open(workspace: &Workspace, explicit: Option<&str>) -> Result<Store, Error> {
    let url = general_url(workspace, explicit)?;
    let access = access(workspace, &url)?;
    open_at(workspace, &url, &access)
}

/// Opens the store as [`open`] does. Requests that fail are retried for `limit`.
pub fn open_retrying_for(
    workspace: &Workspace,
    explicit: Option<&str>,
    limit: Duration,
) -> Result<Store, Error> {
    let url = general_url(workspace, explicit)?;
    let access = access(workspace, &url)?.retrying_for(limit);
    open_at(workspace, &url, &access)
}

fn open_at(workspace: &Workspace, url: &StoreUrl, access: &Access) -> Result<Store, Error> {
    let opened = places::open(workspace, url, access)?;
    opened.ok_or_else(|| store::Error::NoStore { url: url.to_string() }.into())
}

/// Returns the credentials, cache and keys for the store at `url`. Fails if a setting is invalid or the
/// credentials cannot be read.
pub fn access(workspace: &Workspace, url: &StoreUrl) -> Result<Access, Error> {
    access_by(workspace, url.scheme())
}

/// Returns the credentials, cache and keys for stores of this kind. Fails if a setting is invalid or
/// the credentials cannot be read.
pub fn access_by(workspace: &Workspace, scheme: Scheme) -> Result<Access, Error> {
    let text = |value: &OsStr| value.to_str().map(str::to_owned);
    let variables = workspace.environment.iter().filter_map(|(name, value)| {
        let (name, value) = (text(name)?, text(value)?);
        CLOUDS.iter().any(|cloud| name.starts_with(cloud)).then_some((name, value))
    });
    let mut variables: Vec<_> = variables.collect();
    if scheme == Scheme::S3 {
        variables.extend(profile(workspace)?);
    }
    let caches = workspace.repository().ok().map(|repository| repository.common_dir().join("pggit/cache"));
    let cache = caches.as_ref().map(|caches| (caches.join("packs"), CACHE_BYTES));
    let manifest_cache = caches.map(|caches| (caches.join("manifests"), MANIFEST_CACHE_BYTES));
    let reporter = Arc::clone(&workspace.reporter);
    let report_outage = Some(Arc::new(move |text: &str| reporter.warning(text)) as _);
    let cloud = CloudSettings { variables, report_outage, ..CloudSettings::default() };
    Ok(Access {
        cloud,
        cache,
        manifest_cache,
        keyring: keyring(workspace)?,
        roots: Vec::new(),
        preferred: Vec::new(),
    })
}

/// Returns the keys of encrypted stores. The first call warns about key files that other users can
/// read.
fn keyring(workspace: &Workspace) -> Result<Keyring, Error> {
    if let Some(keyring) = workspace.keyring.get() {
        return Ok(keyring.clone());
    }
    let config = workspace.config()?;
    let identity = config.store_identity()?.map(|setting| setting.value);
    let passphrase = match workspace.environment.get("PGGIT_STORE_PASSPHRASE") {
        Some(given) => Some(Passphrase::Given(Secret::new(given))),
        None => config.store_passphrase_file()?.map(|setting| Passphrase::File(setting.value)),
    };
    identity.iter().for_each(|path| warn_of_others(workspace, path));
    if let Some(Passphrase::File(path)) = &passphrase {
        warn_of_others(workspace, path);
    }
    Ok(workspace.keyring.get_or_init(|| Keyring { identity, passphrase }).clone())
}

/// Warns if other users can read a file with secrets.
pub fn warn_of_others(workspace: &Workspace, path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        workspace
            .reporter
            .warning(&format!("other users may have access to the key in {path}; run 'chmod go= {path}'"));
    }
}

/// Returns the variables of the user's profile of the AWS command line.
fn profile(workspace: &Workspace) -> Result<Vec<(String, String)>, Error> {
    let AwsProfile { mut variables, credential_process } =
        AwsProfile::load(&workspace.environment, |path| match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })?;
    if let Some(command) = credential_process {
        variables.extend(ask(&command)?);
    }
    Ok(variables)
}

/// Runs the program of a profile that prints credentials.
fn ask(command: &[String]) -> Result<Vec<(String, String)>, Error> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Vec::new()) };
    let failed = |reason: String| Error::Credentials { program: program.clone(), reason };
    let output = Cmd::new(program).inherit_env().args(arguments).deadline(PATIENCE).run();
    let output = output.map_err(|error| failed(error.to_string()))?;
    // The output is secret, even if it is not valid, so no error shows it.
    let answer: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("it printed no JSON".to_owned()))?;
    let names = [
        ("AccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ("SessionToken", "AWS_SESSION_TOKEN"),
    ];
    let value = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    if value("AccessKeyId").is_none() || value("SecretAccessKey").is_none() {
        return Err(failed("it printed no AccessKeyId and SecretAccessKey".to_owned()));
    }
    Ok(names.iter().filter_map(|(name, variable)| Some(((*variable).to_owned(), value(name)?))).collect())
}
