//! `git pggit queue init`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::queue::InstalledQueue;
use crate::pg::Client;
use crate::sql::{self, QueuePrivilege};
use crate::workspace::queue;

/// Create the queue in PostgreSQL, or upgrade it to the version of this program
///
/// Creates the schema 'pggit' in the database that pggit.queue names, with the table
/// of the jobs, the functions that change jobs, and the view pggit.backup_jobs for
/// people. The connected role owns the schema, and needs the privilege to create
/// schemas; other roles need only the privileges that the options grant. Without
/// pggit.queue, jobs are refs of the repository, and no setup is needed.
///
/// One queue serves one repository of records: use a separate database for another
/// one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Allow this role to run jobs; may be given several times
    #[arg(long, value_name = "ROLE")]
    worker: Vec<String>,

    /// Allow this role to enqueue jobs; may be given several times
    #[arg(long, value_name = "ROLE")]
    enqueuer: Vec<String>,

    /// Allow this role to read jobs; may be given several times
    #[arg(long, value_name = "ROLE")]
    reader: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git config pggit.queue postgresql://queue_owner@db.example/pggit
    git pggit queue init --worker pggit_worker --enqueuer pggit_ci --reader grafana";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let Some(info) = queue::postgres(context)? else {
        let message = "the queue of this repository is in its refs, and needs no setup";
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
        0 => format!("created the queue in database \"{}\", version {version}", info.dbname()),
        before if before >= version => format!("the queue has version {version} already"),
        before => format!("upgraded the queue from version {before} to {version}"),
    });
    Ok(())
}
