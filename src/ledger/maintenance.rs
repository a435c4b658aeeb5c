//! Maintenance for speed. It changes no records.

use super::{Error, IndexRefresh, Ledger, layout};

/// The number of loose refs above which packing pays. Listing refs reads each loose ref as a file, in
/// plain git too.
const LOOSE_MOST: usize = 500;

/// The result of [`Ledger::maintain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// The number of loose ledger refs that were packed.
    pub packed: usize,
    /// The refresh of the index.
    pub index: IndexRefresh,
}

impl Ledger<'_> {
    /// Packs the refs of the ledger, writes the commit-graph and updates the index. It may be
    /// interrupted at any time. Fails if git fails or a ref cannot be read.
    pub fn maintain(&self) -> Result<MaintenanceReport, Error> {
        let packed = self.loose(usize::MAX);
        let prefix = layout::REFS_PREFIX;
        self.repository.pack_refs(&[&format!("{prefix}*"), layout::NOTES_REF, "refs/pggit/*"])?;
        self.repository.write_commit_graph()?;
        Ok(MaintenanceReport { packed, index: self.refresh_index()? })
    }

    /// Returns true if maintenance pays. The check is cheap.
    pub fn needs_maintenance(&self) -> bool {
        self.loose(LOOSE_MOST + 1) > LOOSE_MOST
    }

    fn loose(&self, most: usize) -> usize {
        self.repository.count_loose(layout::REFS_PREFIX, most)
    }
}
