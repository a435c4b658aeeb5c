//! Markers of sent notifications, for notifications about a state and not about an event.

use std::fs;
use std::io;
use std::path::Path;

use crate::domain::Timestamp;

/// Marks `subject` as reported for `slot` in the directory `dir`. Returns true for the first caller
/// only, across processes and restarts. Fails if the directory cannot be written.
pub fn mark_reported(dir: &Path, subject: &str, slot: Timestamp) -> io::Result<bool> {
    fs::create_dir_all(dir)?;
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' };
    let prefix: String = subject.chars().map(safe).chain("@".chars()).collect();
    let name = format!("{prefix}{}", slot.as_datetime().timestamp());
    match fs::File::create_new(dir.join(&name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        other => other.map(drop)?,
    }
    // Markers of earlier slots are not needed any more.
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
    fn each_slot_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("told");
        let at = |n: i64| Timestamp::from_unix(n).unwrap();
        assert!(mark_reported(&dir, "shop/x", at(1)).unwrap());
        assert!(!mark_reported(&dir, "shop/x", at(1)).unwrap());
        assert!(
            mark_reported(&dir, "stats/x", at(1)).unwrap() && mark_reported(&dir, "shop/x", at(2)).unwrap()
        );
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    }
}
