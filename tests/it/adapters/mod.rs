//! Tools with repositories of their own: the real programs, with configurations and repositories that only
//! one test uses.

mod barman;
mod conformance;
mod custom;
mod import;
mod pgbackrest;
mod restore_part;
mod restore_test;
mod restore_to;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Plain};

use pggit::clock::System;
use pggit::domain::{Backup, Line, RecoveryTarget};
use pggit::git::Repository;
use pggit::ledger::Ledger;
use pggit::process::OsUser;
use pggit::progress::Quiet;
use pggit::tools::adapter::{self, BackupRef, Depth, Report, RestoreStep, Target};
use pggit::tools::{self, Adapter, Barman, External, PgBackRest};

use crate::cluster::{Cluster, Options, bin_dir, client, fresh_dir, give_to_owner, owner, pg};
use crate::sandbox::{Output, Sandbox};

/// A schema repository, and a cluster that archives its WAL to pgBackRest and Barman.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) cluster: Cluster,
    /// Directory of the tools: configurations, repositories, restored clusters.
    pub(crate) dir: PathBuf,
    pub(crate) barman: PathBuf,
}

impl Rig {
    /// Starts a cluster with a database `shop` of 100 orders, and makes two commits.
    pub(crate) fn new() -> Self {
        Self::of(Options::default(), true)
    }

    /// The same with other options of the server. Without `pgbackrest`, it archives to Barman only.
    fn of(options: Options, pgbackrest: bool) -> Self {
        let dir = fresh_dir();
        for sub in ["repo", "log", "lock", "spool", "home", "home/main", "home/main/incoming", "conf.d"] {
            fs::create_dir(dir.join(sub)).unwrap();
            give_to_owner(&dir.join(sub));
        }
        let at = dir.display();
        let push = format!("pgbackrest --config={at}/pgbackrest.conf --stanza=main archive-push %p && ");
        let push = if pgbackrest { push } else { String::new() };
        let archive = format!("archive_command={push}cp %p {at}/home/main/incoming/%f");
        let options = options.setting("archive_mode=on").setting(&archive);
        let cluster = options.setting("wal_level=replica").setting("max_wal_senders=4").start();
        let rig = Self { sandbox: Sandbox::new(), cluster, dir, barman: "/usr/bin/barman".into() };
        rig.configure();
        rig.sandbox.commit("1.sql", "create table orders (id int primary key)", "orders");
        rig.sandbox.commit("2.sql", "-- nothing", "nothing");
        rig.cluster.psql("postgres", "create database shop");
        rig.cluster.psql("shop", "create table orders as select g as id from generate_series(1, 100) g");
        rig.pggit(&["database", "add", "shop", "--url", &rig.cluster.url("shop")]).success();
        if owner().is_some() {
            rig.config("toolUser", "postgres");
        }
        rig
    }

    fn configure(&self) {
        let (at, cluster, bin) =
            (self.dir.display(), self.cluster.dir().display(), self.cluster.bin().display());
        let port = self.cluster.port();
        let pgbackrest = format!(
            "[global]\nrepo1-path={at}/repo\nlog-path={at}/log\nlock-path={at}/lock\nspool-path={at}/spool\n\
             log-level-file=off\njob-retry=0\nstart-fast=y\ncompress-type=none\n\
             [main]\npg1-path={cluster}/data\npg1-socket-path={cluster}\npg1-user=postgres\npg1-port={port}\n"
        );
        self.write("pgbackrest.conf", &pgbackrest, 0o644);
        let user = if owner().is_some() { "postgres".to_owned() } else { us() };
        let barman = format!(
            "[barman]\nbarman_user = {user}\nbarman_home = {at}/home\nbarman_lock_directory = {at}/lock\n\
             configuration_files_directory = {at}/conf.d\nlog_file = {at}/log/barman.log\npath_prefix = {bin}\n\
             [main]\ndescription = shop\nconninfo = host={cluster} user=postgres dbname=postgres port={port}\n\
             streaming_conninfo = host={cluster} user=postgres dbname=postgres port={port}\n\
             backup_method = postgres\nstreaming_archiver = off\narchiver = on\n\
             immediate_checkpoint = true\n"
        );
        self.write("barman.conf", &barman, 0o644);
    }

    /// Configures pgBackRest as the tool.
    pub(crate) fn with_pgbackrest() -> Self {
        let rig = Self::new();
        rig.pgbackrest(&["stanza-create"]);
        rig.config("tool", "pgbackrest");
        rig.config("pgbackrestStanza", "main");
        rig.config("pgbackrestConfig", rig.dir.join("pgbackrest.conf").to_str().unwrap());
        rig
    }

    /// Configures Barman as the tool.
    pub(crate) fn with_barman(program: &Path) -> Self {
        Self::of(Options::default(), false).for_barman(program)
    }

    fn for_barman(mut self, program: &Path) -> Self {
        self.barman = program.to_owned();
        let rig = self;
        rig.barman(&["switch-wal", "--force", "--archive", "--archive-timeout", "60", "main"]);
        rig.config("tool", "barman");
        rig.config("barmanServer", "main");
        rig.config("barmanPath", rig.barman.to_str().unwrap());
        rig.config("barmanConfig", rig.dir.join("barman.conf").to_str().unwrap());
        rig
    }

    /// Sets `pggit.shop.<key>`.
    pub(crate) fn config(&self, key: &str, value: &str) {
        self.sandbox.git(["config", &format!("pggit.shop.{key}"), value]);
    }

    pub(crate) fn pggit(&self, args: &[&str]) -> Output {
        self.sandbox.pggit(args)
    }

    /// Makes a backup, which must succeed.
    #[track_caller]
    pub(crate) fn create(&self, args: &[&str]) -> Backup {
        let made = self.pggit(&[&["backup", "create", "--json"], args].concat()).success();
        serde_json::from_slice(&made.stdout).expect("a backup")
    }

    /// Writes a file into the directory of the tools.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.dir.join(name);
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        give_to_owner(&path);
        path
    }

    /// Returns a command that runs a program as the owner of the clusters.
    pub(crate) fn as_owner(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        if let Some((uid, gid)) = owner() {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs pgBackRest, which must succeed.
    #[track_caller]
    pub(crate) fn pgbackrest(&self, args: &[&str]) -> Plain {
        let config = format!("--config={}/pgbackrest.conf", self.dir.display());
        let mut command = self.as_owner(Path::new("/usr/bin/pgbackrest"));
        succeeds(command.args([config.as_str(), "--stanza=main"]).args(args))
    }

    /// Runs Barman, which must succeed.
    #[track_caller]
    pub(crate) fn barman(&self, args: &[&str]) -> Plain {
        succeeds(self.as_owner(&self.barman).arg("-c").arg(self.dir.join("barman.conf")).args(args))
    }

    pub(crate) fn external(&self, program: Option<PathBuf>) -> External {
        External { program, user: owner().map(|_| "postgres".to_owned()) }
    }

    /// Returns the adapter with the configuration of the test.
    pub(crate) fn adapter_of_pgbackrest(&self) -> PgBackRest {
        let config = Some(self.dir.join("pgbackrest.conf"));
        PgBackRest { external: self.external(None), stanza: Some("main".to_owned()), config, repo: None }
    }

    /// Returns the adapter with the configuration of the test.
    pub(crate) fn adapter_of_barman(&self) -> Barman {
        let config = Some(self.dir.join("barman.conf"));
        Barman { external: self.external(Some(self.barman.clone())), server: Some("main".to_owned()), config }
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(&self.sandbox.repo()).unwrap()
    }

    /// Returns all records.
    pub(crate) fn records(&self) -> Vec<Backup> {
        let (repository, host) = (self.repository(), Line::lossy("db1"));
        let catalog = Ledger::new(&repository, &System, &host).catalog().unwrap();
        assert_eq!(catalog.damaged, []);
        catalog.entries.into_iter().map(|entry| entry.backup).collect()
    }

    /// Restores into a new data directory, and counts the orders there.
    #[track_caller]
    pub(crate) fn restored_orders(
        &self,
        adapter: &dyn Adapter,
        backup: &Backup,
        until: RecoveryTarget,
    ) -> String {
        let path = self.dir.join(format!("restored-{}", fs::read_dir(&self.dir).unwrap().count()));
        let target = Target::DataDirectory { path: path.clone(), tablespaces: Vec::new(), until };
        let steps = adapter.restore(&subject(backup), &target).unwrap();
        execute(steps).unwrap();
        self.orders_in(&path)
    }

    /// Starts a restored cluster, separate from the source, and counts its orders.
    #[track_caller]
    pub(crate) fn orders_in(&self, data: &Path) -> String {
        let at = self.dir.display().to_string();
        let server = format!(
            "-c listen_addresses='' -c port=5499 -c unix_socket_directories={at} -c fsync=off -c archive_mode=off"
        );
        let log = self.dir.join(format!("log/{}", data.file_name().unwrap().to_str().unwrap()));
        let mut start = pg(bin_dir(), "pg_ctl");
        start.args(["-w", "-l"]).arg(&log).arg("-D").arg(data).arg("-o").arg(server).arg("start");
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(start.status().unwrap().success(), "{}", fs::read_to_string(log).unwrap_or_default());
        let conninfo = format!("host={at} port=5499 user=postgres dbname=shop");
        // The server accepts connections as soon as it is consistent, and may have WAL left to replay.
        let wait = "do $$ begin for i in 1..1500 loop exit when not pg_is_in_recovery(); \
                    perform pg_sleep(0.02); end loop; end $$";
        let count = "select count(*) from orders";
        let out = client("psql").args(["-XAtq", "-d", &conninfo, "-c", wait, "-c", count]).output().unwrap();
        let stopped = pg(bin_dir(), "pg_ctl")
            .args(["-w", "-m", "immediate", "-D"])
            .arg(data)
            .arg("stop")
            .output()
            .unwrap();
        assert!(stopped.status.success());
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.cluster.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn us() -> String {
    let us = OsUser::with_id(rustix::process::geteuid().as_raw()).expect("the current user is known");
    us.name.into_string().expect("a plain name")
}

#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> Plain {
    let out =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run tests/prepare.sh test"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}\n{stdout}{stderr}");
    out
}

/// A backup whose bytes are in the repository of its tool.
pub(crate) fn subject(backup: &Backup) -> BackupRef<'_> {
    BackupRef { backup, chain: &[], source: None }
}

pub(crate) fn check(adapter: &dyn Adapter, backup: &Backup) -> Report {
    adapter.check(&subject(backup), Depth::Integrity, &Quiet).unwrap()
}

/// Executes the plan of a physical restore.
pub(crate) fn execute(steps: Vec<RestoreStep>) -> Result<(), tools::Error> {
    for step in steps {
        match step {
            RestoreStep::RequireEmpty { path, owner } => adapter::empty_directory(&path, owner.as_ref())?,
            RestoreStep::Run { cmd, .. } => drop(cmd.run().map_err(tools::Error::Process)?),
            RestoreStep::Append { path, text } => {
                fs::OpenOptions::new().append(true).open(path).unwrap().write_all(&text).unwrap();
            }
            other => panic!("no step of a tool with a repository: {other:?}"),
        }
    }
    Ok(())
}

/// Changes one byte in the middle of the largest file below `dir` with `part` in its path.
pub(crate) fn damage(dir: &Path, part: &str) -> PathBuf {
    let files = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.path().to_string_lossy().contains(part));
    let largest =
        files.max_by_key(|entry| entry.metadata().unwrap().len()).expect("there is a file").into_path();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mode = fs::metadata(&largest).unwrap().permissions();
    fs::write(&largest, bytes).unwrap();
    fs::set_permissions(&largest, mode).unwrap();
    largest
}
