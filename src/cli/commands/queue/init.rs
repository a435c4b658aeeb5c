//! `git pggit queue init`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::queue::InstalledQueue;
use crate::pg::Client;
use crate::sql::{self, QueuePrivilege};
use crate::workspace::queue;

/// Set the queue up in PostgreSQL, or bring it to the version of this program
///
/// Makes the schema 'pggit' in the database that pggit.queue names, with the
/// table of the jobs, the functions that change them, and the view
/// pggit.backup_jobs for people. The role that does it owns the schema, and
/// needs the right to create one; workers and others need no more than what the
/// options give them. Without pggit.queue, jobs are refs of the repository, and
/// there is nothing to set up.
///
/// One queue serves one repository of records: give another one a database of
/// its own.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Let this role take jobs; may be given several times
    #[arg(long, value_name = "ROLE")]
    worker: Vec<String>,

    /// Let this role put jobs into the queue; may be given several times
    #[arg(long, value_name = "ROLE")]
    enqueuer: Vec<String>,

    /// Let this role see the jobs; may be given several times
    #[arg(long, value_name = "ROLE")]
    reader: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git config pggit.queue postgresql://queue_owner@db.example/pggit
    git pggit queue init --worker pggit_worker --enqueuer pggit_ci --reader grafana";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let Some(info) = queue::postgres(context)? else {
        let message = "the queue of this repository is in its refs; there is nothing to set up";
        return Err(Failure::new(Code::Configuration, message)
            .hint("for a queue in PostgreSQL: git config pggit.queue postgresql://..."));
    };
    let client = Client::connect(&info, "git-pggit queue")?;
    let before = sql::install(&client)?;
    let rights = [
        (&args.reader, QueuePrivilege::Read),
        (&args.enqueuer, QueuePrivilege::Enqueue),
        (&args.worker, QueuePrivilege::Work),
    ];
    for (roles, right) in rights {
        for role in roles {
            sql::grant(&client, role, right)?;
        }
    }
    let version = sql::newest_version().max(before);
    if context.ui.wants_json() {
        return Ok(context.ui.json(&InstalledQueue { version, before })?);
    }
    context.ui.status(&match before {
        0 => format!("made the queue in database \"{}\", version {version}", info.dbname()),
        before if before >= version => format!("the queue has version {version} already"),
        before => format!("brought the queue from version {before} to {version}"),
    });
    Ok(())
}
