//! Determines which refs other people can change: by a push into this repository, or because this
//! repository fetches refs that they have pushed elsewhere.

use super::{Error, Repository};
use crate::process::Status;

/// The configuration keys that expose refs or hide them.
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

/// The settings that expose refs to changes by other people, or hide them.
pub struct RefExposure(Vec<Setting>);

impl RefExposure {
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
        let spared = |remote: &str, refspec: &str| {
            let mut others = refspecs.iter().filter(|(other, _)| other == remote);
            others.any(|(_, other)| other.strip_prefix('^').is_some_and(|not| spares(not, refspec, prefix)))
        };
        refspecs
            .iter()
            .find(|(remote, refspec)| writes_below(refspec, prefix) && !spared(remote, refspec))
            .cloned()
    }
}

impl Repository {
    /// Reads the settings that expose refs or hide them. Fails if git fails.
    pub fn ref_exposure(&self) -> Result<RefExposure, Error> {
        let output = self.git("config", ["--show-scope", "--null", "--get-regexp", KEYS], Vec::new())?;
        match output.exit.status {
            Status::Exited(0) => {}
            // There are no such settings.
            Status::Exited(1) => return Ok(RefExposure(Vec::new())),
            _ => return Err(refused(&output.exit.stderr)),
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let fields: Vec<&str> = text.split('\0').collect();
        let setting = |pair: &[&str]| {
            let (key, value) = pair.get(1)?.split_once('\n')?;
            let is_local = matches!(*pair.first()?, "local" | "worktree");
            Some(Setting { is_local, key: key.to_owned(), value: value.to_owned() })
        };
        Ok(RefExposure(fields.chunks_exact(2).filter_map(setting).collect()))
    }

    /// Makes `git receive-pack` refuse pushes to all refs below `prefix`. Fails if git fails.
    pub fn hide_from_pushes(&self, prefix: &str) -> Result<(), Error> {
        self.set_hidden("--add", prefix.trim_end_matches('/'))
    }

    /// Reverts [`Repository::hide_from_pushes`]. Fails if git fails.
    pub fn show_to_pushes(&self, prefix: &str) -> Result<(), Error> {
        self.set_hidden("--unset", &format!("^{}$", prefix.trim_end_matches('/')))
    }

    fn set_hidden(&self, action: &str, value: &str) -> Result<(), Error> {
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

/// Returns true if the negative refspec `^not` excludes all refs that a fetch of `refspec` would
/// write below `prefix`. git compares it with the names that the refs have on the remote.
fn spares(not: &str, refspec: &str, prefix: &str) -> bool {
    let Some((source, target)) = refspec.trim_start_matches('+').split_once(':') else { return false };
    let excludes = |name: &str| match not.split_once('*') {
        Some((before, after)) => after.is_empty() && name.starts_with(before),
        None => not == name,
    };
    match (source.split_once('*'), target.split_once('*')) {
        (Some((source, "")), Some((target, ""))) => {
            // The part of the prefix that matches the star.
            let rest = prefix.strip_prefix(target).unwrap_or_default();
            not.ends_with('*') && excludes(&format!("{source}{rest}"))
        }
        (None, None) => excludes(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{hides, spares, writes_below};

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

    #[test]
    fn a_negative_refspec_is_about_the_names_of_the_remote() {
        let spares = |not: &str, refspec: &str| spares(not, refspec, "refs/pggit/jobs/");
        for not in ["refs/pggit/*", "refs/pggit/jobs/*", "refs/*", "refs/pggit/j*"] {
            assert!(spares(not, "+refs/*:refs/*"), "{not}");
        }
        assert!(!spares("refs/pggit/jobs/a*", "+refs/*:refs/*") && !spares("refs/pggit", "+refs/*:refs/*"));
        // Other names of the remote are written below the prefix.
        assert!(!spares("refs/pggit/*", "+refs/evil/*:refs/pggit/jobs/*"));
        assert!(!spares("refs/pggit/*", "+refs/heads/*:refs/*"));
        assert!(spares("refs/evil/*", "+refs/evil/*:refs/pggit/jobs/*"));
        assert!(spares("refs/heads/pggit/*", "+refs/heads/*:refs/*"));
        assert!(spares("refs/heads/a", "refs/heads/a:refs/pggit/jobs/a"));
        assert!(!spares("refs/heads/b", "refs/heads/a:refs/pggit/jobs/a"));
    }
}
