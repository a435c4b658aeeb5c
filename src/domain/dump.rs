//! Options of dumps.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde_json::Value;

use super::{Invalid, Metadata, TableName, named_enum::named_enum};

named_enum! {
    /// The formats of pg_dump.
    DumpFormat("dump format") {
        /// pg_restore's own archive, in one stream.
        Custom = "custom",
        /// A directory with one file per table.
        Directory = "directory",
        /// The directory as a tar archive.
        Tar = "tar",
        /// An SQL script.
        Plain = "plain",
    }
}

impl DumpFormat {
    /// Returns the name of the artifact with such a dump, without the suffix of its compression.
    pub fn artifact_name(self) -> &'static str {
        match self {
            Self::Custom => "dump.custom",
            Self::Directory => "dump.directory",
            Self::Tar => "dump.tar",
            Self::Plain => "dump.plain.sql",
        }
    }

    /// Returns the format of the dump in the artifact `name`; `None` if it is not a dump.
    pub fn of_artifact(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".zst").unwrap_or(name);
        Self::ALL.iter().copied().find(|format| format.artifact_name() == name)
    }
}

/// The treatment of roles and tablespaces, which are not part of the dump of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Globals {
    /// Roles and tablespaces are dumped, with the password hashes of roles.
    All,
    /// Roles and tablespaces are dumped without password hashes.
    NoPasswords,
    /// They are not dumped.
    None,
}

impl Globals {
    /// Returns the word for the configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "true",
            Self::NoPasswords => "no-passwords",
            Self::None => "false",
        }
    }
}

/// The options of a dump: its content and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpOptions {
    /// The format.
    pub format: DumpFormat,
    /// Only these schemas, all of which must exist. These are names, not patterns. Empty means all.
    pub schemas: Vec<String>,
    /// Not these schemas.
    pub exclude_schemas: Vec<String>,
    /// Only these tables, all of which must exist. Empty means all.
    pub tables: Vec<TableName>,
    /// Not these tables.
    pub exclude_tables: Vec<TableName>,
    /// The number of tables that are dumped at the same time. Only the format `directory` can have
    /// more than one.
    pub jobs: Option<NonZeroU32>,
    /// The treatment of roles and tablespaces.
    pub globals: Globals,
}

/// The key of the selected schemas in the metadata.
const SCHEMAS: &str = "schemas";

impl DumpOptions {
    /// Returns the options for a dump of a whole database, without roles and tablespaces.
    pub fn whole(format: DumpFormat) -> Self {
        Self {
            format,
            schemas: Vec::new(),
            exclude_schemas: Vec::new(),
            tables: Vec::new(),
            exclude_tables: Vec::new(),
            jobs: None,
            globals: Globals::None,
        }
    }

    /// Returns the same options for the whole database.
    #[must_use]
    pub fn unselected(self) -> Self {
        Self { jobs: self.jobs, globals: self.globals, ..Self::whole(self.format) }
    }

    /// Records the options in the metadata of a backup.
    pub fn record(&self, metadata: &mut Metadata) {
        metadata.insert("format", self.format.as_str());
        metadata.insert("globals", self.globals.as_str());
        for (key, names) in self.selection().into_iter().filter(|(_, names)| !names.is_empty()) {
            metadata.insert(key, names);
        }
    }

    /// Returns true if, according to the metadata of a backup, the dump is only a part of a database.
    pub fn is_partial(metadata: &Metadata) -> bool {
        let nothing = Self::whole(DumpFormat::Custom);
        nothing.selection().iter().any(|(key, _)| metadata.as_map().contains_key(*key))
    }

    /// Returns the selected schemas according to the metadata of a backup.
    pub fn recorded_schemas(metadata: &Metadata) -> Vec<String> {
        let names = metadata.as_map().get(SCHEMAS).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the options that select a part, with their keys in the metadata.
    fn selection(&self) -> [(&'static str, Vec<String>); 4] {
        let words = |tables: &[TableName]| tables.iter().map(TableName::to_string).collect();
        [
            (SCHEMAS, self.schemas.clone()),
            ("excluded_schemas", self.exclude_schemas.clone()),
            ("tables", words(&self.tables)),
            ("excluded_tables", words(&self.exclude_tables)),
        ]
    }
}

/// The compression of a stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// By zstd with this level: 1 to 22; negative ones, from -7, are faster still.
    Zstd(i32),
}

impl FromStr for Compression {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            _ if text == "none" => Ok(Self::None),
            Ok(level @ -7..=22) => Ok(Self::Zstd(level)),
            _ => Err(Invalid::new("compression level", text, "expected a zstd level from -7 to 22, or none")),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Zstd(level) => level.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_says_which_part_was_dumped() {
        let whole = DumpOptions::whole(DumpFormat::Custom);
        let recorded = |options: &DumpOptions| {
            let mut metadata = Metadata::default();
            options.record(&mut metadata);
            metadata
        };
        let metadata = recorded(&whole);
        assert_eq!(
            serde_json::to_string(metadata.as_map()).unwrap(),
            r#"{"format":"custom","globals":"false"}"#
        );
        assert!(!DumpOptions::is_partial(&metadata) && DumpOptions::recorded_schemas(&metadata).is_empty());
        let table = || "public.orders".parse::<TableName>().unwrap();
        let parts = [
            DumpOptions { schemas: vec!["a".into(), "b".into()], ..whole.clone() },
            DumpOptions { exclude_schemas: vec!["a".into()], ..whole.clone() },
            DumpOptions { tables: vec![table()], ..whole.clone() },
            DumpOptions { exclude_tables: vec![table()], ..whole.clone() },
        ];
        for part in &parts {
            assert!(DumpOptions::is_partial(&recorded(part)), "{part:?}");
            assert_eq!(part.clone().unselected(), whole);
        }
        assert_eq!(DumpOptions::recorded_schemas(&recorded(&parts[0])), ["a", "b"]);
        assert_eq!(recorded(&parts[3]).as_map()["excluded_tables"], serde_json::json!(["public.orders"]));
        let other = DumpOptions { jobs: NonZeroU32::new(4), globals: Globals::All, ..whole };
        assert_eq!(other.clone().unselected(), other);
    }
}
