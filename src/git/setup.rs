//! Configures plain git to show and fetch the ledger.
//!
//! By default git shows only notes in `refs/notes/commits`, and fetches only branches and tags. [`plan`]
//! is pure: it compares the configuration with the needed one. [`ConfigChange::apply`] changes it. Records of
//! other clones are fetched into tracking refs and never over the records of this clone. A refspec that
//! overwrites them is a [`UnsafeRefspec`], because a plain `git fetch` then destroys unpushed records.
//!
//! The values must be patterns for two reasons. A notes ref that does not exist yet makes every `git
//! log` warn if it is named in full. A ref that the remote does not have yet makes every `git fetch`
//! fail if it is named in full. A pattern may match nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::glob::wildmatch;

use super::config::{ConfigFile, ConfigWriter, Entry, Error as ConfigError, Runner, Scope, Snapshot};
use super::{Error, Repository};

/// The names of the refs of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct LedgerRefs<'a> {
    /// The prefix of the refs with records: `refs/backups/`.
    pub records: &'a str,
    /// The notes ref: `refs/notes/backups`.
    pub notes: &'a str,
    /// The prefix of the tracking refs, which have the records and notes of each remote.
    pub tracking: &'a str,
}

/// One change of the repository's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Adds a value.
    Add {
        /// The whole key.
        key: String,
        /// The value.
        value: String,
    },
    /// Removes a value.
    Remove {
        /// The whole key.
        key: String,
        /// The value.
        value: String,
    },
}

/// A refspec by which a fetch overwrites records or notes of this repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsafeRefspec {
    /// The remote.
    pub remote: String,
    /// The refspec.
    pub refspec: String,
    /// The scope in which it is set.
    pub scope: Scope,
}

/// The changes that configure git for the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupPlan {
    /// The changes of the configuration, in order.
    pub steps: Vec<ConfigChange>,
    /// The refspecs that only the user can correct.
    pub unsafe_refspecs: Vec<UnsafeRefspec>,
    /// The remotes whose names cannot be a part of a ref name.
    pub unusable: Vec<String>,
}

/// Compares `config` with the configuration that `names` need.
pub fn plan(config: &Snapshot, names: &LedgerRefs<'_>) -> SetupPlan {
    let mut plan = SetupPlan { unsafe_refspecs: unsafe_refspecs(config, names), ..SetupPlan::default() };
    for key in ["notes.displayRef", "notes.rewriteRef"] {
        if !lasting(config, key).any(|entry| shows(entry, names.notes)) {
            plan.steps.push(ConfigChange::Add { key: key.to_owned(), value: format!("{}*", names.notes) });
        }
    }
    for remote in remotes(config) {
        match usable(&remote, names) {
            Some(remote) => plan_remote(config, names, remote, &mut plan.steps),
            None => plan.unusable.push(String::from_utf8_lossy(&remote).into_owned()),
        }
    }
    plan
}

/// Adds the steps for the refspecs of `remote`. The refspec of the records comes first: if there are no
/// others, `git pull` merges the first one that is not a pattern.
fn plan_remote(config: &Snapshot, names: &LedgerRefs<'_>, remote: &str, steps: &mut Vec<ConfigChange>) {
    let (key, ours) = (format!("remote.{remote}.fetch"), format!("{}{remote}/", names.tracking));
    let wanted = [
        format!("+{}*:{ours}{}", names.records, "backups/*"),
        format!("+{}*:{ours}{}", names.notes, "notes*"),
    ];
    let present: Vec<(&Entry, &str)> =
        lasting(config, &key).filter_map(|entry| Some((entry, text(entry)?))).collect();
    for value in &wanted {
        let wanted = Refspec::parse(value);
        // The refspec is left over from an earlier name of the remote.
        let outdated = |has: &Refspec<'_>| {
            has.source == wanted.source
                && has.target.starts_with(names.tracking)
                && has.target != wanted.target
        };
        for (entry, text) in &present {
            if entry.scope == Scope::Local && outdated(&Refspec::parse(text)) {
                steps.push(ConfigChange::Remove { key: key.clone(), value: (*text).to_owned() });
            }
        }
        let same = |text: &str| {
            let has = Refspec::parse(text);
            !has.negative && has.source == wanted.source && has.target == wanted.target
        };
        if !present.iter().any(|(_, text)| same(text)) {
            steps.push(ConfigChange::Add { key: key.clone(), value: value.clone() });
        }
    }
}

/// Returns the refspecs that fetch over refs of the ledger. Even without a `+` they delete refs with
/// `--prune`.
pub fn unsafe_refspecs(config: &Snapshot, names: &LedgerRefs<'_>) -> Vec<UnsafeRefspec> {
    let fetch = config.section("remote").filter(|entry| entry.key.eq_ignore_ascii_case("fetch"));
    fetch
        .filter_map(|entry| Some((remote_of(entry)?, text(entry)?, entry.scope)))
        .filter(|(_, text, _)| Refspec::parse(text).writes_to(names))
        .map(|(remote, text, scope)| UnsafeRefspec { remote, refspec: text.to_owned(), scope })
        .collect()
}

impl ConfigChange {
    /// Makes the change with `git config`, run by `runner`. Fails if git fails.
    pub fn apply(&self, runner: &dyn Runner) -> Result<(), ConfigError> {
        let action = "--unset-all";
        match self {
            Self::Add { key, value } => ConfigWriter::new(runner, ConfigFile::Local).add(key, value.as_ref()),
            Self::Remove { key, value } => {
                let args = ["config", "--local", "--fixed-value", action, "--", key, value].map(OsStr::new);
                let finished = runner.git(&args).map_err(ConfigError::Start)?;
                if finished.status == Some(0) {
                    return Ok(());
                }
                let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
                Err(ConfigError::Git { action, key: key.clone(), status: finished.status, stderr })
            }
        }
    }
}

/// Returns the values of `key` that are stored in files and apply to every work tree.
fn lasting<'a>(config: &'a Snapshot, key: &str) -> impl Iterator<Item = &'a Entry> {
    let lasting = |entry: &&Entry| matches!(entry.scope, Scope::System | Scope::Global | Scope::Local);
    config.all(key).into_iter().filter(lasting)
}

fn text(entry: &Entry) -> Option<&str> {
    entry.value.as_deref().and_then(|value| std::str::from_utf8(value).ok())
}

fn remote_of(entry: &Entry) -> Option<String> {
    entry.subsection.as_deref().map(|name| String::from_utf8_lossy(name).into_owned())
}

/// Returns true if a value of `notes.displayRef` matches `notes`, by git's rules.
fn shows(entry: &Entry, notes: &str) -> bool {
    let Some(value) = text(entry) else { return false };
    let full = if value.starts_with("refs/") { value.to_owned() } else { format!("refs/{value}") };
    wildmatch(full.as_bytes().as_bstr(), notes.as_bytes().as_bstr(), wildmatch::Mode::empty())
}

/// Returns the remotes that have a URL.
fn remotes(config: &Snapshot) -> BTreeSet<Vec<u8>> {
    let urls = config.section("remote").filter(|entry| entry.key.eq_ignore_ascii_case("url"));
    urls.filter(|entry| entry.scope < Scope::Worktree).filter_map(|entry| entry.subsection.clone()).collect()
}

/// Returns the name of a remote, if it can be a part of a ref name.
fn usable<'a>(remote: &'a [u8], names: &LedgerRefs<'_>) -> Option<&'a str> {
    let remote = std::str::from_utf8(remote).ok()?;
    gix::refs::FullName::try_from(format!("{}{remote}/x", names.tracking)).ok().map(|_| remote)
}

/// A parsed refspec.
struct Refspec<'a> {
    negative: bool,
    source: &'a str,
    target: &'a str,
}

impl<'a> Refspec<'a> {
    fn parse(text: &'a str) -> Self {
        let (text, negative) = (text.trim_start_matches('+'), text.starts_with('^'));
        let (source, target) = text.split_once(':').unwrap_or((text, ""));
        Self { negative, source, target }
    }

    fn writes_to(&self, names: &LedgerRefs<'_>) -> bool {
        if self.negative {
            return false;
        }
        let Some((before, after)) = self.target.split_once('*') else {
            return self.target == names.notes || self.target.starts_with(names.records);
        };
        // The rest of the name of a record ref is a commit id.
        let records = before.starts_with(names.records)
            || names.records.starts_with(before) && after.bytes().all(|b| b.is_ascii_hexdigit());
        records || names.notes.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
    }
}

/// The directory of our own files inside the git directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDirectory {
    /// The path.
    pub path: PathBuf,
    /// The required permissions.
    pub mode: u32,
}

impl Repository {
    /// Returns the directory of our own files, if it is missing or its permissions are too wide. It is
    /// shared with a group if the repository is (`core.sharedRepository`).
    pub fn missing_own_directory(&self, config: &Snapshot) -> Option<OwnDirectory> {
        let mode = if is_shared(config.text("core.sharedRepository")) { 0o2770 } else { 0o700 };
        let path = self.common_dir().join("pggit");
        let good = |meta: &fs::Metadata| meta.is_dir() && meta.permissions().mode() & 0o077 & !mode == 0;
        (!fs::metadata(&path).is_ok_and(|meta| good(&meta))).then_some(OwnDirectory { path, mode })
    }
}

/// Creates an empty bare repository at `directory`, with the object format of `like`. An existing
/// repository is kept. Fails if git fails.
pub fn create_bare_repository(directory: &Path, like: &Repository) -> Result<(), Error> {
    let failed = |detail: String| Error::Program { command: "init".to_owned(), detail };
    let format = format!("--object-format={}", like.gix.object_hash());
    let git = super::program::git_without_repository_env()
        .args(["init", "--quiet", "--bare", &format, "--"])
        .arg(directory);
    let answer = git.run_any().map_err(|error| failed(error.to_string()))?;
    match answer.exit.status.is_success() {
        true => Ok(()),
        false => Err(failed(answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned())),
    }
}

impl OwnDirectory {
    /// Creates the directory, or corrects its permissions. Fails if the file system fails.
    pub fn create(&self) -> Result<(), Error> {
        let made = DirBuilder::new().recursive(true).mode(self.mode).create(&self.path);
        made.and_then(|()| fs::set_permissions(&self.path, Permissions::from_mode(self.mode)))
            .map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

fn is_shared(value: Option<&str>) -> bool {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("umask" | "false" | "no" | "off" | "0" | "") => false,
        Some(octal) if octal.starts_with('0') => {
            u32::from_str_radix(octal, 8).is_ok_and(|mode| mode & 0o077 != 0)
        }
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: LedgerRefs<'_> =
        LedgerRefs { records: "refs/backups/", notes: "refs/notes/backups", tracking: "refs/pggit/remotes/" };

    #[test]
    fn refspecs_that_overwrite_the_ledger_are_found() {
        let dangerous = |text: &str| Refspec::parse(text).writes_to(&NAMES);
        for text in [
            "+refs/*:refs/*",
            "refs/backups/*:refs/backups/*",
            "+refs/backups/a*:refs/backups/a*",
            "+refs/notes/*:refs/notes/*",
            "+refs/notes/b*s:refs/notes/b*s",
            "+refs/notes/backups:refs/notes/backups",
            "refs/notes/commits:refs/notes/backups",
            "refs/heads/x:refs/backups/1234567890abcdef1234567890abcdef12345678",
            "*:*",
        ] {
            assert!(dangerous(text), "{text}");
        }
        for text in [
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/backups/*:refs/pggit/remotes/origin/backups/*",
            "+refs/notes/backups*:refs/pggit/remotes/origin/notes*",
            "+refs/notes/*:refs/notes/origin/*",
            "+refs/notes/c*:refs/notes/c*",
            "+refs/*/main:refs/*/main",
            "^refs/backups/*",
            "refs/backups/*",
            "",
        ] {
            assert!(!dangerous(text), "{text}");
        }
    }

    #[test]
    fn values_of_display_ref_match_as_in_git() {
        let entry = |value: &str| Entry {
            section: "notes".into(),
            subsection: None,
            key: "displayRef".into(),
            value: Some(value.into()),
            scope: Scope::Local,
            origin: String::new(),
            trusted: true,
        };
        for value in [
            "refs/notes/*",
            "refs/notes/backups",
            "refs/notes/backups*",
            "notes/backups",
            "refs/*",
            "refs/notes/back[tu]ps",
        ] {
            assert!(shows(&entry(value), NAMES.notes), "{value}");
        }
        for value in ["refs/notes/commits", "backups", "refs/notes/b", "", "refs/notes/x*"] {
            assert!(!shows(&entry(value), NAMES.notes), "{value}");
        }
    }

    #[test]
    fn every_spelling_of_a_shared_repository_is_parsed() {
        for shared in ["group", "true", "all", "world", "1", "0660", "0640"] {
            assert!(is_shared(Some(shared)), "{shared}");
        }
        for own in [None, Some("umask"), Some("false"), Some("0600"), Some("0")] {
            assert!(!is_shared(own), "{own:?}");
        }
    }
}
