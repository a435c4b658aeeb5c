//! What is to be brought back: a backup that is named, or the best one for a
//! commit; what has to be run after it; what its schema has to be.

use crate::cli::commands::backup::select;
use crate::cli::{Code, Context, Failure};
use crate::config::DatabaseConfig;
use crate::domain::BackupSelector;
use crate::git::Oid;
use crate::ledger::{Entry, Filter};
use crate::recovery::{self, AdvancePlan, AdvancePlanner, Candidate, Expected, Forward, Way};
use crate::tools::{Migration, Program};

use super::search::{Wanted, chosen, search, warn_of_passed_over};
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
    let (entry, commit) = locate(asked, context)?;
    let AdvancePlan { forward, expected, unseen } = plan(&entry, commit, context)?;
    if let Some((first, more)) = unseen.split_first() {
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        context.ui.warning(&format!(
            "{first}{more} count as schema, differ between the two commits, and are not run"
        ));
    }
    Ok(Target { entry, commit, forward, expected })
}

/// Plans how the backup leads to the commit.
fn plan(entry: &Entry, commit: Oid, context: &Context) -> Result<AdvancePlan, Failure> {
    let mut planner = AdvancePlanner::to(commit, context.repository()?, context.ledger()?, context.config()?);
    Ok(planner.from(entry)?.map_err(recovery::Error::from)?)
}

/// Describes how a database got to another commit than that of its backup. If nothing was run, only
/// an equal schema shows that it is there.
pub(crate) fn arrival(forward: &Forward, is_equal: bool) -> String {
    let commit = forward.commit.short();
    match &forward.way {
        Way::Files(none) if none.is_empty() && is_equal => {
            format!("it is at commit {commit}, too: no migration differs between the two commits")
        }
        Way::Files(none) if none.is_empty() => {
            format!("nothing was run: no migration differs between its commit and {commit}")
        }
        Way::Files(_) | Way::Command(_) => format!("migrated it to commit {commit}"),
    }
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
    let (overview, selector) = (snapshot(context)?, asked.what.parse()?);
    let databases = match selector {
        BackupSelector::Latest | BackupSelector::Oldest => {
            select::one_database(asked.database, overview, context)?
        }
        BackupSelector::Id(_) | BackupSelector::Text(_) => select::databases(asked.database)?,
    };
    let row = overview.find(&selector, &Filter { databases, ..Filter::default() })?;
    Ok(context.ledger()?.entry(&row)?)
}

/// Returns the backup and the wanted commit. Fails if the backup does not lead to that commit.
pub(crate) fn find(asked: &Asked<'_>, context: &Context) -> Result<(Entry, Oid), Failure> {
    let (entry, commit) = locate(asked, context)?;
    plan(&entry, commit, context)?;
    Ok((entry, commit))
}

fn locate(asked: &Asked<'_>, context: &Context) -> Result<(Entry, Oid), Failure> {
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
        databases: select::one_database(asked.database, overview, context)?,
        stays: asked.no_migrate,
        tool: (!asked.of_cluster).then(|| Program::PgDump.name()),
        no_dumps: asked.of_cluster,
        limit: 10,
        ..Wanted::default()
    };
    let mut candidates = search(&wanted, commit, overview, context)?;
    if asked.or_cluster && !asked.of_cluster && !candidates.iter().any(Candidate::is_eligible) {
        let wanted = Wanted { tool: None, no_dumps: true, ..wanted.clone() };
        let others = search(&wanted, commit, overview, context)?;
        if others.iter().any(Candidate::is_eligible) {
            candidates = others;
        }
    }
    let chosen = chosen(&candidates, commit)?;
    warn_of_passed_over(chosen, &candidates, overview, context);
    let entry = context.ledger()?.by_id(chosen.backup)?;
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
