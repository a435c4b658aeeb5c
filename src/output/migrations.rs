//! Results of `git pggit migrations`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{CommitId, DatabaseName};
use crate::migrations::{Comparison, Kind, MigrationHistory, MigrationState, Problem, State, Tool};
use crate::terminal::{OutputError, Style, Table, Ui};

/// The migrations of a commit, and their states in a database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommitMigrationsOutput {
    /// The commit.
    pub commit: CommitId,
    /// The migration tool; null if the commit has no migrations.
    pub tool: Option<Tool>,
    /// The directory of the migrations; null if the commit has none.
    pub directory: Option<String>,
    /// The evidence for the tool; null if the commit has no migrations.
    pub evidence: Option<String>,
    /// The migrations in the order in which the tool runs them, then those that only the database has.
    pub migrations: Vec<MigrationOutput>,
    /// The files that look like migrations and are not understood.
    pub problems: Vec<ProblemOutput>,
    /// The database that was compared; absent without `--database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<ComparedDatabase>,
}

/// A migration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MigrationFile")]
pub struct MigrationOutput {
    /// The version; empty for repeatable migrations.
    pub version: String,
    /// The name.
    pub name: String,
    /// The kind; null if the commit does not have the migration.
    pub kind: Option<Kind>,
    /// The path of its file; null if the commit does not have the migration.
    pub path: Option<String>,
    /// The state in the database; null without `--database`.
    pub state: Option<State>,
}

/// A file that is not understood.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemOutput {
    /// The path in the repository.
    pub path: String,
    /// The reason.
    pub reason: String,
}

/// A database whose migrations were compared with those of the commit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ComparedDatabase {
    /// The configured database.
    pub database: DatabaseName,
    /// The table in which the tool records what is applied; null if the database has none.
    pub table: Option<String>,
    /// True if exactly the migrations of the commit are applied; null if that is not known.
    pub at_commit: Option<bool>,
    /// True if each applied migration was compared with its file by a checksum.
    pub by_checksum: bool,
}

impl CommitMigrationsOutput {
    /// Returns the migrations of a commit without a database.
    pub fn of_commit(commit: CommitId, history: Option<&MigrationHistory>) -> Self {
        let layout = history.map(|history| &history.layout);
        let migrations = history.map_or(&[][..], |history| &history.migrations);
        Self {
            commit,
            tool: layout.map(|layout| layout.tool),
            directory: layout.map(|layout| layout.directory.clone()),
            evidence: layout.map(|layout| layout.evidence.clone()),
            migrations: migrations
                .iter()
                .map(|migration| MigrationOutput {
                    version: migration.version.clone(),
                    name: migration.name.clone(),
                    kind: Some(migration.kind),
                    path: Some(migration.path.clone()),
                    state: None,
                })
                .collect(),
            problems: history.map_or(&[][..], |history| &history.problems).iter().map(Into::into).collect(),
            database: None,
        }
    }

    /// Adds the states of the migrations in a database.
    pub fn add_states(&mut self, history: Option<&MigrationHistory>, comparison: &Comparison) {
        let kind = |state: &MigrationState| {
            let path = state.path.as_ref()?;
            let migration =
                history?.migrations.iter().find(|it| it.path == *path && it.version == state.version);
            migration.map(|migration| migration.kind)
        };
        let row = |state: &MigrationState| MigrationOutput {
            version: state.version.clone(),
            name: state.name.clone(),
            kind: kind(state),
            path: state.path.clone(),
            state: Some(state.state),
        };
        self.migrations = comparison.migrations.iter().map(row).collect();
    }

    /// Prints the text.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn print(&self, ui: &Ui) -> Result<(), OutputError> {
        let commit = self.commit.short();
        match (self.tool, &self.directory, &self.evidence) {
            (Some(tool), Some(directory), Some(evidence)) => {
                let directory = if directory.is_empty() { "." } else { directory };
                ui.line(format!("commit {commit}: {tool} in {directory} ({evidence})"))?;
            }
            _ => ui.line(format!("commit {commit}: no migrations were found"))?,
        }
        if !self.migrations.is_empty() {
            ui.table(&self.table())?;
        }
        for ProblemOutput { path, reason } in &self.problems {
            ui.warning(&format!("{path} is not understood: {reason}"));
        }
        let Some(database) = &self.database else { return Ok(()) };
        let name = &database.database;
        match (&database.table, database.at_commit) {
            (None, _) => ui.line(format!("database {name}: no table of a migration tool was found")),
            (Some(table), None) => ui.line(format!("database {name} ({table}): not known, see the warnings")),
            (Some(table), Some(true)) => ui.line(format!("database {name} ({table}) is at commit {commit}")),
            (Some(table), Some(false)) => {
                ui.line(format!("database {name} ({table}) is not at commit {commit}: {}", self.counts()))
            }
        }
    }

    /// Returns the numbers of migrations by state: `10 applied, 2 pending`.
    fn counts(&self) -> String {
        let count = |state: State| self.migrations.iter().filter(|it| it.state == Some(state)).count();
        let words = State::ALL.iter().map(|state| (count(*state), state.as_str()));
        let words: Vec<String> =
            words.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        words.join(", ")
    }

    fn table(&self) -> Table {
        let header = ["VERSION", "NAME", "KIND", "STATE", "PATH"];
        let mut table = Table::new(header).whole(0).paint(3, |state| match state {
            "applied" => Style::Good,
            "pending" => Style::Attention,
            "-" => Style::Plain,
            _ => Style::Bad,
        });
        for migration in &self.migrations {
            table.cell(if migration.version.is_empty() { "-" } else { &migration.version });
            table.cell(&migration.name);
            table.cell(migration.kind.map_or("-", Kind::as_str));
            table.cell(migration.state.map_or("-", State::as_str));
            table.cell(migration.path.as_deref().unwrap_or("-"));
        }
        table
    }
}

impl From<&Problem> for ProblemOutput {
    fn from(problem: &Problem) -> Self {
        Self { path: problem.path.clone(), reason: problem.reason.clone() }
    }
}
