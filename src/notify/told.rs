//! What has been said already, for messages that follow from how things are and
//! not from what has just happened.

use std::fs;
use std::io;
use std::path::Path;

use crate::domain::Timestamp;

/// Notes in the directory `dir` that `subject` was spoken of for `slot`. `true`
/// for the first one who does, however many try at once and however often they
/// are started anew.
pub fn tell_once(dir: &Path, subject: &str, slot: Timestamp) -> io::Result<bool> {
    fs::create_dir_all(dir)?;
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' };
    let prefix: String = subject.chars().map(safe).chain("@".chars()).collect();
    let name = format!("{prefix}{}", slot.as_datetime().timestamp());
    match fs::File::create_new(dir.join(&name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        other => other.map(drop)?,
    }
    // Of older times nobody will ask again.
    for entry in fs::read_dir(dir)?.flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        if other.starts_with(&prefix) && other != name {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("told");
        let at = |n: i64| Timestamp::from_unix(n).unwrap();
        assert!(tell_once(&dir, "shop/x", at(1)).unwrap());
        assert!(!tell_once(&dir, "shop/x", at(1)).unwrap());
        assert!(tell_once(&dir, "stats/x", at(1)).unwrap() && tell_once(&dir, "shop/x", at(2)).unwrap());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    }
}
