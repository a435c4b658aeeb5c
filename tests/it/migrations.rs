//! `git pggit migrations`: the migrations of a commit, and their states in a database with the real
//! tables of migration tools.

use std::sync::Arc;

use crate::cluster::{Cluster, bin_dir};
use crate::sandbox::Sandbox;

const SQLX: &str = "create table _sqlx_migrations (version bigint primary key, description text not null, \
    installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, \
    execution_time bigint not null)";

/// A repository and its database `shop` on the shared cluster.
fn shop() -> (Sandbox, Arc<Cluster>, String) {
    let cluster = Cluster::shared();
    let dbname = cluster.create_database("migrations");
    let mut sandbox = Sandbox::new();
    sandbox.set("PGGIT_PGBIN", bin_dir());
    sandbox.git(["config", "pggit.shop.url", &cluster.url(&dbname)]);
    (sandbox, cluster, dbname)
}

/// Records in the table of sqlx that a migration was applied with the content `sql`.
fn applied_by_sqlx(cluster: &Cluster, dbname: &str, version: u64, sql: &str) {
    let insert = format!(
        "insert into _sqlx_migrations values ({version}, 'x', now(), true, sha384($m${sql}$m$::bytea), 1)"
    );
    cluster.psql(dbname, &insert);
}

/// The states by version.
fn states(json: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let all = json["migrations"].as_array().unwrap().iter();
    all.map(|one| (text(&one["version"]), text(&one["state"]))).collect()
}

#[test]
fn the_states_of_sqlx_are_compared_by_checksum() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n", "the program");
    sandbox.commit("migrations/1_orders.sql", "create table orders ();", "orders");
    let second = sandbox.commit("migrations/2_items.sql", "create table items ();", "items");
    sandbox.commit("migrations/10_users.sql", "create table users ();", "users");
    cluster.psql(&dbname, SQLX);
    applied_by_sqlx(&cluster, &dbname, 1, "create table orders ();");
    applied_by_sqlx(&cluster, &dbname, 2, "create table items ();");
    let at_second =
        sandbox.pggit(["migrations", &second, "-d", "shop", "--exit-code", "--json"]).success().json();
    assert_eq!(at_second["tool"], "sqlx");
    assert_eq!(at_second["database"]["at_commit"], true);
    assert_eq!(at_second["database"]["by_checksum"], true);
    assert_eq!(at_second["database"]["table"], "public._sqlx_migrations");
    let head = sandbox.pggit(["migrations", "-d", "shop", "--exit-code", "--json"]).fails(1).json();
    let expected = [("1", "applied"), ("2", "applied"), ("10", "pending")];
    assert_eq!(states(&head), expected.map(|(version, state)| (version.to_owned(), state.to_owned())));
    // A file that was edited after it ran, and a migration that no commit has.
    sandbox.commit("migrations/2_items.sql", "create table items (id int);", "items have an id");
    applied_by_sqlx(&cluster, &dbname, 7, "select 1");
    let head = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    assert_eq!(head["database"]["at_commit"], false);
    assert!(states(&head).contains(&("2".to_owned(), "changed".to_owned())));
    assert!(states(&head).contains(&("7".to_owned(), "unknown".to_owned())));
    let text = sandbox.pggit(["migrations", "-d", "shop"]).success().stdout_text();
    assert!(text.contains("is not at commit") && text.contains("1 changed, 1 unknown"), "{text}");
    assert!(text.contains("(in no branch)"), "{text}");
    sandbox.git(["checkout", "-q", "-b", "feature"]);
    sandbox.commit("migrations/7_early.sql", "select 1", "early");
    sandbox.git(["checkout", "-q", "main"]);
    let head = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    let unknown = head["migrations"].as_array().unwrap().iter().find(|it| it["version"] == "7").unwrap();
    assert_eq!(unknown["branches"], serde_json::json!(["feature"]));
}

#[test]
fn a_tool_that_fails_leaves_an_incomplete_migration() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("go.mod", "require github.com/golang-migrate/migrate/v4 v4.1\n", "the program");
    sandbox.commit("migrations/1_a.up.sql", "create table a ();", "a");
    sandbox.commit("migrations/1_a.down.sql", "drop table a;", "and back");
    let second = sandbox.commit("migrations/2_b.up.sql", "create table b ();", "b");
    cluster
        .psql(&dbname, "create table schema_migrations (version bigint primary key, dirty boolean not null)");
    cluster.psql(&dbname, "insert into schema_migrations values (2, false)");
    sandbox.pggit(["migrations", &second, "-d", "shop", "--exit-code"]).success();
    cluster.psql(&dbname, "update schema_migrations set dirty = true");
    let json = sandbox.pggit(["migrations", &second, "-d", "shop", "--exit-code", "--json"]).fails(1).json();
    assert_eq!(states(&json)[1], ("2".to_owned(), "incomplete".to_owned()));
}

#[test]
fn the_table_of_the_database_names_the_tool_where_the_files_do_not() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("migrations/1_a.sql", "create table a ();", "a");
    let alone = sandbox.pggit(["migrations", "--json"]).success().json();
    assert_eq!(alone["tool"], "plain");
    cluster.psql(&dbname, SQLX);
    applied_by_sqlx(&cluster, &dbname, 1, "create table a ();");
    let json = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    assert_eq!(json["tool"], "sqlx");
    assert_eq!(json["database"]["at_commit"], true);
    // A second tool beside it: nothing is guessed.
    cluster.psql(&dbname, "create table pgmigrations (id int, name varchar(255), run_on timestamp)");
    let several = sandbox.pggit(["migrations", "-d", "shop"]).fails(11).stderr_text();
    assert!(several.contains("_sqlx_migrations") && several.contains("pgmigrations"), "{several}");
}

#[test]
fn a_table_that_the_role_may_not_read_leaves_the_answer_open() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("migrations/1_a.sql", "create table a ();", "a");
    let role = format!("{dbname}_reader");
    cluster.psql(&dbname, &format!("{SQLX}; create role \"{role}\" login"));
    let url = format!("{}?user={role}", cluster.url(&dbname).split('?').next().unwrap());
    let rest = cluster.url(&dbname).split_once('?').map(|(_, rest)| format!("&{rest}")).unwrap_or_default();
    let rest: String = rest
        .split('&')
        .filter(|pair| !pair.starts_with("user=") && !pair.is_empty())
        .map(|pair| format!("&{pair}"))
        .collect();
    sandbox.git(["config", "pggit.shop.url", &format!("{url}{rest}")]);
    let output = sandbox.pggit(["migrations", "-d", "shop", "--exit-code", "--json"]).fails(1);
    let database = output.json()["database"].clone();
    assert_eq!(database["at_commit"], serde_json::Value::Null);
    assert_eq!(database["reason"], "the role may not read all rows of public._sqlx_migrations");
}

#[test]
fn a_dump_records_whether_the_database_is_at_its_commit() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n", "the program");
    sandbox.commit("migrations/1_orders.sql", "create table orders ();", "orders");
    cluster.psql(&dbname, &format!("{SQLX}; create table orders ()"));
    applied_by_sqlx(&cluster, &dbname, 1, "create table orders ();");
    let created = sandbox.pggit(["backup", "create", "--database", "shop", "--json"]).success();
    let state = created.json()["metadata"]["migrations"].clone();
    assert_eq!((&state["tool"], &state["at_commit"]), (&"sqlx".into(), &true.into()), "{state}");
    assert_eq!((&state["applied"], &state["by_checksum"]), (&1.into(), &true.into()), "{state}");
    assert_eq!(created.stderr_text(), "");
    sandbox.commit("migrations/2_items.sql", "create table items ();", "items");
    let created = sandbox.pggit(["backup", "create", "--database", "shop", "--commit", "HEAD"]).success();
    let warning = "according to sqlx, the database is not at commit";
    assert!(created.stderr_text().contains(warning) && created.stderr_text().contains("1 pending"));
    let shown = sandbox.pggit(["backup", "show", "latest", "--json"]).success().json();
    assert_eq!(shown["metadata"]["migrations"]["pending"], 1);
    // The state of the same rows has the same digest at each commit.
    assert_eq!(shown["metadata"]["migrations"]["digest"], state["digest"]);
    // Where the files are not understood, the record does not claim anything.
    sandbox.commit("migrations/fix.sql", "select 1;", "no version");
    let created = sandbox.pggit(["backup", "create", "--database", "shop", "--commit", "HEAD"]).success();
    assert!(created.stderr_text().contains("cannot determine if the database is at commit"));
    let plain = cluster.create_database("no_tool");
    sandbox.git(["config", "pggit.plain.url", &cluster.url(&plain)]);
    let created = sandbox.pggit(["backup", "create", "--database", "plain", "--json"]).success();
    assert_eq!(created.json()["metadata"].get("migrations"), None);
}

#[test]
fn no_function_of_the_owner_of_a_state_table_runs() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("migrations/1_a.sql", "create table a ();", "a");
    let mallory = format!("{dbname}_mallory");
    // A type whose cast to text is a function of its owner, and an index with another one.
    let script = format!(
        "create role \"{mallory}\" login; create schema m authorization \"{mallory}\"; set role \"{mallory}\"; \
         create type m.v as (n bigint); \
         create function m.f(m.v) returns text language plpgsql immutable as \
         $$ begin raise exception 'a function of mallory ran'; end $$; \
         create function m.g(text) returns boolean language plpgsql immutable as \
         $$ begin if current_user <> '{mallory}' then raise exception 'a function of mallory ran'; end if; \
         return true; end $$; \
         create cast (m.v as text) with function m.f(m.v); \
         create table m._sqlx_migrations (version m.v, description text, checksum bytea, success boolean); \
         create index on m._sqlx_migrations (m.g(description)) where m.g(description); \
         insert into m._sqlx_migrations values (row(1), 'x', '\\x00', true)"
    );
    cluster.psql(&dbname, &script);
    let query = cluster.try_psql(&dbname, "select version::text from m._sqlx_migrations");
    assert!(String::from_utf8_lossy(&query.stderr).contains("a function of mallory ran"));
    let json = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    assert_eq!(json["database"]["table"], "m._sqlx_migrations", "{json:#}");
    assert!(states(&json).contains(&("(1)".to_owned(), "unknown".to_owned())), "{json:#}");
    let created = sandbox.pggit(["backup", "create", "--database", "shop", "--json"]).success().json();
    assert_eq!(created["metadata"]["migrations"]["unknown"], 1, "{created:#}");
    assert!(!created.to_string().contains("of mallory ran"));
}

#[test]
fn files_without_their_content_leave_the_answer_open() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n", "the program");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    sandbox.commit("migrations/1_a.sql", pointer, "a");
    cluster.psql(&dbname, SQLX);
    applied_by_sqlx(&cluster, &dbname, 1, "create table a ();");
    let json = sandbox.pggit(["migrations", "-d", "shop", "--exit-code", "--json"]).fails(1).json();
    assert_eq!(json["database"]["at_commit"], serde_json::Value::Null);
    assert!(json["database"]["reason"].as_str().unwrap().contains("git LFS"), "{json:#}");
}

#[test]
fn nothing_is_guessed_about_files() {
    let sandbox = Sandbox::new();
    sandbox.commit("a/migrations/1.sql", "select 1;", "one");
    let text = sandbox.pggit(["migrations"]).success().stdout_text();
    assert!(text.contains("plain in a/migrations"), "{text}");
    sandbox.commit("b/migrations/1.sql", "select 1;", "another");
    let error = sandbox.pggit(["migrations"]).fails(11).stderr_text();
    assert!(error.contains("a/migrations") && error.contains("b/migrations"), "{error}");
    assert!(error.contains("pggit.<database>.migrations"), "{error}");
    let nothing = Sandbox::new();
    nothing.commit("README.md", "no migrations", "a page");
    assert!(nothing.pggit(["migrations"]).success().stdout_text().contains("no migrations were found"));
    // Two files of one version, and a file that is not one of the tool's.
    let twice = Sandbox::new();
    twice.commit("db/migrations/1_a.sql", "-- migrate:up\nselect 1;\n", "a");
    twice.commit("db/migrations/1_b.sql", "-- migrate:up\nselect 1;\n", "b");
    twice.commit("db/migrations/fix.sql", "select 1;\n", "no version");
    let json = twice.pggit(["migrations", "--json"]).success().json();
    let problems: Vec<&str> =
        json["problems"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(problems, ["db/migrations/fix.sql", "db/migrations/1_b.sql"]);
}

#[test]
fn five_thousand_migrations_are_listed() {
    let sandbox = Sandbox::new();
    let directory = sandbox.repo().join("migrations");
    std::fs::create_dir(&directory).unwrap();
    for version in 1..=5000 {
        std::fs::write(directory.join(format!("{version}_m.sql")), "select 1;\n").unwrap();
    }
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "many"]);
    let json = sandbox.pggit(["migrations", "--json"]).success().json();
    let migrations = json["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), 5000);
    assert_eq!(migrations[9]["name"], "10_m.sql");
}

/// Two commits with the migrations 1 and 2, each followed by one that changes none. Returns all four.
fn four_commits(sandbox: &Sandbox) -> [String; 4] {
    sandbox.commit("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n", "the program");
    [
        sandbox.commit("migrations/1_orders.sql", "create table orders ();", "orders"),
        sandbox.commit("README.md", "orders", "a readme"),
        sandbox.commit("migrations/2_items.sql", "create table items ();", "items"),
        sandbox.commit("README.md", "orders and items", "a better readme"),
    ]
}

#[test]
fn a_dump_without_a_mark_is_of_the_newest_commit_with_the_applied_migrations() {
    let (sandbox, cluster, dbname) = shop();
    let [_, readme, _, head] = four_commits(&sandbox);
    cluster.psql(&dbname, &format!("{SQLX}; create table orders ()"));
    applied_by_sqlx(&cluster, &dbname, 1, "create table orders ();");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success();
    assert_eq!(created.json()["commit"], readme.as_str());
    assert_eq!(created.json()["metadata"]["commit_source"], "migrations");
    assert_eq!(created.stderr_text(), "");
    applied_by_sqlx(&cluster, &dbname, 2, "create table items ();");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json();
    assert_eq!(created["commit"], head.as_str());
    // No commit has these: HEAD is assumed, and the reasons are named.
    cluster.psql(&dbname, "update _sqlx_migrations set checksum = '\\x00' where version = 2");
    applied_by_sqlx(&cluster, &dbname, 7, "select 7");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success();
    assert_eq!(created.json()["metadata"]["commit_source"], "head");
    let warnings = created.stderr_text();
    for expected in [
        "is assumed: no commit in the history of",
        "2 was edited after it ran",
        "7 is applied and not in the commit",
    ] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    let show = sandbox.pggit(["backup", "show", "latest", "--json"]).success().json();
    let codes: Vec<&str> =
        show["warnings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["commit-assumed", "migrations-differ"]);
    let fsck = sandbox.pggit(["fsck"]).success().stdout_text();
    assert!(fsck.contains("commit-assumed") && fsck.contains("migrations-differ"), "{fsck}");
    let coverage = sandbox.pggit(["backup", "coverage", "--json"]).success().json();
    assert_eq!(coverage["warnings"][1]["code"], "migrations-differ");
    assert!(sandbox.pggit(["backup", "coverage"]).success().stderr_text().contains("is not at commit"));
}

#[test]
fn the_directory_of_the_migrations_may_have_moved() {
    let (sandbox, cluster, dbname) = shop();
    let [_, readme, _, _] = four_commits(&sandbox);
    sandbox.git(["mv", "migrations", "schema-migrations"]);
    sandbox.git(["commit", "-q", "-m", "a better name"]);
    let moved = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.commit("schema-migrations/3_users.sql", "create table users ();", "users");
    sandbox.git(["config", "pggit.shop.migrations", "*migrations"]);
    cluster.psql(&dbname, SQLX);
    applied_by_sqlx(&cluster, &dbname, 1, "create table orders ();");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json();
    assert_eq!(created["commit"], readme.as_str());
    applied_by_sqlx(&cluster, &dbname, 2, "create table items ();");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json();
    // The commit that has moved the directory is newer than the last one with the old directory.
    assert_eq!(created["commit"], moved.as_str());
    assert_eq!(created["metadata"]["commit_source"], "migrations");
}

#[test]
fn a_required_commit_has_to_be_confirmed_by_the_database() {
    let (sandbox, cluster, dbname) = shop();
    let [_, readme, items, head] = four_commits(&sandbox);
    sandbox.git(["config", "pggit.shop.commitCheck", "require"]);
    let refused = |args: &[&str]| {
        let all = [&["backup", "create", "-d", "shop"], args].concat();
        sandbox.pggit(all).fails(12).stderr_text()
    };
    // Nothing in the database says which commit it has.
    assert!(refused(&[]).contains("is assumed"));
    cluster.psql(&dbname, &format!("{SQLX}; create table orders ()"));
    applied_by_sqlx(&cluster, &dbname, 1, "create table orders ();");
    assert!(refused(&["--commit", &head]).contains("1 pending (2 is pending)"));
    // A mark that contradicts the state table.
    sandbox.pggit(["mark", &items, "--database", "shop"]).success();
    assert!(refused(&[]).contains("is not at commit"));
    let list = sandbox.pggit(["backup", "list", "--json"]).success().json();
    assert_eq!(list["backups"], serde_json::json!([]));
    sandbox.pggit(["mark", &readme, "--database", "shop"]).success();
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json();
    assert_eq!(
        (&created["commit"], &created["metadata"]["commit_source"]),
        (&readme.into(), &"database".into())
    );
    sandbox.git(["config", "pggit.shop.commitCheck", "sometimes"]);
    assert!(
        sandbox.pggit(["backup", "create", "-d", "shop"]).fails(19).stderr_text().contains("warn or require")
    );
}

#[test]
fn two_schemas_of_one_commit_are_a_warning() {
    let (sandbox, cluster, dbname) = shop();
    let commit = sandbox.commit("migrations/1_a.sql", "create table a ();", "a");
    sandbox.pggit(["mark", &commit, "--database", "shop"]).success();
    cluster.psql(&dbname, "create table a ()");
    assert_eq!(sandbox.pggit(["backup", "create", "-d", "shop"]).success().stderr_text().lines().count(), 1);
    cluster.psql(&dbname, "create table by_hand ()");
    let created = sandbox.pggit(["backup", "create", "-d", "shop"]).success().stderr_text();
    assert!(created.contains("has recorded another schema"), "{created}");
    let fsck = sandbox.pggit(["fsck"]).success().stdout_text();
    assert!(fsck.contains("schemas-differ"), "{fsck}");
}

#[test]
fn several_directories_of_one_tool_are_one_history() {
    let (sandbox, _cluster, _) = shop();
    sandbox.commit("services/a/migrations/V1__a.sql", "create table a ();", "a");
    sandbox.commit("services/b/migrations/V2__b.sql", "create table b ();", "b");
    sandbox.commit("services/pom.xml", "flyway", "java");
    sandbox.pggit(["migrations", "-d", "shop"]).fails(11);
    sandbox.git(["config", "pggit.shop.migrations", "services/*/migrations"]);
    sandbox.git(["config", "pggit.shop.migrationTool", "flyway"]);
    let json = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    assert_eq!(json["tool"], "flyway");
    assert_eq!(json["directories"], serde_json::json!(["services/a/migrations", "services/b/migrations"]));
    assert_eq!(json["migrations"].as_array().unwrap().len(), 2);
    // Of several services with a database each, each database names its own.
    sandbox.git(["config", "pggit.shop.migrations", "services/b/migrations"]);
    let json = sandbox.pggit(["migrations", "-d", "shop", "--json"]).success().json();
    assert_eq!(json["migrations"][0]["path"], "services/b/migrations/V2__b.sql");
    sandbox.git(["config", "pggit.shop.migrationTool", "flywheel"]);
    sandbox.pggit(["migrations", "-d", "shop"]).fails(19);
}

#[test]
fn applications_that_an_older_commit_lacks_are_not_those_of_others() {
    let (sandbox, cluster, dbname) = shop();
    let app = |name: &str| {
        sandbox.commit(&format!("{name}/migrations/__init__.py"), "", "an application");
        sandbox.commit(&format!("{name}/migrations/0001_initial.py"), "class Migration: pass\n", name)
    };
    let crm = app("crm");
    let store = app("store");
    cluster
        .psql(&dbname, "create table django_migrations (id int, app text, name text, applied timestamptz)");
    let applied = |rows: &str| {
        let values = format!("truncate django_migrations; insert into django_migrations values {rows}");
        cluster.psql(&dbname, &values);
        sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json()
    };
    // The applications of other packages do not count.
    let both = "(1, 'auth', '0001_initial', now()), (2, 'crm', '0001_initial', now()), (3, 'store', '0001_initial', now())";
    assert_eq!(applied(both)["commit"], store.as_str());
    // The newest commit without a migration of the second application is the one that begins it.
    let begun = sandbox.git(["rev-parse", "HEAD~1"]);
    assert_eq!(applied("(1, 'crm', '0001_initial', now())")["commit"], begun.as_str());
    // Nor does a commit without the application equal a database that has more of it than HEAD.
    let more = format!("{both}, (4, 'store', '0002_more', now())");
    let created = applied(&more);
    assert_eq!(created["metadata"]["commit_source"], "head", "{created:#}");
    let older = sandbox.pggit(["migrations", &crm, "-d", "shop", "--exit-code", "--json"]).fails(1).json();
    assert_eq!(older["database"]["at_commit"], false, "{older:#}");
}

#[test]
fn directories_that_only_an_older_commit_has_count_for_it() {
    let (sandbox, cluster, dbname) = shop();
    sandbox.commit("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n", "the program");
    sandbox.git(["config", "pggit.shop.migrations", "*/migrations"]);
    let only_a = sandbox.commit("a/migrations/1_a.sql", "create table a ();", "a");
    sandbox.commit("b/migrations/2_b.sql", "create table b ();", "b");
    sandbox.git(["rm", "-q", "b/migrations/2_b.sql"]);
    sandbox.commit("a/migrations/1_a.sql", "create table a (id int);", "another a, and no b");
    cluster.psql(&dbname, SQLX);
    applied_by_sqlx(&cluster, &dbname, 1, "create table a ();");
    let created = sandbox.pggit(["backup", "create", "-d", "shop", "--json"]).success().json();
    // HEAD has no directory b, and the commit before it has a migration there that is not applied.
    assert_eq!(created["commit"], only_a.as_str());
}
