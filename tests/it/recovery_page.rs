//! Runs every command of docs/recovery.md, in the order of the page, in one environment: a live cluster
//! that archives its WAL, a history of migrations, a store. Names on the page that do not exist on this
//! machine are replaced. A command without a rule fails the test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cluster::{self, Cluster, Options};
use crate::sandbox::{Output, Sandbox};

/// The expected result of a command.
enum Rule {
    /// The command succeeds, and then this query has this result.
    Gives(&'static str, &'static str, &'static str),
    /// The command succeeds.
    Runs,
    /// The command fails with this exit status.
    Fails(i32),
    /// The line belongs to a configuration file, with which the server was started.
    Configured,
    /// This function runs before the next command.
    Then(fn(&Stage)),
}

use Rule::{Configured, Fails, Gives, Runs, Then};

/// The commands of the page, in order.
const RULES: &[(&str, &[Rule])] = &[
    ("git pggit backup find v1.9", &[Runs]),
    (
        "git pggit backup restore v1.9 --into shop_1_9",
        &[Gives("shop_1_9", "select count(*) from orders", "100")],
    ),
    (
        "git pggit backup restore nightly --into what_is_left --keep-going",
        &[Gives("what_is_left", "select count(*) from orders", "100")],
    ),
    ("git pggit backup plan v1.9 --in-place --disconnect", &[Runs]),
    (
        "git pggit backup restore v1.9 --in-place --force --disconnect",
        &[Gives("shop", "select count(*), to_regclass('t6') is null from orders", "100|t")],
    ),
    ("git pggit backup restore list", &[Runs]),
    ("git pggit backup restore finish", &[Runs, Then(Stage::at_the_newest_commit)]),
    ("git config pggit.shop.migrateCommand 'bin/rails db:migrate'", &[Runs, Then(Stage::without_sqlx)]),
    ("git pggit backup restore nightly --table orders --back-into shop --dry-run", &[Runs]),
    (
        "git pggit backup restore nightly --table orders --back-into shop --where 'id between 100 and 200'",
        &[Runs],
    ),
    (
        "git pggit backup restore nightly --into old_orders --table orders",
        &[Gives("old_orders", "select count(*) from orders", "100")],
    ),
    (
        "git pggit backup restore nightly --into old_public --schema public",
        &[Gives("old_public", "select count(*) from items", "0")],
    ),
    (
        "git pggit backup guard --check 'select count(*) > 0 from orders' -- psql -v ON_ERROR_STOP=1 -f migrations/0042.sql",
        // The migration deletes all orders.
        &[Fails(1), Then(Stage::nothing_is_lost)],
    ),
    ("git pggit with HEAD~5 -- psql -c 'select count(*) from orders'", &[Runs]),
    ("psql \"$(git pggit checkout v1.9)\"", &[Runs, Then(Stage::one_clone)]),
    ("git pggit clone list", &[Runs]),
    ("git pggit clone remove --all", &[Runs, Then(Stage::no_clone)]),
    ("# postgresql.conf", &[Configured]),
    ("archive_mode = on", &[Configured]),
    ("archive_command = 'git-pggit wal push --store s3://bucket/prefix %p'", &[Configured]),
    ("git pggit backup create --tool pg_basebackup", &[Runs, Then(Stage::a_mistake)]),
    ("git pggit wal check --store s3://bucket/prefix --pgdata /var/lib/postgresql/17/main", &[Runs]),
    ("install -d -o postgres -g postgres -m 700 /srv/copy", &[Runs]),
    (
        "git pggit backup restore latest --to /srv/copy --at 2026-11-21T03:40:00Z --wal-store s3://bucket/prefix",
        &[Runs],
    ),
    ("pg_ctl -D /srv/copy start", &[Runs, Then(Stage::before_the_mistake)]),
];

struct Stage {
    sandbox: Sandbox,
    cluster: Cluster,
    /// Data directory of the restored cluster; the socket of its server is in the parent directory.
    copy: PathBuf,
    store: PathBuf,
}

/// Returns the lines of all indented and fenced blocks.
fn commands(page: &str) -> Vec<String> {
    let (mut commands, mut fenced) = (Vec::new(), false);
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if let Some(line) = line.strip_prefix("    ").or(fenced.then_some(line)) {
            commands.extend(Some(line.to_owned()).filter(|line| !line.trim().is_empty()));
        }
    }
    commands
}

#[test]
fn every_command_of_the_page_on_recovery_does_what_it_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recovery.md")).unwrap();
    let stage = Stage::new();
    let mut rules = RULES.iter();
    for command in commands(&page) {
        let Some((known, then)) = rules.next() else { panic!("there is no rule for: {command}") };
        assert_eq!(&command, known, "the rules are in the order of the page");
        for rule in *then {
            stage.obey(rule, &command);
        }
    }
    assert_eq!(
        rules.map(|(known, _)| *known).collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "no longer on the page"
    );
}

impl Stage {
    fn new() -> Self {
        let (store, copy) = (cluster::fresh_dir(), cluster::fresh_dir());
        let cluster = Options::default().setting("archive_mode=on").setting("wal_level=replica").start();
        let mut sandbox = Sandbox::new();
        let bin = sandbox.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_git-pggit"), bin.join("git-pggit")).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let dirs =
            [bin.clone(), cluster::bin_dir().to_owned()].into_iter().chain(std::env::split_paths(&path));
        sandbox.set("PATH", std::env::join_paths(dirs).unwrap());
        sandbox.set("PGHOST", cluster.dir());
        sandbox.set("PGUSER", "postgres");
        sandbox.set("PGDATABASE", "shop");
        let stage = Self { sandbox, cluster, copy: copy.join("data"), store: store.join("store") };
        stage.wrap_pg_ctl(&bin);
        stage.archive_the_log();
        stage.tell_the_history();
        stage
    }

    /// Runs servers as a user other than root, with the socket next to the data directory of the restored
    /// cluster.
    fn wrap_pg_ctl(&self, bin: &Path) {
        let socket = self.copy.parent().unwrap().display().to_string();
        let user = cluster::owner().map_or(String::new(), |(uid, gid)| {
            format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
        });
        let program = cluster::bin_dir().join("pg_ctl").display().to_string();
        let server = format!("-c listen_addresses= -c unix_socket_directories={socket} -c port=5432");
        let script =
            format!("#!/bin/sh\ncd /\nexec {user}{program} -w -l {socket}/log -o '{server}' \"$@\"\n");
        fs::write(bin.join("pg_ctl"), script).unwrap();
        let _ = self.shell(&format!("chmod +x '{}'", bin.join("pg_ctl").display())).success();
    }

    fn archive_the_log(&self) {
        let store = self.store.to_str().unwrap();
        let _ = self.sandbox.pggit(["store", "init", store]).success();
        for entry in walkdir::WalkDir::new(&self.store) {
            cluster::give_to_owner(entry.unwrap().path());
        }
        let command = format!("{} wal push --store {store} %p", env!("CARGO_BIN_EXE_git-pggit"));
        self.cluster.psql("postgres", &format!("alter system set archive_command = '{command}'"));
        self.cluster.psql("postgres", "select pg_reload_conf()");
    }

    /// Makes a backup five commits before HEAD, and `v1.9` between the two.
    fn tell_the_history(&self) {
        self.cluster.psql("postgres", "create database shop");
        self.migrate("0001_orders.sql", "create table orders (id int primary key, note text);");
        self.cluster.psql("shop", "insert into orders select g, md5(g::text) from generate_series(1, 100) g");
        let _ = self.sandbox.pggit(["database", "add", "shop", "--url", "postgresql:///shop"]).success();
        let _ = self.sandbox.pggit(["store", "init", ".git/pggit/store"]);
        self.migrate("0002_items.sql", "create table items (id int primary key);");
        let _ = self.sandbox.pggit(["backup", "create", "--name", "nightly"]).success();
        for number in 3..=7 {
            self.migrate(
                &format!("000{number}_t.sql"),
                &format!("create table t{number} (id int primary key);"),
            );
            if number == 5 {
                self.sandbox.git(["tag", "v1.9"]);
            }
        }
        fs::write(self.sandbox.repo().join("migrations/0042.sql"), "delete from orders;").unwrap();
    }

    fn migrate(&self, name: &str, sql: &str) {
        self.cluster.psql("shop", sql);
        let _ = self.sandbox.commit(&format!("migrations/{name}"), sql, name);
    }

    fn shell(&self, command: &str) -> Output {
        self.sandbox.output(self.sandbox.command("sh").arg("-c").arg(command))
    }

    /// Returns the command with the paths and names of this machine.
    fn here(&self, command: &str) -> String {
        let now = fs::read_to_string(self.sandbox.path().join("moment")).unwrap_or_default();
        let user = match cluster::owner() {
            Some(_) => "-o postgres -g postgres",
            None => "",
        };
        let replaced = [
            ("s3://bucket/prefix", self.store.display().to_string()),
            ("/srv/copy", self.copy.display().to_string()),
            ("/var/lib/postgresql/17/main", self.cluster.dir().join("data").display().to_string()),
            ("2026-11-21T03:40:00Z", now),
            ("-o postgres -g postgres", user.to_owned()),
        ];
        replaced.iter().fold(command.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    fn obey(&self, rule: &Rule, command: &str) {
        let run = || self.shell(&self.here(command));
        match rule {
            Runs => drop(run().success()),
            Fails(status) => drop(run().fails(*status)),
            Gives(database, query, answer) => {
                let _ = run().success();
                assert_eq!(&self.cluster.psql(database, query), answer, "{command}");
            }
            Configured => {}
            Then(change) => change(self),
        }
    }

    /// Brings the live database to the newest commit again.
    fn at_the_newest_commit(&self) {
        for number in [6, 7] {
            self.cluster.psql("shop", &format!("create table t{number} (id int primary key);"));
        }
        let _ = self.sandbox.pggit(["mark", "HEAD"]).success();
    }

    fn without_sqlx(&self) {
        self.sandbox.git(["config", "--unset", "pggit.shop.migrateCommand"]);
    }

    fn nothing_is_lost(&self) {
        assert_eq!(self.cluster.psql("shop", "select count(*) from orders"), "100");
        let aside = self
            .cluster
            .psql("postgres", "select datname from pg_database where datname like 'shop~failed-%'");
        assert_eq!(self.cluster.psql(&aside, "select count(*) from orders"), "0");
    }

    fn clones(&self) -> usize {
        let json = self.sandbox.pggit(["clone", "list", "--json"]).success().json();
        json["clones"].as_array().map_or(0, Vec::len)
    }

    fn one_clone(&self) {
        assert_eq!(self.clones(), 1);
    }

    fn no_clone(&self) {
        assert_eq!(self.clones(), 0);
    }

    /// Deletes orders just after the recovery target.
    fn a_mistake(&self) {
        let moment =
            "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        fs::write(self.sandbox.path().join("moment"), self.cluster.psql("shop", moment)).unwrap();
        self.cluster.psql("shop", "delete from orders");
        let last = self.cluster.psql("shop", "select pg_walfile_name(pg_switch_wal())");
        let archived = format!("select last_archived_wal >= '{last}' from pg_stat_archiver");
        self.cluster.wait_until("postgres", &archived);
    }

    fn before_the_mistake(&self) {
        let socket = self.copy.parent().unwrap().display().to_string();
        let query = |sql: &str| {
            let psql = format!("PGHOST={socket} psql -XAtqc \"{sql}\"");
            self.shell(&psql).success().stdout_text().trim().to_owned()
        };
        let wait = "do 'begin while pg_is_in_recovery() loop perform pg_sleep(0.05); end loop; end'";
        query(wait);
        assert_eq!(query("select count(*) from orders"), "100");
        assert_eq!(self.cluster.psql("shop", "select count(*) from orders"), "0");
        let _ = self.shell(&format!("pg_ctl -D '{}' -m immediate stop", self.copy.display())).success();
    }
}
