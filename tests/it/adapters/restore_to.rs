//! `git pggit backup restore <commit> --to` of every tool: the restored cluster equals the source, at the
//! commit of the backup and three migrations later.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Rig;
use super::barman::newest;
use super::custom::snapshots;
use crate::cluster::{Cluster, Options, fresh_dir, versions};
use crate::sandbox::Output;

/// The migrations between the backup and the target commit.
const MIGRATIONS: [(&str, &str); 3] = [
    ("0002_items.sql", "create table items (id int primary key, at date);"),
    ("0003_key.sql", "alter table orders add primary key (id); insert into items values (7, '2020-01-01');"),
    ("0010_index.sql", "create index concurrently items_at on items (at);"),
];

impl Rig {
    /// Commits a migration.
    fn migration(&self, name: &str, sql: &str) {
        self.sandbox.commit(&format!("migrations/{name}"), sql, name);
    }

    /// Commits all three migrations and runs them in the source.
    fn migrate(&self) {
        for (name, sql) in MIGRATIONS {
            self.migration(name, sql);
            sql.split_inclusive(';').for_each(|one| drop(self.cluster.psql("shop", one)));
        }
        self.pggit(&["mark"]).success();
    }

    /// Commits a first migration and makes a backup called `first`.
    fn backed_up(self) -> Self {
        self.backed_up_as(&["--name", "first"])
    }

    fn backed_up_as(self, how: &[&str]) -> Self {
        let owned = "alter table orders owner to app; grant select on orders to public;";
        self.migration("0001_orders.sql", &format!("create table orders (id integer); {owned}"));
        self.cluster.psql("postgres", "create role app login; alter database shop owner to app");
        self.cluster.psql("shop", owned);
        self.pggit(&["mark"]).success();
        self.create(how);
        self
    }

    fn restore_to(&self, what: &str, data: &Path, more: &[&str]) -> Output {
        self.pggit(&[&["backup", "restore", what, "--to", data.to_str().unwrap()], more].concat())
    }
}

/// Returns a dump of the whole cluster.
fn dumped(cluster: &Cluster) -> String {
    let mut dump = Command::new(cluster.bin().join("pg_dumpall"));
    dump.env_clear().env("PATH", "/usr/bin:/bin").arg("-d").arg(cluster.conninfo("postgres"));
    let text = String::from_utf8(super::succeeds(&mut dump).stdout).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("--") && !line.contains("restrict "));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Starts a restored cluster, checks it with pg_amcheck, and returns its dump.
fn started(options: &Options, dir: &Path) -> String {
    let cluster = options.start_in(dir.to_owned());
    cluster.psql(
        "postgres",
        "do $$ begin for i in 1..1500 loop exit when not pg_is_in_recovery(); perform pg_sleep(0.02); \
         end loop; end $$",
    );
    let dump = dumped(&cluster);
    assert_eq!(cluster.psql("postgres", "show archive_mode"), "off");
    let mut check = Command::new(cluster.bin().join("pg_amcheck"));
    check.env_clear().arg("-h").arg(cluster.dir()).args(["-p", "5432", "-U", "postgres"]);
    check.args(["--all", "--install-missing"]);
    super::succeeds(&mut check);
    dump
}

/// Returns the names of the files in a directory.
fn left(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until no process has its working directory below `dir`. A server ends shortly after `pg_ctl stop`.
fn wait_for_processes_in(dir: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !processes_in(dir).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", processes_in(dir));
        std::thread::yield_now();
    }
}

/// Returns the working directories below `dir` that processes have.
fn processes_in(dir: &Path) -> Vec<PathBuf> {
    let of = |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).ok();
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(of);
    all.filter(|place| place.starts_with(dir)).collect()
}

/// Restores to both commits and compares with the source.
fn goes_to_both(rig: &Rig, options: &Options) {
    let exact = dumped(&rig.cluster);
    let (there, onward) = (fresh_dir(), fresh_dir());
    rig.restore_to("first", &there.join("data"), &["--check-schema"]).success();
    assert_eq!(started(options, &there), exact);
    rig.migrate();
    let later = dumped(&rig.cluster);
    assert_ne!(later, exact);
    let said: Value = rig.restore_to("HEAD", &onward.join("data"), &["--json"]).success().json();
    assert_eq!(said["commit"], rig.sandbox.git(["rev-parse", "HEAD"]));
    assert_eq!(said["schema_difference"], Value::Null);
    assert!(said["schema_compared_with"].as_str().unwrap().contains("4 migrations"), "{said}");
    assert_eq!(left(&onward), ["data"]);
    assert_eq!(processes_in(&onward), [""; 0].map(PathBuf::from));
    let settings = fs::read_to_string(onward.join("data/postgresql.auto.conf")).unwrap();
    assert!(!settings.contains("pggit-partial"), "{settings}");
    assert_eq!(started(options, &onward), later);
}

#[test]
fn a_base_backup() {
    let rig = Rig::with_pgbackrest();
    rig.config("tool", "pg_basebackup");
    goes_to_both(&rig.backed_up(), &Options::default());
}

#[test]
fn a_chain_on_17() {
    let options = Options::default().major(17);
    let rig = Rig::of(options.clone().setting("summarize_wal=on"), false);
    rig.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    rig.config("tool", "pg_basebackup");
    rig.create(&["--name", "full"]);
    let rig = rig.backed_up_as(&["--name", "first", "--type", "incremental"]);
    assert_eq!(rig.records().pop().unwrap().kind.as_str(), "incremental");
    goes_to_both(&rig, &options);
}

#[test]
fn pgbackrest() {
    goes_to_both(&Rig::with_pgbackrest().backed_up(), &Options::default());
}

#[test]
fn barman() {
    goes_to_both(&Rig::with_barman(&super::barman::debians()).backed_up(), &Options::default());
}

#[test]
fn the_newest_barman_on_17() {
    let options = Options::default().major(17);
    let rig = Rig::of(options.clone(), false).for_barman(&newest());
    rig.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    goes_to_both(&rig.backed_up(), &options);
}

#[test]
fn a_tool_of_ones_own() {
    let rig = Rig::with_pgbackrest();
    snapshots(&rig);
    goes_to_both(&rig.backed_up(), &Options::default());
}

#[test]
fn a_dump() {
    let rig = Rig::with_pgbackrest();
    rig.config("tool", "pg_dump");
    let rig = rig.backed_up();
    let dump = |dbname: &str| {
        let mut dump = crate::cluster::client("pg_dump");
        let text = super::succeeds(dump.arg("-d").arg(rig.cluster.conninfo(dbname))).stdout;
        let text = String::from_utf8(text).unwrap();
        let kept = text.lines().filter(|line| !line.contains("restrict ")).map(str::to_owned);
        kept.collect::<Vec<_>>()
    };
    let exact = dump("shop");
    rig.pggit(&["backup", "restore", "first", "--into", "there"]).success();
    assert_eq!(dump("there"), exact);
    rig.migrate();
    rig.pggit(&["backup", "restore", "HEAD", "--into", "onward"]).success();
    assert_eq!(dump("onward"), dump("shop"));
}

#[test]
fn nothing_is_left_when_it_cannot_be_done() {
    let rig = Rig::with_pgbackrest().backed_up();
    let dir = fresh_dir();
    let data = dir.join("data");
    rig.migration("0002_fine.sql", "create table fine (id int);");
    rig.migration("0003_wrong.sql", "create table wrong (id nonsense);");
    let said = rig.restore_to("HEAD", &data, &[]).fails(13).stderr_text();
    assert!(said.contains("0003_wrong.sql:1: type \"nonsense\" does not exist (SQLSTATE 42704)"), "{said}");
    assert_eq!((left(&dir), processes_in(&dir)), (vec![], vec![]));
    // An object that is in the cluster and in no migration is a schema difference.
    rig.cluster.psql("shop", "create table by_hand (id int)");
    rig.sandbox.git(["reset", "-q", "--hard", "HEAD~1"]);
    rig.create(&["--name", "second", "--commit", "HEAD~1", "--force"]);
    let said = rig.restore_to("second", &data, &["--commit", "HEAD"]).fails(1).stderr_text();
    assert!(said.contains("+CREATE TABLE public.by_hand"), "{said}");
    assert_eq!((left(&dir), processes_in(&dir)), (vec![], vec![]));
    rig.restore_to("second", &data, &["--commit", "HEAD", "--allow-schema-difference"]).success();
    // The steps are shown and not executed.
    let steps = rig.restore_to("HEAD", &dir.join("other"), &["--dry-run"]).success().stdout_text();
    for step in ["recover it with a private server", "run 0002_fine.sql in \"shop\"", "mark \"shop\""] {
        assert!(steps.contains(step), "{step}: {steps}");
    }
    assert_eq!(left(&dir), ["data"]);
    // Without migrations no server is needed; with migrations one of the same major version is.
    rig.sandbox.git(["config", "pggit.pgBinDir", versions().join("17/bin").to_str().unwrap()]);
    let said = rig.restore_to("HEAD", &dir.join("other"), &[]).fails(13).stderr_text();
    assert!(said.contains("no postgres of PostgreSQL 15 is installed (there is 17"), "{said}");
    assert_eq!(left(&dir), ["data"]);
    rig.restore_to("HEAD", &dir.join("other"), &["--no-migrate"]).success();
    // A commit with migrations in an unsupported layout is refused too.
    rig.migration("0003_more/up.sql", "create table more (id int);");
    let said = rig.restore_to("HEAD", &dir.join("third"), &[]).fails(12).stderr_text();
    assert!(said.contains("migrations/0003_more/up.sql cannot be run"), "{said}");
    let mut names = left(&dir);
    names.sort();
    assert_eq!(names, ["data", "other"]);
}

#[test]
fn who_is_killed_leaves_no_server_and_the_next_one_tidies_up() {
    let rig = Rig::with_pgbackrest();
    rig.config("tool", "pg_basebackup");
    let rig = rig.backed_up();
    rig.migration("0002_fine.sql", "create table fine (id int);");
    let dir = fresh_dir();
    let data = dir.join("data");
    for point in ["server-started", "migrated", "proved", "server-stopped", "unpacked"] {
        let mut command = rig.sandbox.pggit_command();
        command.args(["backup", "restore", "HEAD", "--to", data.to_str().unwrap()]);
        let output = rig.sandbox.output(command.env("PGGIT_CRASH_AT", format!("recovery.{point}")));
        assert_ne!(output.status, 0, "{point}");
        assert_eq!(left(&dir), [".data.pggit-partial"], "{point}");
    }
    rig.restore_to("HEAD", &data, &[]).success();
    assert_eq!((left(&dir), processes_in(&dir)), (vec!["data".to_owned()], vec![]));
    let cluster = Options::default().start_in(dir);
    assert_eq!(cluster.psql("shop", "select count(*) from orders, pg_class where relname = 'fine'"), "100");
    assert_eq!(cluster.psql("shop", "select count(*) from pg_roles where rolname like 'pggit%'"), "0");
}

#[test]
fn nobody_need_be_called_postgres_and_owners_stay_owners() {
    let rig = Rig::with_pgbackrest().backed_up();
    rig.cluster.psql("postgres", "create role boss superuser login");
    let boss = rig.cluster.conninfo("template1").replace("user=postgres", "user=boss");
    let rename = "alter role postgres rename to nobody; alter role nobody nologin";
    super::succeeds(crate::cluster::client("psql").args(["-XAtq", "-d", &boss, "-c", rename]));
    rig.sandbox.git(["config", "pggit.shop.url", &rig.cluster.url("shop").replace("=postgres", "=app")]);
    let conf = fs::read_to_string(rig.dir.join("pgbackrest.conf")).unwrap();
    rig.write("pgbackrest.conf", &conf.replace("pg1-user=postgres", "pg1-user=boss"), 0o644);
    rig.create(&["--name", "second"]);
    rig.migration("0002_fine.sql", "create table fine (id int);");
    let dir = fresh_dir();
    rig.restore_to("HEAD", &dir.join("data"), &[]).success();
    let cluster = Options::default().start_in(dir);
    let asked = cluster.conninfo("shop").replace("user=postgres", "user=boss");
    let sql = "select tableowner from pg_tables where tablename = 'fine' union all \
               select string_agg(rolname, ',' order by rolname) from pg_roles where rolname !~ '^pg_' \
               union all select rolcreatedb::text from pg_roles where rolname = 'app'";
    let out = super::succeeds(crate::cluster::client("psql").args(["-XAtq", "-d", &asked, "-c", sql]));
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "app\napp,boss,nobody\nfalse\n");
}

/// Runs a query on the server of a URL, with an empty environment.
fn asked(url: &str, sql: &str) -> String {
    let out = super::succeeds(crate::cluster::client("psql").args(["-XAtq", "-d", url, "-c", sql]));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Runs the command that stops a server, as the owner of its process.
fn stop(server: &Value) {
    let words: Vec<&str> =
        server["stop"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let mut command = crate::cluster::pg("/".as_ref(), words[0]);
    super::succeeds(command.args(&words[1..]).stdout(std::process::Stdio::null()));
}

#[test]
fn a_copy_can_be_started_and_stays_until_it_is_stopped() {
    let rig = Rig::with_pgbackrest();
    // These settings of the source are overridden in the restored cluster.
    let system =
        ["listen_addresses = '*'", "archive_mode = on", "shared_preload_libraries = 'pg_stat_statements'"];
    system.iter().for_each(|one| drop(rig.cluster.psql("postgres", &format!("alter system set {one}"))));
    let rig = rig.backed_up();
    rig.cluster.psql("shop", "insert into orders values (101)");
    rig.cluster.psql("shop", "select pg_create_restore_point('before')");
    rig.cluster.psql("shop", "delete from orders; select pg_switch_wal()");
    rig.migration("0002_fine.sql", "create table fine (id int);");
    let dir = fresh_dir();
    let (first, second) = (dir.join("first"), dir.join("second"));
    let mut command = rig.sandbox.pggit_command();
    // The environment variables are not for this server.
    let elsewhere =
        command.env("PGHOSTADDR", "127.0.0.1").env("PGPORT", "1").env("PGOPTIONS", "-c nonsense=1");
    elsewhere.args(["backup", "restore", "HEAD", "--start", "--json", "--to", first.to_str().unwrap()]);
    let said = rig.sandbox.output(elsewhere).success().json();
    let url = said["server"]["url"].as_str().unwrap();
    assert_eq!(asked(url, "select count(*) from orders, pg_class where relname = 'fine'"), "100");
    for (setting, value) in [
        ("archive_mode", "off"),
        ("listen_addresses", ""),
        ("shared_preload_libraries", ""),
        ("pggit.commit", &rig.sandbox.git(["rev-parse", "HEAD"])),
    ] {
        assert_eq!(asked(url, &format!("show {setting}")), value, "{setting}");
    }
    // A cluster that was recovered to a point in time is not at a commit.
    let to = second.to_str().unwrap();
    let point = ["backup", "restore", "first", "--to", to, "--start", "--restore-point", "before"];
    let other = rig.pggit(&point).success();
    assert!(other.stderr_text().contains("stop it"), "{}", other.snapshot());
    assert_eq!(asked(other.stdout_text().trim(), "select count(*) from orders"), "101");
    assert_eq!(asked(url, "select count(*) from orders"), "100");
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o700);
    stop(&said["server"]);
    let stops = said["server"]["stop"].clone();
    let stops = serde_json::to_string(&stops).unwrap().replace(first.to_str().unwrap(), to);
    stop(&serde_json::json!({ "stop": serde_json::from_str::<Value>(&stops).unwrap() }));
    wait_for_processes_in(&dir);

    let odd = dir.join("it's $(touch pwned)");
    let said = rig.restore_to("HEAD", &odd, &["--start"]).fails(12).stderr_text();
    assert!(said.contains("must not be passed to a shell"), "{said}");
    let long = dir.join("x".repeat(90));
    let said = rig.restore_to("HEAD", &long, &["--start"]).fails(12).stderr_text();
    assert!(said.contains("too long a path for the socket"), "{said}");
    rig.restore_to("HEAD", &odd, &["--start", "--archive-mode", "preserve"]).fails(129);
    assert_eq!(left(&dir).len(), 2);
    // pgBackRest would pass the path to a shell, too.
    rig.restore_to("HEAD", &odd, &[]).fails(12);
}

/// Backs up a cluster with a tablespace. Returns the directory of the tablespace, which is empty again.
fn tablespace_backed_up(rig: &Rig) -> PathBuf {
    let space = fresh_dir().join("space");
    fs::create_dir(&space).unwrap();
    crate::cluster::give_to_owner(&space);
    rig.cluster.psql("postgres", &format!("create tablespace far location '{}'", space.display()));
    rig.cluster.psql("shop", "create table distant tablespace far as select generate_series(1, 10) as n");
    rig.create(&["--name", "first"]);
    rig.cluster.psql("shop", "drop table distant");
    rig.cluster.psql("postgres", "drop tablespace far");
    fs::remove_dir_all(&space).unwrap();
    space
}

/// A tablespace is restored only if the caller has mapped it, and only to that directory.
fn goes_where_it_is_mapped(rig: &Rig) {
    let space = tablespace_backed_up(rig);
    let (dir, elsewhere) = (fresh_dir(), fresh_dir().join("elsewhere"));
    let data = dir.join("data");
    let same = format!("{space}={space}", space = space.display());
    let text = rig.restore_to("first", &data, &[]).fails(12).stderr_text();
    assert!(text.contains(&format!("--tablespace-mapping {same}")), "{text}");
    assert!(left(&dir).is_empty() && !space.exists());
    let other = format!("{}={}", space.display(), elsewhere.display());
    rig.restore_to("first", &data, &["--tablespace-mapping", &other]).success();
    assert!(elsewhere.is_dir() && !space.exists());
    let cluster = Options::default().start_in(dir);
    assert_eq!(cluster.psql("shop", "select sum(n) from distant"), "55");
    drop(cluster);
    let dir = fresh_dir();
    rig.restore_to("first", &dir.join("data"), &["--tablespace-mapping", &same]).success();
    let cluster = Options::default().start_in(dir);
    assert_eq!(cluster.psql("shop", "select sum(n) from distant"), "55");
    assert!(space.is_dir());
}

#[test]
fn a_tablespace_of_pgbackrest_goes_where_it_is_mapped() {
    let rig = Rig::with_pgbackrest();
    // The configuration of pgBackRest does not decide where files are restored either.
    let elsewhere = rig.dir.join("never");
    let conf = fs::read_to_string(rig.dir.join("pgbackrest.conf")).unwrap();
    let more = format!("[main]\nlink-all=y\ntablespace-map-all={}\n", elsewhere.display());
    rig.write("pgbackrest.conf", &conf.replacen("[main]\n", &more, 1), 0o644);
    goes_where_it_is_mapped(&rig);
    assert!(!elsewhere.exists());
}

#[test]
fn a_tablespace_of_barman_goes_where_it_is_mapped() {
    goes_where_it_is_mapped(&Rig::with_barman(&newest()));
}

#[test]
fn a_link_that_a_tool_has_made_to_somewhere_else_is_refused() {
    let rig = Rig::with_pgbackrest();
    snapshots(&rig);
    // This tool copies the symbolic link and does not report the tablespace.
    let space = fresh_dir();
    rig.cluster.psql("postgres", &format!("create tablespace far location '{}'", space.display()));
    rig.create(&["--name", "first"]);
    let dir = fresh_dir();
    let text = rig.restore_to("first", &dir.join("data"), &[]).fails(12).stderr_text();
    let leads = format!("leads to {}", space.display());
    assert!(text.contains("would have a link out of it: pg_tblspc/") && text.contains(&leads), "{text}");
    assert_eq!(left(&dir), [""; 0]);
    assert_eq!(fs::read_dir(&space).unwrap().count(), 1);
}
