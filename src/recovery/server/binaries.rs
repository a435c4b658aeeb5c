//! The programs of a server.

use std::path::PathBuf;

use super::super::Error;
use crate::tools::{Program, Programs, ToolVersion};

/// The server of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    /// The server itself.
    pub postgres: PathBuf,
    /// Its version.
    pub version: ToolVersion,
}

impl ServerBinaries {
    /// That of exactly this major version: another one cannot read the files.
    pub fn find(programs: &Programs, major: u32) -> Result<Self, Error> {
        let (postgres, version) = find_server_program(programs, Program::Postgres, major)?;
        Ok(Self { postgres, version })
    }
}

/// A program that belongs to a server, of exactly this major version.
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
