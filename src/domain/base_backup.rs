//! Options of physical backups.

use super::named_enum::named_enum;

named_enum! {
    /// The speed of the checkpoint at the begin of a physical backup: the option `--checkpoint` of
    /// pg_basebackup.
    Checkpoint("checkpoint") {
        /// At once, with a burst of writes.
        Fast = "fast",
        /// Spread over the usual time of a checkpoint.
        Spread = "spread",
    }
}

named_enum! {
    /// The method that includes the WAL in a physical backup: the option `--wal-method` of
    /// pg_basebackup.
    WalMethod("wal") {
        /// At the end of the backup. The server must have kept the WAL.
        Fetch = "fetch",
        /// Over a second connection, during the backup.
        Stream = "stream",
    }
}
