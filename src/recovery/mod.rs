//! Restores of backups.
//!
//! The adapter of the backup tool plans the steps of a restore. [`Execution`] runs these steps. A
//! physical backup becomes a data directory ([`DataDirectory`]).
//!
//! A dump is loaded into a new database. The database gets its requested name by one rename, when it
//! is complete. Until then the data are in a temporary database. The comment of the temporary
//! database identifies it, so that later processes and people know that it may be dropped.

mod advance;
mod advance_plan;
mod by_command;
mod by_tool;
mod candidates;
mod clones;
mod data_directory;
mod distance;
mod dump;
mod error;
mod execute;
mod find;
mod forward;
mod globals;
pub mod in_place;
mod judge;
mod log;
mod new_database;
mod part;
mod place;
mod planned;
mod point;
mod proof;
mod recover;
pub mod restore;
mod server;
mod space;
mod swap;
mod unfit;

pub use advance::{Advance, Expected, Forward, Way};
pub use advance_plan::{AdvancePlan, AdvancePlanner};
pub use by_command::MigrateCommand;
pub use by_tool::{SIGNALS, ToolRestore, restore_by_tool};
pub use candidates::Search;
pub use clones::{Clone, CloneNote, clones, drop_clone, sweep_clones};
pub use data_directory::{Archiving, DataDirectory, Planted};
pub use dump::{Restore, Restored};
pub use error::Error;
pub use execute::Execution;
pub use find::{Candidate, Relation, passed_over, rank};
pub use forward::Gap;
pub use globals::Roles;
pub use log::{Reach, Run, reach, runs};
pub use new_database::{Plan, Step, in_scratch_database, into_new_database, template};
pub use part::{Kept, Part, Selection};
pub use place::Home;
pub use planned::{Effect, PlannedStep};
pub use point::Log;
pub use proof::{Leniency, difference};
pub use recover::{Recovered, Recovery};
pub use server::{
    Ground, Limit, Origin, PrivateServer, ServerBinaries, Started, check_clone, find_server_program,
    last_word, server_user, start_clone, sweep_grounds,
};
pub use swap::swap_in;
pub use unfit::{Unfit, Why};
