//! The connection of the tools to a server.

use std::ffi::OsString;

use crate::pg::{ConnInfo, Environment};
use crate::process::{Cmd, Secret};

/// The connection parameters, in the terms of libpq. `Debug` shows no password.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// A libpq connection string. Every user of the machine can read it in the process list, so it
    /// never contains a password.
    pub conninfo: String,
    /// Further `PG*` variables.
    pub env: Vec<(OsString, OsString)>,
    /// The password, unless it is in a password file.
    pub password: Option<Secret>,
    /// True if the connection string is complete. Then the libpq variables of our own environment
    /// are ignored.
    pub alone: bool,
}

/// The environment variables that libpq reads.
pub const LIBPQ_VARIABLES: &[&str] = &[
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATA",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLKEY",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
];

impl From<&ConnInfo> for Connection {
    fn from(info: &ConnInfo) -> Self {
        let is_password = |(name, _): &(OsString, OsString)| name == "PGPASSWORD";
        let (secrets, env): (Vec<_>, Vec<_>) = info.tool_env().into_iter().partition(is_password);
        let password = secrets.into_iter().next().map(|(_, value)| Secret::new(value));
        Self { conninfo: info.without_encoding().without_password(), env, password, alone: false }
    }
}

/// The variables that take precedence over others with the same meaning in libpq.
const ELSEWHERE: &[&str] = &["PGHOSTADDR", "PGPASSFILE", "PGPASSWORD", "PGREQUIRESSL", "PGSERVICE"];

/// Lets a program that is not part of PostgreSQL connect to the database, by libpq's variables and
/// by a `DATABASE_URL` without a password.
pub fn reaching(cmd: Cmd, info: &ConnInfo) -> Cmd {
    let cmd = cmd.hide_env(ELSEWHERE).env("DATABASE_URL", info.to_url());
    let public = info.variables().into_iter();
    let cmd = public.fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    let secret = info.tool_env().into_iter();
    secret.fold(cmd, |cmd, (name, value)| cmd.secret_env(name, Secret::new(value)))
}

impl Connection {
    /// Returns the settings for a connection of this program itself. The environment is ignored,
    /// because the connection string is complete. Fails if the connection string is invalid.
    pub fn info(&self) -> Result<ConnInfo, crate::pg::Error> {
        let password =
            self.password.as_ref().map(|password| ("PGPASSWORD".into(), password.reveal().to_owned()));
        let env: Environment = self.env.iter().cloned().chain(password).collect();
        ConnInfo::parse(&self.conninfo, &env)
    }

    /// Adds the connection parameters to `cmd` and disables password prompts.
    pub fn apply(&self, cmd: Cmd) -> Cmd {
        let cmd = cmd.hide_env(if self.alone { LIBPQ_VARIABLES } else { &["PGCLIENTENCODING"] });
        let cmd = cmd.arg("--no-password").arg(format!("--dbname={}", self.conninfo));
        let cmd = self.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
        match &self.password {
            Some(password) => cmd.secret_env("PGPASSWORD", password.clone()),
            None => cmd,
        }
    }
}
