//! Dumping a database.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::plausible::{ARCHIVE_MAGIC, Witness};
use super::schema::normalise_schema;
use super::{Connection, Error, Format, PgTools, Program, ToolVersion};
use crate::domain::{DumpOptions, TableName};
use crate::pg::{self, Client};
use crate::process::{self, Cmd, Running};
use crate::progress::Progress;

/// How much is read at once; a pipe holds 64 KiB.
const BUFFER: usize = 256 * 1024;
/// The largest schema that is kept.
const SCHEMA_LIMIT: usize = 256 * 1024 * 1024;

/// What to dump and how.
#[derive(Debug, Clone)]
pub struct DumpSpec {
    /// The database.
    pub connection: Connection,
    /// What to dump and how. Roles and tablespaces are not part of it: see [`PgTools::globals`].
    pub options: DumpOptions,
    /// Of a part: also the extensions, whose types its tables may have.
    pub with_extensions: bool,
    /// An exported snapshot to read.
    pub snapshot: Option<String>,
    /// The encoding of the dump, usually that of the database, regardless of role and database
    /// settings. `None` leaves the choice to pg_dump.
    pub encoding: Option<String>,
    /// When to give up.
    pub deadline: Option<Duration>,
}

impl DumpSpec {
    /// All of the database behind `connection`.
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

    /// Dumps the schema of the database of `client`, with settings that do not depend on the server,
    /// the database and the role. `alone` has the same meaning as in [`Connection`].
    pub fn of_schema(client: &Client, alone: bool) -> Result<Self, pg::Error> {
        let info = client.conninfo().with_settings(&client.settings_of_schema()?);
        let mut connection = Connection { alone, ..Connection::from(&info) };
        connection.env.push(("PGTZ".into(), "UTC".into()));
        let encoding = Some(client.facts()?.encoding);
        Ok(Self { encoding, ..Self::new(connection, Format::Plain) })
    }
}

/// A dump that succeeded.
#[derive(Debug, Clone)]
pub struct DumpResult {
    /// How large it is, before any compression by us.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// The program that made it.
    pub tool: ToolVersion,
}

impl PgTools {
    /// Streams a dump to `out`. Whether it is whole is known only when this
    /// returns: what was written before an error is worth nothing.
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
        // Compression is ours: it is better, and what it hides cannot be shared.
        let cmd = if format == Format::Custom { cmd.arg("--compress=0") } else { cmd };
        let witness = pump(Program::PgDump, cmd, out, progress)?;
        witness.judge(format, Program::PgDump)?;
        Ok(DumpResult { bytes: witness.bytes(), duration: start.elapsed(), tool })
    }

    /// Dumps into `dir`, which is missing or empty; `plain` leaves the compression
    /// to somebody else.
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

    /// Dumps the schema as SQL, without the secrets of foreign servers and subscriptions. If `spec` was
    /// made by [`DumpSpec::of_schema`], equal schemas give equal bytes. The format and the number of
    /// jobs in `spec` are ignored.
    pub fn schema_sql(&self, spec: &DumpSpec) -> Result<Vec<u8>, Error> {
        let cmd = spec.apply(self.cmd(Program::PgDump)?).args(["--format=plain", "--schema-only"]);
        let output = cmd.stdout_limit(SCHEMA_LIMIT).run().map_err(|e| Error::of(Program::PgDump, e))?;
        let mut witness = Witness::default();
        witness.see(&output.stdout);
        witness.judge(Format::Plain, Program::PgDump)?;
        Ok(normalise_schema(&output.stdout))
    }

    /// Writes what is in no dump of a database: roles and tablespaces. Hashes
    /// of passwords only `with_passwords`, which takes a superuser.
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
        let witness = pump(Program::PgDumpall, cmd, out, &crate::progress::Quiet)?;
        witness.judge_globals(Program::PgDumpall)?;
        Ok(DumpResult { bytes: witness.bytes(), duration: start.elapsed(), tool })
    }
}

impl DumpSpec {
    /// The options that all formats share.
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

/// The pattern that matches `name` and nothing else.
fn literal_pattern(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same for a table.
fn table_pattern(table: &TableName) -> String {
    let name = literal_pattern(&table.name);
    table.schema.as_deref().map_or(name.clone(), |schema| format!("{}.{name}", literal_pattern(schema)))
}

/// Runs `cmd` and copies its output. When `out` fails, the program is ended.
fn pump(program: Program, cmd: Cmd, out: &mut dyn Write, progress: &dyn Progress) -> Result<Witness, Error> {
    let mut running = cmd.spawn().map_err(|error| Error::of(program, error))?;
    let witness = copy(program, &mut running, out, progress)?;
    running.finish().map_err(|error| Error::of(program, error))?;
    Ok(witness)
}

fn copy(
    program: Program,
    running: &mut Running,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Witness, Error> {
    let mut pipe = running.take_stdout().expect("stdout is piped unless told otherwise");
    let mut witness = Witness::default();
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
        witness.see(&buffer[..n]);
        progress.advance(n as u64);
    }
    Ok(witness)
}

/// The size of a dumped directory, once its table of contents has been seen.
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
