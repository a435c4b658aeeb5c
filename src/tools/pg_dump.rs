//! The adapter of pg_dump: logical backups of one database, together with the roles and
//! tablespaces.

use std::io;
use std::thread;

use super::adapter::IntegrityFinding;
use super::adapter::{
    Adapter, BackupBase, BackupOrder, BackupOutput, BackupRef, CatalogEntry, Content, Depth, Probe, Report,
    RestoreStep, Sink, Target,
};
use super::programs::major_of;
use super::{Connection, DumpSpec, Error, Format, PgTools, Program, Programs, RestoreSpec};
use crate::domain::{Artifact, Backup, BackupType, DumpOptions, Globals, Line, Metadata};
use crate::pg::ServerFacts;
use crate::progress::Progress;

/// The name of the artifact with roles and tablespaces.
pub const GLOBALS: &str = "globals.sql";

/// pg_dump with its settings for one database.
#[derive(Debug, Clone)]
pub struct PgDump {
    /// The directories of the programs.
    pub programs: Programs,
    /// The connection to the database.
    pub connection: Connection,
    /// The options of the dump.
    pub options: DumpOptions,
}

impl PgDump {
    fn tools(&self, server_major: u32) -> PgTools {
        self.programs.for_server(server_major)
    }

    fn spec(&self, order: &BackupOrder<'_>) -> DumpSpec {
        let jobs = self.options.jobs.filter(|_| self.options.format == Format::Directory);
        DumpSpec {
            options: DumpOptions { jobs, ..self.options.clone() },
            snapshot: order.snapshot.map(str::to_owned),
            encoding: Some(order.facts.encoding.clone()),
            deadline: order.deadline,
            ..DumpSpec::new(self.connection.clone(), self.options.format)
        }
    }

    fn dump(
        &self,
        order: &BackupOrder<'_>,
        sink: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<(Artifact, String), Error> {
        progress.stage(&format!("dumping {}", order.database), None);
        let (tools, spec) = (self.tools(order.facts.major), self.spec(order));
        let name = self.options.format.artifact_name();
        if self.options.format == Format::Directory {
            let directory = sink.directory(name).map_err(put)?;
            let result = tools.dump_directory(&spec, &directory, sink.compresses())?;
            return Ok((sink.seal(name).map_err(put)?, result.tool.text));
        }
        let mut file = sink.file(name, Content::Stream).map_err(put)?;
        let result = tools.dump_to(&spec, &mut file, progress)?;
        Ok((file.finish().map_err(put)?, result.tool.text))
    }

    /// Dumps roles and tablespaces, because no dump of a database contains them.
    fn dump_globals(
        &self,
        order: &BackupOrder<'_>,
        globals: Globals,
        sink: &dyn Sink,
    ) -> Result<Option<Artifact>, Error> {
        if globals == Globals::None {
            return Ok(None);
        }
        let mut file = sink.file(GLOBALS, Content::Stream).map_err(put)?;
        let (tools, with_passwords) = (self.tools(order.facts.major), globals == Globals::All);
        tools.globals(&self.connection, with_passwords, order.deadline, &mut file)?;
        file.finish().map_err(put).map(Some)
    }
}

fn put(source: io::Error) -> Error {
    Error::Write { program: Program::PgDump, source }
}

impl Adapter for PgDump {
    fn name(&self) -> &str {
        Program::PgDump.name()
    }

    fn probe(&self, server_major: u32) -> Result<Probe, Error> {
        let (path, version) = self.tools(server_major).find(Program::PgDump)?;
        Ok(Probe { path, version: version.text, types: vec![BackupType::Full] })
    }

    fn reads_snapshot(&self) -> bool {
        true
    }

    fn choose_base(&self, wanted: BackupType, _: &ServerFacts, _: &[&Backup]) -> Result<BackupBase, Error> {
        match wanted {
            BackupType::Full => Ok(BackupBase::full()),
            kind => Err(Error::TypeUnsupported { tool: self.name().to_owned(), kind, makes: "full" }),
        }
    }

    /// Makes the backup. The small programs run in parallel to the dump and so take no additional
    /// time.
    fn backup(
        &self,
        order: &BackupOrder<'_>,
        sink: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error> {
        let globals = match self.options.globals {
            Globals::All if !order.facts.can_read_role_passwords => Globals::NoPasswords,
            wanted => wanted,
        };
        let (dumped, beside) = thread::scope(|scope| {
            let beside = scope.spawn(|| self.dump_globals(order, globals, sink));
            let dumped = self.dump(order, sink, progress);
            (dumped, beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let ((dump, tool_version), beside) = (dumped?, beside?);
        let mut metadata = Metadata::default();
        DumpOptions { globals, ..self.options.clone() }.record(&mut metadata);
        // If the sink does not compress, pg_dump itself compresses a dump in directory format.
        let own = self.options.format == Format::Directory && !sink.compresses();
        Ok(BackupOutput {
            artifacts: std::iter::once(dump).chain(beside).collect(),
            compression: own.then(|| Line::lossy("gzip")),
            tool_version,
            metadata,
            ..BackupOutput::default()
        })
    }

    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error> {
        Ok(None)
    }

    fn check(&self, subject: &BackupRef<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error> {
        let source = subject.source()?;
        let mut report = Report::of_artifacts(subject, progress)?;
        let dump = subject.backup.artifacts.first();
        let format = dump.and_then(|dump| Format::of_artifact(dump.name.as_str()));
        let (Depth::Integrity, Some(dump), Some(format)) = (depth, dump, format) else { return Ok(report) };
        if report.is_fatal() || !matches!(format, Format::Custom | Format::Tar) {
            return Ok(report);
        }
        let made_by = subject.backup.tool.version.as_ref().and_then(|version| major_of(version.as_str()));
        let mut dump = source.open(dump.name.as_str()).map_err(get)?;
        match self.tools(made_by.unwrap_or_default()).list_archive(format, &mut dump) {
            Ok(entries) => report.evidence.insert("archive_entries", entries),
            Err(Error::Failed { stderr, .. }) => {
                report
                    .findings
                    .push(IntegrityFinding::fatal(format!("pg_restore cannot read it: {}", stderr.trim())));
            }
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        let Target::Database { connection, server_major, options } = target else {
            return Err(Error::TargetUnsupported {
                tool: self.name().to_owned(),
                reason: "is restored into a database, not into a data directory",
            });
        };
        let dump = subject.backup.artifacts.first();
        let format = dump.and_then(|dump| Format::of_artifact(dump.name.as_str()));
        let (Some(dump), Some(format)) = (dump, format) else {
            return Err(Error::TargetUnsupported {
                tool: self.name().to_owned(),
                reason: "has no dump among its artifacts",
            });
        };
        let options = *options;
        let spec = RestoreSpec { options, ..RestoreSpec::new(connection.clone(), format) };
        let artifact = dump.name.to_string();
        let needs_file = spec.needs_file();
        Ok(vec![match self.tools(*server_major).restore_cmd(&spec)? {
            Some(cmd) => RestoreStep::Load { artifact, format, cmd: Box::new(cmd), needs_file },
            None => RestoreStep::Script { artifact, connection: Box::new(connection.clone()), options },
        }])
    }

    fn delete(&self, _: &BackupRef<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn get(source: io::Error) -> Error {
    Error::Read { program: Program::PgRestore, source }
}
