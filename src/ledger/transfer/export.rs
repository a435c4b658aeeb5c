//! Exports the ledger.

use super::line::Line;
use crate::ledger::{Error, Ledger, catalog::RecordLocation, layout};

/// The size of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The number of backups.
    pub backups: u64,
    /// The number of events.
    pub events: u64,
}

impl Ledger<'_> {
    /// Writes all records to `sink`, line by line. One record at a time is in memory. Fails if a record
    /// cannot be read: an export without it would look complete.
    pub fn export<E: From<Error>>(
        &self,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<ExportReport, E> {
        let mut damaged = Vec::new();
        let mut places = self.record_locations(&mut damaged)?;
        if let Some(damage) = damaged.first() {
            let reason = format!("{}: {}", damage.reference, damage.reason);
            return Err(Error::Export { reason }.into());
        }
        places.sort_by(|a, b| (&a.commit, a.id).cmp(&(&b.commit, b.id)));
        let mut exported = ExportReport { backups: places.len() as u64, events: 0 };
        sink(&Line::Header { backups: exported.backups }.to_bytes())?;
        for place in &places {
            for line in self.lines(place)? {
                exported.events += u64::from(matches!(line, Line::Event(_)));
                sink(&line.to_bytes())?;
            }
        }
        Ok(exported)
    }

    fn lines(&self, place: &RecordLocation) -> Result<Vec<Line>, Error> {
        let record = self.read_at(place)?.record;
        let mut lines: Vec<Line> =
            record.ordered().into_iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
        let sql = self.repository.blob_at(place.tip, &layout::schema_path(place.id))?;
        lines.extend(sql.map(|sql| Line::Schema { backup: place.id, sql }));
        Ok(lines)
    }
}
