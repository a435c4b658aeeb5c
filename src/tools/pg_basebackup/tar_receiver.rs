//! Splits the archives that pg_basebackup writes, and writes their files into a sink.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};

use tar::{Archive, EntryType};

use super::manifest::{Listed, ReceivedFiles};
use super::tree::{Tree, is_below, stored_name};
use super::{DIRECTORY, MANIFEST};
use crate::progress::Progress;
use crate::tools::adapter::{Content, Sink};
use crate::tools::{Error, Program};

/// The size of a read in bytes.
const BUFFER: usize = 256 * 1024;
/// The size of a page of PostgreSQL in bytes.
const PAGE: u64 = 8192;
/// The maximum size in bytes of a file that is also kept in memory.
const SMALL_MAX: u64 = 1 << 30;

/// The state of a backup while its archives are read.
pub(super) struct TarReceiver<'a> {
    sink: &'a dyn Sink,
    progress: &'a dyn Progress,
    pub(super) tree: Tree,
    pub(super) arrived: ReceivedFiles,
    /// The content of the files in [`KEPT`], by name.
    pub(super) small: BTreeMap<&'static str, Vec<u8>>,
    buffer: Vec<u8>,
}

/// The files whose content is also kept in memory.
const KEPT: [&str; 3] = [MANIFEST, "backup_label", "tablespace_map"];

/// The reason why reading an archive stopped.
pub(super) enum ReceiveError {
    /// The archive is unreadable or invalid. The error of the program explains the cause better.
    Archive(io::Error),
    /// The sink failed.
    Sink(io::Error),
}

impl ReceiveError {
    pub(super) fn into_error(self) -> Error {
        let program = Program::PgBasebackup;
        match self {
            Self::Sink(source) => Error::Write { program, source },
            Self::Archive(source) => {
                Error::Incomplete { program, reason: format!("its archive cannot be read: {source}") }
            }
        }
    }
}

impl<'a> TarReceiver<'a> {
    pub(super) fn new(sink: &'a dyn Sink, progress: &'a dyn Progress) -> Self {
        Self {
            sink,
            progress,
            tree: Tree::default(),
            arrived: ReceivedFiles::new(),
            small: BTreeMap::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Reads an archive whose files belong below `top`. Reads to the end of `input`, so that its
    /// writer does not get a broken pipe. Fails if the archive is invalid or the sink fails.
    pub(super) fn archive(&mut self, top: &[u8], input: impl Read) -> Result<(), ReceiveError> {
        let mut archive = Archive::new(input);
        for entry in archive.entries().map_err(ReceiveError::Archive)? {
            let mut entry = entry.map_err(ReceiveError::Archive)?;
            let mut path = top.to_vec();
            let inside = entry.path_bytes();
            path.extend_from_slice(inside.strip_prefix(b"./").unwrap_or(&inside));
            while path.last() == Some(&b'/') {
                path.pop();
            }
            if path.is_empty() || path == b"." {
                continue;
            }
            let name = stored_name(&path);
            if !is_below(&name) {
                return Err(strange(&format!("a file has the path {name:?}")));
            }
            let mode = entry.header().mode().map_err(ReceiveError::Archive)?;
            match entry.header().entry_type() {
                EntryType::Directory => self.tree.directory(&name, mode),
                // Tablespaces are listed in tablespace_map.
                EntryType::Symlink if name.starts_with("pg_tblspc/") => {}
                EntryType::Regular | EntryType::Continuous => {
                    self.tree.file(&name, mode);
                    let size = entry.size();
                    self.take(path, &name, size, &mut entry)?;
                }
                other => return Err(strange(&format!("{name} is of the type {other:?}"))),
            }
        }
        let mut rest = archive.into_inner();
        drain(&mut rest, &mut self.buffer).map_err(ReceiveError::Archive)
    }

    /// Writes one file into the sink. Fails if the file is shorter than `size` or the sink fails.
    pub(super) fn take(
        &mut self,
        path: Vec<u8>,
        name: &str,
        size: u64,
        input: &mut dyn Read,
    ) -> Result<(), ReceiveError> {
        let kept = KEPT.into_iter().find(|kept| *kept == name && size <= SMALL_MAX);
        let (mut copy, mut crc, mut bytes) = (Vec::new(), 0, 0);
        let member = format!("{DIRECTORY}/{name}");
        let mut file = self.sink.file(&member, content_of(name, size)).map_err(ReceiveError::Sink)?;
        loop {
            let n = match input.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ReceiveError::Archive(error)),
            };
            let chunk = &self.buffer[..n];
            file.write_all(chunk).map_err(ReceiveError::Sink)?;
            crc = crc32c::crc32c_append(crc, chunk);
            bytes += n as u64;
            if kept.is_some() {
                copy.extend_from_slice(chunk);
            }
            self.progress.advance(n as u64);
        }
        file.finish().map_err(ReceiveError::Sink)?;
        if bytes != size {
            return Err(strange(&format!("{name} is truncated")));
        }
        if let Some(kept) = kept {
            self.small.insert(kept, copy);
        }
        self.arrived.insert(path, Listed { size, crc: Some(crc) });
        Ok(())
    }
}

/// Returns the kind of a file. Pages keep their offsets, so that the store finds equal pages at the
/// same offsets of the previous backup.
fn content_of(name: &str, size: u64) -> Content {
    let holds_pages = ["base/", "global/", "pg_tblspc/"].iter().any(|start| name.starts_with(start));
    let incremental = name.rsplit('/').next().is_some_and(|file| file.starts_with("INCREMENTAL."));
    match holds_pages && !incremental && size > 0 && size.is_multiple_of(PAGE) {
        true => Content::Pages,
        false => Content::Stream,
    }
}

fn strange(what: &str) -> ReceiveError {
    ReceiveError::Archive(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()))
}

fn drain(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match input.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
