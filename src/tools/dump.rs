//! Dumps a database.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::dump_check::{ARCHIVE_MAGIC, DumpValidator};
use super::schema::normalise_schema;
use super::{Connection, Error, Format, PgTools, Program, ToolVersion};
use crate::domain::{DumpOptions, TableName};
use crate::pg::{self, Client};
use crate::process::{self, Cmd, Running};
use crate::progress::Progress;

/// The size of a read in bytes. A pipe holds 64 KiB.
const BUFFER: usize = 256 * 1024;
/// The maximum size of a schema in bytes.
const SCHEMA_LIMIT: usize = 256 * 1024 * 1024;

/// The content and the options of a dump.
#[derive(Debug, Clone)]
pub struct DumpSpec {
    /// The connection to the database.
    pub connection: Connection,
    /// The options. Roles and tablespaces are not part of a dump: see [`PgTools::globals`].
    pub options: DumpOptions,
    /// For a partial dump: true if extensions are included, because the tables may use their types.
    pub with_extensions: bool,
    /// An exported snapshot to read.
    pub snapshot: Option<String>,
    /// The encoding of the dump, usually that of the database, regardless of role and database
    /// settings. `None` leaves the choice to pg_dump.
    pub encoding: Option<String>,
    /// The time limit.
    pub deadline: Option<Duration>,
}

impl DumpSpec {
    /// Returns the specification of a complete dump of the database behind `connection`.
    pub fn new(connection: Connection, format: Format) -> Self {
        Self {
            connection,
            options: DumpOptions::whole(format),
            with_extensions: false,
            snapshot: None,
            encoding: None,
            deadline: None,
        }
    }

    /// Returns the specification for dumping the schema of the database of `client`, with settings that
    /// do not depend on the server, the database and the role. `alone` has the same meaning as in
    /// [`Connection`]. Fails if the server does not report its settings.
    pub fn of_schema(client: &Client, alone: bool) -> Result<Self, pg::Error> {
        let info = client.conninfo().with_settings(&client.settings_of_schema()?);
        let mut connection = Connection { alone, ..Connection::from(&info) };
        connection.env.push(("PGTZ".into(), "UTC".into()));
        let encoding = Some(client.facts()?.encoding);
        Ok(Self { encoding, ..Self::new(connection, Format::Plain) })
    }
}

/// A successful dump.
#[derive(Debug, Clone)]
pub struct DumpResult {
    /// The size in bytes, before any compression by this program.
    pub bytes: u64,
    /// The duration.
    pub duration: Duration,
    /// The program that made the dump.
    pub tool: ToolVersion,
}

impl PgTools {
    /// Streams a dump to `out`. The dump is complete only if this returns without an error; discard
    /// partial output. Fails if pg_dump fails, if its output is incomplete or if `out` fails.
    pub fn dump_to(
        &self,
        spec: &DumpSpec,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<DumpResult, Error> {
        let format = spec.options.format;
        let unsupported = |reason| Err(Error::Unsupported { format, reason });
        if format == Format::Directory {
            return unsupported("cannot be streamed");
        }
        if spec.options.jobs.is_some() {
            return unsupported("cannot be dumped by parallel jobs");
        }
        let start = Instant::now();
        let (path, tool) = self.find(Program::PgDump)?;
        let cmd = spec.apply(Cmd::new(path).tied()).arg(format!("--format={format}"));
        // The store compresses better, and it cannot deduplicate data that pg_dump has compressed.
        let cmd = if format == Format::Custom { cmd.arg("--compress=0") } else { cmd };
        let validator = pump(Program::PgDump, cmd, out, progress)?;
        validator.finish(format, Program::PgDump)?;
        Ok(DumpResult { bytes: validator.bytes(), duration: start.elapsed(), tool })
    }

    /// Dumps into `dir`, which is missing or empty. `plain` disables the compression by pg_dump.
    /// Fails if pg_dump fails or its output is incomplete.
    pub fn dump_directory(&self, spec: &DumpSpec, dir: &Path, plain: bool) -> Result<DumpResult, Error> {
        if spec.options.format != Format::Directory {
            return Err(Error::Unsupported {
                format: spec.options.format,
                reason: "cannot be written to a directory",
            });
        }
        let start = Instant::now();
        let (path, tool) = self.find(Program::PgDump)?;
        let mut target = std::ffi::OsString::from("--file=");
        target.push(dir);
        let mut cmd = spec.apply(Cmd::new(path).tied()).arg("--format=directory").arg(target);
        if plain {
            cmd = cmd.arg("--compress=0");
        }
        if let Some(jobs) = spec.options.jobs {
            cmd = cmd.arg(format!("--jobs={jobs}"));
        }
        cmd.run().map_err(|error| Error::of(Program::PgDump, error))?;
        let bytes = judge_directory(dir)?;
        Ok(DumpResult { bytes, duration: start.elapsed(), tool })
    }

    /// Dumps the schema as SQL, without the secrets of foreign servers and subscriptions. If `spec`
    /// was made by [`DumpSpec::of_schema`], equal schemas give equal bytes. The format and the
    /// number of jobs in `spec` are ignored. Fails if pg_dump fails or its output is incomplete or
    /// too large.
    pub fn schema_sql(&self, spec: &DumpSpec) -> Result<Vec<u8>, Error> {
        let cmd = spec.apply(self.cmd(Program::PgDump)?).args(["--format=plain", "--schema-only"]);
        let output = cmd.stdout_limit(SCHEMA_LIMIT).run().map_err(|e| Error::of(Program::PgDump, e))?;
        let mut validator = DumpValidator::default();
        validator.feed(&output.stdout);
        validator.finish(Format::Plain, Program::PgDump)?;
        Ok(normalise_schema(&output.stdout))
    }

    /// Writes roles and tablespaces, which no dump of a database contains. Password hashes are
    /// included only if `with_passwords` is true, which requires a superuser. Fails if pg_dumpall
    /// fails, if its output is incomplete or if `out` fails.
    pub fn globals(
        &self,
        connection: &Connection,
        with_passwords: bool,
        deadline: Option<Duration>,
        out: &mut dyn Write,
    ) -> Result<DumpResult, Error> {
        let start = Instant::now();
        let (path, tool) = self.find(Program::PgDumpall)?;
        let cmd = connection.apply(Cmd::new(path).tied()).arg("--globals-only").deadline(deadline);
        let cmd = if with_passwords { cmd } else { cmd.arg("--no-role-passwords") };
        let validator = pump(Program::PgDumpall, cmd, out, &crate::progress::Quiet)?;
        validator.judge_globals(Program::PgDumpall)?;
        Ok(DumpResult { bytes: validator.bytes(), duration: start.elapsed(), tool })
    }
}

impl DumpSpec {
    /// Adds the options that all formats share.
    fn apply(&self, cmd: Cmd) -> Cmd {
        let mut cmd = self.connection.apply(cmd).arg("--strict-names").deadline(self.deadline);
        let options = &self.options;
        for schema in &options.schemas {
            cmd = cmd.arg(format!("--schema={}", literal_pattern(schema)));
        }
        for schema in &options.exclude_schemas {
            cmd = cmd.arg(format!("--exclude-schema={}", literal_pattern(schema)));
        }
        for table in &options.tables {
            cmd = cmd.arg(format!("--table={}", table_pattern(table)));
        }
        for table in &options.exclude_tables {
            cmd = cmd.arg(format!("--exclude-table={}", table_pattern(table)));
        }
        if self.with_extensions {
            cmd = cmd.arg("--extension=*");
        }
        if let Some(encoding) = &self.encoding {
            cmd = cmd.arg(format!("--encoding={encoding}"));
        }
        if let Some(snapshot) = &self.snapshot {
            cmd = cmd.arg(format!("--snapshot={snapshot}"));
        }
        cmd
    }
}

/// Returns the pattern that matches only `name`.
fn literal_pattern(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the pattern that matches only `table`.
fn table_pattern(table: &TableName) -> String {
    let name = literal_pattern(&table.name);
    table.schema.as_deref().map_or(name.clone(), |schema| format!("{}.{name}", literal_pattern(schema)))
}

/// Runs `cmd` and copies its output. Fails if the program fails or if `out` fails. The second case
/// ends the program.
fn pump(
    program: Program,
    cmd: Cmd,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<DumpValidator, Error> {
    let mut running = cmd.spawn().map_err(|error| Error::of(program, error))?;
    let validator = copy(program, &mut running, out, progress)?;
    running.finish().map_err(|error| Error::of(program, error))?;
    Ok(validator)
}

fn copy(
    program: Program,
    running: &mut Running,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<DumpValidator, Error> {
    let mut pipe = running.take_stdout().expect("stdout is piped unless told otherwise");
    let mut validator = DumpValidator::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Process(process::Error::Io { program: program.name().into(), source }));
            }
        };
        out.write_all(&buffer[..n]).map_err(|source| Error::Write { program, source })?;
        validator.feed(&buffer[..n]);
        progress.advance(n as u64);
    }
    Ok(validator)
}

/// Returns the size of a dumped directory in bytes. Fails if its table of contents is missing or
/// invalid.
fn judge_directory(dir: &Path) -> Result<u64, Error> {
    let program = Program::PgDump;
    let toc = dir.join("toc.dat");
    let mut magic = Vec::new();
    match std::fs::File::open(&toc) {
        Ok(file) => file.take(5).read_to_end(&mut magic).map_err(|e| Error::directory(&toc, e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::Empty { program }),
        Err(e) => return Err(Error::directory(&toc, e)),
    };
    if magic != ARCHIVE_MAGIC {
        return Err(Error::Truncated { program, reason: "the archive has no table of contents" });
    }
    let mut bytes = 0;
    for entry in walkdir::WalkDir::new(dir) {
        let meta = entry.and_then(|entry| entry.metadata()).map_err(|e| Error::directory(dir, e.into()))?;
        bytes += if meta.is_file() { meta.len() } else { 0 };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_patterns_that_match_only_themselves() {
        assert_eq!(literal_pattern("a.b*"), "\"a.b*\"");
        assert_eq!(literal_pattern("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(literal_pattern(""), "\"\"");
    }
}
