//! Restores that a tool makes by itself, out of its own repository.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Error;
use super::execute::{append, remove, run};
use crate::domain::Backup;
use crate::progress::Progress;
use crate::tools::adapter::{Step, empty_directory};

/// Runs the steps that the tool of `backup` has planned for the directory `path`.
/// Nothing is done to a directory that has anything in it; when a later step
/// fails, nothing is left of what was begun.
pub fn restore_by_tool(
    backup: &Backup,
    steps: Vec<Step>,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Duration, Error> {
    let begun = Instant::now();
    let mut ours = false;
    for step in steps {
        let done = match step {
            Step::RequireEmpty { path, owner } => empty_directory(&path, owner.as_ref()).map_err(Error::from),
            Step::Run { what, cmd } => run(&what, *cmd, progress),
            Step::Append { path, text } => append(&path, &text),
            _ => Err(Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: "its bytes are not at hand".to_owned(),
            }),
        };
        if let Err(error) = done {
            if ours {
                let _ = remove(path);
            }
            return Err(error);
        }
        ours = true;
    }
    Ok(begun.elapsed())
}
