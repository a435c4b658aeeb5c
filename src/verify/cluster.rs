//! The scratch cluster: reachable by nobody else, connected to nothing else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::scratch::Scratch;
use super::{Error, words};
use crate::pg::{self, Client, ConnInfo, Environment, quote_ident};
use crate::process::{self, Ending, Server, Stdin, crash_point};
use crate::tools::{self, Connection, Program, Programs, ToolVersion};

/// What the server's activity views call us.
const APPLICATION: &str = "git-pggit";
/// The superuser that initdb makes.
const BOOTSTRAP: &str = "postgres";

/// The programs that make a scratch cluster.
#[derive(Debug)]
pub(super) struct Binaries {
    initdb: PathBuf,
    postgres: PathBuf,
    pub(super) version: ToolVersion,
}

impl Binaries {
    /// Those of exactly this major version: another one would prove something else.
    pub(super) fn find(programs: &Programs, major: u32) -> Result<Self, Error> {
        let find = |program| {
            let missing = |found| Error::ServerMissing { program, major, found };
            let path = programs.locate(program, major).map_err(|_| missing(None))?;
            let version = programs.version(&path).map_err(|_| missing(None))?;
            if version.major == major { Ok((path, version)) } else { Err(missing(Some(version))) }
        };
        let (initdb, _) = find(Program::Initdb)?;
        let (postgres, version) = find(Program::Postgres)?;
        Ok(Self { initdb, postgres, version })
    }
}

/// Where the content of a scratch cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is empty.
    Initdb,
    /// A data directory that was restored: what it has learned of the world must
    /// not be followed.
    Restored,
}

/// When all has to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    after: Duration,
    pub(super) at: Instant,
}

impl Limit {
    pub(super) fn new(after: Duration) -> Self {
        let now = Instant::now();
        // What cannot be expressed is far enough.
        Self { after, at: now.checked_add(after).unwrap_or(now + Duration::from_secs(86_400)) }
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    pub(super) fn error(&self) -> Error {
        Error::Deadline { after: self.after }
    }
}

/// A running scratch cluster. It stops when this goes.
pub(super) struct Cluster {
    server: Server,
    admin: ConnInfo,
    limit: Limit,
    pub(super) version: ToolVersion,
}

impl Cluster {
    /// Makes an empty data directory.
    pub(super) fn initdb(scratch: &Scratch, binaries: &Binaries, limit: &Limit) -> Result<(), Error> {
        let options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        let cmd = scratch.cmd(&binaries.initdb).args(options).arg(format!("--username={BOOTSTRAP}"));
        match cmd.arg("--pgdata").arg(scratch.data()).deadline(limit.left()).run() {
            Ok(_) => Ok(()),
            Err(process::Error::Deadline { .. }) => Err(limit.error()),
            // What stands before it in the command is nobody's business.
            Err(process::Error::Failed { status, stderr, .. }) => {
                let (program, kind) = (Program::Initdb, tools::classify(&stderr));
                Err(tools::Error::Failed { program, kind, status, stderr }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a superuser in a restored data directory on which no server runs,
    /// where nobody is known who is one.
    pub(super) fn make_admin(scratch: &Scratch, binaries: &Binaries, limit: &Limit) -> Result<String, Error> {
        let name = format!("pggit_{}", uuid::Uuid::new_v4().simple());
        let mut cmd = scratch.cmd(&binaries.postgres).arg("--single").arg("-D").arg(scratch.data());
        for (name, value) in settings(scratch, binaries.version.major, Origin::Restored) {
            cmd = cmd.arg("-c").arg(format!("{name}={value}"));
        }
        let sql = format!("CREATE ROLE {} SUPERUSER LOGIN\n", quote_ident(&name));
        cmd.arg("template1").stdin(Stdin::Bytes(sql.into_bytes())).deadline(limit.left()).run()?;
        Ok(name)
    }

    /// Proves that it is the scratch cluster that answered, and gives it a
    /// superuser of our own: the other one may not stay one, when the roles of
    /// the backup come.
    fn proved(self, scratch: &Scratch, client: &Client) -> Result<Self, Error> {
        let answer = client.query("SELECT current_setting('data_directory')")?;
        let there = answer.first().and_then(|row| row.first()?.clone()).map(PathBuf::from);
        if there.is_none_or(|there| there != scratch.data()) {
            return Err(Error::NotScratch { path: scratch.home() });
        }
        let name = format!("pggit_{}", uuid::Uuid::new_v4().simple());
        client.execute(&format!("CREATE ROLE {} SUPERUSER LOGIN", quote_ident(&name)))?;
        let admin = conninfo(&scratch.home(), &name)?;
        Ok(Self { admin, ..self })
    }

    fn wait(&self) -> Result<Client, Error> {
        loop {
            let not_yet = match Client::connect(&self.admin, APPLICATION) {
                Ok(client) => return Ok(client),
                Err(error @ (pg::Error::Unreachable { .. } | pg::Error::Starting { .. })) => error,
                Err(error) => return Err(self.trouble(error.into())),
            };
            self.check()?;
            if self.server.has_ended().unwrap_or(true) {
                return Err(Error::NotStarted { reason: not_yet.to_string() });
            }
            self.server.wait_a_moment();
        }
    }

    /// Ends with an error when the time is up or we were asked to end.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.server.ending() {
            None => Ok(()),
            Some(Ending::Deadline) => Err(self.limit.error()),
            Some(Ending::Interrupted(signal)) => Err(Error::Interrupted { signal }),
        }
    }

    /// What `error` is, when it is only what somebody sees whose server was
    /// ended.
    pub(super) fn trouble(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Whether the server ended by itself.
    pub(super) fn has_crashed(&self) -> bool {
        self.server.ending().is_none() && self.server.has_ended().unwrap_or(true)
    }

    /// How the superuser gets to a database.
    pub(super) fn to(&self, dbname: &str) -> ConnInfo {
        self.admin.with_dbname(dbname)
    }

    /// The same for programs of PostgreSQL.
    pub(super) fn connection(&self, dbname: &str) -> Connection {
        Connection { alone: true, ..Connection::from(&self.to(dbname)) }
    }

    /// Connects the superuser.
    pub(super) fn connect(&self, dbname: &str) -> Result<Client, Error> {
        let client = Client::connect(&self.to(dbname), APPLICATION).map_err(|e| self.trouble(e.into()))?;
        client.never_time_out().map_err(|error| self.trouble(error.into()))?;
        Ok(client)
    }

    /// How another role gets to a database.
    pub(super) fn as_role(&self, scratch: &Scratch, role: &str, dbname: &str) -> Result<ConnInfo, Error> {
        Ok(conninfo(&scratch.home(), role)?.with_dbname(dbname))
    }

    /// Stops it and returns the end of its log.
    pub(super) fn stop(self) -> String {
        self.server.stop()
    }
}

/// Starts a server on the data directory of `scratch` and waits until it
/// answers, which a restored one does when its recovery is done.
pub(super) fn start(
    scratch: &Scratch,
    binaries: &Binaries,
    origin: Origin,
    limit: Limit,
    superuser: Option<&str>,
) -> Result<Cluster, Error> {
    let mut cmd = scratch.cmd(&binaries.postgres).arg("-D").arg(scratch.data());
    for (name, value) in settings(scratch, binaries.version.major, origin) {
        cmd = cmd.arg("-c").arg(format!("{name}={value}"));
    }
    let server = Server::start(cmd, Some(limit.at))?;
    crash_point("verify.started");
    let admin = conninfo(&scratch.home(), superuser.unwrap_or(BOOTSTRAP))?;
    let cluster = Cluster { server, admin, limit, version: binaries.version.clone() };
    match cluster.wait() {
        Ok(client) => cluster.proved(scratch, &client),
        Err(Error::NotStarted { .. }) => Err(Error::NotStarted { reason: words::log_tail(&cluster.stop()) }),
        Err(other) => Err(other),
    }
}

/// Where the server's socket is, and nothing of our own environment.
fn conninfo(directory: &Path, user: &str) -> Result<ConnInfo, Error> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let text = format!(
        "host='{}' port=5432 dbname=postgres user='{}' connect_timeout=10",
        quoted(&directory.to_string_lossy()),
        quoted(user)
    );
    Ok(ConnInfo::parse(&text, &Environment::default())?)
}

/// What every scratch cluster is told.
const FIXED: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("ssl", "off"),
    ("cluster_name", ""),
    // Nothing goes out, and nothing of others is loaded or started.
    ("archive_mode", "off"),
    ("archive_command", ""),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("local_preload_libraries", ""),
    ("max_logical_replication_workers", "0"),
    ("hot_standby", "off"),
    ("autovacuum", "off"),
    ("restart_after_crash", "off"),
    // It is thrown away, and others need the machine too.
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("max_connections", "20"),
    ("shared_buffers", "64MB"),
    ("maintenance_work_mem", "64MB"),
    ("max_wal_size", "256MB"),
    ("max_locks_per_transaction", "1024"),
    ("jit", "off"),
    // What it says is evidence, and must not repeat what is in the tables.
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_timezone", "UTC"),
    ("log_line_prefix", "%m "),
    ("log_statement", "none"),
    ("log_duration", "off"),
    ("log_min_duration_statement", "-1"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("log_min_messages", "warning"),
    ("lc_messages", "C"),
];

/// What a restored one does not take over: all that it replays is in its directory,
/// to the end.
const UNSET: [&str; 8] = [
    "restore_command",
    "recovery_end_command",
    "archive_cleanup_command",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
];

/// What the command line of the server says goes before everything that a
/// restored data directory says.
fn settings(scratch: &Scratch, major: u32, origin: Origin) -> Vec<(&'static str, String)> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut all = vec![
        // Its own files, and nobody from outside.
        ("config_file", path(scratch.file("server.conf"))),
        ("hba_file", path(scratch.file("hba.conf"))),
        ("ident_file", path(scratch.file("ident.conf"))),
        ("unix_socket_directories", path(scratch.home())),
    ];
    all.extend(FIXED.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let mut add = |name, value: &str| all.push((name, value.to_owned()));
    match origin {
        Origin::Initdb => {
            add("wal_level", "minimal");
            add("max_wal_senders", "0");
        }
        Origin::Restored => {
            add("max_prepared_transactions", "1000");
            add("recovery_target_action", "promote");
            add("external_pid_file", "");
            UNSET.iter().for_each(|name| add(name, ""));
            add("primary_conninfo", "");
            add("primary_slot_name", "");
        }
    }
    if major >= 15 {
        add("archive_library", "");
    }
    if major >= 17 {
        add("event_triggers", "off");
    }
    all
}
