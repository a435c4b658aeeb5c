//! The migrations of a commit in the order in which the tool runs them.

use std::collections::BTreeMap;

use super::checksum::checksum;
use super::files::Files;
use super::layout::Layout;
use super::migration::{Kind, MigrationFile, Problem};
use super::names::{self, Named};
use super::section::unreadable;
use super::tool::Tool;
use super::version::{compare_versions, key_version};

/// The migrations of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationHistory {
    /// The tool, and the directory of the files.
    pub layout: Layout,
    /// The migrations that go forward, in the order in which the tool runs them.
    pub migrations: Vec<MigrationFile>,
    /// The files that undo migrations.
    pub undo: Vec<MigrationFile>,
    /// The files that look like migrations and are not understood.
    pub problems: Vec<Problem>,
}

impl MigrationHistory {
    /// Returns the migrations of a layout. Only files that a tool orders by its content are read with
    /// `read`.
    pub fn of(layout: &Layout, files: &Files, read: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        let Named { migrations, problems } = names::list(layout, files, read);
        let (undo, mut migrations): (Vec<_>, Vec<_>) =
            migrations.into_iter().partition(|migration| migration.kind == Kind::Undo);
        // These have an order of their own.
        if !matches!(layout.tool, Tool::Sqitch | Tool::Liquibase | Tool::Drizzle | Tool::Alembic) {
            migrations.sort_by(|a, b| order(layout.tool, a, b));
        }
        let mut history = Self { layout: layout.clone(), migrations, undo, problems };
        history.find_repeated_versions();
        history
    }

    /// Adds a problem for each version that two migrations have.
    fn find_repeated_versions(&mut self) {
        let mut seen: BTreeMap<(String, bool), &str> = BTreeMap::new();
        let mut problems = Vec::new();
        for migration in self.migrations.iter().filter(|migration| !migration.version.is_empty()) {
            let version = key_version(self.layout.tool, &migration.version);
            if let Some(other) = seen.insert((version, migration.kind == Kind::Baseline), &migration.path) {
                let reason = format!("{other} has the same version {}", migration.version);
                problems.push(Problem { path: migration.path.clone(), reason });
            }
        }
        self.problems.extend(problems);
    }

    /// Reads the files, and computes the checksums that the tool stores.
    pub fn read_contents(&mut self, read: &dyn Fn(&str) -> Result<Vec<u8>, String>) {
        let tool = self.layout.tool;
        for migration in &mut self.migrations {
            let content = match read(&migration.path) {
                Ok(content) => content,
                Err(reason) => {
                    self.problems.push(Problem { path: migration.path.clone(), reason });
                    continue;
                }
            };
            match unreadable(&content) {
                Some(reason) if !tool.is_code() => {
                    let reason = reason.to_owned();
                    self.problems.push(Problem { path: migration.path.clone(), reason });
                }
                _ => {
                    migration.checksum = checksum(tool, &migration.version, &migration.name, &content);
                }
            }
        }
    }

    /// Returns true if every file is understood.
    pub fn is_understood(&self) -> bool {
        self.problems.is_empty()
    }
}

fn order(tool: Tool, a: &MigrationFile, b: &MigrationFile) -> std::cmp::Ordering {
    let repeatable = |migration: &MigrationFile| migration.kind == Kind::Repeatable;
    let by_version = match tool {
        // These sort by the text of the file name.
        Tool::Dbmate | Tool::Rails | Tool::Prisma | Tool::Atlas | Tool::Supabase | Tool::NodePgMigrate => {
            a.version.cmp(&b.version)
        }
        _ => compare_versions(&a.version, &b.version),
    };
    repeatable(a).cmp(&repeatable(b)).then(by_version).then_with(|| a.name.cmp(&b.name))
}
