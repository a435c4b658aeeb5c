//! The places from which bytes may be read, and what the records say about the stores there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Code, Context, Failure, store};
use crate::config::{DatabaseConfig, Origin, Setting};
use crate::domain::{Backup, BackupId, DatabaseName, Status};
use crate::git::config::{Scope, Target, Writer};
use crate::ledger::{Overview, Row};
use crate::store::{
    Access, Error as StoreError, Expected, Held, Place, Root, Scheme, Store, StoreUrl, is_directory,
};
use crate::tools::Program;

/// Where else the bytes may be
#[derive(Debug, Clone, Default, clap::Args, serde::Serialize, serde::Deserialize)]
pub(crate) struct FromOption {
    /// A store or a directory of plain files that the bytes may be read from, beside those of your
    /// configuration; may be given several times
    #[arg(long, value_name = "PLACE")]
    #[serde(default)]
    from: Vec<String>,
}

impl FromOption {
    /// Adds these places to those that the command reads from.
    pub(crate) fn apply(&self, context: &Context) -> Result<(), Failure> {
        let roots = self.from.iter().map(|text| named(context, text)).collect::<Result<_, _>>()?;
        let _ = context.from.set(roots);
        Ok(())
    }

    /// Fails if the option was given for a backup that a tool keeps in its own repository.
    pub(crate) fn refuse(&self, backup: &Backup) -> Result<(), Failure> {
        match self.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("--from: backup {} is kept by {}", backup.id, backup.tool.name);
                Err(Failure::new(Code::Usage, message))
            }
        }
    }

    /// Returns true if the option was not given.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// Returns the option with absolute paths, for a process with another working directory.
    pub(crate) fn absolute(&self, context: &Context) -> Result<Self, Failure> {
        let absolute = |text: &String| match text.contains("://") {
            true => Ok(text.clone()),
            false => Ok(StoreUrl::from_directory(&context.cwd().join(text))?.to_string()),
        };
        Ok(Self { from: self.from.iter().map(absolute).collect::<Result<_, Failure>>()? })
    }
}

/// Parses a place given on the command line. A local directory has to exist, so that a typing error
/// is reported.
fn named(context: &Context, text: &str) -> Result<Root, Failure> {
    let root = match text.contains("://") {
        true => place_of(text)?,
        false => Root::of_directory(&context.cwd().join(text))?,
    };
    match &root {
        Root::Directory(directory) if !directory.is_dir() => {
            Err(Failure::new(Code::NotFound, format!("--from {}: no such directory", directory.display())))
        }
        _ => Ok(root),
    }
}

/// Parses a directory or a URL. A directory may be a store or hold plain files.
fn place_of(text: &str) -> Result<Root, StoreError> {
    let url: StoreUrl = text.parse()?;
    url.directory().map_or(Ok(Root::Store(url)), |directory| Root::of_directory(&directory))
}

/// Returns the places from the user's command line and configuration, those of `database` before
/// those of other databases.
pub(crate) fn roots(context: &Context, database: Option<&DatabaseName>) -> Result<Vec<Root>, Failure> {
    let config = context.config()?;
    let mut roots: Vec<Root> = context.from.get().cloned().unwrap_or_default();
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
    roots.push(Root::Store(store::default_url(context)?));
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
/// contains the recorded location, all are tried, because the store may have been moved.
pub(crate) fn access_to(context: &Context, backup: &Backup) -> Result<Access, Failure> {
    let roots = roots(context, Some(&backup.database))?;
    let location = backup.location.as_ref().map_or("", |location| location.as_str());
    // The program that prints the credentials of a profile is run only if it is needed.
    let is_known = roots.iter().any(|root| root.leads_to(location));
    let candidates = roots.iter().filter(|root| !is_known || root.leads_to(location));
    let scheme = match candidates.into_iter().any(|root| root.is_of(Scheme::S3)) {
        true => Scheme::S3,
        false => Scheme::File,
    };
    Ok(Access { roots, ..store::access_by(context, scheme)? })
}

/// Returns the access to `place`, where a backup is to be made, and to the user's other places.
pub(crate) fn access_of(
    context: &Context,
    place: Option<&Place>,
    database: &DatabaseName,
) -> Result<Access, Failure> {
    let scheme = match place {
        Some(Place::Store { store, .. }) => store.url().scheme(),
        _ => Scheme::File,
    };
    let own = match place {
        Some(Place::Store { store, .. }) => Some(Root::Store(store.url().clone())),
        Some(Place::Directory(directory)) => Some(Root::Directory(directory.clone())),
        None => None,
    };
    let roots = own.into_iter().chain(roots(context, Some(database))?).collect();
    Ok(Access { roots, ..store::access_by(context, scheme)? })
}

/// Returns true if the setting also holds for the next command, that is, if it is not from the
/// command line, from the environment or from `git -c`.
pub(crate) fn is_lasting<T>(setting: Option<&Setting<T>>) -> bool {
    match setting.map(|setting| &setting.origin) {
        Some(Origin::Git { scope, .. }) => *scope != Scope::Command,
        Some(Origin::CommandLine | Origin::Environment(_)) => false,
        _ => true,
    }
}

/// Adds a place that was given only on this command line to the configuration of the clone, so that
/// later commands find the bytes there.
pub(crate) fn remember(context: &Context, place: &Place) -> Result<(), Failure> {
    let value = match place {
        Place::Store { store, .. } => format!("{} {}", store.url(), store.config().id),
        Place::Directory(directory) if directory.is_dir() => StoreUrl::from_directory(directory)?.to_string(),
        Place::Directory(_) => return Ok(()),
    };
    add(context, &value)
}

/// Adds the id of the store at a place to the configuration, if records name that place.
pub(crate) fn settle(context: &Context, store: &Store) -> Result<(), Failure> {
    match Recorded::at(context, store.url())?.count {
        0 => Ok(()),
        _ => add(context, &format!("{} {}", store.url(), store.config().id)),
    }
}

fn add(context: &Context, value: &str) -> Result<(), Failure> {
    const KEY: &str = "pggit.place";
    let known = context.git_config()?.all(KEY);
    if known.iter().any(|entry| entry.value.as_deref() == Some(value.as_bytes())) {
        return Ok(());
    }
    let git = context.git_program();
    let written = Writer::new(&git, Target::Local).add(KEY, value.as_ref());
    if let Err(error) = written {
        context.ui.warning(&format!("{value} could not be remembered: {error}"));
        context.ui.hint(&format!("git config --add {KEY} '{value}'"));
    }
    Ok(())
}

/// The records of backups in one place.
#[derive(Default)]
struct Recorded {
    /// The number of backups that should be there.
    count: usize,
    ids: BTreeSet<String>,
    /// Pairs of a store id and a key id.
    keys: BTreeSet<(Option<String>, String)>,
}

impl Recorded {
    fn at(context: &Context, url: &StoreUrl) -> Result<Self, Failure> {
        let (root, mut recorded) = (Root::Store(url.clone()), Self::default());
        let overview = context.ledger()?.overview()?;
        let mut known: BTreeMap<&str, bool> = BTreeMap::new();
        for row in overview.rows().filter(is_kept) {
            // The answer is the same for all locations with the same parent.
            if *known.entry(row.home()).or_insert_with(|| root.leads_to(&sample(row.home()))) {
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

/// Returns true if the bytes of the backup have to be in a store or directory of this program.
fn is_kept(row: &Row<'_>) -> bool {
    let ours = [Program::PgDump.name(), Program::PgBasebackup.name()];
    matches!(row.status(), Status::Completed | Status::Expired)
        && !row.home().is_empty()
        && ours.contains(&row.tool())
}

/// Opens a store, or returns `None` if there is none and no record names it. Fails if records name
/// the store and it does not exist, or if it is another store than the one they name.
pub(crate) fn open(context: &Context, url: &StoreUrl, access: &Access) -> Result<Option<Store>, Failure> {
    let in_repository = match context.repository() {
        Ok(_) => true,
        Err(failure) if failure.code() == Code::NotARepository => false,
        Err(failure) => return Err(failure),
    };
    let recorded = match in_repository {
        true => Recorded::at(context, url)?,
        false => Recorded::default(),
    };
    let store = match Store::open(url, access) {
        Ok(store) => store,
        Err(StoreError::NoStore { .. }) if recorded.count == 0 => return Ok(None),
        Err(StoreError::NoStore { .. }) => {
            return Err(gone(&url.to_string(), recorded.count)
                .hint(format!("'git pggit store init {url}' begins an empty one, if it is lost for good")));
        }
        Err(error) => return Err(error.into()),
    };
    let id = store.config().id.to_string();
    let mut pinned = BTreeSet::new();
    for place in context.config()?.places()? {
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
    store.check_identity(&expected).map_err(|error| {
        Failure::from(error)
            .hint(format!("if that is what you want: git config --add pggit.place '{url} {id}'"))
    })?;
    Ok(Some(store))
}

fn gone(place: &str, count: usize) -> Failure {
    let backups = if count == 1 { "1 backup is".to_owned() } else { format!("{count} backups are") };
    Failure::new(Code::Destination, format!("{place}: not there, and {backups} recorded in it"))
        .hint("mount it, or bring it back")
}

/// Fails if the directory has no plain files of the database although records name some: it may not
/// be mounted.
pub(crate) fn check_directory(
    context: &Context,
    directory: &Path,
    database: &DatabaseName,
) -> Result<(), Failure> {
    let home = directory.join(database.as_str());
    if home.is_dir() {
        return Ok(());
    }
    let root = Root::Directory(home.clone());
    let overview = context.ledger()?.overview()?;
    let rows = overview.rows().filter(|row| is_kept(row) && row.database() == database.as_str());
    match rows.filter(|row| root.leads_to(&sample(row.home()))).count() {
        0 => Ok(()),
        count => Err(gone(&home.display().to_string(), count)
            .hint(format!("if they are gone for good: mkdir -p {}", home.display()))),
    }
}

/// The state of the bytes of all backups, found without looking at each of them.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The backups whose place does not exist.
    pub(crate) missing: BTreeSet<BackupId>,
    /// The problems, one line for each place.
    pub(crate) reasons: Vec<String>,
    /// The number of backups in places that are not configured, and one of those places.
    pub(crate) elsewhere: Option<(usize, String)>,
}

impl Standing {
    /// Returns a failure if a place does not exist.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let (first, others) = self.reasons.split_first()?;
        let failure = Failure::new(Code::Destination, first.clone()).hint("mount it, or bring it back");
        Some(others.iter().fold(failure, |failure, reason| failure.cause(reason.clone())))
    }
}

/// Looks once at each place that records name.
pub(crate) fn standing(context: &Context, overview: &Overview) -> Result<Standing, Failure> {
    let mut homes: BTreeMap<(&str, Option<&str>), Vec<Row<'_>>> = BTreeMap::new();
    for row in overview.rows().filter(|row| is_kept(row) && row.status() == Status::Completed) {
        homes.entry((row.home(), row.store_id())).or_default().push(row);
    }
    let (mut standing, mut roots) = (Standing::default(), None);
    for ((home, store_id), rows) in homes {
        let roots = match &roots {
            Some(roots) => roots,
            None => roots.insert(self::roots(context, None)?),
        };
        let Some(newest) = rows.last() else { continue };
        // The bytes of a backup that was registered by hand may be anywhere.
        if !Held::is_ours(&sample(home)) || is_there(home, store_id, roots, context)? {
            continue;
        }
        // The place may have been moved. In that case one of its backups is found elsewhere.
        let backup = context.ledger()?.entry(newest)?.backup;
        match Held::open(&backup, &access_to(context, &backup)?) {
            Err(StoreError::Elsewhere { .. }) => {
                let (count, _) = standing.elsewhere.get_or_insert((0, home.to_owned()));
                *count += rows.len();
            }
            Err(error) if error.is_absence() || matches!(error, StoreError::Replaced { .. }) => {
                standing.missing.extend(rows.iter().map(Row::id));
                standing.reasons.push(gone(home, rows.len()).message().to_owned());
            }
            // The place cannot be examined, which does not prove that it is missing.
            Err(error) => context.ui.warning(&error.to_string()),
            Ok(_) => {}
        }
    }
    Ok(standing)
}

/// Returns true if the place that records name exists and its store has the recorded id.
fn is_there(home: &str, store_id: Option<&str>, roots: &[Root], context: &Context) -> Result<bool, Failure> {
    for root in roots.iter().filter(|root| root.leads_to(&sample(home))) {
        match root {
            Root::Directory(_) => return Ok(is_directory(home)),
            Root::Store(url) => match Store::peek(url, &store::access(context, url)?) {
                Ok(Some(config)) => return Ok(store_id.is_none_or(|id| id == config.id.to_string())),
                Ok(None) => {}
                Err(error) => {
                    context.ui.warning(&format!("{url} cannot be looked at: {error}"));
                    return Ok(true);
                }
            },
        }
    }
    Ok(false)
}
