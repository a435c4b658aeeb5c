//! Damage by plain git, and the findings of `git pggit fsck`.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A repository with one schema commit and one completed backup on it.
pub struct Shop {
    pub sandbox: Sandbox,
    pub commit: String,
    pub id: String,
}

impl Shop {
    pub fn new() -> Self {
        Self::in_sandbox(Sandbox::new())
    }

    pub fn in_sandbox(sandbox: Sandbox) -> Self {
        let commit = sandbox.commit("0001.sql", "create table a (id int);\n", "one");
        let mut shop = Self { sandbox, commit, id: String::new() };
        shop.id = shop.backup("nightly");
        shop
    }

    /// Registers and completes a backup. Returns its id.
    pub fn backup(&self, name: &str) -> String {
        let location = format!("s3://bucket/{name}");
        let id = self.register(name);
        let args = ["backup", "complete", &id, "--location", &location, "--size", "1000"];
        let _ = self.sandbox.pggit(args).success();
        id
    }

    pub fn register(&self, name: &str) -> String {
        let args = [
            "backup",
            "register",
            "--name",
            name,
            "--database",
            "shop",
            "--tool",
            "pg_dump",
            "--in-progress",
        ];
        self.sandbox.pggit(args).success().stdout_text().trim().to_owned()
    }

    pub fn reference(&self) -> String {
        format!("refs/backups/{}", self.commit)
    }

    pub fn file(&self) -> String {
        format!(".pggit/{}.json", self.id)
    }

    pub fn record(&self) -> String {
        self.sandbox.git(["show", &format!("{}:{}", self.reference(), self.file())]) + "\n"
    }

    /// Makes a ledger commit in which `file` has this content, or is missing for `None`, and moves the ref
    /// to it.
    pub fn write(&self, file: &str, content: Option<&str>) -> String {
        let tip = self.sandbox.git(["rev-parse", &self.reference()]);
        self.write_on(&[&tip], &tip, file, content)
    }

    pub fn write_on(&self, parents: &[&str], base: &str, file: &str, content: Option<&str>) -> String {
        let index = self.sandbox.path().join("index");
        let _ = std::fs::remove_file(&index);
        let git = |args: &[&str]| {
            let mut command = self.sandbox.command("git");
            let output = self.sandbox.output(command.args(args).env("GIT_INDEX_FILE", &index)).success();
            output.stdout_text().trim().to_owned()
        };
        git(&["read-tree", base]);
        match content {
            Some(content) => {
                let path = self.sandbox.path().join("content");
                std::fs::write(&path, content).unwrap();
                let blob = git(&["hash-object", "-w", path.to_str().unwrap()]);
                git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{file}")]);
            }
            None => drop(git(&["update-index", "--force-remove", file])),
        }
        let tree = git(&["write-tree"]);
        let trailer = format!("backup: by hand\n\nSchema-Commit: {}\n", self.commit);
        let mut args = vec!["commit-tree", &tree, "-m", &trailer];
        parents.iter().for_each(|parent| args.extend(["-p", parent]));
        let commit = git(&args);
        git(&["update-ref", &self.reference(), &commit]);
        commit
    }

    /// Returns the codes of the findings with their severity, and the whole output.
    pub fn fsck(&self, args: &[&str], status: i32) -> (Vec<String>, Value) {
        let output = self.sandbox.pggit([&["fsck", "--json"], args].concat()).fails(status);
        let answer = output.json();
        let codes = answer["findings"].as_array().unwrap().iter();
        let codes =
            codes.map(|f| format!("{} {}", f["severity"].as_str().unwrap(), f["code"].as_str().unwrap()));
        (codes.collect(), answer)
    }

    #[track_caller]
    pub fn finds(&self, codes: &[&str]) -> Value {
        let bad = codes.iter().any(|code| code.starts_with("error"));
        let (found, answer) = self.fsck(&[], i32::from(bad));
        assert_eq!(found, codes, "{answer:#}");
        answer
    }
}

#[test]
fn a_whole_ledger_is_clean_and_says_what_was_read() {
    let shop = Shop::new();
    shop.finds(&[]);
    shop.sandbox.git(["notes", "--ref=backups", "append", "-m", "said by a person", "HEAD"]);
    let answer = shop.finds(&[]);
    assert_eq!((&answer["refs"], &answer["records"], &answer["ok"]), (&1.into(), &1.into(), &true.into()));
    let output = shop.sandbox.pggit(["fsck"]).success();
    assert_eq!(
        output.stderr_text(),
        "checked 1 records in 2 commits of 1 refs: 0 errors, 0 warnings, 0 notices\n"
    );
    assert_eq!(Sandbox::new().pggit(["fsck"]).success().stdout_text(), "");
}

#[test]
fn an_altered_event_is_named_with_the_commit_that_did_it() {
    let shop = Shop::new();
    let forged = shop.record().replace("\"size_bytes\": 1000", "\"size_bytes\": 2000");
    let commit = shop.write(&shop.file(), Some(&forged));
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "later"]).success();
    let answer = shop.finds(&["error event-altered"]);
    assert_eq!(answer["findings"][0]["commit"], commit.as_str());
    assert_eq!(answer["findings"][0]["file"], shop.file());
    let output = shop.sandbox.pggit(["fsck"]).fails(1).stdout_text();
    assert!(output.starts_with("error    refs/backups/") && output.contains("[event-altered]"), "{output}");
}

#[test]
fn removed_events_and_records_are_named() {
    let shop = Shop::new();
    let mut record: Value = serde_json::from_str(&shop.record()).unwrap();
    record["events"].as_array_mut().unwrap().pop();
    let commit = shop.write(&shop.file(), Some(&record.to_string()));
    let answer = shop.finds(&["error record-stale", "error event-removed", "warning note-stale"]);
    assert_eq!(answer["findings"][1]["commit"], commit.as_str());
    // A repair rewrites the state and the note, and still reports the removed event.
    let repaired = shop.fsck(&["--repair"], 1);
    assert_eq!(repaired.0, ["error event-removed"]);
    assert_eq!(repaired.1["repaired"]["records"][0], shop.id.as_str());
    assert_eq!(shop.fsck(&[], 1).0, ["error event-removed"]);

    let shop = Shop::new();
    shop.write(&shop.file(), None);
    shop.finds(&["error event-removed", "warning note-orphan"]);
}

#[test]
fn a_state_that_does_not_follow_from_the_events_is_derived_anew() {
    let shop = Shop::new();
    let forged = shop.record().replace("\"status\": \"completed\"", "\"status\": \"expired\"");
    let before = shop.write(&shop.file(), Some(&forged));
    shop.sandbox.git(["notes", "--ref=backups", "add", "-f", "-m", "Only this", "HEAD"]);
    shop.finds(&["error record-stale", "warning note-stale"]);
    let (found, answer) = shop.fsck(&["--repair"], 0);
    assert!(found.is_empty(), "{answer:#}");
    assert!(shop.record().contains("\"status\": \"completed\""));
    assert_eq!(shop.sandbox.git(["rev-parse", &format!("{}~1", shop.reference())]), before);
    let note = shop.sandbox.git(["notes", "--ref=backups", "show", "HEAD"]);
    assert!(note.starts_with("Backup ") && note.ends_with("\n\nOnly this"), "{note}");
}

#[test]
fn two_events_with_one_id_are_not_repaired_away() {
    let shop = Shop::new();
    let mut record: Value = serde_json::from_str(&shop.record()).unwrap();
    let mut twin = record["events"][1].clone();
    twin["at"] = "2020-01-01T00:00:00.000000Z".into();
    record["events"].as_array_mut().unwrap().push(twin);
    let commit = shop.write(&shop.file(), Some(&record.to_string()));
    let (found, answer) = shop.fsck(&["--repair"], 1);
    assert!(found.contains(&"error event-twice".to_owned()), "{answer:#}");
    assert_eq!(shop.sandbox.git(["rev-parse", &shop.reference()]), commit);
}

#[test]
fn files_that_are_not_of_the_ledger_and_changes_of_the_schema_are_named() {
    let shop = Shop::new();
    shop.write(".pggit/notes.txt", Some("x"));
    shop.finds(&["warning foreign-file"]);
    shop.write(".pggit/01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5.sql", Some("x"));
    shop.finds(&["warning schema-without-record", "warning foreign-file"]);
    let commit = shop.write("sub/0001.sql", Some("drop table a;"));
    let answer =
        shop.finds(&["error schema-changed", "warning schema-without-record", "warning foreign-file"]);
    assert_eq!(answer["findings"][0]["message"], "the commit changes the schema: sub added");
    assert_eq!(answer["findings"][0]["commit"], commit.as_str());
}

#[test]
fn a_chain_that_leads_elsewhere_is_broken() {
    let shop = Shop::new();
    // The parent is another commit of the schema history, and there is none.
    let other = shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
    let tip = shop.sandbox.git(["rev-parse", &shop.reference()]);
    shop.write_on(&[&other], &tip, ".pggit/x.txt", Some("x"));
    let (found, answer) = shop.fsck(&[], 1);
    assert!(found.contains(&"error chain-broken".to_owned()), "{answer:#}");
    shop.write_on(&[], &tip, &shop.file(), Some(&shop.record()));
    assert_eq!(shop.fsck(&[], 1).0, ["error chain-broken"]);
    // A merge whose second parent is not a ledger commit.
    shop.write_on(&[&tip, &other], &tip, &shop.file(), Some(&shop.record()));
    shop.finds(&["error chain-broken"]);
}

#[test]
fn records_that_do_not_belong_where_they_are_are_named() {
    let shop = Shop::new();
    let other = "01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5";
    shop.write(&format!(".pggit/{other}.json"), Some(&shop.record()));
    let (found, answer) = shop.fsck(&[], 1);
    assert!(found.contains(&"error record-misplaced".to_owned()), "{answer:#}");
    shop.write(&format!(".pggit/{other}.json"), Some("{\"events\": [1], \"id\": 2}"));
    let (found, answer) = shop.fsck(&[], 1);
    assert!(found.contains(&"error record-unreadable".to_owned()), "{answer:#}");
    shop.sandbox.git(["update-ref", "refs/backups/not-a-commit", &shop.commit]);
    let (found, answer) = shop.fsck(&[], 1);
    assert!(found.contains(&"error ref-name".to_owned()), "{answer:#}");
}

#[test]
fn one_backup_under_two_commits_is_found() {
    let shop = Shop::new();
    let tip = shop.sandbox.git(["rev-parse", &shop.reference()]);
    let other = shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
    shop.sandbox.git(["update-ref", &format!("refs/backups/{other}"), &tip]);
    let (found, answer) = shop.fsck(&[], 1);
    for code in ["error backup-twice", "error record-misplaced", "error chain-broken"] {
        assert!(found.contains(&code.to_owned()), "{code}: {answer:#}");
    }
}

#[test]
fn notes_and_locations_are_looked_at() {
    let shop = Shop::new();
    let other = shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
    shop.sandbox.git(["notes", "--ref=backups", "add", "-m", "mine", &other]);
    shop.finds(&["notice note-foreign"]);
    shop.sandbox.git(["notes", "--ref=backups", "remove", &other]);
    let args =
        ["backup", "complete", &shop.register("again"), "--location", "s3://bucket/nightly", "--size", "1"];
    let _ = shop.sandbox.pggit(args).success();
    shop.finds(&["warning location-twice"]);
}

#[test]
fn missing_objects_and_cut_history_are_told_apart() {
    let shop = Shop::new();
    shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
    let dir = shop.sandbox.path().join("shallow");
    let url = format!("file://{}", shop.sandbox.repo().display());
    shop.sandbox.git(["clone", "-q", "--depth=1", &url, dir.to_str().unwrap()]);
    let refspec = "refs/backups/*:refs/backups/*";
    shop.sandbox.git(["-C", dir.to_str().unwrap(), "fetch", "-q", "--depth=1", "origin", refspec]);
    let output = shop
        .sandbox
        .output(shop.sandbox.pggit_command().args(["fsck", "--json"]).current_dir(&dir))
        .success();
    assert!(output.json()["findings"].to_string().contains("\"shallow\""), "{}", output.snapshot());

    let tip = shop.sandbox.git(["rev-parse", &format!("{}~1", shop.reference())]);
    let loose = shop.sandbox.repo().join(".git/objects").join(&tip[..2]).join(&tip[2..]);
    std::fs::remove_file(loose).unwrap();
    shop.finds(&["error object-missing"]);
}

#[test]
fn merges_of_a_synchronisation_are_whole() {
    let shop = Shop::new();
    let base = shop.sandbox.git(["rev-parse", &shop.reference()]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "one"]).success();
    let one = shop.sandbox.git(["rev-parse", &shop.reference()]);
    let merged = shop.record();
    shop.sandbox.git(["update-ref", &shop.reference(), &base]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "two"]).success();
    let two = shop.sandbox.git(["rev-parse", &shop.reference()]);
    // A merge with the content of one parent loses the event of the other.
    let bad = shop.write_on(&[&one, &two], &one, &shop.file(), Some(&merged));
    let (found, answer) = shop.fsck(&[], 1);
    assert_eq!(found, ["error event-removed"], "{answer:#}");
    assert_eq!(answer["findings"][0]["commit"], bad.as_str());
}
