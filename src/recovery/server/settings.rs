//! The settings that a private server receives on the command line. They override every file in a
//! restored data directory.

use std::path::Path;

use super::{DataOrigin, ServerEnv};

/// The name and the value of a setting.
pub(super) type Setting = (&'static str, &'static str);

/// The settings of a private server, during recovery and as a clone: it listens on a private
/// socket only, archives nothing, loads no library and is no standby.
const PRIVATE: &[Setting] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("ssl", "off"),
    ("archive_mode", "off"),
    ("archive_command", ""),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("local_preload_libraries", ""),
    ("max_logical_replication_workers", "0"),
    ("logging_collector", "off"),
];

/// Further settings for a restored data directory. Such a directory may have replication slots and
/// prepared transactions, and may have settings that refer to servers that must not be followed.
const PRIVATE_RESTORED: &[Setting] = &[
    ("wal_level", "logical"),
    ("max_replication_slots", "1000"),
    ("max_prepared_transactions", "1000"),
    ("external_pid_file", ""),
    ("primary_conninfo", ""),
    ("primary_slot_name", ""),
];

/// The settings that exist only since PostgreSQL 15.
const PRIVATE_SINCE_15: &[Setting] = &[("archive_library", "")];

/// Returns the settings of a private server of version `major`.
fn private(major: u32) -> impl Iterator<Item = Setting> {
    let since_15 = if major >= 15 { PRIVATE_SINCE_15 } else { &[] };
    PRIVATE.iter().chain(since_15).copied()
}

/// Returns the settings of a private server of version `major` on a restored data directory.
pub(super) fn private_restored(major: u32) -> impl Iterator<Item = Setting> {
    private(major).chain(PRIVATE_RESTORED.iter().copied())
}

/// The settings of every private server that this process stops.
const FIXED: &[Setting] = &[
    ("cluster_name", ""),
    ("hot_standby", "off"),
    ("autovacuum", "off"),
    ("restart_after_crash", "off"),
    ("max_connections", "20"),
    ("shared_buffers", "64MB"),
    ("maintenance_work_mem", "64MB"),
    ("jit", "off"),
    // The server log is evidence and must not contain data from tables.
    ("log_destination", "stderr"),
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

/// The locks of a server on a new data directory: 8192 for each of 32 processes. pg_dump locks all
/// tables of a database in one transaction. A lock takes about 300 bytes of shared memory.
const LOCKS: Setting = ("max_locks_per_transaction", "8192");

/// The locks of a server on a restored data directory, which has them for 1000 prepared transactions,
/// too: see [`PRIVATE_RESTORED`].
const LOCKS_RESTORED: Setting = ("max_locks_per_transaction", "1024");

/// The settings of a data directory that is discarded. They save resources of the machine.
const THROWN_AWAY: &[Setting] =
    &[("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")];

/// The size of the WAL of a restored data directory that is discarded.
const MAX_WAL_SIZE: Setting = ("max_wal_size", "256MB");

/// The settings of a data directory that is kept.
const KEPT: &[Setting] = &[("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")];

/// The settings that a restored data directory loses if it is discarded. All WAL to replay is in the
/// directory, and is replayed to its end.
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

/// Returns all settings for one server.
pub(super) fn settings(
    server_env: &ServerEnv,
    major: u32,
    origin: DataOrigin,
) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut all = vec![
        // The configuration files of this program, and a socket that only its user reaches.
        ("config_file", path(&server_env.files.join("server.conf"))),
        ("hba_file", path(&server_env.files.join("hba.conf"))),
        ("ident_file", path(&server_env.files.join("ident.conf"))),
        ("unix_socket_directories", path(&server_env.home)),
    ];
    let is_restored = origin != DataOrigin::Initdb;
    let private: Vec<Setting> =
        if is_restored { private_restored(major).collect() } else { private(major).collect() };
    let mut add = |them: &[Setting]| {
        all.extend(them.iter().map(|(name, value)| (*name, (*value).to_owned())));
    };
    add(&private);
    add(FIXED);
    if is_restored {
        add(&[("recovery_target_action", "promote"), LOCKS_RESTORED]);
    } else {
        add(&[LOCKS]);
    }
    match origin {
        DataOrigin::Initdb => {
            add(THROWN_AWAY);
            // A dump is loaded in many transactions, so its rows are in the WAL.
            add(&[("wal_level", "minimal"), ("max_wal_senders", "0"), ("max_wal_size", "64MB")]);
        }
        DataOrigin::ScratchRestore => {
            add(THROWN_AWAY);
            add(&[MAX_WAL_SIZE]);
            UNSET.iter().for_each(|name| add(&[(name, "")]));
        }
        DataOrigin::ScratchWithWal => {
            add(THROWN_AWAY);
            add(&[MAX_WAL_SIZE]);
            // If there is another user, the WAL was copied: that user may be unable to read the
            // repository of the tool.
            if server_env.user.is_some() {
                UNSET.iter().for_each(|name| add(&[(name, "")]));
            }
        }
        DataOrigin::Permanent => add(KEPT),
    }
    // Event triggers of the backup may run only in a cluster that is kept. The setting exists since
    // PostgreSQL 17.
    if major >= 17 && origin != DataOrigin::Permanent {
        add(&[("event_triggers", "off")]);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_server_is_private_and_told_each_setting_once() {
        let server_env = ServerEnv {
            data: "/g/data".into(),
            home: "/g".into(),
            files: "/g/files".into(),
            user: None,
            wrapper: Vec::new(),
        };
        for major in [14, 15, 18] {
            for origin in [
                DataOrigin::Initdb,
                DataOrigin::ScratchRestore,
                DataOrigin::ScratchWithWal,
                DataOrigin::Permanent,
            ] {
                let told = settings(&server_env, major, origin);
                let names: BTreeSet<_> = told.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), told.len(), "{told:?}");
                let all: Vec<Setting> = match origin {
                    DataOrigin::Initdb => private(major).collect(),
                    _ => private_restored(major).collect(),
                };
                for (name, value) in all {
                    assert!(told.contains(&(name, value.to_owned())), "{origin:?} {major}: {name}");
                }
            }
        }
    }
}
