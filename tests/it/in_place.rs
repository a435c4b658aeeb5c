//! `git pggit backup restore --in-place`: the restored database or data directory replaces the live one. A
//! killed restore leaves one of the two.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::backup_cli::crowd::{Chance, killed_after};
use crate::cluster::Options;
use crate::restore_commit::History;
use crate::sandbox::Output;

/// Returns the number of processes that are killed; 200 with `PGGIT_TEST_LONG`.
fn kills() -> u64 {
    if std::env::var_os("PGGIT_TEST_LONG").is_some() { 200 } else { 16 }
}

/// Makes a history whose database has lost its orders after the backup `good`, and lacks a migration of the
/// commit.
fn harmed() -> History {
    let history = History::new();
    history.backup("good");
    history.commit("0002_items.sql", "create table items (id int primary key);");
    history.sql("delete from orders");
    history
}

impl History {
    fn disaster(&self, more: &[&str]) -> Output {
        self.pggit(&[&["backup", "restore", "HEAD", "--in-place", "--force"], more].concat())
    }

    fn unfinished(&self, more: &[&str]) -> Output {
        self.pggit(&[&["backup", "restore"], more].concat())
    }

    fn listed(&self) -> Vec<Value> {
        self.unfinished(&["list", "--json"]).success().json()["restores"].as_array().unwrap().clone()
    }

    fn orders(&self) -> String {
        self.sql("select count(*) from orders")
    }

    /// Returns all databases with names that begin with that of this one.
    fn databases(&self) -> String {
        // The names of other tests may continue with a digit.
        let sql = format!(
            "select datname from pg_database where datname ~ '^{}([^0-9]|$)' order by 1",
            self.database
        );
        self.cluster.psql("postgres", &sql).replace('\n', " ")
    }
}

#[test]
fn a_database_is_replaced_looked_at_and_put_back_or_kept() {
    let history = harmed();
    let name = history.database.clone();
    history.sql(&format!("alter database \"{name}\" set work_mem = '5MB'"));
    history.sql(&format!("comment on database \"{name}\" is 'the live one'"));
    // It needs --force, and fails while other sessions are connected.
    let said = history.pggit(&["backup", "restore", "HEAD", "--in-place"]).fails(129).stderr_text();
    assert!(said.contains("confirm with --force"), "{said}");
    history.pggit(&["backup", "restore", "HEAD", "--into", "x", "--force"]).fails(129);
    history.unfinished(&["abort"]).fails(10);
    history.unfinished(&["abort", "../x"]).fails(10);
    let mut session = crate::cluster::client("psql");
    session.args(["-X", "-q", "-d", &history.cluster.url(&name), "-c", "select pg_sleep(600)"]);
    let mut session = session.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let other = format!(
        "exists (select from pg_stat_activity where query like '%pg_sleep(600)%' and datname = '{name}')"
    );
    history.cluster.wait_until("postgres", &other);
    let said = history.disaster(&[]).fails(12).stderr_text();
    assert!(said.contains("--disconnect"), "{said}");
    assert_eq!((history.databases(), history.listed().len()), (name.clone(), 0));

    let plan = history.pggit(&["backup", "plan", "HEAD", "--in-place", "--disconnect", "--json"]);
    let plan = plan.success().json();
    let last = plan["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["effect"], "replaces", "{plan}");
    assert_eq!((history.databases(), history.listed().len()), (name.clone(), 0));

    let done = history.disaster(&["--disconnect", "--json"]).success().json();
    assert!(!session.wait().unwrap().success(), "its session was ended");
    assert_eq!((&done["in_place"], &done["stage"]), (&"new".into(), &"replaced".into()));
    assert_eq!(history.orders(), "100");
    assert_eq!(history.sql("select to_regclass('items') is not null"), "t", "it was migrated");
    assert_eq!(history.sql("show work_mem"), "5MB");
    assert_eq!(history.sql("show pggit.commit"), history.sandbox.git(["rev-parse", "HEAD"]));
    assert_eq!(history.databases(), format!("{name} {name}~before"));
    assert_eq!(history.cluster.psql(&format!("{name}~before"), "select count(*) from orders"), "0");
    let text = history.unfinished(&["list"]).success().stdout_text();
    assert!(text.contains(&name) && text.contains("new"), "{text}");
    let text = history.pggit(&["doctor"]).stdout_text();
    assert!(text.contains(&format!("the restore into database {name}")), "{text}");
    // Only one in-place restore of a database is possible at a time.
    let id = done["id"].as_str().unwrap();
    let said = history.disaster(&[]).fails(12).stderr_text();
    assert!(said.contains("is unfinished") && said.contains(&format!("restore abort {id}")), "{said}");

    history.unfinished(&["abort", id]).success();
    assert_eq!((history.orders().as_str(), history.databases()), ("0", name.clone()));
    assert_eq!(history.sql("show work_mem"), "5MB");
    assert!(history.listed().is_empty());
    let comment =
        format!("select shobj_description(oid, 'pg_database') from pg_database where datname = '{name}'");
    assert_eq!(history.sql(&comment), "the live one");

    history.disaster(&["--disconnect"]).success();
    history.unfinished(&["finish"]).success();
    assert_eq!((history.orders().as_str(), history.databases()), ("100", name.clone()));
    let record = history.pggit(&["backup", "show", "good", "--json"]).success().json();
    let restores = record["restores"].as_array().unwrap();
    assert_eq!(
        restores.iter().map(|one| &one["mode"]).collect::<Vec<_>>(),
        ["disaster", "disaster"],
        "{record}"
    );
    assert_eq!(restores[1]["details"]["schema"], "equal", "{record}");
    assert!(history.listed().is_empty());
    // A database that does not exist cannot be replaced.
    history.disaster(&["--into", "never_was"]).fails(10);
    // A restore that fails before the replacement changes nothing.
    history.commit("0003_wrong.sql", "create table wrong (id nonsense);");
    history.disaster(&["--disconnect"]).fails(13);
    assert_eq!((history.databases(), history.listed().len()), (name, 0));
}

#[test]
fn who_dies_while_a_database_is_replaced_leaves_one_of_the_two() {
    let history = harmed();
    let points = [
        ("recovery.in-place.begun", "old"),
        ("recovery.loaded", "old"),
        ("recovery.renamed", "old"),
        ("recovery.in-place.made", "old"),
        ("recovery.in-place.ready", "old"),
        ("recovery.swap.prepared", "old"),
        ("recovery.swap.renamed", "old"),
        ("recovery.in-place.moved", "new"),
        ("recovery.in-place.replaced", "new"),
    ];
    let ways = ["abort", "resume"];
    for (number, (point, in_place)) in points.into_iter().enumerate() {
        // Each way is tested half of the time; the long form tests both.
        for way in ways.into_iter().filter(|way| kills() == 200 || *way == ways[number % 2]) {
            let mut command = history.sandbox.pggit_command();
            command.args(["backup", "restore", "HEAD", "--in-place", "--force", "--disconnect"]);
            let died = history.sandbox.output(command.env("PGGIT_CRASH_AT", point));
            assert_ne!(died.status, 0, "{point}");
            let listed = history.listed();
            assert_eq!(listed.len(), 1, "{point}: {}", died.snapshot());
            assert_eq!(listed[0]["in_place"], in_place, "{point}: {listed:?}");
            assert_eq!(history.orders(), if in_place == "old" { "0" } else { "100" }, "{point}");
            history.unfinished(&[way]).success();
            if way == "resume" {
                assert_eq!(history.orders(), "100", "{point}");
                history.unfinished(&["abort"]).success();
            }
            assert_eq!(
                (history.orders(), history.databases()),
                ("0".into(), history.database.clone()),
                "{point}"
            );
            assert!(history.listed().is_empty(), "{point}");
        }
    }
    // An abort or a finish can be interrupted too.
    for (way, point, end) in [
        ("abort", "recovery.swap.renamed", "0"),
        ("abort", "recovery.in-place.put-back", "0"),
        ("finish", "recovery.in-place.finishing", "100"),
        ("finish", "recovery.in-place.removed", "100"),
    ] {
        history.disaster(&["--disconnect"]).success();
        let mut command = history.sandbox.pggit_command();
        let died =
            history.sandbox.output(command.args(["backup", "restore", way]).env("PGGIT_CRASH_AT", point));
        assert_ne!(died.status, 0, "{way} {point}");
        assert_eq!(history.listed().len(), 1);
        let other = if way == "abort" { "finish" } else { "abort" };
        history.unfinished(&[other]).fails(12);
        history.unfinished(&[way]).success();
        assert_eq!((history.orders().as_str(), history.databases()), (end, history.database.clone()));
        history.sql("delete from orders");
    }
}

#[test]
fn a_killed_restore_is_put_back_whatever_temporary_name_it_used() {
    let history = harmed();
    for way in ["abort", "resume"] {
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "restore", "HEAD", "--in-place", "--force", "--disconnect"]);
        assert_ne!(history.sandbox.output(command.env("PGGIT_CRASH_AT", "recovery.loaded")).status, 0);
        // The restore uses another temporary name if the first one is in use.
        let beside = format!("{}~restored", history.database);
        let rename = format!("alter database \"{beside}~pggit\" rename to \"{beside}~2~pggit\"");
        history.cluster.psql("postgres", &rename);
        history.unfinished(&[way]).success();
        if way == "resume" {
            history.unfinished(&["abort"]).success();
        }
        assert_eq!(history.databases(), history.database, "{way}");
    }
}

#[test]
fn a_database_restored_in_place_under_kills_is_always_the_old_or_the_new_one() {
    let history = harmed();
    let begun = Instant::now();
    history.disaster(&["--disconnect"]).success();
    let life = begun.elapsed();
    history.unfinished(&["abort"]).success();
    let mut chance = Chance(0xD15A_57E2);
    let (mut old, mut new) = (0, 0);
    for round in 0..kills() {
        let way: &[&str] = match (history.listed().first(), chance.below(3)) {
            (None, _) => &["HEAD", "--in-place", "--force", "--disconnect"],
            (Some(_), 0) => &["abort"],
            (Some(open), 1) if open["stage"] == "replaced" => &["finish"],
            (Some(_), _) => &["resume"],
        };
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "restore"]).args(way).stdout(Stdio::null()).stderr(Stdio::null());
        // On a busy machine every process may be killed too early. Then one is not killed.
        if new == 0 && round > kills() / 2 {
            command.status().unwrap();
        } else {
            killed_after(&mut command.spawn().unwrap(), life * chance.below(1000) as u32 / 800);
        }
        let orders = history.orders();
        assert!(orders == "0" || orders == "100", "round {round}: {orders}");
        *(if orders == "0" { &mut old } else { &mut new }) += 1;
        match history.listed().first() {
            // The listed state agrees with the content of the database.
            Some(open) => {
                let is_new = open["in_place"] == "new";
                assert!(is_new || open["in_place"] == "old", "round {round}: {open}");
                assert_eq!(orders, if is_new { "100" } else { "0" }, "round {round}: {open}");
            }
            // The restore is finished: the next round begins with another loss of data.
            None => {
                history.sql("delete from orders");
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
    if let Some(open) = history.listed().first() {
        let stage = if open["stage"] == "finishing" { "finish" } else { "abort" };
        history.unfinished(&[stage]).success();
    }
    assert_eq!(history.databases(), history.database);
}

/// Starts a cluster with a physical backup of it, and deletes orders afterwards.
fn cluster() -> (History, PathBuf) {
    let history = History::on(Arc::new(Options::default().start()));
    history.pggit(&["backup", "create", "--tool", "pg_basebackup", "--name", "copy"]).success();
    history.sql("delete from orders");
    history.cluster.psql("postgres", "checkpoint");
    let data = history.cluster.dir().join("data");
    (history, data)
}

fn beside(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("data")).collect();
    names.sort();
    names
}

#[test]
fn a_data_directory_is_replaced_when_no_server_runs_on_it() {
    let (history, data) = cluster();
    let to = ["copy", "--to", data.to_str().unwrap(), "--in-place"];
    let disaster = |more: &[&str]| history.unfinished(&[&to, more].concat());
    let said = disaster(&["--force"]).fails(12).stderr_text();
    assert!(said.contains("stop the server first"), "{said}");
    history.cluster.stop();
    disaster(&[]).fails(129);
    disaster(&["--force"]).success();
    assert_eq!(beside(&data), ["data", "data.pggit-old"]);
    history.cluster.start_again();
    assert_eq!(history.orders(), "100");
    let said = history.unfinished(&["abort"]).fails(12).stderr_text();
    assert!(said.contains("stop the server first"), "{said}");
    for way in ["resume", "abort", "finish"] {
        let said = history.unfinished(&[way, "--disconnect"]).fails(129).stderr_text();
        assert!(said.contains("--disconnect has no effect on restore"), "{way}: {said}");
        assert_eq!((beside(&data).join(" ").as_str(), history.listed().len()), ("data data.pggit-old", 1));
    }
    history.cluster.stop();
    history.unfinished(&["abort"]).success();
    assert_eq!(beside(&data), ["data"]);
    history.cluster.start_again();
    assert_eq!(history.orders(), "0");
    history.cluster.psql("postgres", "checkpoint");
    history.cluster.stop();
    disaster(&["--force"]).success();
    history.unfinished(&["finish"]).success();
    assert_eq!(beside(&data), ["data"]);
    history.cluster.start_again();
    assert_eq!(history.orders(), "100");
    history.cluster.stop();
    // Existing files of others are not touched.
    fs::create_dir(data.with_file_name("data.pggit-old")).unwrap();
    assert!(disaster(&["--force"]).fails(12).stderr_text().contains("already exists"));
    let none = data.with_file_name("none");
    let said = history.unfinished(&["copy", "--to", none.to_str().unwrap(), "--in-place", "--force"]);
    assert!(said.fails(12).stderr_text().contains("does not exist"));
}

#[test]
fn what_is_resumed_means_what_it_meant_then_and_there() {
    let (history, data) = cluster();
    history.cluster.stop();
    let mut command = history.sandbox.pggit_command();
    command.args(["backup", "restore", "copy", "--to", data.to_str().unwrap(), "--in-place", "--force"]);
    command.args(["--at", "1h", "--tablespace-mapping", "/was\\=here=is/a\\=b", "--wal-store", "log"]);
    let died = history.sandbox.output(command.env("PGGIT_CRASH_AT", "recovery.in-place.begun"));
    assert_ne!(died.status, 0);
    let id = history.listed()[0]["id"].as_str().unwrap().to_owned();
    let journal = history.sandbox.repo().join(".git/pggit/restores").join(id).join("journal.json");
    let read = || serde_json::from_slice::<Value>(&fs::read(&journal).unwrap()).unwrap();
    let request = read()["request"].clone();
    let repo = history.sandbox.repo().canonicalize().unwrap();
    let destination = &request["destination"]["directory"];
    let at = destination["until"]["time"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() >= 20, "{request:#}");
    let log = destination["wal_store"].as_str().unwrap();
    assert!(log.starts_with("file:///") && log.ends_with("/log"), "{request:#}");
    let mapping: [String; 2] = serde_json::from_value(destination["tablespaces"][0].clone()).unwrap();
    assert_eq!(mapping, ["/was=here".to_owned(), format!("{}/is/a=b", repo.display())]);
    // A request of an unknown version is refused.
    let mut other = read();
    other["request"]["version"] = 2.into();
    let own = fs::read(&journal).unwrap();
    fs::write(&journal, other.to_string()).unwrap();
    for way in ["resume", "abort", "finish"] {
        let said = history.unfinished(&[way]).fails(16).stderr_text();
        assert!(said.contains("another version of git-pggit began the restore"), "{said}");
    }
    assert!(history.listed()[0]["error"].as_str().unwrap().contains("another version"));
    fs::write(&journal, own).unwrap();
    history.unfinished(&["abort"]).success();
    assert_eq!(beside(&data), ["data"]);
}

#[test]
fn a_data_directory_replaced_under_kills_is_always_the_old_or_the_new_one() {
    let (history, data) = cluster();
    history.cluster.stop();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let old = inode(&data);
    let begun = Instant::now();
    let to = ["copy", "--to", data.to_str().unwrap(), "--in-place", "--force"];
    history.unfinished(&to).success();
    let life = begun.elapsed();
    history.unfinished(&["abort"]).success();
    assert_eq!(inode(&data), old);
    let mut chance = Chance(0xC1A5_7E12);
    let points =
        ["recovery.step", "recovery.in-place.made", "recovery.in-place.moved", "recovery.in-place.put-back"];
    for round in 0..kills() {
        let open = history.listed();
        let way: &[&str] = match (open.first(), chance.below(2)) {
            (None, _) => &to,
            (Some(_), 0) => &["abort"],
            (Some(_), _) => &["resume"],
        };
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "restore"]).args(way).stdout(Stdio::null()).stderr(Stdio::null());
        // Half of them are killed at critical points.
        if chance.below(2) == 0 {
            command.env("PGGIT_CRASH_AT", points[chance.below(points.len() as u64) as usize]);
            let _ = command.status().unwrap();
        } else {
            killed_after(&mut command.spawn().unwrap(), life * chance.below(1000) as u32 / 800);
        }
        let is_old = inode(&data) == old;
        assert!(
            data.join("PG_VERSION").is_file() && data.join("global/pg_control").is_file(),
            "round {round}"
        );
        match history.listed().first() {
            Some(open) => {
                assert_eq!(open["in_place"], if is_old { "old" } else { "new" }, "round {round}: {open}");
            }
            None => assert!(is_old, "round {round}"),
        }
    }
    if !history.listed().is_empty() {
        history.unfinished(&["abort"]).success();
    }
    assert_eq!((inode(&data), beside(&data)), (old, vec!["data".to_owned()]));
    history.cluster.start_again();
    assert_eq!(history.orders(), "0");
}

#[test]
fn a_person_has_to_type_what_is_replaced() {
    let history = harmed();
    let name = history.database.clone();
    let run = |answer: &str| {
        // `script` gives the program a terminal.
        let program = env!("CARGO_BIN_EXE_git-pggit");
        let line = format!("{program} backup restore HEAD --in-place --force --disconnect");
        let mut command = history.sandbox.command("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(history.sandbox.repo())
            .spawn()
            .unwrap();
        use std::io::Write as _;
        child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, text) = run("yes");
    assert!(text.contains(&format!("type {name} to continue")), "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    assert_eq!((status, history.orders().as_str(), history.listed().len()), (Some(1), "0", 0));
    let (status, text) = run(&name);
    assert_eq!((status, history.orders().as_str()), (Some(0), "100"), "{text}");
}

#[test]
fn only_a_whole_one_is_put_in_place() {
    use pggit::recovery::restore::replace::Replacement;
    use pggit::recovery::restore::{
        DatabaseDestination, Destination, DirectoryDestination, Refusal, RestoreRequest,
    };
    use pggit::recovery::{Archiving, Error};
    use pggit::workspace::{Reporter, Workspace};

    struct Silent;
    impl Reporter for Silent {
        fn warning(&self, _: &str) {}
        fn hint(&self, _: &str) {}
        fn status(&self, _: &str) {}
    }

    let directory = tempfile::tempdir().unwrap();
    let environment = pggit::config::Environment::default();
    let clock = Arc::new(pggit::clock::System);
    let workspace = Workspace::new(Arc::new(Silent), environment, clock, directory.path().to_owned());
    let database = DatabaseDestination::default;
    let cluster = DirectoryDestination {
        path: directory.path().join("data"),
        tablespaces: Vec::new(),
        archiving: Archiving::Off,
        until: pggit::domain::RecoveryTarget::Immediate,
        wal_store: None,
        check_schema: false,
        start: true,
    };
    for destination in [
        Destination::Database(DatabaseDestination { tables: vec!["t".parse().unwrap()], ..database() }),
        Destination::Database(DatabaseDestination { schemas: vec!["s".to_owned()], ..database() }),
        Destination::Database(DatabaseDestination { from_database: Some("d".to_owned()), ..database() }),
        Destination::Directory(cluster),
    ] {
        match Replacement::new(RestoreRequest::new("latest", destination), &workspace) {
            Err(Error::Refused(refusal)) => assert!(matches!(*refusal, Refusal::NotWhole), "{refusal}"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("the request is accepted"),
        }
    }
}
