//! Living beside `git gc --prune=now`.
//!
//! Such a gc removes every loose object that was not reachable when it looked,
//! however young. Objects that are written while it runs, and the refs that
//! make them reachable, come too late for it. But it leaves alone what is in a
//! pack with a `.keep` file beside it, which is also how `git fetch` lives with
//! it. So a change that is made while a gc is running is put into such a pack
//! when its refs are locked and before they move: whoever is killed after that
//! has lost nothing. When they have moved the `.keep` goes, as a later gc finds
//! the objects reachable and the present one has made its list of packs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, Repository, writer::Objects};

impl Repository {
    /// Is a `git gc` of this repository running? It says so in a file, which
    /// outlives it when it is killed.
    pub(super) fn gc_is_running(&self) -> bool {
        let Ok(text) = fs::read_to_string(self.common_dir().join("gc.pid")) else { return false };
        let mut words = text.split_ascii_whitespace();
        let (pid, host) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let here = crate::process::host();
        host != here.as_str() || Path::new("/proc").join(pid).exists()
    }

    /// Writes `objects` into a pack of their own that no gc removes as long as
    /// what is returned lives.
    pub(super) fn write_pack(&self, objects: &Objects) -> Result<Kept, Error> {
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
        let kept = written.and_then(|()| {
            let names = objects.keys().map(|id| format!("{id}\n")).collect::<String>();
            let staged = [("GIT_OBJECT_DIRECTORY", staging.as_os_str())];
            let target = staging.join("pack/pack");
            let args = ["-q".into(), target.into_os_string()];
            let hash = self.git_output(&staged, "pack-objects", args, names.into_bytes())?;
            self.move_pack(&staging.join("pack"), &format!("pack-{}", String::from_utf8_lossy(&hash).trim()))
        });
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
        kept
    }

    /// Moves a pack into the object directory: its `.keep` first, then the
    /// data, and last the index by which git finds it. (`git index-pack --keep`
    /// would do the same, but a gc takes its temporary files away.)
    fn move_pack(&self, from: &Path, name: &str) -> Result<Kept, Error> {
        let to = self.gix.objects.store_ref().path().join("pack");
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        fs::create_dir_all(&to).map_err(at(&to))?;
        let keep = to.join(format!("{name}.keep"));
        let owner = format!("{KEEP} {} on {}\n", std::process::id(), crate::process::host());
        fs::write(&keep, owner).map_err(at(&keep))?;
        let kept = Kept(keep);
        for extension in ["pack", "rev", "idx"] {
            let file = format!("{name}.{extension}");
            match fs::rename(from.join(&file), to.join(&file)) {
                // Not every git writes a reverse index.
                Err(error) if extension == "rev" && error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(at(&to.join(&file)))?,
            }
        }
        remove_stale(&to, &kept.0);
        Ok(kept)
    }

    /// What git prints when it succeeds.
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

/// What our `.keep` files begin with.
const KEEP: &str = "git-pggit";
/// How old a `.keep` of ours must be to have been left behind for sure: no
/// change holds its locks that long.
const STALE: Duration = Duration::from_secs(3600);

/// The `.keep` file of a pack; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        // One that stays costs a little room, and is removed later.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes what killed processes have left behind, judged by the age of `fresh`.
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
