//! `git pggit checkout`

use crate::cli::Context;
use crate::cli::clone_options::CloneOptions;
use crate::failure::Failure;
use crate::output::database::CheckedOutClone;
use crate::pg::NAME_BYTES_MAX;

/// Create a clone of the database at a commit
///
/// Works as 'git pggit with', but the clone stays until 'git pggit clone remove'.
/// Prints the connection string of the clone. The script of
/// 'pggit.<database>.maskScript' masks the data before anybody can connect.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The commit; any git revision
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,

    /// The name of the clone; by default made of the database and the commit
    #[arg(long, value_name = "DATABASE")]
    name: Option<String>,

    /// Make sessions in the clone read-only by default
    #[arg(long)]
    read_only: bool,

    #[command(flatten)]
    place: CloneOptions,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit checkout v1.9
    psql \"$(git pggit checkout HEAD --name shop_review)\"
    git pggit clone list";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.place.from.apply(context)?;
    let target = args.place.target(&args.commit, context)?;
    let dbname = args.name.clone().unwrap_or_else(|| {
        let suffix = format!("_{}", target.commit.to_commit().short());
        let mut name = target.entry.backup.database.as_str().to_owned();
        name.truncate(NAME_BYTES_MAX - suffix.len());
        name + &suffix
    });
    let info = args.place.copy(&target, dbname, None, !args.read_only, context)?;
    let backup = &target.entry.backup;
    Ok(context.ui.result(&CheckedOutClone {
        dbname: info.dbname().to_owned(),
        connection: info.without_password(),
        commit: target.commit.to_commit(),
        backup: backup.id,
        database: backup.database.clone(),
    })?)
}
