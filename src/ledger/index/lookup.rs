//! Finds the record of a backup without reading all records.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::{BackupId, CommitId};
use crate::git::{Oid, Repository};
use crate::ledger::catalog::{RecordLocation, read, record_locations_at};
use crate::ledger::{Entry, Error, Ledger, Row, layout};

use super::refresh::map_parallel;
use super::segment::{HEADER, ID, Shape, u32_at};

impl Ledger<'_> {
    /// Returns the commit that the index has for `id`. It may be stale: the caller checks it, and falls
    /// back to [`Self::look_up`]. Only the needed parts of the file are read, without a checksum.
    pub(in crate::ledger) fn guess(&self, id: BackupId) -> Option<CommitId> {
        search(&self.index_path(), &id.to_bytes(), self.repository.oid_len()).map(Oid::to_commit)
    }

    /// Returns the commit that has the record of `id`. Loose refs are searched first: the newest backups
    /// are requested most often, and their refs are not packed yet. Fails if there is no such record.
    pub(in crate::ledger) fn look_up(&self, id: BackupId) -> Result<CommitId, Error> {
        const WORTH_A_TRY: usize = 64;
        let loose = self.repository.loose_under(layout::REFS_PREFIX).unwrap_or_default();
        for (name, tip) in loose.iter().take(if loose.len() > WORTH_A_TRY { 0 } else { WORTH_A_TRY }) {
            let Ok(commit) = name.parse::<CommitId>() else { continue };
            let here = record_locations_at(self.repository, &commit, *tip).unwrap_or_default();
            if here.iter().any(|place| place.id == id) {
                return Ok(commit);
            }
        }
        let overview = self.overview()?;
        if let Some(row) = overview.get(id) {
            return Ok(row.commit());
        }
        let file = layout::record_path(id);
        let damaged = overview.damaged.iter().find(|damage| damage.file == file);
        let commit =
            damaged.and_then(|damage| damage.reference.strip_prefix(layout::REFS_PREFIX)?.parse().ok());
        commit.ok_or_else(|| Error::NotFound { selector: id.to_string() })
    }

    /// Reads the record of a backup. Fails if it cannot be read.
    pub fn entry(&self, row: &Row<'_>) -> Result<Entry, Error> {
        entry(self.repository, row)
    }

    /// Reads the records of `rows` in parallel, and passes the result of `make` for each to `take`, in the
    /// order of `rows`. Only a limited number is in memory at a time. Fails if a record cannot be read
    /// or `take` fails.
    pub fn each_entry<T: Send, E: From<Error>>(
        &self,
        rows: &[Row<'_>],
        make: impl Fn(Entry) -> T + Sync,
        mut take: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        const AT_ONCE: usize = 2048;
        for some in rows.chunks(AT_ONCE) {
            for made in
                map_parallel(self.repository, some, |repository, row| entry(repository, row).map(&make))
            {
                take(made?)?;
            }
        }
        Ok(())
    }
}

fn entry(repository: &Repository, row: &Row<'_>) -> Result<Entry, Error> {
    let place = RecordLocation { id: row.id(), commit: row.commit(), tip: row.tip(), blob: row.blob() };
    read(repository, &place).map_err(|reason| Error::Damaged {
        backup: place.id.to_string(),
        commit: place.commit.clone(),
        reason,
    })
}

/// Finds the commit of an id by binary search in the file.
fn search(path: &Path, id: &[u8; 16], oid: usize) -> Option<Oid> {
    let file = File::open(path).ok()?;
    let read = |buffer: &mut [u8], at: usize| file.read_exact_at(buffer, at as u64).ok();
    let mut header = [0; HEADER];
    read(&mut header, 0)?;
    let shape = Shape::parse(&header, oid)?;
    let (mut low, mut high) = (0, shape.rows);
    let mut found = [0; ID];
    while low < high {
        let middle = low + (high - low) / 2;
        read(&mut found, shape.ids_at() + middle * ID)?;
        match found[..16].cmp(id) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                let mut commit = vec![0; oid];
                read(&mut commit, shape.ref_at(u32_at(&found, 16) as usize))?;
                return Oid::from_bytes(&commit);
            }
        }
    }
    None
}
