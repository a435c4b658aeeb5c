//! `git pggit schedule`: scheduled runs, due runs, and the output for other schedulers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::Sandbox;

/// Makes a repository with one commit and the databases `shop` and `stats`.
fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    let _ = sandbox.commit("0001.sql", "create table a ();", "one");
    for name in ["shop", "stats"] {
        sandbox.git(["config", &format!("pggit.{name}.url"), "service=x"]);
    }
    sandbox
}

#[test]
fn nothing_is_scheduled_unless_somebody_says_so() {
    assert_eq!(
        shop().pggit(["schedule", "list"]).snapshot(),
        "[stderr]\nhint: nothing is scheduled; 'git config pggit.shop.schedule daily' makes a backup every night\n[exit 0]\n"
    );
    let empty = shop().pggit(["schedule", "next", "--json"]).success().json();
    assert_eq!(empty, serde_json::json!({ "runs": [] }));
}

#[test]
fn what_was_never_backed_up_is_due_and_what_was_is_not() {
    let sandbox = shop();
    sandbox.git(["config", "pggit.shop.schedule", "* * * * * tool=pg_dump"]);
    sandbox.git(["config", "pggit.shop.missedAfter", "1d"]);
    let state = || {
        let list = sandbox.pggit(["schedule", "list", "--json"]).success().json();
        let one = list["schedules"][0].clone();
        assert_eq!((&one["database"], &one["cron"]), (&"shop".into(), &"* * * * *".into()));
        assert!(one["next"].as_str() > one["slot"].as_str());
        one["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "missed");
    let _ = sandbox
        .pggit([
            "backup",
            "register",
            "-d",
            "shop",
            "--tool",
            "pg_basebackup",
            "--location",
            "file:///x",
            "--size",
            "1",
        ])
        .success();
    assert_eq!(state(), "missed", "another tool does not count");
    sandbox.git(["config", "pggit.shop.schedule", "0 0 1 1 *"]);
    let _ = sandbox
        .pggit([
            "backup",
            "register",
            "-d",
            "shop",
            "--tool",
            "pg_dump",
            "--location",
            "file:///x",
            "--size",
            "1",
        ])
        .success();
    let list = sandbox.pggit(["schedule", "list", "--json"]).success().json();
    assert_eq!(list["schedules"][0]["state"], "ok", "{list:#}");
}

#[test]
fn the_next_runs_of_all_databases_come_in_order() {
    let sandbox = shop();
    sandbox.git(["config", "pggit.shop.schedule", "30 2 * * * jitter=0"]);
    sandbox.git(["config", "--add", "pggit.shop.schedule", "daily jitter=0"]);
    sandbox.git(["config", "pggit.stats.schedule", "0 2 * * *"]);
    sandbox.git(["config", "pggit.timezone", "Europe/Berlin"]);
    sandbox.git(["config", "pggit.stats.timezone", "America/New_York"]);
    let json = sandbox.pggit(["schedule", "next", "-n", "5", "--json"]).success().json();
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 5);
    let times: Vec<_> = runs.iter().map(|run| run["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let only = sandbox.pggit(["schedule", "next", "--database", "stats"]).success();
    assert!(only.stdout_text().lines().skip(1).all(|line| line.contains("02:00 E")), "{}", only.snapshot());
}

#[test]
fn a_broken_schedule_of_one_database_does_not_hide_the_others() {
    let sandbox = shop();
    sandbox.git(["config", "pggit.shop.schedule", "nightly"]);
    sandbox.git(["config", "pggit.stats.schedule", "weekly"]);
    let output = sandbox.pggit(["schedule", "list"]).success();
    let stderr = output.stderr_text();
    assert!(
        stderr.contains("warning: database shop: bad value 'nightly' for pggit.shop.schedule"),
        "{stderr}"
    );
    assert!(stderr.contains("expected one of daily, weekly"), "{stderr}");
    assert!(output.stdout_text().contains("stats"));
    let _ = sandbox.pggit(["schedule", "list", "--database", "shop"]).fails(19);
    sandbox.git(["config", "pggit.shop.schedule", "daily tool=pg_dmp"]);
    let stderr = sandbox.pggit(["schedule", "list", "-d", "shop"]).fails(19).stderr_text();
    assert!(stderr.contains("there is no tool 'pg_dmp'"), "{stderr}");
}

/// Units for a repository, a program and a database with hostile names.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let mut sandbox = shop();
    let hostile = sandbox.path().join("it's 100% \"$HOME\" \\ {now;}");
    fs::create_dir_all(hostile.join("bin")).unwrap();
    fs::rename(sandbox.repo(), hostile.join("repo")).unwrap();
    let name = "shop.eu-1_b";
    let repo = hostile.join("repo");
    let git = |args: &[&str]| {
        let output = sandbox.output(sandbox.command("git").arg("-C").arg(&repo).args(args)).success();
        assert_eq!(output.stderr_text(), "");
    };
    git(&["config", &format!("pggit.{name}.schedule"), "0 4 13 * fri type=full tool=pg_dump"]);
    git(&["config", "--add", &format!("pggit.{name}.schedule"), "quarterly"]);
    git(&["config", "pggit.timezone", "America/Argentina/Buenos_Aires"]);
    // A program with a hostile name prints its arguments.
    let program = hostile.join("bin").join("a 'program' %n $x");
    fs::write(&program, "#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let units = sandbox.path().join("units");
    fs::create_dir(&units).unwrap();
    let mut pggit = sandbox.pggit_command();
    pggit.arg("-C").arg(&repo).args(["schedule", "systemd", "-d", name, "--dir"]).arg(&units);
    let _ = sandbox.output(pggit.arg("--program").arg(&program)).success();
    let mut files: Vec<_> = fs::read_dir(&units).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 4, "{files:?}");
    sandbox.set("SYSTEMD_LOG_LEVEL", "warning");
    let mut verify = sandbox.command("systemd-analyze");
    let verified = sandbox.output(verify.args(["verify", "--man=no"]).args(&files)).success();
    assert_eq!(verified.snapshot(), "[exit 0]\n");
    let service = fs::read_to_string(&files[0]).unwrap();
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(line.contains("%%n $$x") && line.contains("\\\"$$HOME\\\" \\\\ {now;}"), "{line}");
    assert!(service.contains("Environment=\"GIT_CONFIG_VALUE_0=pg_dump\""), "{service}");
    let timer = fs::read_to_string(&files[1]).unwrap();
    assert!(timer.contains("OnCalendar=Fri *-*-* 4:0:00 America/Argentina/Buenos_Aires\n"), "{timer}");
    assert!(fs::read_to_string(&files[3]).unwrap().contains("OnCalendar=*-1,4,7,10-1 5:0:00"));
}

/// The unit in the documentation, with an existing program.
#[test]
fn systemd_finds_nothing_wrong_with_the_worker() {
    let mut sandbox = shop();
    let written = include_str!("../../docs/systemd/git-pggit-worker@.service");
    let program = sandbox.path().join("git-pggit");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_git-pggit"), &program).unwrap();
    let text = written.replace("/usr/local/bin/git-pggit", program.to_str().unwrap());
    let unit = sandbox.path().join("git-pggit-worker@srv-shop.git.service");
    // The reader of the documentation has to create the user.
    fs::write(&unit, text.replace("User=backup\n", "")).unwrap();
    sandbox.set("SYSTEMD_LOG_LEVEL", "warning");
    let mut verify = sandbox.command("systemd-analyze");
    let verified = sandbox.output(verify.args(["verify", "--man=no"]).arg(&unit)).success();
    assert_eq!(verified.snapshot(), "[exit 0]\n");
}

#[test]
fn cron_is_given_lines_that_its_shell_reads_right() {
    let sandbox = shop();
    let hostile = sandbox.path().join("it's 100% $HOME");
    fs::rename(sandbox.repo(), &hostile).unwrap();
    let pggit = |args: &[&str]| {
        let mut pggit = sandbox.pggit_command();
        sandbox.output(pggit.arg("-C").arg(&hostile).args(args))
    };
    let git = |args: &[&str]| {
        let _ = sandbox.output(sandbox.command("git").arg("-C").arg(&hostile).args(args)).success();
    };
    git(&["config", "pggit.shop.schedule", "30 2 * * mon-fri tool=pg_dump"]);
    git(&["config", "pggit.timezone", "Europe/Berlin"]);
    let text = pggit(&["schedule", "cron", "--program", "/usr/bin/printf"]).success().stdout_text();
    let [zone, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(zone, "CRON_TZ=Europe/Berlin");
    let command = line.strip_prefix("30 2 * * mon-fri ").unwrap();
    // cron turns `\%` into `%` and passes the line to a shell.
    assert!(!command.replace("\\%", "").contains('%'), "{command}");
    let shown = command.replace("\\%", "%").replacen("/usr/bin/printf -C", "/usr/bin/printf '%s\\n' -C", 1);
    let words = sandbox.output(sandbox.command("sh").arg("-c").arg(shown)).success().stdout_text();
    let expected = format!("-C\n{}\nbackup\ncreate\n--database\nshop\n", hostile.display());
    assert_eq!(words, expected);
    assert!(command.starts_with("GIT_CONFIG_COUNT=1 "), "{command}");
}
