//! Files and directories that are created with access for their owner only, regardless of the umask.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Creates a new file. Fails if the path exists, also as a symbolic link.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a new file, after an existing file or symbolic link of that name is removed. Fails if the
/// old file cannot be removed or the new one cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = create_private(path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| create_private(path)),
        _ => Err(error),
    });
    file.and_then(|mut file| file.write_all(content))
}

/// Creates a directory and its missing parents. Fails if a directory cannot be created.
pub fn private_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file that is written under a temporary name in the same directory and renamed when it is
/// complete. The temporary name is unpredictable, so that no other user can prepare a symbolic link
/// or a file of that name. If it is dropped before [`Replacement::keep`], the file is removed.
pub struct Replacement {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Replacement {
    /// Begins the file that replaces `path`. Fails if the temporary file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.file_name().is_none() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let partial = path.with_file_name(format!(".{}.partial", Uuid::new_v4()));
        let file = create_private(&partial)?;
        Ok(Self { file, partial, path: path.to_owned(), kept: false })
    }

    /// Flushes the file to disk and renames it. Fails if the file cannot be written or renamed;
    /// then it is removed.
    pub fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        self.kept = true;
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_read_them() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("a/b");
        private_directories(&directory).unwrap();
        private_directories(&directory).unwrap();
        let file = directory.join("file");
        write_private(&file, b"long content").unwrap();
        write_private(&file, b"short").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"short");
        assert_eq!([mode(&base.path().join("a")), mode(&directory), mode(&file)], [0o700, 0o700, 0o600]);
        assert!(create_private(&file).is_err());
    }

    #[test]
    fn what_has_the_name_of_a_private_file_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let (precious, path) = (base.path().join("precious"), base.path().join("file"));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, &path).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"newer").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"newer".to_vec(), 0o600));
        assert!(write_private(base.path(), b"").is_err());
    }

    #[test]
    fn a_replacement_follows_no_link_and_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let (precious, path) = (base.path().join("precious"), base.path().join("file"));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, &path).unwrap();
        drop(Replacement::create(&path).unwrap());
        let mut file = Replacement::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.keep().unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2);
        assert!(Replacement::create(Path::new("/")).is_err());
    }
}
