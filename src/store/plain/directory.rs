//! Directories that another program fills, such as those of `pg_dump -Fd`.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::writer::FileSummary;
use super::{NAME_MAX, b3sums, check_name, digest_text, sync_dir};
use crate::process::create_private;
use crate::progress::{Progress, Quiet};
use crate::store::Error;

/// The maximum size of a list of digests, in bytes.
const LIST_MAX: u64 = 1 << 30;

/// Returns the name of the list of digests of the directory `name`.
pub(super) fn list_name(name: &str) -> String {
    format!("{name}.b3sums")
}

/// Makes the directory `name` in `parent` durable and writes its list.
pub(super) fn seal(parent: &Path, name: &str) -> Result<FileSummary, Error> {
    let (mut list, mut bytes) = (String::new(), 0);
    for (relative, path) in files_of(parent, name)? {
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|e| Error::io("chmod", &path, e))?;
        let (hash, size) = hash_file(&path, &Quiet)?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(|e| Error::io("sync", &path, e))?;
        list.push_str(&b3sums::line(hash, &relative));
        bytes += size;
    }
    for entry in WalkDir::new(parent.join(name)).contents_first(true) {
        let entry = entry.map_err(|e| walk_error(&parent.join(name), e))?;
        if entry.file_type().is_dir() {
            sync_dir(entry.path())?;
        }
    }
    let path = parent.join(list_name(name));
    let written = create_private(&path).and_then(|mut file| {
        file.write_all(list.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| Error::io("write", &path, e))?;
    let digest = digest_text(blake3::hash(list.as_bytes()));
    Ok(FileSummary { name: name.to_owned(), content_bytes: bytes, stored_bytes: bytes, digest })
}

/// Verifies that the directory `name` in `parent` has the digest `digest`. Fails with the first
/// difference.
pub(super) fn verify(parent: &Path, name: &str, digest: &str, progress: &dyn Progress) -> Result<(), Error> {
    let path = parent.join(list_name(name));
    let mut list = Vec::new();
    let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
    file.take(LIST_MAX).read_to_end(&mut list).map_err(|e| Error::io("read", &path, e))?;
    let actual = digest_text(blake3::hash(&list));
    if actual != digest {
        return Err(Error::Mismatch { path, expected: digest.to_owned(), actual });
    }
    let entries = std::str::from_utf8(&list).ok().and_then(b3sums::parse);
    let entries = entries.ok_or_else(|| Error::Corrupt { path, detail: "not a list of digests".into() })?;
    let mut found = files_of(parent, name)?;
    for (expected, relative) in entries {
        let Some(path) = found.remove(&relative) else {
            return Err(Error::Missing { path: parent.join(relative) });
        };
        let (actual, _) = hash_file(&path, progress)?;
        if actual != expected {
            let (expected, actual) = (digest_text(expected), digest_text(actual));
            return Err(Error::Mismatch { path, expected, actual });
        }
    }
    match found.into_values().next() {
        Some(path) => Err(Error::Unexpected { path }),
        None => Ok(()),
    }
}

/// Refuses a path that is not the path of a file in a directory of a backup.
pub(super) fn member_path(name: &str) -> Result<&Path, Error> {
    let mut parts = name.split('/');
    let first = check_name("file", parts.next().unwrap_or_default());
    let fine = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    match first {
        Ok(_) if parts.clone().next().is_some() && parts.all(fine) => Ok(Path::new(name)),
        _ => Err(Error::UnsafeName { what: "file", name: name.chars().take(NAME_MAX).collect() }),
    }
}

/// Returns the total size of the files in the directory, in bytes.
pub(super) fn size_of(parent: &Path, name: &str) -> Result<u64, Error> {
    let files = files_of(parent, name)?;
    files.into_values().map(|path| Ok(path.metadata().map_err(|e| Error::io("open", &path, e))?.len())).sum()
}

/// Returns the files below `parent/name`, by their paths relative to `parent`. Fails if there is a
/// link or device, which a backup does not contain.
pub(super) fn files_of(parent: &Path, name: &str) -> Result<BTreeMap<String, PathBuf>, Error> {
    let root = parent.join(name);
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(&root).follow_links(false) {
        let entry = entry.map_err(|e| walk_error(&root, e))?;
        let kind = entry.file_type();
        let relative = entry.path().strip_prefix(parent).ok().and_then(Path::to_str).map(ToOwned::to_owned);
        match relative {
            Some(relative) if kind.is_file() => drop(files.insert(relative, entry.into_path())),
            Some(_) if kind.is_dir() => {}
            _ => return Err(Error::Unexpected { path: entry.into_path() }),
        }
    }
    Ok(files)
}

fn walk_error(root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    Error::io("list", &path, error.into())
}

fn hash_file(path: &Path, progress: &dyn Progress) -> Result<(blake3::Hash, u64), Error> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let size = hash_stream(file, &mut hasher, progress).map_err(|e| Error::io("read", path, e))?;
    Ok((hasher.finalize(), size))
}

/// Feeds all of `input` to `hasher`. Returns the number of bytes.
pub(super) fn hash_stream(
    mut input: impl Read,
    hasher: &mut blake3::Hasher,
    progress: &dyn Progress,
) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                progress.advance(n as u64);
                size += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
