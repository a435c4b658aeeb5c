//! `git pggit backup restore --into` of a database, a schema or a table, from backups of every tool.

use std::fs;
use std::path::Path;

use super::Rig;
use super::barman::newest;
use super::custom::snapshots;
use crate::cluster::{Cluster, Options, fresh_dir, versions};
use crate::sandbox::Output;

/// Tables in two schemas with foreign keys and every other property of tables.
const SHOP: &str = "
    create schema \"odd.S\"; create type \"odd.S\".mood as enum ('glad', 'sad');
    create table customers (id serial primary key, name text);
    create table items (id int generated always as identity primary key, customer int references customers,
        note text default 'none' check (note <> '')) partition by range (id);
    create table items_low partition of items for values from (1) to (100);
    create table items_high partition of items for values from (100) to (1000);
    create index items_note on items (note);
    create table \"odd.S\".\"Moods\" (at date, mood \"odd.S\".mood, who int references customers);
    create view glad as select * from \"odd.S\".\"Moods\" where mood = 'glad';
    create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger touched before update on items for each row execute function touch();
    insert into customers (name) select 'c' || g from generate_series(1, 10) g;
    insert into items (customer, note) select 1 + g % 10, 'n' || g from generate_series(1, 150) g;
    insert into \"odd.S\".\"Moods\" values ('2020-01-01', 'glad', 1);
    create materialized view counted as select count(*) from items";

/// Adds a shop and another database to the cluster of a rig.
fn with_shop(rig: &Rig) {
    rig.cluster.psql("shop", SHOP);
    rig.cluster.psql("postgres", "create database other");
    rig.cluster.psql("other", "create table beside as select generate_series(1, 3) as x");
}

fn into(rig: &Rig, name: &str, more: &[&str]) -> Output {
    rig.pggit(&[&["backup", "restore", "latest", "--into", name], more].concat())
}

/// Returns a dump of a database without the lines that differ between runs.
fn dumped(cluster: &Cluster, dbname: &str) -> String {
    let mut dump = std::process::Command::new(cluster.bin().join("pg_dump"));
    dump.env_clear().arg("-d").arg(cluster.conninfo(dbname));
    let text = String::from_utf8(super::succeeds(&mut dump).stdout).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("--") && !line.contains("restrict "));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Asserts that no scratch cluster is left.
fn nothing_is_left(scratch: &Path) {
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
}

/// Restores one database, a table and a schema of it, and another database.
fn takes_parts(rig: &Rig, is_cluster: bool) {
    let (cluster, scratch) = (&rig.cluster, fresh_dir());
    rig.sandbox.git(["config", "pggit.scratchDir", scratch.to_str().unwrap()]);
    let tables = "select string_agg(relname, ',' order by relname) from pg_class \
                  where relkind in ('r', 'p', 'v', 'm') and relnamespace = 'public'::regnamespace";
    let said = into(rig, "part_items", &["--table", "items", "--json"]).success().json();
    assert_eq!(cluster.psql("part_items", tables), "items,items_high,items_low");
    assert_eq!(cluster.psql("part_items", "select count(*), max(note) from items"), "150|n99");
    let constraints = "select string_agg(contype::text, '' order by contype) from pg_constraint \
                       where conrelid = 'items'::regclass";
    assert_eq!(cluster.psql("part_items", constraints), "cp");
    assert_eq!(cluster.psql("part_items", "select count(*) from pg_indexes where tablename = 'items'"), "2");
    cluster.psql("part_items", "insert into items (note) values ('next')");
    assert_eq!(cluster.psql("part_items", "select max(id) from items"), "151");
    // Missing objects that the table refers to are named.
    let left =
        said["left_out"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>();
    assert!(left.iter().any(|one| one.contains("FOREIGN KEY (customer)")), "{left:?}");
    assert!(left.iter().any(|one| one.starts_with("CREATE TRIGGER touched")), "{left:?}");
    assert_eq!(cluster.psql("part_items", "select current_setting('pggit.commit', true) is null"), "t");

    into(rig, "part_schema", &["--schema", "odd.S"]).success();
    let moods = "select count(*) from \"odd.S\".\"Moods\" where mood = 'glad'";
    assert_eq!(cluster.psql("part_schema", moods), "1");
    assert_eq!(
        cluster.psql("part_schema", &tables.replace("public", "odd.S\"").replace("'odd", "'\"odd")),
        "Moods"
    );
    into(rig, "part_public", &["--schema", "public"]).success();
    assert_eq!(cluster.psql("part_public", tables), "counted,customers,items,items_high,items_low,orders");
    // The type of a column is not part of the table.
    let said = into(rig, "part_moods", &["--table", "\"odd.S\".Moods"]).fails(13).stderr_text();
    assert!(said.contains("\"odd.S\".\"Moods\"") && said.contains("mood\" does not exist"), "{said}");
    for (args, what) in [(["--table", "nothing"], "no table nothing"), (["--schema", "nothing"], "no schema")]
    {
        let said = into(rig, "part_none", &args).fails(10).stderr_text();
        assert!(said.contains(what), "{said}");
    }
    if is_cluster {
        into(rig, "whole", &[]).success();
        assert_eq!(dumped(cluster, "whole"), dumped(cluster, "shop"));
        into(rig, "beside", &["--from-database", "other"]).success();
        assert_eq!(dumped(cluster, "beside"), dumped(cluster, "other"));
        let said = into(rig, "part_none", &["--from-database", "nowhere"]).fails(12).stderr_text();
        assert!(said.contains("no database \"nowhere\""), "{said}");
    } else {
        into(rig, "part_none", &["--from-database", "other"]).fails(129);
    }
    nothing_is_left(&scratch);
    let made = "select string_agg(datname, ',' order by datname) from pg_database \
                where datname ~ 'part_none|part_moods|~'";
    assert_eq!(cluster.psql("postgres", made), "");
}

#[test]
fn of_a_dump() {
    let rig = Rig::with_pgbackrest();
    rig.config("tool", "pg_dump");
    with_shop(&rig);
    rig.create(&[]);
    takes_parts(&rig, false);
}

#[test]
fn of_a_base_backup_with_tablespaces() {
    let rig = Rig::with_pgbackrest();
    rig.config("tool", "pg_basebackup");
    let space = fresh_dir();
    rig.cluster.psql("postgres", &format!("create tablespace far location '{}'", space.display()));
    with_shop(&rig);
    rig.cluster.psql("shop", "alter table customers set tablespace far");
    rig.create(&[]);
    takes_parts(&rig, true);
    // The directory of the original tablespace was not used.
    assert_eq!(fs::read_dir(&space).unwrap().count(), 1);
}

#[test]
fn of_pgbackrest_to_a_commit() {
    let rig = Rig::with_pgbackrest();
    with_shop(&rig);
    rig.create(&[]);
    takes_parts(&rig, true);
    rig.sandbox.commit("migrations/0001_more.sql", "create table more (id int)", "more");
    let said = rig.pggit(&["backup", "restore", "HEAD", "--into", "onward", "--allow-schema-difference"]);
    said.success();
    assert_eq!(rig.cluster.psql("onward", "select to_regclass('more') is not null"), "t");
    assert_eq!(rig.cluster.psql("onward", "show pggit.commit"), rig.sandbox.git(["rev-parse", "HEAD"]));
    let part = ["backup", "restore", "HEAD", "--into", "part", "--table", "items"];
    assert!(rig.pggit(&part).fails(129).stderr_text().contains("--no-migrate"));
    rig.pggit(&[&part[..], &["--no-migrate"]].concat()).success();
}

#[test]
fn of_the_newest_barman_on_17() {
    let rig = Rig::of(Options::default().major(17), false).for_barman(&newest());
    rig.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    with_shop(&rig);
    rig.create(&[]);
    takes_parts(&rig, true);
}

#[test]
fn of_a_tool_of_ones_own_onto_another_server_with_its_roles() {
    let (rig, other) = (Rig::with_pgbackrest(), Cluster::start());
    snapshots(&rig);
    with_shop(&rig);
    rig.cluster.psql("shop", "create role app login password 'x'; alter table customers owner to app");
    rig.create(&[]);
    let (scratch, url) = (fresh_dir(), other.url("postgres"));
    rig.sandbox.git(["config", "pggit.scratchDir", scratch.to_str().unwrap()]);
    let args = ["--maintenance-db", &url, "--table", "customers"];
    let said = into(&rig, "customers", &args).fails(13).stderr_text();
    assert!(said.contains("role \"app\" does not exist"), "{said}");
    into(&rig, "customers", &[&args[..], &["--globals"]].concat()).success();
    let owner = "select tableowner from pg_tables where tablename = 'customers'";
    assert_eq!(other.psql("customers", owner), "app");
    assert_eq!(other.psql("postgres", "select count(*) from pg_roles where rolname ~ '^pggit'"), "0");

    // A crashed restore leaves a scratch cluster, which the next restore removes.
    for point in ["recovery.partial", "recovery.server-started", "recovery.loaded"] {
        let mut command = rig.sandbox.pggit_command();
        command.args(["backup", "restore", "latest", "--into", "again"]).args(args);
        assert_ne!(rig.sandbox.output(command.env("PGGIT_CRASH_AT", point)).status, 0);
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1, "{point}");
    }
    into(&rig, "again", &args).success();
    nothing_is_left(&scratch);
}

#[test]
fn amounts_that_are_read_in_another_locale_are_refused() {
    let (rig, other) = (Rig::with_pgbackrest(), Cluster::start());
    rig.config("tool", "pg_basebackup");
    rig.cluster.psql("shop", "create table prices as select 1.5::numeric::money as price");
    rig.create(&[]);
    let (scratch, url) = (fresh_dir(), other.url("postgres"));
    rig.sandbox.git(["config", "pggit.scratchDir", scratch.to_str().unwrap()]);
    // Settings of a role take precedence over those of a database.
    other.psql("postgres", "alter role postgres set lc_monetary = 'POSIX'");
    let args = ["--maintenance-db", &url, "--table", "prices"];
    let said = into(&rig, "prices", &args).fails(12).stderr_text();
    assert!(said.contains("money"), "{said}");
    into(&rig, "others", &["--maintenance-db", &url, "--table", "orders"]).success();
    other.psql("postgres", "alter role postgres reset lc_monetary");
    into(&rig, "prices", &args).success();
    assert_eq!(other.psql("prices", "select price::numeric from prices"), "1.50");
    nothing_is_left(&scratch);
}

#[test]
fn a_copy_of_a_cluster_says_which_settings_its_database_has() {
    let rig = Rig::with_pgbackrest();
    let script = snapshots(&rig).backup.unwrap().join(" ");
    // The record is started before the snapshot is taken.
    let reset = format!(
        "#!/bin/sh\n{} -X -q -d '{}' -c 'alter database shop reset search_path' >&2 && exec \"$@\"\n",
        rig.cluster.bin().join("psql").display(),
        rig.cluster.conninfo("shop"),
    );
    let reset = rig.write("reset", &reset, 0o755);
    rig.sandbox.git(["config", "pggit.tool.snap.backup", &format!("{} {script}", reset.display())]);
    rig.cluster.psql("shop", "create schema app; alter database shop set search_path = app, public");
    let backup = rig.create(&[]);
    assert_eq!(backup.postgres.unwrap().settings.len(), 1);
    rig.sandbox.git(["config", "pggit.scratchDir", fresh_dir().to_str().unwrap()]);
    rig.sandbox.commit("migrations/0001_more.sql", "create table more (id int)", "more");
    rig.pggit(&["backup", "restore", "HEAD", "--into", "onward", "--allow-schema-difference"]).success();
    assert_eq!(
        rig.cluster.psql("onward", "select schemaname from pg_tables where tablename = 'more'"),
        "public"
    );
}
