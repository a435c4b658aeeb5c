//! The places from which bytes may be read, and the records about the stores there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::{Error, Workspace, store};
use crate::config::{DatabaseConfig, Setting};
use crate::domain::{Backup, BackupId, DatabaseName, Status};
use crate::git::config::{ConfigFile, ConfigWriter};
use crate::ledger::{Overview, Row};
use crate::store::{
    Access, BackupDestination, Error as StoreError, Expected, Root, Scheme, Store, StoreUrl, StoredBackup,
    is_directory,
};
use crate::tools::Program;

/// Parses a directory or a URL. A directory may be a store or contain plain files. Fails if the URL is
/// invalid.
pub fn place_of(text: &str) -> Result<Root, StoreError> {
    let url: StoreUrl = text.parse()?;
    url.directory().map_or(Ok(Root::Store(url)), |directory| Root::of_directory(&directory))
}

/// Returns the places of the command line and the configuration. The places of `database` precede those
/// of other databases. Fails if the configuration cannot be read.
pub fn roots(workspace: &Workspace, database: Option<&DatabaseName>) -> Result<Vec<Root>, Error> {
    let config = workspace.config()?;
    let mut roots: Vec<Root> = workspace.from.get().cloned().unwrap_or_default();
    let stored = |setting: Option<Setting<String>>| match setting {
        Some(setting) => Ok::<_, StoreError>(Some(Root::Store(setting.value.parse()?))),
        None => Ok(None),
    };
    let of = |database: DatabaseConfig| {
        let output = database.output.map(|output| Root::Directory(output.value));
        Ok::<_, StoreError>(output.into_iter().chain(stored(database.store)?).collect::<Vec<_>>())
    };
    if let Some(name) = database {
        roots.extend(of(config.database(name)?)?);
    }
    roots.extend(config.output()?.map(|output| Root::Directory(output.value)));
    roots.extend(stored(config.store()?)?);
    // An invalid setting of another database is ignored.
    let others = config.databases().into_iter().filter_map(|name| config.database(&name).ok());
    roots.extend(others.filter_map(|database| of(database).ok()).flatten());
    roots.push(Root::Store(store::default_url(workspace)?));
    for place in config.places()? {
        roots.push(place_of(&place.place)?);
    }
    let mut unique: Vec<Root> = Vec::new();
    roots.into_iter().for_each(|root| {
        if !unique.contains(&root) {
            unique.push(root);
        }
    });
    Ok(unique)
}

/// Returns the access to the bytes of a backup. The places are those of the user. If none of them
/// contains the recorded location, all are tried, because the store may have been moved. Fails if a
/// setting is invalid or the credentials cannot be read.
pub fn access_to(workspace: &Workspace, backup: &Backup) -> Result<Access, Error> {
    let roots = roots(workspace, Some(&backup.database))?;
    let location = backup.location.as_ref().map_or("", |location| location.as_str());
    // The program that prints the credentials of a profile runs only if it is needed.
    let is_known = roots.iter().any(|root| root.contains_location(location));
    let preferred = workspace.from.get().cloned().unwrap_or_default();
    let candidates =
        roots.iter().filter(|root| !is_known || root.contains_location(location) || preferred.contains(root));
    let scheme = match candidates.into_iter().any(|root| root.is_of(Scheme::S3)) {
        true => Scheme::S3,
        false => Scheme::File,
    };
    Ok(Access { roots, preferred, ..store::access_by(workspace, scheme)? })
}

/// Returns the access to `place`, the destination of a new backup, and to the user's other places.
pub fn access_of(
    workspace: &Workspace,
    place: Option<&BackupDestination>,
    database: &DatabaseName,
) -> Result<Access, Error> {
    let scheme = match place {
        Some(BackupDestination::Store { store, .. }) => store.url().scheme(),
        _ => Scheme::File,
    };
    let own = match place {
        Some(BackupDestination::Store { store, .. }) => Some(Root::Store(store.url().clone())),
        Some(BackupDestination::Directory(directory)) => Some(Root::Directory(directory.clone())),
        None => None,
    };
    let roots = own.into_iter().chain(roots(workspace, Some(database))?).collect();
    Ok(Access { roots, ..store::access_by(workspace, scheme)? })
}

/// Adds a place of this command line to the configuration of the clone, so that later commands find the
/// bytes there. A failed write is only a warning. Fails if git's configuration cannot be read.
pub fn remember(workspace: &Workspace, place: &BackupDestination) -> Result<(), Error> {
    let value = match place {
        BackupDestination::Store { store, .. } => format!("{} {}", store.url(), store.config().id),
        BackupDestination::Directory(directory) if directory.is_dir() => {
            StoreUrl::from_directory(directory)?.to_string()
        }
        BackupDestination::Directory(_) => return Ok(()),
    };
    add(workspace, &value)
}

/// Adds the id of the store at a place to the configuration if records name that place. A failed
/// write is only a warning. Fails if the ledger or git's configuration cannot be read.
pub fn settle(workspace: &Workspace, store: &Store) -> Result<(), Error> {
    match Recorded::at(workspace, store.url())?.count {
        0 => Ok(()),
        _ => add(workspace, &format!("{} {}", store.url(), store.config().id)),
    }
}

fn add(workspace: &Workspace, value: &str) -> Result<(), Error> {
    const KEY: &str = "pggit.place";
    let known = workspace.git_config()?.all(KEY);
    if known.iter().any(|entry| entry.value.as_deref() == Some(value.as_bytes())) {
        return Ok(());
    }
    let git = workspace.git_program();
    let written = ConfigWriter::new(&git, ConfigFile::Local).add(KEY, value.as_ref());
    if let Err(error) = written {
        workspace.reporter.warning(&format!("cannot add '{value}' to {KEY}: {error}"));
        workspace.reporter.hint(&format!("git config --add {KEY} '{value}'"));
    }
    Ok(())
}

/// The records of backups in one place.
#[derive(Default)]
struct Recorded {
    /// The number of backups that are expected there.
    count: usize,
    ids: BTreeSet<String>,
    /// Pairs of a store id and a key id.
    keys: BTreeSet<(Option<String>, String)>,
}

impl Recorded {
    fn at(workspace: &Workspace, url: &StoreUrl) -> Result<Self, Error> {
        let (root, mut recorded) = (Root::Store(url.clone()), Self::default());
        let overview = workspace.ledger()?.overview()?;
        let mut known: BTreeMap<&str, bool> = BTreeMap::new();
        for row in overview.rows().filter(is_kept) {
            // All locations with the same parent have the same answer.
            if *known
                .entry(row.location_parent())
                .or_insert_with(|| root.contains_location(&sample(row.location_parent())))
            {
                recorded.count += 1;
                let store = row.store_id().map(str::to_owned);
                recorded.ids.extend(store.clone());
                recorded.keys.extend(row.key_id().map(|key| (store, key.to_owned())));
            }
        }
        Ok(recorded)
    }
}

/// Returns a location below `home`, to test whether the place contains it.
fn sample(home: &str) -> String {
    format!("{home}/0")
}

/// Returns true if this program stores the bytes of the backup in a store or directory.
fn is_kept(row: &Row<'_>) -> bool {
    let ours = [Program::PgDump.name(), Program::PgBasebackup.name()];
    matches!(row.status(), Status::Completed | Status::Expired)
        && !row.location_parent().is_empty()
        && ours.contains(&row.tool())
}

/// Opens a store, or returns `None` if there is none and no record names it. Fails if records name the
/// store and it does not exist, or if its id differs from the recorded one.
pub fn open(workspace: &Workspace, url: &StoreUrl, access: &Access) -> Result<Option<Store>, Error> {
    let recorded = match workspace.existing_repository()? {
        Some(_) => Recorded::at(workspace, url)?,
        None => Recorded::default(),
    };
    let store = match Store::open(url, access) {
        Ok(store) => store,
        Err(StoreError::NoStore { .. }) if recorded.count == 0 => return Ok(None),
        Err(StoreError::NoStore { .. }) => {
            return Err(Error::PlaceMissing {
                gone: Gone { place: url.to_string(), count: recorded.count },
                command: format!("git pggit store init {url}"),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let id = store.config().id.to_string();
    let mut pinned = BTreeSet::new();
    for place in workspace.config()?.places()? {
        if place_of(&place.place)?.is_at(url) {
            pinned.extend(place.store_id);
        }
    }
    let is_pinned = pinned.contains(&id);
    let keys = recorded.keys.into_iter().filter(|(store, _)| match store {
        Some(store) => *store == id,
        None => !is_pinned,
    });
    let expected = Expected {
        ids: if pinned.is_empty() { recorded.ids } else { pinned },
        keys: keys.map(|(_, key)| key).collect(),
    };
    store.check_identity(&expected).map_err(|source| Error::OtherStore {
        source,
        command: format!("git config --add pggit.place '{url} {id}'"),
    })?;
    Ok(Some(store))
}

/// Fails if records name plain files of the database and the directory has none: its file system may
/// not be mounted.
pub fn check_directory(
    workspace: &Workspace,
    directory: &Path,
    database: &DatabaseName,
) -> Result<(), Error> {
    let home = directory.join(database.as_str());
    if home.is_dir() {
        return Ok(());
    }
    let root = Root::Directory(home.clone());
    let overview = workspace.ledger()?.overview()?;
    let rows = overview.rows().filter(|row| is_kept(row) && row.database() == database.as_str());
    match rows.filter(|row| root.contains_location(&sample(row.location_parent()))).count() {
        0 => Ok(()),
        count => Err(Error::PlaceMissing {
            gone: Gone { place: home.display().to_string(), count },
            command: format!("mkdir -p {}", home.display()),
        }),
    }
}

/// A store or directory that records name and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The URL of the store, or the directory.
    pub place: String,
    /// The number of backups that are recorded in it.
    pub count: usize,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backups =
            if self.count == 1 { "1 backup is".to_owned() } else { format!("{} backups are", self.count) };
        write!(f, "{}: missing, but {backups} recorded in it", self.place)
    }
}

/// The availability of the bytes of all backups, determined without a look at each of them.
#[derive(Debug, Default)]
pub struct DataAvailability {
    /// The backups whose store or directory does not exist.
    pub missing: BTreeSet<BackupId>,
    /// The stores and directories that do not exist.
    pub gone: Vec<Gone>,
    /// The number of backups outside of the configured places, and one of those places.
    pub elsewhere: Option<(usize, String)>,
}

/// Looks once at each place that records name. Fails if the ledger or the configuration cannot be read.
pub fn data_availability(workspace: &Workspace, overview: &Overview) -> Result<DataAvailability, Error> {
    let mut homes: BTreeMap<(&str, Option<&str>), Vec<Row<'_>>> = BTreeMap::new();
    for row in overview.rows().filter(|row| is_kept(row) && row.status() == Status::Completed) {
        homes.entry((row.location_parent(), row.store_id())).or_default().push(row);
    }
    let (mut standing, mut roots) = (DataAvailability::default(), None);
    for ((home, store_id), rows) in homes {
        let roots = match &roots {
            Some(roots) => roots,
            None => roots.insert(self::roots(workspace, None)?),
        };
        let Some(newest) = rows.last() else { continue };
        // The bytes of a manually registered backup may be anywhere.
        if !StoredBackup::is_location(&sample(home)) || is_there(home, store_id, roots, workspace)? {
            continue;
        }
        // The store may have been moved. In that case the newest backup is found at another place.
        let backup = workspace.ledger()?.entry(newest)?.backup;
        match StoredBackup::open(&backup, &access_to(workspace, &backup)?) {
            Err(StoreError::OutsideRoots { .. }) => {
                let (count, _) = standing.elsewhere.get_or_insert((0, home.to_owned()));
                *count += rows.len();
            }
            Err(error) if error.is_absence() || matches!(error, StoreError::Replaced { .. }) => {
                standing.missing.extend(rows.iter().map(Row::id));
                standing.gone.push(Gone { place: home.to_owned(), count: rows.len() });
            }
            // A failed examination does not prove that the place is missing.
            Err(error) => workspace.reporter.warning(&error.to_string()),
            Ok(_) => {}
        }
    }
    Ok(standing)
}

/// Returns true if the place exists and its store has the recorded id.
fn is_there(
    home: &str,
    store_id: Option<&str>,
    roots: &[Root],
    workspace: &Workspace,
) -> Result<bool, Error> {
    for root in roots.iter().filter(|root| root.contains_location(&sample(home))) {
        match root {
            Root::Directory(_) => return Ok(is_directory(home)),
            Root::Store(url) => match Store::peek(url, &store::access(workspace, url)?) {
                Ok(Some(config)) => return Ok(store_id.is_none_or(|id| id == config.id.to_string())),
                Ok(None) => {}
                Err(error) => {
                    workspace.reporter.warning(&format!("cannot access {url}: {error}"));
                    return Ok(true);
                }
            },
        }
    }
    Ok(false)
}
