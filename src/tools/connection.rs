//! How the tools reach a server.

use std::ffi::OsString;

use crate::pg::{ConnInfo, Environment};
use crate::process::{Cmd, Secret};

/// Where to connect to, in the terms of libpq. `Debug` shows no password.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// A libpq connection string. It is seen by every user of the machine, so
    /// it never holds a password.
    pub conninfo: String,
    /// Further `PG*` variables.
    pub env: Vec<(OsString, OsString)>,
    /// The password, if it is not in a password file.
    pub password: Option<Secret>,
    /// What our own environment says to libpq does not count: the connection
    /// string says all.
    pub alone: bool,
}

/// What libpq reads of the environment.
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

/// What libpq would rather believe than the variables that say the same.
const ELSEWHERE: &[&str] = &["PGHOSTADDR", "PGPASSFILE", "PGPASSWORD", "PGREQUIRESSL", "PGSERVICE"];

/// Lets a program that is not one of PostgreSQL's reach the database: by libpq's
/// variables, and by `DATABASE_URL`, in which there is no password.
pub fn reaching(cmd: Cmd, info: &ConnInfo) -> Cmd {
    let cmd = cmd.hide_env(ELSEWHERE).env("DATABASE_URL", info.to_url());
    let public = info.variables().into_iter();
    let cmd = public.fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    let secret = info.tool_env().into_iter();
    secret.fold(cmd, |cmd, (name, value)| cmd.secret_env(name, Secret::new(value)))
}

impl Connection {
    /// Returns the settings for a connection of this program itself. The environment is ignored,
    /// because the connection string is complete.
    pub fn info(&self) -> Result<ConnInfo, crate::pg::Error> {
        let password =
            self.password.as_ref().map(|password| ("PGPASSWORD".into(), password.reveal().to_owned()));
        let env: Environment = self.env.iter().cloned().chain(password).collect();
        ConnInfo::parse(&self.conninfo, &env)
    }

    /// Lets `cmd` connect, and never ask a person for a password.
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
