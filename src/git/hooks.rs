//! Installs our lines in the hooks of a repository, and removes them.
//!
//! Hooks belong to the user, who wrote them or installed them with another tool. In a shell script our
//! lines are enclosed by two markers, and all other bytes stay unchanged. Our lines come first,
//! because the rest of the hook may exit. A hook that reads standard input still gets it. A hook that
//! is no shell script, a symbolic link, or disabled by the user (not executable) is atomically renamed,
//! and our hook runs it under its new name.
//!
//! The new content of a hook is a pure function of its current content.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;

use super::config::Snapshot;
use super::{Error, Repository};

/// A git hook that runs after a branch was updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Runs after `git merge` and `git pull`.
    PostMerge,
    /// Runs after `git commit`, which also completes a merge with conflicts.
    PostCommit,
    /// Runs after `git rebase` and `git commit --amend`.
    PostRewrite,
    /// Runs after a push, in the repository that receives it.
    PostReceive,
}

/// The suffix of the name of a hook that was renamed to make room for ours.
const RENAMED_SUFFIX: &str = ".before-pggit";
const BEGIN: &str = "# >>> git pggit hooks";
const END: &str = "# <<< git pggit hooks <<<";
const SHEBANG: &str = "#!/bin/sh\n";
/// The shells that can run our lines.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

impl Hook {
    /// All hooks.
    pub const ALL: [Self; 4] = [Self::PostMerge, Self::PostCommit, Self::PostRewrite, Self::PostReceive];

    /// Returns the name of the hook in git.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostMerge => "post-merge",
            Self::PostCommit => "post-commit",
            Self::PostRewrite => "post-rewrite",
            Self::PostReceive => "post-receive",
        }
    }

    /// Returns the hook with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// Returns true if git passes the updates to the hook on standard input.
    pub fn reads_stdin(self) -> bool {
        matches!(self, Self::PostRewrite | Self::PostReceive)
    }

    /// Returns our lines, which call `program`.
    fn block(self, program: &Path) -> String {
        let template = match self.reads_stdin() {
            true => include_str!("../../hooks/block-stdin.sh"),
            false => include_str!("../../hooks/block.sh"),
        };
        // A path that cannot be written in a script is replaced by a search in PATH.
        let program = program.to_str().filter(|path| !path.contains('\n')).unwrap_or("git-pggit");
        template.replace("@PROGRAM@", &quoted(program)).replace("@HOOK@", self.name())
    }
}

/// Quotes a text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The state of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookState {
    /// There is no such hook.
    Missing,
    /// The hook does not have our lines.
    Foreign,
    /// The hook has our lines, but not as this program writes them.
    Outdated,
    /// The hook has our lines, but git does not run it: it is not executable.
    Disabled,
    /// The hook has our lines.
    Installed,
}

impl HookState {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Outdated => "outdated",
            Self::Disabled => "disabled",
            Self::Installed => "installed",
        }
    }
}

/// A change of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookEdit {
    /// Nothing had to change.
    Unchanged,
    /// The hook was created.
    Created,
    /// Our lines were added or updated.
    Updated,
    /// The hook of the user was renamed to this path, and our hook runs it.
    Renamed(PathBuf),
    /// Our lines were removed.
    LinesRemoved,
    /// The hook had only our lines and was removed.
    Removed,
    /// The hook of the user got its name back.
    Restored,
}

/// The directory in which git looks for hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// The absolute path.
    pub dir: PathBuf,
    /// True if it is configured by `core.hooksPath`.
    pub is_configured: bool,
}

/// The reason why a hook cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The file system failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The new name of the hook of the user is taken.
    #[error("{} exists already", .path.display())]
    NameTaken {
        /// The file.
        path: PathBuf,
    },
    /// A marker is missing.
    #[error("{}: one of the two markers of the lines of git pggit is missing", .path.display())]
    Markers {
        /// The hook.
        path: PathBuf,
    },
}

impl HookError {
    /// Returns true if the same call may succeed later. It never may without an action of the user.
    pub fn retry(&self) -> bool {
        false
    }
}

/// The current content of a hook.
enum CurrentHook {
    Missing,
    /// A shell script.
    Script {
        text: Vec<u8>,
        mode: u32,
    },
    /// Anything else.
    Other,
}

impl Repository {
    /// Returns the hook directory of this work tree. Fails if git fails.
    pub fn hooks(&self, config: &Snapshot) -> Result<Hooks, Error> {
        let Some(chosen) = config.text("core.hooksPath").filter(|path| !path.is_empty()) else {
            return Ok(Hooks { dir: self.common_dir().join("hooks"), is_configured: false });
        };
        // git expands a prefix `~/`, `~user/` or `%(prefix)/`.
        let answer = self.git("config", ["--type=path", "--get", "core.hooksPath"], Vec::new())?;
        let path = match answer.exit.status.is_success() {
            true => answer.stdout.trim_end_with(|c| c == '\n').to_str_lossy().into_owned(),
            false => chosen.to_owned(),
        };
        // Hooks run at the top of the work tree, or in a bare repository.
        let top = self.work_dir().map_or_else(|| self.git_dir(), Path::to_owned);
        Ok(Hooks { dir: std::path::absolute(top.join(&path)).unwrap_or(path.into()), is_configured: true })
    }
}

impl Hooks {
    /// Returns the path of `hook`.
    pub fn file(&self, hook: Hook) -> PathBuf {
        self.dir.join(hook.name())
    }

    fn renamed_path(&self, hook: Hook) -> PathBuf {
        let mut name = OsString::from(hook.name());
        name.push(RENAMED_SUFFIX);
        self.dir.join(name)
    }

    /// Returns the state of `hook`, which should call `program`. Fails if it cannot be read.
    pub fn state(&self, hook: Hook, program: &Path) -> Result<HookState, HookError> {
        Ok(match self.read(hook)? {
            CurrentHook::Missing => HookState::Missing,
            CurrentHook::Other => match fs::read(self.file(hook)) {
                Ok(text) if text.contains_str(BEGIN) => HookState::Disabled,
                _ => HookState::Foreign,
            },
            CurrentHook::Script { text, .. } if !text.contains_str(BEGIN) => HookState::Foreign,
            CurrentHook::Script { text, .. } => match text.contains_str(hook.block(program)) {
                true => HookState::Installed,
                false => HookState::Outdated,
            },
        })
    }

    /// Installs or updates our lines in `hook`. Fails if the hook cannot be read or written, has a broken
    /// pair of markers, or cannot be renamed because the new name is taken.
    pub fn install(&self, hook: Hook, program: &Path) -> Result<HookEdit, HookError> {
        let file = self.file(hook);
        fs::create_dir_all(&self.dir).map_err(|source| HookError::Io { path: self.dir.clone(), source })?;
        match self.read(hook)? {
            CurrentHook::Missing => {
                self.write(&file, &extended(b"", &hook.block(program)), 0o755)?;
                Ok(HookEdit::Created)
            }
            CurrentHook::Script { text, mode } => {
                let without =
                    without_block(&text).ok_or_else(|| HookError::Markers { path: file.clone() })?;
                let with = match text.contains_str(chain()) {
                    true => chained(hook, program),
                    false => extended(&without, &hook.block(program)),
                };
                if with == text {
                    return Ok(HookEdit::Unchanged);
                }
                self.write(&file, &with, mode)?;
                Ok(HookEdit::Updated)
            }
            CurrentHook::Other => {
                let renamed = self.renamed_path(hook);
                // The hook has both names until ours replaces it under the first one.
                if let Err(source) = fs::hard_link(&file, &renamed) {
                    return Err(match is_same(&file, &renamed) {
                        true => return self.write_chained(hook, program, renamed),
                        false if source.kind() == io::ErrorKind::AlreadyExists => {
                            HookError::NameTaken { path: renamed }
                        }
                        false => HookError::Io { path: renamed, source },
                    });
                }
                self.write_chained(hook, program, renamed)
            }
        }
    }

    fn write_chained(&self, hook: Hook, program: &Path, renamed: PathBuf) -> Result<HookEdit, HookError> {
        crate::process::crash_point("hook-put-aside");
        self.write(&self.file(hook), &chained(hook, program), 0o755)?;
        Ok(HookEdit::Renamed(renamed))
    }

    /// Removes our lines from `hook`. Fails if the hook cannot be read or written, or has a broken pair of
    /// markers.
    pub fn remove(&self, hook: Hook) -> Result<HookEdit, HookError> {
        let file = self.file(hook);
        let failed = |source| HookError::Io { path: file.clone(), source };
        let CurrentHook::Script { text, mode } = self.read(hook)? else { return Ok(HookEdit::Unchanged) };
        if !text.contains_str(BEGIN) {
            return Ok(HookEdit::Unchanged);
        }
        let without = without_block(&text).ok_or_else(|| HookError::Markers { path: file.clone() })?;
        let renamed = self.renamed_path(hook);
        let is_empty = without.trim().is_empty() || without == SHEBANG.as_bytes();
        if is_empty && fs::symlink_metadata(&renamed).is_ok() {
            fs::rename(&renamed, &file).map_err(failed)?;
            return Ok(HookEdit::Restored);
        }
        if is_empty {
            fs::remove_file(&file).map_err(failed)?;
            return Ok(HookEdit::Removed);
        }
        self.write(&file, &without, mode)?;
        Ok(HookEdit::LinesRemoved)
    }

    fn read(&self, hook: Hook) -> Result<CurrentHook, HookError> {
        let file = self.file(hook);
        let failed = |source| HookError::Io { path: file.clone(), source };
        let meta = match fs::symlink_metadata(&file) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(CurrentHook::Missing),
            Err(source) => return Err(failed(source)),
        };
        let mode = meta.permissions().mode() & 0o7777;
        if !meta.is_file() || mode & 0o111 == 0 {
            return Ok(CurrentHook::Other);
        }
        let text = fs::read(&file).map_err(failed)?;
        Ok(if is_script(&text) { CurrentHook::Script { text, mode } } else { CurrentHook::Other })
    }

    /// Replaces a file by an atomic rename.
    fn write(&self, file: &Path, text: &[u8], mode: u32) -> Result<(), HookError> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".pggit-{}.new", std::process::id()));
        let new = self.dir.join(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(&new)
            .and_then(|mut out| out.write_all(text).and_then(|()| out.sync_all()))
            .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(mode)))
            .and_then(|()| fs::rename(&new, file));
        written.map_err(|source| {
            let _ = fs::remove_file(&new);
            HookError::Io { path: file.to_owned(), source }
        })
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// Returns true for a shell script: its `#!` line names a shell, or it has no such line.
fn is_script(text: &[u8]) -> bool {
    if text.contains(&0) {
        return false;
    }
    let Some(line) = text.strip_prefix(b"#!") else { return true };
    let line = line.lines().next().unwrap_or_default().to_str_lossy();
    let mut words = line.split_ascii_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut program = words.next().unwrap_or_default();
    if program == "env" {
        program = words.find(|word| !word.starts_with('-')).unwrap_or_default();
    }
    // The system takes a carriage return as a part of the name of the program, which does not exist.
    SHELLS.contains(&program)
        && !text.lines_with_terminator().next().is_some_and(|line| line.contains(&b'\r'))
}

/// Returns a script with our lines after its `#!` line.
fn extended(text: &[u8], block: &str) -> Vec<u8> {
    if text.trim().is_empty() {
        return [SHEBANG.as_bytes(), block.as_bytes()].concat();
    }
    let head =
        if text.starts_with(b"#!") { text.find_byte(b'\n').map_or(text.len(), |at| at + 1) } else { 0 };
    let (head, rest) = text.split_at(head);
    let newline: &[u8] = if head.is_empty() || head.ends_with(b"\n") { b"" } else { b"\n" };
    [head, newline, block.as_bytes(), rest].concat()
}

/// Returns the lines that run the renamed hook of the user.
fn chain() -> String {
    include_str!("../../hooks/chain.sh").replace("@ASIDE@", RENAMED_SUFFIX)
}

/// Returns a hook with our lines, which then runs the renamed hook of the user.
fn chained(hook: Hook, program: &Path) -> Vec<u8> {
    [SHEBANG, &hook.block(program), &chain()].concat().into_bytes()
}

/// Returns a script without our lines; `None` if the markers are not pairs.
fn without_block(text: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut inside) = (Vec::with_capacity(text.len()), false);
    for line in text.lines_with_terminator() {
        match (line.starts_with_str(BEGIN), line.starts_with_str(END)) {
            (true, _) if inside => return None,
            (true, _) => inside = true,
            (_, true) if !inside => return None,
            (_, true) => inside = false,
            _ if inside => {}
            _ => kept.extend_from_slice(line),
        }
    }
    (!inside).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        let with = extended(text.as_bytes(), &Hook::PostMerge.block(Path::new("/opt/it's/git-pggit")));
        assert_eq!(without_block(&with).unwrap(), text.as_bytes(), "{text:?}");
        String::from_utf8(with).unwrap()
    }

    #[test]
    fn the_lines_of_the_user_stay_as_they_are() {
        let with = round("#!/bin/sh\necho hello\nexit 0\n");
        assert!(
            with.starts_with("#!/bin/sh\n# >>> git pggit") && with.ends_with("<<<\necho hello\nexit 0\n")
        );
        assert!(with.contains(r"'/opt/it'\''s/git-pggit'"), "{with}");
        round("#!/usr/bin/env bash\n\n\necho no newline at the end");
        round("echo no first line");
        round("#!/bin/sh\n\techo größe\r\n\u{1f418}");
        let twice =
            extended(&without_block(with.as_bytes()).unwrap(), &Hook::PostMerge.block(Path::new("/x")));
        assert_eq!(twice.lines().filter(|line| line.starts_with_str(BEGIN)).count(), 1);
        // A missing newline after the `#!` line is added.
        let with = extended(b"#!/bin/sh", &Hook::PostMerge.block(Path::new("/x")));
        assert!(with.starts_with(b"#!/bin/sh\n# >>>"));
    }

    #[test]
    fn only_shell_scripts_are_scripts() {
        for shell in [
            "#!/bin/sh\n",
            "#!/usr/bin/env bash\n",
            "#! /bin/bash -e\nx",
            "#!/usr/bin/env -S zsh -f\n",
            "echo\n",
            "",
            "#!/bin/sh",
        ] {
            assert!(is_script(shell.as_bytes()), "{shell:?}");
        }
        for other in [
            "#!/usr/bin/python3\n",
            "#!/usr/bin/env node\n",
            "\x7fELF\0\0",
            "#!/bin/sh\r\necho\r\n",
            "#!\n",
            "#!/usr/bin/fish\n",
            "#!/bin/bashful\n",
        ] {
            assert!(!is_script(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn unpaired_markers_are_an_error() {
        for text in
            [&format!("{BEGIN}\nx\n")[..], &format!("x\n{END}\n"), &format!("{BEGIN}\n{BEGIN}\n{END}\n")]
        {
            assert_eq!(without_block(text.as_bytes()), None, "{text:?}");
        }
    }
}
