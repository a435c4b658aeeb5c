//! Common properties of all commands: options, outputs and exit statuses.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use crate::sandbox::Sandbox;

#[test]
fn help_and_version_are_answers() {
    let sandbox = Sandbox::new();
    let version = sandbox.pggit(["--version"]);
    assert_eq!(version.snapshot(), format!("git-pggit {}\n[exit 0]\n", env!("CARGO_PKG_VERSION")));
    for args in [&["-h"][..], &["--help"], &["database", "-h"], &["database", "add", "--help"]] {
        let help = sandbox.pggit(args).success();
        assert!(help.stdout_text().contains("Usage: git pggit"), "{}", help.snapshot());
        assert!(help.stderr.is_empty());
    }
    let help = sandbox.pggit(["database", "add", "--help"]).stdout_text();
    assert!(help.contains("EXAMPLES"), "{help}");
}

#[test]
fn usage_errors_are_short_and_exit_129() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.pggit(["frobnicate"]).snapshot(),
        "[stderr]\nerror: unrecognized subcommand 'frobnicate'\nusage: git pggit [OPTIONS] <COMMAND>\n[exit 129]\n"
    );
    assert_eq!(
        sandbox.pggit(["configg"]).snapshot(),
        "[stderr]\nerror: unrecognized subcommand 'configg'\nhint: a similar subcommand exists: 'config'\n\
         usage: git pggit [OPTIONS] <COMMAND>\n[exit 129]\n"
    );
    let nothing = sandbox.pggit([""; 0]).fails(129);
    assert!(nothing.stdout.is_empty() && nothing.stderr_text().contains("Usage: git pggit"));
    let error = sandbox.pggit(["config", "--frob", "--json"]).fails(129).json_error();
    assert_eq!(error["error"]["code"], "usage");
    assert_eq!(error["error"]["exit"], 129);
    let text = sandbox.pggit(["config", "--", "--json"]).fails(129);
    assert!(text.stderr_text().starts_with("error: "), "{}", text.snapshot());
}

#[test]
fn hostile_arguments_neither_panic_nor_reach_the_terminal() {
    let sandbox = Sandbox::new();
    let mut arguments: Vec<Vec<u8>> =
        [&b"\xff\xfe"[..], b"--\xff", b"\x1b[2J", b"-", b"--", b"", b"\n", b"--json=\xff"]
            .iter()
            .map(|bytes| bytes.to_vec())
            .collect();
    arguments.push(vec![b'x'; 100_000]);
    for argument in arguments {
        for before in [&[][..], &["config"], &["database", "show"]] {
            let mut command = sandbox.pggit_command();
            command.args(before).arg(std::ffi::OsStr::from_bytes(&argument));
            let output = sandbox.output(&mut command);
            let text = output.stderr_text();
            assert!([0, 10, 19, 129].contains(&output.status), "{}", output.snapshot());
            assert!(!text.contains("internal error") && !text.contains("panicked"), "{text}");
            assert!(!text.contains('\x1b'), "{text:?}");
        }
    }
}

#[test]
fn directories_of_dash_c_add_up_as_in_git() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.repo().join("a/b")).unwrap();
    sandbox.git(["config", "pggit.compressionLevel", "7"]);
    let mut command = sandbox.pggit_command();
    command.current_dir(sandbox.path()).args(["-C", "repo", "-C", "", "-C", "a/b", "config"]);
    let output = sandbox.output(&mut command).success();
    assert!(output.snapshot().contains("[SANDBOX]/repo/.git/config (local)"), "{}", output.snapshot());
    assert_eq!(
        sandbox.pggit(["-C", "nowhere", "config"]).snapshot(),
        "[stderr]\nerror: cannot change to 'nowhere'\n  because: No such file or directory (os error 2)\n[exit 128]\n"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = sandbox
        .pggit_command()
        .args(["config", "--list-keys"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), child.wait().unwrap().code()), ("", Some(141)));
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = sandbox.pggit_command().arg("config").stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: cannot write to standard output: No space left"), "{said}");
}

#[test]
fn colours_can_be_forced_and_forbidden() {
    let mut sandbox = Sandbox::new();
    let colourful = |sandbox: &Sandbox, args: &[&str]| sandbox.pggit(args).stdout_text().contains("\x1b[");
    assert!(!colourful(&sandbox, &["config"]));
    assert!(colourful(&sandbox, &["config", "--color=always"]));
    sandbox.git(["config", "color.ui", "always"]);
    assert!(colourful(&sandbox, &["config"]));
    assert!(!colourful(&sandbox, &["config", "--color=never"]));
    sandbox.set("NO_COLOR", "1");
    assert!(colourful(&sandbox, &["config", "--color", "always"]));
}

#[test]
fn a_foreign_directory_of_git_is_a_clear_error() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GIT_DIR", sandbox.path().join("nowhere"));
    let output = sandbox.pggit(["database", "add", "main", "--url=service=x"]).fails(18);
    assert!(output.stderr_text().starts_with("error: not a git repository"), "{}", output.snapshot());
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path().join("man");
    sandbox.pggit(["man".as_ref(), "--dir".as_ref(), dir.as_os_str()]).success();
    let mut pages: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for page in ["git-pggit.1", "git-pggit-config.1", "git-pggit-database.1", "git-pggit-database-add.1"] {
        assert!(pages.iter().any(|p| p == page), "no {page} in {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("man.1")), "{pages:?}");
    let add = fs::read_to_string(dir.join("git-pggit-database-add.1")).unwrap();
    for text in [
        ".TH GIT-PGGIT-DATABASE-ADD 1",
        "Add a database to be backed up",
        "git pggit database add",
        "EXAMPLES",
    ] {
        assert!(add.contains(&text.replace('-', "\\-")) || add.contains(text), "no {text:?} in:\n{add}");
    }
    let output = sandbox.pggit(["man", "--dir", "/dev/null/x"]).fails(15);
    assert!(output.stderr_text().starts_with("error: cannot write '/dev/null/x'"), "{}", output.snapshot());
}

#[test]
fn shells_can_complete() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.pggit(["completions", shell]).success().stdout_text();
        assert!(script.contains("git-pggit") && script.contains("database"), "{shell}");
    }
    sandbox.pggit(["completions", "tcsh"]).fails(129);
}

#[test]
fn a_bare_repository_inside_of_a_clone_is_refused_as_git_refuses_it() {
    let sandbox = Sandbox::new();
    sandbox.commit("README.md", "words", "words");
    let bare = sandbox.repo().join("inside");
    sandbox.git(["init", "-q", "--bare", bare.to_str().unwrap()]);
    let list = |directory: &std::path::Path| {
        let mut command = sandbox.pggit_command();
        command.current_dir(directory).args(["backup", "list"]);
        sandbox.output(&mut command)
    };
    list(&bare).success();
    sandbox.git(["config", "--global", "safe.bareRepository", "explicit"]);
    let said = list(&bare).fails(18).stderr_text();
    assert!(said.contains("cannot use bare repository"), "{said}");
    list(&bare.join("objects")).fails(18);
    list(&sandbox.repo()).success();
    list(&sandbox.repo().join(".git")).success();
    // A repository that is named is meant.
    let mut command = sandbox.pggit_command();
    command.current_dir(&bare).env("GIT_DIR", &bare).args(["backup", "list"]);
    sandbox.output(&mut command).success();
}
