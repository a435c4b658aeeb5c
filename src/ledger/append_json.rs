//! Events that scripts write as JSON.

use serde_json::{Map, Value, json};

use crate::domain::{BackupId, Event, EventError, EventId, FORMAT, Timestamp};

use super::{Error, Ledger};

impl Ledger<'_> {
    /// Reads an event in which `format`, `id`, `clock`, `at`, `by` and `host` may be missing, and fills
    /// them in. Fails if the text is no event, or if its backup has no record and the event makes none.
    pub fn event_of_json(&self, bytes: &[u8]) -> Result<Event, Error> {
        let value =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("not valid JSON: {error}")))?;
        let Value::Object(mut fields) = value else { return Err(refuse("it is not a JSON object")) };
        let backup =
            text(&fields, "backup")?.ok_or_else(|| refuse("it has no `backup`"))?.parse::<BackupId>()?;
        let kind = text(&fields, "kind")?.ok_or_else(|| refuse("it has no `kind`"))?;
        let at = match text(&fields, "at")? {
            Some(at) => at.parse::<Timestamp>().map_err(|reason| refuse(format!("`at`: {reason}")))?,
            None => self.clock.now(),
        };
        let clock = if fields.contains_key("clock") { 0 } else { self.next_clock(backup, &kind)? };
        let missing = [
            ("format", json!(FORMAT)),
            ("id", json!(EventId::new(self.clock.now()))),
            ("clock", json!(clock)),
            ("by", json!(self.schema_repository().identity()?.to_line())),
            ("host", json!(crate::process::host())),
        ];
        for (key, value) in missing {
            fields.entry(key).or_insert(value);
        }
        fields.insert("at".to_owned(), json!(at));
        let read = Event::from_value(Value::Object(fields.clone()))?;
        read.validate()?;
        // Known fields in their one form, and all others as they are.
        let Event { id, backup, clock, at, by, host, body, .. } = read;
        if let Value::Object(canonical) = Event::new(id, backup, clock, at, by, host, body).to_value() {
            fields.extend(canonical);
        }
        fields.retain(|_, value| !value.is_null());
        Ok(Event::from_value(Value::Object(fields))?)
    }

    fn next_clock(&self, backup: BackupId, kind: &str) -> Result<u64, Error> {
        match self.by_id(backup) {
            Ok(entry) => Ok(entry.record.next_clock()),
            Err(Error::NotFound { .. }) if kind == "registered" => Ok(1),
            Err(Error::NotFound { selector }) => Err(Error::NotRegistered { backup: selector }),
            Err(other) => Err(other),
        }
    }
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::Event(EventError::Head(reason.into()))
}

fn text(fields: &Map<String, Value>, key: &str) -> Result<Option<String>, Error> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(refuse(format!("`{key}` is not a text"))),
    }
}
