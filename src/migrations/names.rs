//! The migrations of each layout: which files they are, with version, name and kind.

use super::files::{EntryKind, File, Files};
use super::layout::{Layout, Read, is_formatted_sql};
use super::migration::{Kind, MigrationFile, Problem};
use super::section::unreadable;
use super::tool::Tool;
use super::version::normal_version;

/// The migrations of a layout, in no order, and the files that are not understood.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub migrations: Vec<MigrationFile>,
    pub problems: Vec<Problem>,
}

impl Named {
    fn add(&mut self, path: &str, file: &File, version: &str, name: &str, kind: Kind) {
        self.migrations.push(MigrationFile {
            version: version.to_owned(),
            name: name.to_owned(),
            kind,
            path: path.to_owned(),
            content: file.content.clone(),
            checksum: None,
            after: Vec::new(),
        });
    }

    fn problem(&mut self, path: &str, reason: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), reason: reason.into() });
    }
}

/// A file of the layout.
struct Entry<'a> {
    path: &'a str,
    /// The path below the directory of the layout.
    relative: &'a str,
    file: &'a File,
}

/// Lists the migrations of a layout.
pub(super) fn list(layout: &Layout, files: &Files, read: Read<'_>) -> Named {
    let mut named = Named::default();
    match layout.tool {
        Tool::Sqitch => sqitch(layout, files, read, &mut named),
        Tool::Drizzle => drizzle(layout, files, read, &mut named),
        Tool::Liquibase => liquibase(layout, files, read, &mut named),
        Tool::Alembic => alembic(layout, files, read, &mut named),
        tool => {
            for entry in below(layout, files) {
                if is_note(entry.relative) {
                    continue;
                }
                match entry.file.kind {
                    EntryKind::Submodule => named.problem(entry.path, "it is a submodule"),
                    EntryKind::Symlink => named.problem(entry.path, "it is a symbolic link"),
                    EntryKind::File if entry.path.contains('\u{fffd}') => {
                        named.problem(entry.path, "its name is not UTF-8");
                    }
                    EntryKind::File => of_name(tool, &entry, &mut named),
                }
            }
        }
    }
    named
}

fn below<'a>(layout: &Layout, files: &'a Files) -> Vec<Entry<'a>> {
    let prefix = if layout.directory.is_empty() { String::new() } else { format!("{}/", layout.directory) };
    let entry = |(path, file): (&'a String, &'a File)| {
        let relative = path.strip_prefix(&prefix)?;
        Some(Entry { path, relative, file })
    };
    match prefix.is_empty() {
        true => files.iter().filter_map(entry).collect(),
        false => {
            let of_directory =
                files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
            of_directory.filter_map(entry).collect()
        }
    }
}

/// Returns true if the file is no migration, and its content cannot change the schema.
fn is_note(relative: &str) -> bool {
    const NAMES: [&str; 9] = [
        ".gitkeep",
        ".keep",
        ".gitignore",
        ".gitattributes",
        ".editorconfig",
        "atlas.sum",
        "migration_lock.toml",
        "readme",
        "tern.conf",
    ];
    let lower = file_name(relative).to_ascii_lowercase();
    NAMES.contains(&lower.as_str()) || lower.ends_with(".md")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn of_name(tool: Tool, entry: &Entry<'_>, named: &mut Named) {
    match tool {
        Tool::Flyway => flyway(entry, named),
        Tool::Refinery => refinery(entry, named),
        Tool::Diesel => in_directories(entry, named, "up.sql", &["down.sql", "metadata.toml"]),
        Tool::Prisma => in_directories(entry, named, "migration.sql", &[]),
        Tool::Sqlx | Tool::GolangMigrate => pairs(tool, entry, named),
        Tool::Plain => plain(entry, named),
        Tool::Rails => code(entry, named, &[".rb"]),
        Tool::Ecto => code(entry, named, &[".exs"]),
        Tool::Knex | Tool::TypeOrm => code(entry, named, &[".js", ".ts", ".cjs", ".mjs"]),
        Tool::SeaOrm => sea_orm(entry, named),
        Tool::Django => django(entry, named),
        Tool::NodePgMigrate => node_pg_migrate(entry, named),
        Tool::GraphileMigrate => graphile_migrate(entry, named),
        // Goose, dbmate, tern, Atlas and Supabase: flat SQL files that begin with the version.
        _ => numbered(tool, entry, named),
    }
}

/// Splits `0001_create_users.sql` at the first underscore. The version has to be a number.
fn numbered_stem(stem: &str) -> Option<(&str, &str)> {
    let (version, name) = stem.split_once('_').unwrap_or((stem, ""));
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())).then_some((version, name))
}

fn numbered(tool: Tool, entry: &Entry<'_>, named: &mut Named) {
    if entry.relative.contains('/') {
        return named.problem(entry.path, format!("{tool} does not search subdirectories"));
    }
    let Some(stem) = entry.relative.strip_suffix(".sql") else {
        if let (Tool::Goose, Some((version, name))) = (tool, numbered_stem(entry.relative))
            && entry.relative.ends_with(".go")
        {
            named.add(entry.path, entry.file, version, name, Kind::Code);
        }
        return;
    };
    match (tool, numbered_stem(stem)) {
        (_, Some((version, name))) => named.add(entry.path, entry.file, version, name, Kind::Versioned),
        // Atlas takes the text before the first underscore, whatever it is.
        (Tool::Atlas, None) => {
            let (version, name) = stem.split_once('_').unwrap_or((stem, ""));
            named.add(entry.path, entry.file, version, name, Kind::Versioned);
        }
        _ => named.problem(entry.path, "its name does not begin with a version"),
    }
}

/// sqlx and golang-migrate: `1_name.up.sql` with `1_name.down.sql`; sqlx also `1_name.sql`.
fn pairs(tool: Tool, entry: &Entry<'_>, named: &mut Named) {
    if entry.relative.contains('/') || !entry.relative.ends_with(".sql") {
        return;
    }
    let stem = entry.relative.trim_end_matches(".sql");
    let (stem, kind) = match (stem.strip_suffix(".up"), stem.strip_suffix(".down")) {
        (Some(stem), _) => (stem, Kind::Versioned),
        (_, Some(stem)) => (stem, Kind::Undo),
        (None, None) if tool == Tool::GolangMigrate => return,
        (None, None) => (stem, Kind::Versioned),
    };
    match stem.split_once('_').filter(|_| numbered_stem(stem).is_some()) {
        // sqlx shows underscores as spaces.
        Some((version, name)) if tool == Tool::Sqlx => {
            named.add(entry.path, entry.file, version, &name.replace('_', " "), kind);
        }
        Some((version, name)) => named.add(entry.path, entry.file, version, name, kind),
        None => named.problem(entry.path, "its name does not begin with a version and an underscore"),
    }
}

fn plain(entry: &Entry<'_>, named: &mut Named) {
    let lower = entry.relative.to_ascii_lowercase();
    if entry.relative.contains('/') {
        return named.problem(entry.path, "it is in a subdirectory");
    }
    if !entry.relative.ends_with(".sql") {
        return named.problem(entry.path, "it is no *.sql file");
    }
    let kind = match [".down.sql", ".undo.sql"].iter().any(|end| lower.ends_with(end)) {
        true => Kind::Undo,
        false => Kind::Versioned,
    };
    named.add(entry.path, entry.file, entry.relative, entry.relative, kind);
}

/// Diesel and Prisma: a directory for each migration.
fn in_directories(entry: &Entry<'_>, named: &mut Named, forward: &str, others: &[&str]) {
    let Some((directory, file)) = entry.relative.split_once('/') else { return };
    let (version, name) = match forward {
        // diesel removes dashes from the text before the first underscore.
        "up.sql" => {
            let (version, name) = directory.split_once('_').unwrap_or((directory, ""));
            (version.replace('-', ""), name.to_owned())
        }
        _ => (directory.to_owned(), directory.to_owned()),
    };
    if file == forward {
        named.add(entry.path, entry.file, &version, &name, Kind::Versioned);
    } else if file == "down.sql" && others.contains(&file) {
        named.add(entry.path, entry.file, &version, &name, Kind::Undo);
    } else if !others.contains(&file) {
        named.problem(entry.path, format!("a migration has no file of that name, only {forward}"));
    }
}

fn flyway(entry: &Entry<'_>, named: &mut Named) {
    let file = file_name(entry.relative);
    let Some(stem) = file.strip_suffix(".sql") else {
        if file.ends_with(".java") || file.ends_with(".class") {
            named.problem(entry.path, "it is a Java migration");
        }
        return;
    };
    let (prefix, rest) = stem.split_at_checked(1).unwrap_or((stem, ""));
    let parts = rest.split_once("__");
    let name = |text: &str| text.replace('_', " ");
    match (prefix, parts) {
        ("R", Some(("", description))) => {
            named.add(entry.path, entry.file, "", &name(description), Kind::Repeatable);
        }
        ("V" | "B" | "U", Some((version, description))) if is_flyway_version(version) => {
            let kind = match prefix {
                "V" => Kind::Versioned,
                "B" => Kind::Baseline,
                _ => Kind::Undo,
            };
            named.add(entry.path, entry.file, &version.replace('_', "."), &name(description), kind);
        }
        _ if is_callback(stem) => named.problem(entry.path, "it is a callback, which runs beside migrations"),
        _ => named.problem(entry.path, "its name is none of Flyway's"),
    }
}

fn is_flyway_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_')
}

fn is_callback(stem: &str) -> bool {
    let event = ["before", "after", "create"].iter().find_map(|prefix| stem.strip_prefix(prefix));
    event.is_some_and(|event| event.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// `^([UV])(\d+(?:\.\d+)?)__(\w+)\.(rs|sql)$`; U is a migration that may run out of order.
fn refinery(entry: &Entry<'_>, named: &mut Named) {
    let file = file_name(entry.relative);
    let (stem, kind) = match (file.strip_suffix(".sql"), file.strip_suffix(".rs")) {
        (Some(stem), _) => (stem, Kind::Versioned),
        (_, Some("mod")) => return,
        (_, Some(stem)) => (stem, Kind::Code),
        _ => return,
    };
    let parts = stem.strip_prefix(['U', 'V']).and_then(|rest| rest.split_once("__"));
    match parts {
        Some((version, name)) if version.bytes().all(|b| b.is_ascii_digit()) && !version.is_empty() => {
            named.add(entry.path, entry.file, &normal_version(version), name, kind);
        }
        _ => named.problem(entry.path, "its name is none of refinery's"),
    }
}

fn code(entry: &Entry<'_>, named: &mut Named, extensions: &[&str]) {
    let Some(stem) = extensions.iter().find_map(|end| entry.relative.strip_suffix(end)) else { return };
    let at = stem.find(|c: char| !c.is_ascii_digit()).unwrap_or(stem.len());
    let (version, rest) = stem.split_at(at);
    match version.is_empty() || entry.relative.contains('/') {
        true => {}
        false => {
            let name = rest.trim_start_matches(['_', '-']);
            let name = if extensions.len() > 1 { file_name(entry.relative) } else { name };
            named.add(entry.path, entry.file, version, name, Kind::Code);
        }
    }
}

fn sea_orm(entry: &Entry<'_>, named: &mut Named) {
    let Some(stem) = entry.relative.strip_suffix(".rs") else { return };
    if stem.starts_with('m') && stem[1..].starts_with(|c: char| c.is_ascii_digit()) {
        named.add(entry.path, entry.file, stem, stem, Kind::Code);
    }
}

fn django(entry: &Entry<'_>, named: &mut Named) {
    let parts: Vec<&str> = entry.path.rsplitn(4, '/').collect();
    let [file, "migrations", application, ..] = parts.as_slice() else { return };
    if let Some(stem) = file.strip_suffix(".py").filter(|stem| *stem != "__init__") {
        let name = format!("{application}.{stem}");
        named.add(entry.path, entry.file, &name, &name, Kind::Code);
    }
}

fn node_pg_migrate(entry: &Entry<'_>, named: &mut Named) {
    let file = entry.relative;
    if file.contains('/') {
        return named.problem(entry.path, "it is in a subdirectory");
    }
    let Some((stem, extension)) = file.rsplit_once('.') else { return };
    let (stem, kind) = match (extension, stem.strip_suffix(".up"), stem.strip_suffix(".down")) {
        ("sql", Some(stem), _) => (stem, Kind::Versioned),
        ("sql", _, Some(stem)) => (stem, Kind::Undo),
        ("sql", ..) => (stem, Kind::Versioned),
        ("js" | "ts" | "cjs" | "mjs", ..) => (stem, Kind::Code),
        _ => return,
    };
    let version = stem.split(['_', '-']).next().unwrap_or_default();
    named.add(entry.path, entry.file, version, stem, kind);
}

fn graphile_migrate(entry: &Entry<'_>, named: &mut Named) {
    let Some(stem) = entry.relative.strip_suffix(".sql") else { return };
    let digits: String = stem.chars().take_while(char::is_ascii_digit).collect();
    match digits.is_empty() {
        true => named.problem(entry.path, "its name does not begin with a number"),
        false => named.add(entry.path, entry.file, &digits, entry.relative, Kind::Versioned),
    }
}

/// The lines of `sqitch.plan` are in the order in which changes are deployed.
fn sqitch(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let at = |name: &str| match layout.directory.as_str() {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    };
    let plan = match text_of(&at("sqitch.plan"), read) {
        Ok(plan) => plan,
        Err(reason) => return named.problem(&at("sqitch.plan"), reason),
    };
    for line in plan.lines().map(str::trim) {
        let is_change = line.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '+');
        if !is_change {
            // A line that begins with '-' reverts a change, which a database cannot skip.
            if line.starts_with('-') {
                named.problem(&at("sqitch.plan"), "a line of the plan reverts a change");
            }
            continue;
        }
        let name = line.trim_start_matches('+').split_whitespace().next().unwrap_or_default();
        let path = at(&format!("deploy/{name}.sql"));
        match files.get(&path) {
            Some(file) => named.add(&path, file, name, name, Kind::Versioned),
            None => named.problem(&path, "the plan names it, and it does not exist"),
        }
    }
}

/// The journal has the order, and the time by which drizzle knows what is applied.
fn drizzle(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let at = |name: &str| match layout.directory.as_str() {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    };
    let journal = at("meta/_journal.json");
    let value: serde_json::Value = match text_of(&journal, read)
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
    {
        Ok(value) => value,
        Err(reason) => return named.problem(&journal, reason),
    };
    let Some(entries) = value["entries"].as_array() else {
        return named.problem(&journal, "it has no list 'entries'");
    };
    for entry in entries {
        let (Some(tag), Some(when)) = (entry["tag"].as_str(), entry["when"].as_u64()) else {
            named.problem(&journal, "an entry has no 'tag' or 'when'");
            continue;
        };
        let path = at(&format!("{tag}.sql"));
        match files.get(&path) {
            Some(file) => named.add(&path, file, &when.to_string(), tag, Kind::Versioned),
            None => named.problem(&path, "the journal names it, and it does not exist"),
        }
    }
}

/// Formatted SQL has one migration for each change set. Other forms are not read.
fn liquibase(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    for entry in below(layout, files) {
        if is_note(entry.relative) {
            continue;
        }
        let text = match text_of(entry.path, read) {
            Ok(text) => text,
            Err(reason) => {
                named.problem(entry.path, reason);
                continue;
            }
        };
        if !is_formatted_sql(&text) {
            named.problem(entry.path, "only change sets in formatted SQL are read");
            continue;
        }
        for line in text.lines() {
            let words = line.trim().strip_prefix("--").map(str::trim_start).unwrap_or_default();
            let Some(rest) = words.strip_prefix("changeset ") else { continue };
            let id = rest.split_whitespace().next().unwrap_or_default();
            match id.split_once(':') {
                Some((author, id)) => {
                    let name = format!("{author}:{id}");
                    named.add(
                        entry.path,
                        entry.file,
                        &format!("{name}:{}", entry.path),
                        &name,
                        Kind::Versioned,
                    );
                }
                None => named.problem(entry.path, format!("a change set has no author and id: {rest}")),
            }
        }
    }
}

/// Revisions in the order of the graph; `down_revision` names the parents.
fn alembic(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let mut revisions: Vec<(String, Vec<String>, &str, &File)> = Vec::new();
    for entry in below(layout, files) {
        if entry.relative.contains('/') || !entry.relative.ends_with(".py") || entry.relative == "__init__.py"
        {
            continue;
        }
        let text = match text_of(entry.path, read) {
            Ok(text) => text,
            Err(reason) => {
                named.problem(entry.path, reason);
                continue;
            }
        };
        let value = |name: &str| text.lines().find_map(|line| assigned(line, name));
        match value("revision").map(|value| quoted(&value)) {
            Some(revision) if revision.len() == 1 => {
                let parents = value("down_revision").map(|value| quoted(&value)).unwrap_or_default();
                revisions.push((revision[0].clone(), parents, entry.path, entry.file));
            }
            _ => named.problem(entry.path, "it has no line revision = '...'"),
        }
    }
    // Parents before children. What is left over is a circle, or has a parent that is missing.
    while !revisions.is_empty() {
        let known = |parent: &String| named.migrations.iter().any(|it| it.version == *parent);
        let ready = revisions.iter().position(|(_, parents, ..)| parents.iter().all(known));
        let Some(at) = ready else { break };
        let (revision, parents, path, file) = revisions.remove(at);
        named.add(path, file, &revision, file_name(path).trim_end_matches(".py"), Kind::Code);
        named.migrations.last_mut().expect("one was just added").after = parents;
    }
    for (_, _, path, _) in revisions {
        named.problem(path, "a revision that it follows is missing");
    }
}

/// Returns the value of an assignment `name = value` or `name: Type = value` of Python.
fn assigned(line: &str, name: &str) -> Option<String> {
    let rest = line.strip_prefix(name)?;
    let (before, value) = rest.split_once('=')?;
    (before.trim().is_empty() || before.trim_start().starts_with(':')).then(|| value.trim().to_owned())
}

/// Returns the texts in quotes.
fn quoted(value: &str) -> Vec<String> {
    let parts = value.split(['\'', '"']);
    parts.enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, text)| text.to_owned()).collect()
}

fn text_of(path: &str, read: Read<'_>) -> Result<String, String> {
    let bytes = read(path)?;
    match unreadable(&bytes) {
        Some(reason) => Err(reason.to_owned()),
        None => String::from_utf8(bytes).map_err(|error| error.to_string()),
    }
}
