//! Determines which refs others can change: by a push into this repository, or by a fetch of what
//! they have pushed elsewhere.

use super::{Error, Repository};
use crate::process::Status;

/// The configuration keys that decide this.
const KEYS: &str = r"^((receive|transfer)\.hiderefs|remote\..*\.fetch)$";
/// The setting that refuses pushes to refs.
const HIDE: &str = "receive.hideRefs";

/// A configuration setting.
struct Setting {
    /// True if the setting is in the configuration of this repository, and not in that of the user
    /// or the system.
    is_local: bool,
    key: String,
    value: String,
}

/// What the configuration says about this.
pub struct Reach(Vec<Setting>);

impl Reach {
    /// Returns true if the configuration of this repository makes `git receive-pack` refuse pushes
    /// to all refs below `prefix`, which ends with a slash. The user's other configuration is
    /// ignored, because a push may be received by another user.
    pub fn hides_from_pushes(&self, prefix: &str) -> bool {
        let hidden = self.0.iter().filter(|it| it.is_local && !it.key.starts_with("remote."));
        hides(hidden.map(|it| it.value.as_str()), prefix)
    }

    /// Returns a remote and a refspec of it, if fetching that refspec writes refs below `prefix`.
    pub fn fetches_into(&self, prefix: &str) -> Option<(String, String)> {
        let of = |it: &Setting| {
            Some((it.key.strip_prefix("remote.")?.strip_suffix(".fetch")?.to_owned(), it.value.clone()))
        };
        let refspecs: Vec<(String, String)> = self.0.iter().filter_map(of).collect();
        let spared = |remote: &str| {
            refspecs.iter().any(|(other, refspec)| {
                let source = refspec.strip_prefix('^').and_then(|source| source.strip_suffix('*'));
                other == remote && source.is_some_and(|source| prefix.starts_with(source))
            })
        };
        refspecs.iter().find(|(remote, refspec)| writes_below(refspec, prefix) && !spared(remote)).cloned()
    }
}

impl Repository {
    /// Reads from the configuration which refs others can change.
    pub fn reach(&self) -> Result<Reach, Error> {
        let output = self.git("config", ["--show-scope", "--null", "--get-regexp", KEYS], Vec::new())?;
        match output.exit.status {
            Status::Exited(0) => {}
            // There are no such settings.
            Status::Exited(1) => return Ok(Reach(Vec::new())),
            _ => return Err(refused(&output.exit.stderr)),
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let fields: Vec<&str> = text.split('\0').collect();
        let setting = |pair: &[&str]| {
            let (key, value) = pair.get(1)?.split_once('\n')?;
            let is_local = matches!(*pair.first()?, "local" | "worktree");
            Some(Setting { is_local, key: key.to_owned(), value: value.to_owned() })
        };
        Ok(Reach(fields.chunks_exact(2).filter_map(setting).collect()))
    }

    /// Makes `git receive-pack` refuse pushes to all refs below `prefix`.
    pub fn hide_from_pushes(&self, prefix: &str) -> Result<(), Error> {
        self.set_reach("--add", prefix.trim_end_matches('/'))
    }

    /// Reverts [`Repository::hide_from_pushes`].
    pub fn show_to_pushes(&self, prefix: &str) -> Result<(), Error> {
        self.set_reach("--unset", &format!("^{}$", prefix.trim_end_matches('/')))
    }

    fn set_reach(&self, action: &str, value: &str) -> Result<(), Error> {
        let output = self.git("config", ["--local", action, HIDE, value], Vec::new())?;
        match output.exit.status.is_success() {
            true => Ok(()),
            false => Err(refused(&output.exit.stderr)),
        }
    }
}

fn refused(stderr: &str) -> Error {
    let detail = stderr.trim().trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned();
    Error::Program { command: "config".to_owned(), detail }
}

/// Returns true if these values of `hideRefs` hide the refs below `prefix`. The last matching value
/// counts.
fn hides<'a>(values: impl DoubleEndedIterator<Item = &'a str>, prefix: &str) -> bool {
    for value in values.rev() {
        let (shows, pattern) = value.strip_prefix('!').map_or((false, value), |pattern| (true, pattern));
        let pattern = format!("{}/", pattern.trim_start_matches('^').trim_end_matches('/'));
        if prefix.starts_with(&pattern) {
            return !shows;
        }
        // A ref below the prefix is not hidden.
        if shows && pattern.starts_with(prefix) {
            return false;
        }
    }
    false
}

/// Returns true if a fetch of `refspec` writes refs below `prefix`.
fn writes_below(refspec: &str, prefix: &str) -> bool {
    let Some((_, target)) = refspec.split_once(':').filter(|_| !refspec.starts_with('^')) else {
        return false;
    };
    match target.split_once('*') {
        Some((before, _)) => prefix.starts_with(before) || before.starts_with(prefix),
        None => target.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::{hides, writes_below};

    #[test]
    fn the_last_value_that_matches_decides() {
        let hides = |values: &[&str]| hides(values.iter().copied(), "refs/pggit/jobs/");
        assert!(
            hides(&["refs/pggit"])
                && hides(&["refs/pggit/"])
                && hides(&["^refs/pggit/jobs"])
                && hides(&["refs"])
        );
        assert!(hides(&["!refs/pggit", "refs/pggit"]) && hides(&["refs/pggit", "refs/other", "!refs/heads"]));
        assert!(!hides(&[]) && !hides(&["refs/pggit", "!refs/pggit"]) && !hides(&["refs/pggit/jobs/a"]));
        assert!(!hides(&["refs/pggit", "!refs/pggit/jobs/a"]) && !hides(&["refs/pg"]));
    }

    #[test]
    fn refspecs_of_mirrors_write_everywhere() {
        let writes = |refspec: &str| writes_below(refspec, "refs/pggit/jobs/");
        assert!(
            writes("+refs/*:refs/*") && writes("refs/x/*:refs/pggit/jobs/*") && writes("a:refs/pggit/jobs/a")
        );
        assert!(!writes("+refs/backups/*:refs/pggit/remotes/origin/backups/*"));
        assert!(
            !writes("+refs/heads/*:refs/remotes/origin/*")
                && !writes("^refs/*")
                && !writes("refs/heads/main")
        );
    }
}
