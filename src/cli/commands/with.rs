//! `git pggit with`

use std::ffi::OsString;

use crate::cli::Context;
use crate::cli::clone_options::CloneOptions;
use crate::cli::restores::attach;
use crate::domain::Owner;
use crate::failure::{Code, Failure};
use crate::pg::Client;
use crate::process::interrupt;
use crate::recovery::drop_clone;
use crate::workspace::connect;

/// Run a program on a temporary clone of the database at a commit
///
/// The clone is restored from the best backup for the commit and migrated to the
/// commit, as 'git pggit backup restore' does. The program gets the connection in
/// PGHOST, PGPORT, PGUSER, PGDATABASE and DATABASE_URL. The clone is dropped when
/// the program exits, with any status. Sessions in the clone are read-only unless
/// --writable is given.
///
/// The exit status is that of the program. The status is 125 if no backup leads to
/// the commit, and 128 or more for every other error, so that
/// 'git bisect run git pggit with HEAD -- ./check.sh' finds the commit that broke
/// the data.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit; any git revision
    #[arg(value_name = "COMMIT")]
    commit: String,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// Allow writes in the clone
    #[arg(short, long)]
    writable: bool,

    #[command(flatten)]
    place: CloneOptions,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit with v1.9 -- psql -c 'select count(*) from orders'
    git pggit with HEAD --writable -- ./test-the-next-migration.sh
    git bisect run git pggit with HEAD -- ./check.sh";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let status = attempt(args, context).map_err(|failure| match failure.code() {
        Code::NotFound => failure.with_code(Code::Untestable),
        // The program may exit with any status below 128.
        code if code.status() < 125 => failure.with_code(Code::Fatal),
        _ => failure,
    })?;
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure::of_program(status)),
    }
}

fn attempt(args: &Args, context: &Context) -> Result<crate::process::Status, Failure> {
    args.place.from.apply(context)?;
    // An unreadable ledger is an error, not a commit without a backup.
    context.ledger()?;
    // Without a backup that leads to the commit, the program cannot be tested on it.
    let target = args.place.target(&args.commit, context).map_err(|failure| match failure.code() {
        Code::Conflict => failure.with_code(Code::Untestable),
        _ => failure,
    })?;
    let owner = Owner::current().map_err(|error| {
        Failure::new(Code::Fatal, "cannot identify this process").cause(error.to_string())
    })?;
    let dbname = format!("pggit_{}_{}", target.commit.to_commit().short(), owner.pid);
    let info = args.place.copy(&target, dbname.clone(), Some(owner), args.writable, context)?;
    crate::process::crash_point("with.made");
    let ran = attach(&args.command, &info, context);
    let client = Client::connect(&info.with_dbname("postgres"), connect::APPLICATION)?;
    drop_clone(&client, &dbname)?;
    match interrupt::requested() {
        Some(signal) => {
            Err(Failure::new(Code::Interrupted, format!("interrupted ({signal}); the clone was dropped")))
        }
        None => ran,
    }
}
