//! The migrations of a commit and of a database.

use super::Error;
use crate::config::{DatabaseConfig, Origin};
use crate::git::{Directory, Oid, Repository};
use crate::migrations::{
    Ambiguous, Applied, CatalogueTable, Comparison, Files, MigrationHistory, MigrationSettings, StateTable,
    Tool, compare, detect,
};
use crate::pg::{Client, Table};

/// Directories of third-party code, or of files generated from the commit.
const NOT_SEARCHED: [&str; 6] = ["node_modules", "vendor", "third_party", "target", "dist", "_build"];

/// The largest state table that is read.
const STATE_BYTES_MAX: usize = 16 << 20;

/// The files of a commit.
struct CommitFiles<'a> {
    repository: &'a Repository,
    commit: Oid,
    files: Directory,
}

impl<'a> CommitFiles<'a> {
    fn of(commit: Oid, repository: &'a Repository) -> Result<Self, Error> {
        let enters = |path: &str| !NOT_SEARCHED.contains(&path.rsplit('/').next().unwrap_or(path));
        Ok(Self { repository, commit, files: repository.files_where(commit, enters)? })
    }

    /// Returns the content of a file, or the reason why there is none.
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let entry = self.files.get(path).ok_or("the commit does not have it")?;
        self.repository.blob(entry.id).map_err(|error| error.to_string())
    }

    /// Finds the migrations. `tool` is the tool if it is already known.
    fn history(
        &self,
        database: Option<&DatabaseConfig>,
        tool: Option<Tool>,
    ) -> Result<Option<MigrationHistory>, Error> {
        let files: Files = self.files.iter().map(|(path, entry)| (path.clone(), entry.kind())).collect();
        let wanted = MigrationSettings { tool, directories: self.directories(database) };
        let read = |path: &str| self.read(path);
        let layout = detect(&files, &wanted, &read).map_err(|ambiguous: Ambiguous| {
            Error::AmbiguousMigrations { commit: self.commit.to_commit(), ambiguous }
        })?;
        Ok(layout.map(|layout| MigrationHistory::of(&layout, &files, &read)))
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
}

/// Finds the migrations of a commit, for a database if it is given. Returns `None` if it has none.
///
/// # Errors
/// Fails if the files of the commit match several tools or directories, or cannot be read.
pub fn history_of(
    commit: Oid,
    database: Option<&DatabaseConfig>,
    repository: &Repository,
) -> Result<Option<MigrationHistory>, Error> {
    CommitFiles::of(commit, repository)?.history(database, None)
}

/// The migrations of a commit beside the state that a migration tool has recorded in a database.
#[derive(Debug)]
pub struct Examination {
    /// The migrations of the commit, if it has some.
    pub history: Option<MigrationHistory>,
    /// The state, if the database has the table of a migration tool that could be read.
    pub applied: Option<Applied>,
    /// The comparison of the two. The reason if there is none, or if it is not sure.
    pub comparison: Result<Comparison, String>,
}

/// Compares the migrations of a commit with the state that a migration tool has recorded in the database.
/// Returns `None` if the database has no table of a migration tool.
///
/// # Errors
/// Fails if the files of the commit match several tools or directories, if the database has the tables of
/// several tools, or if the server or the repository fails.
pub fn examine(
    client: &Client,
    database: &DatabaseConfig,
    commit: Oid,
    repository: &Repository,
) -> Result<Option<Examination>, Error> {
    let (applied, why_not) = match state_of(client)? {
        StateOfTool::None => return Ok(None),
        StateOfTool::Applied(applied) => (Some(applied), String::new()),
        StateOfTool::Unreadable(reason) => (None, reason),
    };
    let files = CommitFiles::of(commit, repository)?;
    let mut history = files.history(Some(database), applied.as_ref().map(|applied| applied.tool))?;
    if let Some(history) = &mut history {
        history.read_contents(&|path| files.read(path));
    }
    let comparison = match (&history, &applied) {
        (_, None) => Err(why_not),
        (None, Some(applied)) => Err(format!("the commit has no migrations of {}", applied.tool)),
        (Some(history), Some(applied)) => match history.problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(compare(history, applied)),
        },
    };
    Ok(Some(Examination { history, applied, comparison }))
}

/// The state that a migration tool has recorded in a database.
enum StateOfTool {
    /// No table of a migration tool exists.
    None,
    /// The migrations that are applied.
    Applied(Applied),
    /// The table exists and was not read: the reason.
    Unreadable(String),
}

/// Reads the state that a migration tool has recorded in the database. Anybody who may create a table may
/// have made it, so it is read by [`Client::copy_rows`].
///
/// # Errors
/// Fails if the database has the tables of several tools, or the server fails.
fn state_of(client: &Client) -> Result<StateOfTool, Error> {
    client.set_row_format()?;
    // A migration that runs at this moment may hold a lock on the table.
    client.execute("SET statement_timeout = '30s'")?;
    let tables = catalogue(client)?;
    let catalogued: Vec<CatalogueTable> = tables.iter().map(|(table, _)| table.clone()).collect();
    let states = StateTable::among(&catalogued);
    let (state, table) = match states.as_slice() {
        [] => return Ok(StateOfTool::None),
        [(state, table)] => (state, table),
        several => {
            let table = |(state, table): &(&StateTable, &CatalogueTable)| {
                format!("{}.{} ({})", table.schema, table.name, state.tool)
            };
            return Err(Error::SeveralStateTables { tables: several.iter().map(table).collect() });
        }
    };
    let name = format!("{}.{}", table.schema, table.name);
    if !tables.iter().any(|(known, may_read)| known == *table && *may_read) {
        return Ok(StateOfTool::Unreadable(format!("the role may not read all rows of {name}")));
    }
    let source = Table { schema: table.schema.clone(), name: table.name.clone() };
    Ok(match client.copy_rows(&source, state.columns, STATE_BYTES_MAX)? {
        Some(rows) => StateOfTool::Applied(Applied {
            tool: state.tool,
            table: name,
            migrations: state.migrations(&rows),
        }),
        None => StateOfTool::Unreadable(format!("{name} is larger than {} MiB", STATE_BYTES_MAX >> 20)),
    })
}

/// Returns the ordinary tables that have the name of a state table, each with whether the role may read
/// it.
fn catalogue(client: &Client) -> Result<Vec<(CatalogueTable, bool)>, Error> {
    let names: Vec<String> = StateTable::names().iter().map(|name| format!("'{name}'")).collect();
    let sql = format!(
        "SELECT n.nspname, c.relname, a.attname, has_table_privilege(c.oid, 'SELECT') \
         AND NOT row_security_active(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE c.relkind = 'r' AND c.relname IN ({}) ORDER BY n.nspname, c.relname, a.attnum",
        names.join(", ")
    );
    let mut tables: Vec<(CatalogueTable, bool)> = Vec::new();
    for row in client.query(&sql)? {
        let [Some(schema), Some(name), Some(column), may_read] = row.as_slice() else { continue };
        match tables.last_mut().filter(|(last, _)| last.schema == *schema && last.name == *name) {
            Some((table, _)) => table.columns.push(column.clone()),
            None => {
                let table = CatalogueTable {
                    schema: schema.clone(),
                    name: name.clone(),
                    columns: vec![column.clone()],
                };
                tables.push((table, may_read.as_deref() == Some("t")));
            }
        }
    }
    Ok(tables)
}
