//! git's configuration, read by git's rules and written by git itself.
//!
//! `gix` reads it and returns plain [`Entry`] values with their scope and file. The readers interpret
//! the values. `git config` writes it, so that locks, includes and quoting are those of git.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use gix::bstr::ByteSlice;
use gix::config::parse::{EventRef, Events};

use super::program;

mod parameters;

/// An error of git's configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or blob is not in git's configuration format.
    #[error("{origin}: not a valid git configuration: {reason}")]
    Parse {
        /// The file or blob.
        origin: String,
        /// The message of the parser.
        reason: String,
    },
    /// The values of `git -c` are malformed.
    #[error("bogus format in GIT_CONFIG_PARAMETERS")]
    Parameters,
    /// git's own files could not be read.
    #[error("cannot read git's configuration: {reason}")]
    Read {
        /// The message of the library.
        reason: String,
    },
    /// A value cannot be an argument of a program.
    #[error("the value of {key} contains a NUL character")]
    Nul {
        /// The key to set.
        key: String,
    },
    /// `git` could not be started.
    #[error("cannot run git")]
    Start(#[source] crate::process::Error),
    /// `git config` failed.
    #[error("git config {action} {key}: {}", .stderr.trim_end())]
    Git {
        /// The action, such as `--add`.
        action: &'static str,
        /// The key or section.
        key: String,
        /// The exit status; `None` if it was killed.
        status: Option<i32>,
        /// The standard error output.
        stderr: String,
    },
}

impl Error {
    /// Returns true if the same call may succeed a moment later, because another process holds git's lock
    /// on the file.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Git { stderr, .. } if stderr.contains("could not lock") && stderr.contains("File exists"))
    }
}

/// The origin of a value, in ascending precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A committed file, shared with all clones.
    Blob,
    /// The configuration files of the host.
    System,
    /// The configuration files of the user.
    Global,
    /// The configuration file of the repository.
    Local,
    /// The configuration file of one worktree.
    Worktree,
    /// `git -c` or `GIT_CONFIG_*` variables.
    Command,
}

impl Scope {
    /// Returns the name of the scope in `git config --show-scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::System => "system",
            Self::Global => "global",
            Self::Local => "local",
            Self::Worktree => "worktree",
            Self::Command => "command",
        }
    }
}

impl From<gix::config::Source> for Scope {
    fn from(source: gix::config::Source) -> Self {
        use gix::config::source::Kind;
        match source.kind() {
            Kind::GitInstallation | Kind::System => Self::System,
            Kind::Global => Self::Global,
            Kind::Repository if source == gix::config::Source::Worktree => Self::Worktree,
            Kind::Repository => Self::Local,
            Kind::Override => Self::Command,
        }
    }
}

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section in lower case, such as `pggit`.
    pub section: String,
    /// The subsection, with its case and bytes.
    pub subsection: Option<Vec<u8>>,
    /// The last part of the key, in the case of the file.
    pub key: String,
    /// The value; `None` for a key without `=`, which means true.
    pub value: Option<Vec<u8>>,
    /// The scope.
    pub scope: Scope,
    /// The path of the file, or the name of the blob or `command line`.
    pub origin: String,
    /// False if the file belongs to another user, or is committed.
    pub trusted: bool,
}

impl Entry {
    /// Returns the whole key as git prints it: `pggit.main.url`.
    pub fn name(&self) -> String {
        match &self.subsection {
            Some(sub) => format!("{}.{}.{}", self.section, String::from_utf8_lossy(sub), self.key),
            None => format!("{}.{}", self.section, self.key),
        }
    }

    fn is(&self, section: &str, subsection: Option<&[u8]>, key: &str) -> bool {
        self.section.eq_ignore_ascii_case(section)
            && self.subsection.as_deref() == subsection
            && self.key.eq_ignore_ascii_case(key)
    }
}

/// All values at one point in time, in ascending precedence.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    entries: Vec<Entry>,
}

impl Snapshot {
    /// Reads the effective configuration of `repository`. Fails if a file cannot be parsed.
    ///
    /// `parameters` is the variable `GIT_CONFIG_PARAMETERS`, in which `git -c key=value pggit ...` passes
    /// its values.
    pub fn of(repository: &gix::Repository, parameters: Option<&OsStr>) -> Result<Self, Error> {
        Self::new(repository.config_snapshot().plumbing(), parameters)
    }

    /// Reads the effective configuration outside of a repository. Fails if a file cannot be read or parsed.
    pub fn without_repository(parameters: Option<&OsStr>) -> Result<Self, Error> {
        let read = |e: gix::Error| Error::Read { reason: e.to_string() };
        let mut file = gix::config::File::from_globals().map_err(read)?;
        let overrides = gix::config::File::from_environment_overrides().map_err(read)?;
        file.append(overrides).map_err(read)?;
        Self::new(&file, parameters)
    }

    fn new(file: &gix::config::File, given: Option<&OsStr>) -> Result<Self, Error> {
        let mut entries = entries_of(file)?;
        if let Some(given) = given {
            entries.extend(parameters::parse(given.as_bytes()).ok_or(Error::Parameters)?);
        }
        Ok(Self { entries })
    }

    /// Returns all values of the section `section` and its subsections.
    pub fn section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.section.eq_ignore_ascii_case(section))
    }

    /// Returns all values of `key`, such as `remote.origin.fetch`.
    pub fn all(&self, key: &str) -> Vec<&Entry> {
        let Some((section, subsection, name)) = split_key(key) else { return Vec::new() };
        self.entries.iter().filter(|e| e.is(section, subsection.map(str::as_bytes), name)).collect()
    }

    /// Returns the effective value of `key`.
    pub fn last(&self, key: &str) -> Option<&Entry> {
        self.all(key).pop()
    }

    /// Returns the effective value of `key` as text; `None` if it is not UTF-8 or has no `=`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.last(key).and_then(|e| e.value.as_deref()).and_then(|v| std::str::from_utf8(v).ok())
    }
}

/// Parses `bytes`, the content of the blob `origin`. Includes are not followed: a clone must not choose
/// which files are read. Fails if the content is not in git's configuration format.
pub fn parse_blob(bytes: &[u8], origin: &str) -> Result<Vec<Entry>, Error> {
    let events = Events::from_bytes(bytes, None).map_err(|e| Error::Parse {
        origin: origin.to_owned(),
        reason: e.to_string().trim_end().to_owned(),
    })?;
    let source = EntrySource { scope: Scope::Blob, origin: origin.to_owned(), trusted: false };
    Ok(events
        .sections()
        .flat_map(|section| section_entries(section.header(), section.body(), &source))
        .collect())
}

struct EntrySource {
    scope: Scope,
    origin: String,
    trusted: bool,
}

fn entries_of(file: &gix::config::File) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for section in file.sections() {
        let meta = section.meta();
        let scope = Scope::from(meta.source);
        let source = EntrySource {
            scope,
            origin: meta.path.as_ref().map_or_else(|| "command line".to_owned(), |p| p.display().to_string()),
            trusted: meta.trust == gix::sec::Trust::Full,
        };
        let text = section.to_bstring();
        let events = Events::from_bytes(&text, None)
            .map_err(|e| Error::Parse { origin: source.origin.clone(), reason: e.to_string() })?;
        for section in events.sections() {
            entries.extend(section_entries(section.header(), section.body(), &source));
        }
    }
    Ok(entries)
}

/// Returns the entries of one section. The accessors of `gix` cannot be used: for a key without a value
/// they return the value of the next key.
fn section_entries<'a>(
    header: EventRef<'a>,
    body: impl Iterator<Item = EventRef<'a>>,
    source: &EntrySource,
) -> Vec<Entry> {
    let EventRef::SectionHeader { name, separator, subsection_name } = header else { return Vec::new() };
    // `[section.Sub]` is the old syntax for a subsection; git converts it to lower case.
    let legacy = separator.is_some_and(|s| s.as_bytes() == b".");
    let subsection = subsection_name.map(|s| if legacy { s.to_ascii_lowercase() } else { s.to_vec() });
    let section = name.to_str_lossy().to_ascii_lowercase();
    let mut entries: Vec<Entry> = Vec::new();
    let (mut partial, mut explicit) = (Vec::new(), false);
    for event in body {
        match event {
            EventRef::SectionValueName(key) => {
                explicit = false;
                partial.clear();
                entries.push(Entry {
                    section: section.clone(),
                    subsection: subsection.clone(),
                    key: key.to_str_lossy().into_owned(),
                    value: None,
                    scope: source.scope,
                    origin: source.origin.clone(),
                    trusted: source.trusted,
                });
            }
            EventRef::KeyValueSeparator => explicit = true,
            EventRef::ValueNotDone(part) => partial.extend_from_slice(part),
            EventRef::Value(part) | EventRef::ValueDone(part) if explicit => {
                partial.extend_from_slice(part);
                let value = gix::config::value::normalize(partial.as_bstr()).into_owned();
                if let Some(entry) = entries.last_mut() {
                    entry.value = Some(value.into());
                }
            }
            _ => {}
        }
    }
    entries
}

/// Splits `section.sub.section.key` as git does: at the first and the last dot.
fn split_key(key: &str) -> Option<(&str, Option<&str>, &str)> {
    let (section, rest) = key.split_once('.')?;
    Some(match rest.rsplit_once('.') {
        Some((subsection, name)) => (section, Some(subsection), name),
        None => (section, None, rest),
    })
}

/// The result of a run of git.
#[derive(Debug)]
pub struct GitExit {
    /// The exit status; `None` if git was killed by a signal.
    pub status: Option<i32>,
    /// The standard error output.
    pub stderr: Vec<u8>,
}

/// Runs `git`.
pub trait Runner {
    /// Runs `git <args>` in the directory of the runner, and waits for it. Fails if it cannot be started.
    fn git(&self, args: &[&OsStr]) -> Result<GitExit, crate::process::Error>;
}

/// The `git` program of this host, run in one directory.
#[derive(Debug)]
pub struct GitProgram {
    /// The working directory.
    pub dir: PathBuf,
}

impl Runner for GitProgram {
    fn git(&self, args: &[&OsStr]) -> Result<GitExit, crate::process::Error> {
        finish(program::git().args(args.iter().copied()).cwd(&self.dir))
    }
}

/// Runs git on this repository, which may be another one than git would find.
impl Runner for super::Repository {
    fn git(&self, args: &[&OsStr]) -> Result<GitExit, crate::process::Error> {
        finish(self.program().args(args.iter().copied()).cwd(self.git_dir()))
    }
}

fn finish(git: crate::process::Cmd) -> Result<GitExit, crate::process::Error> {
    let output = git.run_any()?;
    let status = match output.exit.status {
        crate::process::Status::Exited(code) => Some(code),
        crate::process::Status::Killed(_) => None,
    };
    Ok(GitExit { status, stderr: output.exit.stderr.into_bytes() })
}

/// The configuration file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigFile {
    /// The file of the repository.
    Local,
    /// The file of the user.
    Global,
}

impl ConfigFile {
    /// Returns the scope of the values in this file.
    pub fn scope(self) -> Scope {
        match self {
            Self::Local => Scope::Local,
            Self::Global => Scope::Global,
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Local => "--local",
            Self::Global => "--global",
        }
    }
}

/// The exit status of `git config` if there is nothing to unset.
const NOTHING_TO_UNSET: i32 = 5;

/// Writes values with `git config`.
pub struct ConfigWriter<'a> {
    runner: &'a dyn Runner,
    target: ConfigFile,
}

impl<'a> ConfigWriter<'a> {
    /// Returns a writer for `target` that runs git with `runner`.
    pub fn new(runner: &'a dyn Runner, target: ConfigFile) -> Self {
        Self { runner, target }
    }

    /// Adds a value to `key`. Fails if git fails.
    pub fn add(&self, key: &str, value: &OsStr) -> Result<(), Error> {
        self.write("--add", key, value)
    }

    /// Makes `value` the only value of `key`. Fails if git fails.
    pub fn set(&self, key: &str, value: &OsStr) -> Result<(), Error> {
        self.write("--replace-all", key, value)
    }

    /// Removes all values of `key`. Returns false if there are none. Fails if git fails.
    pub fn unset(&self, key: &str) -> Result<bool, Error> {
        let finished = self.run("--unset-all", key, None)?;
        match finished.status {
            Some(0) => Ok(true),
            Some(NOTHING_TO_UNSET) => Ok(false),
            _ => Err(refused("--unset-all", key, &finished)),
        }
    }

    /// Removes the section `name`. Returns false if there is none. Fails if git fails.
    pub fn remove_section(&self, name: &str) -> Result<bool, Error> {
        let finished = self.run("--remove-section", name, None)?;
        match finished.status {
            Some(0) => Ok(true),
            _ if finished.stderr.contains_str("no such section") => Ok(false),
            _ => Err(refused("--remove-section", name, &finished)),
        }
    }

    fn write(&self, action: &'static str, key: &str, value: &OsStr) -> Result<(), Error> {
        if value.as_bytes().contains(&0) {
            return Err(Error::Nul { key: key.to_owned() });
        }
        let finished = self.run(action, key, Some(value))?;
        if finished.status == Some(0) { Ok(()) } else { Err(refused(action, key, &finished)) }
    }

    fn run(&self, action: &'static str, key: &str, value: Option<&OsStr>) -> Result<GitExit, Error> {
        // `--`, because a value may start with `-`.
        let words = ["config", self.target.option(), action, "--", key].map(OsString::from);
        let args: Vec<&OsStr> = words.iter().map(OsString::as_os_str).chain(value).collect();
        self.runner.git(&args).map_err(Error::Start)
    }
}

fn refused(action: &'static str, key: &str, finished: &GitExit) -> Error {
    Error::Git {
        action,
        key: key.to_owned(),
        status: finished.status,
        stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
    }
}
