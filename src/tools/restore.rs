//! Restoring a dump into a database that exists.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::plausible::Witness;
use super::{Connection, Error, Format, PgTools, Program};
use crate::process::{Cmd, Running, Stdin, Stdout};
use crate::progress::Progress;

const BUFFER: usize = 256 * 1024;
/// Listing an archive takes no time.
const LISTING: Duration = Duration::from_secs(600);

/// Where to restore to and how.
#[derive(Debug, Clone)]
pub struct RestoreSpec {
    /// The database; it exists.
    pub connection: Connection,
    /// How the dump is written.
    pub format: Format,
    /// Whether everything is to belong to the user who restores. A plain script
    /// cannot do this.
    pub no_owner: bool,
    /// Whether grants are left out. A plain script cannot do this.
    pub no_privileges: bool,
    /// Whether what cannot be made is left out, as far as `pg_restore` goes on: then
    /// it fails in the end, with all that it left out.
    pub keep_going: bool,
    /// When to give up.
    pub deadline: Option<Duration>,
}

impl RestoreSpec {
    /// All of a dump in `format` into the database behind `connection`.
    pub fn new(connection: Connection, format: Format) -> Self {
        Self { connection, format, no_owner: false, no_privileges: false, keep_going: false, deadline: None }
    }

    fn pg_restore(&self, cmd: Cmd) -> Cmd {
        let mut cmd = self.connection.apply(cmd).deadline(self.deadline).stdout(Stdout::Null);
        if !self.keep_going {
            cmd = cmd.args(["--single-transaction", "--exit-on-error"]);
        }
        cmd = cmd.arg(format!("--format={}", self.format));
        if self.no_owner {
            cmd = cmd.arg("--no-owner");
        }
        if self.no_privileges {
            cmd = cmd.arg("--no-privileges");
        }
        cmd
    }

    fn psql(&self, cmd: Cmd) -> Cmd {
        let cmd = self.connection.apply(cmd).deadline(self.deadline).stdout(Stdout::Null);
        // Only with `--file` does `--single-transaction` mean anything.
        cmd.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"])
    }
}

impl PgTools {
    /// The program that restores a dump as `spec` says; a directory is its last
    /// argument, everything else its input.
    pub fn restore_cmd(&self, spec: &RestoreSpec) -> Result<Cmd, Error> {
        match spec.format {
            Format::Plain if spec.no_owner || spec.no_privileges => Err(Error::Unsupported {
                format: spec.format,
                reason: "owners and grants cannot be left out",
            }),
            Format::Plain => Ok(spec.psql(self.cmd(Program::Psql)?)),
            _ => Ok(spec.pg_restore(self.cmd(Program::PgRestore)?)),
        }
    }

    /// How many entries the table of contents of an archive has. pg_restore need
    /// not read more than that.
    pub fn list_archive(&self, format: Format, input: &mut (dyn Read + Send)) -> Result<u64, Error> {
        let program = Program::PgRestore;
        let cmd = self.cmd(program)?.arg("--list").arg(format!("--format={format}")).deadline(LISTING);
        let failed = |error| Error::of(program, error);
        let listing = cmd.run_with(input).map_err(failed)?.success().map_err(failed)?;
        let lines = listing.stdout.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| line.first().is_some_and(u8::is_ascii_digit)).count() as u64)
    }

    /// Restores the dump that `input` yields, in one transaction: all of it or
    /// nothing. When `input` fails or ends too early, the transaction is rolled
    /// back. Returns how many bytes were handed over.
    pub fn restore_stream(
        &self,
        spec: &RestoreSpec,
        input: &mut dyn Read,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        let unsupported = |reason| Err(Error::Unsupported { format: spec.format, reason });
        let program = match spec.format {
            Format::Directory => return unsupported("cannot be streamed"),
            Format::Plain => Program::Psql,
            _ => Program::PgRestore,
        };
        load(self.restore_cmd(spec)?, program, spec.format, input, progress)
    }

    /// Restores a dumped directory in one transaction.
    pub fn restore_directory(&self, spec: &RestoreSpec, dir: &Path) -> Result<(), Error> {
        if spec.format != Format::Directory {
            return Err(Error::Unsupported { format: spec.format, reason: "is not a directory" });
        }
        load_directory(spec.pg_restore(self.cmd(Program::PgRestore)?), dir)
    }
}

/// Runs the program of a [`super::adapter::Step::Load`] with what `input` yields,
/// as [`PgTools::restore_stream`] does.
pub fn load_stream(
    cmd: Cmd,
    format: Format,
    input: &mut dyn Read,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let program = if format == Format::Plain { Program::Psql } else { Program::PgRestore };
    load(cmd, program, format, input, progress)
}

/// The same for a dumped directory.
pub fn load_directory(cmd: Cmd, dir: &Path) -> Result<(), Error> {
    // A relative path may begin with a dash.
    let dir = std::path::absolute(dir).map_err(|e| Error::directory(dir, e))?;
    cmd.arg(OsString::from(dir)).run().map(drop).map_err(|error| Error::of(Program::PgRestore, error))
}

fn load(
    cmd: Cmd,
    program: Program,
    format: Format,
    input: &mut dyn Read,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let mut running = cmd.stdin(Stdin::Piped).spawn().map_err(|error| Error::of(program, error))?;
    let witness = match feed(program, format, &mut running, input, progress) {
        Fed::Broken(error) => return Err(error),
        Fed::Done(witness) | Fed::Refused(witness) => witness,
    };
    running.finish().map_err(|error| Error::of(program, error))?;
    Ok(witness.bytes())
}

/// How the feeding of a program ended.
enum Fed {
    /// It has got everything.
    Done(Witness),
    /// It closed its ears; why, it says itself.
    Refused(Witness),
    /// The input is not to be trusted; the program must not see its end.
    Broken(Error),
}

/// Hands `input` to the program. The pipe is closed, which lets the program
/// commit, only when all of the input has been seen and can be a whole dump.
fn feed(
    program: Program,
    format: Format,
    running: &mut Running,
    input: &mut dyn Read,
    progress: &dyn Progress,
) -> Fed {
    let mut pipe = running.take_stdin().expect("stdin is piped");
    let mut witness = Witness::default();
    let mut buffer = vec![0; BUFFER];
    let broken = |error, running: &mut Running, pipe| {
        running.end();
        drop(pipe);
        Fed::Broken(error)
    };
    loop {
        let n = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(source) => return broken(Error::Read { program, source }, running, pipe),
        };
        witness.see(&buffer[..n]);
        match pipe.write_all(&buffer[..n]) {
            Ok(()) => progress.advance(n as u64),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Fed::Refused(witness),
            Err(source) => return broken(Error::Write { program, source }, running, pipe),
        }
    }
    match witness.judge(format, program) {
        Ok(()) => Fed::Done(witness),
        Err(error) => broken(error, running, pipe),
    }
}
