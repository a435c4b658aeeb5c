//! The bytes of one run: the dump, the globals, the schema; dump and schema of
//! the same snapshot.

use std::thread::{self, ScopedJoinHandle};

use crate::config::Globals;
use crate::domain::{Artifact, Compression, DumpFormat, Event, Line, Metadata, Record};
use crate::progress::Progress;
use crate::store::{self, Draft, FileSummary};
use crate::tools::{self, DumpSpec, PgTools};

use super::Error;

/// What the tools are to do.
pub(super) struct Job<'a> {
    pub(super) database: &'a str,
    pub(super) tools: PgTools,
    pub(super) spec: DumpSpec,
    pub(super) globals: Globals,
    pub(super) record_schema: bool,
    pub(super) compression: Compression,
    pub(super) progress: &'a dyn Progress,
}

/// What the tools made.
pub(super) struct Dump {
    /// The dump first.
    pub(super) artifacts: Vec<Artifact>,
    pub(super) schema: Option<Vec<u8>>,
    pub(super) tool_version: String,
    pub(super) metadata: Metadata,
}

impl Job<'_> {
    /// Runs the tools at the same time: the dump takes as long as it takes, the
    /// small ones beside it cost nothing then.
    pub(super) fn run(&self, draft: &Draft) -> Result<Dump, Error> {
        let (dumped, globals, schema) = thread::scope(|scope| {
            let globals = scope.spawn(|| self.globals(draft));
            let schema = scope.spawn(|| self.schema());
            (self.dump(draft), joined(globals), joined(schema))
        });
        let (summary, tool_version) = dumped?;
        let (globals, schema) = (globals?, schema?);
        let mut metadata = Metadata::default();
        metadata.insert("format", self.spec.format.as_str());
        metadata.insert("globals", self.globals.as_str());
        if !self.spec.schemas.is_empty() {
            metadata.insert("schemas", self.spec.schemas.clone());
        }
        let artifacts = std::iter::once(&summary).chain(&globals).map(artifact).collect::<Result<_, _>>()?;
        Ok(Dump { artifacts, schema, tool_version, metadata })
    }

    fn dump(&self, draft: &Draft) -> Result<(FileSummary, String), Error> {
        self.progress.stage(&format!("dumping {}", self.database), None);
        let name = self.spec.format.artifact_name();
        if self.spec.format == DumpFormat::Directory {
            let dir = draft.adopt_directory(name)?;
            let result = self.tools.dump_directory(&self.spec, &dir, draft.compresses())?;
            return Ok((draft.seal_directory(name)?, result.tool.text));
        }
        let mut writer = draft.file(name, self.compression)?;
        let result = self.tools.dump_to(&self.spec, &mut writer, self.progress).map_err(of_store)?;
        Ok((writer.finish()?, result.tool.text))
    }

    fn schema(&self) -> Result<Option<Vec<u8>>, Error> {
        if !self.record_schema {
            return Ok(None);
        }
        Ok(Some(self.tools.schema_sql(&self.spec)?))
    }

    /// Roles and tablespaces are in no dump of a database.
    fn globals(&self, draft: &Draft) -> Result<Option<FileSummary>, Error> {
        if self.globals == Globals::None {
            return Ok(None);
        }
        let mut writer = draft.file("globals.sql", self.compression)?;
        let with_passwords = self.globals == Globals::All;
        let dumped =
            self.tools.globals(&self.spec.connection, with_passwords, self.spec.deadline, &mut writer);
        dumped.map_err(of_store)?;
        Ok(Some(writer.finish()?))
    }
}

/// What a store says through a tool that writes into it.
fn of_store(error: tools::Error) -> Error {
    match error {
        tools::Error::Write { program, source } => match source.downcast::<store::Error>() {
            Ok(error) => Error::Store(error),
            Err(source) => Error::Tools(tools::Error::Write { program, source }),
        },
        other => Error::Tools(other),
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn artifact(summary: &FileSummary) -> Result<Artifact, Error> {
    Ok(Artifact {
        name: Line::lossy(&summary.name),
        size_bytes: summary.content_bytes,
        stored_bytes: summary.stored_bytes,
        digest: summary
            .digest
            .parse()
            .map_err(|error| Error::Ledger(crate::ledger::Error::Invalid(error)))?,
    })
}

/// What the ledger is going to say about the bytes; it is kept beside them, so
/// that they are complete without it.
pub(super) fn completed_record(record: &Record, event: &Event) -> serde_json::Value {
    let mut completed = record.clone();
    let bytes = completed.add(event.clone()).and_then(|()| completed.to_bytes());
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| event.to_value())
}
