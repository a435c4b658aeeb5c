//! Restores to a commit whose migrations are those of a migration tool: git-pggit runs them, and records them in
//! the table of the tool. `tests/demo-migrations.sh` does the same with the real tools.

use std::sync::Arc;

use pggit::migrations::Tool;

use crate::cluster::{Cluster, bin_dir};
use crate::sandbox::{Output, Sandbox};

/// A repository whose database `shop` has the table of a migration tool.
struct Team {
    sandbox: Sandbox,
    cluster: Arc<Cluster>,
    dbname: String,
}

impl Team {
    fn new() -> Self {
        Self::on(Cluster::shared())
    }

    fn on(cluster: Arc<Cluster>) -> Self {
        let dbname = cluster.create_database("team");
        let mut sandbox = Sandbox::new();
        sandbox.set("PGGIT_PGBIN", bin_dir());
        sandbox.git(["config", "pggit.shop.url", &cluster.url(&dbname)]);
        sandbox.commit("README.md", "a shop", "the shop");
        Self { sandbox, cluster, dbname }
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.dbname, sql)
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        let mut commit = String::new();
        for (path, text) in files {
            commit = self.sandbox.commit(path, text, path);
        }
        commit
    }

    fn backup(&self, more: &[&str]) -> Output {
        self.sandbox.pggit([&["backup", "create", "--database", "shop", "--json"], more].concat()).success()
    }

    fn copy(&self) -> String {
        format!("{}_copy", self.dbname)
    }

    fn restore(&self, what: &str, more: &[&str]) -> Output {
        self.sandbox.pggit([&["backup", "restore", what, "--into", &self.copy()], more].concat())
    }

    fn restored(&self, sql: &str) -> String {
        self.cluster.psql(&self.copy(), sql)
    }

    /// Restores, expects a refusal, and that nothing is left over.
    fn refused(&self, what: &str, more: &[&str]) -> String {
        let output = self.restore(what, more);
        assert_ne!(output.status, 0, "{}", output.stdout_text());
        let left = format!("select datname from pg_database where datname like '{}%'", self.copy());
        assert_eq!(self.cluster.psql("postgres", &left), "");
        output.stderr_text()
    }

    /// Returns the states of the migrations of HEAD in the restored database.
    fn states(&self) -> serde_json::Value {
        self.sandbox.git(["config", "pggit.copy.url", &self.cluster.url(&self.copy())]);
        let args = ["migrations", "HEAD", "--database", "copy", "--exit-code", "--json"];
        self.sandbox.pggit(args).success().json()
    }
}

/// The table of sqlx with migrations that were applied with these contents.
fn sqlx_table(applied: &[(u64, &str)]) -> String {
    let mut sql = Tool::Sqlx.state_table_sql(false).unwrap();
    for (version, content) in applied {
        sql += &format!(
            "; insert into _sqlx_migrations values ({version}, 'x', now(), true, sha384($m${content}$m$::bytea), 1)"
        );
    }
    sql
}

const ORDERS: &str = "create table orders (id int primary key);\n";

/// A team with sqlx and one applied migration, at its commit.
fn team_with_sqlx() -> Team {
    let team = Team::new();
    team.commit(&[("Cargo.toml", "[dependencies]\nsqlx = \"0.8\"\n"), ("migrations/1_orders.sql", ORDERS)]);
    team.sql(&format!("{ORDERS}; {}", sqlx_table(&[(1, ORDERS)])));
    team
}

#[test]
fn missing_migrations_run_and_the_table_of_the_tool_has_their_rows() {
    let team = team_with_sqlx();
    team.backup(&["--name", "first"]);
    team.commit(&[
        ("migrations/2_add_items.sql", "create table items (id int);\r\ninsert into items values (7);\r\n"),
        ("migrations/3_index.sql", "-- no-transaction\ncreate index concurrently i on items (id);\n"),
    ]);
    let outcome = team.restore("HEAD", &["--json"]).success().json();
    assert_eq!(outcome["proof"]["level"], "built-schema", "{outcome}");
    assert_eq!(team.restored("select id from items"), "7");
    let rows = "select version, description, success, encode(checksum, 'hex') = \
        case version when 2 then encode(sha384(E'create table items (id int);\\r\\ninsert into items values (7);\\r\\n'), 'hex') \
        else encode(sha384(E'-- no-transaction\\ncreate index concurrently i on items (id);\\n'), 'hex') end \
        from _sqlx_migrations where version > 1 order by version";
    assert_eq!(team.restored(rows), "2|add items|t|t\n3|index|t|t");
    let states = team.states();
    assert_eq!(
        (&states["database"]["at_commit"], &states["database"]["by_checksum"]),
        (&true.into(), &true.into())
    );
}

#[test]
fn a_database_without_migrations_gets_the_table_of_each_tool() {
    let up_down = "-- migrate:up\ncreate table t (a int);\n-- migrate:down\ndrop table t;\n";
    let goose = "-- +goose Up\ncreate table t (a int);\n-- +goose Down\ndrop table t;\n";
    let tern = "create table t (a int);\n---- create above / drop below ----\ndrop table t;\n";
    let node = "-- Up Migration\ncreate table t (a int);\n-- Down Migration\ndrop table t;\n";
    let plain = "create table t (a int);\n";
    let journal = "{\"entries\": [{\"idx\": 0, \"when\": 1700000000000, \"tag\": \"0000_t\"}]}";
    for (tool, files) in [
        (Tool::Sqlx, &[("Cargo.toml", "sqlx"), ("migrations/1_t.sql", plain)][..]),
        (Tool::Refinery, &[("Cargo.toml", "refinery"), ("migrations/V1__t.sql", plain)]),
        (Tool::Diesel, &[("migrations/2024-01-02-000000_t/up.sql", plain)]),
        (Tool::Goose, &[("db/migrations/00001_t.sql", goose)]),
        (Tool::GolangMigrate, &[("go.mod", "golang-migrate/migrate"), ("migrations/1_t.up.sql", plain)]),
        (Tool::Dbmate, &[("db/migrations/20240101000000_t.sql", up_down)]),
        (Tool::Tern, &[("migrations/001_t.sql", tern)]),
        (
            Tool::Flyway,
            &[
                ("pom.xml", ""),
                ("db/migration/V1__t.sql", plain),
                ("db/migration/R__v.sql", "create view v as select 1 as a;"),
            ],
        ),
        (Tool::Prisma, &[("prisma/migrations/20240101000000_t/migration.sql", plain)]),
        (Tool::Drizzle, &[("drizzle/0000_t.sql", plain), ("drizzle/meta/_journal.json", journal)]),
        (Tool::NodePgMigrate, &[("migrations/1_t.sql", node)]),
        (Tool::Supabase, &[("supabase/migrations/20240101000000_t.sql", plain)]),
    ] {
        let team = Team::new();
        team.backup(&["--commit", "HEAD"]);
        team.commit(files);
        let outcome = team.restore("HEAD", &["--json"]).success().json();
        assert_eq!(outcome["proof"]["level"], "built-schema", "{tool}: {outcome}");
        assert_eq!(team.restored("select count(*) from t"), "0", "{tool}");
        let states = team.states();
        assert_eq!(states["tool"], tool.as_str());
        assert_eq!(states["database"]["at_commit"], true, "{tool}: {states}");
    }
}

#[test]
fn flyway_runs_changed_repeatable_migrations_again_and_records_each_run() {
    let team = Team::new();
    let view = "create or replace view v as select 1 as a;\n";
    team.commit(&[("pom.xml", ""), ("sql/V1__t.sql", "create table t (a int);\n"), ("sql/R__v.sql", view)]);
    team.backup(&["--commit", "HEAD~3"]);
    team.restore("HEAD", &[]).success();
    // The restored database becomes the live one.
    team.sandbox.git(["config", "pggit.shop.url", &team.cluster.url(&team.copy())]);
    team.backup(&["--name", "second"]);
    team.commit(&[
        ("sql/R__v.sql", "create or replace view v as select 2 as a;\n"),
        ("sql/V2__u.sql", "create table u (a int);\n"),
    ]);
    let again = format!("{}_again", team.dbname);
    team.sandbox.pggit(["backup", "restore", "HEAD", "--database", "shop", "--into", &again]).success();
    let rows =
        "select installed_rank, version, description, script, success from flyway_schema_history order by 1";
    let expected = "1|1|t|V1__t.sql|t\n2||v|R__v.sql|t\n3|2|u|V2__u.sql|t\n4||v|R__v.sql|t";
    assert_eq!(team.cluster.psql(&again, rows), expected);
    assert_eq!(team.cluster.psql(&again, "select a from v"), "2");
    team.cluster.psql("postgres", &format!("drop database \"{}\"", team.copy()));
    team.commit(&[("sql/V0_5__late.sql", "create table late ();\n")]);
    let said = team.refused("second", &["--commit", "HEAD"]);
    assert!(said.contains("V0_5__late.sql") && said.contains("flyway does not run it any more"), "{said}");
}

#[test]
fn a_callback_of_flyway_matters_only_if_migrations_run() {
    let team = Team::new();
    team.commit(&[
        ("pom.xml", ""),
        ("sql/V1__t.sql", "create table t (a int);\n"),
        ("sql/afterMigrate.sql", "select 1;\n"),
    ]);
    team.sql("create table t (a int)");
    team.backup(&["--commit", "HEAD"]);
    team.commit(&[("notes.md", "words")]);
    team.restore("HEAD", &[]).success();
    team.cluster.psql("postgres", &format!("drop database \"{}\"", team.copy()));
    team.commit(&[("sql/V2__u.sql", "create table u (a int);\n")]);
    let said = team.refused("HEAD", &[]);
    assert!(said.contains("afterMigrate.sql") && said.contains("it is a callback"), "{said}");
}

#[test]
fn a_role_that_is_no_superuser_restores_and_migrates() {
    let team = Team::new();
    let role = format!("{}_role", team.dbname);
    team.cluster.psql("postgres", &format!("create role \"{role}\" login createdb"));
    team.commit(&[
        ("drizzle/0000_t.sql", "create table t (a int);\n"),
        (
            "drizzle/meta/_journal.json",
            "{\"entries\": [{\"idx\": 0, \"when\": 1700000000000, \"tag\": \"0000_t\"}]}",
        ),
    ]);
    team.sql(&format!(
        "{}; create table t (a int); insert into drizzle.__drizzle_migrations (hash, created_at) \
        values (encode(sha256('create table t (a int);\n'), 'hex'), 1700000000000)",
        Tool::Drizzle.state_table_sql(true).unwrap()
    ));
    team.backup(&["--name", "first"]);
    let journal = "{\"entries\": [{\"idx\": 0, \"when\": 1700000000000, \"tag\": \"0000_t\"}, \
        {\"idx\": 1, \"when\": 1700000001000, \"tag\": \"0001_u\"}]}";
    team.commit(&[
        ("drizzle/0001_u.sql", "create table u (a int);\n"),
        ("drizzle/meta/_journal.json", journal),
    ]);
    let url = team.cluster.url("postgres");
    let url = match url.contains("user=") {
        true => url.replace("user=postgres", &format!("user={role}")),
        false => format!("{url}{}user={role}", if url.contains('?') { "&" } else { "?" }),
    };
    let options = ["--maintenance-db", &url, "--no-owner", "--no-privileges", "--json"];
    let outcome = team.restore("HEAD", &options).success().json();
    assert_eq!(outcome["proof"]["level"], "built-schema", "{outcome}");
    assert_eq!(team.restored("select count(*) from drizzle.__drizzle_migrations"), "2");
    assert_eq!(
        team.restored("select relowner::regrole::text from pg_class where relname = 'u'"),
        format!("{role}")
    );
}

#[test]
fn histories_that_diverge_are_refused_before_anything_is_restored() {
    let team = team_with_sqlx();
    team.backup(&["--name", "first"]);
    let first = team.sandbox.git(["rev-parse", "HEAD"]);
    for (file, text, reason) in [
        (
            "migrations/1_orders.sql",
            "create table orders (id bigint primary key);\n",
            "was changed after the backup",
        ),
        ("migrations/2_x.sql", "version https://git-lfs.github.com/spec/v1\noid x\n", "pointer of git LFS"),
        ("migrations/x_y.sql", "select 1;", "does not begin with a version"),
        ("sqlx.toml", "[migrate]\ntable-name = \"m\"\n", "only sqlx reads"),
    ] {
        team.commit(&[(file, text), ("migrations/5_more.sql", "create table more ();\n")]);
        let said = team.refused("HEAD", &[]);
        assert!(said.contains(reason), "{file}: {said}");
        team.sandbox.git(["reset", "--hard", "-q", first.trim()]);
    }
    team.sandbox.git(["rm", "-q", "migrations/1_orders.sql"]);
    team.commit(&[("migrations/2_items.sql", "create table items ();\n")]);
    let said = team.refused("HEAD", &[]);
    assert!(
        said.contains("migrations/1_orders.sql is in the backup, but not in the wanted commit"),
        "{said}"
    );
}

#[test]
fn a_backup_that_was_not_at_its_commit_leads_nowhere() {
    let team = team_with_sqlx();
    team.commit(&[("migrations/2_items.sql", "create table items ();\n")]);
    // The database has only the first migration.
    team.backup(&["--commit", "HEAD"]);
    team.commit(&[("migrations/3_more.sql", "create table more ();\n")]);
    let said = team.refused("HEAD", &[]);
    assert!(said.contains("according to sqlx, the database was not at commit"), "{said}");
}

#[test]
fn the_table_in_the_restored_database_decides() {
    let team = Team::on(Arc::new(Cluster::start()));
    team.commit(&[
        ("Cargo.toml", "sqlx"),
        ("migrations/1_orders.sql", ORDERS),
        ("migrations/2_items.sql", "create table items ();\n"),
    ]);
    team.sql(&format!("{ORDERS}; {}", sqlx_table(&[(1, ORDERS)])));
    // A physical backup does not record the state, and its commit is only assumed.
    team.backup(&["--tool", "pg_basebackup", "--name", "physical"]);
    team.commit(&[("migrations/3_more.sql", "create table more ();\n")]);
    let said = team.refused("physical", &["--commit", "HEAD"]);
    let expected =
        "public._sqlx_migrations of the restored database is not as sqlx would have it: 2 is pending";
    assert!(said.contains(expected), "{said}");
    // At its commit, the migrations run and are recorded.
    team.backup(&["--tool", "pg_basebackup", "--name", "right", "--commit", "HEAD~2"]);
    team.restore("right", &["--commit", "HEAD"]).success();
    assert_eq!(
        team.restored("select string_agg(version::text, ',' order by version) from _sqlx_migrations"),
        "1,2,3"
    );
    // Files of no tool would not be recorded.
    team.sandbox.git(["rm", "-q", "Cargo.toml"]);
    team.commit(&[("migrations/4_last.sql", "create table last ();\n")]);
    team.cluster.psql("postgres", &format!("drop database \"{}\"", team.copy()));
    let said = team.refused("right", &["--commit", "HEAD"]);
    assert!(
        said.contains("has public._sqlx_migrations of sqlx, in which the migrations would not be recorded"),
        "{said}"
    );
    team.sandbox.git(["config", "pggit.shop.migrationTool", "plain"]);
    team.restore("right", &["--commit", "HEAD"]).success();
    assert_eq!(team.restored("select count(*) from _sqlx_migrations"), "1");
}

#[test]
fn programs_run_only_by_a_command_that_the_user_has_chosen() {
    let team = Team::new();
    let revision = |id: &str, down: &str| format!("revision = '{id}'\ndown_revision = {down}\n");
    team.commit(&[
        ("alembic.ini", "[alembic]\n"),
        ("alembic/env.py", ""),
        ("alembic/versions/a_first.py", &revision("a", "None")),
    ]);
    team.sql("create table alembic_version (version_num varchar(32) primary key); insert into alembic_version values ('a')");
    team.backup(&["--name", "first"]);
    team.commit(&[("notes.md", "nothing of the schema")]);
    team.restore("HEAD", &[]).success();
    team.cluster.psql("postgres", &format!("drop database \"{}\"", team.copy()));
    team.commit(&[("alembic/versions/b_second.py", &revision("b", "'a'"))]);
    let said = team.refused("HEAD", &[]);
    assert!(
        said.contains("alembic/versions/b_second.py has to be run, and only alembic itself runs"),
        "{said}"
    );
    assert!(said.contains("pggit.<database>.migrateCommand"), "{said}");
    // A clone must not choose what runs.
    team.commit(&[(".pggitconfig", "[pggit \"shop\"]\n\tmigrationTool = alembic\n")]);
    let said = team.refused("HEAD", &[]);
    assert!(said.contains("only alembic itself runs"), "{said}");
    team.sandbox.git(["config", "pggit.shop.migrationTool", "alembic"]);
    let plan = team.sandbox.pggit(["backup", "plan", "HEAD", "--into", &team.copy()]).stdout_text();
    assert!(plan.contains("alembic upgrade heads"), "{plan}");
}

#[test]
fn change_sets_of_liquibase_are_recorded_under_the_path_that_it_uses() {
    let team = Team::new();
    let changelog = |sets: &str| format!("--liquibase formatted sql\n{sets}");
    let one = "--changeset ada:1\ncreate table a ();\n--rollback drop table a;\n";
    let two = "--changeset ada:2 runInTransaction:false\ncreate table b ();\n";
    team.commit(&[("src/db/changelog/1.sql", &changelog(one))]);
    team.sql(
        "create table databasechangelog (id varchar(255) not null, author varchar(255) not null, \
         filename varchar(255) not null, dateexecuted timestamp not null, orderexecuted int not null, \
         exectype varchar(10) not null, md5sum varchar(35), description varchar(255), comments varchar(255), \
         tag varchar(255), liquibase varchar(20), contexts varchar(255), labels varchar(255), deployment_id varchar(10)); \
         insert into databasechangelog values ('1', 'ada', 'db/changelog/1.sql', now(), 1, 'EXECUTED', '9:x', 'sql', '', \
         null, '5.0.1', null, null, '1'); create table a ()",
    );
    team.backup(&["--name", "first"]);
    // A change set in the same file, and one in another.
    let three = "--changeset bo:3\ncreate table c ();\n";
    team.commit(&[
        ("src/db/changelog/1.sql", &changelog(&format!("{one}{two}"))),
        ("src/db/changelog/2.sql", &changelog(three)),
    ]);
    team.restore("HEAD", &[]).success();
    let rows = "select author, id, filename, orderexecuted, exectype, md5sum, liquibase from databasechangelog order by 4";
    let expected = "ada|1|db/changelog/1.sql|1|EXECUTED|9:x|5.0.1\nada|2|db/changelog/1.sql|2|EXECUTED||5.0.1\n\
        bo|3|db/changelog/2.sql|3|EXECUTED||5.0.1";
    assert_eq!(team.restored(rows), expected);
}
