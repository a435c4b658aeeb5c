//! The ledger in a separate repository next to that of the schema history.

use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::fsck::Shop as Records;
use crate::sandbox::{Output, Sandbox};

/// A schema history of two commits, and a separate repository for records.
struct Shop {
    sandbox: Sandbox,
    commits: [String; 2],
}

impl Shop {
    fn new() -> Self {
        let shop = Self::without_records();
        let _ = shop.pggit(&["init", "--repository", "../meta.git"]).success();
        shop
    }

    fn without_records() -> Self {
        let sandbox = Sandbox::new();
        let first = sandbox.commit("sql/0001.sql", "create table a (id int);\n", "one");
        let second = sandbox.commit("sql/0002.sql", "create table b (id int);\n", "two");
        Self { sandbox, commits: [first, second] }
    }

    fn meta(&self) -> PathBuf {
        self.sandbox.path().join("meta.git")
    }

    #[must_use]
    fn pggit(&self, args: &[&str]) -> Output {
        self.sandbox.pggit(args)
    }

    /// Runs `git pggit` in another directory.
    #[must_use]
    fn at(&self, dir: &Path, args: &[&str]) -> Output {
        self.sandbox.output(self.sandbox.pggit_command().current_dir(dir).args(args))
    }

    fn git_at(&self, dir: &Path, args: &[&str]) -> String {
        self.sandbox.git([&["-C", dir.to_str().unwrap()], args].concat())
    }

    fn register(&self, name: &str, args: &[&str]) -> String {
        let register = [
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
        self.pggit(&[&register, args].concat()).success().stdout_text().trim().to_owned()
    }

    fn complete(&self, id: &str) {
        let place = format!("s3://bucket/{id}");
        let _ = self.pggit(&["backup", "complete", id, "--location", &place, "--size", "1000"]).success();
    }

    fn backup(&self, name: &str, args: &[&str]) -> String {
        let id = self.register(name, args);
        self.complete(&id);
        id
    }

    fn state(&self, dir: &Path) -> String {
        self.git_at(dir, &["for-each-ref", "--format=%(refname) %(tree)", "refs/backups/"])
    }

    /// Makes another clone of the schema history, with its own clone of the records.
    fn colleague(&self) -> PathBuf {
        let dir = self.sandbox.path().join("colleague");
        let meta = self.sandbox.path().join("their-meta.git");
        self.sandbox.git(["clone", "-q", ".", dir.to_str().unwrap()]);
        self.sandbox.git(["init", "-q", "--bare", meta.to_str().unwrap()]);
        self.git_at(&meta, &["remote", "add", "origin", "../hub.git"]);
        let _ = self.at(&dir, &["init", "--repository", "../their-meta.git"]).success();
        dir
    }

    fn hub(&self) -> PathBuf {
        let hub = self.sandbox.path().join("hub.git");
        self.sandbox.git(["init", "-q", "--bare", hub.to_str().unwrap()]);
        self.git_at(&self.meta(), &["remote", "add", "origin", "../hub.git"]);
        hub
    }
}

#[test]
fn records_are_beside_and_the_schema_repository_stays_as_it_is() {
    let shop = Shop::new();
    let before = shop.sandbox.git(["for-each-ref"]);
    let (first, second) = (shop.backup("first", &["--commit", "HEAD~1"]), shop.backup("second", &[]));
    assert_eq!(shop.sandbox.git(["for-each-ref"]), before);
    assert_eq!(shop.sandbox.git(["config", "pggit.repository"]), "../meta.git");
    let refs = shop.git_at(&shop.meta(), &["for-each-ref", "--format=%(refname)", "refs/backups/"]);
    let mut wanted = shop.commits.clone().map(|commit| format!("refs/backups/{commit}"));
    wanted.sort();
    assert_eq!(refs.lines().collect::<Vec<_>>(), wanted);
    // The files of the schema are also kept.
    let show = |file: &str| {
        shop.git_at(&shop.meta(), &["show", &format!("refs/backups/{}:{file}", shop.commits[1])])
    };
    assert_eq!(show("sql/0002.sql"), "create table b (id int);");
    assert!(show(&format!(".pggit/{second}.json")).contains("\"status\": \"completed\""));
    assert!(!shop.meta().join("shallow").exists());

    let list = shop.pggit(&["backup", "list", "--ids"]).success().stdout_text();
    assert_eq!(list.lines().count(), 2);
    let at = |rev: &str| shop.pggit(&["backup", "list", "--ids", "--commit", rev]).success().stdout_text();
    assert_eq!(at("HEAD~1").trim(), first);
    let coverage = shop.pggit(&["backup", "coverage", "--commits", "HEAD", "--exit-code"]).success();
    let text = coverage.stdout_text();
    assert!(text.contains("two") && text.contains("2 of 2 commits can be restored"), "{text}");
    let _ = shop.pggit(&["backup", "coverage", "--branch", "main", "--exit-code"]).success();
    let show = shop.pggit(&["backup", "show", "second"]).success().stdout_text();
    assert!(show.contains("two") && show.contains(&shop.commits[1]), "{show}");
    let _ = shop.pggit(&["backup", "hold", "first", "--reason", "audit"]).success();
    assert!(shop.pggit(&["backup", "log"]).success().stdout_text().contains("audit"));
    let fsck = shop.pggit(&["fsck", "--json"]).success().json();
    assert_eq!(fsck["findings"], serde_json::json!([]), "{fsck:#}");
    let doctor = shop.pggit(&["doctor"]).stdout_text();
    assert!(doctor.contains("kept in") && doctor.contains("meta.git"), "{doctor}");
    let _ = shop.pggit(&["init", "--check"]).success();
    let _ = shop.pggit(&["maintenance"]).success();
}

#[test]
fn nothing_is_lost_to_gc_and_git_finds_no_fault() {
    let shop = Shop::new();
    let old = shop.backup("old", &["--commit", "HEAD~1"]);
    shop.sandbox.commit("sql/0003.sql", "create table c ();\n", "three");
    shop.backup("new", &[]);
    let state = shop.state(&shop.meta());
    shop.git_at(&shop.meta(), &["gc", "-q", "--prune=now"]);
    // The schema history is rewritten, and its repository has lost the commits.
    shop.sandbox.git(["reset", "-q", "--hard", "HEAD~2"]);
    shop.sandbox.git(["reflog", "expire", "--expire=now", "--all"]);
    shop.sandbox.git(["gc", "-q", "--prune=now"]);
    shop.git_at(&shop.meta(), &["fsck", "--strict", "--no-dangling"]);
    shop.git_at(&shop.meta(), &["gc", "-q", "--prune=now"]);
    assert_eq!(shop.state(&shop.meta()), state);
    assert!(shop.pggit(&["backup", "show", &old]).success().stdout_text().contains("old"));
    let fsck = shop.pggit(&["fsck", "--json"]).success().json();
    let codes: Vec<_> = fsck["findings"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert_eq!(codes, ["schema-commit-unknown"], "{fsck:#}");
    // A record without its schema commit can still be changed.
    let _ = shop.pggit(&["backup", "tag", "new", "keep=yes"]).success();
}

#[test]
fn two_clones_come_together_without_a_shallow_history() {
    let shop = Shop::new();
    let hub = shop.hub();
    let colleague = shop.colleague();
    // Both create the same ref before they synchronise.
    shop.backup("mine", &[]);
    let register = [
        "backup",
        "register",
        "--name",
        "theirs",
        "--database",
        "shop",
        "--tool",
        "pg_dump",
        "--in-progress",
    ];
    let _ = shop.at(&colleague, &register).success();
    let _ = shop.pggit(&["sync"]).success();
    let merged = shop.at(&colleague, &["sync", "--json"]).success().json();
    assert_eq!(merged["merged"].as_array().unwrap().len(), 1, "{merged:#}");
    let _ = shop.pggit(&["sync"]).success();
    let theirs = shop.sandbox.path().join("their-meta.git");
    assert_eq!(shop.state(&shop.meta()), shop.state(&theirs));
    assert_eq!(shop.state(&shop.meta()), shop.state(&hub));
    for repository in [&shop.meta(), &theirs, &hub] {
        assert!(!repository.join("shallow").exists());
        shop.git_at(repository, &["fsck", "--strict", "--no-dangling"]);
    }
    // Both made the same root commit for the schema commit.
    let roots = shop.git_at(&hub, &["rev-list", "--max-parents=0", "--glob=refs/backups/*"]);
    assert_eq!(roots.lines().count(), 1, "{roots}");
    let list = shop.pggit(&["backup", "list", "--ids"]).success().stdout_text();
    assert_eq!(list.lines().count(), 2);
    let _ = shop.pggit(&["fsck"]).success();
    assert_eq!(shop.sandbox.git(["for-each-ref", "refs/pggit", "refs/backups", "refs/notes"]), "");
    // The records that users see with git alone, after they fetch the notes.
    shop.sandbox.git(["fetch", "-q", "../hub.git", "refs/notes/backups:refs/notes/backups"]);
    assert!(shop.sandbox.git(["log", "-1", "--notes=backups"]).contains("completed mine"));
}

#[test]
fn without_the_schema_history_the_names_are_enough() {
    let shop = Shop::new();
    let id = shop.backup("only", &[]);
    let clone = shop.sandbox.path().join("clone.git");
    shop.sandbox.git(["clone", "-q", "--mirror", shop.meta().to_str().unwrap(), clone.to_str().unwrap()]);
    let there = |args: &[&str]| shop.at(&clone, args);
    assert_eq!(there(&["backup", "list", "--ids"]).success().stdout_text().trim(), id);
    assert_eq!(
        there(&["backup", "list", "--ids", "--commit", &shop.commits[1]]).success().stdout_text().trim(),
        id
    );
    assert!(there(&["backup", "show", &id]).success().stdout_text().contains(&shop.commits[1]));
    assert!(there(&["backup", "log"]).success().stdout_text().contains("completed"));
    let _ = there(&["backup", "coverage"]).success();
    let _ = there(&["backup", "cat", &id]);
    let _ = there(&["backup", "tag", &id, "seen=yes"]).success();
    let fsck = there(&["fsck", "--json"]).success().json();
    let findings = fsck["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{fsck:#}");
    assert_eq!(
        (&findings[0]["code"], &findings[0]["severity"]),
        (&"schema-commit-unknown".into(), &"warning".into())
    );
    // A missing schema commit cannot get its first backup.
    let register = ["backup", "register", "--name", "x", "--database", "shop", "--tool", "pg_dump"];
    let output = there(&[&register[..], &["--commit", &shop.commits[0]]].concat());
    assert_ne!(output.status, 0, "{}", output.snapshot());
}

#[test]
fn a_ledger_moves_from_one_shape_to_the_other_and_back() {
    let shop = Records::new();
    let second = shop.sandbox.commit("0002.sql", "create table b ();\n", "two");
    shop.backup("second");
    let file = shop.sandbox.path().join("export.jsonl");
    let file = file.to_str().unwrap();
    let trees = ["for-each-ref", "--format=%(refname) %(tree)", "refs/backups/"];
    let before = shop.sandbox.git(trees);
    let output = shop.sandbox.pggit(["init", "--repository", "../meta.git"]).success().stderr_text();
    assert!(output.contains("ledger export"), "{output}");
    shop.sandbox.git(["config", "pggit.repository", ""]);
    let export = || shop.sandbox.pggit(["ledger", "export"]).success().stdout;
    std::fs::write(file, export()).unwrap();
    shop.sandbox.git(["config", "pggit.repository", "../meta.git"]);
    let _ = shop.sandbox.pggit(["ledger", "import", file]).success();
    assert_eq!(shop.sandbox.git([&["-C", "../meta.git"], &trees[..]].concat()), before);
    assert_eq!(std::fs::read(file).unwrap(), export());
    let _ = shop.sandbox.pggit(["fsck"]).success();
    // Back into the schema repository, in a clone with only the first commit.
    let old = shop.sandbox.path().join("old");
    shop.sandbox.git(["clone", "-q", "--no-local", "-b", "main", ".", old.to_str().unwrap()]);
    shop.sandbox.git(["-C", "../old", "reset", "-q", "--hard", &shop.commit]);
    shop.sandbox.git(["-C", "../old", "remote", "remove", "origin"]);
    shop.sandbox.git(["-C", "../old", "reflog", "expire", "--expire=now", "--all"]);
    shop.sandbox.git(["-C", "../old", "gc", "-q", "--prune=now"]);
    let import = |more: &[&str]| {
        let mut command = shop.sandbox.pggit_command();
        shop.sandbox.output(command.current_dir(&old).args(["ledger", "import", file]).args(more))
    };
    assert!(import(&[]).fails(10).stderr_text().contains(&second));
    let _ = import(&["--allow-missing-commits"]).success();
    let refs = shop.sandbox.git(["-C", "../old", "for-each-ref", "--format=%(refname)", "refs/backups/"]);
    assert_eq!(refs.lines().count(), 2);
    shop.sandbox.git(["-C", "../old", "fsck", "--strict", "--no-dangling"]);
}

#[test]
fn one_who_had_only_the_name_and_one_who_had_the_commit_agree() {
    let shop = Shop::new();
    let hub = shop.hub();
    shop.backup("whole", &[]);
    let export = shop.sandbox.path().join("export.jsonl");
    std::fs::write(&export, shop.pggit(&["ledger", "export"]).success().stdout).unwrap();
    let names = shop.sandbox.path().join("names.git");
    shop.sandbox.git(["init", "-q", "--bare", names.to_str().unwrap()]);
    shop.git_at(&names, &["remote", "add", "origin", "../hub.git"]);
    let _ =
        shop.at(&names, &["ledger", "import", "--allow-missing-commits", export.to_str().unwrap()]).success();
    let _ = shop.at(&names, &["sync"]).success();
    let _ = shop.pggit(&["sync"]).success();
    let _ = shop.at(&names, &["sync"]).success();
    assert_eq!(shop.state(&names), shop.state(&hub));
    assert_eq!(shop.state(&shop.meta()), shop.state(&hub));
    let fsck = shop.pggit(&["fsck", "--json"]).success().json();
    assert_eq!(fsck["findings"], serde_json::json!([]), "{fsck:#}");
    let file = shop.git_at(&hub, &["show", &format!("refs/backups/{}:sql/0001.sql", shop.commits[1])]);
    assert_eq!(file, "create table a (id int);");
}

#[test]
fn a_stand_in_with_other_files_is_found() {
    let shop = Shop::new();
    shop.backup("nightly", &[]);
    let meta = shop.meta();
    let tree = shop.git_at(&meta, &["rev-parse", &format!("refs/backups/{}:sql", shop.commits[1])]);
    let message = format!("two\n\nSchema-Commit: {}", shop.commits[1]);
    let root = shop.git_at(&meta, &["commit-tree", "-m", &message, &tree]);
    let name = format!("refs/backups/{}", shop.commits[1]);
    let tip = shop.git_at(&meta, &["rev-parse", &format!("{name}^{{tree}}")]);
    let forged = shop
        .git_at(&meta, &["commit-tree", "-p", &root, "-m", &format!("backup: x\n\n{}", &message[5..]), &tip]);
    shop.git_at(&meta, &["update-ref", &name, &forged]);
    let fsck = shop.pggit(&["fsck", "--json"]).json();
    assert!(fsck["findings"].to_string().contains("other files than the schema commit"), "{fsck:#}");
}

#[test]
fn what_cannot_hold_records_is_refused_by_name() {
    let shop = Shop::without_records();
    std::fs::create_dir(shop.sandbox.path().join("empty")).unwrap();
    std::fs::write(shop.sandbox.path().join("file"), "x").unwrap();
    shop.sandbox.git(["init", "-q", "--bare", "--object-format=sha256", "../sha256.git"]);
    shop.sandbox.git(["worktree", "add", "-q", "../worktree"]);
    for (value, why) in [
        ("../missing", "no such directory"),
        ("../empty", "not a git repository"),
        ("../file", "no such directory"),
        (".", "itself"),
        (".git", "itself"),
        ("../worktree", "itself"),
        ("../sha256.git", "another hash"),
        ("--upload-pack=touch /tmp/x", "expected"),
        ("-x", "expected"),
        ("~nobody/x", "expected"),
    ] {
        shop.sandbox.git(["config", "pggit.repository", value]);
        for command in [&["backup", "list"][..], &["sync"], &["fsck"], &["init"]] {
            let output = shop.pggit(command);
            assert_ne!(output.status, 0, "{value}: {}", output.snapshot());
            assert!(output.stderr_text().contains(why), "{value}: {}", output.snapshot());
        }
        let doctor = shop.pggit(&["doctor"]).fails(1).stdout_text();
        assert!(doctor.contains("records"), "{value}: {doctor}");
    }
    shop.sandbox.git(["config", "--unset", "pggit.repository"]);
    for directory in ["../empty", "../file", ".", "-x", ""] {
        let output = shop.pggit(&["init", &format!("--repository={directory}")]);
        assert_ne!(output.status, 0, "{directory}: {}", output.snapshot());
    }
    assert_eq!(shop.sandbox.git(["config", "--default", "unset", "pggit.repository"]), "unset");
    // A committed file must not choose the repository of the records.
    shop.sandbox.commit(".pggitconfig", "[pggit]\n\trepository = ../missing\n", "config");
    let _ = shop.pggit(&["backup", "list"]).success();
}

#[test]
fn it_is_found_from_everywhere_and_from_within_hooks() {
    let mut shop = Shop::new();
    shop.backup("first", &[]);
    let below = shop.sandbox.repo().join("sql");
    assert!(shop.at(&below, &["backup", "list", "--ids"]).success().stdout_text().len() > 30);
    shop.sandbox.git(["worktree", "add", "-q", "../deep/worktree"]);
    let worktree = shop.sandbox.path().join("deep/worktree");
    assert!(shop.at(&worktree, &["backup", "list", "--ids"]).success().stdout_text().len() > 30);
    // In a hook, git sets variables that name its repository, which is not the one of the records.
    let git_dir = shop.sandbox.repo().join(".git");
    shop.sandbox.set("GIT_DIR", &git_dir);
    shop.sandbox.set("GIT_OBJECT_DIRECTORY", git_dir.join("objects"));
    shop.sandbox.set("GIT_INDEX_FILE", git_dir.join("index"));
    shop.backup("second", &[]);
    assert_eq!(shop.sandbox.git(["for-each-ref", "refs/backups"]), "");
    let _ = shop.pggit(&["fsck"]).success();
}

#[test]
fn the_environment_can_choose_it() {
    let mut shop = Shop::without_records();
    let meta = shop.sandbox.path().join("elsewhere.git");
    shop.sandbox.git(["init", "-q", "--bare", meta.to_str().unwrap()]);
    shop.sandbox.set("PGGIT_REPOSITORY", &meta);
    shop.backup("first", &[]);
    assert_eq!(shop.git_at(&meta, &["for-each-ref", "refs/backups"]).lines().count(), 1);
}

#[test]
fn a_backup_of_a_real_database_is_recorded_beside_and_restored() {
    let shop = Shop::new();
    let cluster = Cluster::shared();
    let database = cluster.create_database("beside");
    cluster.psql(&database, "create table a (id int); insert into a values (1)");
    let _ = shop.pggit(&["database", "add", "shop", "--url", &cluster.url(&database)]).success();
    let _ = shop.pggit(&["mark"]).success();
    let one = shop.pggit(&["backup", "create", "--name", "one"]).success().stdout_text();
    cluster.psql(&database, "create table b (id int)");
    let _ = shop.pggit(&["backup", "create", "--name", "two"]).success();
    assert_eq!(shop.sandbox.git(["for-each-ref", "refs/backups", "refs/notes"]), "");
    let diff = shop.pggit(&["backup", "diff", "one", "two"]).success().stdout_text();
    assert!(diff.contains("+CREATE TABLE public.b"), "{diff}");
    assert!(shop.pggit(&["backup", "cat", one.trim()]).success().stdout_text().contains("completed"));
    let _ = shop.pggit(&["backup", "restore", "HEAD", "--into", &format!("{database}_copy")]).success();
    let _ = shop.pggit(&["fsck"]).success();
}
