//! The part of a migration file that goes forward, as its tool runs it.

use super::checksum::unix_lines;
use super::content::{check, text_of};
use super::layout::Read;
use super::migration::{Kind, MigrationFile};
use super::tool::Tool;

/// The statements of a migration that go forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The content of the file. Lines that are not run are empty, so that line numbers are those of the file.
    pub sql: String,
    /// True if the tool runs the statements without a transaction.
    pub no_transaction: bool,
}

impl Script {
    /// Returns true if the other script has the same statements. They may be at other lines of its file.
    pub fn is_same(&self, other: &Self) -> bool {
        let lines = |script: &Self| unix_lines(script.sql.trim().as_bytes());
        lines(self) == lines(other) && self.no_transaction == other.no_transaction
    }

    /// Returns the statements of a migration that its tool would run.
    ///
    /// # Errors
    /// If only the tool itself can run the migration, or if the tool would refuse the file: the reason.
    pub fn of(tool: Tool, migration: &MigrationFile, read: Read<'_>) -> Result<Self, String> {
        if migration.kind == Kind::Code {
            return Err(format!("it is a program, which only {tool} can run"));
        }
        if !tool.is_run_here() {
            return Err(format!("only {tool} itself runs its migrations"));
        }
        let content = read(&migration.path)?;
        check(tool, &content)?;
        let text = text_of(&content)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let whole = |no_transaction| Ok(Self { sql: text.to_owned(), no_transaction });
        match tool {
            Tool::Goose => goose(text),
            Tool::Dbmate => Ok(dbmate(text)),
            Tool::Tern => tern(text),
            Tool::NodePgMigrate => Ok(node_pg_migrate(text)),
            Tool::Liquibase => liquibase(text, &migration.name),
            Tool::Flyway => flyway(text, migration, read),
            Tool::Sqlx => whole(sqlx_no_transaction(text, read)?),
            Tool::Diesel => whole(diesel_no_transaction(migration, read)?),
            _ => whole(false),
        }
    }
}

impl Tool {
    /// Returns true if the migrations of the tool, or some of them, are SQL files that this program can run and
    /// record as the tool does.
    pub fn is_run_here(self) -> bool {
        use Tool::{
            Dbmate, Diesel, Drizzle, Flyway, GolangMigrate, Goose, Liquibase, NodePgMigrate, Plain, Prisma,
            Refinery, Sqlx, Supabase, Tern,
        };
        matches!(
            self,
            Plain
                | Sqlx
                | Refinery
                | Diesel
                | Goose
                | GolangMigrate
                | Dbmate
                | Tern
                | Flyway
                | Liquibase
                | Prisma
                | Drizzle
                | NodePgMigrate
                | Supabase
        )
    }
}

/// sqlx-core, migrate/migrator.rs. `sqlx.toml` may change the table, and the text that is hashed.
fn sqlx_no_transaction(text: &str, read: Read<'_>) -> Result<bool, String> {
    let settings = read("sqlx.toml").unwrap_or_default();
    let settings = String::from_utf8_lossy(&settings);
    if ["table-name", "ignored-chars"].iter().any(|key| settings.contains(key)) {
        return Err("sqlx.toml has settings of migrations, which only sqlx reads".to_owned());
    }
    Ok(text.starts_with("-- no-transaction"))
}

/// Returns the text with only the lines for which `is_run` returns true. The others are empty.
fn lines_of(text: &str, mut is_run: impl FnMut(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_run(line) {
            kept.push_str(line);
        } else if line.ends_with('\n') {
            kept.push('\n');
        }
    }
    kept
}

/// goose, internal/sqlparser/parser.go: annotations are lines `-- +goose WORDS`.
fn goose(text: &str) -> Result<Script, String> {
    let annotation = |line: &str| {
        let line = line.trim().strip_prefix("--")?.trim_start();
        let (start, rest) = line.split_at_checked("+goose".len())?;
        start.eq_ignore_ascii_case("+goose").then(|| rest.trim().to_ascii_lowercase())
    };
    let mut no_transaction = false;
    let mut is_forward = false;
    for line in text.lines() {
        match annotation(line).as_deref() {
            Some("no transaction") => no_transaction = true,
            Some("envsub on") => {
                return Err("it uses variables of the environment (+goose ENVSUB)".to_owned());
            }
            _ => {}
        }
    }
    let sql = lines_of(text, |line| {
        match annotation(line).as_deref() {
            Some("up") => is_forward = true,
            Some("down") => is_forward = false,
            _ => {}
        }
        is_forward
    });
    Ok(Script { sql, no_transaction })
}

/// dbmate, pkg/dbmate/migration.go: the options of a block follow its marker.
fn dbmate(text: &str) -> Script {
    let (mut no_transaction, mut is_forward) = (false, false);
    let sql = lines_of(text, |line| {
        let marker = line.trim_end().strip_prefix("--").map(str::trim_start);
        match marker.and_then(|text| text.strip_prefix("migrate:")) {
            Some(rest) if rest.split_whitespace().next() == Some("up") => {
                is_forward = true;
                no_transaction |= rest.split_whitespace().any(|option| option == "transaction:false");
            }
            Some(rest) if rest.split_whitespace().next() == Some("down") => is_forward = false,
            _ => {}
        }
        is_forward
    });
    Script { sql, no_transaction }
}

/// tern, migrate/migrate.go: a file is a template of Go, and the separator ends its forward part.
fn tern(text: &str) -> Result<Script, String> {
    const SEPARATOR: &str = "---- create above / drop below ----";
    const NO_TRANSACTION: &str = "---- tern: disable-tx ----";
    let forward = text.find(SEPARATOR).map_or(text, |at| &text[..at]);
    if forward.contains("{{") {
        return Err("it is a template, which only tern can expand".to_owned());
    }
    // The line has to be exactly this.
    let no_transaction = forward.split('\n').any(|line| line == NO_TRANSACTION);
    Ok(Script { sql: forward.to_owned(), no_transaction })
}

/// node-pg-migrate, sqlMigration.ts: the markers are comments, and a file without them goes forward.
fn node_pg_migrate(text: &str) -> Script {
    let direction = |line: &str| {
        let words = line.trim_start().strip_prefix("--")?;
        let words = words.trim_start_matches(|c: char| c == '-' || c.is_whitespace()).to_ascii_lowercase();
        let rest = words.strip_prefix("up").map(|rest| (true, rest));
        let (is_up, rest) = rest.or_else(|| words.strip_prefix("down").map(|rest| (false, rest)))?;
        let is_marker = rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with("migration");
        is_marker.then_some(is_up)
    };
    // Only the first marker of each direction counts.
    let Some(up) = text.lines().position(|line| direction(line) == Some(true)) else {
        return Script { sql: text.to_owned(), no_transaction: false };
    };
    let down = text.lines().position(|line| direction(line) == Some(false)).filter(|down| *down > up);
    let mut number = 0;
    let sql = lines_of(text, |_| {
        let is_forward = number >= up && down.is_none_or(|down| number < down);
        number += 1;
        is_forward
    });
    Script { sql, no_transaction: false }
}

/// The change set `author:id` of a changelog in formatted SQL.
fn liquibase(text: &str, name: &str) -> Result<Script, String> {
    let mut no_transaction = false;
    let mut is_ours = false;
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut refused = first
        .to_ascii_lowercase()
        .contains("logicalfilepath")
        .then(|| "it has a logicalFilePath, which is not read".to_owned());
    let mut keeps_comments = false;
    let mut has_comments = false;
    let sql = lines_of(text, |line| {
        let Some(comment) = line.trim().strip_prefix("--") else {
            has_comments |= is_ours && (line.contains("--") || line.contains("/*"));
            return is_ours;
        };
        let mut words = comment.split_whitespace();
        let word = words.next().unwrap_or_default().to_ascii_lowercase();
        match word.as_str() {
            "changeset" => {
                is_ours = words.next() == Some(name);
                if is_ours {
                    keeps_comments = line.to_ascii_lowercase().contains("stripcomments:false");
                    match is_without_transaction(words) {
                        Ok(without) => no_transaction = without,
                        Err(reason) => refused = Some(reason),
                    }
                }
            }
            word if is_ours && CONDITIONS.iter().any(|start| word.starts_with(start)) => {
                refused = Some(format!("only Liquibase evaluates '{word}'"));
            }
            "property" => refused = Some("only Liquibase replaces properties".to_owned()),
            word if word.starts_with("comment") || word.starts_with("rollback") => {}
            _ => has_comments |= is_ours,
        }
        is_ours && !word.starts_with("rollback")
    });
    match refused {
        Some(reason) => Err(reason),
        // Liquibase changes the statements, also the bodies of functions.
        None if has_comments && !keeps_comments => {
            Err("it has comments, which only Liquibase removes (stripComments)".to_owned())
        }
        None if sql.contains('\r') => {
            Err("it has line ends of Windows, which only Liquibase changes".to_owned())
        }
        None if sql.contains("${") => Err("it has a property, which only Liquibase replaces".to_owned()),
        None => Ok(Script { sql, no_transaction }),
    }
}

/// The beginnings of the directives of a change set that decide whether or what it runs.
const CONDITIONS: [&str; 3] = ["precondition", "validchecksum", "ignorelines"];

/// Returns true if the attributes of a change set say that it runs without a transaction.
///
/// # Errors
/// If an attribute decides whether the change set runs, or how often: the reason.
fn is_without_transaction<'a>(attributes: impl Iterator<Item = &'a str>) -> Result<bool, String> {
    /// Attributes without effect on the statements of a change set, which are split by their syntax.
    const WITHOUT_EFFECT: [&str; 3] = ["splitstatements", "stripcomments", "endwithnewline"];
    let mut no_transaction = false;
    for attribute in attributes {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let (name, value) = (name.to_ascii_lowercase(), value.to_ascii_lowercase());
        match (name.as_str(), value.as_str()) {
            ("runintransaction", value) => no_transaction = value == "false",
            // A change set that was changed after it ran is not run here at all.
            ("runonchange", _)
            | ("runalways", "false")
            | ("failonerror", "true")
            | ("dbms", "postgresql") => {}
            (name, _) if WITHOUT_EFFECT.contains(&name) => {}
            _ => return Err(format!("only Liquibase evaluates the attribute '{attribute}'")),
        }
    }
    Ok(no_transaction)
}

/// Flyway replaces `${name}` in a script, and a file `<script>.conf` beside it has settings of the script.
fn flyway(text: &str, migration: &MigrationFile, read: Read<'_>) -> Result<Script, String> {
    if text.contains("${") {
        return Err("it has a placeholder, which only Flyway replaces".to_owned());
    }
    let no_transaction = match read(&format!("{}.conf", migration.path)) {
        Err(_) => false,
        Ok(settings) => {
            let settings = text_of(&settings)?.to_ascii_lowercase();
            let mut lines = settings.lines().map(str::trim);
            let is_known = |line: &str| {
                line.is_empty() || line.starts_with('#') || line.starts_with("executeintransaction")
            };
            if !lines.clone().all(is_known) {
                return Err("it has a file of settings, which only Flyway reads".to_owned());
            }
            lines.any(|line| line.split_once('=').is_some_and(|(_, value)| value.trim() == "false"))
        }
    };
    Ok(Script { sql: text.to_owned(), no_transaction })
}

/// diesel_migrations, file_based_migrations.rs: `metadata.toml` beside `up.sql` may disable the transaction. A
/// file without the key disables it, too.
fn diesel_no_transaction(migration: &MigrationFile, read: Read<'_>) -> Result<bool, String> {
    let directory = migration.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let Ok(settings) = read(&format!("{directory}/metadata.toml")) else { return Ok(false) };
    let mut no_transaction = true;
    for line in text_of(&settings)?.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            None if line.is_empty() => {}
            Some(("run_in_transaction", "false")) => no_transaction = true,
            Some(("run_in_transaction", "true")) => no_transaction = false,
            _ => return Err("its metadata.toml is not understood".to_owned()),
        }
    }
    Ok(no_transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(tool: Tool, name: &str, texts: &[(&str, &str)]) -> Result<Script, String> {
        let migration = MigrationFile {
            version: "1".into(),
            name: name.into(),
            kind: Kind::Versioned,
            path: texts[0].0.into(),
            checksums: Vec::new(),
            after: Vec::new(),
        };
        let read = |path: &str| {
            let found = texts.iter().find(|(known, _)| *known == path);
            found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| "it is missing".to_owned())
        };
        Script::of(tool, &migration, &read)
    }

    fn of(tool: Tool, text: &str) -> (String, bool) {
        let script = script(tool, "a:1", &[("m/1.sql", text)]).unwrap();
        (script.sql, script.no_transaction)
    }

    fn refused(tool: Tool, text: &str) -> String {
        script(tool, "a:1", &[("m/1.sql", text)]).unwrap_err()
    }

    #[test]
    fn only_the_part_of_the_way_up_is_run_and_lines_keep_their_numbers() {
        let goose = "-- +goose NO TRANSACTION\n-- +goose Up\nup;\n-- +goose Down\ndown;\n";
        assert_eq!(of(Tool::Goose, goose), ("\n-- +goose Up\nup;\n\n\n".into(), true));
        let dbmate = "\u{feff}-- migrate:up transaction:false\r\nup;\r\n-- migrate:down\r\ndown;";
        assert_eq!(of(Tool::Dbmate, dbmate), ("-- migrate:up transaction:false\r\nup;\r\n\n".into(), true));
        let tern = "up;\n---- create above / drop below ----\ndown;\n";
        assert_eq!(of(Tool::Tern, tern), ("up;\n".into(), false));
        let node = "--up   migration\nup;\n-- Down Migration\ndown;\n";
        assert_eq!(of(Tool::NodePgMigrate, node), ("--up   migration\nup;\n\n\n".into(), false));
        // Without a marker of the way up the tool runs the whole file.
        let node = "a;\n-- Down Migration\nb;\n";
        assert_eq!(of(Tool::NodePgMigrate, node), (node.into(), false));
        let liquibase = "--liquibase formatted sql\n--changeset a:0\nzero;\n\
            --changeset a:1 runInTransaction:false\none;\n--rollback down;\n--changeset a:2\ntwo;\n";
        let expected = "\n\n\n--changeset a:1 runInTransaction:false\none;\n\n\n\n";
        assert_eq!(of(Tool::Liquibase, liquibase), (expected.into(), true));
        assert_eq!(of(Tool::Sqlx, "-- no-transaction\nx"), ("-- no-transaction\nx".into(), true));
        assert!(!of(Tool::Sqlx, "\n-- no-transaction\nx").1);
    }

    #[test]
    fn files_beside_a_script_disable_its_transaction() {
        let diesel = |settings: &str| {
            let files = [("m/1_a/up.sql", "x"), ("m/1_a/metadata.toml", settings)];
            script(Tool::Diesel, "a", &files).map(|script| script.no_transaction)
        };
        assert_eq!(diesel("run_in_transaction = false # why"), Ok(true));
        assert_eq!(diesel("run_in_transaction = true"), Ok(false));
        assert_eq!(diesel(""), Ok(true));
        assert!(diesel("[other]").is_err());
        assert!(!of(Tool::Diesel, "x").1);
        let flyway = |settings: &str| {
            let files = [("m/V1__a.sql", "x"), ("m/V1__a.sql.conf", settings)];
            script(Tool::Flyway, "a", &files).map(|script| script.no_transaction)
        };
        assert_eq!(flyway("executeInTransaction=false\n"), Ok(true));
        assert!(flyway("encoding=latin1").is_err());
    }

    #[test]
    fn only_the_tool_runs_templates_programs_and_conditions() {
        assert!(refused(Tool::Goose, "-- +goose Up\n-- +goose ENVSUB ON\nx").contains("environment"));
        assert!(refused(Tool::Tern, "{{ template \"x\" }}").contains("template"));
        assert!(refused(Tool::Flyway, "create table ${name} ()").contains("placeholder"));
        for attribute in ["context:test", "labels:x", "runAlways:true", "endDelimiter:@"] {
            let text = format!("--liquibase formatted sql\n--changeset a:1 {attribute}\nx;\n");
            assert!(refused(Tool::Liquibase, &text).contains(attribute), "{attribute}");
        }
        let text = "--liquibase formatted sql\n--changeset a:1\n--preconditions onFail:HALT\nx;\n";
        assert!(refused(Tool::Liquibase, text).contains("preconditions"));
        let liquibase = |attribute: &str, body: &str| {
            format!("--liquibase formatted sql\n--changeset a:1{attribute}\n--comment: why\n{body}\n")
        };
        for body in ["select 1; -- why", "-- why\nselect 1;", "select /* why */ 1;"] {
            assert!(refused(Tool::Liquibase, &liquibase("", body)).contains("comments"), "{body}");
            of(Tool::Liquibase, &liquibase(" stripComments:false", body));
        }
        assert!(refused(Tool::Liquibase, &liquibase("", "select 1;\r\nselect 2;")).contains("line ends"));
        assert!(refused(Tool::Rails, "x").contains("only rails"));
        assert!(refused(Tool::Atlas, "x").contains("only atlas"));
        assert!(refused(Tool::Sqlx, "version https://git-lfs.github.com/spec/v1\n").contains("LFS"));
    }
}
