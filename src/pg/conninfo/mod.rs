//! The connection settings, by the rules of libpq.
//!
//! Each setting comes from the first of: the connection string, the service file, the environment,
//! the built-in default. If none of them has a password, the password file is searched for each
//! host, as in libpq. Settings that tighten security and are not supported are refused, not
//! ignored.

mod hosts;
mod options;
mod passfile;
mod secret;
mod service;
mod source;
mod uri;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Environment, Error, Result};
pub(super) use hosts::Host;
pub use options::is_secret;
use options::{OPTIONS, Spec};
use passfile::{IgnoreReason, PassFile};
pub(super) use secret::Secret;
pub use source::{Pairs, Source};
pub use uri::{decode, rest_of};

/// A warning about the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsWarning {
    /// The password file was ignored because others may read it.
    PassFileTooOpen(PathBuf),
    /// The password file was ignored because it is not a plain file.
    PassFileNotAFile(PathBuf),
    /// The password file could not be read.
    PassFileUnreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        detail: String,
    },
}

impl fmt::Display for SettingsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PassFileTooOpen(path) => {
                write!(f, "password file {} is ignored: group or others may access it", path.display())
            }
            Self::PassFileNotAFile(path) => {
                write!(f, "password file {} is ignored: not a plain file", path.display())
            }
            Self::PassFileUnreadable { path, detail } => {
                write!(f, "password file {} is ignored: {detail}", path.display())
            }
        }
    }
}

/// Complete connection settings: a [`Source`] with all defaults applied.
#[derive(Clone)]
pub struct ConnInfo {
    source: Source,
    settings: BTreeMap<&'static str, Secret>,
    hosts: Vec<Host>,
    passfile: Option<Arc<PassFile>>,
    warnings: Vec<SettingsWarning>,
}

impl ConnInfo {
    /// Parses `text` and completes it from the service file, `env`, the password file and the
    /// defaults. Fails if a setting is invalid.
    pub fn parse(text: &str, env: &Environment) -> Result<Self> {
        Self::resolve(Source::parse(text)?, env)
    }

    /// Like [`ConnInfo::parse`], for a text that a person has written, see [`Source::parse_given`].
    ///
    /// # Errors
    /// If the text or a setting is invalid.
    pub fn parse_given(text: &str, env: &Environment) -> Result<Self> {
        Self::resolve(Source::parse_given(text)?, env)
    }

    /// Completes `source` from the service file, `env`, the password file and the defaults. Fails
    /// if a setting is invalid.
    pub fn resolve(source: Source, env: &Environment) -> Result<Self> {
        // Within a connection string the last value of a keyword wins; among the sources the first
        // one wins.
        let mut settings: BTreeMap<_, _> =
            source.given.iter().map(|(spec, value)| (spec.keyword, value.clone())).collect();
        add_service(&mut settings, env)?;
        for spec in OPTIONS {
            if let Some((name, value)) = spec.variable.and_then(|name| Some((name, env.get(name)?))) {
                let value = value.to_str().ok_or_else(|| Error::conninfo(format!("{name} is not UTF-8")));
                add(&mut settings, spec, Secret::new(value?));
            }
        }
        if env.get("PGREQUIRESSL").is_some_and(|value| value == "1") && !settings.contains_key("sslmode") {
            settings.insert("sslmode", Secret::new("require"));
        }
        add_names(&mut settings)?;
        add_home_files(&mut settings, env);
        let hosts = hosts::from_settings(&settings)?;
        let mut info = Self { source, settings, hosts, passfile: None, warnings: Vec::new() };
        info.read_passfile(env);
        Ok(info)
    }

    fn read_passfile(&mut self, env: &Environment) {
        if self.given_password().is_some() {
            return;
        }
        let own = || env.home().map(|home| home.join(".pgpass"));
        let Some(path) = self.setting("passfile").map(PathBuf::from).or_else(own) else { return };
        match PassFile::read(&path) {
            Ok(file) => self.passfile = Some(Arc::new(file)),
            Err(IgnoreReason::Absent) => {}
            Err(IgnoreReason::NotAFile) => self.warnings.push(SettingsWarning::PassFileNotAFile(path)),
            Err(IgnoreReason::TooOpen) => self.warnings.push(SettingsWarning::PassFileTooOpen(path)),
            Err(IgnoreReason::Unreadable(error)) => {
                self.warnings.push(SettingsWarning::PassFileUnreadable { path, detail: error.to_string() });
            }
        }
    }

    /// Returns true if the connection string contains a password.
    pub fn has_password_in_source(&self) -> bool {
        self.source.has_password()
    }

    /// Returns the given connection string without its password.
    pub fn source_string(&self) -> &str {
        self.source.without_password()
    }

    /// Returns all settings as keywords and values, without secrets. A libpq program with this text
    /// as database name, and with [`ConnInfo::tool_env`], connects to the same database.
    pub fn without_password(&self) -> String {
        let mut settings = self.settings.clone();
        let list = |field: fn(&Host) -> String| {
            Secret::new(self.hosts.iter().map(field).collect::<Vec<_>>().join(","))
        };
        if self.hosts.iter().any(|host| !host.name().is_empty()) {
            settings.insert("host", list(|host| host.name().to_owned()));
        }
        settings.insert("port", list(|host| host.port().to_string()));
        if let Some(file) = self.passfile.as_ref().and_then(|file| file.path().to_str()) {
            settings.insert("passfile", Secret::new(file));
        }
        let public = OPTIONS.iter().filter(|spec| !spec.secret && !spec.keyword.starts_with("service"));
        let pairs = public.filter_map(|spec| Some((spec.keyword, settings.get(spec.keyword)?.reveal())));
        source::write_keywords(pairs)
    }

    /// Returns the first host as a URL without secrets, for programs that do not support all
    /// settings of libpq. A socket directory is percent-encoded in the place of the host.
    pub fn to_url(&self) -> String {
        let [user, host, dbname] = [self.user(), &self.host(), self.dbname()].map(uri::encode);
        let elsewhere = ["user", "host", "hostaddr", "port", "dbname"];
        let public = OPTIONS.iter().filter(|spec| {
            !spec.secret && !spec.keyword.starts_with("service") && !elsewhere.contains(&spec.keyword)
        });
        let rest = public.filter_map(|spec| {
            Some(format!("{}={}", spec.keyword, uri::encode(self.settings.get(spec.keyword)?.reveal())))
        });
        let rest: Vec<String> = rest.collect();
        let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        format!("postgresql://{user}@{host}:{}/{dbname}{query}", self.port())
    }

    /// Returns the environment variables that a libpq program needs beside
    /// [`ConnInfo::without_password`].
    pub fn tool_env(&self) -> Vec<(OsString, OsString)> {
        // With an empty one, libpq searches the password file itself for each host. A variable of
        // our environment must not override an empty password that was given explicitly.
        match (self.given_password(), self.settings.get("password")) {
            (Some(password), _) => vec![("PGPASSWORD".into(), password.into())],
            (None, Some(_)) => vec![("PGPASSWORD".into(), OsString::new())],
            (None, None) => Vec::new(),
        }
    }

    /// Returns the first host and all settings as environment variables of libpq, without secrets.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let elsewhere = ["host", "hostaddr", "port", "passfile"];
        let public = OPTIONS.iter().filter(|spec| {
            !spec.secret && !spec.keyword.starts_with("service") && !elsewhere.contains(&spec.keyword)
        });
        let setting = |spec: &Spec| Some((spec.variable?, self.settings.get(spec.keyword)?.reveal().into()));
        let mut variables: Vec<_> = public.filter_map(setting).collect();
        variables.extend([("PGHOST", self.host().into()), ("PGPORT", self.port().to_string().into())]);
        variables.extend(self.passfile.as_ref().map(|file| ("PGPASSFILE", file.path().into())));
        variables
    }

    /// Returns the password for the first host, from any source.
    pub fn password(&self) -> Option<String> {
        self.password_for(self.hosts.first()?).map(|secret| secret.reveal().to_owned())
    }

    /// Returns the settings for another database, with the same server and role.
    #[must_use]
    pub fn with_dbname(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.settings.insert("dbname", Secret::new(name));
        other
    }

    /// Returns a copy with these settings at the start of sessions. Values must not contain spaces.
    #[must_use]
    pub fn with_settings(&self, settings: &[(&str, &str)]) -> Self {
        let mut other = self.clone();
        if !settings.is_empty() {
            let known = other.settings.get("options").map_or("", Secret::reveal);
            let added = settings.iter().map(|(name, value)| format!("-c {name}={value}"));
            let all: Vec<String> =
                (!known.is_empty()).then(|| known.to_owned()).into_iter().chain(added).collect();
            other.settings.insert("options", Secret::new(all.join(" ")));
        }
        other
    }

    /// Returns a copy without `client_encoding`, so that a program chooses the encoding of its own
    /// output.
    #[must_use]
    pub fn without_encoding(&self) -> Self {
        let mut other = self.clone();
        other.settings.remove("client_encoding");
        other
    }

    /// Returns the first host: a name, an address or a socket directory.
    pub fn host(&self) -> String {
        self.hosts.first().map(Host::name_or_address).unwrap_or_default()
    }

    /// Returns the port of the first host.
    pub fn port(&self) -> u16 {
        self.hosts.first().map_or(5432, Host::port)
    }

    /// Returns the role.
    pub fn user(&self) -> &str {
        self.settings.get("user").map_or("", Secret::reveal)
    }

    /// Returns the name of the database.
    pub fn dbname(&self) -> &str {
        self.settings.get("dbname").map_or("", Secret::reveal)
    }

    /// Returns the warnings about the settings.
    pub fn warnings(&self) -> &[SettingsWarning] {
        &self.warnings
    }

    /// Returns the value of a setting, if it is present and not empty.
    pub(super) fn setting(&self, keyword: &str) -> Option<&str> {
        self.settings.get(keyword).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    pub(super) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    fn given_password(&self) -> Option<&str> {
        self.setting("password")
    }

    pub(super) fn password_for(&self, host: &Host) -> Option<Secret> {
        if let Some(password) = self.given_password() {
            return Some(Secret::new(password));
        }
        let port = host.port().to_string();
        self.passfile.as_ref()?.find(host.passfile_name(), &port, self.dbname(), self.user())
    }

    /// Returns `text` with all known secrets replaced.
    pub(super) fn redact(&self, text: &str) -> String {
        let settings = OPTIONS.iter().filter(|spec| spec.secret);
        let known = settings.filter_map(|spec| self.settings.get(spec.keyword).cloned());
        let of_file = self.hosts.iter().filter_map(|host| self.password_for(host));
        let mut secrets: Vec<_> = known.chain(of_file).filter(|secret| !secret.reveal().is_empty()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "***"))
    }
}

impl fmt::Debug for ConnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnInfo").field(&self.without_password()).finish()
    }
}

fn add(settings: &mut BTreeMap<&'static str, Secret>, spec: &'static Spec, value: Secret) {
    settings.entry(spec.keyword).or_insert(value);
}

fn add_service(settings: &mut BTreeMap<&'static str, Secret>, env: &Environment) -> Result<()> {
    let value = |keyword: &str, variable: &str| -> Option<OsString> {
        let given = settings.get(keyword).map(|value| OsString::from(value.reveal()));
        given.or_else(|| env.get(variable).map(OsStr::to_owned))
    };
    let Some(service) = value("service", "PGSERVICE") else { return Ok(()) };
    let file = value("servicefile", "PGSERVICEFILE").map(PathBuf::from);
    let service = service.to_str().ok_or_else(|| Error::conninfo("the name of the service is not UTF-8"))?;
    for (spec, value) in service::lookup(service, file.as_deref(), env)? {
        add(settings, spec, value);
    }
    Ok(())
}

/// The default role is the user of the operating system; the default database is the role.
fn add_names(settings: &mut BTreeMap<&'static str, Secret>) -> Result<()> {
    if !settings.contains_key("user") {
        let name = whoami::username().map_err(|error| {
            Error::conninfo(format!("no user is given, and this process has none: {error}"))
        })?;
        settings.insert("user", Secret::new(name));
    }
    if settings.get("dbname").is_none_or(|dbname| dbname.reveal().is_empty()) {
        settings.insert("dbname", settings["user"].clone());
    }
    Ok(())
}

/// Sets the paths of the certificate files that libpq uses if they exist, so that the home
/// directory is not needed later.
fn add_home_files(settings: &mut BTreeMap<&'static str, Secret>, env: &Environment) {
    let Some(dir) = env.home().map(|home| home.join(".postgresql")) else { return };
    let mut default = |keyword: &'static str, file: &str| {
        let path = dir.join(file);
        if let Some(path) = path.to_str().filter(|path| Path::new(path).exists()) {
            settings.entry(keyword).or_insert_with(|| Secret::new(path));
        }
    };
    default("sslrootcert", "root.crt");
    default("sslcrl", "root.crl");
    default("sslcert", "postgresql.crt");
    default("sslkey", "postgresql.key");
}

#[cfg(test)]
mod tests;
