//! Restores of backups.
//!
//! The adapter of the backup tool plans the steps of a restore. [`Execution`] runs these steps. A
//! physical backup becomes a data directory ([`DataDirectory`]).
//!
//! A dump is loaded into a new database. The database gets its requested name by one rename, when it
//! is complete. Until then the data are in a temporary database. The comment of the temporary
//! database identifies it, so that later processes and people know that it may be dropped.

mod candidates;
mod clones;
mod commit_plan;
mod data_directory;
mod distance;
mod dump;
mod error;
mod execute;
mod external;
mod globals;
pub mod in_place;
mod migrate_command;
mod migration_diff;
mod new_database;
mod partial;
mod pending;
mod physical;
mod planned;
mod post_restore;
mod rank;
mod recovery_conf;
pub mod restore;
mod rows_back;
mod schema_diff;
mod schema_objects;
mod server;
mod space;
mod staging;
mod swap;
mod tool_command;
mod tool_migrations;
mod unsupported;
mod wal_range;

pub use candidates::Search;
pub use clones::{CloneDatabase, CloneLabel, clones, drop_clone, sweep_clones};
pub use commit_plan::{CommitPlan, CommitPlanner};
pub use data_directory::{Archiving, CreatedDataDirectory, DataDirectory};
pub use dump::{Restore, Restored};
pub use error::Error;
pub use execute::Execution;
pub use external::{ExternalRestore, SIGNALS, restore_by_tool};
pub use globals::Roles;
pub use migrate_command::MigrateCommand;
pub use new_database::{DatabaseStep, Plan, in_scratch_database, into_new_database, template};
pub use partial::{BackupSource, PartialRestore, Selection};
pub use pending::MigrationConflict;
pub use physical::{ClusterRecovery, RecoveredCluster};
pub use planned::{Effect, PlannedStep};
pub use post_restore::{Expected, MigrationPlan, MigrationRunner, PostRestore};
pub use rank::{Candidate, Relation, passed_over, rank};
pub use recovery_conf::WalSource;
pub use rows_back::{RowsBack, RowsDifference};
pub use schema_diff::{IgnoreInDiff, diff_schemas};
pub use server::{
    DataOrigin, DetachedServer, Limit, PrivateServer, ServerBinaries, ServerEnv, check_clone,
    find_server_program, last_word, remove_stale, server_user, start_clone,
};
pub use staging::Home;
pub use swap::swap_in;
pub use tool_migrations::{ToolMigration, ToolMigrations};
pub use unsupported::{UnsupportedFile, UnsupportedReason};
pub use wal_range::{ArchivedRange, WalCoverage, wal_coverage, wal_ranges};
