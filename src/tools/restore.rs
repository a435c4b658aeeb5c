//! Restores a dump into an existing database.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::dump_check::DumpValidator;
use super::lexer::words;
use super::session::{ScriptLimits, Session};
use super::splitter::{BadScript, Skip, SplitError, Splitter};
use super::{Connection, Error, Format, PgTools, Program};
use crate::process::{Cmd, Running, Stdin, Stdout};
use crate::progress::Progress;

/// The program that restores dumps in all formats except plain.
const PROGRAM: Program = Program::PgRestore;
const BUFFER: usize = 256 * 1024;
/// The time limit for listing an archive, which is fast.
const LISTING: Duration = Duration::from_secs(600);

/// The destination and the options of a restore.
#[derive(Debug, Clone)]
pub struct RestoreSpec {
    /// The connection to the existing database.
    pub connection: Connection,
    /// The format of the dump.
    pub format: Format,
    /// True if the restoring user becomes the owner of everything. Unsupported for a plain script.
    pub no_owner: bool,
    /// True if grants are left out. Unsupported for a plain script.
    pub no_privileges: bool,
    /// True if `pg_restore` continues after an error. It still fails at the end and reports all
    /// objects that it left out.
    pub keep_going: bool,
    /// The time limit.
    pub deadline: Option<Duration>,
}

impl RestoreSpec {
    /// Returns the specification for restoring a complete dump in `format` into the database behind
    /// `connection`.
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

    /// Fails if owners or privileges are to be left out of a plain script.
    fn check(&self) -> Result<(), Error> {
        match self.format == Format::Plain && (self.no_owner || self.no_privileges) {
            true => Err(Error::Unsupported {
                format: self.format,
                reason: "owners and grants cannot be left out",
            }),
            false => Ok(()),
        }
    }
}

impl PgTools {
    /// Returns the program that restores a dump with the options of `spec`, or `None` for a plain
    /// script, which needs no program: see [`load_script`]. The path of a directory has to be added
    /// as the last argument; any other dump is read from standard input. Fails if the options are
    /// unsupported or the program is missing.
    pub fn restore_cmd(&self, spec: &RestoreSpec) -> Result<Option<Cmd>, Error> {
        spec.check()?;
        match spec.format {
            Format::Plain => Ok(None),
            _ => Ok(Some(spec.pg_restore(self.cmd(PROGRAM)?))),
        }
    }

    /// Returns the number of entries in the table of contents of an archive. pg_restore need not
    /// read more than that. Fails if pg_restore fails.
    pub fn list_archive(&self, format: Format, input: &mut (dyn Read + Send)) -> Result<u64, Error> {
        let cmd = self.cmd(PROGRAM)?.arg("--list").arg(format!("--format={format}")).deadline(LISTING);
        let failed = |error| Error::of(PROGRAM, error);
        let listing = cmd.run_with(input).map_err(failed)?.success().map_err(failed)?;
        let lines = listing.stdout.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| line.first().is_some_and(u8::is_ascii_digit)).count() as u64)
    }

    /// Restores the dump from `input` in one transaction. If `input` fails or is truncated, the
    /// transaction is rolled back and this fails. Returns the number of bytes that were sent.
    pub fn restore_stream(
        &self,
        spec: &RestoreSpec,
        input: &mut dyn Read,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        if spec.format == Format::Directory {
            return Err(Error::Unsupported { format: spec.format, reason: "cannot be streamed" });
        }
        match self.restore_cmd(spec)? {
            Some(cmd) => load_stream(cmd, spec.format, input, progress),
            None => {
                let name = spec.format.artifact_name();
                load_script(&spec.connection, name, input, spec.deadline, progress)
            }
        }
    }

    /// Restores a dumped directory in one transaction. Fails if pg_restore fails.
    pub fn restore_directory(&self, spec: &RestoreSpec, dir: &Path) -> Result<(), Error> {
        if spec.format != Format::Directory {
            return Err(Error::Unsupported { format: spec.format, reason: "is not a directory" });
        }
        load_directory(spec.pg_restore(self.cmd(PROGRAM)?), dir)
    }
}

/// Runs the program of a [`super::adapter::RestoreStep::Load`] with `input` as its standard input. Returns
/// and fails as [`PgTools::restore_stream`] does.
pub fn load_stream(
    cmd: Cmd,
    format: Format,
    input: &mut dyn Read,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let failed = |error| Error::of(PROGRAM, error);
    let mut running = cmd.stdin(Stdin::Piped).spawn().map_err(failed)?;
    let validator = match feed(format, &mut running, input, progress) {
        Fed::Broken(error) => return Err(error),
        Fed::Done(validator) | Fed::Refused(validator) => validator,
    };
    running.finish().map_err(failed)?;
    Ok(validator.bytes())
}

/// Runs the plain script from `input` in one transaction, over a connection of this program; see
/// [`super::adapter::RestoreStep::Script`]. Returns and fails as [`load_stream`] does.
pub fn load_script(
    connection: &Connection,
    name: &str,
    input: &mut dyn Read,
    deadline: Option<Duration>,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let mut session = Session::open(&connection.info()?, name, ScriptLimits::new(deadline))?;
    let mut watched = Watched { input, validator: DumpValidator::default(), progress };
    let mut pieces = Splitter::new(&mut watched, Skip::Dump, session.standard_strings());
    session.run("BEGIN", 1)?;
    let mut line = 1;
    while let Some(piece) = pieces.next().map_err(|fault| session.fault(fault))? {
        line = piece.line;
        match words(&piece.sql).next().map(|(_, word)| word).as_deref() {
            // pg_dump puts large objects between these two. The script runs in one transaction already.
            Some("begin" | "commit") if is_one_word(&piece.sql) => {}
            Some("begin" | "start" | "commit" | "end" | "rollback" | "abort") => {
                let reason = "a dump that begins or ends transactions".to_owned();
                return Err(session.fault(SplitError::Script(BadScript { line, reason })));
            }
            _ => session.send(&piece, &mut pieces)?,
        }
    }
    let standard_strings = pieces.standard_strings();
    drop(pieces);
    watched.validator.finish(Format::Plain, Program::PgDump)?;
    session.is_as_expected(standard_strings, line)?;
    session.run("COMMIT", line)?;
    Ok(watched.validator.bytes())
}

fn is_one_word(sql: &[u8]) -> bool {
    sql.iter().all(u8::is_ascii_alphabetic)
}

/// A reader that checks the data for completeness and reports progress.
struct Watched<'a> {
    input: &'a mut dyn Read,
    validator: DumpValidator,
    progress: &'a dyn Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.validator.feed(&buffer[..n]);
        self.progress.advance(n as u64);
        Ok(n)
    }
}

/// Runs the program of a [`super::adapter::RestoreStep::Load`] for a dumped directory. Fails if the
/// program fails.
pub fn load_directory(cmd: Cmd, dir: &Path) -> Result<(), Error> {
    // A relative path may begin with a dash.
    let dir = std::path::absolute(dir).map_err(|e| Error::directory(dir, e))?;
    cmd.arg(OsString::from(dir)).run().map(drop).map_err(|error| Error::of(PROGRAM, error))
}

/// The result of sending the input to a program.
enum Fed {
    /// The program received the complete input.
    Done(DumpValidator),
    /// The program closed its input early. Its own error has the reason.
    Refused(DumpValidator),
    /// The input is invalid. The program must not see its end.
    Broken(Error),
}

/// Sends `input` to the program. Closing the pipe lets the program commit. So the pipe is closed
/// only after the complete input was read and can be a complete dump.
fn feed(format: Format, running: &mut Running, input: &mut dyn Read, progress: &dyn Progress) -> Fed {
    let mut pipe = running.take_stdin().expect("stdin is piped");
    let mut validator = DumpValidator::default();
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
            Err(source) => return broken(Error::Read { program: PROGRAM, source }, running, pipe),
        };
        validator.feed(&buffer[..n]);
        match pipe.write_all(&buffer[..n]) {
            Ok(()) => progress.advance(n as u64),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Fed::Refused(validator),
            Err(source) => return broken(Error::Write { program: PROGRAM, source }, running, pipe),
        }
    }
    match validator.finish(format, PROGRAM) {
        Ok(()) => Fed::Done(validator),
        Err(error) => broken(error, running, pipe),
    }
}
