//! The ledger: all records of backups, as git objects in the repository of the
//! schema history, or in one beside it.
//!
//! `docs/format.md` describes what is written. The promises of this room:
//!
//! - A change is acknowledged only when the refs that show it are durable.
//! - Of two changes at once both count, in some order; none is lost.
//! - Events are only ever added.
//! - Reading never fails because of one damaged record: it is named beside the
//!   others.

mod accept;
mod beginning;
mod catalog;
mod error;
pub mod exchange;
pub mod fsck;
mod index;
mod interrupted;
mod layout;
mod maintenance;
mod message;
mod note;
mod query;
mod sync;
mod write;

pub use catalog::{Catalog, Damage, Entry};
pub use error::Error;
pub use index::{Overview, Refreshed, Row};
pub use interrupted::{is_abandoned, is_interrupted};
pub use layout::{NOTES_REF, REFS_PREFIX};
pub use maintenance::Maintained;
pub use message::reason;
pub use query::{Filter, TagFilter};
pub use sync::{Direction, LeftAlone, Synced};
pub use write::{Change, NewBackup};

use crate::clock::Clock;
use crate::domain::Line;
use crate::git::Repository;

/// The ledger of one repository.
#[derive(Clone, Copy)]
pub struct Ledger<'a> {
    repository: &'a Repository,
    /// The schema history, when that is another repository.
    schema: Option<&'a Repository>,
    clock: &'a dyn Clock,
    host: &'a Line,
}

impl<'a> Ledger<'a> {
    /// The ledger of `repository`; what it writes is dated by `clock` and says
    /// that it happened on `host`.
    pub fn new(repository: &'a Repository, clock: &'a dyn Clock, host: &'a Line) -> Self {
        Self { repository, schema: None, clock, host }
    }

    /// The same ledger beside the schema history, which is in `schema`.
    #[must_use]
    pub fn beside(self, schema: &'a Repository) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// The repository it is in.
    pub fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// The repository of the schema history.
    pub fn schema_repository(&self) -> &'a Repository {
        self.schema.unwrap_or(self.repository)
    }
}
