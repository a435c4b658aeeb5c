//! The output of `barman -f json`.
//!
//! It differs between versions: names vary, numbers are strings, and sentences appear in place of
//! an id. So only the id and the status of a backup are required.

use serde_json::{Map, Value};

use super::{NAME, location};
use crate::domain::{BackupId, BackupType, Line, Metadata, Postgres, Timestamp};
use crate::tools::ExternalError;
use crate::tools::adapter::{CatalogEntry, CataloguedFacts};
use crate::tools::external::{is_word, version_text};

/// The status of a complete backup with all WAL that it needs.
pub(super) const DONE: &str = "DONE";
/// The status of a backup that is complete except for WAL that has not been archived yet.
pub(super) const WAITING: &str = "WAITING_FOR_WALS";
/// The prefix of the backup names that this program gives.
pub(super) const OUR_NAME: &str = "pggit-";

/// A backup in the output of `show-backup`.
#[derive(Debug, Clone, PartialEq)]
pub struct BarmanBackup {
    /// The backup id.
    pub id: String,
    /// The status: `DONE`, `FAILED`, ...
    pub status: String,
    facts: Map<String, Value>,
}

/// Returns the JSON object in an output. Fails if there is none.
pub(super) fn object(asked: &'static str, answer: &[u8]) -> Result<Map<String, Value>, ExternalError> {
    match serde_json::from_slice(answer) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(ExternalError::answer(asked, answer)),
    }
}

/// Returns the errors in an output of any form.
pub(super) fn errors(answer: &[u8]) -> Vec<String> {
    let Ok(object) = object("", answer) else { return Vec::new() };
    let lists = ["_ERROR", "_EXCEPTION"].iter().filter_map(|key| object.get(*key));
    let lines = lists.flat_map(|list| match list {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(line) => vec![line.clone()],
        _ => Vec::new(),
    });
    lines.collect()
}

/// Returns the ids and statuses of all backups of `server`, the oldest first. Fails if the output
/// is not understood.
pub fn parse_list(answer: &[u8], server: &str) -> Result<Vec<(String, String)>, ExternalError> {
    const ASKED: &str = "list-backups";
    let object = object(ASKED, answer)?;
    let Some(Value::Array(list)) = object.get(server) else {
        // Some versions do not list a server without backups.
        return if object.keys().any(|key| key.starts_with("_E")) || object.len() > 1 {
            Err(ExternalError::answer(ASKED, answer))
        } else {
            Ok(Vec::new())
        };
    };
    let one = |item: &Value| {
        let id = item.get("backup_id")?.as_str().filter(|id| is_word(id))?;
        Some((id.to_owned(), item.get("status")?.as_str()?.to_owned()))
    };
    let mut found: Vec<_> =
        list.iter().map(one).collect::<Option<_>>().ok_or_else(|| ExternalError::answer(ASKED, answer))?;
    found.sort();
    Ok(found)
}

/// Parses the output of `show-backup`. Fails if the backup, its id or its status is missing.
pub fn parse_show(answer: &[u8], server: &str) -> Result<BarmanBackup, ExternalError> {
    const ASKED: &str = "show-backup";
    let mut object = object(ASKED, answer)?;
    let Some(Value::Object(facts)) = object.remove(server) else {
        return Err(ExternalError::answer(ASKED, answer));
    };
    let text = |key: &str| facts.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("backup_id").filter(|id| is_word(id)), text("status")) {
        (Some(id), Some(status)) => Ok(BarmanBackup { id, status, facts }),
        _ => Err(ExternalError::answer(ASKED, answer)),
    }
}

/// Returns the backup id in the output of `backup`. Fails if there is none.
pub fn parse_made(answer: &[u8]) -> Result<(String, Option<String>), ExternalError> {
    let object = object("backup", answer)?;
    let id = object.get("backup_id").and_then(Value::as_str).filter(|id| is_word(id));
    let id = id.ok_or_else(|| ExternalError::answer("backup", answer))?;
    Ok((id.to_owned(), object.get("systemid").and_then(Value::as_str).map(str::to_owned)))
}

/// Returns a number that may be written as a string.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.to_string();
            number.split(['.', 'e', 'E']).next()?.parse().ok()
        }),
        Value::String(text) => text.split('.').next()?.parse().ok(),
        _ => None,
    }
}

impl BarmanBackup {
    fn at(&self, group: &str, key: &str) -> Option<&Value> {
        self.facts.get(group)?.get(key).filter(|value| !value.is_null())
    }

    fn base(&self, key: &str) -> Option<&Value> {
        self.at("base_backup_information", key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.base(key).and_then(Value::as_str)
    }

    fn time(&self, which: &str) -> Option<Timestamp> {
        // The string has more digits than the number of seconds next to it, and a time zone.
        let written = self.text(&format!("{which}_time")).map(|text| text.replacen(' ', "T", 1));
        let seconds = || number(self.base(&format!("{which}_time_timestamp")));
        written
            .and_then(|text| text.parse().ok())
            .or_else(|| Timestamp::from_unix(i64::try_from(seconds()?).ok()?))
    }

    /// Returns true if the backup was made by rsync. Such a backup has no manifest with checksums.
    pub fn is_rsync(&self) -> bool {
        let is = |value: Option<&Value>| {
            value.and_then(Value::as_str).is_some_and(|method| method.contains("rsync"))
        };
        is(self.base("backup_method")) || is(self.facts.get("backup_type"))
    }

    /// Returns the ids of the incremental backups that need this one.
    pub fn children(&self) -> Vec<String> {
        match self.at("catalog_information", "children_backup_ids") {
            Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(ids)) => {
                let ids = ids.split([',', ' ']).map(str::trim).filter(|id| is_word(id));
                ids.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the name and the original directory of each tablespace.
    pub fn tablespaces(&self) -> Vec<(String, String)> {
        let Some(Value::Array(list)) = self.facts.get("tablespaces") else { return Vec::new() };
        let text = |item: &Value, key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
        list.iter().filter_map(|item| Some((text(item, "name")?, text(item, "location")?))).collect()
    }

    /// Returns the parent of an incremental backup. A sentence in its place is not an id.
    fn parent(&self) -> Option<String> {
        let ids = ["parent_backup_id", "parent_backup"]
            .iter()
            .filter_map(|key| self.at("catalog_information", key));
        ids.filter_map(Value::as_str).find(|id| is_word(id)).map(str::to_owned)
    }

    /// Returns the catalogue entry of the backup.
    pub fn catalogued(&self, server: &str, system: Option<&str>) -> CatalogEntry {
        let own = |key: &str| self.facts.get(key).and_then(Value::as_str);
        let name = own("backup_name");
        let size = |keys: &[&str]| keys.iter().find_map(|key| number(self.base(key)));
        let stored = size(&["backup_size_bytes", "disk_usage_bytes"]).unwrap_or_default();
        let whole = number(self.facts.get("cluster_size_bytes")).unwrap_or(stored);
        let line = |text: &str| Some(Line::lossy(text));
        let lsn = |key: &str| self.text(key).and_then(|text| text.parse().ok());
        let stopped_at = self.time("end");
        let postgres = Postgres {
            version: number(self.facts.get("postgresql_version"))
                .and_then(|number| line(&version_text(number))),
            system_identifier: own("system_id").or(system).and_then(line),
            timeline: number(self.base("timeline")).and_then(|timeline| u32::try_from(timeline).ok()),
            start_lsn: lsn("begin_lsn"),
            stop_lsn: lsn("end_lsn"),
            size_bytes: Some(whole),
            ..Postgres::default()
        };
        // The derived id does not include the system identifier, because some versions do not
        // report it.
        let derived = stopped_at.and_then(|at| Timestamp::from_unix(at.unix_millis() / 1000)).map(|at| {
            let lsn = self.text("begin_lsn").unwrap_or_default();
            BackupId::derived(at, &[NAME, server, &self.id, lsn])
        });
        let kind = match (own("backup_type"), self.parent()) {
            (Some("incremental"), _) | (_, Some(_)) => BackupType::Incremental,
            (Some("snapshot"), _) => BackupType::Snapshot,
            _ if self.facts.get("snapshots_info").is_some_and(|info| !info.is_null()) => BackupType::Snapshot,
            _ => BackupType::Full,
        };
        CatalogEntry {
            label: self.id.clone(),
            location: location(server, &self.id),
            id: name.and_then(|name| name.strip_prefix(OUR_NAME)?.parse().ok()),
            derived,
            commit: None,
            kind,
            parent: self.parent(),
            usable: match self.status.as_str() {
                DONE => Ok(()),
                status => {
                    Err(own("error").map_or_else(|| status.to_owned(), |error| format!("{status}: {error}")))
                }
            },
            made: CataloguedFacts {
                started_at: self.time("begin"),
                stopped_at,
                size_bytes: whole,
                stored_bytes: stored,
                tool_version: None,
                encryption: self.text("encryption").map(|method| format!("barman:{method}")),
                postgres,
                metadata: self.metadata(name),
            },
        }
    }

    fn metadata(&self, name: Option<&str>) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("label", self.id.as_str());
        if let Some(name) = name {
            metadata.insert("barman_name", name);
        }
        let texts = [
            ("wal_start", "begin_wal"),
            ("wal_stop", "end_wal"),
            ("method", "backup_method"),
            ("compression", "compression"),
        ];
        for (key, theirs) in texts {
            if let Some(value) = self.text(theirs) {
                metadata.insert(key, value);
            }
        }
        if let Some(bytes) = number(self.base("wal_size_bytes")) {
            metadata.insert("wal_bytes", bytes);
        }
        metadata
    }
}
