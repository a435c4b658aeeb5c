//! The WAL archive that a point-in-time recovery needs.

use std::collections::BTreeSet;

use super::refusal::WalRefusal;
use crate::domain::{Lsn, RecoveryTarget, WalKind, WalName};
use crate::ledger::Entry;
use crate::recovery::restore::Refusal;
use crate::recovery::{ArchivedRange, Error, WalSource, wal_coverage, wal_ranges};
use crate::store::Store;
use crate::workspace::{Workspace, store};

/// The WAL of a cluster in a store.
pub struct ArchivedWal {
    /// The names of the WAL files.
    pub names: Vec<WalName>,
    /// The size of a segment, in bytes.
    pub segment_bytes: u64,
}

impl ArchivedWal {
    /// Opens the WAL archive of the cluster `system` in `store`.
    ///
    /// # Errors
    /// If the store has no WAL of the cluster, or cannot be read.
    pub fn open(store: &Store, system: &str) -> Result<Self, Error> {
        let archive = store.wal(system);
        let names: Vec<WalName> = archive.list()?.into_iter().map(|entry| entry.name).collect();
        let Some(first) = names.iter().find(|name| name.kind() == WalKind::Segment) else {
            let (store, system) = (store.url().to_string(), system.to_owned());
            return Err(Refusal::Wal(WalRefusal::NoArchive { store, system }).into());
        };
        let segment_bytes = archive.fetch(first)?.map_or(0, |content| content.len() as u64);
        Ok(Self { names, segment_bytes })
    }

    /// Returns the ranges without gaps.
    pub fn wal_ranges(&self) -> Vec<ArchivedRange> {
        wal_ranges(&self.names, self.segment_bytes)
    }

    /// Returns the number of timelines.
    pub fn timelines(&self) -> usize {
        self.names.iter().map(WalName::timeline).collect::<BTreeSet<_>>().len()
    }
}

/// Returns the source of the WAL that leads from the backup to the target.
///
/// # Errors
/// If the archived WAL does not lead to the target.
pub(super) fn wal_source(
    until: &RecoveryTarget,
    wal_store: Option<&str>,
    entry: &Entry,
    workspace: &Workspace,
) -> Result<WalSource, Error> {
    let (backup, id) = (&entry.backup, entry.backup.id);
    let refuse = |refusal: WalRefusal| Err(Refusal::from(refusal).into());
    let postgres = backup.postgres.as_ref();
    let (Some(system), Some(timeline), Some(start), Some(stop)) = (
        postgres.and_then(|postgres| postgres.system_identifier.as_ref()),
        postgres.and_then(|postgres| postgres.timeline),
        postgres.and_then(|postgres| postgres.start_lsn),
        postgres.and_then(|postgres| postgres.stop_lsn),
    ) else {
        return refuse(WalRefusal::NoPositions { backup: id });
    };
    if let RecoveryTarget::Time(at) = until
        && backup.completed_at.is_some_and(|completed| completed > *at)
    {
        return refuse(WalRefusal::NotComplete { backup: id, at: *at });
    }
    let store = store::open(workspace, wal_store)?;
    let (archived, url) = (ArchivedWal::open(&store, system.as_str())?, store.url().to_string());
    let reach = wal_coverage(&archived.wal_ranges(), timeline, start, stop, archived.segment_bytes);
    if !reach.consistent {
        return refuse(WalRefusal::Incomplete { backup: id, store: url });
    }
    match until {
        RecoveryTarget::Lsn(lsn) if *lsn < stop => {
            refuse(WalRefusal::BeforeEnd { backup: id, from: stop, wanted: *lsn })
        }
        // Another timeline may lead further.
        RecoveryTarget::Lsn(lsn) if archived.timelines() == 1 && u64::from(*lsn) > reach.until => {
            refuse(WalRefusal::AfterEnd { store: url, until: Lsn::from(reach.until) })
        }
        _ => Ok(WalSource {
            program: std::env::current_exe()
                .map_err(|error| Refusal::NoProgram { reason: error.to_string() })?,
            store: url,
            system_identifier: system.to_string(),
        }),
    }
}
