//! The options of a restore of a dump.

use std::num::NonZeroU32;

/// The options of a restore of a dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// True if the restoring user becomes the owner of everything. Unsupported for a plain script.
    pub no_owner: bool,
    /// True if grants are left out. Unsupported for a plain script.
    pub no_privileges: bool,
    /// True if everything is created in the default tablespace of the database.
    pub no_tablespaces: bool,
    /// True if objects that cannot be restored are left out: see [`super::LeftOut`].
    pub keep_going: bool,
    /// The number of parallel jobs, if there are several. Only for the formats custom and directory.
    pub jobs: Option<NonZeroU32>,
}

impl LoadOptions {
    /// Returns the number of parallel jobs; `None` for one.
    pub(super) fn parallel_jobs(&self) -> Option<u32> {
        self.jobs.map(NonZeroU32::get).filter(|jobs| *jobs > 1)
    }
}
