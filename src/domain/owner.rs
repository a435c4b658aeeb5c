//! The process that works on a backup.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Line;

/// A process of one boot of one machine. The boot and the start of the process distinguish a running process
/// from a later one with the same process id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// The name of the machine.
    pub host: Line,
    /// The id of the boot, from the kernel.
    pub boot_id: Line,
    /// The process id.
    pub pid: u32,
    /// The start of the process, in clock ticks after the boot.
    pub started_ticks: u64,
}
