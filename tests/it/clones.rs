//! `git pggit with`, `checkout`, `clone` and `backup guard`.

use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::bin_dir;
use crate::restore_commit::History;
use crate::sandbox::Output;

fn psql() -> String {
    bin_dir().join("psql").display().to_string()
}

/// Returns `psql -c <sql>`, for a command that sets the connection.
fn asking(sql: &str) -> [String; 5] {
    [psql(), "-XAtq".into(), "-v".into(), "ON_ERROR_STOP=1".into(), format!("-c{sql}")]
}

fn with(history: &History, args: &[&str], command: &[String]) -> Output {
    let command = command.iter().map(String::as_str);
    history.pggit(&[&["with"], args, &["--"]].concat().into_iter().chain(command).collect::<Vec<_>>())
}

fn databases(history: &History) -> String {
    let sql = "select datname from pg_database where datname like 'pggit\\_%' or datname like 'shop\\_%' or datname like $$%~%$$ order by 1";
    let mine = format!("select 1 from pg_database where datname = '{}'", history.database);
    assert_eq!(history.cluster.psql("postgres", &mine), "1");
    history.cluster.psql("postgres", sql)
}

/// Starts a server for one test, because other tests make clones too.
fn alone() -> History {
    History::on(crate::cluster::Cluster::start().into())
}

#[test]
fn a_program_runs_on_a_copy_that_is_gone_afterwards() {
    let history = alone();
    history.backup("first");
    history.commit("0002_items.sql", "create table items (id int);");
    let count = asking(
        "select count(*), to_regclass('items') is not null, current_setting('pggit.commit') from orders",
    );
    let said = with(&history, &["HEAD"], &count).success().stdout_text();
    assert_eq!(said.trim(), format!("100|t|{}", history.sandbox.git(["rev-parse", "HEAD"])));
    let url =
        ["sh", "-c", "exec \"$0\" -XAtqc 'select current_database() like $$pggit\\_%$$' \"$DATABASE_URL\""];
    let url = [&url.map(str::to_owned)[..], &[psql()]].concat();
    assert_eq!(with(&history, &["HEAD~1"], &url).success().stdout_text().trim(), "t");

    // Sessions are read-only by default, and never connect to the original.
    let deletes = asking("delete from orders returning 1");
    let said = with(&history, &["HEAD"], &deletes).fails(1).stderr_text();
    assert!(said.contains("read-only transaction"), "{said}");
    with(&history, &["HEAD", "--writable"], &deletes).success();
    assert_eq!(history.sql("select count(*) from orders"), "100");
    with(&history, &["HEAD"], &["sh".into(), "-c".into(), "exit 42".into()]).fails(42);
    with(&history, &["HEAD"], &["sh".into(), "-c".into(), "kill -9 $$".into()]).fails(137);
    with(&history, &["HEAD"], &["/nonexistent".into()]).fails(128);
    assert_eq!(databases(&history), "");

    // The exit status for bisect tells a commit that cannot be tested from other failures.
    let empty = history.sandbox.git(["hash-object", "-w", "-t", "tree", "/dev/null"]);
    let orphan = history.sandbox.git(["commit-tree", "-m", "alone", empty.trim()]);
    with(&history, &[&orphan], &count).fails(125);
    with(&history, &["HEAD", "--maintenance-db", "postgresql://nobody@127.0.0.1:1/x"], &count).fails(128);
    // An unreadable repository does not mean that the commit cannot be tested.
    history.sandbox.git(["config", "core.repositoryFormatVersion", "1"]);
    history.sandbox.git(["config", "extensions.partialClone", "origin"]);
    with(&history, &["HEAD"], &count).fails(128);
}

#[test]
fn a_bisect_finds_the_commit_that_broke_the_data() {
    let history = alone();
    history.backup("first");
    history.commit("0002.sql", "create table a (id int);");
    let bad = history.commit("0003.sql", "delete from orders where id > 50;");
    history.commit("0004.sql", "create table b (id int);");
    history.commit("0005.sql", "create table c (id int);");
    let program = format!("{} -XAtqc 'select 1 / (count(*) / 100) from orders' -v ON_ERROR_STOP=1", psql());
    let ours = env!("CARGO_BIN_EXE_git-pggit");
    history.sandbox.git(["bisect", "start", "HEAD", "HEAD~4"]);
    let said = history.sandbox.git(["bisect", "run", ours, "with", "HEAD", "--", "sh", "-c", &program]);
    assert!(said.contains(&format!("{bad} is the first bad commit")), "{said}");
    assert_eq!(databases(&history), "");
}

#[test]
fn a_copy_stays_until_it_is_stopped_and_nothing_else_is_dropped() {
    let history = alone();
    history.backup("first");
    let made = history.pggit(&["checkout", "HEAD", "--json"]).success().json();
    let name = made["dbname"].as_str().unwrap().to_owned();
    assert_eq!(history.cluster.psql(&name, "select count(*) from orders"), "100");
    history.cluster.psql(&name, "delete from orders");
    history.pggit(&["checkout", "HEAD"]).fails(12);
    let list = history.pggit(&["clone", "list", "--json"]).success().json();
    assert_eq!(
        (&list["clones"][0]["dbname"], &list["clones"][0]["state"]),
        (&name.clone().into(), &"kept".into())
    );
    for other in [history.database.as_str(), "postgres", "no such", "-x; drop database postgres"] {
        history.pggit(&["clone", "remove", "--", other]).fails(10);
    }
    history.pggit(&["clone", "remove", &name]).success();
    assert_eq!(databases(&history), "");
    history.pggit(&["checkout", "HEAD", "--name", "shop_it's \"mine\"", "--read-only"]).success();
    history.pggit(&["clone", "remove", "--all"]).success();
    assert_eq!(databases(&history), "");
}

#[test]
fn a_copy_of_a_process_that_died_is_dropped_by_the_next() {
    let history = alone();
    history.backup("first");
    for point in ["recovery.loaded", "with.made"] {
        let mut command = history.sandbox.pggit_command();
        command.args(["with", "HEAD", "--", "true"]).env("PGGIT_CRASH_AT", point);
        assert_ne!(history.sandbox.output(&mut command).status, 0);
    }
    let list = history.pggit(&["clone", "list", "--json"]).success().json();
    assert_eq!(list["clones"][0]["state"], "abandoned");
    let said = with(&history, &["HEAD"], &["true".into()]).success().stderr_text();
    assert!(said.contains("which a crashed process left over"), "{said}");
    let left = databases(&history);
    assert!(left.lines().all(|name| name.ends_with("~pggit")) && left.lines().count() <= 1, "{left}");
}

#[test]
fn data_is_masked_before_anybody_can_connect() {
    let history = alone();
    history.backup("first");
    history.sandbox.git(["config", "pggit.shop.maskScript", "mask.sql"]);
    let count = asking("select count(*) filter (where note <> 'masked') from orders");
    let said = with(&history, &["HEAD"], &count).fails(125).stderr_text();
    assert!(said.contains("has no mask.sql, which has to mask the data"), "{said}");
    history.sandbox.commit("mask.sql", "update orders set note = 'masked'; select pg_sleep(0);", "mask");
    assert_eq!(with(&history, &["HEAD"], &count).success().stdout_text().trim(), "0");
    history.sandbox.commit("mask.sql", "update orders set nonsense = 1", "a mask that fails");
    with(&history, &["HEAD"], &count).fails(128);
    assert_eq!(databases(&history), "");
    // The committed configuration of a clone does not choose the scripts that run.
    history.sandbox.git(["config", "--unset", "pggit.shop.maskScript"]);
    history.sandbox.commit(".pggitconfig", "[pggit \"shop\"]\n\tmaskScript = mask.sql\n", "policy");
    assert_ne!(with(&history, &["HEAD"], &count).stdout_text().trim(), "0");
}

fn guard(history: &History, args: &[&str], script: &str) -> Output {
    let script = format!("psql={}; {script}", psql());
    history.pggit(&[&["backup", "guard"], args, &["--", "sh", "-c", &script]].concat())
}

/// The statements that a migration runs before it fails.
const BREAKS: &str = "$psql -Xqc 'drop table orders; create table broken ()'";

#[test]
fn a_migration_that_fails_is_undone_and_one_that_succeeds_stays() {
    let history = alone();
    let name = history.database.clone();
    let settings = [
        format!("alter database \"{name}\" set search_path = \"a b\", public"),
        format!("alter database \"{name}\" set my.thing = 'it''s'"),
        format!("alter database \"{name}\" connection limit 7"),
        "create role reader".to_owned(),
        format!("revoke connect on database \"{name}\" from public"),
        format!("grant connect on database \"{name}\" to reader with grant option"),
        format!("alter role reader in database \"{name}\" set work_mem = '5MB'"),
    ];
    settings.iter().for_each(|sql| drop(history.cluster.psql("postgres", sql)));
    let properties = || {
        history.cluster.psql(
            "postgres",
            &format!(
                "select datconnlimit, (select array_agg(a order by a::text) from unnest(datacl) a), (select array_agg(setrole::regrole || array_to_string(setconfig, ';') order by 1)
                 from pg_db_role_setting where setdatabase = d.oid) from pg_database d where datname = '{name}'"
            ),
        )
    };
    let before = properties();
    let said = guard(&history, &[], &format!("{BREAKS}; exit 7")).fails(7).stderr_text();
    assert!(said.contains("is as it was before the migration"), "{said}");
    assert_eq!(history.sql("select count(*) from orders"), "100");
    assert_eq!(properties(), before);
    let aside = databases(&history);
    assert!(aside.contains("~failed-") && aside.lines().count() == 1, "{aside}");
    assert_eq!(history.cluster.psql(&aside, "select to_regclass('broken') is not null"), "t");

    // This usually happens in the same second as the first failure.
    let said =
        guard(&history, &["--check", "select count(*) = 99 from orders"], "true").fails(1).stderr_text();
    assert!(said.contains("the check returned f, not true"), "{said}");
    let left = databases(&history);
    assert_eq!(left.lines().filter(|name| name.contains("~failed-")).count(), 2, "{left}");
    left.lines()
        .for_each(|name| drop(history.cluster.psql("postgres", &format!("drop database \"{name}\""))));
    guard(&history, &["--check", "select count(*) = 0 from orders"], "$psql -Xqc 'delete from orders'")
        .success();
    assert_eq!(
        (history.sql("select count(*) from orders"), databases(&history)),
        ("0".into(), String::new())
    );
}

#[test]
fn others_are_not_thrown_out_unless_it_is_said() {
    let history = alone();
    let session = |history: &History| {
        let mut command = history.sandbox.command(psql());
        command.args(["-XAtqd", &history.cluster.url(&history.database)]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        use std::io::{BufRead as _, Write as _};
        child.stdin.as_mut().unwrap().write_all(b"select 'here';\n").unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        child
    };
    let mut child = session(&history);
    let said = guard(&history, &[], BREAKS).fails(12).stderr_text();
    assert!(said.contains("1 other session(s) are connected"), "{said}");
    assert_eq!(history.sql("select count(*) from orders"), "100");
    guard(&history, &["--disconnect"], &format!("{BREAKS}; false")).fails(1);
    assert_eq!(history.sql("select count(*) from orders"), "100");
    drop(child.stdin.take());
    child.wait().unwrap();
    history.cluster.psql("postgres", &format!("drop database \"{}\"", databases(&history)));

    // A session that connects while the migration runs keeps the databases from being renamed.
    let dir: PathBuf = history.sandbox.path().to_owned();
    let url = history.cluster.url(&history.database);
    let comes = format!(
        "mkfifo '{0}/in'; (exec $psql -XAtqd '{url}' <'{0}/in' >'{0}/out' 2>&1) & exec 3>'{0}/in'; \
         echo 'select 1;' >&3; until grep -q 1 '{0}/out'; do :; done; sleep 100 >'{0}/out2' 2>&1 & echo $! >'{0}/pid'; false",
        dir.display()
    );
    let said = guard(&history, &[], &comes).fails(1).stderr_text();
    assert!(
        said.contains("is still in the state after the failed migration") && said.contains("RENAME TO"),
        "{said}"
    );
    assert!(databases(&history).contains("~before-"), "{}", databases(&history));
    let pid = std::fs::read_to_string(dir.join("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_backup_is_used_again_only_while_nothing_has_changed() {
    let history = alone();
    let backups = || history.pggit(&["backup", "list", "--ids"]).success().stdout_text().lines().count();
    for (script, expected) in [
        ("true", 1),
        ("true", 1),
        ("$psql -Xqc 'update orders set note = note where id = 1'", 1),
        ("$psql -Xqc 'select 1'", 2),
        ("$psql -Xqd postgres -c 'create table elsewhere ()'", 2),
        ("true", 3),
    ] {
        guard(&history, &["--reuse"], script).success();
        assert_eq!(backups(), expected, "{script}");
    }
    guard(&history, &[], "true").success();
    assert_eq!(backups(), 4);
}

#[test]
fn a_guard_that_is_killed_while_names_change_leaves_the_old_or_the_new() {
    let history = alone();
    for point in ["recovery.loaded", "recovery.renamed", "recovery.swap.prepared", "recovery.swap.renamed"] {
        history.sql("drop table if exists broken; create table if not exists orders (id int)");
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "guard", "--", "sh", "-c", &format!("psql={}; {BREAKS}; false", psql())]);
        let output = history.sandbox.output(command.env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point}: {}", output.snapshot());
        let state = history.sql("select to_regclass('orders') is null, to_regclass('broken') is null");
        assert!(["t|f", "f|t"].contains(&state.as_str()), "{point}: {state}");
    }
}
