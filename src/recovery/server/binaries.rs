//! The server programs of PostgreSQL.

use std::path::PathBuf;

use super::super::Error;
use crate::tools::{Program, Programs, ToolVersion};

/// The server program of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    /// The path of `postgres`.
    pub postgres: PathBuf,
    /// The version of `postgres`.
    pub version: ToolVersion,
}

impl ServerBinaries {
    /// Returns the server program of exactly this major version. A server of another major version
    /// cannot read the data directory. Fails if it is not installed.
    pub fn find(programs: &Programs, major: u32) -> Result<Self, Error> {
        let (postgres, version) = find_server_program(programs, Program::Postgres, major)?;
        Ok(Self { postgres, version })
    }
}

/// Returns a server program of exactly this major version. Fails if it is not installed.
pub fn find_server_program(
    programs: &Programs,
    program: Program,
    major: u32,
) -> Result<(PathBuf, ToolVersion), Error> {
    let missing = |found| Error::ServerMissing { program, major, found };
    let path = programs.locate(program, major).map_err(|_| missing(None))?;
    let version = programs.version(&path).map_err(|_| missing(None))?;
    if version.major == major { Ok((path, version)) } else { Err(missing(Some(version))) }
}
