//! Writing one plain file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::digest_text;
use crate::domain::Compression;
use crate::process::crash_point;
use crate::store::Error;

/// The highest level of zstd at which one thread compresses faster than pg_dump writes. More
/// threads would only take CPU time from pg_dump and the server: on two cores, a backup took 1.36
/// times as long as pg_dump alone with them, and 1.05 times without.
const FAST_LEVEL_MAX: i32 = 5;
/// The maximum number of compression threads. More would wait for pg_dump.
const WORKERS_MAX: usize = 4;
/// The size of a compression job, in bytes. Memory grows with it; smaller jobs compress worse.
const JOB_BYTES: u32 = 4 << 20;

/// Returns the name of a file with this compression.
pub(super) fn file_name(compression: Compression, name: &str) -> String {
    match compression {
        Compression::None => name.to_owned(),
        Compression::Zstd(_) => format!("{name}.zst"),
    }
}

/// A complete, durable file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// The name in the backup.
    pub name: String,
    /// The size without compression, in bytes.
    pub content_bytes: u64,
    /// The size on disk, in bytes.
    pub stored_bytes: u64,
    /// The digest of the uncompressed content, as `blake3:<hex>`. For a directory, the digest of
    /// the list of digests of its files.
    pub digest: String,
}

/// Compresses, hashes and writes a file.
pub struct ArtifactWriter {
    name: String,
    path: PathBuf,
    sink: Sink,
    hasher: blake3::Hasher,
    content_bytes: u64,
    pending: Arc<AtomicUsize>,
}

enum Sink {
    Raw(File),
    Zstd(Encoder<'static, File>),
}

impl ArtifactWriter {
    pub(super) fn create(
        dir: &Path,
        name: &str,
        compression: Compression,
        pending: &Arc<AtomicUsize>,
    ) -> Result<Self, Error> {
        let name = file_name(compression, name);
        let path = dir.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let sink = file.and_then(|file| Sink::new(file, compression));
        let sink = sink.map_err(|e| Error::io("create", &path, e))?;
        pending.fetch_add(1, Ordering::SeqCst);
        let pending = Arc::clone(pending);
        Ok(Self { name, path, sink, hasher: blake3::Hasher::new(), content_bytes: 0, pending })
    }

    /// Writes the buffered content and makes the file durable. Fails if it cannot be written.
    pub fn finish(self) -> Result<FileSummary, Error> {
        let file = match self.sink {
            Sink::Raw(file) => Ok(file),
            Sink::Zstd(encoder) => encoder.finish(),
        };
        let durable = file.and_then(|file| file.sync_all().and_then(|()| file.metadata()));
        let stored_bytes = durable.map_err(|e| Error::io("write", &self.path, e))?.len();
        crash_point("store.written");
        self.pending.fetch_sub(1, Ordering::SeqCst);
        let digest = digest_text(self.hasher.finalize());
        Ok(FileSummary { name: self.name, content_bytes: self.content_bytes, stored_bytes, digest })
    }
}

impl Sink {
    fn new(file: File, compression: Compression) -> io::Result<Self> {
        let Compression::Zstd(level) = compression else { return Ok(Self::Raw(file)) };
        let mut encoder = Encoder::new(file, level)?;
        encoder.include_checksum(true)?;
        if level > FAST_LEVEL_MAX {
            let workers = available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
            encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
            encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
        }
        Ok(Self::Zstd(encoder))
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = match &mut self.sink {
            Sink::Raw(file) => file.write(buf)?,
            Sink::Zstd(encoder) => encoder.write(buf)?,
        };
        self.hasher.update(&buf[..n]);
        self.content_bytes += n as u64;
        crash_point("store.mid-write");
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing zstd would reduce compression; `finish` writes everything.
        Ok(())
    }
}
