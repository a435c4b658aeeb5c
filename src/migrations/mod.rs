//! Migration histories: the migrations of a commit as its migration tool sees them, and their comparison with
//! the migrations that a database says are applied.
//!
//! Pure functions over paths and bytes. [`detect`] finds the tool of a commit, [`MigrationHistory::of`] lists
//! its migrations, [`StateTable`] describes the table in which a tool records what it has applied, and
//! [`compare`] compares the two. [`Script`] is the part of a file that goes forward, and [`StateChange`] is the
//! row by which its tool records it. A file that looks like a migration and is not understood is a
//! [`Problem`]. With a problem, no statement about the commit is made.

mod checksum;
mod compare;
mod content;
mod files;
mod history;
mod layout;
mod layout_files;
mod liquibase;
mod migration;
mod names;
mod pending;
mod recorded;
mod script;
mod state;
mod state_row;
mod tool;
mod version;

pub use checksum::unix_lines;
pub use compare::{Comparison, MigrationState, State, compare};
pub use files::{Files, is_note, join, relative_to};
pub use history::MigrationHistory;
pub use layout::{Ambiguous, Layout, MigrationSettings, Read, detect};
pub use migration::{Kind, MigrationFile, Problem};
pub use pending::{Divergence, IsSame};
pub use recorded::{
    COMMIT_IN_DATABASE, COMMIT_NOT_DERIVED, COMMIT_SOURCE, CommitCheck, CommitSource, CommitWarning, Doubt,
    MIGRATIONS, OTHER_STATES, RecordedState, schemas_differ,
};
pub use script::Script;
pub use state::{Applied, AppliedMigration, CatalogueTable, StateRow, StateTable};
pub use state_row::{RunFacts, StateChange, StateValue, liquibase_path};
pub use tool::Tool;
pub use version::compare_versions;
