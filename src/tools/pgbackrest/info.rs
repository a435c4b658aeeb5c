//! The output of `pgbackrest info --output=json`.
//!
//! The exit status is 0 for every result. So only the status codes in the output count. Fields that
//! some versions do not have are optional.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Number;

use super::{NAME, location};
use crate::domain::{BackupId, BackupType, Line, Metadata, Postgres, Timestamp};
use crate::tools::ExternalError;
use crate::tools::adapter::{CatalogEntry, CataloguedFacts};
use crate::tools::external::is_word;

/// The annotations that this program sets.
pub(super) const OUR_ID: &str = "pggit.backup";
pub(super) const OUR_COMMIT: &str = "pggit.commit";

/// Status codes of a stanza or a repository.
const OK: i64 = 0;
const NO_BACKUPS: i64 = 2;
const MIXED: i64 = 4;
const NO_SUCH_BACKUP: i64 = 6;

/// A stanza.
#[derive(Debug, Clone, Deserialize)]
pub struct Stanza {
    name: String,
    status: Status,
    #[serde(default)]
    db: Vec<Db>,
    #[serde(default)]
    repo: Vec<Repo>,
    #[serde(default)]
    backup: Vec<Item>,
}

#[derive(Debug, Clone, Deserialize)]
struct Status {
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Db {
    id: u64,
    #[serde(default = "one")]
    repo_key: u32,
    /// The number has more than 53 bits.
    #[serde(default)]
    system_id: Option<Number>,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Repo {
    key: u32,
    #[serde(default)]
    cipher: Option<String>,
    status: Status,
}

#[derive(Debug, Clone, Deserialize)]
struct Item {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    prior: Option<String>,
    #[serde(default)]
    reference: Option<Vec<String>>,
    #[serde(default)]
    annotation: BTreeMap<String, String>,
    timestamp: Times,
    #[serde(default)]
    lsn: Range,
    #[serde(default)]
    archive: Range,
    database: ItemDb,
    #[serde(default)]
    backrest: Backrest,
    #[serde(default)]
    error: Option<bool>,
    info: Sizes,
    #[serde(default)]
    tablespace: Option<Vec<Tablespace>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Times {
    start: i64,
    stop: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Range {
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    stop: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ItemDb {
    id: u64,
    #[serde(default = "one")]
    repo_key: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Backrest {
    #[serde(default)]
    version: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Sizes {
    size: u64,
    #[serde(default)]
    delta: Option<u64>,
    #[serde(default)]
    repository: RepositorySizes,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RepositorySizes {
    /// Missing for block incremental backups.
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    delta: Option<u64>,
}

/// A tablespace of a backup. pgBackRest reports it only for a query of a single backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tablespace {
    /// The name of the tablespace.
    pub name: String,
    /// The original directory.
    pub destination: String,
}

fn one() -> u32 {
    1
}

/// Returns the stanza `name` in an output, restricted to one repository if `repo` is given. Fails
/// if the stanza is missing or one of its repositories is unreadable.
pub fn parse(answer: &[u8], name: &str, repo: Option<u32>) -> Result<Stanza, ExternalError> {
    let stanzas: Vec<Stanza> =
        serde_json::from_slice(answer).map_err(|_| ExternalError::answer("'info --output=json'", answer))?;
    let unknown = |why: &str| ExternalError::Unknown(format!("stanza `{name}`: {why}"));
    let mut stanza = stanzas
        .into_iter()
        .find(|stanza| stanza.name == name)
        .ok_or_else(|| unknown("there is no such stanza"))?;
    if let Some(repo) = repo {
        stanza.repo.retain(|known| known.key == repo);
        stanza.backup.retain(|item| item.database.repo_key == repo);
        stanza.db.retain(|db| db.repo_key == repo);
    }
    // An unreadable repository lists no backups, which differs from an empty repository.
    let readable = |code: i64| matches!(code, OK | NO_BACKUPS | NO_SUCH_BACKUP);
    for repo in &stanza.repo {
        if !readable(repo.status.code) {
            return Err(unknown(&format!("repository {}: {}", repo.key, repo.status.message)));
        }
    }
    let code = stanza.status.code;
    if !readable(code) && (stanza.repo.is_empty() || code != MIXED) {
        return Err(unknown(&stanza.status.message));
    }
    if let Some(item) = stanza.backup.iter().find(|item| !is_word(&item.label)) {
        return Err(ExternalError::answer("'info --output=json'", item.label.as_bytes()));
    }
    Ok(stanza)
}

impl Stanza {
    /// Returns the backups in the order of their end.
    pub fn catalogue(&self) -> Vec<CatalogEntry> {
        let mut all: Vec<_> = self.backup.iter().map(|item| self.catalogued(item)).collect();
        all.sort_by(|a, b| (a.made.stopped_at, &a.label).cmp(&(b.made.stopped_at, &b.label)));
        all
    }

    /// Returns the tablespaces of a backup, if the query was for that backup.
    pub fn tablespaces(&self, label: &str) -> &[Tablespace] {
        let item = self.backup.iter().find(|item| item.label == label);
        item.and_then(|item| item.tablespace.as_deref()).unwrap_or_default()
    }

    /// Returns the cipher of a repository, or `None` if it is not encrypted.
    pub fn cipher(&self, repo: u32) -> Option<&str> {
        let repo = self.repo.iter().find(|known| known.key == repo)?;
        repo.cipher.as_deref().filter(|cipher| *cipher != "none")
    }

    /// Returns the labels of the backups that need the backup `label`.
    pub fn dependents(&self, label: &str, repo: u32) -> Vec<&str> {
        let needs = |item: &&Item| {
            let reference = item.reference.iter().flatten().any(|needed| needed == label);
            item.database.repo_key == repo && (reference || item.prior.as_deref() == Some(label))
        };
        self.backup.iter().filter(needs).map(|item| item.label.as_str()).collect()
    }

    /// Returns the backup and its chain, as far as the catalogue lists it.
    pub fn chain(&self, label: &str, repo: u32) -> Vec<String> {
        let mut chain = vec![label.to_owned()];
        let own = self.backup.iter().find(|item| item.label == label && item.database.repo_key == repo);
        if let Some(own) = own {
            chain.extend(own.reference.iter().flatten().chain(&own.prior).cloned());
        }
        chain.sort_unstable();
        chain.dedup();
        chain
    }

    fn catalogued(&self, item: &Item) -> CatalogEntry {
        let (repo, line) = (item.database.repo_key, |text: &String| Some(Line::lossy(text)));
        let db = self.db.iter().find(|db| (db.id, db.repo_key) == (item.database.id, repo));
        let system = db.and_then(|db| db.system_id.as_ref()).map(Number::to_string);
        let timeline =
            item.archive.start.as_ref().and_then(|wal| u32::from_str_radix(wal.get(..8)?, 16).ok());
        let lsn = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        let postgres = Postgres {
            version: db.and_then(|db| db.version.as_ref()).and_then(line),
            system_identifier: system.as_ref().and_then(line),
            timeline,
            start_lsn: lsn(&item.lsn.start),
            stop_lsn: lsn(&item.lsn.stop),
            size_bytes: Some(item.info.size),
            ..Postgres::default()
        };
        let stopped_at = Timestamp::from_unix(item.timestamp.stop);
        let id = item.annotation.get(OUR_ID).and_then(|id| id.parse().ok());
        let derived = stopped_at.map(|at| {
            let lsn = item.lsn.start.as_deref().unwrap_or_default();
            BackupId::derived(at, &[NAME, system.as_deref().unwrap_or_default(), &item.label, lsn])
        });
        let sizes = &item.info.repository;
        CatalogEntry {
            label: item.label.clone(),
            location: location(&self.name, &item.label, repo),
            id,
            derived,
            commit: item.annotation.get(OUR_COMMIT).and_then(|commit| commit.parse().ok()),
            kind: match item.kind.as_str() {
                "diff" => BackupType::Differential,
                "incr" => BackupType::Incremental,
                _ => BackupType::Full,
            },
            parent: item.prior.clone(),
            usable: Ok(()),
            made: CataloguedFacts {
                started_at: Timestamp::from_unix(item.timestamp.start),
                stopped_at,
                size_bytes: item.info.size,
                stored_bytes: sizes.delta.or(sizes.size).unwrap_or_default(),
                tool_version: item.backrest.version.clone(),
                encryption: self.cipher(repo).map(|cipher| format!("repo{repo}:{cipher}")),
                postgres,
                metadata: metadata(item, repo),
            },
        }
    }
}

fn metadata(item: &Item, repo: u32) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.insert("label", item.label.as_str());
    metadata.insert("repo", repo);
    let facts =
        [("wal_start", &item.archive.start), ("wal_stop", &item.archive.stop), ("prior", &item.prior)];
    for (key, value) in facts {
        if let Some(value) = value {
            metadata.insert(key, value.as_str());
        }
    }
    if let Some(reference) = item.reference.as_ref().filter(|reference| !reference.is_empty()) {
        metadata.insert("reference", reference.clone());
    }
    if let Some(size) = item.info.repository.size {
        metadata.insert("set_bytes", size);
    }
    if let Some(delta) = item.info.delta {
        metadata.insert("changed_bytes", delta);
    }
    if item.error == Some(true) {
        metadata.insert("page_checksum_errors", true);
    }
    metadata
}
