//! `git pggit wal check`

use crate::cli::Context;
use crate::domain::{Backup, Status};
use crate::failure::{Code, Failure};
use crate::ledger::Filter;
use crate::output::repository::{WalBackup, WalCheck};
use crate::recovery::{ArchivedRange, WalCoverage, wal_coverage};

use super::WalArgs;
use crate::recovery::restore::ArchivedWal;

/// Check the WAL archive for gaps
///
/// Lists for each timeline the ranges of segments without a gap, and for each
/// backup of the cluster the last LSN that recovery can reach. Exits with 1 if there
/// is a gap, or a backup that cannot be recovered to a consistent state.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The system identifier of the cluster; by default that of the data directory
    #[arg(long, value_name = "ID")]
    system_identifier: Option<String>,

    #[command(flatten)]
    place: WalArgs,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit wal check --pgdata /var/lib/postgresql/17/main
    git pggit wal check --system-identifier 7710420227913410699 --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let system = match &args.system_identifier {
        Some(system) => system.clone(),
        None => args.place.system_identifier(context)?,
    };
    let store = args.place.open(context)?;
    let archived = ArchivedWal::open(&store, &system)?;
    let (runs, size) = (archived.wal_ranges(), archived.segment_bytes);
    let backups = backups(&system, context)?;
    let backup = |backup: &Backup| WalBackup::new(backup, of_backup(backup, &runs, size));
    let check = WalCheck {
        system_identifier: system,
        segment_bytes: size,
        backups: backups.iter().map(backup).collect(),
        runs,
    };
    context.paged(&check)?;
    let gaps = check.runs.iter().any(|run| run.gap_before);
    let lost = check.backups.iter().filter_map(|it| it.reach.as_ref()).any(|reach| !reach.consistent);
    if gaps || lost { Err(Failure::new(Code::CheckFailed, "")) } else { Ok(()) }
}

/// Returns the physical backups of the cluster in the ledger.
fn backups(system: &str, context: &Context) -> Result<Vec<Backup>, Failure> {
    // Without a repository only the WAL archive is checked.
    if context.repository().is_err() {
        return Ok(Vec::new());
    }
    let overview = context.overview()?;
    let filter = Filter { statuses: vec![Status::Completed], ..Filter::default() };
    let ledger = context.ledger()?;
    let mut found = Vec::new();
    for row in overview.select(&filter).iter().filter(|row| row.tool() != "pg_dump") {
        let backup = ledger.entry(row)?.backup;
        let its = backup.postgres.as_ref().and_then(|postgres| postgres.system_identifier.as_ref());
        if its.is_some_and(|its| its.as_str() == system) {
            found.push(backup);
        }
    }
    Ok(found)
}

fn of_backup(backup: &Backup, all: &[ArchivedRange], size: u64) -> Option<WalCoverage> {
    let postgres = backup.postgres.as_ref()?;
    Some(wal_coverage(all, postgres.timeline?, postgres.start_lsn?, postgres.stop_lsn?, size))
}
