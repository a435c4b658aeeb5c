//! The process that works on a backup.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Line;

/// Names one process of one boot of one machine, so that its death can be told
/// from a process id that was given out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Name of the machine.
    pub host: Line,
    /// The kernel's id of this boot.
    pub boot_id: Line,
    /// Process id.
    pub pid: u32,
    /// Start of the process in clock ticks after the boot.
    pub started_ticks: u64,
}
