//! The migrations of each layout: which files they are, with version, name and kind.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, join};
use super::layout::{Layout, Read};
use super::layout_files::{LayoutFile, Named, below, file_name, is_skipped, read_text};
use super::liquibase::liquibase;
use super::migration::Kind;
use super::tool::Tool;
use super::version::normal_version;
use crate::git::EntryKind;

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
                if is_skipped(entry.relative) {
                    continue;
                }
                if entry.path.contains('\u{fffd}') {
                    named.problem(entry.path, "its name is not UTF-8");
                } else {
                    of_name(tool, &entry, read, &mut named);
                }
            }
        }
    }
    named
}

fn of_name(tool: Tool, entry: &LayoutFile<'_>, read: Read<'_>, named: &mut Named) {
    match tool {
        Tool::Flyway => flyway(entry, named),
        Tool::Refinery => refinery(entry, named),
        Tool::Diesel => in_directories(entry, named, "up.sql", &["down.sql", "metadata.toml"]),
        Tool::Prisma => in_directories(entry, named, "migration.sql", &[]),
        Tool::Sqlx | Tool::GolangMigrate => pairs(tool, entry, named),
        Tool::Plain => plain(entry, named),
        Tool::Rails => code(entry, named, &[".rb"]),
        Tool::Ecto => code(entry, named, &[".exs"]),
        Tool::TypeOrm => code(entry, named, &[".js", ".ts"]),
        Tool::Knex => knex(entry, named),
        Tool::SeaOrm => sea_orm(entry, named),
        Tool::Django => django(entry, read, named),
        Tool::NodePgMigrate => node_pg_migrate(entry, named),
        Tool::GraphileMigrate => graphile_migrate(entry, read, named),
        // Goose, dbmate, tern, Atlas and Supabase: flat SQL files that begin with the version.
        _ => numbered(tool, entry, named),
    }
}

/// Splits `0001_create_users.sql` at the first underscore. The version has to be a number.
fn numbered_stem(stem: &str) -> Option<(&str, &str)> {
    let (version, name) = stem.split_once('_').unwrap_or((stem, ""));
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())).then_some((version, name))
}

fn numbered(tool: Tool, entry: &LayoutFile<'_>, named: &mut Named) {
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
fn pairs(tool: Tool, entry: &LayoutFile<'_>, named: &mut Named) {
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

fn plain(entry: &LayoutFile<'_>, named: &mut Named) {
    let lower = entry.relative.to_ascii_lowercase();
    if entry.relative.contains('/') {
        return named.problem(entry.path, "it is in a subdirectory");
    }
    if !entry.relative.ends_with(".sql") {
        return named.problem(entry.path, "it is not a *.sql file");
    }
    let is_undo = [".down.sql", ".undo.sql"].iter().any(|end| lower.ends_with(end));
    let kind = if is_undo { Kind::Undo } else { Kind::Versioned };
    named.add(entry.path, entry.file, entry.relative, entry.relative, kind);
}

/// Diesel and Prisma: a directory for each migration.
fn in_directories(entry: &LayoutFile<'_>, named: &mut Named, forward: &str, others: &[&str]) {
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

fn flyway(entry: &LayoutFile<'_>, named: &mut Named) {
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
        _ => named.problem(entry.path, "its name does not follow the rules of Flyway"),
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
fn refinery(entry: &LayoutFile<'_>, named: &mut Named) {
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
        _ => named.problem(entry.path, "its name does not follow the rules of refinery"),
    }
}

fn code(entry: &LayoutFile<'_>, named: &mut Named, extensions: &[&str]) {
    let Some(stem) = extensions.iter().find_map(|end| entry.relative.strip_suffix(end)) else { return };
    let at = stem.find(|c: char| !c.is_ascii_digit()).unwrap_or(stem.len());
    let (version, rest) = stem.split_at(at);
    if !version.is_empty() && !entry.relative.contains('/') {
        named.add(entry.path, entry.file, version, rest.trim_start_matches(['_', '-']), Kind::Code);
    }
}

/// Returns the name of a file without its last extension.
pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Knex records the names of the files.
fn knex(entry: &LayoutFile<'_>, named: &mut Named) {
    let is_code = [".js", ".ts", ".cjs", ".mjs"].iter().any(|end| entry.relative.ends_with(end));
    if is_code && !entry.relative.contains('/') {
        named.add(entry.path, entry.file, stem(entry.relative), entry.relative, Kind::Code);
    }
}

fn sea_orm(entry: &LayoutFile<'_>, named: &mut Named) {
    let Some(stem) = entry.relative.strip_suffix(".rs") else { return };
    if stem.starts_with('m') && stem[1..].starts_with(|c: char| c.is_ascii_digit()) {
        named.add(entry.path, entry.file, stem, stem, Kind::Code);
    }
}

fn django(entry: &LayoutFile<'_>, read: Read<'_>, named: &mut Named) {
    let parts: Vec<&str> = entry.path.rsplitn(4, '/').collect();
    let [file, "migrations", application, ..] = parts.as_slice() else { return };
    let Some(stem) = file.strip_suffix(".py").filter(|stem| *stem != "__init__") else { return };
    // Which of the two is recorded depends on the time at which a squashed migration was added.
    let squashes = |text: String| text.lines().any(|line| line.trim_start().starts_with("replaces ="));
    match read_text(entry.path, read).map(squashes) {
        Ok(false) => {
            let name = format!("{application}.{stem}");
            named.add(entry.path, entry.file, &name, &name, Kind::Code);
        }
        Ok(true) => named.problem(entry.path, "it replaces other migrations"),
        Err(reason) => named.problem(entry.path, reason),
    }
}

fn node_pg_migrate(entry: &LayoutFile<'_>, named: &mut Named) {
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
    named.add(entry.path, entry.file, stem, stem, kind);
}

/// The tool knows a committed migration by the hash in its header.
fn graphile_migrate(entry: &LayoutFile<'_>, read: Read<'_>, named: &mut Named) {
    let name = entry.relative;
    if !name.ends_with(".sql") || !name.starts_with(|c: char| c.is_ascii_digit()) {
        return named.problem(entry.path, "its name does not follow the rules of graphile-migrate");
    }
    let hash = |text: String| {
        let mut header = text.lines().take_while(|line| line.starts_with("--!"));
        header.find_map(|line| Some(line.strip_prefix("--! Hash:")?.trim().to_owned()))
    };
    match read_text(entry.path, read).map(hash) {
        Ok(Some(hash)) => named.add(entry.path, entry.file, &hash, name, Kind::Versioned),
        Ok(None) => named.problem(entry.path, "it has no header '--! Hash:'"),
        Err(reason) => named.problem(entry.path, reason),
    }
}

/// The lines of `sqitch.plan` are in the order in which changes are deployed.
fn sqitch(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let at = |name: &str| join(&layout.directory, name);
    let plan = match read_text(&at("sqitch.plan"), read) {
        Ok(plan) => plan,
        Err(reason) => return named.problem(&at("sqitch.plan"), reason),
    };
    let project = plan.lines().find_map(|line| line.trim().strip_prefix("%project="));
    let Some(project) = project.map(str::trim) else {
        return named.problem(&at("sqitch.plan"), "it has no line %project=");
    };
    let changes: Vec<PlannedChange<'_>> =
        plan.lines().filter_map(|line| PlannedChange::of(line.trim())).collect();
    // A line that begins with '-' reverts a change, which a database cannot skip.
    if plan.lines().any(|line| line.trim().starts_with('-')) {
        named.problem(&at("sqitch.plan"), "a line of the plan reverts a change");
    }
    for (index, change) in changes.iter().enumerate() {
        let name = change.name;
        let number = changes[..index].iter().filter(|earlier| earlier.name == name).count();
        let later = changes[index + 1..].iter().find(|later| later.name == name);
        // A change that was reworked keeps its old script under the tag before the new one.
        let script = match later.map(|later| later.reworked_at) {
            None => name.to_owned(),
            Some(Some(tag)) => format!("{name}@{tag}"),
            Some(None) => {
                named.problem(&at("sqitch.plan"), format!("{name} is planned again without a tag"));
                continue;
            }
        };
        let path = at(&format!("deploy/{script}.sql"));
        match files.get(&path) {
            Some(file) => {
                let version = numbered_version(&format!("{project}:{name}"), number);
                named.add(&path, *file, &version, name, Kind::Versioned);
            }
            None => named.problem(&path, "the plan names it, and it does not exist"),
        }
    }
}

/// Returns the version of a change of Sqitch that has the name of `number` changes before it.
pub(super) fn numbered_version(version: &str, number: usize) -> String {
    if number == 0 { version.to_owned() } else { format!("{version}@{}", number + 1) }
}

/// A line of `sqitch.plan` with a change.
struct PlannedChange<'a> {
    name: &'a str,
    /// The tag at which the change was reworked, if it replaces an earlier one of the same name.
    reworked_at: Option<&'a str>,
}

impl<'a> PlannedChange<'a> {
    fn of(line: &'a str) -> Option<Self> {
        if !line.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '+') {
            return None;
        }
        let name = line.trim_start_matches('+').split_whitespace().next().unwrap_or_default();
        let requires =
            line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inside, _)| inside);
        let mut requires = requires.unwrap_or_default().split_whitespace();
        let reworked_at = requires.find_map(|required| required.strip_prefix(name)?.strip_prefix('@'));
        Some(Self { name, reworked_at })
    }
}

/// The journal has the order, and the time by which drizzle knows what is applied.
fn drizzle(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let at = |name: &str| join(&layout.directory, name);
    let journal = at("meta/_journal.json");
    let value: serde_json::Value = match read_text(&journal, read)
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
            Some(file) => named.add(&path, *file, &when.to_string(), tag, Kind::Versioned),
            None => named.problem(&path, "the journal names it, and it does not exist"),
        }
    }
}

/// A revision of Alembic.
struct Revision<'a> {
    id: String,
    parents: Vec<String>,
    path: &'a str,
    file: EntryKind,
}

/// Revisions in an order with parents first; `down_revision` names the parents.
fn alembic(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let mut waiting: BTreeMap<String, Vec<Revision<'_>>> = BTreeMap::new();
    let mut ready: Vec<Revision<'_>> = Vec::new();
    for entry in below(layout, files) {
        if entry.relative.contains('/') || !entry.relative.ends_with(".py") || entry.relative == "__init__.py"
        {
            continue;
        }
        match read_text(entry.path, read).and_then(|text| revision(&text)) {
            Ok((id, parents)) => {
                let revision = Revision { id, parents, path: entry.path, file: entry.file };
                match revision.parents.first().cloned() {
                    Some(parent) => waiting.entry(parent).or_default().push(revision),
                    None => ready.push(revision),
                }
            }
            Err(reason) => named.problem(entry.path, reason),
        }
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    while let Some(revision) = ready.pop() {
        let missing = revision.parents.iter().find(|parent| !known.contains(*parent)).cloned();
        if let Some(parent) = missing {
            waiting.entry(parent).or_default().push(revision);
            continue;
        }
        ready.extend(waiting.remove(&revision.id).into_iter().flatten());
        known.insert(revision.id.clone());
        named.add(revision.path, revision.file, &revision.id, stem(file_name(revision.path)), Kind::Code);
        if let Some(added) = named.migrations.last_mut().filter(|added| added.version == revision.id) {
            added.after = revision.parents;
        }
    }
    // The rest is a circle, or follows a revision that is missing.
    for revision in waiting.into_values().flatten() {
        named.problem(revision.path, "a parent revision is missing");
    }
}

/// Returns the id of a revision and its parents.
fn revision(text: &str) -> Result<(String, Vec<String>), String> {
    let value = |name: &str| text.lines().find_map(|line| assigned(line, name));
    let names = |name: &str| match value(name) {
        // A value of several lines is not read.
        Some(value) if value.ends_with(['(', '[', ',', '\\']) => {
            Err(format!("the value of {name} has several lines"))
        }
        Some(value) => Ok(quoted(&value)),
        None => Err(format!("it has no line {name} = ...")),
    };
    if value("depends_on").is_some_and(|value| value != "None") {
        return Err("depends_on is not read".to_owned());
    }
    match names("revision")?.as_slice() {
        [id] => Ok((id.clone(), names("down_revision")?)),
        _ => Err("it has no line revision = '...'".to_owned()),
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
