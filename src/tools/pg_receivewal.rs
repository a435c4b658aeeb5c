//! Receives WAL with pg_receivewal.

use std::path::Path;

use super::{Connection, Error, PgTools, Program};
use crate::domain::Lsn;
use crate::process::{Cmd, Running, Stdout};

impl PgTools {
    /// Creates the replication slot if it is missing. Fails if pg_receivewal fails.
    pub fn make_slot(&self, connection: &Connection, slot: &str) -> Result<(), Error> {
        let cmd = self.receivewal(connection)?.args(["--create-slot", "--if-not-exists"]);
        let ran = cmd.arg(format!("--slot={slot}")).run();
        ran.map(drop).map_err(|error| Error::of(Program::PgReceivewal, error))
    }

    /// Starts to receive WAL into `directory`. The name of an incomplete segment ends in
    /// `.partial`. pg_receivewal renames a segment after it is flushed to disk. Fails if the
    /// program cannot be started.
    pub fn receive_wal(
        &self,
        connection: &Connection,
        directory: &Path,
        slot: Option<&str>,
        until: Option<Lsn>,
    ) -> Result<Running, Error> {
        let mut option = std::ffi::OsString::from("--directory=");
        option.push(directory);
        let mut cmd = self.receivewal(connection)?.arg(option).stdout(Stdout::Null);
        if let Some(slot) = slot {
            cmd = cmd.arg(format!("--slot={slot}"));
        }
        if let Some(until) = until {
            cmd = cmd.args(["--no-loop".to_owned(), format!("--endpos={until}")]);
        }
        cmd.spawn().map_err(|error| Error::of(Program::PgReceivewal, error))
    }

    fn receivewal(&self, connection: &Connection) -> Result<Cmd, Error> {
        Ok(connection.apply(self.cmd(Program::PgReceivewal)?))
    }
}
