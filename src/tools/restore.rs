//! Restores a dump into an existing database.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::dump_check::DumpValidator;
use super::load_options::LoadOptions;
use super::load_script::load_script;
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
    /// The options.
    pub options: LoadOptions,
    /// The time limit.
    pub deadline: Option<Duration>,
}

impl RestoreSpec {
    /// Returns the specification for restoring a complete dump in `format` into the database behind
    /// `connection`.
    pub fn new(connection: Connection, format: Format) -> Self {
        Self { connection, format, options: LoadOptions::default(), deadline: None }
    }

    /// Returns true if pg_restore needs the dump as a file or directory: it cannot read a stream in
    /// parallel.
    pub(super) fn needs_file(&self) -> bool {
        self.format == Format::Directory || self.options.parallel_jobs().is_some()
    }

    fn pg_restore(&self, cmd: Cmd) -> Cmd {
        let mut cmd = self.connection.apply(cmd).deadline(self.deadline).stdout(Stdout::Null);
        // One transaction would hold the locks of all objects of the dump until its end.
        if !self.options.keep_going {
            cmd = cmd.arg("--exit-on-error");
        }
        cmd = cmd.arg(format!("--format={}", self.format));
        let flags = [
            ("--no-owner", self.options.no_owner),
            ("--no-privileges", self.options.no_privileges),
            ("--no-tablespaces", self.options.no_tablespaces),
        ];
        cmd = cmd.args(flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag));
        match self.options.parallel_jobs() {
            Some(jobs) => cmd.arg(format!("--jobs={jobs}")),
            None => cmd,
        }
    }

    /// Fails if the format does not support an option.
    fn check(&self) -> Result<(), Error> {
        let unsupported = |reason| Err(Error::Unsupported { format: self.format, reason });
        if self.format == Format::Plain && (self.options.no_owner || self.options.no_privileges) {
            return unsupported("owners and grants cannot be left out");
        }
        if self.options.parallel_jobs().is_some()
            && !matches!(self.format, Format::Custom | Format::Directory)
        {
            return unsupported("cannot be restored by parallel jobs (--jobs)");
        }
        Ok(())
    }
}

impl PgTools {
    /// Returns the program that restores a dump with the options of `spec`, or `None` for a plain
    /// script, which needs no program: see [`super::load_script`]. The path of a dump that
    /// pg_restore needs as a file or directory has to be added as the last argument; any other dump is
    /// read from standard input. Fails if the options are unsupported or the program is missing.
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

    /// Restores the dump from `input`. Fails if `input` fails or is truncated, or if a statement fails.
    /// Then the database is incomplete, and the caller drops it: a dump is not loaded in one
    /// transaction, because a server has a limited number of locks. Returns the number of bytes that
    /// were sent.
    pub fn restore_stream(
        &self,
        spec: &RestoreSpec,
        input: &mut dyn Read,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        if spec.needs_file() {
            return Err(Error::Unsupported { format: spec.format, reason: "cannot be streamed" });
        }
        match self.restore_cmd(spec)? {
            Some(cmd) => load_stream(cmd, spec.format, input, progress),
            None => {
                let name = spec.format.artifact_name();
                let loaded =
                    load_script(&spec.connection, name, input, (spec.options, spec.deadline), progress)?;
                Ok(loaded.bytes)
            }
        }
    }

    /// Restores a dumped directory. Fails if pg_restore fails.
    pub fn restore_directory(&self, spec: &RestoreSpec, dir: &Path) -> Result<(), Error> {
        if spec.format != Format::Directory {
            return Err(Error::Unsupported { format: spec.format, reason: "is not a directory" });
        }
        spec.check()?;
        load_file(spec.pg_restore(self.cmd(PROGRAM)?), dir)
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

/// Runs the program of a [`super::adapter::RestoreStep::Load`] for a dump that it needs as a file or
/// directory. Fails if the program fails.
pub fn load_file(cmd: Cmd, path: &Path) -> Result<(), Error> {
    // A relative path may begin with a dash.
    let path = std::path::absolute(path).map_err(|e| Error::directory(path, e))?;
    cmd.arg(OsString::from(path)).run().map(drop).map_err(|error| Error::of(PROGRAM, error))
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

/// Sends `input` to the program. The end of the input lets the program succeed. So the pipe is closed
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
