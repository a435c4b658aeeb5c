//! Export and import of the ledger.

use std::fs;

use crate::fsck::Shop;
use crate::sandbox::Output;

/// A ledger with two schema commits, three backups and a recorded schema, and a clone of the schema history
/// without a ledger.
struct Move {
    shop: Shop,
    export: String,
}

impl Move {
    fn new() -> Self {
        let shop = Shop::new();
        let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "keep=yes"]).success();
        let _ = shop.sandbox.pggit(["backup", "hold", &shop.id, "--reason", "audit \u{e9} \"x\""]).success();
        shop.backup("second");
        shop.write(&format!(".pggit/{}.sql", shop.id), Some("create table \"\u{e9}\" ();\n"));
        shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
        shop.backup("third");
        let export = shop.sandbox.pggit(["ledger", "export"]).success().stdout_text();
        let other = shop.sandbox.path().join("other");
        shop.sandbox.git(["clone", "-q", ".", other.to_str().unwrap()]);
        Self { shop, export }
    }

    fn file(&self, content: &str) -> String {
        let path = self.shop.sandbox.path().join("export.jsonl");
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs `git pggit` in the other repository.
    fn there(&self, args: &[&str]) -> Output {
        let mut command = self.shop.sandbox.pggit_command();
        command.current_dir(self.shop.sandbox.path().join("other")).args(args);
        self.shop.sandbox.output(&mut command)
    }

    fn git_there(&self, args: &[&str]) -> String {
        let other = self.shop.sandbox.path().join("other");
        self.shop.sandbox.git([&["-C", other.to_str().unwrap()], args].concat())
    }
}

const TREES: [&str; 3] = ["for-each-ref", "--format=%(refname) %(tree)", "refs/backups/"];

#[test]
fn what_is_imported_is_what_was_exported() {
    let moved = Move::new();
    let lines: Vec<&str> = moved.export.lines().collect();
    assert_eq!(lines[0], r#"{"backups":3,"format":1,"kind":"pggit-ledger"}"#);
    assert_eq!(moved.export.matches("\"sql\":").count(), 1);
    let file = moved.file(&moved.export);
    let would = moved.there(&["ledger", "import", &file, "--dry-run", "--json"]).success().json();
    assert_eq!((would["new"].as_array().unwrap().len(), &would["events"]), (3, &8.into()), "{would:#}");
    assert_eq!(moved.git_there(&["for-each-ref", "refs/backups", "refs/notes"]), "");
    let output = moved.there(&["ledger", "import", &file]).success();
    assert!(
        output.stderr_text().starts_with("imported 3 new and 0 changed backups"),
        "{}",
        output.snapshot()
    );
    assert_eq!(moved.there(&["ledger", "export"]).success().stdout_text(), moved.export);
    assert_eq!(moved.git_there(&TREES), moved.shop.sandbox.git(TREES));
    let _ = moved.there(&["fsck"]).success();
    // A second import changes nothing, also from a pipe.
    let refs = moved.git_there(&["for-each-ref"]);
    let _ = moved.there(&["ledger", "import", &file]).success();
    let mut command = moved.shop.sandbox.pggit_command();
    let other = moved.shop.sandbox.path().join("other");
    command.args(["ledger", "import"]).current_dir(&other).stdin(fs::File::open(&file).unwrap());
    let output = moved.shop.sandbox.output(&mut command).success();
    assert!(output.stderr_text().contains("3 were known"), "{}", output.snapshot());
    assert_eq!(moved.git_there(&["for-each-ref"]), refs);
    // The temporary copy of the pipe's input was removed.
    let own = other.join(".git/pggit");
    let left = fs::read_dir(own).into_iter().flatten().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("import-")));
}

#[test]
fn an_export_to_a_file_is_whole_or_not_there() {
    let moved = Move::new();
    let path = moved.shop.sandbox.path().join("out.jsonl");
    let _ = moved.shop.sandbox.pggit(["ledger", "export", "-o", path.to_str().unwrap()]).success();
    assert_eq!(fs::read_to_string(&path).unwrap(), moved.export);
    moved.shop.write(".pggit/01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5.json", Some("broken"));
    fs::remove_file(&path).unwrap();
    let output = moved.shop.sandbox.pggit(["ledger", "export", "-o", path.to_str().unwrap()]).fails(16);
    assert!(output.stderr_text().contains("01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5"), "{}", output.snapshot());
    assert!(!path.exists() && !path.with_extension("jsonl.partial").exists());
}

#[test]
fn ledgers_that_went_apart_are_merged() {
    let moved = Move::new();
    let file = moved.file(&moved.export);
    let _ = moved.there(&["ledger", "import", &file]).success();
    let _ = moved.there(&["backup", "tag", &moved.shop.id, "there"]).success();
    let _ = moved.shop.sandbox.pggit(["backup", "tag", &moved.shop.id, "here"]).success();
    let export = moved.shop.sandbox.pggit(["ledger", "export"]).success().stdout_text();
    let answer = moved.there(&["ledger", "import", &moved.file(&export), "--json"]).success().json();
    assert_eq!((answer["changed"].as_array().unwrap().len(), &answer["events"]), (1, &1.into()));
    let export = moved.there(&["ledger", "export"]).success().stdout_text();
    let _ = moved.shop.sandbox.pggit(["ledger", "import", &moved.file(&export)]).success();
    assert_eq!(moved.git_there(&TREES), moved.shop.sandbox.git(TREES));
    let _ = moved.there(&["fsck"]).success();
    let _ = moved.shop.sandbox.pggit(["fsck"]).success();
}

#[test]
fn nothing_is_written_unless_every_line_is_good() {
    let moved = Move::new();
    let lines: Vec<&str> = moved.export.lines().collect();
    let last = lines.len() - 1;
    let cut = lines[..last - 1].join("\n");
    let broken = [&lines[..last], &["{\"half\":"]].concat().join("\n");
    let unregistered = [&lines[..1], &lines[2..]].concat().join("\n");
    let other_commit = moved.export.replace(&moved.shop.commit, &"0".repeat(40));
    for (text, words, status) in [
        ("", "line 1: this is not an export", 129),
        ("{}\n", "line 1: ", 129),
        (cut.as_str(), "it is incomplete", 129),
        (broken.as_str(), "not valid JSON", 129),
        (unregistered.as_str(), "line 2: no event registers backup", 129),
        (other_commit.as_str(), "1 schema commits are not in this repository", 10),
    ] {
        let output = moved.there(&["ledger", "import", &moved.file(text)]).fails(status);
        assert!(output.stderr_text().contains(words), "{words}: {}", output.snapshot());
        assert_eq!(moved.git_there(&["for-each-ref", "refs/backups", "refs/notes"]), "");
    }
    let output = moved.there(&["ledger", "import", &moved.file(&other_commit), "--skip-missing"]).success();
    assert!(output.stderr_text().contains("skipped 2 backups"), "{}", output.snapshot());
    assert_eq!(moved.git_there(&["for-each-ref", "refs/backups"]).lines().count(), 1);
    let _ = moved.there(&["ledger", "import", "/nowhere/x"]).fails(128);
    // An event that differs from the existing one.
    let forged = moved.export.replace("\"size_bytes\":1000", "\"size_bytes\":1001");
    let output = moved.shop.sandbox.pggit(["ledger", "import", &moved.file(&forged)]).fails(129);
    assert!(output.stderr_text().contains("differs from the event here"), "{}", output.snapshot());
}

#[test]
fn many_records_need_few_commits_of_the_notes() {
    let moved = Move::new();
    // 500 backups of one commit, derived from the lines of one.
    let lines: Vec<&str> = moved.export.lines().filter(|line| line.contains(&moved.shop.id)).collect();
    let mut many = vec![r#"{"backups":500,"format":1,"kind":"pggit-ledger"}"#.to_owned()];
    for n in 0..500 {
        let id = format!("01a1fc4d-1b4e-7a30-8000-{n:012x}");
        many.extend(lines.iter().map(|line| line.replace(&moved.shop.id, &id)));
    }
    let _ = moved.there(&["ledger", "import", &moved.file(&(many.join("\n") + "\n"))]).success();
    assert_eq!(moved.git_there(&["rev-list", "--count", "refs/notes/backups"]), "2");
    assert_eq!(moved.there(&["ledger", "export"]).success().stdout_text(), many.join("\n") + "\n");
}
