//! Keeping the ledger fast. Nothing here changes what it says.

use super::{Error, Ledger, Refreshed, layout};

/// With more refs that are files of their own it pays to pack them: each is
/// read by itself whenever anybody, also plain git, lists refs.
const LOOSE_MOST: usize = 500;

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Refs of the ledger that were packed.
    pub packed: usize,
    /// The index.
    pub index: Refreshed,
}

impl Ledger<'_> {
    /// Packs the refs of the ledger, writes the commit-graph and brings the
    /// index up to date. May be interrupted at any time.
    pub fn maintain(&self) -> Result<Maintained, Error> {
        let packed = self.loose(usize::MAX);
        let prefix = layout::REFS_PREFIX;
        self.repository.pack_refs(&[&format!("{prefix}*"), layout::NOTES_REF, "refs/pggit/*"])?;
        self.repository.write_commit_graph()?;
        Ok(Maintained { packed, index: self.refresh_index()? })
    }

    /// Does maintenance pay? A question that costs next to nothing.
    pub fn needs_maintenance(&self) -> bool {
        self.loose(LOOSE_MOST + 1) > LOOSE_MOST
    }

    fn loose(&self, most: usize) -> usize {
        self.repository.count_loose(layout::REFS_PREFIX, most)
    }
}
