//! MigrationFile histories: the migrations of a commit as its migration tool sees them, and their comparison
//! with the migrations that a database says are applied.
//!
//! Pure functions over paths and bytes. [`detect`] finds the tool of a commit, [`MigrationHistory::of`] lists its
//! migrations, [`StateTable`] knows where each tool records what it has applied, and [`compare`] brings
//! the two together. A file that looks like a migration and is not understood is a [`Problem`]: what
//! claims something about another commit is refused then.

mod checksum;
mod compare;
mod files;
mod history;
mod layout;
mod migration;
mod names;
mod section;
mod state;
mod tool;
mod version;

pub use compare::{Comparison, MigrationState, State, compare};
pub use files::{EntryKind, File, Files};
pub use history::MigrationHistory;
pub use layout::{Ambiguous, Layout, Read, Wanted, detect};
pub use migration::{Kind, MigrationFile, Problem};
pub use section::{ForwardPart, forward, unreadable};
pub use state::{Applied, AppliedMigration, CatalogueTable, STATE_TABLES, StateTable};
pub use tool::Tool;
pub use version::{compare_versions, normal_version};
