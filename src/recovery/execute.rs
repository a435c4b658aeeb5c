//! Execution of the steps that an adapter has planned.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Error;
use super::space::Space;
use crate::artifacts::of_store;
use crate::domain::{Backup, BackupId};
use crate::process::{
    self, Cmd, Pinned, Stdout, crash_point, create_private, interrupt, private_directories,
};
use crate::progress::Progress;
use crate::store::StoredBackup;
use crate::tools::adapter::{RestoreStep, empty_directory};
use crate::tools::pg_basebackup::{Tree, real_path};
use crate::tools::{self, LeftOut, load_file, load_script, load_stream};

/// The size of a read, in bytes.
const BUFFER: usize = 256 << 10;
/// The maximum size of a directory description, in bytes.
const TREE_MAX: u64 = 1 << 30;

/// The environment of the steps.
pub struct Execution<'a> {
    /// The wanted backup, with its bytes.
    pub wanted: (&'a Backup, &'a StoredBackup),
    /// The other backups of the backup chain.
    pub chain: &'a [(&'a Backup, &'a StoredBackup)],
    /// A directory for dumps that a program reads as files. It is created on demand.
    pub staging: &'a Path,
    /// True if objects of a dump that cannot be restored are left out.
    pub keep_going: bool,
    /// The open directories of tablespaces.
    pub(super) spaces: &'a [Space],
    /// Receives the progress.
    pub progress: &'a dyn Progress,
}

impl Execution<'_> {
    /// Runs `steps` in order. Returns the objects that were left out, if the steps keep going. Fails if
    /// a step fails. The caller then has to remove the partial result.
    pub fn run(&self, steps: Vec<RestoreStep>) -> Result<Vec<LeftOut>, Error> {
        let mut left_out = Vec::new();
        for step in steps {
            left_out.extend(self.step(step)?);
            crash_point("recovery.step");
        }
        Ok(left_out)
    }

    fn step(&self, step: RestoreStep) -> Result<Vec<LeftOut>, Error> {
        match step {
            RestoreStep::Load { artifact, format, cmd, needs_file } => {
                return self.load(&artifact, format, *cmd, needs_file);
            }
            RestoreStep::Script { artifact, connection, options } => {
                let mut reader = self.wanted.1.reader(&artifact)?;
                let loaded = load_script(&connection, &artifact, &mut reader, (options, None), self.progress);
                return Ok(loaded.map_err(of_store::<Error>)?.left_out);
            }
            other => self.file_step(other)?,
        }
        Ok(Vec::new())
    }

    /// Runs a step that changes files.
    fn file_step(&self, step: RestoreStep) -> Result<(), Error> {
        match step {
            RestoreStep::Load { .. } | RestoreStep::Script { .. } => Ok(()),
            RestoreStep::Unpack { backup, artifact, into, tree } => {
                self.unpack(backup, &artifact, &into, tree.as_deref())
            }
            RestoreStep::Run { what, cmd } => run(&what, *cmd, self.progress),
            RestoreStep::Tablespace { link, directory } => {
                let space = self.spaces.iter().find(|space| space.real() == directory);
                tablespace(&link, &space.map_or(directory, Space::path))
            }
            RestoreStep::RequireEmpty { path, owner } => Ok(empty_directory(&path, owner.as_ref())?),
            RestoreStep::Remove { path } => remove(&path),
            RestoreStep::Append { path, text } => append(&path, &text),
        }
    }

    /// Runs a program that loads a dump. Returns the objects that it has left out, if it keeps going.
    fn load(
        &self,
        artifact: &str,
        format: tools::Format,
        cmd: Cmd,
        needs_file: bool,
    ) -> Result<Vec<LeftOut>, Error> {
        let loaded = if needs_file {
            self.load_from_disk(artifact, format, cmd)
        } else {
            let mut reader = self.wanted.1.reader(artifact)?;
            load_stream(cmd, format, &mut reader, self.progress).map(drop).map_err(of_store::<Error>)
        };
        match loaded {
            Err(Error::Tools(tools::Error::Failed { kind, stderr, .. }))
                if self.keep_going && !kind.retry() && LeftOut::all(&stderr).is_some() =>
            {
                Ok(LeftOut::all(&stderr).unwrap_or_default())
            }
            other => other.map(|()| Vec::new()),
        }
    }

    /// Runs a program that needs the dump as a file or directory. In a store there is no such file, so
    /// the dump is unpacked.
    fn load_from_disk(&self, artifact: &str, format: tools::Format, cmd: Cmd) -> Result<(), Error> {
        let (backup, held) = self.wanted;
        let staged = Staged::new(self.staging.join(format!("restore-{}", backup.id)));
        let path = match (format, held.path(artifact)?) {
            (tools::Format::Directory, Some(directory)) => directory,
            (tools::Format::Directory, None) => {
                held.unpack(artifact, &digest(backup, artifact)?, staged.path(), self.progress)?;
                staged.path().to_owned()
            }
            _ => {
                let path = staged.path().join(artifact);
                self.unpack_file(artifact, &path)?;
                path
            }
        };
        Ok(load_file(cmd, &path)?)
    }

    /// Writes a dump that is one file to `path`. Its digest is verified while it is read, or was
    /// verified before.
    fn unpack_file(&self, artifact: &str, path: &Path) -> Result<(), Error> {
        let (backup, held) = self.wanted;
        self.progress.stage(&format!("unpacking {artifact}"), backup.size_bytes);
        let failed = |error| Error::file("write", path, error);
        let created = path.parent().map_or(Ok(()), private_directories).and_then(|()| create_private(path));
        let (mut file, mut reader) = (created.map_err(failed)?, held.reader(artifact)?);
        let mut buffer = vec![0; BUFFER];
        loop {
            if let Some(signal) = interrupt::requested() {
                return Err(process::Error::Interrupted { signal }.into());
            }
            let read = reader.read(&mut buffer);
            match read.map_err(|error| of_store::<Error>(tools::Error::Place(error)))? {
                0 => return Ok(()),
                n => {
                    file.write_all(&buffer[..n]).map_err(failed)?;
                    self.progress.advance(n as u64);
                }
            }
        }
    }

    fn unpack(&self, id: BackupId, artifact: &str, into: &Path, tree: Option<&str>) -> Result<(), Error> {
        let mut members = self.chain.iter().chain([&self.wanted]);
        let Some((backup, held)) = members.find(|(backup, _)| backup.id == id) else {
            return Err(Error::NotRestorable {
                backup: id.to_string(),
                reason: "its bytes are not available".to_owned(),
            });
        };
        let size = backup.artifacts.first().map(|artifact| artifact.size_bytes);
        self.progress.stage(&format!("unpacking {}", backup.name), size);
        let path_of =
            |name: &str| real_path(name).map(|path| PathBuf::from(std::ffi::OsString::from_vec(path)));
        held.unpack_as(artifact, &digest(backup, artifact)?, into, &path_of, self.progress)?;
        match tree {
            Some(name) => apply(&self.tree(held, backup, name)?, into),
            None => Ok(()),
        }
    }

    fn tree(&self, held: &StoredBackup, backup: &Backup, name: &str) -> Result<Tree, Error> {
        let damaged =
            || Error::NotRestorable { backup: backup.id.to_string(), reason: format!("{name} is damaged") };
        held.verify(name, &digest(backup, name)?, &crate::progress::Quiet)?;
        let mut text = Vec::new();
        let read = held.reader(name)?.take(TREE_MAX).read_to_end(&mut text);
        read.map_err(|_| damaged())?;
        Tree::parse(&text).ok_or_else(damaged)
    }
}

/// Runs a program of a plan. Fails if the program fails.
pub(super) fn run(what: &str, cmd: Cmd, progress: &dyn Progress) -> Result<(), Error> {
    progress.stage(what, None);
    let program = cmd.argv().first().map(PathBuf::from).unwrap_or_default();
    let ran = cmd.stdout(Stdout::Null).run();
    let failed = |source| Error::Step { what: format!("{what} with {}", program.display()), source };
    ran.map(drop).map_err(failed)
}

/// Appends to a file. Creates the file if it is missing.
pub(super) fn append(path: &Path, text: &[u8]) -> Result<(), Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // A tool may have created the directory as another user, so its entries are not trusted.
    let file = Pinned::open(path.parent().unwrap_or(Path::new("."))).and_then(|held| held.file(name));
    let written = file.and_then(|mut file| {
        file.seek(SeekFrom::End(0))?;
        file.write_all(text)
    });
    written.map_err(|error| Error::file("write", path, error))
}

fn digest(backup: &Backup, name: &str) -> Result<String, Error> {
    let artifact = backup.artifacts.iter().find(|artifact| artifact.name.as_str() == name);
    artifact.map(|artifact| artifact.digest.to_string()).ok_or_else(|| Error::NotRestorable {
        backup: backup.id.to_string(),
        reason: format!("its record does not list {name}"),
    })
}

/// Restores the properties of a directory other than the content of its files.
fn apply(tree: &Tree, into: &Path) -> Result<(), Error> {
    let place = |name: &str| real_path(name).map(|path| into.join(std::ffi::OsString::from_vec(path)));
    let set = |name: &str, mode: u32| match place(name) {
        Some(path) => fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(|error| Error::file("chmod", &path, error)),
        None => Ok(()),
    };
    for name in tree.directories.keys() {
        if let Some(path) = place(name) {
            fs::create_dir_all(&path).map_err(|error| Error::file("create", &path, error))?;
        }
    }
    tree.files.iter().try_for_each(|(name, mode)| set(name, Tree::mode(mode, 0o600)))?;
    tree.directories.iter().try_for_each(|(name, mode)| set(name, Tree::mode(mode, 0o700)))
}
/// Makes `directory` a tablespace with the content that is already at `link`.
fn tablespace(link: &Path, directory: &Path) -> Result<(), Error> {
    let io = |what, path: &Path, error| Error::file(what, path, error);
    fs::create_dir_all(directory).map_err(|e| io("create", directory, e))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
        .map_err(|e| io("chmod", directory, e))?;
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).map_err(|e| io("create", parent, e))?;
    }
    if link.is_dir() {
        for entry in fs::read_dir(link).map_err(|e| io("list", link, e))? {
            let from = entry.map_err(|e| io("list", link, e))?.path();
            move_to(&from, &directory.join(from.file_name().unwrap_or_default()))?;
        }
        fs::remove_dir(link).map_err(|e| io("remove", link, e))?;
    }
    symlink(directory, link).map_err(|e| io("create", link, e))
}

/// Moves a file or directory, also to another file system.
fn move_to(from: &Path, to: &Path) -> Result<(), Error> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        other => return other.map_err(|error| Error::file("move", from, error)),
    }
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|error| Error::file("list", from, error.into()))?;
        let target = match entry.path().strip_prefix(from) {
            Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
            _ => to.to_owned(),
        };
        let copied = match entry.file_type().is_dir() {
            true => fs::create_dir(&target)
                .and_then(|()| fs::set_permissions(&target, entry.metadata()?.permissions())),
            false => fs::copy(entry.path(), &target).map(drop),
        };
        copied.map_err(|error| Error::file("copy", entry.path(), error))?;
    }
    remove(from)
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(()),
    }
}

/// Files that are removed on drop.
pub(super) struct Staged(PathBuf);

impl Staged {
    /// Returns the guard for files at `path`, which may not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
