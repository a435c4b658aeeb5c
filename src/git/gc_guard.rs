//! Protects new objects from a concurrent `git gc --prune=now`.
//!
//! Such a gc removes every loose object that was not reachable when it looked, however young. Objects
//! that are written while it runs, and the refs that make them reachable, come too late for it. But it
//! keeps every pack that has a `.keep` file, which also protects a `git fetch`. So while a gc is
//! running, the objects of a change are also written into such a pack, after its refs are locked and
//! before they move. If the process is killed after that, nothing is lost. The `.keep` file is removed
//! after the refs have moved: a later gc finds the objects reachable, and the running one has already
//! listed the packs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, Repository, writer::Objects};

impl Repository {
    /// Returns true if a `git gc` of this repository is running, by its file `gc.pid`. The file is stale
    /// if the gc was killed. A gc on another host counts as running.
    pub(super) fn gc_is_running(&self) -> bool {
        let Ok(text) = fs::read_to_string(self.common_dir().join("gc.pid")) else { return false };
        let mut words = text.split_ascii_whitespace();
        let (pid, host) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let here = crate::process::host();
        host != here.as_str() || Path::new("/proc").join(pid).exists()
    }

    /// Writes `objects` into a pack that no gc removes until the returned value is dropped. Fails if git or
    /// the file system fails.
    pub(super) fn write_pack(&self, objects: &Objects) -> Result<KeepPack, Error> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        let ours = self.common_dir().join("pggit");
        let staging = ours.join(format!("pack-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(staging.join("pack")).map_err(io(&staging))?;
        let loose = gix::odb::loose::Store::at(&staging, self.gix.object_hash());
        let written = objects.values().try_for_each(|(kind, bytes)| {
            gix::objs::Write::write_buf(&loose, *kind, bytes)
                .map(drop)
                .map_err(Error::library("write an object"))
        });
        let keep = written.and_then(|()| {
            let names = objects.keys().map(|id| format!("{id}\n")).collect::<String>();
            let staged = [("GIT_OBJECT_DIRECTORY", staging.as_os_str())];
            let target = staging.join("pack/pack");
            let args = ["-q".into(), target.into_os_string()];
            let hash = self.git_output(&staged, "pack-objects", args, names.into_bytes())?;
            self.move_pack(&staging.join("pack"), &format!("pack-{}", String::from_utf8_lossy(&hash).trim()))
        });
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
        keep
    }

    /// Moves a pack into the object directory: first its `.keep` file, then the data, and last the index,
    /// by which git finds it. (`git index-pack --keep` does the same, but a gc removes its temporary
    /// files.)
    fn move_pack(&self, from: &Path, name: &str) -> Result<KeepPack, Error> {
        let to = self.gix.objects.store_ref().path().join("pack");
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        fs::create_dir_all(&to).map_err(at(&to))?;
        let keep = to.join(format!("{name}.keep"));
        let owner = format!("{KEEP} {} on {}\n", std::process::id(), crate::process::host());
        fs::write(&keep, owner).map_err(at(&keep))?;
        let keep = KeepPack(keep);
        for extension in ["pack", "rev", "idx"] {
            let file = format!("{name}.{extension}");
            match fs::rename(from.join(&file), to.join(&file)) {
                // Older versions of git do not write a reverse index.
                Err(error) if extension == "rev" && error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(at(&to.join(&file)))?,
            }
        }
        remove_stale(&to, &keep.0);
        Ok(keep)
    }

    /// Returns the standard output of git. Fails if git fails.
    fn git_output(
        &self,
        env: &[(&str, &OsStr)],
        command: &str,
        args: [OsString; 2],
        input: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let output = self.git_with(env, command, args, input)?;
        if output.exit.status.is_success() {
            return Ok(output.stdout);
        }
        Err(Error::Program { command: command.to_owned(), detail: output.exit.stderr.trim().to_owned() })
    }
}

/// The first word of our `.keep` files.
const KEEP: &str = "git-pggit";
/// The age from which a `.keep` file of ours is stale: no change holds its locks that long.
const STALE: Duration = Duration::from_secs(3600);

/// The `.keep` file of a pack. Dropping the value removes the file.
#[derive(Debug)]
pub(super) struct KeepPack(PathBuf);

impl Drop for KeepPack {
    fn drop(&mut self) {
        // A file that cannot be removed costs little space, and is removed later as stale.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes stale `.keep` files of killed processes. Their age is relative to the file `fresh`, so that
/// only the clock of the file system matters.
fn remove_stale(packs: &Path, fresh: &Path) {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Some(now) = modified(fresh) else { return };
    let Ok(entries) = fs::read_dir(packs) else { return };
    let keeps = entries.filter_map(Result::ok).map(|entry| entry.path());
    for path in keeps.filter(|path| path.extension().is_some_and(|extension| extension == "keep")) {
        let old = modified(&path).and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > STALE);
        if old && fs::read(&path).is_ok_and(|text| text.starts_with(KEEP.as_bytes())) {
            let _ = fs::remove_file(path);
        }
    }
}
