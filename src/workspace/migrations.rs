//! The migrations of a commit and of a database.

use super::Error;
use crate::config::{DatabaseConfig, Origin};
use crate::git::{Directory, Oid, Repository};
use crate::migrations::{
    Ambiguous, Applied, AppliedMigration, CatalogueTable, EntryKind, File, Files, MigrationHistory,
    StateTable, Tool, Wanted, detect,
};
use crate::pg::{Client, quote_ident};

/// Directories of third-party code, or of files generated from the commit.
const NOT_SEARCHED: [&str; 6] = ["node_modules", "vendor", "third_party", "target", "dist", "_build"];

/// The migrations of a commit.
#[derive(Debug)]
pub struct CommitMigrations {
    /// The migrations, or `None` if the commit has none.
    pub history: Option<MigrationHistory>,
    repository: Repository,
    files: Directory,
}

impl CommitMigrations {
    /// Finds the migrations of a commit for a database. `tool` is the tool if it is already known.
    ///
    /// # Errors
    /// Fails if the files of the commit match several tools or directories, or cannot be read.
    pub fn at(
        commit: Oid,
        database: Option<&DatabaseConfig>,
        tool: Option<Tool>,
        repository: &Repository,
    ) -> Result<Self, Error> {
        let files = repository
            .files_where(commit, |path| !NOT_SEARCHED.contains(&path.rsplit('/').next().unwrap_or(path)))?;
        let mut found = Self { history: None, repository: repository.for_thread(), files };
        let wanted = Wanted { tool, directories: found.directories(database) };
        let listed = found.listing();
        let read = |path: &str| found.read(path);
        let layout = detect(&listed, &wanted, &read).map_err(|Ambiguous(layouts)| {
            Error::AmbiguousMigrations { commit: commit.to_commit(), ambiguous: Ambiguous(layouts) }
        })?;
        found.history = layout.map(|layout| MigrationHistory::of(&layout, &listed, &read));
        Ok(found)
    }

    /// Reads a file of the commit.
    ///
    /// # Errors
    /// Returns the reason if the commit has no such file, or its content cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match self.files.get(path) {
            Some(entry) if !entry.is_submodule() => {
                self.repository.blob(entry.id).map_err(|error| error.to_string())
            }
            _ => Err("the commit does not have it".to_owned()),
        }
    }

    /// Returns the directories to search; an empty list means all. The default directory is included
    /// only if the commit has it.
    fn directories(&self, database: Option<&DatabaseConfig>) -> Vec<String> {
        let Some(database) = database else { return Vec::new() };
        let directory = database.migrations.value.trim_end_matches('/').to_owned();
        let below = format!("{directory}/");
        let exists =
            self.files.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
        match database.migrations.origin {
            Origin::Default if !exists => Vec::new(),
            _ => vec![directory],
        }
    }

    fn listing(&self) -> Files {
        let file = |(path, entry): (&String, &crate::git::TreeEntry)| {
            let kind = match (entry.is_symlink(), entry.is_submodule()) {
                (true, _) => EntryKind::Symlink,
                (_, true) => EntryKind::Submodule,
                _ => EntryKind::File,
            };
            (path.clone(), File { kind, content: entry.id.to_string() })
        };
        self.files.iter().map(file).collect()
    }
}

/// The state tables of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseMigrations {
    /// The tables that could be read.
    pub applied: Vec<Applied>,
    /// The tables that the role may not read, with their schemas.
    pub unreadable: Vec<String>,
}

/// Reads the state tables of the database. Its statements do not abort a surrounding transaction.
///
/// # Errors
/// Fails if the server cannot be reached, or the columns of a table changed in the meantime.
pub fn applied(client: &Client) -> Result<DatabaseMigrations, Error> {
    let rows = client.query(&StateTable::catalogue_query())?;
    let (mut tables, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        let [Some(schema), Some(name), Some(columns), may_read] = row.as_slice() else { continue };
        let columns = columns.split(',').map(str::to_owned).collect();
        let table = CatalogueTable { schema: schema.clone(), name: name.clone(), columns };
        if may_read.as_deref() == Some("t") {
            tables.push(table);
        } else if !StateTable::among(std::slice::from_ref(&table)).is_empty() {
            unreadable.push(format!("{schema}.{name}"));
        }
    }
    let mut applied = Vec::new();
    for (state, table) in StateTable::among(&tables) {
        let name = format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name));
        let migrations = client.query(&state.query(&name))?.into_iter().map(|row| {
            let mut columns = row.into_iter();
            let mut text = || columns.next().flatten();
            AppliedMigration {
                version: text().unwrap_or_default(),
                name: text().unwrap_or_default(),
                checksum: text(),
                is_complete: text().as_deref() == Some("t"),
            }
        });
        let migrations = migrations.collect();
        applied.push(Applied {
            tool: state.tool,
            table: format!("{}.{}", table.schema, table.name),
            migrations,
        });
    }
    Ok(DatabaseMigrations { applied, unreadable })
}
