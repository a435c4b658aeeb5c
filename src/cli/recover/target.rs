//! What is to be brought back: a backup that is named, or the best one for a
//! commit; what has to be run after it; what its schema has to be.

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure};
use crate::config::DatabaseConfig;
use crate::domain::BackupSelector;
use crate::git::Oid;
use crate::ledger::{Entry, Filter};
use crate::recovery::{self, Candidate, Expected, Forward, MigrateCommand, Way, pending};
use crate::tools::{Migration, Program};

use super::search::{Wanted, best, migrations_at, search};
use super::snapshot;

/// What somebody asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// A backup or a commit.
    pub(crate) what: &'a str,
    /// Only of this database.
    pub(crate) database: Option<&'a str>,
    /// With a backup: the commit to go on to.
    pub(crate) commit: Option<&'a str>,
    /// With a commit: stay at that of the backup.
    pub(crate) no_migrate: bool,
    /// It cannot be a backup.
    pub(crate) only_commit: bool,
    /// For a commit: a copy of the cluster, not a dump.
    pub(crate) of_cluster: bool,
    /// For a commit: a copy of the cluster where no dump will do.
    pub(crate) or_cluster: bool,
}

/// A backup and where to go from there.
pub(crate) struct Target {
    /// The backup.
    pub(crate) entry: Entry,
    /// The commit that the database is to be at.
    pub(crate) commit: Oid,
    /// The way there.
    pub(crate) forward: Option<Forward>,
    /// The schema in the end.
    pub(crate) expected: Expected,
}

/// Finds it.
pub(crate) fn target(asked: &Asked<'_>, context: &Context) -> Result<Target, Failure> {
    let (entry, commit) = find(asked, context)?;
    let (forward, expected) = (forward(&entry, commit, context)?, expected(&entry, commit, context)?);
    Ok(Target { entry, commit, forward, expected })
}

/// The script that changes what nobody may see, as it is at the commit. One that
/// is configured and not there is an error: nobody shall see it by mistake.
pub(crate) fn mask(
    database: &DatabaseConfig,
    commit: Oid,
    context: &Context,
) -> Result<Option<Migration>, Failure> {
    let Some(path) = &database.mask else { return Ok(None) };
    let name = path.value.clone();
    match context.repository()?.blob_at(commit, &name)? {
        Some(sql) => Ok(Some(Migration { name, sql })),
        None => Err(Failure::new(
            Code::NotFound,
            format!("commit {} has no {name}, which has to mask the data", commit.short()),
        )
        .cause(format!("pggit.{}.mask is set in {}", database.name, path.origin))),
    }
}

/// The backup of that id or name.
fn named(asked: &Asked<'_>, context: &Context) -> Result<Entry, Failure> {
    let filter = Filter { databases: select::databases(asked.database)?, ..Filter::default() };
    let row = snapshot(context)?.find(&asked.what.parse()?, &filter)?;
    Ok(context.ledger()?.entry(&row)?)
}

/// The backup, and the commit that is wanted.
pub(crate) fn find(asked: &Asked<'_>, context: &Context) -> Result<(Entry, Oid), Failure> {
    let by_itself = match asked.only_commit {
        true => Failure::new(Code::NotFound, format!("'{}' is no commit", asked.what)),
        false => match named(asked, context) {
            Ok(entry) => {
                trusted(asked.what, &entry, context)?;
                let commit = match asked.commit {
                    Some(commit) => context.repository()?.resolve_commit(commit)?,
                    None => Oid::from(&entry.backup.commit),
                };
                return Ok((entry, commit));
            }
            Err(failure) if failure.code() == Code::NotFound => failure,
            Err(failure) => return Err(failure),
        },
    };
    if asked.commit.is_some() {
        return Err(by_itself.hint("--commit goes with a backup"));
    }
    let commit = match context.repository()?.resolve_commit(asked.what) {
        Ok(commit) => commit,
        Err(error) if asked.only_commit => return Err(error.into()),
        Err(_) => return Err(by_itself.hint("it is no commit either")),
    };
    let overview = snapshot(context)?;
    let wanted = Wanted {
        database: asked.database,
        tool: (!asked.of_cluster).then(|| Program::PgDump.name()),
        no_dumps: asked.of_cluster,
        limit: 10,
        ..Wanted::default()
    };
    let mut candidates = search(&wanted, commit, overview, context)?;
    if asked.or_cluster && !asked.of_cluster && !candidates.iter().any(Candidate::is_eligible) {
        let wanted = Wanted { tool: None, no_dumps: true, ..wanted };
        let others = search(&wanted, commit, overview, context)?;
        if others.iter().any(Candidate::is_eligible) {
            candidates = others;
        }
    }
    let entry = context.ledger()?.by_id(best(&candidates, commit)?.backup)?;
    let commit = if asked.no_migrate { Oid::from(&entry.backup.commit) } else { commit };
    Ok((entry, commit))
}

/// A backup that has failed its latest verification, or needs one that has, is
/// restored only for who asks for it by its own id: neither a commit nor a word
/// such as `latest` says that somebody knows.
pub(crate) fn trusted(asked: &str, entry: &Entry, context: &Context) -> Result<(), Failure> {
    let backup = &entry.backup;
    let id = backup.id.to_string();
    if BackupSelector::is_prefix(asked) && id.starts_with(asked) && backup.name.as_str() != asked {
        return Ok(());
    }
    let overview = snapshot(context)?;
    let Some(bad) = select::records_for([backup.id], overview).failed_verification(backup.id) else {
        return Ok(());
    };
    let what = match bad == backup.id {
        true => format!("backup {} ({id}) has failed its latest verification", backup.name),
        false => format!(
            "backup {} ({id}) needs backup {bad}, which has failed its latest verification",
            backup.name
        ),
    };
    Err(Failure::new(Code::Conflict, what)
        .hint(format!("'git pggit backup verify --again {bad}' if the cause is gone"))
        .hint(format!("'git pggit backup find {}' shows what else there is", backup.commit.short()))
        .hint("by its own id it is restored all the same, as far as its bytes go"))
}

/// The way from the backup to the commit.
fn forward(entry: &Entry, commit: Oid, context: &Context) -> Result<Option<Forward>, Failure> {
    let from = Oid::from(&entry.backup.commit);
    if from == commit {
        return Ok(None);
    }
    if let Some(command) = migrate_command(entry, context)? {
        // It goes forward; what it would do in a newer schema, nobody knows.
        if !context.repository()?.is_ancestor(from, commit)? {
            let (from, commit) = (from.short(), commit.short());
            let message = format!("commit {from} of the backup is not in the history of {commit}");
            return Err(Failure::new(Code::Conflict, message)
                .hint("migrations are not undone; 'git pggit backup find' shows what leads there"));
        }
        return Ok(Some(Forward { commit: commit.to_commit(), way: Way::Command(command) }));
    }
    let database = entry.backup.database.as_str();
    let (old, new) = (migrations_at(from, database, context)?, migrations_at(commit, database, context)?);
    let names = pending(&old, &new).map_err(recovery::Error::from)?;
    let chosen = names.iter().filter_map(|name| Some((name, *new.get(name)?)));
    Ok(Some(Forward { commit: commit.to_commit(), way: Way::Files(read(chosen, context)?) }))
}

/// The program that migrates the database of a backup, when there is one.
fn migrate_command(entry: &Entry, context: &Context) -> Result<Option<MigrateCommand>, Failure> {
    let database = context.config()?.database(&entry.backup.database)?;
    let Some(migrate) = database.migrate else { return Ok(None) };
    Ok(Some(MigrateCommand {
        words: migrate.value,
        git_dir: context.repository()?.common_dir(),
        database: database.name,
        deadline: database.migrate_timeout.value,
    }))
}

fn read<'a>(
    files: impl Iterator<Item = (&'a String, Oid)>,
    context: &Context,
) -> Result<Vec<Migration>, Failure> {
    let repository = context.repository()?;
    files.map(|(name, id)| Ok(Migration { name: name.clone(), sql: repository.blob(id)? })).collect()
}

/// What the schema has to be: as it was recorded with a backup of the commit,
/// else what its migrations make.
fn expected(entry: &Entry, commit: Oid, context: &Context) -> Result<Expected, Failure> {
    let ledger = context.ledger()?;
    let exact = Oid::from(&entry.backup.commit) == commit;
    let others = match exact {
        true => vec![entry.clone()],
        false => ledger.at_commit(&commit.to_commit())?.entries,
    };
    let mut newest_first = others.into_iter().rev();
    let recorded = newest_first
        .find(|other| other.backup.database == entry.backup.database && other.backup.completed_at.is_some());
    if let Some(other) = recorded
        && let Some(schema) = ledger.schema(&other)?
    {
        return Ok(Expected::Recorded { backup: other.backup.id, schema });
    }
    if exact {
        return Ok(Expected::Unknown);
    }
    if let Some(command) = migrate_command(entry, context)? {
        return Ok(Expected::Built(Way::Command(command)));
    }
    let all = migrations_at(commit, entry.backup.database.as_str(), context)?;
    // With nothing there, nothing is to be had; in the order of all that are pending in nothing.
    let names = pending(&Default::default(), &all).map_err(recovery::Error::from)?;
    let files = names.iter().filter_map(|name| Some((name, *all.get(name)?)));
    match read(files, context)? {
        none if none.is_empty() => Ok(Expected::Unknown),
        all => Ok(Expected::Built(Way::Files(all))),
    }
}
