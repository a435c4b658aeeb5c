//! Restores that would be wrong: to a commit with migrations that the program does not support, of a
//! database that was not named, or of a backup that is not the newest.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::cluster::bin_dir;
use crate::restore_commit::History;

impl History {
    /// Commits several files in one commit.
    fn commit_all(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.sandbox.repo().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.sandbox.git(["add", "-A"]);
        self.sandbox.git(["commit", "-q", "-m", "files"]);
        self.sandbox.git(["rev-parse", "HEAD"])
    }

    /// Asserts that every command that restores refuses HEAD with `words`.
    #[track_caller]
    fn assert_refused(&self, words: &[&str]) {
        let psql = bin_dir().join("psql").display().to_string();
        let copy = self.copy();
        let before = self.databases_of_server();
        for (args, status) in [
            (&["backup", "restore", "HEAD", "--into", &copy][..], 12),
            (&["backup", "restore", "first", "--commit", "HEAD", "--into", &copy], 12),
            (&["backup", "restore", "HEAD", "--into", &copy, "--allow-schema-difference"], 12),
            (&["backup", "plan", "HEAD", "--into", &copy], 12),
            (&["backup", "restore", "HEAD", "--in-place", "--force", "--disconnect"], 12),
            (&["backup", "restore", "first", "--commit", "HEAD", "--in-place", "--force"], 12),
            (&["checkout", "HEAD", "--name", &copy], 12),
            (&["with", "HEAD", "--", &psql, "-c", "select 1"], 125),
            (&["backup", "find", "HEAD"], 10),
        ] {
            let said = self.pggit(args).fails(status).stderr_text();
            for word in words.iter().chain(&["pggit.<database>.migrateCommand"]) {
                assert!(said.contains(word), "{args:?}: no '{word}' in {said}");
            }
        }
        assert_eq!(self.databases_of_server(), before);
        let listed = self.pggit(&["backup", "restore", "list", "--json"]).success().json();
        assert_eq!(listed["restores"], json!([]));
        let found = self.pggit(&["backup", "find", "HEAD", "--json"]).success().json();
        assert_eq!((&found["best"], &found["candidates"][0]["eligible"]), (&json!(null), &json!(false)));
        // The backup itself can still be restored.
        self.restore("HEAD", &["--no-migrate"]).success();
        assert_eq!(self.mark_of_copy(), self.sandbox.git(["rev-parse", "HEAD~1"]));
        self.drop_the_copy();
    }

    fn databases_of_server(&self) -> String {
        let sql = format!("select datname from pg_database where datname like '%{}%'", self.database);
        self.cluster.psql("postgres", &sql)
    }

    fn mark_of_copy(&self) -> String {
        self.cluster.psql(&self.copy(), "select current_setting('pggit.commit', true)")
    }

    fn drop_the_copy(&self) {
        self.cluster.psql("postgres", &format!("drop database \"{}\"", self.copy()));
    }
}

#[test]
fn a_directory_for_each_migration_is_refused_by_its_files() {
    let history = History::new();
    history.backup("first");
    history.commit_all(&[
        ("migrations/2024_items/up.sql", "create table items (id int);"),
        ("migrations/2024_items/down.sql", "drop table items;"),
    ]);
    history.assert_refused(&[
        "migrations/2024_items/up.sql (it is in a subdirectory)",
        "migrations/2024_items/down.sql",
    ]);
}

#[test]
fn programs_and_links_are_refused_by_name_and_many_are_counted() {
    let history = History::new();
    history.backup("first");
    let files: Vec<String> = (2..9).map(|n| format!("migrations/000{n}_x.rb")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "class X; end")).collect();
    history.commit_all(&files);
    history.assert_refused(&[
        "7 files cannot be run",
        "migrations/0002_x.rb (it is not a *.sql file)",
        "and 2 more",
    ]);

    history.sandbox.git(["reset", "-q", "--hard", "HEAD~1"]);
    fs::write(history.sandbox.repo().join("0002.sql"), "create table items (id int);").unwrap();
    symlink("../0002.sql", history.sandbox.repo().join("migrations/0002.sql")).unwrap();
    history.commit_all(&[]);
    history.assert_refused(&["migrations/0002.sql cannot be run: it is a symbolic link"]);
}

#[test]
fn a_directory_that_is_not_the_configured_one_is_refused() {
    let history = History::new();
    history.sandbox.git(["config", "pggit.shop.migrations", "elsewhere"]);
    history.backup("first");
    history.commit_all(&[("migrations/0002_items.sql", "create table items (id int);")]);
    history.assert_refused(&[
        "the directory elsewhere/ is missing in at least one of the two commits",
        "the schema differs: migrations/0002_items.sql",
    ]);
    // The files that count as schema can be configured.
    history.sandbox.git(["config", "pggit.shop.schemaPaths", "ddl/"]);
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("no migration differs between the two commits"), "{said}");
}

#[test]
fn files_of_two_directions_and_files_that_undo_are_refused() {
    for (name, content, words) in [
        (
            "0002.sql",
            "-- migrate:up\ninsert into orders values (0);\n\n-- migrate:down\ndelete from orders;\n",
            "migrations/0002.sql cannot be run: line 4 begins a part that undoes it ('-- migrate:down')",
        ),
        ("0002.sql", "-- +goose Up\nselect 1;\n-- +goose Down\ndelete from orders;", "line 3 begins"),
        (
            "0002.sql",
            "select 1;\n---- create above / drop below ----\ndelete from orders;",
            "('---- create above / drop below ----')",
        ),
        ("0002.sql", "-- Up Migration\nselect 1;\n-- Down Migration\ndelete from orders;", "line 3"),
        ("down.sql", "delete from orders;", "migrations/down.sql cannot be run: by its name it undoes"),
        ("U1__orders.sql", "delete from orders;", "migrations/U1__orders.sql cannot be run"),
        ("R__view.sql", "delete from orders;", "its name does not follow the rules of Flyway"),
        ("afterMigrate.sql", "delete from orders;", "it is a callback"),
    ] {
        let history = History::new();
        history.backup("first");
        history.commit(name, content);
        let said = history.restore("HEAD", &[]).fails(12).stderr_text();
        assert!(said.contains(words) && said.contains("pggit.<database>.migrateCommand"), "{name}: {said}");
        assert_eq!(history.copies(), "", "{name}");
    }
    // Pairs of files are accepted, and so is the text of a marker in a string.
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.up.sql", "create table items (note text default '\n-- migrate:down\n');");
    history.commit("0002_items.down.sql", "drop table items;");
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("migrated it to commit"), "{said}");
    assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from items"), "0");
}

#[test]
fn a_program_that_is_configured_is_the_way_out() {
    let history = History::new();
    history.backup("first");
    history.commit_all(&[("migrations/2024_items/up.sql", "create table items (id int);")]);
    let runner = "#!/bin/sh\nset -eu\nfor f in migrations/0001_orders.sql migrations/*/up.sql; do\n\
                  [ -n \"${PGGIT_FROM_COMMIT:-}\" ] && [ $f = migrations/0001_orders.sql ] || \
                  psql -Xqv ON_ERROR_STOP=1 -f $f; done\n";
    let program = history.sandbox.path().join("runner");
    fs::write(&program, runner).unwrap();
    history.sandbox.git(["config", "pggit.shop.migrateCommand", &format!("sh {}", program.display())]);
    let found = history.pggit(&["backup", "find", "--json"]).success().json();
    let reason = found["candidates"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("1 commit older, 'sh ") && reason.ends_with("runner' to run"), "{reason}");
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("migrated it to commit"), "{said}");
    assert_eq!(history.cluster.psql(&history.copy(), "select count(*) from items"), "0");
}

#[test]
fn where_nothing_has_to_be_run_that_is_said_and_proved() {
    let history = History::new();
    history.backup("first");
    let target = history.commit_all(&[("README.md", "words"), ("migrations/README.md", "words")]);
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("too: no migration differs between the two commits"), "{said}");
    assert!(!said.contains("migrated it") && said.contains("1 migrations create"), "{said}");
    assert_eq!(history.mark_of_copy(), target);
    history.drop_the_copy();

    // No file differs among the migrations that cannot be run, so the schema is the recorded one.
    history.commit_all(&[("migrations/2_x.rb", "class X; end")]);
    history.backup("second");
    let target = history.commit_all(&[("README.md", "other words")]);
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("no migration differs") && said.contains("recorded with backup"), "{said}");
    assert_eq!(history.mark_of_copy(), target);
    history.drop_the_copy();

    // No schema was recorded and none can be built, so there is nothing to compare with.
    history.sandbox.git(["config", "pggit.shop.recordSchema", "false"]);
    history.backup("third");
    history.commit_all(&[("README.md", "yet other words")]);
    let said = history.restore("third", &["--commit", "HEAD"]).fails(12).stderr_text();
    assert!(
        said.contains("the schema of commit") && said.contains("migrations/2_x.rb cannot be run"),
        "{said}"
    );
    assert_eq!(history.copies(), "");
    history.restore("third", &[]).success();
}

#[test]
fn what_is_made_of_a_part_of_the_migrations_is_no_proof() {
    let history = History::new();
    history.migrate("afterMigrate.sql", "create or replace view v as select 1 as one;");
    history.backup("first");
    let target = history.commit("0002_items.sql", "create table items (id int);");
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(said.contains("no backup of the commit has recorded it"), "{said}");
    assert!(said.contains("afterMigrate.sql cannot be run: by its name it is a callback"), "{said}");
    assert!(said.contains("--allow-unproved"), "{said}");
    // Without a proof the database is not marked, and the record says so.
    let said = history.restore("HEAD", &["--allow-unproved"]).success().stderr_text();
    assert!(said.contains("NOT PROVED: the schema of commit") && said.contains("is unknown"), "{said}");
    assert_eq!(history.mark_of_copy(), "");
    let shown = history.pggit(&["backup", "show", "first", "--json"]).success().json();
    assert_eq!(shown["restores"][0]["details"]["proof"], "none", "{shown:#}");
    history.drop_the_copy();
    let both = history.restore("HEAD", &["--allow-unproved", "--no-migrate"]).fails(129).stderr_text();
    assert!(both.contains("--no-migrate"), "{both}");
    // The schema of a backup of that commit is used for the comparison.
    history.sql("create table items (id int)");
    history.backup("second");
    let said = history.restore("first", &["--commit", "HEAD"]).success().stderr_text();
    assert!(said.contains("migrated it to commit"), "{said}");
    assert!(said.contains("proved: the schema equals the schema recorded with backup"), "{said}");
    assert_eq!(history.mark_of_copy(), target);
}

#[test]
fn other_files_of_the_schema_are_named() {
    let history = History::new();
    history.backup("first");
    history.commit_all(&[
        ("migrations/0002_items.sql", "create table items (id int);"),
        ("db/schema.sql", "create table items (id int);"),
    ]);
    let said = history.restore("HEAD", &[]).success().stderr_text();
    assert!(said.contains("warning: db/schema.sql count") && said.contains("are not run"), "{said}");
}

#[test]
fn of_two_databases_one_has_to_be_named() {
    let history = History::new();
    history.backup("first");
    let url = history.cluster.url(&history.database);
    history.pggit(&["database", "add", "billing", "--url", &url]).success();
    history.pggit(&["backup", "create", "--database", "billing", "--name", "bill"]).success();
    let copy = history.copy();
    for args in [
        &["backup", "restore", "HEAD", "--into", &copy][..],
        &["backup", "restore", "latest", "--into", &copy],
        &["backup", "restore", "oldest", "--into", &copy],
        &["backup", "plan", "HEAD", "--into", &copy],
        &["backup", "find", "HEAD"],
        &["with", "HEAD", "--", "true"],
        &["checkout", "HEAD", "--name", &copy],
    ] {
        let status = if args[0] == "with" { 128 } else { 11 };
        let said = history.pggit(args).fails(status).stderr_text();
        assert!(said.contains("none was selected") && said.contains("--database <name>"), "{args:?}: {said}");
    }
    for (args, option) in [
        (&["list", "--disconnect"][..], "--disconnect"),
        (&["abort", "--wal-store", "s3://b/p"], "--wal-store"),
        (&["finish", "--force"], "--force"),
    ] {
        let said = history.pggit(&[&["backup", "restore"], args].concat()).fails(129).stderr_text();
        assert!(said.starts_with(&format!("error: unexpected argument '{option}'")), "{args:?}: {said}");
    }
    assert_eq!(history.copies(), "");
    let name = |args: &[&str]| {
        let found = history.pggit(&[&["backup", "find", "--json"], args].concat()).success().json();
        found["candidates"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(name(&["--database", "shop"]), ["first"]);
    history.sandbox.git(["config", "pggit.database", "billing"]);
    assert_eq!(name(&[]), ["bill"]);
    // The option names a database. Without it, the only configured or recorded database is used.
    history.sandbox.git(["config", "--unset", "pggit.database"]);
    history.restore("first", &["--database", "shop"]).success();
}

#[test]
fn the_newest_backup_that_can_be_used_is_taken_and_newer_ones_are_named() {
    let history = History::new();
    let id_of = |name: &str| {
        let shown = history.pggit(&["backup", "show", name, "--json"]).success().json();
        shown["id"].as_str().unwrap().to_owned()
    };
    history.backup("old");
    let verdict = |id: &str, status: &str| {
        let event = json!({ "kind": "verified", "verification": "checksum", "status": status });
        crate::backup_cli::append(&history.sandbox, id, 1, event);
    };
    verdict(&id_of("old"), "passed");
    history.backup("new");
    history.backup("newest");
    let taken = || history.pggit(&["backup", "plan", "HEAD", "--into", &history.copy()]).success();
    assert!(taken().stdout_text().starts_with("backup newest "), "not the verified older one");
    let newest = id_of("newest");
    verdict(&newest, "failed");
    let plan = taken();
    assert!(plan.stdout_text().starts_with("backup new "), "{}", plan.snapshot());
    let said = plan.stderr_text();
    assert!(said.contains(&format!("warning: passed over backup newest ({newest})")), "{said}");
    assert!(said.contains("has failed its latest verification"), "{said}");
    assert!(!said.contains("backup old"), "{said}");
}

#[test]
fn the_latest_backup_is_the_latest_completed_one() {
    let history = History::new();
    for word in ["latest", "oldest"] {
        let said = history.restore(word, &[]).fails(10).stderr_text();
        assert!(said.contains(&format!("no backup matches `{word}`: none is completed")), "{said}");
    }
    let register = ["backup", "register", "-d=shop", "--tool=x", "--in-progress"];
    history.pggit(&[&register[..], &["--name=before"]].concat()).success();
    history.backup("good");
    history.pggit(&[&register[..], &["--name=after"]].concat()).success();
    history.pggit(&["backup", "fail", "after", "-m", "disk full"]).success();
    for word in ["latest", "oldest"] {
        let shown = history.pggit(&["backup", "show", word, "--json"]).success().json();
        assert_eq!(shown["name"], "good", "{word}");
    }
    let said = history.restore("latest", &[]).success().stderr_text();
    assert!(said.contains("restored backup good"), "{said}");
}

/// The unit test of the table covers all options in all modes.
#[test]
fn an_option_that_means_nothing_is_a_wrong_command_line() {
    let history = History::new();
    history.backup("first");
    let copy = history.copy();
    for (args, option) in [
        (&["restore", "HEAD", "--into", &copy, "--at", "1h"][..], "--at"),
        (&["restore", "HEAD", "--into", &copy, "--to-latest"], "--to-latest"),
        (&["restore", "HEAD", "--into", &copy, "--start"], "--start"),
        (&["restore", "HEAD", "--into", &copy, "--archive-mode", "off"], "--archive-mode"),
        (&["restore", "HEAD", "--into", &copy, "--disconnect"], "--disconnect"),
        (&["restore", "HEAD", "--into", &copy, "--dry-run", "--force"], "--force"),
        (&["plan", "HEAD", "--into", &copy, "--check-schema"], "--check-schema"),
        (&["plan", "HEAD", "--into", &copy, "--tablespace-mapping", "/a=/b"], "--tablespace-mapping"),
        (&["restore", "HEAD", "--to", "data", "--table", "orders"], "--table"),
        (&["plan", "HEAD", "--to", "data", "--schema", "public"], "--schema"),
        (&["plan", "HEAD", "--to", "data", "--from-database", "shop"], "--from-database"),
        (&["restore", "HEAD", "--in-place", "--lsn", "0/1"], "--lsn"),
    ] {
        let said = history.pggit(&[&["backup"], args].concat()).fails(129).stderr_text();
        assert!(said.starts_with(&format!("error: {option} cannot be used with --")), "{args:?}: {said}");
    }
    for (args, option) in [
        (&["list", "--disconnect"][..], "--disconnect"),
        (&["abort", "--wal-store", "s3://b/p"], "--wal-store"),
        (&["finish", "--force"], "--force"),
    ] {
        let said = history.pggit(&[&["backup", "restore"], args].concat()).fails(129).stderr_text();
        assert!(said.starts_with(&format!("error: unexpected argument '{option}'")), "{args:?}: {said}");
    }
    assert_eq!(history.copies(), "");
}
