//! `git pggit mark`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::git::Position;
use crate::output::database::{ChangedMark, MarkOutput, NoMark};
use crate::terminal::Style;
use crate::workspace::connect;

/// Record the schema commit of a database in the database itself
///
/// Writes the commit, by default HEAD, as the setting 'pggit.commit' of the
/// database. Dumps with --create contain the setting. Backups of the database then
/// belong to that commit, independent of the commit that is checked out. Run the
/// command after each migration.
///
/// The role must own the database. The role must also be a superuser or, since
/// PostgreSQL 15, have the privilege: GRANT SET ON PARAMETER "pggit.commit" TO
/// <role>.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit; any git revision; by default HEAD
    #[arg(conflicts_with_all = ["show", "clear"])]
    commit: Option<String>,

    /// The database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,

    /// Show the recorded commit; fails with 'negative' if there is none
    #[arg(long, conflicts_with = "clear")]
    show: bool,

    /// Remove the recorded commit
    #[arg(long)]
    clear: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit mark
    git pggit mark v1.4 --database main
    git pggit mark --show";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    match (args.show, args.clear) {
        (true, _) => show(args, context),
        (_, true) => clear(args, context),
        _ => set(args, context),
    }
}

fn set(args: &Args, context: &Context) -> Result<(), Failure> {
    let repository = context.repository()?;
    let commit = repository.resolve_commit(args.commit.as_deref().unwrap_or("HEAD"))?;
    let summary = repository.summary(commit)?;
    let database = context.config()?.selected(args.database.as_deref())?;
    let client = connect::connect(context, &database)?;
    // An invalid mark is ignored, because it is about to be overwritten.
    let previous = client.read_mark().ok().flatten();
    let commit = commit.to_commit();
    client.set_mark(client.conninfo().dbname(), commit.as_str())?;
    context.ui.status(&format!(
        "marked database '{}' with {} {}",
        database.name,
        commit.short(),
        summary.subject
    ));
    if context.ui.wants_json() {
        context.ui.json(&ChangedMark { database: database.name.clone(), commit: Some(commit), previous })?;
    }
    Ok(())
}

fn clear(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = context.config()?.selected(args.database.as_deref())?;
    let client = connect::connect(context, &database)?;
    let previous = client.read_mark().ok().flatten();
    client.clear_mark(client.conninfo().dbname())?;
    let (name, was) = (&database.name, previous.as_deref());
    context.ui.status(&match was {
        Some(commit) => format!("removed the mark of database '{name}' (was {commit})"),
        None => format!("removed the mark of database '{name}'"),
    });
    if context.ui.wants_json() {
        context.ui.json(&ChangedMark { database: name.clone(), commit: None, previous })?;
    }
    Ok(())
}

fn show(args: &Args, context: &Context) -> Result<(), Failure> {
    let database = context.config()?.selected(args.database.as_deref())?;
    let client = connect::connect(context, &database)?;
    let Some(mark) = client.read_mark()? else {
        if context.ui.wants_json() {
            context.ui.json(&NoMark { database: database.name.clone(), commit: () })?;
            return Err(Failure::new(Code::CheckFailed, ""));
        }
        return Err(Failure::new(Code::CheckFailed, format!("no mark in database '{}'", database.name))
            .hint("record the commit with 'git pggit mark <commit>'"));
    };
    // Outside of a repository only the mark is printed.
    let place = match context.existing_repository()? {
        Some(repository) => Position::of(repository, &mark)?,
        None => None,
    };
    if context.ui.wants_json() {
        return Ok(context.ui.json(&MarkOutput {
            database: database.name.clone(),
            commit: mark,
            known: place.is_some(),
            subject: place.as_ref().map(|place| place.subject.clone()),
            behind: place.as_ref().and_then(|place| place.behind),
            ahead: place.as_ref().and_then(|place| place.ahead),
        })?);
    }
    let said = match &place {
        Some(place) => format!(" {}", place.subject),
        None => String::new(),
    };
    context.ui.spans(&[(Style::Id, &mark), (Style::Plain, &said)])?;
    Ok(context
        .ui
        .line(place.map_or_else(|| "not in this repository".to_owned(), |place| place.describe()))?)
}
