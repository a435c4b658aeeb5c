//! Invalid, hostile or damaged input: it is refused with a clear error and changes nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use super::{IDS, completed, history, pggit_with, register, registered, world};
use crate::sandbox::Sandbox;

const REGISTER: [&str; 6] = ["backup", "register", "-d=shop", "--tool=zfs", "--size=1", "--quiet"];

/// Runs each of the argument lists, which must fail with this status and text and must not change a ref.
#[track_caller]
fn all_refused(sandbox: &Sandbox, cases: &[(&[&str], i32, &str)]) {
    let refs = sandbox.git(["for-each-ref"]);
    for (args, status, words) in cases {
        let output = sandbox.pggit([&["backup"], *args].concat());
        let text = output.snapshot();
        assert_eq!(output.status, *status, "{args:.200?}: {text}");
        assert!(text.contains(words), "{args:.200?}: {text}");
        assert!(output.stdout.is_empty() && text.len() < 2000, "{args:.200?}: {text}");
    }
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
}

#[test]
fn unknown_and_ambiguous_backups() {
    let sandbox = world();
    let long = "x".repeat(10_000);
    for command in [&["show"][..], &["cat"], &["complete", "--size=1"], &["fail", "--message=x"], &["log"]] {
        let with = |name: &'static str| [command, &[name]].concat();
        all_refused(
            &sandbox,
            &[
                (
                    &with("none"),
                    10,
                    "error: no backup matches `none`\nhint: 'git pggit backup list' shows all backups\n",
                ),
                (&with("01aa0009"), 10, "no backup matches"),
                (&with("01aa0001-0000-7000-8000-00000000000f"), 10, "no backup matches"),
                (&with("01A"), 10, "no backup matches"),
                (&with("../../etc/passwd"), 10, "no backup matches"),
                (&with("a\nb\x1b[2J"), 10, "error: no backup matches `a\nerror: b\\x1b[2J`\n"),
                (&with("\"'"), 10, "no backup matches"),
                (&with(""), 129, "invalid backup \"\": it is empty"),
                (&with("-rf"), 129, "unexpected argument '-r"),
                (&[command, &[long.as_str()]].concat(), 129, "it is neither an id nor a name"),
            ],
        );
    }
    let ambiguous = sandbox.pggit(["backup", "show", "01aa"]);
    assert_eq!(
        ambiguous.snapshot(),
        "[stderr]\nerror: `01aa` names 3 backups\nhint: use a longer prefix of the id; it matches\n\
         hint:   [ID1] base (shop, completed, [TIME])\nhint:   [ID2] hourly (shop, failed, [TIME])\n\
         hint:   [ID3] nightly (stats, in_progress, [TIME])\n[exit 11]\n"
    );
    registered(&sandbox, IDS[3], 9, "HEAD", json!({ "name": "base", "database": "stats" }));
    assert!(
        sandbox.pggit(["backup", "show", "base"]).fails(11).stderr_text().contains("`base` names 2 backups")
    );
    let one = sandbox.pggit(["backup", "show", "base", "--database=stats", "--json"]).success().json();
    assert_eq!(one["id"], IDS[3]);
}

#[test]
fn names_that_could_hurt() {
    let sandbox = history();
    let long = format!("--name={}", "x".repeat(10_000));
    let bad = [
        "--name=a\nb",
        "--name=",
        "--name=-rf",
        "--name=latest",
        "--name= a",
        "--name=\u{202e}x",
        long.as_str(),
    ];
    for name in bad {
        all_refused(&sandbox, &[(&[&REGISTER[1..], &[name]].concat(), 129, "error: invalid backup name \"")]);
    }
    for name in ["../../etc/passwd", "it's \"quoted\"", "日本 🐘", "$(reboot)"] {
        let args = [&REGISTER[..], &["--name", name]].concat();
        let id = sandbox.pggit(args).success().stdout_text().trim().to_owned();
        let json = sandbox.pggit(["backup", "show", name, "--json"]).success().json();
        assert_eq!((&json["id"], &json["name"]), (&json!(id), &json!(name)));
    }
    sandbox.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn arguments_that_are_not_utf_8() {
    let sandbox = history();
    let refs = sandbox.git(["for-each-ref"]);
    for (args, bytes) in [
        (&["backup", "show"][..], &b"\xff\xfe"[..]),
        (&REGISTER[..], b"--name=\xff"),
        (&["backup", "list"], b"--tag=\xff"),
        (&["backup", "for-each"], b"--format=\xff"),
    ] {
        let mut command = sandbox.pggit_command();
        let output = sandbox.output(command.args(args).arg(OsStr::from_bytes(bytes))).fails(129);
        assert!(output.stderr_text().contains("invalid UTF-8"), "{}", output.snapshot());
    }
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
    // The name of a file may be any bytes.
    let file = sandbox.repo().join(OsStr::from_bytes(b"\xff.json"));
    fs::write(&file, r#"{"a":1}"#).unwrap();
    let mut command = sandbox.pggit_command();
    sandbox.output(command.args(REGISTER).arg("--metadata").arg(&file)).success().stdout_text();
}

#[test]
fn revisions_branches_and_databases_that_do_not_exist() {
    let sandbox = history();
    let with = |more: &'static [&'static str]| [&REGISTER[1..], more].concat();
    all_refused(
        &sandbox,
        &[
            (&with(&["--commit=nope"]), 10, "error: unknown revision `nope`"),
            (&with(&["--commit=HEAD~99"]), 10, "unknown revision `HEAD~99`"),
            (&with(&["--commit=-x"]), 10, "unknown revision `-x`"),
            (&with(&["--commit=HEAD:0001.sql"]), 10, "unknown revision"),
            (&with(&["--branch=nope"]), 10, "error: unknown revision `nope`\n  because: no such branch"),
            (&with(&["--branch=../heads/main"]), 10, "no such branch"),
            (&with(&["--branch=main", "--commit=HEAD"]), 129, "cannot be used with"),
            (&["coverage", "--branch=nope"], 10, "no such branch"),
            (&["coverage", "--commits=main...HEAD"], 10, "a symmetric difference is not supported"),
            (&["coverage", "--commits=nope.."], 10, "unknown revision `nope`"),
            (&["list", "--commit=nope"], 10, "unknown revision `nope`"),
            (&["list", "--database=../x"], 129, "a database name"),
            (&["register", "--tool=zfs", "--size=1"], 19, "no database"),
            (&["register", "-d=a b", "--tool=zfs", "--size=1"], 129, "a database name consists of"),
        ],
    );
    let empty = Sandbox::new();
    for more in [&[][..], &["--branch=main"], &["--commit=HEAD"]] {
        let output = empty.pggit([&REGISTER[..], more].concat());
        assert_eq!(
            output.snapshot(),
            "[stderr]\nerror: branch `main` has no commits yet\n[exit 10]\n",
            "{more:?}"
        );
    }
    assert_eq!(empty.git(["for-each-ref"]), "");
    assert_eq!(
        empty.pggit(["backup", "coverage"]).snapshot(),
        "0 backups\n[stderr]\nhint: there are no branches yet\n[exit 0]\n"
    );
}

#[test]
fn options_that_make_no_sense() {
    let sandbox = history();
    let with = |more: &'static [&'static str]| [&REGISTER[1..], more].concat();
    all_refused(
        &sandbox,
        &[
            (
                &["register", "-d=shop", "--tool=zfs"],
                129,
                "the following required arguments were not provided: --size",
            ),
            (&["register", "-d=shop", "--size=1"], 129, "--tool"),
            (&["register", "-d=shop", "--tool=zfs", "--size=-1"], 129, "invalid value"),
            (&["register", "-d=shop", "--tool=zfs", "--size=1e9"], 129, "invalid value"),
            (&["register", "-d=shop", "--tool=", "--size=1"], 129, "invalid tool \"\": it is empty"),
            (&["register", "-d=shop", "--tool=x@", "--size=1"], 129, "invalid tool version"),
            (&with(&["--in-progress"]), 129, "cannot be used with"),
            (&["register", "-d=shop", "--tool=x", "--in-progress", "--digest=x"], 129, "cannot be used with"),
            (&with(&["--type=total"]), 129, "expected one of full, incremental, differential, snapshot"),
            (&with(&["--digest=md5:00"]), 129, "the algorithm is not one of"),
            (&with(&["--start-lsn=0"]), 129, "invalid LSN"),
            (&with(&["--system-identifier=abc"]), 129, "expected a number"),
            (&with(&["--started-at=tomorrow"]), 129, "'tomorrow' is not a time"),
            (&with(&["--started-at=1h", "--completed-at=2h"]), 129, "is before the start time"),
            (&with(&["--expires-at=soon"]), 129, "'soon' is not a time"),
            (&with(&["--label=a b"]), 129, "invalid tag \"a b\""),
            (&with(&["--location=/plain"]), 129, "expected a URI"),
            (
                &["list", "--status=done"],
                129,
                "expected one of in_progress, completed, failed, expired, deleted, interrupted",
            ),
            (&["list", "--sort=colour"], 129, "invalid value 'colour'"),
            (&["list", "--since=x"], 129, "'x' is not a time"),
            (&["fail", "latest"], 129, "--message"),
            (&["fail", "latest", "--message= "], 10, "no backup matches"),
            (&["fail", "--interrupted", "--message=x"], 129, "cannot be used with"),
            (&["fail", "--interrupted", "--force"], 129, "required"),
            (&["hold", "latest"], 129, "--reason"),
            (&["hold", "latest", "--reason="], 129, "invalid reason"),
            (&["annotate", "latest"], 129, "required"),
            (&["annotate", "latest", "x"], 129, "'x' is not of the form KEY=VALUE"),
            (&["append"], 129, "--stdin"),
        ],
    );
}

#[test]
fn metadata_that_is_none() {
    let sandbox = history();
    let id = register(&sandbox, &["--size=1", "--name=x"]);
    let refs = sandbox.git(["for-each-ref"]);
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(50 << 20));
    for (text, words) in [
        ("", "not valid JSON"),
        ("[1]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ("{\"a\":", "not valid JSON"),
        (deep(100).as_str(), "nested more than 32 levels deep"),
        (deep(100_000).as_str(), "recursion limit exceeded"),
        (huge.as_str(), "metadata from '-' is larger than 1.0 MiB"),
        ("{\"a\":\"\u{0}\"}", "not valid JSON"),
    ] {
        for args in [&REGISTER[..], &["backup", "annotate", "x"]] {
            let output = pggit_with(&sandbox, &[args, &["--metadata=-"]].concat(), text.as_bytes());
            let said = output.snapshot();
            assert!(
                output.status == 129 && said.contains(words) && said.len() < 500,
                "{text:.50}: {said:.1000}"
            );
        }
    }
    let file = sandbox.path().join("huge.json");
    fs::write(&file, &huge).unwrap();
    let output = sandbox.pggit([&REGISTER[..], &["--metadata", file.to_str().unwrap()]].concat());
    assert_eq!(
        output.snapshot(),
        "[stderr]\nerror: metadata from '[SANDBOX]/huge.json' is larger than 1.0 MiB\n[exit 129]\n"
    );
    let output = sandbox.pggit([&REGISTER[..], &["--metadata=nowhere.json"]].concat());
    assert_eq!(
        output.snapshot(),
        "[stderr]\nerror: cannot read metadata from 'nowhere.json'\n  because: No such file or directory (os error 2)\n[exit 128]\n"
    );
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
    assert_eq!(sandbox.pggit(["backup", "list", "--ids"]).success().stdout_text().trim(), id);
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    let sandbox = history();
    register(&sandbox, &["--in-progress", "--name=x"]);
    let refs = sandbox.git(["for-each-ref"]);
    let metadata = |text: &'static str| (vec!["backup", "annotate", "x", "--metadata=-"], text);
    for (args, input) in [
        metadata(r#"{"db":{"password":"hunter2"}}"#),
        metadata(r#"{"url":"postgres://ada:hunter2@db/shop"}"#),
        metadata(r#"{"list":["x postgres://ada:hunter2@db y"]}"#),
        (vec!["backup", "annotate", "x", "api_token=hunter2"], ""),
        (vec!["backup", "annotate", "x", "dsn=postgres://ada:hunter2@db"], ""),
        (vec!["backup", "complete", "x", "--size=1", "--location=s3://key:hunter2@host/x"], ""),
        (vec!["backup", "complete", "x", "--size=1", "--location=s3://key:hunter2@host/x y"], ""),
        (vec!["backup", "complete", "x", "--size=1", "--location=https://h/x?sig=hunter2"], ""),
        ([&REGISTER[..], &["--location=s3://key:hunter2@host/x"]].concat(), ""),
        ([&REGISTER[..], &["--metadata=-"]].concat(), r#"{"secret":"hunter2"}"#),
    ] {
        for args in [args.clone(), [&args[..], &["--json"]].concat()] {
            let output = pggit_with(&sandbox, &args, input.as_bytes()).fails(129);
            assert!(!output.snapshot().contains("hunter2"), "{args:?}: {}", output.snapshot());
        }
    }
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
}

/// Replaces a file in the latest ledger commit of HEAD.
fn damage(sandbox: &Sandbox, file: &str, content: &str) {
    let head = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.git(["switch", "-q", "--detach", &format!("refs/backups/{head}")]);
    let damaged = sandbox.commit(file, content, "damage");
    sandbox.git(["update-ref", &format!("refs/backups/{head}"), &damaged]);
    sandbox.git(["switch", "-q", "main"]);
}

#[test]
fn a_damaged_record_is_named_and_hides_no_other() {
    let sandbox = history();
    for id in &IDS[..2] {
        registered(&sandbox, id, 1, "HEAD", json!({ "name": &id[..8] }));
    }
    let file = format!(".pggit/{}.json", IDS[0]);
    let whole = sandbox.git(["show", &format!("refs/backups/{}:{file}", sandbox.git(["rev-parse", "HEAD"]))]);
    for (content, reason) in [
        ("{\"id\": \"half a rec".to_owned(), "not a record: "),
        (String::new(), "not a record: EOF"),
        ("[]".to_owned(), "not a record: it is not a JSON object"),
        (whole.replace(IDS[0], IDS[2]), "the file has the record of backup"),
        (whole.replace("\"registered\"", "\"exploded\""), "no event registers the backup"),
        (
            whole.replace("\"nightly\"", "7").replace("\"01aa0001\"", "\"a\\nb\""),
            "no event registers the backup",
        ),
    ] {
        damage(&sandbox, &file, &content);
        let list = sandbox.pggit(["backup", "list", "--ids"]).success();
        assert_eq!(list.stdout_text(), format!("{}\n", IDS[1]));
        let said = list.stderr_text();
        assert!(
            said.starts_with("warning: refs/backups/") && said.contains(reason) && said.lines().count() == 1,
            "{said}"
        );
        let show = sandbox.pggit(["backup", "show", IDS[0]]).fails(16);
        assert!(
            show.stderr_text().contains("is damaged: ")
                && show.stderr_text().contains("git log -p refs/backups/")
        );
        for args in [&["complete", IDS[0], "--size=1"][..], &["tag", "01aa0001", "x"], &["cat", IDS[0]]] {
            let output = sandbox.pggit([&["backup"], args].concat()).fails(16);
            assert!(output.stderr_text().contains("is damaged"), "{}", output.snapshot());
        }
        let damaged = sandbox.pggit(["backup", "coverage", "--json"]).success();
        assert_eq!(damaged.json()["totals"]["backups"], 1);
    }
    completed(&sandbox, IDS[1], 2);
}

#[test]
fn a_damaged_note_is_put_right() {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD", json!({}));
    sandbox.git([
        "notes",
        "--ref=backups",
        "add",
        "-f",
        "-m",
        &format!("Backup {}: nonsense\nBackup of the wiki", IDS[0]),
        "HEAD",
    ]);
    completed(&sandbox, IDS[0], 2);
    let note = sandbox.git(["notes", "--ref=backups", "show", "HEAD"]);
    assert_eq!(
        note,
        format!(
            "Backup {}: completed nightly (shop, full, pg_dump 15.18, 1.2 GiB, 2020-11-21 03:02 UTC)\n\nBackup of the wiki",
            IDS[0]
        )
    );
    // The note is not even text.
    let blob = pggit_blob(&sandbox, b"\xff\xfe\0");
    sandbox.git(["notes", "--ref=backups", "add", "-f", "-C", &blob, "HEAD"]);
    let _tagged = sandbox.pggit(["backup", "tag", "latest", "x"]).success();
    assert!(sandbox.git(["notes", "--ref=backups", "show", "HEAD"]).starts_with("Backup 01aa0001"));
}

fn pggit_blob(sandbox: &Sandbox, bytes: &[u8]) -> String {
    let file = sandbox.path().join("blob");
    fs::write(&file, bytes).expect("the sandbox is writable");
    sandbox.git(["hash-object".as_ref(), "-w".as_ref(), file.as_os_str()])
}

#[test]
fn no_identity_and_no_repository() {
    let mut sandbox = history();
    let outside = Sandbox::without_repository();
    let output = outside.pggit(["backup", "list"]).fails(18);
    assert!(output.stderr_text().starts_with("error: not a git repository"), "{}", output.snapshot());
    fs::write(sandbox.home().join(".gitconfig"), "").unwrap();
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
        sandbox.set(name, "");
    }
    all_refused(&sandbox, &[(&REGISTER[1..], 19, "git has no name or email address for the user")]);
}
