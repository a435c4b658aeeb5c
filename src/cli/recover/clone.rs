//! Copies of a database at a commit.

use std::ffi::OsString;

use crate::cli::{Code, Context, Failure, bar};
use crate::domain::Owner;
use crate::ledger::Entry;
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::process::{Cmd, Status, interrupt};
use crate::recovery::{Advance, CloneNote, Leniency, Restore, sweep_clones};
use crate::tools::{Programs, reaching};
use crate::workspace::{connect, places, store};

use super::recorded::say_not_marked;
use super::target::{Target, mask};

/// What a copy is to be.
pub(crate) struct Copy<'a> {
    /// The name of its database.
    pub(crate) dbname: String,
    /// The server, if not that of the database.
    pub(crate) server: Option<&'a str>,
    /// The process that it goes with.
    pub(crate) owner: Option<Owner>,
    /// Whether sessions may write, unless they say otherwise.
    pub(crate) writable: bool,
    pub(crate) no_owner: bool,
    pub(crate) no_privileges: bool,
    pub(crate) allow_schema_difference: bool,
}

/// A database of the server to restore on: the one that is named, else that of the
/// configured database.
pub(crate) fn admin_of(
    entry: &Entry,
    database: Option<&str>,
    server: Option<&str>,
    context: &Context,
) -> Result<ConnInfo, Failure> {
    if let Some(server) = server {
        return Ok(connect::server(context, server)?);
    }
    let name = database.unwrap_or(entry.backup.database.as_str());
    let known = context.config()?.selected(Some(name));
    let known = known
        .map_err(|error| Failure::from(error).hint("or name the server to restore on with --server <url>"))?;
    Ok(connect::conninfo(context, &known)?.with_dbname("postgres"))
}

/// Runs a program of the user on a database.
pub(crate) fn attach(command: &[OsString], info: &ConnInfo, context: &Context) -> Result<Status, Failure> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::new(Code::Usage, "there is no program to run"))?;
    let cmd = Cmd::new(program).args(arguments).inherit_env().cwd(context.cwd());
    Ok(reaching(cmd, info).run_attached()?)
}

/// Makes the copy; how to reach it.
pub(crate) fn make(target: &Target, copy: &Copy<'_>, context: &Context) -> Result<ConnInfo, Failure> {
    let backup = &target.entry.backup;
    let admin = admin_of(&target.entry, None, copy.server, context)?;
    let client = Client::connect(&admin, connect::APPLICATION)?;
    for dropped in sweep_clones(&client)? {
        context.ui.status(&format!("dropped {dropped}, left by a process that died"));
    }
    let note = CloneNote {
        database: backup.database.clone(),
        commit: target.commit.to_commit(),
        backup: backup.id,
        at: context.now(),
        owner: copy.owner.clone(),
    };
    interrupt::install().map_err(|error| Failure::of(Code::Fatal, &error))?;
    let progress = bar::progress(&context.ui);
    let programs = Programs::new(context.config()?.pgbin()?.map(|pgbin| pgbin.value));
    let staging = store::staging(context)?;
    let restore = Restore {
        advance: Advance {
            leniency: Leniency { owners: copy.no_owner, privileges: copy.no_privileges },
            forward: target.forward.clone(),
            expected: target.expected.clone(),
            allow_schema_difference: copy.allow_schema_difference,
            mask: mask(&context.config()?.database(&backup.database)?, target.commit, context)?,
            ..Advance::nowhere(backup, &copy.dbname, programs, staging, progress.as_ref())
        },
        admin: admin.clone(),
        access: places::access_to(context, backup)?,
        label: Some(note.to_label()),
        globals: false,
    };
    let restored = restore.run()?;
    drop(progress);
    if let Some(diff) = restored.difference {
        context.ui.warning(&format!("the schema is not what it should be:\n{diff}"));
    }
    say_not_marked(&copy.dbname, restored.not_marked.as_deref(), context);
    if !copy.writable {
        let name = quote_ident(&copy.dbname);
        client.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))?;
    }
    Ok(admin.with_dbname(&copy.dbname))
}
