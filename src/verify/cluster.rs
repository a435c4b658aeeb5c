//! The scratch cluster. No other user can connect to it, and it connects to no other server.

use std::path::PathBuf;

use super::Error;
use super::scratch::Scratch;
use crate::pg::{Client, ConnInfo};
use crate::process;
use crate::recovery::{DataOrigin, Limit, PrivateServer, ServerBinaries, find_server_program};
use crate::tools::{self, Connection, Program, Programs, ToolVersion};

/// The name of the superuser that initdb creates.
const BOOTSTRAP: &str = "postgres";

/// The programs that create and run a scratch cluster.
#[derive(Debug)]
pub(super) struct Binaries {
    initdb: PathBuf,
    server: ServerBinaries,
}

impl Binaries {
    /// Finds the programs of exactly this major version. Another version would prove something else.
    ///
    /// # Errors
    /// Fails if they are not installed.
    pub(super) fn find(programs: &Programs, major: u32) -> Result<Self, Error> {
        let (initdb, _) = find_server_program(programs, Program::Initdb, major)?;
        Ok(Self { initdb, server: ServerBinaries::find(programs, major)? })
    }

    /// Returns the version of the server.
    pub(super) fn version(&self) -> &ToolVersion {
        &self.server.version
    }
}

/// A running scratch cluster. The server stops when the value is dropped.
pub(super) struct Cluster(PrivateServer);

impl Cluster {
    /// Creates an empty data directory with initdb. Fails if initdb fails or the time limit is
    /// exceeded.
    pub(super) fn initdb(scratch: &Scratch, binaries: &Binaries, limit: &Limit) -> Result<(), Error> {
        let options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        let cmd = scratch.cmd(&binaries.initdb).args(options).arg(format!("--username={BOOTSTRAP}"));
        match cmd.arg("--pgdata").arg(scratch.data()).deadline(limit.left()).run() {
            Ok(_) => Ok(()),
            Err(process::Error::Deadline { .. }) => Err(limit.error().into()),
            // The error omits the wrapper that comes before initdb in the command line.
            Err(process::Error::Failed { status, stderr, .. }) => {
                let (program, kind) = (Program::Initdb, tools::classify(&stderr));
                Err(tools::Error::Failed { program, kind, status, stderr }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Starts a server on the data directory of `scratch` and waits until it accepts connections. A
    /// restored server accepts them when its recovery is complete.
    ///
    /// # Errors
    /// Fails if the server does not start within `limit`.
    pub(super) fn start(
        scratch: &Scratch,
        binaries: &Binaries,
        origin: DataOrigin,
        limit: Limit,
    ) -> Result<Self, Error> {
        Ok(Self(PrivateServer::start(&scratch.server_env(), &binaries.server, origin, Some(limit))?))
    }

    /// Returns the major version of the server.
    pub(super) fn major(&self) -> u32 {
        self.0.version.major
    }

    /// Fails if the time limit is exceeded or this process was interrupted.
    pub(super) fn check(&self) -> Result<(), Error> {
        Ok(self.0.check()?)
    }

    /// Returns the cause of `error` if it is only a consequence of the stopped server, or else `error`.
    pub(super) fn trouble(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Returns true if the server ended by itself.
    pub(super) fn has_crashed(&self) -> bool {
        self.0.has_crashed()
    }

    /// Returns the connection of the superuser to a database.
    pub(super) fn to(&self, dbname: &str) -> ConnInfo {
        self.0.to(dbname)
    }

    /// Returns the same connection in the form for client programs of PostgreSQL.
    pub(super) fn connection(&self, dbname: &str) -> Connection {
        self.0.connection(dbname)
    }

    /// Connects to a database as the superuser. Fails if the server refuses the connection.
    pub(super) fn connect(&self, dbname: &str) -> Result<Client, Error> {
        Ok(self.0.connect(dbname)?)
    }

    /// Returns the connection of another role to a database. Fails if the path of the socket
    /// directory is not valid in a connection string.
    pub(super) fn as_role(&self, role: &str, dbname: &str) -> Result<ConnInfo, Error> {
        Ok(self.0.as_role(role, dbname)?)
    }

    /// Stops the server and returns the end of the server log.
    pub(super) fn stop(self) -> String {
        self.0.stop()
    }
}
