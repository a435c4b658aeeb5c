//! `git pggit wal check`

use crate::cli::Context;
use crate::domain::{Backup, Lsn, Status};
use crate::failure::{Code, Failure};
use crate::ledger::Filter;
use crate::output::repository::{WalBackup, WalCheck};
use crate::recovery::{Reach, Run, reach};
use crate::terminal::Table;

use super::Place;
use crate::recovery::restore::ArchivedWal;

/// Show what the archived log reaches, and where it has gaps
///
/// Lists for each timeline the segments that follow each other without a gap, and
/// for each backup of the cluster up to where it can be recovered. Ends with 1 when
/// there is a gap, or a backup that cannot be brought to a consistent state.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The cluster, by its system identifier; by default that of the data directory
    #[arg(long, value_name = "ID")]
    system_identifier: Option<String>,

    #[command(flatten)]
    place: Place,
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
    let (runs, size) = (archived.runs(), archived.segment_bytes);
    let backups = backups(&system, context)?;
    let reached: Vec<(&Backup, Option<Reach>)> =
        backups.iter().map(|backup| (backup, of_backup(backup, &runs, size))).collect();
    if context.ui.wants_json() {
        let backup = |(backup, reach): &(&Backup, Option<Reach>)| WalBackup {
            backup: backup.id,
            name: backup.name.clone(),
            reach: reach.clone(),
        };
        context.ui.json(&WalCheck {
            system_identifier: system,
            segment_bytes: size,
            runs: runs.clone(),
            backups: reached.iter().map(backup).collect(),
        })?;
    } else {
        print(&runs, &reached, context)?;
    }
    let gaps = runs.iter().any(|run| run.gap_before);
    let lost = reached.iter().any(|(_, reach)| reach.as_ref().is_some_and(|reach| !reach.consistent));
    if gaps || lost { Err(Failure::new(Code::Negative, "")) } else { Ok(()) }
}

/// The physical backups of the cluster that the ledger knows.
fn backups(system: &str, context: &Context) -> Result<Vec<Backup>, Failure> {
    // Outside of a repository there is only the log to be looked at.
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

fn of_backup(backup: &Backup, all: &[Run], size: u64) -> Option<Reach> {
    let postgres = backup.postgres.as_ref()?;
    Some(reach(all, postgres.timeline?, postgres.start_lsn?, postgres.stop_lsn?, size))
}

fn print(runs: &[Run], reached: &[(&Backup, Option<Reach>)], context: &Context) -> Result<(), Failure> {
    context.page()?;
    let mut table = Table::new(["TIMELINE", "FIRST", "LAST", "SEGMENTS", "GAP BEFORE"]).right(0).right(3);
    for run in runs {
        table.shown(run.timeline);
        table.cell(run.first.as_str());
        table.cell(run.last.as_str());
        table.shown(run.segments);
        table.cell(if run.gap_before { "yes" } else { "-" });
    }
    context.ui.table(&table)?;
    for (backup, reach) in reached {
        let text = match reach {
            None => "its record has no positions in the log".to_owned(),
            Some(Reach { consistent: false, .. }) => {
                "cannot be made consistent: its own log is not whole".to_owned()
            }
            Some(Reach { until, .. }) => {
                format!("can be recovered to any moment up to {}", Lsn::from(*until))
            }
        };
        context.ui.line(format!("backup {} ({}): {text}", backup.name, backup.id))?;
    }
    Ok(())
}
