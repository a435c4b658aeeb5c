//! A server of our own on a data directory: reachable by nobody else, connected
//! to nothing else, and ended when we are done with it, however that comes.
//!
//! It is of exactly the major version of the data. It listens on one socket, in a
//! directory that only its user gets into, and is told on its command line what
//! counts more than everything that a restored data directory says: it archives
//! nothing, loads nothing, and follows nobody. It lets nobody in before the log is
//! replayed.

mod binaries;
mod ground;
mod settings;
mod started;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Error;
use crate::pg::{self, Client, ConnInfo, Environment, quote_ident, quote_literal};
use crate::process::{Ending, Server, Stdin, crash_point};
use crate::tools::{Connection, ToolVersion};
use settings::settings;

pub use binaries::{ServerBinaries, find_server_program};
pub(super) use ground::end_server;
pub use ground::{Ground, server_user, sweep_grounds};
pub use started::{Started, check_clone, start_clone};
pub(super) use started::{check_words, prepare_clone};

/// What the server's activity views call us.
const APPLICATION: &str = "git-pggit";
/// The superuser that initdb makes, where nobody says otherwise.
const BOOTSTRAP: &str = "postgres";
/// The beginning of the names of superusers that we make.
const OURS: &str = "pggit_";
/// There is no such user, or not one who may log in or make others.
const NO_SUPERUSER: [&str; 2] = ["28000", "42501"];

/// Where the content of a data directory comes from, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is empty, and thrown away afterwards.
    Initdb,
    /// It was restored, and is thrown away afterwards: what it has learned of the
    /// world must not be followed.
    Restored,
    /// The same, and it gets the log that it needs from where it was told.
    Taken,
    /// It was restored and stays.
    Kept,
}

/// When all has to be done.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    after: Duration,
    /// The moment.
    pub at: Instant,
}

impl Limit {
    /// So long after now.
    pub fn new(after: Duration) -> Self {
        let now = Instant::now();
        // What cannot be expressed is far enough.
        Self { after, at: now.checked_add(after).unwrap_or(now + Duration::from_secs(86_400)) }
    }

    /// How much is left of it.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// What it is when nothing is left.
    pub fn error(&self) -> Error {
        Error::Deadline { after: self.after }
    }
}

/// A running private server. It stops when this goes.
pub struct PrivateServer {
    server: Server,
    home: PathBuf,
    admin: ConnInfo,
    limit: Option<Limit>,
    /// The version of the server.
    pub version: ToolVersion,
}

impl PrivateServer {
    /// Starts it and waits until it answers, which a restored one does when its
    /// recovery is done. Where nobody is known who is a superuser, one is made.
    pub fn start(
        ground: &Ground,
        binaries: &ServerBinaries,
        origin: Origin,
        limit: Option<Limit>,
    ) -> Result<Self, Error> {
        match Self::start_as(ground, binaries, origin, limit, BOOTSTRAP) {
            // There need not be a superuser of the usual name.
            Err(Error::Pg(error)) if origin != Origin::Initdb && lacks_superuser(&error) => {
                let admin = make_admin(ground, binaries, origin, limit)?;
                let server = Self::start_as(ground, binaries, origin, limit, &admin)?;
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
        ground: &Ground,
        binaries: &ServerBinaries,
        origin: Origin,
        limit: Option<Limit>,
        superuser: &str,
    ) -> Result<Self, Error> {
        let mut cmd = ground.cmd(&binaries.postgres).arg("-D").arg(&ground.data);
        for (name, value) in settings(ground, binaries.version.major, origin) {
            cmd = cmd.arg("-c").arg(format!("{name}={value}"));
        }
        let server = Server::start(cmd, limit.map(|limit| limit.at))?;
        crash_point(match origin {
            Origin::Kept | Origin::Taken => "recovery.server-started",
            Origin::Initdb | Origin::Restored => "verify.started",
        });
        let admin = conninfo(&ground.home, superuser)?;
        let (home, version) = (ground.home.clone(), binaries.version.clone());
        let server = Self { server, home, admin, limit, version };
        let proved = server.wait().and_then(|client| server.prove(ground, &client));
        match proved {
            Ok(admin) => Ok(Self { admin, ..server }),
            Err(Error::ServerNotStarted { log }) => {
                let said = server.stop();
                Err(Error::ServerNotStarted { log: if said.trim().is_empty() { log } else { said } })
            }
            // Its files are to be in order for who comes next.
            Err(Error::Pg(error)) if lacks_superuser(&error) => {
                server.shut_down()?;
                Err(error.into())
            }
            Err(other) => Err(other),
        }
    }

    /// Proves that it is the private server that answered, and gives it a superuser
    /// of our own: the other one may not stay one, when the roles of a backup come.
    fn prove(&self, ground: &Ground, client: &Client) -> Result<ConnInfo, Error> {
        let trouble = |error: pg::Error| self.trouble(error.into());
        let answer = client.query("SELECT current_setting('data_directory')").map_err(trouble)?;
        let there = answer.first().and_then(|row| row.first()?.clone()).map(PathBuf::from);
        if there.is_none_or(|there| there != ground.data) {
            return Err(Error::NotPrivate { path: ground.home.clone() });
        }
        let name = our_name();
        client.execute(&format!("CREATE ROLE {} SUPERUSER LOGIN", quote_ident(&name))).map_err(trouble)?;
        conninfo(&ground.home, &name)
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

    /// Ends with an error when the time is up or we were asked to end.
    pub fn check(&self) -> Result<(), Error> {
        self.server.ending().map_or(Ok(()), |ending| Err(ended(ending, self.limit)))
    }

    /// What `error` is, when it is only what somebody sees whose server was
    /// ended.
    pub fn trouble(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Whether the server ended by itself.
    pub fn has_crashed(&self) -> bool {
        self.server.ending().is_none() && self.server.has_ended().unwrap_or(true)
    }

    /// How the superuser gets to a database.
    pub fn to(&self, dbname: &str) -> ConnInfo {
        self.admin.with_dbname(dbname)
    }

    /// The same for programs of PostgreSQL.
    pub fn connection(&self, dbname: &str) -> Connection {
        Connection { alone: true, ..Connection::from(&self.to(dbname)) }
    }

    /// Connects the superuser.
    pub fn connect(&self, dbname: &str) -> Result<Client, Error> {
        Client::connect(&self.to(dbname), APPLICATION).map_err(|error| self.trouble(error.into()))
    }

    /// How another role gets to a database.
    pub fn as_role(&self, role: &str, dbname: &str) -> Result<ConnInfo, Error> {
        Ok(conninfo(&self.home, role)?.with_dbname(dbname))
    }

    /// The name of the superuser that is ours.
    pub fn admin(&self) -> &str {
        self.admin.user()
    }

    /// Stops it, as if the machine had lost its power, and returns the end of its
    /// log.
    pub fn stop(self) -> String {
        self.server.stop()
    }

    /// Removes our superuser and stops it in order: its files are complete and on
    /// disk then.
    pub fn leave(self) -> Result<(), Error> {
        let client = self.connect("template1")?;
        let gone = other_superuser(&client, self.admin()).and_then(|other| {
            // Nobody can drop the role that he is.
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

/// Why it was ended before we were done with it.
fn ended(ending: Ending, limit: Option<Limit>) -> Error {
    match ending {
        Ending::Deadline => Error::Deadline { after: limit.map_or(Duration::ZERO, |limit| limit.after) },
        Ending::Interrupted(signal) => Error::Interrupted { signal },
    }
}

/// Makes a superuser in a restored data directory on which no server runs,
/// where nobody is known who is one.
fn make_admin(
    ground: &Ground,
    binaries: &ServerBinaries,
    origin: Origin,
    limit: Option<Limit>,
) -> Result<String, Error> {
    let name = our_name();
    let mut cmd = ground.cmd(&binaries.postgres).arg("--single").arg("-D").arg(&ground.data);
    for (name, value) in settings(ground, binaries.version.major, origin) {
        cmd = cmd.arg("-c").arg(format!("{name}={value}"));
    }
    let sql = format!("CREATE ROLE {} SUPERUSER LOGIN\n", quote_ident(&name));
    let cmd = cmd.arg("template1").stdin(Stdin::Bytes(sql.into_bytes()));
    cmd.deadline(limit.map(|limit| limit.left())).run()?;
    Ok(name)
}

fn our_name() -> String {
    format!("{OURS}{}", uuid::Uuid::new_v4().simple())
}

/// A superuser who is not `ours`: there is always the one that initdb has made.
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

/// The last complaint in the log of a server.
pub fn last_word(log: &str) -> &str {
    let complains = |line: &&str| ["FATAL:", "PANIC:"].iter().any(|word| line.contains(word));
    log.lines().rev().find(complains).unwrap_or_else(|| log.lines().next_back().unwrap_or_default())
}
