//! Complete outputs of the program: help, messages, and the results of commands on the ledger, each with
//! its exit status. After a change of a text, rewrite the snapshots and check the difference:
//!
//! ```text
//! INSTA_UPDATE=always cargo test --test it -- snapshots::
//! git diff tests/it/snapshots
//! ```

mod commands;
mod errors;
mod help;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::sandbox::{Output, Sandbox, stable};

/// Compares with `snapshots/<group>/<name>.snap`.
#[track_caller]
pub(crate) fn assert_shown(group: &str, name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{}/tests/it/snapshots/{group}", env!("CARGO_MANIFEST_DIR")));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// Commands and their output, one after the other, as in a terminal.
pub(crate) struct Transcript<'a> {
    sandbox: &'a Sandbox,
    text: String,
}

impl<'a> Transcript<'a> {
    pub(crate) fn of(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, text: String::new() }
    }

    /// Runs `git pggit` with this command line, which is quoted as in a shell.
    pub(crate) fn run(&mut self, line: &str) -> Output {
        let words = shlex::split(line).expect("quotes are closed");
        let output = self.sandbox.pggit(words);
        self.add(&format!("git pggit {line}"), &output);
        output
    }

    pub(crate) fn all(mut self, lines: &[&str]) -> Self {
        for line in lines {
            let _ = self.run(line);
        }
        self
    }

    pub(crate) fn add(&mut self, command: &str, output: &Output) {
        let separator = if self.text.is_empty() { "" } else { "\n" };
        self.text.push_str(&format!("{separator}$ {command}\n{}", output.stdout_text()));
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        if !output.stderr.is_empty() {
            self.text.push_str(&format!("[stderr]\n{}", output.stderr_text()));
        }
        self.text.push_str(&format!("[exit {}]\n", output.status));
    }

    /// Returns the text without values that change between runs or machines.
    pub(crate) fn shown(&self) -> String {
        let path = self.sandbox.path().to_string_lossy();
        let text = self.text.replace(env!("CARGO_BIN_EXE_git-pggit"), "[PROGRAM]");
        let text = text.replace(&*path, "[SANDBOX]");
        let text: String = text.lines().map(|line| without_short_ids(line) + "\n").collect();
        let shown =
            |line: &str| without_columns(&without_bytes(&without_present(&without_machine(line)))) + "\n";
        stable(&text).lines().map(shown).collect()
    }

    #[track_caller]
    pub(crate) fn assert_shown(&self, group: &str, name: &str) {
        assert_shown(group, name, &self.shown());
    }
}

/// Writes a program.
pub(crate) fn program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Puts a directory of programs first in PATH. Its git runs `script`, and then the real git.
pub(crate) fn with_git(sandbox: &mut Sandbox, script: &str) -> PathBuf {
    let git = sandbox.output(sandbox.command("sh").args(["-c", "command -v git"])).stdout_text();
    let bin = sandbox.path().join("bin");
    fs::create_dir(&bin).unwrap();
    program(&bin.join("git"), &format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", git.trim()));
    sandbox.set("PATH", std::env::join_paths([&bin, Path::new("/usr/bin"), Path::new("/bin")]).unwrap());
    bin
}

/// Replaces the name of this machine and the versions of this program and of git.
fn without_machine(line: &str) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("procfs is mounted");
    let ends = [' ', '"', ':', ',', '\n'];
    let words = line.split_inclusive(ends).map(|word| {
        let bare = word.trim_end_matches(ends);
        if bare == host.trim() { word.replacen(bare, "[HOST]", 1) } else { word.to_owned() }
    });
    let text: String = words.collect();
    text.replace(concat!("git-pggit ", env!("CARGO_PKG_VERSION")), "git-pggit [VERSION]")
}

/// Replaces short ids: their length depends on the other ids.
fn without_short_ids(line: &str) -> String {
    let is_short_id = |word: &str| {
        let hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f' | '-');
        let head = word.split('-').next().unwrap_or_default();
        word.len() < 36 && head.len() == 8 && head.starts_with("01") && word.chars().all(hex)
    };
    let words = line.split_inclusive(' ').map(|word| {
        let bare = word.trim_end();
        if is_short_id(bare) { word.replacen(bare, "[ID]", 1) } else { word.to_owned() }
    });
    words.collect()
}

/// Replaces values of schedules and ages of jobs that depend on the current time.
fn without_present(line: &str) -> String {
    let mut shown = line.to_owned();
    for before in ["has been waiting for ", "\"oldest_due_s\": "] {
        if let Some(at) = shown.find(before) {
            shown.replace_range(at + before.len().., "[DURATION]");
        }
    }
    // `2026-11-21 03:40 UTC`
    let is_minute = |text: &str| {
        let shape = text.bytes().map(|byte| if byte.is_ascii_digit() { b'9' } else { byte });
        shape.eq(*b"9999-99-99 99:99 UTC")
    };
    for at in (0..shown.len()).rev() {
        if shown.get(at..at + 20).is_some_and(is_minute) {
            shown.replace_range(at..at + 20, "[TIME]");
        }
    }
    shown
}

/// Replaces exact sizes in the store, because ids are compressed too, and the directories of packs.
fn without_bytes(line: &str) -> String {
    let words: Vec<&str> = line.split_inclusive(' ').collect();
    let is_number =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let shown = words.iter().enumerate().map(|(at, word)| {
        let bare = word.trim_matches([' ', '(', ')', ',']);
        let before = at.checked_sub(1).map(|at| words[at].trim()).unwrap_or_default();
        let after = words.get(at + 1).map(|word| word.trim_matches([' ', ')', ',', ';'])).unwrap_or_default();
        let is_ratio = bare.strip_suffix('x').is_some_and(is_number) || before == "\"ratio\":";
        // Large numbers are those that the test has set.
        let is_bytes = (after == "B" || before == "\"stored_bytes\":") && bare.len() < 5;
        if is_ratio || (is_bytes && is_number(bare)) {
            word.replacen(bare.trim_end_matches('x'), "[N]", 1)
        } else {
            (*word).to_owned()
        }
    });
    let shown: String = shown.collect();
    match shown.split_once("/packs/") {
        Some((before, pack)) => format!("{before}/packs/[N]{}", pack.trim_start_matches(|c| c != '/')),
        None => shown,
    }
}

/// Reduces wide columns to two spaces: their width depends on the replaced values.
fn without_columns(line: &str) -> String {
    let indented = line.len() - line.trim_start().len();
    let (indent, rest) = line.split_at(indented);
    let (mut shown, mut spaces) = (indent.to_owned(), 0);
    for c in rest.chars() {
        spaces = if c == ' ' { spaces + 1 } else { 0 };
        if spaces <= 2 {
            shown.push(c);
        }
    }
    shown.trim_end().to_owned()
}

#[test]
fn what_belongs_to_this_machine_is_replaced() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(without_machine(&format!("by Ada on {}: x", host.trim())), "by Ada on [HOST]: x");
    let version = format!("git-pggit {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(without_machine(&version), "git-pggit [VERSION]");
    assert_eq!(without_columns("  AGE            SIZE  A B   "), "  AGE  SIZE  A B");
    assert_eq!(
        without_short_ids("01a225b9-d4  shop 01a225b9 0123 01234567-8-z"),
        "[ID]  shop [ID] 0123 01234567-8-z"
    );
    assert_eq!(without_present("of 2028-02-29 00:00 UTC, 0 2 * UTC"), "of [TIME], 0 2 * UTC");
    assert_eq!(without_bytes("(585 B) in 1.3 KiB  2.6x"), "([N] B) in 1.3 KiB  [N]x");
    let json = "  \"stored_bytes\": 944,";
    assert_eq!(
        (&*without_bytes(json), &*without_bytes("\"size\": 944")),
        ("  \"stored_bytes\": [N],", "\"size\": 944")
    );
    assert_eq!(without_bytes("x/packs/0d/abc: damaged"), "x/packs/[N]/abc: damaged");
    assert_eq!(without_present("it has been waiting for 1 s"), "it has been waiting for [DURATION]");
}
