//! The migrations of a commit in the order in which the tool runs them.

use std::collections::{BTreeMap, BTreeSet};

use super::checksum::checksums;
use super::content::check;
use super::files::Files;
use super::layout::{Layout, Read};
use super::layout_files::Named;
use super::migration::{Kind, MigrationFile, Problem};
use super::names;
use super::tool::Tool;
use super::version::{compare_versions, key_version};

/// The migrations of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationHistory {
    /// The tool.
    pub tool: Tool,
    /// The directories of the files.
    pub layouts: Vec<Layout>,
    /// The migrations that go forward, in the order in which the tool runs them.
    pub migrations: Vec<MigrationFile>,
    /// The files that look like migrations and are not understood.
    pub problems: Vec<Problem>,
    /// The packages of the repository, for a tool that records several. Rows of other packages do not count.
    pub(super) scopes: BTreeSet<String>,
}

impl MigrationHistory {
    /// Returns the migrations of layouts of one tool; `None` if there are no layouts. Only files that a
    /// tool orders by its content are read with `read`.
    pub fn of(layouts: &[Layout], files: &Files, read: Read<'_>) -> Option<Self> {
        let tool = layouts.first()?.tool;
        let mut all = Named::default();
        for Named { migrations, problems } in layouts.iter().map(|layout| names::list(layout, files, read)) {
            all.migrations.extend(migrations.into_iter().filter(|migration| migration.kind != Kind::Undo));
            all.problems.extend(problems);
        }
        let Named { mut migrations, problems } = all;
        // These have an order of their own.
        if !matches!(
            tool,
            Tool::Sqitch | Tool::Liquibase | Tool::Drizzle | Tool::Alembic | Tool::GraphileMigrate
        ) {
            migrations.sort_by(|a, b| order(tool, a, b));
        }
        let scope = |migration: &MigrationFile| tool.scope(&migration.version).map(str::to_owned);
        let scopes = migrations.iter().filter_map(scope).collect();
        let mut history = Self { tool, layouts: layouts.to_vec(), migrations, problems, scopes };
        history.find_repeated_versions();
        Some(history)
    }

    /// Returns the history of a commit without migrations.
    pub fn empty(tool: Tool) -> Self {
        Self {
            tool,
            layouts: Vec::new(),
            migrations: Vec::new(),
            problems: Vec::new(),
            scopes: BTreeSet::new(),
        }
    }

    /// Counts the packages of another commit, too: the database may have migrations of a package that this
    /// commit does not have yet.
    pub fn add_scopes(&mut self, other: &Self) {
        self.scopes.extend(other.scopes.iter().cloned());
    }

    /// Adds a problem for each version that two migrations have.
    fn find_repeated_versions(&mut self) {
        let mut seen: BTreeMap<(String, bool), &str> = BTreeMap::new();
        let mut problems = Vec::new();
        for migration in self.migrations.iter().filter(|migration| !migration.version.is_empty()) {
            let version = key_version(self.tool, &migration.version);
            if let Some(other) = seen.insert((version, migration.kind == Kind::Baseline), &migration.path) {
                let reason = format!("{other} has the same version {}", migration.version);
                problems.push(Problem { path: migration.path.clone(), reason });
            }
        }
        self.problems.extend(problems);
    }

    /// Reads the files, and computes the checksums that the tool accepts. A file that the tool would
    /// refuse, or that has no content of its own, becomes a problem.
    pub fn read_contents(&mut self, read: Read<'_>) {
        let tool = self.tool;
        for migration in self.migrations.iter_mut().filter(|migration| migration.kind != Kind::Code) {
            let content = read(&migration.path).and_then(|content| {
                check(tool, &content)?;
                Ok(content)
            });
            match content {
                Ok(content) => {
                    migration.checksums = migration.checksums_of(tool, &content);
                }
                Err(reason) => self.problems.push(Problem { path: migration.path.clone(), reason }),
            }
        }
    }
}

impl MigrationFile {
    /// Returns the checksums that the tool accepts for the migration if its file has this content.
    pub fn checksums_of(&self, tool: Tool, content: &[u8]) -> Vec<String> {
        checksums(tool, &self.version, &self.name, content)
    }
}

fn order(tool: Tool, a: &MigrationFile, b: &MigrationFile) -> std::cmp::Ordering {
    let repeatable = |migration: &MigrationFile| migration.kind == Kind::Repeatable;
    let by_version = match tool {
        // These sort by the text of the file name.
        Tool::Dbmate | Tool::Prisma | Tool::Atlas | Tool::Supabase => a.version.cmp(&b.version),
        _ => compare_versions(&a.version, &b.version),
    };
    repeatable(a).cmp(&repeatable(b)).then(by_version).then_with(|| a.name.cmp(&b.name))
}
