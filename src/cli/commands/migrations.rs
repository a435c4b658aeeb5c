//! `git pggit migrations`

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::migrations::{Applied, Comparison, compare};
use crate::output::migrations::{CommitMigrationsOutput, ComparedDatabase};
use crate::workspace::connect;
use crate::workspace::migrations::{CommitMigrations, DatabaseMigrations, applied};

/// Show the migrations of a commit, and which of them a database has applied
///
/// Finds the migration tool by the files of the commit, and lists its migrations in
/// the order in which the tool runs them. With --database the table is read in which
/// the tool records what it has applied. Each migration is then 'applied', 'pending',
/// 'changed' (its file has another checksum than the one that was applied), 'unknown'
/// (applied, and not in the commit) or 'incomplete' (it has failed).
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

    /// End with 1 if the database is not at the commit
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
    let database = match &args.database {
        Some(name) => Some(context.config()?.selected(Some(name))?),
        None => None,
    };
    let found = match &database {
        Some(database) => applied(&connect::connect(context, database)?)?,
        None => DatabaseMigrations::default(),
    };
    for table in &found.unreadable {
        context.ui.warning(&format!("the role may not read {table}"));
    }
    let state = chosen(&found.applied)?;
    let migrations = CommitMigrations::at(commit, database.as_ref(), state.map(|it| it.tool), repository)?;
    let mut output = CommitMigrationsOutput::of_commit(commit.to_commit(), migrations.history.as_ref());
    if let Some(database) = database {
        let comparison = migrations
            .history
            .as_ref()
            .zip(state)
            .map(|(history, applied)| compare(history, applied, &|path| migrations.read(path)));
        let is_known = output.problems.is_empty() && found.unreadable.is_empty();
        output.database = Some(ComparedDatabase {
            database: database.name,
            table: state.map(|applied| applied.table.clone()),
            at_commit: comparison.as_ref().filter(|_| is_known).map(Comparison::is_equal),
            by_checksum: comparison.as_ref().is_some_and(|it| it.by_checksum),
        });
        if let Some(comparison) = &comparison {
            output.add_states(migrations.history.as_ref(), comparison);
        }
    }
    match context.ui.wants_json() {
        true => context.ui.json(&output)?,
        false => {
            context.page()?;
            output.print(&context.ui)?;
        }
    }
    let at_commit = output.database.as_ref().and_then(|database| database.at_commit);
    match args.exit_code && at_commit != Some(true) {
        true => Err(Failure::new(Code::Negative, "")),
        false => Ok(()),
    }
}

/// Returns the state table of the database, if it has one.
fn chosen(applied: &[Applied]) -> Result<Option<&Applied>, Failure> {
    match applied {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let tables: Vec<String> =
                several.iter().map(|it| format!("{} ({})", it.table, it.tool)).collect();
            let message =
                format!("the database has tables of several migration tools: {}", tables.join(", "));
            Err(Failure::new(Code::Ambiguous, message))
        }
    }
}
