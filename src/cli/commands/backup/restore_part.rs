//! `git pggit backup restore --into` of a database, a schema or a table out of
//! whatever backup.

use serde_json::json;

use super::restore::{How, Schema, Wanted, say};
use super::restore_cluster::{connection, failed, members, tool_of};
use crate::backup;
use crate::cli::recover::{Done, Shown, Target, Then, admin_of, place_of_database, recorded, say_not_marked};
use crate::cli::{Code, Context, Failure, bar, logging};
use crate::domain::{Backup, RestoreMode};
use crate::process::interrupt;
use crate::recovery::{Advance, Expected, Kept, Leniency, Part, Selection};
use crate::tools::{Program, Programs};
use crate::workspace::{places, store};

/// Whether it takes more than loading a dump.
pub(super) fn is_wanted(wanted: &Wanted, backup: &Backup) -> bool {
    let named = wanted.from_database.is_some();
    !selection(wanted).is_all() || named || !is_dump(backup)
}

fn is_dump(backup: &Backup) -> bool {
    backup.tool.name.as_str() == Program::PgDump.name()
}

fn selection(wanted: &Wanted) -> Selection {
    Selection { schemas: wanted.schema.clone(), tables: wanted.table.clone() }
}

pub(super) fn run(
    wanted: &Wanted,
    how: How,
    into: &str,
    found: &Target,
    context: &Context,
) -> Result<Option<Schema>, Failure> {
    let (backup, config, selection) = (&found.entry.backup, context.config()?, selection(wanted));
    let (dbname, is_another) = database(wanted, backup, context)?;
    let is_whole = selection.is_all() && !is_another;
    if !is_whole && found.forward.is_some() {
        let message = format!("only a whole database goes on from commit {}", backup.commit.short());
        return Err(Failure::new(Code::Usage, message).hint("--no-migrate restores what the backup has"));
    }
    let admin = admin_of(&found.entry, wanted.database.as_deref(), wanted.server.as_deref(), context)?;
    let programs = Programs::new(config.pgbin()?.map(|pgbin| pgbin.value));
    if backup::restorer_of(backup, &programs).is_none() {
        wanted.from.refuse(backup)?;
    }
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let expected = if is_whole { found.expected.clone() } else { Expected::Unknown };
    let part = Part {
        advance: Advance {
            leniency: Leniency { owners: wanted.no_owner, privileges: wanted.no_privileges },
            forward: found.forward.clone(),
            expected,
            allow_schema_difference: wanted.allow_schema_difference,
            ..Advance::nowhere(backup, into, programs.clone(), store::staging(context)?, progress.as_ref())
        },
        admin,
        dbname,
        selection,
        mark: is_whole,
        globals: wanted.globals,
        scratch: config.scratch()?,
        scratch_user: config.scratch_user()?.map(|user| user.value),
    };
    if let How::Show(then) = how {
        return show(&part, then, into, found, context);
    }
    logging::begin_with_warnings(context);
    let restored = match backup::restorer_of(backup, &programs) {
        Some(_) if is_dump(backup) => part.run(&Kept::Dump(places::access_to(context, backup)?)),
        Some(adapter) => part.run(&Kept::Store(&members(&found.entry, context)?, adapter.as_ref())),
        None => {
            let server = connection(backup, context)?;
            part.run(&Kept::Tool(tool_of(backup, &server, &programs, context)?.as_ref()))
        }
    };
    let target = place_of_database(&part.admin.with_dbname(into));
    let (at, ran, what) = (part.advance.commit().clone(), part.advance.names(), part.selection.words());
    drop(part);
    drop(progress);
    let restored = restored.map_err(failed)?;
    let schema = restored.compared_with.clone().map(|with| (with, restored.difference.clone()));
    if matches!(how, How::Part) {
        say_not_marked(into, restored.not_marked.as_deref(), context);
        return Ok(schema);
    }
    let mut more = vec![("size_bytes", restored.bytes.into()), ("ran", ran.into())];
    more.extend((!what.is_empty()).then(|| ("part", what.into())));
    let (mode, duration) = (RestoreMode::Clone, restored.duration);
    recorded(&found.entry, Done { mode, target, commit: at, duration, schema, more }, context);
    say(into, found, &restored, context)?;
    Ok(None)
}

/// Prints the plan of a partial restore and of the steps after it.
fn show(
    part: &Part<'_>,
    then: Then,
    into: &str,
    found: &Target,
    context: &Context,
) -> Result<Option<Schema>, Failure> {
    let (steps, refusals) = part.describe()?;
    let place = json!({ "database": into, "server": part.admin.to_url() });
    let shown = Shown { entry: &found.entry, commit: found.commit, place, steps, refusals };
    shown.then(then).show(context)?;
    Ok(None)
}

/// The database that is wanted, and whether it is another one than the backup is
/// recorded to be of.
fn database(wanted: &Wanted, backup: &Backup, context: &Context) -> Result<(String, bool), Failure> {
    let known = backup.postgres.as_ref().and_then(|postgres| postgres.dbname.clone());
    let dbname = match wanted.from_database.clone().or_else(|| known.clone()) {
        Some(dbname) => dbname,
        None => connection(backup, context)?.dbname().to_owned(),
    };
    let is_another = known.as_ref().is_some_and(|known| *known != dbname);
    if is_dump(backup) && is_another {
        let message = format!("backup {} is a dump of database {:?}", backup.id, known.unwrap_or_default());
        return Err(Failure::new(Code::Usage, message).hint("a copy of a cluster has the others"));
    }
    Ok((dbname, is_another))
}
