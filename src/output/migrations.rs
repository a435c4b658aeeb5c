//! Results of `git pggit migrations`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{CommitId, DatabaseName};
use crate::migrations::{Comparison, Kind, MigrationHistory, MigrationState, Problem, State, Tool};
use crate::terminal::{OutputError, Render, Style, Table, Ui};
use crate::workspace::migrations::{Examination, UnknownMigrations};

/// The migrations of a commit, and their states in a database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommitMigrationsOutput {
    /// The commit.
    pub commit: CommitId,
    /// The migration tool; null if the commit has no migrations.
    pub tool: Option<Tool>,
    /// The directories of the migrations; empty if the commit has none.
    pub directories: Vec<String>,
    /// The evidence for the tool; null if the commit has no migrations.
    pub evidence: Option<String>,
    /// The migrations in the order in which the tool runs them, then those that only the database has.
    pub migrations: Vec<MigrationOutput>,
    /// The files that look like migrations and cannot be parsed.
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
    /// The branches whose tips have the migration; absent unless the state is `unknown`, or if there are more
    /// than 100 branches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<Vec<String>>,
}

/// A file that cannot be parsed.
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
    /// The table of applied migrations; null if the database has none, or if it was not read.
    pub table: Option<String>,
    /// True if exactly the migrations of the commit are applied; null if that is not known.
    pub at_commit: Option<bool>,
    /// True if each applied migration was compared with its file by a checksum.
    pub by_checksum: bool,
    /// The reason why it is not known whether the database is at the commit; absent if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CommitMigrationsOutput {
    /// Describes the migrations of a commit alone.
    pub fn of_commit(commit: CommitId, history: Option<&MigrationHistory>) -> Self {
        let layouts = history.map(|history| history.layouts.as_slice());
        let migrations = history.map_or(&[][..], |history| &history.migrations);
        Self {
            commit,
            tool: history.map(|history| history.tool),
            directories: layouts.unwrap_or_default().iter().map(|layout| layout.directory.clone()).collect(),
            evidence: layouts.and_then(<[_]>::first).map(|layout| layout.evidence.clone()),
            migrations: migrations
                .iter()
                .map(|migration| MigrationOutput {
                    version: migration.version.clone(),
                    name: migration.name.clone(),
                    kind: Some(migration.kind),
                    path: Some(migration.path.clone()),
                    state: None,
                    branches: None,
                })
                .collect(),
            problems: history.map_or(&[][..], |history| &history.problems).iter().map(Into::into).collect(),
            database: None,
        }
    }

    /// Describes the migrations of a commit beside a database without a table of a migration tool.
    pub fn without_table(
        commit: CommitId,
        database: DatabaseName,
        history: Option<&MigrationHistory>,
    ) -> Self {
        let reason = Some("the database has no table of a migration tool".to_owned());
        let database =
            ComparedDatabase { database, table: None, at_commit: None, by_checksum: false, reason };
        Self { database: Some(database), ..Self::of_commit(commit, history) }
    }

    /// Describes the migrations of a commit with their states in a database.
    pub fn of_database(commit: CommitId, database: DatabaseName, examination: &Examination) -> Self {
        let comparison = examination.comparison.as_ref();
        let mut output = Self::of_commit(commit, examination.history.as_ref());
        if let Ok(comparison) = comparison {
            output.migrations = comparison.migrations.iter().map(Into::into).collect();
        }
        output.database = Some(ComparedDatabase {
            database,
            table: examination.applied.as_ref().map(|applied| applied.table.clone()),
            at_commit: comparison.ok().map(Comparison::is_equal),
            by_checksum: comparison.is_ok_and(|comparison| comparison.by_checksum),
            reason: comparison.err().cloned(),
        });
        output
    }

    /// Names the branches that have the migrations which only the database has.
    #[must_use]
    pub fn with_branches(mut self, found: Option<&UnknownMigrations>) -> Self {
        for migration in self.migrations.iter_mut().filter(|one| one.state == Some(State::Unknown)) {
            let key = (migration.version.clone(), migration.name.clone());
            migration.branches = found.and_then(|found| found.get(&key).cloned());
        }
        self
    }

    /// Returns true if it is known that the database is at the commit.
    pub fn is_at_commit(&self) -> bool {
        self.database.as_ref().is_some_and(|database| database.at_commit == Some(true))
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
            table.cell(&match (&migration.path, &migration.branches) {
                (Some(path), _) => path.clone(),
                (None, Some(branches)) if branches.is_empty() => "(in no branch)".to_owned(),
                (None, Some(branches)) => format!("(in {})", branches.join(", ")),
                (None, None) => "-".to_owned(),
            });
        }
        table
    }
}

impl Render for CommitMigrationsOutput {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let commit = self.commit.short();
        match (self.tool, &self.evidence) {
            (Some(tool), Some(evidence)) => {
                let shown = |directory: &String| {
                    if directory.is_empty() { ".".to_owned() } else { directory.clone() }
                };
                let directory = self.directories.iter().map(shown).collect::<Vec<_>>().join(", ");
                ui.line(format!("commit {commit}: {tool} in {directory} ({evidence})"))?;
            }
            _ => ui.line(format!("commit {commit}: no migrations were found"))?,
        }
        if !self.migrations.is_empty() {
            ui.table(&self.table())?;
        }
        for ProblemOutput { path, reason } in &self.problems {
            ui.warning(&format!("cannot parse {path}: {reason}"));
        }
        let Some(ComparedDatabase { database, at_commit, by_checksum, reason, .. }) = &self.database else {
            return Ok(());
        };
        let how = if *by_checksum { "by checksums" } else { "by versions" };
        ui.line(match at_commit {
            Some(true) => format!("database {database} is at commit {commit} {how}"),
            Some(false) => format!("database {database} is not at commit {commit}: {}", self.counts()),
            None => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("cannot tell whether database {database} is at commit {commit}: {reason}")
            }
        })
    }
}

impl From<&MigrationState> for MigrationOutput {
    fn from(state: &MigrationState) -> Self {
        Self {
            version: state.version.clone(),
            name: state.name.clone(),
            kind: state.kind,
            path: state.path.clone(),
            state: Some(state.state),
            branches: None,
        }
    }
}

impl From<&Problem> for ProblemOutput {
    fn from(problem: &Problem) -> Self {
        Self { path: problem.path.clone(), reason: problem.reason.clone() }
    }
}
