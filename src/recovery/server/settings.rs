//! What a private server is told on its command line, which counts more than
//! every file that a restored data directory has.

use std::path::Path;

use super::{Ground, Origin};

/// What every private server is told.
const FIXED: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("ssl", "off"),
    ("cluster_name", ""),
    // Nothing goes out, and nothing of others is loaded or started.
    ("archive_mode", "off"),
    ("archive_command", ""),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("local_preload_libraries", ""),
    ("max_logical_replication_workers", "0"),
    ("hot_standby", "off"),
    ("autovacuum", "off"),
    ("restart_after_crash", "off"),
    ("max_connections", "20"),
    ("shared_buffers", "64MB"),
    ("maintenance_work_mem", "64MB"),
    ("max_locks_per_transaction", "1024"),
    ("jit", "off"),
    // What it says is evidence, and must not repeat what is in the tables.
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_timezone", "UTC"),
    ("log_line_prefix", "%m "),
    ("log_statement", "none"),
    ("log_duration", "off"),
    ("log_min_duration_statement", "-1"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("log_min_messages", "warning"),
    ("lc_messages", "C"),
];

/// It is thrown away, and others need the machine too.
const THROWN_AWAY: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("max_wal_size", "256MB"),
];

/// It stays.
const KEPT: &[(&str, &str)] = &[("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")];

/// What was restored may have slots and prepared transactions, and knows of
/// others that are not to be followed.
const RESTORED: &[(&str, &str)] = &[
    ("wal_level", "logical"),
    ("max_replication_slots", "1000"),
    ("max_prepared_transactions", "1000"),
    ("recovery_target_action", "promote"),
    ("external_pid_file", ""),
    ("primary_conninfo", ""),
    ("primary_slot_name", ""),
];

/// What a restored one that is thrown away does not take over: all that it
/// replays is in its directory, to the end.
const UNSET: [&str; 8] = [
    "restore_command",
    "recovery_end_command",
    "archive_cleanup_command",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
];

/// All of it, for one server.
pub(super) fn settings(ground: &Ground, major: u32, origin: Origin) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut all = vec![
        // Its own files, and nobody from outside.
        ("config_file", path(&ground.files.join("server.conf"))),
        ("hba_file", path(&ground.files.join("hba.conf"))),
        ("ident_file", path(&ground.files.join("ident.conf"))),
        ("unix_socket_directories", path(&ground.home)),
    ];
    let mut add = |them: &[(&'static str, &str)]| {
        all.extend(them.iter().map(|(name, value)| (*name, (*value).to_owned())));
    };
    add(FIXED);
    match origin {
        Origin::Initdb => {
            add(THROWN_AWAY);
            add(&[("wal_level", "minimal"), ("max_wal_senders", "0")]);
        }
        Origin::Restored => {
            add(THROWN_AWAY);
            add(RESTORED);
            UNSET.iter().for_each(|name| add(&[(name, "")]));
        }
        Origin::Taken => {
            add(THROWN_AWAY);
            add(RESTORED);
            // In that case the WAL was copied, and the user may be unable to read the repository of the
            // tool.
            if ground.user.is_some() {
                UNSET.iter().for_each(|name| add(&[(name, "")]));
            }
        }
        Origin::Kept => {
            add(KEPT);
            add(RESTORED);
        }
    }
    if major >= 15 {
        add(&[("archive_library", "")]);
    }
    // Who keeps it wants his own to run; nobody else does.
    if major >= 17 && origin != Origin::Kept {
        add(&[("event_triggers", "off")]);
    }
    all
}
