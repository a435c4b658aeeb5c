//! A private server on a data directory. Only this process reaches it, and it connects to no other
//! server. It stops when this process no longer needs it, also after a crash of this process.
//!
//! The server has exactly the major version of the data. It listens on one socket, in a directory
//! that only its user can enter. It receives its settings on the command line, where they override
//! every setting of a restored data directory. It archives nothing, loads no library, and follows no
//! primary server. It accepts connections only after the WAL is replayed.

mod binaries;
mod detached;
mod environment;
mod settings;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Error;
use crate::pg::{self, Client, ConnInfo, Environment, quote_ident, quote_literal};
use crate::process::{Server, ServerStop, Stdin, crash_point};
use crate::tools::{Connection, ToolVersion};
use settings::settings;

pub use binaries::{ServerBinaries, find_server_program};
pub use detached::{DetachedServer, check_clone, start_clone};
pub(super) use detached::{check_words, prepare_clone};
pub(super) use environment::end_server;
pub use environment::{ServerEnv, remove_stale, server_user};

/// The application name of this program in `pg_stat_activity`.
const APPLICATION: &str = "git-pggit";
/// The superuser that initdb creates by default.
const BOOTSTRAP: &str = "postgres";
/// The prefix of the names of superusers that this program creates.
const OURS: &str = "pggit_";
/// SQLSTATEs for a user that does not exist, may not log in, or may not create roles.
const NO_SUPERUSER: [&str; 2] = ["28000", "42501"];

/// The origin of a data directory, and its use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataOrigin {
    /// The data directory is empty, and is discarded afterwards.
    Initdb,
    /// The data directory was restored, and is discarded afterwards. Its references to other servers
    /// and archives must not be followed.
    ScratchRestore,
    /// Like `ScratchRestore`, but the server fetches the required WAL with the configured
    /// `restore_command`.
    ScratchWithWal,
    /// The data directory was restored, and is kept.
    Permanent,
}

/// A time limit for all work on a private server.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    after: Duration,
    /// The end of the limit.
    pub at: Instant,
}

impl Limit {
    /// Returns the limit that ends `after` from now.
    pub fn new(after: Duration) -> Self {
        let now = Instant::now();
        // A time that `Instant` cannot represent is replaced by one day from now.
        Self { after, at: now.checked_add(after).unwrap_or(now + Duration::from_secs(86_400)) }
    }

    /// Returns the remaining time, at least 1 ms.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Returns the error for an expired limit.
    pub fn error(&self) -> Error {
        Error::Deadline { after: self.after }
    }
}

/// A running private server. It is stopped on drop.
pub struct PrivateServer {
    server: Server,
    home: PathBuf,
    admin: ConnInfo,
    limit: Option<Limit>,
    /// The version of the server.
    pub version: ToolVersion,
}

impl PrivateServer {
    /// Starts the server and waits until it accepts connections. A restored server does so after its
    /// recovery. If no superuser is known, a superuser is created.
    pub fn start(
        server_env: &ServerEnv,
        binaries: &ServerBinaries,
        origin: DataOrigin,
        limit: Option<Limit>,
    ) -> Result<Self, Error> {
        match Self::start_as(server_env, binaries, origin, limit, BOOTSTRAP) {
            // The superuser of a restored cluster may have another name.
            Err(Error::Pg(error)) if origin != DataOrigin::Initdb && lacks_superuser(&error) => {
                let admin = make_admin(server_env, binaries, origin, limit)?;
                let server = Self::start_as(server_env, binaries, origin, limit, &admin)?;
                let client = server.connect("template1")?;
                client
                    .execute(&format!("DROP ROLE {}", quote_ident(&admin)))
                    .map_err(|e| server.trouble(e.into()))?;
                Ok(server)
            }
            other => other,
        }
    }

    fn start_as(
        server_env: &ServerEnv,
        binaries: &ServerBinaries,
        origin: DataOrigin,
        limit: Option<Limit>,
        superuser: &str,
    ) -> Result<Self, Error> {
        let mut cmd = server_env.cmd(&binaries.postgres).arg("-D").arg(&server_env.data);
        for (name, value) in settings(server_env, binaries.version.major, origin) {
            cmd = cmd.arg("-c").arg(format!("{name}={value}"));
        }
        let server = Server::start(cmd, limit.map(|limit| limit.at))?;
        crash_point(match origin {
            DataOrigin::Permanent | DataOrigin::ScratchWithWal => "recovery.server-started",
            DataOrigin::Initdb | DataOrigin::ScratchRestore => "verify.started",
        });
        let admin = conninfo(&server_env.home, superuser)?;
        let (home, version) = (server_env.home.clone(), binaries.version.clone());
        let server = Self { server, home, admin, limit, version };
        let proved = server.wait().and_then(|client| server.prove(server_env, &client));
        match proved {
            Ok(admin) => Ok(Self { admin, ..server }),
            Err(Error::ServerNotStarted { log }) => {
                let said = server.stop();
                Err(Error::ServerNotStarted { log: if said.trim().is_empty() { log } else { said } })
            }
            // The data directory has to be consistent for the next start.
            Err(Error::Pg(error)) if lacks_superuser(&error) => {
                server.shut_down()?;
                Err(error.into())
            }
            Err(other) => Err(other),
        }
    }

    /// Fails if another server answered than the private one. Otherwise creates a superuser of this
    /// program: the roles of a backup may revoke the superuser attribute of the other one.
    fn prove(&self, server_env: &ServerEnv, client: &Client) -> Result<ConnInfo, Error> {
        let trouble = |error: pg::Error| self.trouble(error.into());
        let answer = client.query("SELECT current_setting('data_directory')").map_err(trouble)?;
        let there = answer.first().and_then(|row| row.first()?.clone()).map(PathBuf::from);
        if there.is_none_or(|there| there != server_env.data) {
            return Err(Error::NotPrivate { path: server_env.home.clone() });
        }
        let name = admin_role_name();
        client.execute(&format!("CREATE ROLE {} SUPERUSER LOGIN", quote_ident(&name))).map_err(trouble)?;
        conninfo(&server_env.home, &name)
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
                return Err(Error::ServerNotStarted { log: not_yet.to_string() });
            }
            self.server.wait_a_moment();
        }
    }

    /// Fails if the time limit expired, or a signal interrupted this process.
    pub fn check(&self) -> Result<(), Error> {
        self.server.ending().map_or(Ok(()), |ending| Err(ended(ending, self.limit)))
    }

    /// Returns the reason why this process stopped the server, if it did. Otherwise returns `error`,
    /// because `error` is then not merely a consequence of the stop.
    pub fn trouble(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Returns true if the server exited although this process did not stop it.
    pub fn has_crashed(&self) -> bool {
        self.server.ending().is_none() && self.server.has_ended().unwrap_or(true)
    }

    /// Returns the connection of the superuser to a database.
    pub fn to(&self, dbname: &str) -> ConnInfo {
        self.admin.with_dbname(dbname)
    }

    /// Returns the connection of the superuser to a database, for programs of PostgreSQL.
    pub fn connection(&self, dbname: &str) -> Connection {
        Connection { alone: true, ..Connection::from(&self.to(dbname)) }
    }

    /// Connects as the superuser. Fails if the server does not accept the connection.
    pub fn connect(&self, dbname: &str) -> Result<Client, Error> {
        Client::connect(&self.to(dbname), APPLICATION).map_err(|error| self.trouble(error.into()))
    }

    /// Returns the connection of another role to a database.
    pub fn as_role(&self, role: &str, dbname: &str) -> Result<ConnInfo, Error> {
        Ok(conninfo(&self.home, role)?.with_dbname(dbname))
    }

    /// Returns the name of the superuser that this program created.
    pub fn admin(&self) -> &str {
        self.admin.user()
    }

    /// Stops the server without a shutdown checkpoint, as after a power failure. Returns the end of
    /// the server log.
    pub fn stop(self) -> String {
        self.server.stop()
    }

    /// Drops the superuser of this program and shuts down the server cleanly. The files of the data
    /// directory are then complete and synchronized to disk.
    pub fn leave(self) -> Result<(), Error> {
        let client = self.connect("template1")?;
        let gone = other_superuser(&client, self.admin()).and_then(|other| {
            // A role cannot drop itself.
            let (other, ours) = (quote_ident(&other), quote_ident(self.admin()));
            Ok(client.execute(&format!("SET SESSION AUTHORIZATION {other}; DROP ROLE {ours}"))?)
        });
        gone.map_err(|error| self.trouble(error))?;
        drop(client);
        self.shut_down()
    }

    fn shut_down(self) -> Result<(), Error> {
        let Self { server, limit, .. } = self;
        match server.shut_down()? {
            (Some(ending), _) => Err(ended(ending, limit)),
            (None, exit) => exit.success().map(drop).map_err(Error::from),
        }
    }
}

/// Returns the error for a server that this process stopped early.
fn ended(ending: ServerStop, limit: Option<Limit>) -> Error {
    match ending {
        ServerStop::Deadline => Error::Deadline { after: limit.map_or(Duration::ZERO, |limit| limit.after) },
        ServerStop::Interrupted(signal) => Error::Interrupted { signal },
    }
}

/// Creates a superuser in a restored data directory without a known superuser, in single-user mode.
/// No server may run on the directory.
fn make_admin(
    server_env: &ServerEnv,
    binaries: &ServerBinaries,
    origin: DataOrigin,
    limit: Option<Limit>,
) -> Result<String, Error> {
    let name = admin_role_name();
    let mut cmd = server_env.cmd(&binaries.postgres).arg("--single").arg("-D").arg(&server_env.data);
    for (name, value) in settings(server_env, binaries.version.major, origin) {
        cmd = cmd.arg("-c").arg(format!("{name}={value}"));
    }
    let sql = format!("CREATE ROLE {} SUPERUSER LOGIN\n", quote_ident(&name));
    let cmd = cmd.arg("template1").stdin(Stdin::Bytes(sql.into_bytes()));
    cmd.deadline(limit.map(|limit| limit.left())).run()?;
    Ok(name)
}

fn admin_role_name() -> String {
    format!("{OURS}{}", uuid::Uuid::new_v4().simple())
}

/// Returns a superuser other than `ours`. The superuser that initdb created always exists.
fn other_superuser(client: &Client, ours: &str) -> Result<String, Error> {
    let sql = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolname <> {} ORDER BY oid LIMIT 1",
        quote_literal(ours)
    );
    let found = client.query(&sql)?.into_iter().flatten().flatten().next();
    Ok(found.unwrap_or_else(|| BOOTSTRAP.to_owned()))
}

fn lacks_superuser(error: &pg::Error) -> bool {
    match error {
        pg::Error::AuthFailed { .. } => true,
        pg::Error::Query { sqlstate, .. } => NO_SUPERUSER.contains(&sqlstate.as_str()),
        _ => false,
    }
}

/// Returns the connection to the socket of the server. No variable of our environment has an effect
/// on it.
fn conninfo(directory: &Path, user: &str) -> Result<ConnInfo, Error> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let text = format!(
        "host='{}' port=5432 dbname=postgres user='{}' connect_timeout=10",
        quoted(&directory.to_string_lossy()),
        quoted(user)
    );
    Ok(ConnInfo::parse(&text, &Environment::default())?)
}

/// Returns the last error message in a server log.
pub fn last_word(log: &str) -> &str {
    let complains = |line: &&str| ["FATAL:", "PANIC:"].iter().any(|word| line.contains(word));
    log.lines().rev().find(complains).unwrap_or_else(|| log.lines().next_back().unwrap_or_default())
}
