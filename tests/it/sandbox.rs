//! An isolated environment for each test: a home, environment variables and a repository that are
//! independent of this machine, and outputs that can be compared as a whole.

#[path = "json_schema.rs"]
mod json_schema;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A temporary directory with a home and a git repository.
pub struct Sandbox {
    dir: tempfile::TempDir,
    environment: BTreeMap<OsString, OsString>,
}

/// The result of a finished command.
#[derive(Debug)]
pub struct Output {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    sandbox: PathBuf,
}

impl Sandbox {
    /// Makes a sandbox with an empty repository.
    pub fn new() -> Self {
        let sandbox = Self::without_repository();
        fs::create_dir(sandbox.repo()).expect("fresh directory");
        sandbox.git(["init", "-q", "-b", "main"]);
        sandbox
    }

    /// Makes a sandbox without a repository.
    pub fn without_repository() -> Self {
        let dir = tempfile::Builder::new().prefix("pggit-").tempdir().expect("temporary directory");
        let mut sandbox = Self { dir, environment: BTreeMap::new() };
        fs::create_dir(sandbox.home()).expect("fresh directory");
        let (home, ceiling) = (sandbox.home(), sandbox.path().to_owned());
        sandbox.set("HOME", home);
        sandbox.set("PATH", std::env::var_os("PATH").expect("tests have a PATH"));
        sandbox.set("GIT_CONFIG_NOSYSTEM", "1");
        sandbox.set("GIT_CEILING_DIRECTORIES", ceiling);
        // git prints another message if /tmp is a mount point.
        sandbox.set("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1");
        sandbox.set("TZ", "UTC");
        sandbox.set("LC_ALL", "C.UTF-8");
        let identity = "[user]\n\tname = Ada\n\temail = ada@example.com\n[commit]\n\tgpgsign = false\n";
        // Programs of another version than that of the system have to be configured.
        let programs = std::env::var("PGGIT_TEST_PGBIN").map(|dir| format!("[pggit]\n\tpgBinDir = {dir}\n"));
        let config = format!("{identity}{}", programs.unwrap_or_default());
        fs::write(sandbox.home().join(".gitconfig"), config).expect("home is writable");
        sandbox
    }

    /// Returns the directory of the sandbox.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the home of the user.
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Returns the directory of the repository.
    pub fn repo(&self) -> PathBuf {
        self.path().join("repo")
    }

    /// Sets an environment variable for all later programs.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    /// Returns a command in this sandbox, for the caller to run.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let dir = if self.repo().exists() { self.repo() } else { self.path().to_owned() };
        command.env_clear().envs(&self.environment).current_dir(dir).stdin(Stdio::null());
        command
    }

    /// Runs git in the repository, which must succeed. Returns its output without the last newline.
    pub fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        let output = self.output(self.command("git").args(args));
        assert_eq!(output.status, 0, "git failed: {}", output.snapshot());
        output.stdout_text().trim_end_matches('\n').to_owned()
    }

    /// Writes `file` and commits it. Returns the commit.
    pub fn commit(&self, file: &str, content: impl AsRef<[u8]>, message: &str) -> String {
        let path = self.repo().join(file);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("directory");
        fs::write(path, content).expect("repository is writable");
        self.git(["add", "--", file]);
        self.git(["commit", "-q", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Runs `git-pggit` in the repository.
    #[must_use = "an output that nobody looks at proves nothing"]
    pub fn pggit<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Output {
        self.output(self.pggit_command().args(args))
    }

    /// Returns a command of `git-pggit` in the repository, for the caller to run.
    pub fn pggit_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_git-pggit"))
    }

    /// Runs `command` until it exits.
    #[must_use = "an output that nobody looks at proves nothing"]
    pub fn output(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        if command.get_program() == env!("CARGO_BIN_EXE_git-pggit") {
            let violations = json_schema::violations(command.get_args(), &output.stdout, &output.stderr);
            assert!(
                violations.is_empty(),
                "the output of {command:?} differs from docs/json.md:\n{}",
                violations.join("\n")
            );
        }
        Output {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
            sandbox: self.path().to_owned(),
        }
    }
}

impl Output {
    /// Returns standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Returns standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.snapshot()))
    }

    /// Returns the last line of standard error as JSON.
    pub fn json_error(&self) -> serde_json::Value {
        let text = self.stderr_text();
        let line = text.lines().last().unwrap_or_else(|| panic!("nothing on stderr: {}", self.snapshot()));
        serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.snapshot()))
    }

    /// Fails unless the command succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.status, 0, "{}", self.snapshot());
        self
    }

    /// Fails unless the exit status of the command is `status`.
    #[track_caller]
    pub fn fails(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}", self.snapshot());
        self
    }

    /// Returns all output as one text. Values that change between runs are replaced by `[SANDBOX]`,
    /// `[ID1]`, `[COMMIT1]`, `[TIME]`, `[AGO]`.
    pub fn snapshot(&self) -> String {
        let mut text = self.stdout_text();
        if !self.stderr.is_empty() {
            text.push_str("[stderr]\n");
            text.push_str(&self.stderr_text());
        }
        text.push_str(&format!("[exit {}]\n", self.status));
        stable(&text.replace(&*self.sandbox.to_string_lossy(), "[SANDBOX]"))
    }
}

/// Replaces values that change between runs. Different values get different numbers.
pub fn stable(text: &str) -> String {
    let (mut stable, mut ids, mut commits) = (String::new(), vec![], vec![]);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at_word = !stable.ends_with(|c: char| c.is_ascii_alphanumeric());
        let word_len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
        let word = &rest[..word_len];
        if at_word && is_uuid(word) {
            stable.push_str(&numbered("ID", word, &mut ids));
            rest = &rest[word_len..];
        } else if at_word && is_commit(word) {
            stable.push_str(&numbered("COMMIT", word, &mut commits));
            rest = &rest[word_len..];
        } else if let Some(len) = at_word.then(|| time_len(rest)).flatten() {
            stable.push_str("[TIME]");
            rest = &rest[len..];
        } else if let Some(len) = at_word.then(|| ago_len(rest)).flatten() {
            stable.push_str("[AGO]");
            rest = &rest[len..];
        } else {
            stable.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    stable
}

fn numbered(kind: &str, word: &str, seen: &mut Vec<String>) -> String {
    // A short id is the id that begins with it.
    let at = seen.iter().position(|known| known.starts_with(word) || word.starts_with(known.as_str()));
    let at = at.unwrap_or_else(|| {
        seen.push(word.to_owned());
        seen.len() - 1
    });
    format!("[{kind}{}]", at + 1)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && word.split('-').all(is_hex)
}

/// Returns true for a whole object id, or one that is shortened to at least 7 digits and is not a number or
/// a word. In one of a hundred cases ten digits of an id are all decimal: tests for which this matters
/// compare with the commit itself.
fn is_commit(word: &str) -> bool {
    let mixed =
        word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_lowercase());
    is_hex(word) && (matches!(word.len(), 40 | 64) || ((7..40).contains(&word.len()) && mixed))
}

/// Returns the length of a time such as `2026-11-21T03:40:06.123456Z` at the start.
fn time_len(text: &str) -> Option<usize> {
    let date = text.get(..10)?;
    let shape = |text: &str, shape: &str| {
        text.bytes().zip(shape.bytes()).all(|(b, s)| if s == b'9' { b.is_ascii_digit() } else { b == s })
    };
    let clock = text.get(11..19)?;
    if !shape(date, "9999-99-99") || !matches!(text.as_bytes()[10], b'T' | b' ') || !shape(clock, "99:99:99")
    {
        return None;
    }
    let rest = &text[19..];
    let fraction = rest.strip_prefix('.').map_or(0, |f| 1 + f.bytes().take_while(u8::is_ascii_digit).count());
    let zone = &rest[fraction..];
    let zone = if zone.starts_with('Z') {
        1
    } else if zone.starts_with("+00:00") {
        6
    } else {
        0
    };
    Some(19 + fraction + zone)
}

/// Returns the length of words such as `3 seconds ago` at the start.
fn ago_len(text: &str) -> Option<usize> {
    let line = text.lines().next()?;
    let mut words = line.split(' ');
    let (count, unit, ago) = (words.next()?, words.next()?, words.next()?);
    let units = ["second", "minute", "hour", "day", "week", "month", "year"];
    let good = !count.is_empty()
        && count.bytes().all(|b| b.is_ascii_digit())
        && units.contains(&unit.trim_end_matches('s'))
        && ago.starts_with("ago");
    good.then(|| count.len() + unit.len() + "ago".len() + 2)
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    let text = "0193f1a2-0000-7000-8000-000000000001 of 1234567890abcdef1234567890abcdef12345678 (1234567)\n\
                0193f1a2-0000-7000-8000-000000000002 at 2026-11-21T03:40:06.123456Z, 3 seconds ago, 1 234 567 decade\n\
                0193f1a2-0000-7000-8000-000000000001 of 1234567890a";
    assert_eq!(
        stable(text),
        "[ID1] of [COMMIT1] (1234567)\n[ID2] at [TIME], [AGO], 1 234 567 decade\n[ID1] of [COMMIT1]"
    );
}
