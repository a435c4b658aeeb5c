//! Options of physical backups.

use super::words::words;

words! {
    /// Whether the server hurries with the checkpoint that a copy begins with.
    Checkpoint("checkpoint") {
        /// At once, at the cost of a burst of writes.
        Fast = "fast",
        /// In its usual time.
        Spread = "spread",
    }
}

words! {
    /// How the write-ahead log that a copy needs comes along.
    WalMethod("wal") {
        /// At the end; the server has to have kept it.
        Fetch = "fetch",
        /// Over a second connection, while the copy is made.
        Stream = "stream",
    }
}
