//! The sinks that tools write into: pending backups of the store.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::domain::{Artifact, Compression, Line};
use crate::store::{Chunking, FileSummary, PendingBackup, PendingFile};
use crate::tools::adapter::{Content, Sink, SinkFile};

/// A pending backup that a tool fills.
pub struct DraftSink<'a> {
    /// The pending backup.
    pub draft: &'a PendingBackup,
    /// The compression of its files.
    pub compression: Compression,
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

/// The sink for tools that keep backups in a repository of their own. Every operation fails.
pub struct NoSink;

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
