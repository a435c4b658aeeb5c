//! Our lines in the hooks of a repository.
//!
//! Hooks belong to the user, who may have written them or had another tool
//! write them. We are guests: in a hook for a shell our lines stand between two
//! marks, and everything else stays byte for byte. They stand at the beginning,
//! because what follows may end the hook; a hook that reads what git tells it
//! reads it as before. A hook that is no shell script, a link, or one that the
//! user has switched off (it is not executable) is put aside under another
//! name, in one step, and run from ours.
//!
//! What a hook looks like afterwards is a pure function of what it is now.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;

use super::config::Snapshot;
use super::{Error, Repository};

/// A hook that moves branches have gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// After `git merge` and `git pull`.
    PostMerge,
    /// After `git commit`: a merge with conflicts ends with one.
    PostCommit,
    /// After `git rebase` and `git commit --amend`.
    PostRewrite,
    /// After a push has arrived, on the side that takes it.
    PostReceive,
}

/// What stands between the name of a hook and that of the one put aside.
const ASIDE: &str = ".before-pggit";
const BEGIN: &str = "# >>> git pggit hooks";
const END: &str = "# <<< git pggit hooks <<<";
const SHEBANG: &str = "#!/bin/sh\n";
/// The programs that our lines can be read by.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

impl Hook {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PostMerge, Self::PostCommit, Self::PostRewrite, Self::PostReceive];

    /// The name that git knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostMerge => "post-merge",
            Self::PostCommit => "post-commit",
            Self::PostRewrite => "post-rewrite",
            Self::PostReceive => "post-receive",
        }
    }

    /// The hook called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.name() == name)
    }

    /// Whether git tells it what has happened on its standard input.
    pub fn reads(self) -> bool {
        matches!(self, Self::PostRewrite | Self::PostReceive)
    }

    /// Our lines, which call `program`.
    fn block(self, program: &Path) -> String {
        let template = match self.reads() {
            true => include_str!("../../hooks/block-stdin.sh"),
            false => include_str!("../../hooks/block.sh"),
        };
        // What cannot be written in a script is looked for in PATH.
        let program = program.to_str().filter(|path| !path.contains('\n')).unwrap_or("git-pggit");
        template.replace("@PROGRAM@", &quoted(program)).replace("@HOOK@", self.name())
    }
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How a hook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Missing,
    /// There is one without our lines.
    Foreign,
    /// Our lines are there, and are not those of this program.
    Outdated,
    /// Our lines are there, but git does not run the hook: it is not executable.
    Disabled,
    /// Our lines are there.
    Installed,
}

impl State {
    /// One stable word.
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

/// What was done with a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing had to be.
    Nothing,
    /// It was made.
    Made,
    /// Our lines were put in, or brought up to date.
    Extended,
    /// What was there was put aside under this name and is run from ours.
    PutAside(PathBuf),
    /// Our lines were taken out.
    TakenOut,
    /// It was only ours and was removed.
    Removed,
    /// The one that had been put aside is back.
    PutBack,
}

/// The directory that git looks for hooks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Where it is.
    pub dir: PathBuf,
    /// `core.hooksPath` has chosen it.
    pub is_chosen: bool,
}

/// Why a hook is left alone.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something is where it would be put aside.
    #[error("{} is in the way", .path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// One mark is there without the other.
    #[error("{}: the marks around the lines of git pggit are not a pair", .path.display())]
    Marks {
        /// The hook.
        path: PathBuf,
    },
}

impl HookError {
    /// Whether the same may succeed later without anybody's doing.
    pub fn retry(&self) -> bool {
        false
    }
}

/// A hook as it is.
enum Found {
    Nothing,
    /// A script that our lines can be in.
    Script {
        text: Vec<u8>,
        mode: u32,
    },
    /// Anything else.
    Other,
}

impl Repository {
    /// Where git looks for the hooks of this work tree.
    pub fn hooks(&self, config: &Snapshot) -> Result<Hooks, Error> {
        let Some(chosen) = config.text("core.hooksPath").filter(|path| !path.is_empty()) else {
            return Ok(Hooks { dir: self.common_dir().join("hooks"), is_chosen: false });
        };
        // Git expands what may stand in front: `~/`, `~user/`, `%(prefix)/`.
        let answer = self.git("config", ["--type=path", "--get", "core.hooksPath"], Vec::new())?;
        let path = match answer.exit.status.is_success() {
            true => answer.stdout.trim_end_with(|c| c == '\n').to_str_lossy().into_owned(),
            false => chosen.to_owned(),
        };
        // Hooks run at the top of the work tree, or in a bare repository.
        let top = self.work_dir().map_or_else(|| self.git_dir(), Path::to_owned);
        Ok(Hooks { dir: std::path::absolute(top.join(&path)).unwrap_or(path.into()), is_chosen: true })
    }
}

impl Hooks {
    /// The file of `hook`.
    pub fn file(&self, hook: Hook) -> PathBuf {
        self.dir.join(hook.name())
    }

    fn aside(&self, hook: Hook) -> PathBuf {
        let mut name = OsString::from(hook.name());
        name.push(ASIDE);
        self.dir.join(name)
    }

    /// How `hook` stands, for a program at `program`.
    pub fn state(&self, hook: Hook, program: &Path) -> Result<State, HookError> {
        Ok(match self.look(hook)? {
            Found::Nothing => State::Missing,
            Found::Other => match fs::read(self.file(hook)) {
                Ok(text) if text.contains_str(BEGIN) => State::Disabled,
                _ => State::Foreign,
            },
            Found::Script { text, .. } if !text.contains_str(BEGIN) => State::Foreign,
            Found::Script { text, .. } => match text.contains_str(hook.block(program)) {
                true => State::Installed,
                false => State::Outdated,
            },
        })
    }

    /// Puts our lines into `hook`.
    pub fn install(&self, hook: Hook, program: &Path) -> Result<Done, HookError> {
        let file = self.file(hook);
        fs::create_dir_all(&self.dir).map_err(|source| HookError::Io { path: self.dir.clone(), source })?;
        match self.look(hook)? {
            Found::Nothing => {
                self.write(&file, &extended(b"", &hook.block(program)), 0o755)?;
                Ok(Done::Made)
            }
            Found::Script { text, mode } => {
                let without = without_block(&text).ok_or_else(|| HookError::Marks { path: file.clone() })?;
                let with = match text.contains_str(chain()) {
                    true => chained(hook, program),
                    false => extended(&without, &hook.block(program)),
                };
                if with == text {
                    return Ok(Done::Nothing);
                }
                self.write(&file, &with, mode)?;
                Ok(Done::Extended)
            }
            Found::Other => {
                let aside = self.aside(hook);
                // Both names are there until ours takes the first one over.
                if let Err(source) = fs::hard_link(&file, &aside) {
                    return Err(match is_same(&file, &aside) {
                        true => return self.take_over(hook, program, aside),
                        false if source.kind() == io::ErrorKind::AlreadyExists => {
                            HookError::InTheWay { path: aside }
                        }
                        false => HookError::Io { path: aside, source },
                    });
                }
                self.take_over(hook, program, aside)
            }
        }
    }

    fn take_over(&self, hook: Hook, program: &Path, aside: PathBuf) -> Result<Done, HookError> {
        crate::process::crash_point("hook-put-aside");
        self.write(&self.file(hook), &chained(hook, program), 0o755)?;
        Ok(Done::PutAside(aside))
    }

    /// Takes our lines out of `hook`.
    pub fn remove(&self, hook: Hook) -> Result<Done, HookError> {
        let file = self.file(hook);
        let failed = |source| HookError::Io { path: file.clone(), source };
        let Found::Script { text, mode } = self.look(hook)? else { return Ok(Done::Nothing) };
        if !text.contains_str(BEGIN) {
            return Ok(Done::Nothing);
        }
        let without = without_block(&text).ok_or_else(|| HookError::Marks { path: file.clone() })?;
        let aside = self.aside(hook);
        let is_empty = without.trim().is_empty() || without == SHEBANG.as_bytes();
        if is_empty && fs::symlink_metadata(&aside).is_ok() {
            fs::rename(&aside, &file).map_err(failed)?;
            return Ok(Done::PutBack);
        }
        if is_empty {
            fs::remove_file(&file).map_err(failed)?;
            return Ok(Done::Removed);
        }
        self.write(&file, &without, mode)?;
        Ok(Done::TakenOut)
    }

    fn look(&self, hook: Hook) -> Result<Found, HookError> {
        let file = self.file(hook);
        let failed = |source| HookError::Io { path: file.clone(), source };
        let meta = match fs::symlink_metadata(&file) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(failed(source)),
        };
        let mode = meta.permissions().mode() & 0o7777;
        if !meta.is_file() || mode & 0o111 == 0 {
            return Ok(Found::Other);
        }
        let text = fs::read(&file).map_err(failed)?;
        Ok(if is_script(&text) { Found::Script { text, mode } } else { Found::Other })
    }

    /// Writes the whole file or leaves it as it is.
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

/// Whether a shell runs it: that is what its first line says, or it has none.
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
    // A carriage return is a part of the program's name, and there is no such program.
    SHELLS.contains(&program)
        && !text.lines_with_terminator().next().is_some_and(|line| line.contains(&b'\r'))
}

/// A script with our lines behind its first one.
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

/// The end of a hook that runs the one that was put aside.
fn chain() -> String {
    include_str!("../../hooks/chain.sh").replace("@ASIDE@", ASIDE)
}

/// A hook that is only ours, and then runs the one that was put aside.
fn chained(hook: Hook, program: &Path) -> Vec<u8> {
    [SHEBANG, &hook.block(program), &chain()].concat().into_bytes()
}

/// A script without our lines; `None` when the marks are not pairs.
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
        // Without its newline the first line is no line: it gets one.
        let with = extended(b"#!/bin/sh", &Hook::PostMerge.block(Path::new("/x")));
        assert!(with.starts_with(b"#!/bin/sh\n# >>>"));
    }

    #[test]
    fn shells_are_told_from_everything_else() {
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
    fn marks_that_are_no_pair_are_not_touched() {
        for text in
            [&format!("{BEGIN}\nx\n")[..], &format!("x\n{END}\n"), &format!("{BEGIN}\n{BEGIN}\n{END}\n")]
        {
            assert_eq!(without_block(text.as_bytes()), None, "{text:?}");
        }
    }
}
