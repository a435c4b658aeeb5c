//! Custom tools: the examples of the documentation, and failures of tools that others wrote.

use std::fs;
use std::path::Path;

use pggit::domain::RecoveryTarget;
use pggit::tools::{Commands, Connection, Custom};

use super::{Rig, check, subject};
use crate::backup_cli::{IDS, completed, registered};
use crate::cluster::{bin_dir, owner};

/// Returns a copy of an example that every user may run, with the tested PostgreSQL first in PATH.
fn example(rig: &Rig, name: &str) -> String {
    let text = fs::read_to_string(Path::new("docs/examples").join(name)).unwrap();
    let path = format!("set -eu\nPATH={}:$PATH\n", bin_dir().display());
    let text = text.replacen("set -eu\n", &path, 1);
    rig.write(name, &text, 0o755).to_str().unwrap().to_owned()
}

/// Configures the example with snapshots. Returns its commands.
pub(super) fn snapshots(rig: &Rig) -> Commands {
    let (script, data) = (example(rig, "pggit-snapshot"), rig.cluster.dir().join("data"));
    let snapshots = rig.dir.join("snapshots");
    fs::create_dir(&snapshots).unwrap();
    crate::cluster::give_to_owner(&snapshots);
    let words = vec![script, data.to_str().unwrap().to_owned(), snapshots.to_str().unwrap().to_owned()];
    for action in ["backup", "restore", "verify", "delete", "list"] {
        rig.sandbox.git(["config", &format!("pggit.tool.snap.{action}"), &words.join(" ")]);
    }
    rig.config("tool", "snap");
    let all = || Some(words.clone());
    Commands { backup: all(), restore: all(), verify: all(), delete: all(), list: all() }
}

/// Returns a tool `own` that runs this script for every action.
fn own(rig: &Rig, script: &str) -> Custom {
    let path = rig.write("own", &format!("#!/bin/sh\n{script}\n"), 0o755).to_str().unwrap().to_owned();
    for action in ["backup", "verify", "list"] {
        rig.sandbox.git([
            "config",
            &format!("pggit.tool.own.{action}"),
            &format!("{path} 'two words' $HOME"),
        ]);
    }
    rig.config("tool", "own");
    let words = || Some(vec![path.clone()]);
    Custom {
        name: "own".to_owned(),
        commands: Commands { verify: words(), list: words(), ..Commands::default() },
        user: owner().map(|_| "postgres".to_owned()),
        database: "shop".to_owned(),
        connection: Connection::default(),
    }
}

#[test]
fn the_example_that_pushes_backs_up_verifies_restores_and_deletes() {
    let rig = Rig::new();
    let (script, store) = (example(&rig, "pggit-push"), rig.dir.join("pushed"));
    fs::create_dir(&store).unwrap();
    crate::cluster::give_to_owner(&store);
    let words = vec![script, store.to_str().unwrap().to_owned()];
    for action in ["backup", "restore", "verify", "delete"] {
        rig.sandbox.git(["config", &format!("pggit.tool.push.{action}"), &words.join(" ")]);
    }
    rig.config("tool", "push");
    let backup = rig.create(&[]);
    assert_eq!((backup.tool.name.as_str(), backup.status.as_str()), ("push", "completed"));
    let all = || Some(words.clone());
    let adapter = Custom {
        name: "push".to_owned(),
        commands: Commands { backup: all(), restore: all(), verify: all(), delete: all(), list: None },
        user: owner().map(|_| "postgres".to_owned()),
        database: "shop".to_owned(),
        connection: Connection::default(),
    };
    assert_eq!(check(&adapter, &backup).findings, []);
    assert_eq!(rig.restored_orders(&adapter, &backup, RecoveryTarget::Immediate), "100");
    super::damage(&store, ".tar");
    assert!(check(&adapter, &backup).is_fatal());
    // A backup that is already running is a transient failure.
    fs::create_dir(store.join("lock")).unwrap();
    let busy = rig.pggit(&["backup", "create"]).fails(17);
    assert!(busy.stderr_text().contains("another backup is running"), "{}", busy.snapshot());
    use pggit::tools::Adapter as _;
    adapter.delete(&subject(&backup)).unwrap();
    assert!(!store.join(format!("{}.tar", backup.id)).exists());
    // The tool cannot list its backups, so nothing can be imported.
    rig.pggit(&["backup", "import"]).fails(129);
}

#[test]
fn its_answers_are_judged_and_its_words_are_shown() {
    let rig = Rig::new();
    let answer = r#"{"location":"x:1","size_bytes":1,"stored_bytes":1}"#;
    for (script, status, said) in [
        ("exit 0", 13, "unexpected answer to 'backup'"),
        ("echo garbage", 13, "garbage"),
        ("echo '{}'", 13, "missing field `location`"),
        ("echo '{\"location\":\"s3://k:hunter2@h/x\"}'", 13, "password"),
        (
            "echo '{\"location\":\"x:1\",\"metadata\":{\"db_password\":\"hunter2\"}}'",
            13,
            "looks like a secret",
        ),
        ("echo no luck >&2; exit 3", 13, "own: no luck"),
        ("echo later >&2; exit 75", 17, "later"),
        ("kill -9 $$", 13, "killed by signal 9"),
        ("head -c 20000000 /dev/zero", 13, "more than"),
        (&*format!("echo '{answer}'; exit 1"), 13, "exit status 1"),
    ] {
        own(&rig, script);
        let out = rig.pggit(&["backup", "create"]).fails(status);
        assert!(out.stderr_text().contains(said), "{script}: {}", out.snapshot());
        assert!(!out.stderr_text().contains("hunter2"), "{script}: {}", out.snapshot());
    }
    let records = rig.records();
    assert!(records.iter().all(|record| record.status.as_str() == "failed" && record.location.is_none()));
    assert!(!format!("{records:?}").contains("hunter2"));
}

#[test]
fn it_is_told_what_it_needs_gets_no_shell_and_is_ended_in_time() {
    let rig = Rig::new();
    let seen = rig.dir.join("log/seen");
    let answer = r#"{"location":"x:1","size_bytes":1,"stored_bytes":1}"#;
    let script =
        format!("{{ env | grep ^PGGIT_ | sort; printf '%s|' \"$@\"; }} >{}; echo '{answer}'", seen.display());
    own(&rig, &script);
    let backup = rig.create(&["--type", "incremental"]);
    // The tool had no base backup.
    assert_eq!(backup.kind.as_str(), "full");
    let seen = fs::read_to_string(seen).unwrap();
    for line in [
        format!("PGGIT_BACKUP_ID={}", backup.id),
        format!("PGGIT_COMMIT={}", backup.commit),
        "PGGIT_ACTION=backup".to_owned(),
        "PGGIT_BACKUP_TYPE=full".to_owned(),
        "PGGIT_DATABASE=shop".to_owned(),
        "two words|$HOME|".to_owned(),
    ] {
        assert!(seen.lines().any(|it| it == line), "{line}: {seen}");
    }
    own(&rig, "exec sleep 100");
    rig.config("timeout", "1s");
    let late = rig.pggit(&["backup", "create"]).fails(13);
    assert!(late.stderr_text().contains("timed out after 1 s"), "{}", late.snapshot());
}

#[test]
fn commands_of_the_committed_file_do_not_count() {
    let rig = Rig::new();
    rig.sandbox.commit(
        ".pggitconfig",
        "[pggit \"tool.evil\"]\n\tbackup = /bin/touch /tmp/x\n[pggit \"shop\"]\n\ttool = evil\n",
        "x",
    );
    let out = rig.pggit(&["backup", "create"]).fails(19);
    assert!(out.stderr_text().contains("there is no tool `evil`"), "{}", out.snapshot());
    rig.sandbox.git(["config", "pggit.tool.evil.backup", "./relative"]);
    let out = rig.pggit(&["backup", "create"]).fails(19);
    assert!(out.stderr_text().contains("pggit.tool.evil.backup"), "{}", out.snapshot());
    rig.sandbox.git(["config", "pggit.tool.evil.backup", "/no/such/program"]);
    let out = rig.pggit(&["backup", "create"]).fails(13);
    assert!(out.stderr_text().contains("/no/such/program: program not found"), "{}", out.snapshot());
}

/// The output of a tool after a successful backup.
const ANSWER: &str = r#"echo '{"location":"x:1","size_bytes":1,"stored_bytes":1}'"#;

/// The id and the type of a backup, and the id of its parent with the kind of the dependency.
type MadeElsewhere<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

/// Records completed backups of the tool `own`.
fn made_elsewhere(rig: &Rig, backups: &[MadeElsewhere<'_>]) {
    for (minute, (id, kind, parent)) in (0..).step_by(2).zip(backups) {
        let needs: Vec<_> =
            parent.iter().map(|(id, kind)| serde_json::json!({ "id": id, "kind": kind })).collect();
        let mut record =
            serde_json::json!({ "type": kind, "tool": { "name": "own" }, "name": format!("b{minute}") });
        if !needs.is_empty() {
            record["depends_on"] = needs.into();
        }
        registered(&rig.sandbox, id, minute, "HEAD", record);
        completed(&rig.sandbox, id, minute + 1);
    }
}

/// Records from `backup append` or a sync may depend on each other in a cycle.
#[test]
fn a_cycle_of_dependencies_is_no_base_and_ends_the_search() {
    let rig = Rig::new();
    own(&rig, ANSWER);
    let chain = "incremental_chain";
    made_elsewhere(
        &rig,
        &[
            (IDS[0], "incremental", Some((IDS[1], chain))),
            (IDS[1], "incremental", Some((IDS[0], chain))),
            (IDS[2], "incremental", Some((IDS[1], chain))),
        ],
    );
    let backup = rig.create(&["--type", "incremental"]);
    assert_eq!((backup.kind.as_str(), backup.parent()), ("full", None));
    // A valid backup behind the cycle is found.
    let next = rig.create(&["--type", "incremental"]);
    assert_eq!(next.parent(), Some(backup.id));
}

/// Records are read in groups, newest first, until one of them can be the base.
#[test]
fn the_base_is_found_behind_many_backups_that_cannot_be_one() {
    let rig = Rig::new();
    own(&rig, ANSWER);
    let ids: Vec<String> = (1..30).map(|n| format!("01aa{n:04}-0000-7000-8000-000000000001")).collect();
    let backups: Vec<_> = ids
        .iter()
        .map(|id| match id == &ids[0] {
            true => (id.as_str(), "full", None),
            false => (id.as_str(), "incremental", Some((ids[0].as_str(), "base"))),
        })
        .collect();
    made_elsewhere(&rig, &backups);
    let newest = rig.create(&["--type", "incremental"]);
    assert_eq!(newest.parent().map(|id| id.to_string()).as_deref(), ids.last().map(String::as_str));
    let full = rig.create(&["--type", "differential"]);
    assert_eq!(full.parent().map(|id| id.to_string()).as_deref(), Some(ids[0].as_str()));
}

#[test]
fn a_tool_of_another_user_has_no_terminal_and_no_way_to_further_rights() {
    let rig = Rig::new();
    let seen = rig.dir.join("log/seen");
    let script = format!(
        "ps -o pid=,pgid=,sid=,tty= -p $$ >{seen}; grep NoNewPrivs /proc/self/status >>{seen}; id -u >>{seen}\n\
         echo '{{\"location\":\"own:1\"}}'",
        seen = seen.display()
    );
    own(&rig, &script);
    rig.create(&[]);
    let seen = fs::read_to_string(seen).unwrap();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let [pid, group, session, terminal, "NoNewPrivs:", privileges, uid] = words[..] else { panic!("{seen}") };
    if let Some((user, _)) = owner() {
        assert_eq!((group, session, terminal), (pid, pid, "?"), "{seen}");
        assert_eq!((privileges, uid), ("1", user.to_string().as_str()), "{seen}");
    }
    // A program that cannot be started is reported, and so is one that does not exist.
    rig.sandbox.git(["config", "pggit.tool.own.backup", "/no/such/program"]);
    let text = rig.pggit(&["backup", "create"]).fails(13).stderr_text();
    assert!(text.contains("/no/such/program"), "{text}");
    if owner().is_some() {
        let closed = rig.sandbox.path().join("closed");
        fs::write(&closed, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        rig.sandbox.git(["config", "pggit.tool.own.backup", closed.to_str().unwrap()]);
        let text = rig.pggit(&["backup", "create"]).fails(13).stderr_text();
        assert!(text.contains("Permission denied"), "{text}");
    }
}
