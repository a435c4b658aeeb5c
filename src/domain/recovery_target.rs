//! The recovery target of a restored cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Line, Lsn, Timestamp};

/// A recovery target, in PostgreSQL's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryTarget {
    /// As soon as it is consistent: the end of the backup.
    Immediate,
    /// The end of the available WAL.
    Latest,
    /// Until this time: `recovery_target_time`.
    Time(Timestamp),
    /// Until this position: `recovery_target_lsn`.
    Lsn(Lsn),
    /// Until this named restore point: `recovery_target_name`.
    Name(Line),
    /// Until this transaction: `recovery_target_xid`.
    Xid(u64),
}

impl fmt::Display for RecoveryTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("the end of the backup"),
            Self::Latest => f.write_str("the end of the WAL"),
            Self::Time(time) => write!(f, "time {time}"),
            Self::Lsn(lsn) => write!(f, "LSN {lsn}"),
            Self::Name(name) => write!(f, "restore point {name}"),
            Self::Xid(xid) => write!(f, "transaction {xid}"),
        }
    }
}
