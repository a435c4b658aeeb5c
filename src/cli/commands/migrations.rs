//! `git pggit migrations`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::output::migrations::CommitMigrationsOutput;
use crate::workspace::connect;
use crate::workspace::migrations::{examine, history_of};

/// Show the migrations of a commit, and their states in a database
///
/// Finds the migration tool by the files of the commit, and lists the migrations in
/// the order in which the tool runs them. With --database the command reads the
/// table in which the tool records applied migrations. Each migration is then
/// 'applied', 'pending', 'changed' (the checksum of the file differs from that of
/// the applied migration), 'unknown' (applied, and not in the commit; branches that
/// have it are named) or 'incomplete' (the migration has failed).
///
/// pggit.<database>.migrations names the directory if there are several.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit; any git revision
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,

    /// Compare with this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// Exit with 1 if the database is not at the commit
    #[arg(long, requires = "database")]
    exit_code: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit migrations
    git pggit migrations v2.0 --database shop
    git pggit migrations --database shop --exit-code --quiet";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let repository = context.repository()?;
    let commit = repository.resolve_commit(&args.commit)?;
    let output = match &args.database {
        None => {
            let history = history_of(commit, None, repository)?;
            CommitMigrationsOutput::of_commit(commit.to_commit(), history.as_ref())
        }
        Some(name) => {
            let database = context.config()?.selected(Some(name))?;
            let client = connect::connect(context, &database)?;
            match examine(&client, &database, commit, repository)? {
                Some(examination) => {
                    let branches = examination.branches(&database, repository)?;
                    CommitMigrationsOutput::of_database(commit.to_commit(), database.name, &examination)
                        .with_branches(branches.as_ref())
                }
                None => {
                    let history = history_of(commit, Some(&database), repository)?;
                    CommitMigrationsOutput::without_table(commit.to_commit(), database.name, history.as_ref())
                }
            }
        }
    };
    context.paged(&output)?;
    match args.exit_code && !output.is_at_commit() {
        true => Err(Failure::new(Code::CheckFailed, "")),
        false => Ok(()),
    }
}
