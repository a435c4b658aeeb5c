//! Which migration tool a commit uses, by the files of its tree.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, join, relative_to};
use super::tool::Tool;

/// The migration tool of a commit, and the directory of its files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout {
    /// The tool.
    pub tool: Tool,
    /// The directory in the repository; empty for the root.
    pub directory: String,
    /// The evidence.
    pub evidence: String,
}

/// The files of a commit fit several tools or directories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the migrations are ambiguous: {}", shown(.0))]
pub struct Ambiguous(pub Vec<Layout>);

fn shown(layouts: &[Layout]) -> String {
    let one = |layout: &Layout| {
        let directory = if layout.directory.is_empty() { "." } else { &layout.directory };
        format!("{} in {directory} ({})", layout.tool, layout.evidence)
    };
    layouts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Reads a file of the commit.
pub type Read<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// The settings for the migrations of a database.
#[derive(Debug, Clone, Default)]
pub struct MigrationSettings {
    /// The tool, if it is not to be detected.
    pub tool: Option<Tool>,
    /// The directories of the migrations, without a slash at the end; all if empty.
    pub directories: Vec<String>,
}

impl MigrationSettings {
    fn includes(&self, directory: &str) -> bool {
        let within = |wanted: &String| directory == wanted || relative_to(wanted, directory).is_some();
        self.directories.is_empty() || self.directories.iter().any(within)
    }
}

/// Detects the migration tool of a commit. Returns nothing if there are no migrations, and several layouts
/// of one tool only if the settings name several directories.
///
/// # Errors
/// If the files fit several tools, or several directories that the settings do not name.
pub fn detect(files: &Files, wanted: &MigrationSettings, read: Read<'_>) -> Result<Vec<Layout>, Ambiguous> {
    let tree = Tree::of(files, read);
    let mut found: Vec<Layout> = Vec::new();
    for (directory, names) in &tree.directories {
        if !wanted.includes(directory) {
            continue;
        }
        found.extend(tree.tools_of(directory, names, !wanted.directories.is_empty()));
    }
    if let Some(tool) = wanted.tool {
        let of_tool: Vec<Layout> = found.iter().filter(|layout| layout.tool == tool).cloned().collect();
        found = match of_tool.is_empty() {
            false => of_tool,
            true => tree.configured(tool, &wanted.directories, &found),
        };
    }
    let found = topmost(found);
    let is_one_tool = found.windows(2).all(|pair| pair[0].tool == pair[1].tool);
    if found.len() < 2 || (is_one_tool && wanted.directories.len() > 1) {
        return Ok(found);
    }
    Err(Ambiguous(found))
}

/// Leaves out layouts in directories below others of the same tool: the tool either searches
/// subdirectories, or does not run what is in them.
fn topmost(mut found: Vec<Layout>) -> Vec<Layout> {
    found.sort();
    found.dedup_by(|a, b| a.tool == b.tool && a.directory == b.directory);
    let below = |inner: &Layout, outer: &Layout| {
        inner.tool == outer.tool
            && inner.directory != outer.directory
            && relative_to(&outer.directory, &inner.directory).is_some()
    };
    let all = found.clone();
    found.retain(|layout| !all.iter().any(|outer| below(layout, outer)));
    // Django has one directory for each application: the tool is one.
    if found.iter().filter(|layout| layout.tool == Tool::Django).count() > 1 {
        let evidence = "directories of applications".to_owned();
        found.retain(|layout| layout.tool != Tool::Django);
        found.push(Layout { tool: Tool::Django, directory: String::new(), evidence });
    }
    found
}

/// The directories of a commit with the names of their files.
struct Tree<'a> {
    directories: BTreeMap<&'a str, BTreeSet<&'a str>>,
    read: Read<'a>,
}

impl<'a> Tree<'a> {
    fn of(files: &'a Files, read: Read<'a>) -> Self {
        let mut directories: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for path in files.keys() {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            directories.entry(directory).or_default().insert(name);
        }
        Self { directories, read }
    }

    fn has(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        self.directories.keys().any(|known| *known == directory || known.starts_with(&below))
    }

    /// Returns the directories of a tool that the configuration or the database names: the files need
    /// not say which tool runs them.
    fn configured(&self, tool: Tool, directories: &[String], found: &[Layout]) -> Vec<Layout> {
        let layout = |directory: &str| Layout {
            tool,
            directory: directory.to_owned(),
            evidence: "not by its files".to_owned(),
        };
        match directories {
            [] if tool.is_code() => Vec::new(),
            [] => found.iter().filter(|it| it.tool == Tool::Plain).map(|it| layout(&it.directory)).collect(),
            directories => directories.iter().filter(|it| self.has(it)).map(|it| layout(it)).collect(),
        }
    }

    fn has_file(&self, directory: &str, name: &str) -> bool {
        self.directories.get(directory).is_some_and(|names| names.contains(name))
    }

    fn text(&self, directory: &str, name: &str) -> String {
        (self.read)(&join(directory, name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns the contents of the files `name` in a directory and those above it.
    fn above(&self, directory: &str, name: &str) -> String {
        let mut text = String::new();
        let mut at = Some(directory);
        while let Some(directory) = at {
            if self.has_file(directory, name) {
                text += &self.text(directory, name);
            }
            at = match directory {
                "" => None,
                directory => Some(directory.rsplit_once('/').map_or("", |(parent, _)| parent)),
            };
        }
        text
    }

    /// Returns the tools whose migrations the directory has. `is_named` is true if the configuration
    /// names the directory.
    fn tools_of(&self, directory: &str, names: &BTreeSet<&str>, is_named: bool) -> Vec<Layout> {
        let layout = |tool, directory: &str, evidence: &str| Layout {
            tool,
            directory: directory.to_owned(),
            evidence: evidence.to_owned(),
        };
        let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        let name = directory.rsplit('/').next().unwrap_or_default();
        if names.contains("sqitch.plan") {
            return vec![layout(Tool::Sqitch, directory, "sqitch.plan")];
        }
        if name == "meta" && names.contains("_journal.json") {
            return vec![layout(Tool::Drizzle, parent, "meta/_journal.json")];
        }
        if names.contains("migration.sql") && starts_with_digit(name) {
            return vec![layout(Tool::Prisma, parent, "directories with migration.sql")];
        }
        if names.contains("up.sql") && starts_with_digit(name) {
            return vec![layout(Tool::Diesel, parent, "directories with up.sql")];
        }
        if name == "committed" && names.iter().any(|name| is_numbered(name, ".sql")) {
            return vec![layout(Tool::GraphileMigrate, directory, "a directory 'committed'")];
        }
        if let Some(tool) = self.code_of(directory, names) {
            return vec![layout(tool, directory, "names of program files")];
        }
        if self.belongs_to_another(directory) || (!is_named && !is_plausible(directory)) {
            return Vec::new();
        }
        if directory == "supabase/migrations" || directory.ends_with("/supabase/migrations") {
            return vec![layout(Tool::Supabase, directory, "supabase/migrations")];
        }
        self.sql_tools(directory, names, is_named)
            .into_iter()
            .map(|(tool, why)| layout(tool, directory, why))
            .collect()
    }

    /// Returns true if the SQL files of the directory belong to a tool that is known by another
    /// directory: those of drizzle beside its journal, the scripts of Sqitch, the current migration of
    /// graphile-migrate.
    fn belongs_to_another(&self, directory: &str) -> bool {
        let at = |name: &str| join(directory, name);
        let sqitch = directory.match_indices('/').map(|(at, _)| &directory[..at]).chain([""]);
        self.has_file(&at("meta"), "_journal.json")
            || self.directories.contains_key(at("committed").as_str())
            || sqitch.into_iter().any(|above| self.has_file(above, "sqitch.plan"))
    }

    /// Returns the tool whose migrations are programs, if the directory has those of one.
    fn code_of(&self, directory: &str, names: &BTreeSet<&str>) -> Option<Tool> {
        let parent = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        let any = |extension: &str| names.iter().any(|name| is_numbered(name, extension));
        if any(".rb") && directory.ends_with("migrate") {
            return Some(Tool::Rails);
        }
        if any(".exs") && directory.ends_with("migrations") {
            return Some(Tool::Ecto);
        }
        let python = names.iter().any(|name| name.ends_with(".py") && *name != "__init__.py");
        if python && directory.ends_with("versions") && self.has_file(parent, "env.py") {
            return Some(Tool::Alembic);
        }
        if any(".py") && directory.ends_with("migrations") && names.contains("__init__.py") {
            return Some(Tool::Django);
        }
        if names.iter().any(|name| name.starts_with('m') && is_numbered(&name[1..], ".rs")) {
            return Some(Tool::SeaOrm);
        }
        if !(any(".js") || any(".ts") || any(".cjs") || any(".mjs")) {
            return None;
        }
        let package = self.above(directory, "package.json");
        let known =
            [("node-pg-migrate", Tool::NodePgMigrate), ("typeorm", Tool::TypeOrm), ("knex", Tool::Knex)];
        known.into_iter().find(|(name, _)| package.contains(&format!("\"{name}\""))).map(|(_, tool)| tool)
    }

    /// Returns the tools with SQL files that the directory fits.
    fn sql_tools(
        &self,
        directory: &str,
        names: &BTreeSet<&str>,
        is_named: bool,
    ) -> Vec<(Tool, &'static str)> {
        let sql: Vec<&str> = names.iter().copied().filter(|name| name.ends_with(".sql")).collect();
        if names.contains("atlas.sum") {
            return vec![(Tool::Atlas, "atlas.sum")];
        }
        if let Some(tool) = self.liquibase(directory, names) {
            return vec![tool];
        }
        if sql.iter().any(|name| is_flyway(name)) {
            return self.flyway_or_refinery(directory);
        }
        let Some(first) = sql.iter().find(|name| starts_with_digit(name)) else {
            let is_migrations = is_named || MIGRATIONS.iter().any(|name| directory.ends_with(name));
            return if sql.is_empty() || !is_migrations {
                Vec::new()
            } else {
                vec![(Tool::Plain, "SQL files")]
            };
        };
        let text = self.text(directory, first).to_ascii_lowercase();
        let has_line = |marker: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().any(|line| words(line).starts_with(marker))
        };
        if has_line("-- +goose up") {
            return vec![(Tool::Goose, "'-- +goose Up'")];
        }
        if has_line("-- migrate:up") || has_line("--migrate:up") {
            return vec![(Tool::Dbmate, "'-- migrate:up'")];
        }
        if has_line("---- create above / drop below ----") || names.contains("tern.conf") {
            return vec![(Tool::Tern, "the separator of tern")];
        }
        if has_line("-- up migration") || has_line("-- down migration") {
            return vec![(Tool::NodePgMigrate, "'-- Up Migration'")];
        }
        let manifests = [
            ("Cargo.toml", "sqlx", Tool::Sqlx, "sqlx in Cargo.toml"),
            ("go.mod", "golang-migrate/migrate", Tool::GolangMigrate, "golang-migrate in go.mod"),
            ("go.mod", "jackc/tern", Tool::Tern, "tern in go.mod"),
            ("package.json", "\"node-pg-migrate\"", Tool::NodePgMigrate, "node-pg-migrate in package.json"),
        ];
        let fits =
            |tool: Tool| tool != Tool::GolangMigrate || sql.iter().any(|name| name.ends_with(".up.sql"));
        let found: Vec<(Tool, &str)> = manifests
            .into_iter()
            .filter(|(file, word, tool, _)| fits(*tool) && self.above(directory, file).contains(word))
            .map(|(.., tool, why)| (tool, why))
            .collect();
        if found.is_empty() { vec![(Tool::Plain, "SQL files")] } else { found }
    }

    fn liquibase(&self, directory: &str, names: &BTreeSet<&str>) -> Option<(Tool, &'static str)> {
        let changelog = |name: &&&str| {
            let lower = name.to_ascii_lowercase();
            let data = [".xml", ".yaml", ".yml", ".json"].iter().any(|end| lower.ends_with(end));
            (data && self.text(directory, name).contains("databaseChangeLog"))
                || (lower.ends_with(".sql") && is_formatted_sql(&self.text(directory, name)))
        };
        let candidates = names.iter().filter(|name| {
            let lower = name.to_ascii_lowercase();
            lower.contains("changelog") || lower.ends_with(".sql")
        });
        // One file of a directory of SQL files shows whether all are changelogs.
        let found = candidates.take(2).find(changelog)?;
        let why = if found.ends_with(".sql") { "'--liquibase formatted sql'" } else { "databaseChangeLog" };
        Some((Tool::Liquibase, why))
    }

    fn flyway_or_refinery(&self, directory: &str) -> Vec<(Tool, &'static str)> {
        let cargo = self.above(directory, "Cargo.toml");
        if cargo.contains("refinery") || !self.above(directory, "refinery.toml").is_empty() {
            return vec![(Tool::Refinery, "refinery in Cargo.toml")];
        }
        let java = ["pom.xml", "build.gradle", "build.gradle.kts", "flyway.conf", "flyway.toml"];
        if cargo.is_empty() || java.iter().any(|name| !self.above(directory, name).is_empty()) {
            return vec![(Tool::Flyway, "names such as V1__name.sql")];
        }
        let why = "names such as V1__name.sql beside a Cargo.toml";
        vec![(Tool::Flyway, why), (Tool::Refinery, why)]
    }
}

/// Returns true if the text is a changelog in Liquibase's formatted SQL.
pub(super) fn is_formatted_sql(text: &str) -> bool {
    let first = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty());
    let words = first.unwrap_or_default().trim().trim_start_matches('-').trim().to_ascii_lowercase();
    words.starts_with("liquibase formatted sql")
}

/// Names of directories whose SQL files are migrations also without a number.
const MIGRATIONS: [&str; 3] = ["migrations", "migration", "migrate"];

fn starts_with_digit(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_numbered(name: &str, extension: &str) -> bool {
    starts_with_digit(name) && name.ends_with(extension)
}

/// Returns true if the name is one of Flyway or refinery: `V1__name.sql`.
fn is_flyway(name: &str) -> bool {
    let Some((prefix, rest)) = name.split_at_checked(1) else { return false };
    matches!(prefix, "V" | "B") && starts_with_digit(rest) && rest.contains("__")
        || prefix == "R" && rest.starts_with("__")
}

/// Returns true if a directory that the configuration does not name may have migrations.
fn is_plausible(directory: &str) -> bool {
    const NAMES: [&str; 8] =
        ["migrations", "migration", "migrate", "changelog", "changelogs", "deploy", "sql", "db"];
    directory.split('/').any(|part| NAMES.contains(&part.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::EntryKind;

    fn files(all: &[(&str, &str)]) -> (Files, BTreeMap<String, String>) {
        let file = |(path, _): &(&str, &str)| ((*path).to_owned(), EntryKind::File);
        let texts = all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        (all.iter().map(file).collect(), texts)
    }

    fn detected(all: &[(&str, &str)], wanted: &MigrationSettings) -> Result<Vec<(Tool, String)>, usize> {
        let (files, texts) = files(all);
        let read = |path: &str| Ok(texts[path].clone().into_bytes());
        let found = detect(&files, wanted, &read).map_err(|ambiguous| ambiguous.0.len())?;
        Ok(found.into_iter().map(|layout| (layout.tool, layout.directory)).collect())
    }

    #[test]
    fn each_tool_is_known_by_its_layout() {
        use Tool::*;
        let cargo = |name: &'static str| ("Cargo.toml", name);
        for (tool, directory, all) in [
            (Plain, "migrations", &[("migrations/1_a.sql", "select 1")][..]),
            (Sqlx, "migrations", &[("migrations/1_a.sql", ""), cargo("sqlx = 1")]),
            (Sqlx, "app/migrations", &[("app/migrations/1_a.up.sql", ""), cargo("sqlx")]),
            (Refinery, "m/migrations", &[("m/migrations/V1__a.sql", ""), cargo("refinery")]),
            (Diesel, "migrations", &[("migrations/2024-01-01-000000_a/up.sql", "")]),
            (Goose, "db/migrations", &[("db/migrations/1_a.sql", "--  +goose Up\n")]),
            (
                GolangMigrate,
                "migrations",
                &[("migrations/1_a.up.sql", ""), ("go.mod", "golang-migrate/migrate/v4")],
            ),
            (Dbmate, "db/migrations", &[("db/migrations/1_a.sql", "-- migrate:up\n")]),
            (Tern, "migrations", &[("migrations/1_a.sql", "x\n---- create above / drop below ----\n")]),
            (
                Flyway,
                "src/main/resources/db/migration",
                &[("src/main/resources/db/migration/V1__a.sql", ""), ("pom.xml", "<project/>")],
            ),
            (Liquibase, "db/changelog", &[("db/changelog/db.changelog-master.xml", "<databaseChangeLog>")]),
            (Liquibase, "db/changelog", &[("db/changelog/1.sql", "--liquibase formatted sql\n")]),
            (Atlas, "migrations", &[("migrations/1.sql", ""), ("migrations/atlas.sum", "h1:")]),
            (Sqitch, "", &[("sqitch.plan", "%project=x"), ("deploy/a.sql", ""), ("revert/a.sql", "")]),
            (Prisma, "prisma/migrations", &[("prisma/migrations/2024_a/migration.sql", "")]),
            (Drizzle, "drizzle", &[("drizzle/meta/_journal.json", "{}"), ("drizzle/0000_a.sql", "")]),
            (
                GraphileMigrate,
                "migrations/committed",
                &[("migrations/committed/000001.sql", "--! Previous: -")],
            ),
            (NodePgMigrate, "migrations", &[("migrations/1_a.sql", "-- Up Migration\n")]),
            (Supabase, "supabase/migrations", &[("supabase/migrations/2024_a.sql", "")]),
            (Rails, "db/migrate", &[("db/migrate/2024_a.rb", "")]),
            (
                Django,
                "app/migrations",
                &[("app/migrations/0001_a.py", ""), ("app/migrations/__init__.py", "")],
            ),
            (Alembic, "alembic/versions", &[("alembic/env.py", ""), ("alembic/versions/ab_x.py", "")]),
            (Ecto, "priv/repo/migrations", &[("priv/repo/migrations/2024_a.exs", "")]),
            (Knex, "migrations", &[("migrations/2024_a.js", ""), ("package.json", "{\"knex\": 1}")]),
            (
                TypeOrm,
                "src/migrations",
                &[("src/migrations/17000-A.ts", ""), ("package.json", "{\"typeorm\": 1}")],
            ),
            (SeaOrm, "migration/src", &[("migration/src/m20240101_000001_a.rs", "")]),
        ] {
            let found = detected(all, &MigrationSettings::default()).unwrap();
            assert_eq!(found, [(tool, directory.to_owned())], "{all:?}");
        }
    }

    #[test]
    fn two_directories_or_tools_are_ambiguous() {
        let two = [("a/migrations/1.sql", ""), ("b/migrations/1.sql", "")];
        assert_eq!(detected(&two, &MigrationSettings::default()), Err(2));
        let one = MigrationSettings { directories: vec!["b".to_owned()], ..MigrationSettings::default() };
        assert_eq!(detected(&two, &one), Ok(vec![(Tool::Plain, "b/migrations".to_owned())]));
        let both = MigrationSettings {
            directories: vec!["a/migrations".to_owned(), "b/migrations".to_owned()],
            ..MigrationSettings::default()
        };
        assert_eq!(detected(&two, &both).unwrap().len(), 2);
        let mixed = [("a/migrations/1_a.sql", ""), ("b/migrations/V1__a.sql", ""), ("b/pom.xml", "")];
        assert_eq!(detected(&mixed, &both), Err(2));
        let either = [("migrations/V1__a.sql", ""), ("Cargo.toml", "[package]")];
        assert_eq!(detected(&either, &MigrationSettings::default()), Err(2));
        let flyway = MigrationSettings { tool: Some(Tool::Flyway), ..MigrationSettings::default() };
        assert_eq!(detected(&either, &flyway), Ok(vec![(Tool::Flyway, "migrations".to_owned())]));
        // Nothing in the files names the tool, and the database does.
        let sqlx = MigrationSettings { tool: Some(Tool::Sqlx), ..MigrationSettings::default() };
        let plain = [("migrations/1_a.sql", "")];
        assert_eq!(detected(&plain, &sqlx), Ok(vec![(Tool::Sqlx, "migrations".to_owned())]));
        let rails = MigrationSettings { tool: Some(Tool::Rails), ..MigrationSettings::default() };
        assert_eq!(detected(&plain, &rails), Ok(vec![]));
    }

    #[test]
    fn directories_of_other_things_are_not_migrations() {
        assert_eq!(detected(&[("migrations/README.md", "birds")], &MigrationSettings::default()), Ok(vec![]));
        assert_eq!(detected(&[("tests/data/001_x.sql", "")], &MigrationSettings::default()), Ok(vec![]));
        let named =
            MigrationSettings { directories: vec!["tests/data".to_owned()], ..MigrationSettings::default() };
        assert_eq!(
            detected(&[("tests/data/001_x.sql", "")], &named),
            Ok(vec![(Tool::Plain, "tests/data".to_owned())])
        );
        // The dump of the schema beside the migrations is none of them.
        let dbmate = [("db/migrations/1_a.sql", "-- migrate:up\n"), ("db/schema.sql", "")];
        let found = Ok(vec![(Tool::Dbmate, "db/migrations".to_owned())]);
        assert_eq!(detected(&dbmate, &MigrationSettings::default()), found);
        let named = MigrationSettings {
            directories: vec!["db/migrations".to_owned()],
            ..MigrationSettings::default()
        };
        assert_eq!(detected(&dbmate, &named), found);
        let nested = [("db/migration/V1__a.sql", ""), ("db/migration/sub/V2__b.sql", "")];
        assert_eq!(
            detected(&nested, &MigrationSettings::default()),
            Ok(vec![(Tool::Flyway, "db/migration".to_owned())])
        );
    }
}
