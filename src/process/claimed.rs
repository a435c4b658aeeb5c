//! Directories that go with a process: who comes after its death may remove them.
//!
//! Whose a directory is stands in a note in it. The note is there as a whole or
//! not at all, and it is what is removed last; so whatever is killed, whenever,
//! the next one can tell.

use std::fs;
use std::io;
use std::path::Path;

use super::{Pinned, write_private};
use crate::domain::Owner;

/// The name of the note.
const NOTE: &str = "owner.json";
/// The note until all of it is written.
const DRAFT: &str = "owner.json.new";

/// Says in `dir` that it goes with this process. Whoever removes what has no note
/// may have been faster: then this is [`io::ErrorKind::NotFound`].
pub fn claim(dir: &Path) -> io::Result<()> {
    let draft = dir.join(DRAFT);
    write_private(&draft, &serde_json::to_vec(&Owner::current()?)?)?;
    fs::rename(draft, dir.join(NOTE))
}

/// The process that `dir` goes with, if it says so.
pub fn claimant(dir: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(dir.join(NOTE)).ok()?).ok()
}

/// Removes a directory that has no note, if there is nothing in it: its maker died
/// before it wrote one, or when nothing else was left.
pub fn remove_unclaimed(dir: &Path) -> bool {
    let _ = fs::remove_file(dir.join(DRAFT));
    fs::remove_dir(dir).is_ok()
}

/// Removes a directory with all that is in it.
pub fn remove_claimed(dir: &Pinned) -> io::Result<()> {
    dir.clear(&[NOTE])?;
    dir.clear(&[])?;
    // Fails if another directory that is not empty has that name by now.
    fs::remove_dir(dir.real())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_written_is_nobodys_and_what_is_anothers_stays() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("dir");
        let make = || fs::create_dir(&dir).unwrap();
        make();
        assert!(claimant(&dir).is_none() && remove_unclaimed(&dir));
        make();
        fs::write(dir.join(DRAFT), "{\"ho").unwrap();
        assert!(claimant(&dir).is_none() && remove_unclaimed(&dir));
        make();
        claim(&dir).unwrap();
        assert!(claimant(&dir) == Some(Owner::current().unwrap()) && !remove_unclaimed(&dir));
        fs::create_dir_all(dir.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/", dir.join("link")).unwrap();
        remove_claimed(&Pinned::open(&dir).unwrap()).unwrap();
        assert!(!dir.exists() && claim(&dir).is_err());
    }
}
