//! A small file system for tests that fill a disk.

use std::fs;
use std::path::Path;

use pggit::process::Cmd;

/// A tmpfs that is unmounted when this is dropped.
pub(crate) struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// Mounts a tmpfs. Without the permission, prints a message and returns `None`.
    pub(crate) fn mount(options: &str) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Cmd::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).run();
        if let Err(error) = mount {
            println!("no file system of its own for this test: {error}");
            return None;
        }
        Some(Tmpfs(dir))
    }

    /// Fills the file system except for this number of bytes.
    pub(crate) fn leave(&self, bytes: u64) {
        self.make_room();
        let df = Cmd::new("df").args(["--output=avail", "-B1"]).arg(self.path()).run().unwrap();
        let free: u64 = String::from_utf8(df.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap();
        let ballast = vec![0; usize::try_from(free.saturating_sub(bytes)).unwrap()];
        fs::write(self.path().join("ballast"), ballast).unwrap();
    }

    /// Removes the file that fills it.
    pub(crate) fn make_room(&self) {
        let _ = fs::remove_file(self.path().join("ballast"));
    }

    /// Returns its mount point.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Cmd::new("umount").arg("--lazy").arg(self.0.path()).run();
    }
}
