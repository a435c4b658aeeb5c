//! All backups at a glance.

use crate::domain::{BackupId, BackupSelector};
use crate::ledger::query::one;
use crate::ledger::{Damage, Error, Filter};

use super::row::Row;
use super::segment::Segment;

/// All backups, oldest first, and what could not be read: the same that
/// [`super::super::Catalog`] has, without the records.
#[derive(Debug)]
pub struct Overview {
    /// Those of the index, and those of refs that have changed since.
    pub(super) segments: [Segment; 2],
    /// Which segment, and which of its rows.
    pub(super) order: Vec<(u8, u32)>,
    /// What could not be read.
    pub damaged: Vec<Damage>,
}

impl Overview {
    /// All of them, oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + ExactSizeIterator {
        self.order.iter().map(|(segment, at)| {
            let segment = &self.segments[usize::from(*segment)];
            Row { segment, bytes: segment.row(*at as usize) }
        })
    }

    /// Is there no backup?
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The backup `id`.
    pub fn get(&self, id: BackupId) -> Option<Row<'_>> {
        self.rows().find(|row| row.id() == id)
    }

    /// Those that pass, oldest first.
    pub fn select(&self, filter: &Filter) -> Vec<Row<'_>> {
        self.rows().filter(|row| filter.passes(row)).collect()
    }

    /// The one that `selector` names among those that pass `filter`. A name
    /// wins over the beginning of an id.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<Row<'_>, Error> {
        one(self.rows().filter(|row| filter.passes(row)), |row| row, selector, &self.damaged)
    }
}
