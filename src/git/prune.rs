//! Living beside `git gc --prune=now`.
//!
//! Such a gc removes every loose object that was not reachable when it looked,
//! however young. Objects that are written while it runs, and the refs that
//! make them reachable, come too late for it. But it removes neither packs that
//! came after it looked, nor anything that is in one. So a change that was made
//! while a gc was running is put into a pack as well, after its refs have moved:
//! a later gc finds it reachable, the present one does not touch it.

use std::fs;
use std::path::Path;

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

    /// Writes `objects` into the object directory as a pack of their own.
    pub(super) fn write_pack(&self, objects: &Objects) -> Result<(), Error> {
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
        let packed = written.and_then(|()| {
            let names = objects.keys().map(|id| format!("{id}\n")).collect::<String>();
            let target = self.gix.objects.store_ref().path().join("pack/pack");
            let staged = [("GIT_OBJECT_DIRECTORY", staging.as_os_str())];
            self.git_with(&staged, "pack-objects", ["-q".into(), target.into_os_string()], names.into_bytes())
        });
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
        let output = packed?;
        if output.exit.status.is_success() {
            return Ok(());
        }
        Err(Error::Program {
            command: "pack-objects".to_owned(),
            detail: output.exit.stderr.trim().to_owned(),
        })
    }
}
