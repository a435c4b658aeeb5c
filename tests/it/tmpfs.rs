//! A small file system of its own, for tests that fill a disk.

use std::path::Path;

use pggit::process::Cmd;

/// A tmpfs that is unmounted when this is dropped.
pub(crate) struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// Mounts one; `None`, and a word about it, where that is not permitted.
    pub(crate) fn mount(options: &str) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Cmd::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).run();
        if let Err(error) = mount {
            println!("no file system of its own for this test: {error}");
            return None;
        }
        Some(Tmpfs(dir))
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Cmd::new("umount").arg("--lazy").arg(self.0.path()).run();
    }
}
