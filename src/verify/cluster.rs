//! The scratch cluster: reachable by nobody else, connected to nothing else.

use std::path::PathBuf;

use super::Error;
use super::scratch::Scratch;
use crate::pg::{Client, ConnInfo};
use crate::process;
use crate::recovery::{Limit, Origin, PrivateServer, ServerBinaries, find_server_program};
use crate::tools::{self, Connection, Program, Programs, ToolVersion};

/// The superuser that initdb makes.
const BOOTSTRAP: &str = "postgres";

/// The programs that make a scratch cluster.
#[derive(Debug)]
pub(super) struct Binaries {
    initdb: PathBuf,
    server: ServerBinaries,
}

impl Binaries {
    /// Those of exactly this major version: another one would prove something else.
    pub(super) fn find(programs: &Programs, major: u32) -> Result<Self, Error> {
        let (initdb, _) = find_server_program(programs, Program::Initdb, major)?;
        Ok(Self { initdb, server: ServerBinaries::find(programs, major)? })
    }

    /// The version of the server.
    pub(super) fn version(&self) -> &ToolVersion {
        &self.server.version
    }
}

/// A running scratch cluster. It stops when this goes.
pub(super) struct Cluster(PrivateServer);

impl Cluster {
    /// Makes an empty data directory.
    pub(super) fn initdb(scratch: &Scratch, binaries: &Binaries, limit: &Limit) -> Result<(), Error> {
        let options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        let cmd = scratch.cmd(&binaries.initdb).args(options).arg(format!("--username={BOOTSTRAP}"));
        match cmd.arg("--pgdata").arg(scratch.data()).deadline(limit.left()).run() {
            Ok(_) => Ok(()),
            Err(process::Error::Deadline { .. }) => Err(limit.error().into()),
            // What stands before it in the command is nobody's business.
            Err(process::Error::Failed { status, stderr, .. }) => {
                let (program, kind) = (Program::Initdb, tools::classify(&stderr));
                Err(tools::Error::Failed { program, kind, status, stderr }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Starts a server on the data directory of `scratch` and waits until it
    /// answers, which a restored one does when its recovery is done.
    pub(super) fn start(
        scratch: &Scratch,
        binaries: &Binaries,
        origin: Origin,
        limit: Limit,
    ) -> Result<Self, Error> {
        Ok(Self(PrivateServer::start(&scratch.ground(), &binaries.server, origin, Some(limit))?))
    }

    /// The major version of the server.
    pub(super) fn major(&self) -> u32 {
        self.0.version.major
    }

    /// Ends with an error when the time is up or we were asked to end.
    pub(super) fn check(&self) -> Result<(), Error> {
        Ok(self.0.check()?)
    }

    /// What `error` is, when it is only what somebody sees whose server was
    /// ended.
    pub(super) fn trouble(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Whether the server ended by itself.
    pub(super) fn has_crashed(&self) -> bool {
        self.0.has_crashed()
    }

    /// How the superuser gets to a database.
    pub(super) fn to(&self, dbname: &str) -> ConnInfo {
        self.0.to(dbname)
    }

    /// The same for programs of PostgreSQL.
    pub(super) fn connection(&self, dbname: &str) -> Connection {
        self.0.connection(dbname)
    }

    /// Connects the superuser.
    pub(super) fn connect(&self, dbname: &str) -> Result<Client, Error> {
        Ok(self.0.connect(dbname)?)
    }

    /// How another role gets to a database.
    pub(super) fn as_role(&self, role: &str, dbname: &str) -> Result<ConnInfo, Error> {
        Ok(self.0.as_role(role, dbname)?)
    }

    /// Stops it and returns the end of its log.
    pub(super) fn stop(self) -> String {
        self.0.stop()
    }
}
