//! `git pggit backup find`, and `backup restore` to a commit: the best backup, the migrations after it, the
//! schema comparison.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::sandbox::{Output, Sandbox};

/// A repository of migrations, and a database with their schema.
pub(crate) struct History {
    pub(crate) sandbox: Sandbox,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) database: String,
}

impl History {
    pub(crate) fn new() -> Self {
        Self::on(Cluster::shared())
    }

    pub(crate) fn on(cluster: Arc<Cluster>) -> Self {
        let sandbox = Sandbox::new();
        let database = cluster.create_database("history");
        let history = Self { sandbox, cluster, database };
        history.migrate("0001_orders.sql", "create table orders (id int primary key, note text);");
        history.sql("insert into orders select g, md5(g::text) from generate_series(1, 100) g");
        let url = history.cluster.url(&history.database);
        history.pggit(&["database", "add", "shop", "--url", &url]).success();
        history
    }

    /// Commits a migration and runs it.
    pub(crate) fn migrate(&self, name: &str, sql: &str) -> String {
        self.sql(sql);
        self.commit(name, sql)
    }

    /// Commits a migration and does not run it.
    pub(crate) fn commit(&self, name: &str, sql: &str) -> String {
        self.sandbox.commit(&format!("migrations/{name}"), sql, name)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.database, sql)
    }

    pub(crate) fn pggit(&self, args: &[&str]) -> Output {
        self.sandbox.pggit(args)
    }

    pub(crate) fn backup(&self, name: &str) {
        self.pggit(&["backup", "create", "--name", name]).success();
    }

    pub(crate) fn copy(&self) -> String {
        format!("{}_copy", self.database)
    }

    pub(crate) fn restore(&self, what: &str, more: &[&str]) -> Output {
        self.pggit(&[&["backup", "restore", what, "--into", &self.copy()], more].concat())
    }

    /// Returns the databases that a restore has made or left over.
    pub(crate) fn copies(&self) -> String {
        let sql = format!("select datname from pg_database where datname like '{}%' order by 1", self.copy());
        self.cluster.psql("postgres", &sql)
    }

    fn found(&self, args: &[&str]) -> Value {
        self.pggit(&[&["backup", "find", "--json"], args].concat()).success().json()
    }
}

#[test]
fn the_best_backup_is_exact_or_has_the_fewest_migrations_behind_it() {
    let history = History::new();
    history.backup("old");
    history.migrate("0002_items.sql", "create table items (id int primary key);");
    history.backup("near");
    history.sandbox.commit("README.md", "text", "words only");
    let target = history.commit("0003_view.sql", "create view v as select 1 as one;");
    let names = |found: &Value| -> Vec<String> {
        let all = found["candidates"].as_array().unwrap().iter();
        all.map(|one| format!("{}: {}", one["name"].as_str().unwrap(), one["reason"].as_str().unwrap()))
            .collect()
    };
    let found = history.found(&[]);
    assert_eq!(
        names(&found),
        ["near: 2 commits older, 1 migration to run", "old: 3 commits older, 2 migrations to run"]
    );
    assert_eq!((&found["commit"], &found["best"]), (&target.into(), &found["candidates"][0]["backup"]));
    assert_eq!(names(&history.found(&["HEAD~1"]))[0], "near: 1 commit older, no migration between");
    assert_eq!(names(&history.found(&["HEAD~2"]))[0], "near: made of this commit");
    assert_eq!(names(&history.found(&["--limit", "1"])).len(), 1);
    assert_eq!(history.found(&["--tool", "pgbackrest"])["best"], Value::Null);
    assert_eq!(history.found(&["--verified-only"])["best"], Value::Null);
    assert_eq!(history.found(&["--at", "2020-01-01"])["best"], Value::Null);
    let shown = history.pggit(&["backup", "find"]).success().stdout_text();
    assert!(shown.lines().nth(1).unwrap().contains("near"), "{shown}");

    // A newer backup is never used, and neither is one without its bytes.
    let root = history.sandbox.git(["rev-list", "--max-parents=0", "HEAD"]);
    history.sandbox.git(["checkout", "-q", "-b", "other", &root]);
    history.sandbox.git(["reset", "-q", "--hard", &root]);
    let id = history.found(&["main~2"])["candidates"][0]["backup"].as_str().unwrap().to_owned();
    let store = history.sandbox.repo().join(".git/pggit/store/artifacts/shop").join(id);
    std::fs::rename(&store, store.with_extension("away")).unwrap();
    let found = history.found(&["main"]);
    assert!(
        names(&found)[0].starts_with("old: ") && names(&found)[1].contains("its bytes are unavailable"),
        "{found}"
    );
    assert!(names(&history.found(&["main", "--no-check"]))[0].starts_with("near: "));
}

#[test]
fn a_backup_that_is_newer_is_named_and_not_used() {
    let history = History::new();
    let before = history.sandbox.git(["rev-parse", "HEAD"]);
    history.migrate("0002_items.sql", "create table items (id int primary key);");
    history.backup("newer");
    let said = history.pggit(&["backup", "find", &before]).fails(10).stderr_text();
    assert!(said.contains("newer: migrations are not undone"), "{said}");
    let said = history.restore(&before, &[]).fails(10).stderr_text();
    assert!(said.contains("newer: migrations are not undone"), "{said}");
    assert_eq!(history.copies(), "");
}

#[test]
fn a_backup_of_another_commit_with_a_part_of_the_migrations_is_used_if_no_other_is() {
    let history = History::new();
    let first = history.sandbox.git(["rev-parse", "HEAD"]);
    history.sandbox.commit("README.md", "a shop", "words");
    history.backup("newer");
    let best = |commit: &str| history.found(&[commit])["candidates"][0].clone();
    let newer = best(first.trim());
    assert_eq!((&newer["relation"], &newer["migrations"]), (&"newer".into(), &0.into()), "{newer}");
    assert_eq!(newer["reason"], "1 commit newer, with the same migrations");
    history.restore(first.trim(), &[]).success();
    history.cluster.psql("postgres", &format!("drop database \"{}\"", history.copy()));
    // A branch that began before the backup, with a migration of its own.
    history.sandbox.git(["checkout", "-q", "-b", "side", first.trim()]);
    history.commit("0002_items.sql", "create table items (id int);");
    let side = best("HEAD");
    assert_eq!((&side["relation"], &side["migrations"]), (&"side".into(), &1.into()), "{side}");
    assert_eq!(side["reason"], "on another branch, 1 migration to run");
    history.restore("HEAD", &[]).success();
    assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from items"), "0");
    // A backup in the history of the commit is nearer.
    history.sql("create table items (id int)");
    history.backup("exact");
    history.sandbox.commit("notes.md", "words", "words");
    assert_eq!(best("HEAD")["relation"], "ancestor");
}

#[test]
fn a_restore_to_a_commit_runs_what_is_missing_and_proves_the_schema() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int primary key);");
    history.commit("0010_more.sql", "create index concurrently on orders (note);");
    let target = history.commit("0009_note.sql", "alter table orders add column at date;");
    let steps = history.restore("HEAD", &["--dry-run"]).success().stdout_text();
    assert!(steps.contains("run 0002_items.sql, 0009_note.sql, 0010_more.sql"), "{steps}");
    assert!(
        steps.contains("compare its schema with the schema that 4 migrations create in an empty database"),
        "{steps}"
    );
    assert_eq!(history.copies(), "");

    let restored = history.restore("HEAD", &["--json"]).success().json();
    assert_eq!((&restored["commit"], &restored["schema_difference"]), (&target.clone().into(), &Value::Null));
    let copy = history.copy();
    assert_eq!(history.copies(), copy);
    assert_eq!(history.cluster.psql(&copy, "select count(*), count(at) from orders"), "100|0");
    assert_eq!(history.cluster.psql(&copy, "show pggit.commit"), target);
    assert_eq!(
        history
            .cluster
            .psql(&copy, "select count(*) from pg_index where indrelid = 'orders'::regclass and indisvalid"),
        "2"
    );

    // Restored without migrations, or migrated from a backup that is named.
    history.cluster.psql("postgres", &format!("drop database \"{copy}\""));
    history.restore("HEAD", &["--no-migrate"]).success();
    assert_eq!(history.cluster.psql(&copy, "select to_regclass('items') is null"), "t");
    history.cluster.psql("postgres", &format!("drop database \"{copy}\""));
    history.restore("first", &["--commit", "HEAD~2"]).success();
    assert_eq!(history.cluster.psql(&copy, "select to_regclass('items') is null"), "f");
    assert_eq!(
        history.cluster.psql(&copy, "show pggit.commit"),
        history.sandbox.git(["rev-parse", "HEAD~2"])
    );
}

#[test]
fn a_schema_that_is_another_one_is_refused_unless_it_is_allowed() {
    let history = History::new();
    history.sql("create table not_in_any_migration (x int)");
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int primary key);");
    let said = history.restore("HEAD", &[]).fails(1).stderr_text();
    assert!(said.contains("+CREATE TABLE public.not_in_any_migration"), "{said}");
    assert!(said.contains("--allow-schema-difference"), "{said}");
    assert_eq!(history.copies(), "");
    let restored = history.restore("HEAD", &["--allow-schema-difference", "--json"]).success().json();
    assert!(restored["schema_difference"].as_str().unwrap().contains("not_in_any_migration"));
    assert_eq!(history.copies(), history.copy());
}

/// A migration of a table that no migration creates runs after the backup, but not in an empty database. An
/// unknown difference cannot be allowed.
#[test]
fn a_schema_that_cannot_be_compared_is_refused_also_where_differences_are_allowed() {
    let history = History::new();
    history.sql("create table by_hand (x int)");
    history.backup("first");
    history.commit("0002_by_hand.sql", "alter table by_hand add y int;");
    for options in [&[][..], &["--allow-schema-difference"]] {
        let said = history.restore("HEAD", options).fails(12).stderr_text();
        assert!(said.contains("do not produce a schema to compare with"), "{said}");
        assert!(said.contains("--no-migrate") && !said.contains("--allow-schema-difference"), "{said}");
        assert_eq!(history.copies(), "");
    }
    history.restore("HEAD", &["--no-migrate"]).success();
}

#[test]
fn a_migration_that_fails_or_was_changed_leaves_nothing() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_fine.sql", "create table fine (id int);");
    history.commit("0003_wrong.sql", "create table wrong (id nonsense);");
    let said = history.restore("HEAD", &[]).fails(13).stderr_text();
    assert!(said.contains("0003_wrong.sql:1: type \"nonsense\" does not exist (SQLSTATE 42704)"), "{said}");
    assert_eq!(history.copies(), "");

    history.commit("0001_orders.sql", "create table orders (id bigint primary key, note text);");
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(said.contains("migration 0001_orders.sql was changed after the backup"), "{said}");
    history.sandbox.git(["rm", "-q", "migrations/0001_orders.sql"]);
    history.sandbox.git(["commit", "-q", "-m", "gone"]);
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(
        said.contains("migration 0001_orders.sql is in the backup, but not in the wanted commit"),
        "{said}"
    );
    assert_eq!(history.copies(), "");
}

#[test]
fn other_line_ends_of_a_migration_are_no_change() {
    let history = History::new();
    history.migrate("0002_items.sql", "create table items (id int);\r\n-- x\r\n");
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int);\n-- x\n");
    history.commit("0003_more.sql", "create table more (id int);\n");
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("migrated it to commit") && !said.contains("0002_items"), "{said}");
}

#[test]
fn who_dies_on_the_way_leaves_what_the_next_try_removes() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int primary key);");
    for point in ["recovery.loaded", "recovery.migrated"] {
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "restore", "HEAD", "--into", &history.copy()]).env("PGGIT_CRASH_AT", point);
        assert_ne!(history.sandbox.output(&mut command).status, 0);
        assert_eq!(history.copies(), format!("{}~pggit", history.copy()), "{point}");
    }
    history.restore("HEAD", &[]).success();
    assert_eq!(history.copies(), history.copy());
}

#[test]
fn hostile_names_of_migrations_are_names() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_it's; \\! touch pwned $(touch pwned).sql", "create table items (id int);");
    history.commit("-0003.sql", "create table dashed (id int);");
    history.restore("HEAD", &[]).success();
    assert_eq!(
        history.cluster.psql(&history.copy(), "select count(*) from pg_tables where schemaname = 'public'"),
        "3"
    );
    assert!(!history.sandbox.repo().join("pwned").exists());
}

#[test]
fn a_plan_shows_what_runs_and_what_stands_against_it() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int primary key);");
    let copy = history.copy();
    let plan = |more: &[&str]| {
        history.pggit(&[&["backup", "plan", "HEAD", "--into", &copy, "--json"], more].concat())
    };
    let shown = plan(&[]).success().json();
    let steps: Vec<&Value> = shown["steps"].as_array().unwrap().iter().collect();
    let load = steps.iter().find(|step| step["bulk"] == true).unwrap();
    let argv: Vec<&str> =
        load["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(argv[0].ends_with("/pg_restore") && argv.contains(&"--exit-on-error"), "{argv:?}");
    assert!(!argv.contains(&"--single-transaction"), "it would need a lock for each object: {argv:?}");
    assert!(argv.iter().any(|word| word.contains(&format!("{copy}~pggit"))), "{argv:?}");
    assert!(!shown.to_string().contains("password="), "{shown}");
    assert!(steps.iter().any(|step| step["what"] == "run 0002_items.sql"), "{shown}");
    assert_eq!((&shown["refusals"], &shown["estimate_s"]), (&Value::Array(Vec::new()), &Value::Null));
    assert_eq!(shown["into"]["database"], copy);
    assert_eq!(history.copies(), "");
    history.restore("HEAD", &[]).success();
    let refused = plan(&[]).fails(12);
    assert!(refused.json()["refusals"][0]["error"]["message"].as_str().unwrap().contains("already exists"));
    let text = history.pggit(&["backup", "plan", "HEAD", "--into", &copy]).fails(12);
    assert!(
        text.stdout_text().contains("everything that was created is removed if a step fails"),
        "{}",
        text.snapshot()
    );
    history.pggit(&["backup", "plan", "HEAD"]).fails(129);
}

#[test]
fn what_has_failed_its_verification_is_restored_only_by_its_own_id() {
    let history = History::new();
    history.backup("first");
    let shown = history.pggit(&["backup", "show", "first", "--json"]).success().json();
    let id = shown["id"].as_str().unwrap().to_owned();
    let verdict = |status: &str| {
        let event = serde_json::json!({ "kind": "verified", "verification": "checksum", "status": status });
        crate::backup_cli::append(&history.sandbox, &id, 1, event);
    };
    verdict("failed");
    for asked in ["latest", "oldest", "first"] {
        let text = history.restore(asked, &[]).fails(12).stderr_text();
        assert!(
            text.contains("has failed its latest verification") && text.contains("by the id of the backup"),
            "{text}"
        );
    }
    let text = history.restore("HEAD", &[]).fails(10).stderr_text();
    assert!(text.contains("has failed its latest verification"), "{text}");
    assert_eq!(history.copies(), "");
    history.restore(&id[..18], &[]).success();
    history.cluster.psql("postgres", &format!("drop database {}", history.copy()));
    verdict("passed");
    history.restore("latest", &[]).success();
}

#[test]
fn the_example_restores_to_a_commit_through_the_library() {
    let history = History::new();
    history.backup("one");
    history.migrate("0002_items.sql", "create table items (id int primary key);");
    let example = std::path::Path::new(env!("CARGO_BIN_EXE_git-pggit")).with_file_name("examples/restore");
    let run = |args: &[&str]| history.sandbox.output(history.sandbox.command(&example).args(args));
    let said = run(&["HEAD", &history.copy()]).success().stdout_text();
    let head = history.sandbox.git(["rev-parse", "HEAD"]);
    assert!(said.contains(&format!("database {} is at commit {head}", history.copy())), "{said}");
    assert!(
        said.contains(
            "built-schema: the schema equals the schema that 2 migrations create in an empty database"
        ),
        "{said}"
    );
    assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from items"), "0");
    assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from orders"), "100");
    let log = history.pggit(&["backup", "log", "--json"]).success().stdout_text();
    assert!(log.contains("restored"), "{log}");
    assert!(run(&["HEAD", &history.copy()]).fails(1).stderr_text().contains("already exists"));
}

#[test]
fn a_tool_can_be_chosen() {
    let history = History::new();
    history.backup("one");
    for asked in ["HEAD", "latest", "one"] {
        let said = history.restore(asked, &["--tool", "pg_basebackup"]).fails(10).stderr_text();
        assert!(said.starts_with("error: "), "{said}");
    }
    history.restore("HEAD", &["--tool", "pg_dump"]).success();
}

#[test]
fn a_name_means_the_completed_backup_of_several_attempts() {
    let history = History::new();
    let url = history.cluster.url(&history.database);
    history.sandbox.git(["config", "pggit.shop.url", "postgresql://nobody@127.0.0.1:1/x"]);
    let failed = history.pggit(&["backup", "create", "--name", "pre-deploy"]);
    assert_ne!(failed.status, 0);
    history.sandbox.git(["config", "pggit.shop.url", &url]);
    history.backup("pre-deploy");
    history.restore("pre-deploy", &[]).success();
    history.pggit(&["backup", "verify", "pre-deploy", "--kind", "checksum"]).success();
    // A command that changes a record does not choose.
    history.pggit(&["backup", "hold", "pre-deploy", "--reason", "x"]).fails(11);
}

#[test]
fn a_shallow_clone_says_that_history_is_missing() {
    let history = History::new();
    history.backup("first");
    history.sandbox.commit("README.md", "a shop", "words");
    let clone = history.sandbox.path().join("clone");
    let from = format!("file://{}", history.sandbox.repo().display());
    history.sandbox.git(["clone", "-q", "--depth=1", &from, clone.to_str().unwrap()]);
    let inside = |args: &[&str]| {
        let mut command = history.sandbox.pggit_command();
        command.current_dir(&clone).args(args);
        history.sandbox.output(&mut command)
    };
    let found = inside(&["backup", "find", "HEAD"]).fails(10).stderr_text();
    assert!(found.contains("this clone is shallow") && found.contains("--unshallow"), "{found}");
    let coverage = inside(&["backup", "coverage"]).success().stderr_text();
    assert!(coverage.contains("this clone is shallow"), "{coverage}");
}
