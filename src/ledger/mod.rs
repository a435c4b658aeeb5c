//! The ledger: all backup records, stored as git objects in the repository of the schema history or
//! in a separate repository.
//!
//! `docs/format.md` specifies the format. The promises of this room:
//!
//! - A change is acknowledged only when the refs that show it are durable.
//! - Two concurrent changes are both applied, in some order. No change is lost.
//! - Events are only ever added.
//! - One damaged record does not make reading fail. It is reported beside the other records.

mod accept;
mod append_json;
mod catalog;
mod error;
pub mod fsck;
mod index;
mod interrupted;
mod layout;
mod maintenance;
mod message;
mod note;
mod query;
mod root;
mod sync;
mod timeline;
pub mod transfer;
mod write;

pub use catalog::{Catalog, Damage, Entry};
pub use error::Error;
pub use index::{IndexRefresh, Overview, Row};
pub use interrupted::{is_abandoned, is_interrupted};
pub use layout::{NOTES_REF, REFS_PREFIX};
pub use maintenance::MaintenanceReport;
pub use message::reason;
pub use query::{Filter, TagFilter};
pub use sync::{SkippedRef, SyncOptions, SyncReport};
pub use timeline::{EventSignatures, TimelineEvent};
pub use write::{NewBackup, RecordChange};

use crate::clock::Clock;
use crate::domain::Line;
use crate::git::Repository;

/// The ledger of one repository.
#[derive(Clone, Copy)]
pub struct Ledger<'a> {
    repository: &'a Repository,
    /// The repository of the schema history, if it is not `repository`.
    schema: Option<&'a Repository>,
    clock: &'a dyn Clock,
    host: &'a Line,
}

impl<'a> Ledger<'a> {
    /// Returns the ledger in `repository`. New events get their time from `clock` and name `host`.
    pub fn new(repository: &'a Repository, clock: &'a dyn Clock, host: &'a Line) -> Self {
        Self { repository, schema: None, clock, host }
    }

    /// Returns the same ledger for a schema history in another repository, `schema`.
    #[must_use]
    pub fn beside(self, schema: &'a Repository) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// Returns the repository that has the ledger.
    pub fn repository(&self) -> &'a Repository {
        self.repository
    }

    /// Returns the repository of the schema history.
    pub fn schema_repository(&self) -> &'a Repository {
        self.schema.unwrap_or(self.repository)
    }
}
