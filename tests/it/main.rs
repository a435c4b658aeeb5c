//! All integration tests: one binary, because each further one costs seconds
//! of linking.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![allow(missing_docs, unreachable_pub)]

mod cluster;
mod sandbox;
mod tmpfs;

mod adapters;
mod automation;
mod backup_cli;
mod beside;
mod cli_basics;
mod clones;
mod clouds;
mod config;
mod create;
mod create_store;
mod doctor;
mod endpoint;
mod exchange;
mod fsck;
mod hooks;
mod in_place;
mod index;
mod index_fuzz;
mod init;
mod kills;
mod ledger;
mod libpq;
mod man;
mod mark;
mod migrate_command;
mod notify;
mod pg;
mod pg_basebackup;
mod pg_dump;
mod process;
mod queue;
mod recovery;
mod recovery_page;
mod restore_commit;
mod restore_roles;
mod restored;
mod schedule;
mod signing;
mod store_check;
mod store_copy;
mod store_gc;
mod store_keys;
mod store_plain;
mod stores;
mod swapped;
mod sync;
mod verify;
mod wal;
mod worker;
