//! Where tools write to and read from, as places of the store.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::domain::{Artifact, Compression, Line};
use crate::progress::Progress;
use crate::store::{self, Chunking, FileSummary, PendingBackup, PendingFile, StoredBackup};
use crate::tools;
use crate::tools::adapter::{Content, Sink, SinkFile, Source};

/// A draft that a tool fills.
pub(super) struct DraftSink<'a> {
    pub(super) draft: &'a PendingBackup,
    pub(super) compression: Compression,
}

impl Sink for DraftSink<'_> {
    fn file(&self, name: &str, content: Content) -> io::Result<Box<dyn SinkFile + '_>> {
        let chunking = match content {
            Content::Stream => Chunking::Content,
            Content::Pages => Chunking::Pages,
        };
        let file = match name.contains('/') {
            true => self.draft.member(name, chunking),
            false => self.draft.file(name, chunking, self.compression),
        };
        Ok(Box::new(File(file.map_err(io::Error::other)?)))
    }

    fn directory(&self, name: &str) -> io::Result<PathBuf> {
        self.draft.adopt_directory(name).map_err(io::Error::other)
    }

    fn seal(&self, name: &str) -> io::Result<Artifact> {
        artifact(&self.draft.seal_directory(name).map_err(io::Error::other)?)
    }

    fn discard(&self, name: &str) -> io::Result<()> {
        self.draft.discard_directory(name).map_err(io::Error::other)
    }

    fn compresses(&self) -> bool {
        self.draft.compresses()
    }
}

struct File<'a>(PendingFile<'a>);

impl Write for File<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl SinkFile for File<'_> {
    fn finish(self: Box<Self>) -> io::Result<Artifact> {
        artifact(&self.0.finish().map_err(io::Error::other)?)
    }
}

fn artifact(summary: &FileSummary) -> io::Result<Artifact> {
    Ok(Artifact {
        name: Line::lossy(&summary.name),
        size_bytes: summary.content_bytes,
        stored_bytes: summary.stored_bytes,
        digest: summary.digest.parse().map_err(io::Error::other)?,
    })
}

/// For tools that keep backups in a repository of their own.
pub(super) struct NoSink;

impl Sink for NoSink {
    fn file(&self, _: &str, _: Content) -> io::Result<Box<dyn SinkFile + '_>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn directory(&self, _: &str) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn seal(&self, _: &str) -> io::Result<Artifact> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn discard(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn compresses(&self) -> bool {
        false
    }
}

/// The bytes of a backup in a store or a directory.
pub struct HeldSource(pub StoredBackup);

impl Source for HeldSource {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names().map_err(io::Error::other)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        self.0.reader(name).map_err(io::Error::other)
    }

    fn verify(&self, artifact: &Artifact, progress: &dyn Progress) -> Result<Option<String>, tools::Error> {
        let verified = self.0.verify(artifact.name.as_str(), &artifact.digest.to_string(), progress);
        match verified {
            Ok(()) => Ok(None),
            Err(error) if error.is_damage() => Ok(Some(error.to_string())),
            Err(error) => Err(tools::Error::Place(io::Error::other(error))),
        }
    }
}

/// What a store says through a tool that writes into it or reads from it.
pub fn of_store(error: tools::Error) -> super::Error {
    use tools::Error::{Place, Read, Write};
    let back = |source: io::Error| source.downcast::<store::Error>();
    match error {
        Write { program, source } => back(source)
            .map_or_else(|source| super::Error::Tools(Write { program, source }), super::Error::Store),
        Read { program, source } => back(source)
            .map_or_else(|source| super::Error::Tools(Read { program, source }), super::Error::Store),
        Place(source) => {
            back(source).map_or_else(|source| super::Error::Tools(Place(source)), super::Error::Store)
        }
        other => super::Error::Tools(other),
    }
}
