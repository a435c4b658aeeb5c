//! The rows of all backups.

use crate::domain::{BackupId, BackupSelector, Status};
use crate::ledger::query::one;
use crate::ledger::{Damage, Error, Filter};

use super::row::Row;
use super::segment::Segment;

/// A summary of all backups, oldest first, and all damage: like [`super::super::Catalog`], without the
/// records.
#[derive(Debug)]
pub struct Overview {
    /// The rows of the index, and the rows of refs that have changed since it was written.
    pub(super) segments: [Segment; 2],
    /// The order of the rows: the number of the segment, and the number of the row in it.
    pub(super) order: Vec<(u8, u32)>,
    /// The refs and files that cannot be read.
    pub damaged: Vec<Damage>,
}

impl Overview {
    /// Returns all rows, oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + ExactSizeIterator {
        self.order.iter().map(|(segment, at)| {
            let segment = &self.segments[usize::from(*segment)];
            Row { segment, bytes: segment.row(*at as usize) }
        })
    }

    /// Returns true if there is no backup.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the row of the backup `id`.
    pub fn get(&self, id: BackupId) -> Option<Row<'_>> {
        self.rows().find(|row| row.id() == id)
    }

    /// Returns the rows that match `filter`, oldest first.
    pub fn select(&self, filter: &Filter) -> Vec<Row<'_>> {
        self.rows().filter(|row| filter.passes(row)).collect()
    }

    /// Returns the row that `selector` names among those that match `filter`. A name takes precedence
    /// over the beginning of an id. Fails if there is no such row or more than one.
    pub fn find(&self, selector: &BackupSelector, filter: &Filter) -> Result<Row<'_>, Error> {
        one(self.rows().filter(|row| filter.passes(row)), |row| row, selector, &self.damaged)
    }

    /// Returns the row that `selector` names, like [`Overview::find`]. If several backups have the name, the only
    /// completed one is meant: the others are failed attempts that were repeated.
    ///
    /// # Errors
    /// If there is no such row, or if several are completed or none of several is.
    pub fn find_completed(&self, selector: &BackupSelector, filter: &Filter) -> Result<Row<'_>, Error> {
        match (self.find(selector, filter), selector) {
            (Err(error @ Error::Ambiguous { .. }), BackupSelector::Text(_)) if filter.statuses.is_empty() => {
                let completed = Filter { statuses: vec![Status::Completed], ..filter.clone() };
                self.find(selector, &completed).map_err(|_| error)
            }
            (found, _) => found,
        }
    }
}
