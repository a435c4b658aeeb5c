//! Restore tests that fail for other reasons than the backup.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Tested, servers_in};
use crate::tmpfs::Tmpfs;

const RESTORE_TEST: [&str; 4] = ["--latest", "--kind", "restore-test", "--force"];

#[test]
fn what_keeps_a_test_from_being_made_is_an_error_and_no_verdict() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let loud = "echo 'FATAL:  could not create shared memory segment' >&2; exit 1";
    for (program, script, status, words) in [
        ("initdb", "echo 'initdb: error: no luck' >&2; exit 1", 13, "no luck"),
        (
            "postgres",
            loud,
            13,
            "the scratch cluster does not start: FATAL:  could not create shared memory segment",
        ),
        ("pg_restore", "kill -9 $$", 1, "cannot be restored"),
        (
            "pg_restore",
            "cat >/dev/null; echo 'pg_restore: error: extension \"x\" is not available' >&2; exit 1",
            13,
            "on this machine",
        ),
        (
            "pg_restore",
            "cat >/dev/null; echo 'pg_restore: error: could not extend file: No space left on device' >&2; exit 1",
            15,
            "No space left",
        ),
    ] {
        tested.with_program(program, script);
        let output = tested.verify(&RESTORE_TEST);
        assert_eq!(output.status, status, "{program} {script}: {}", output.snapshot());
        let said = output.stderr_text() + &output.stdout_text();
        assert!(said.contains(words), "{program} {script}: {}", output.snapshot());
        let dir = tested.with_program("psql", "exec $real \"$@\"");
        fs::remove_dir_all(dir).unwrap();
        tested.assert_clean();
    }
    assert_eq!(tested.verifications().len(), 1, "only verdicts about the backup are recorded");
}

#[test]
fn the_server_has_to_be_of_the_same_major_version() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let dir = tested.with_program("initdb", "");
    let text = "#!/bin/sh\necho 'initdb (PostgreSQL) 99.2'\n";
    fs::write(dir.join("initdb"), text).unwrap();
    let output = tested.verify(&RESTORE_TEST).fails(13);
    assert!(output.stderr_text().contains("is installed (there is 99.2)"), "{}", output.snapshot());
    fs::remove_file(dir.join("initdb")).unwrap();
    let output = tested.verify(&RESTORE_TEST).fails(13);
    assert!(output.stderr_text().contains("no initdb of PostgreSQL"), "{}", output.snapshot());
    assert!(output.stderr_text().contains("hint: install the server of PostgreSQL"), "{}", output.snapshot());
    assert_eq!(tested.verifications().len(), 0);
}

#[test]
fn there_is_an_end_to_waiting() {
    let tested = Tested::new();
    tested.back_up(&[]);
    tested.with_program("postgres", "exec sleep 1000");
    let output = tested.verify(&[&RESTORE_TEST[..], &["--timeout", "2s"]].concat()).fails(13);
    assert!(output.stderr_text().contains("timed out after 2 s"), "{}", output.snapshot());
    tested.with_program("postgres", "exec $real \"$@\"");
    tested.with_program("pg_amcheck", "exec sleep 1000");
    let output = tested.verify(&[&RESTORE_TEST[..], &["--timeout", "5s"]].concat()).fails(13);
    assert!(output.stderr_text().contains("timed out after 5 s"), "{}", output.snapshot());
    assert_eq!(tested.verifications().len(), 0);
    tested.assert_clean();
}

#[test]
fn a_full_disk_is_no_fault_of_the_backup() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let Some(small) = Tmpfs::mount("size=32m,mode=755") else { return };
    fs::set_permissions(small.path(), fs::Permissions::from_mode(0o755)).unwrap();
    tested.scratch_in(small.path());
    let output = tested.verify(&RESTORE_TEST).fails(15);
    assert!(output.stderr_text().contains("not enough room in"), "{}", output.snapshot());
    // Compressed data of the source is not compressed in the restored database.
    let shop = &tested.shop;
    let sql = "create table big (a text); insert into big select repeat('x', 20000000) from generate_series(1, 8); \
               alter table big alter a set storage external";
    shop.cluster.psql(&shop.database, sql);
    tested.back_up(&[]);
    let Some(disk) = Tmpfs::mount("size=140m,mode=755") else { return };
    tested.scratch_in(disk.path());
    let output = tested.verify(&RESTORE_TEST).fails(15);
    let said = output.stderr_text();
    assert!(said.contains("could not extend file") || said.contains("No space left on device"), "{said}");
    assert_eq!(tested.verifications().len(), 0);
    assert_eq!(crate::create::names(disk.path()), [""; 0]);
    tested.scratch_in(tested.scratch.path());
}

#[test]
fn a_limit_of_the_scratch_cluster_is_no_verdict() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let killed = "for a in \"$@\"; do case $a in --host=*|--port=*|--username=*) to=\"$to $a\";; esac; done; \
                  sql=\"select pid from pg_stat_activity where backend_type = 'background writer'\"; \
                  kill -9 \"$(\"$(dirname \"$real\")/psql\" $to -XAtc \"$sql\" postgres)\"; sleep 1; exit 1";
    let locks = "cat >/dev/null; echo 'pg_restore: error: could not execute query: ERROR:  out of shared memory' >&2; exit 1";
    let memory = "printf 'heap table \"shop.public.t\":\\n    ERROR:  out of memory\\n'; exit 2";
    for (program, script, status, words) in [
        ("pg_restore", locks, 17, "out of shared memory"),
        ("pg_amcheck", memory, 13, "out of memory"),
        ("pg_amcheck", killed, 13, "a process of the scratch cluster was killed"),
    ] {
        let dir = tested.with_program(program, script);
        let output = tested.verify(&RESTORE_TEST).fails(status);
        assert!(output.stderr_text().contains(words), "{}", output.snapshot());
        assert_eq!(tested.verifications().len(), 0, "{words}");
        tested.assert_clean();
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn ctrl_c_ends_everything_and_records_nothing() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let fifo = tested.shop.sandbox.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o666), 0)
        .unwrap();
    fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666)).unwrap();
    let script = format!("echo running > '{}'; exec sleep 1000", fifo.display());
    for (program, signal) in
        [("initdb", Signal::INT), ("pg_restore", Signal::TERM), ("pg_amcheck", Signal::HUP)]
    {
        let dir = tested.with_program(program, &script);
        let mut command = tested.shop.sandbox.pggit_command();
        command.args(["backup", "verify"]).args(RESTORE_TEST);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = String::new();
        fs::File::open(&fifo).unwrap().read_to_string(&mut running).unwrap();
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{program}: {stderr}");
        assert!(stderr.contains("interrupted"), "{program}: {stderr}");
        tested.assert_clean();
        fs::remove_dir_all(dir).unwrap();
    }
    assert_eq!(tested.verifications().len(), 0);
}

#[test]
fn killed_at_any_step_it_leaves_nothing_that_runs_and_the_next_one_tidies_up() {
    let tested = Tested::new();
    tested.back_up(&[]);
    let points =
        ["verify.scratch-made", "verify.started", "verify.restored", "verify.checked", "verify.judged"];
    for point in points {
        let mut command = tested.shop.sandbox.pggit_command();
        command.args(["backup", "verify"]).args(RESTORE_TEST).env("PGGIT_CRASH_AT", point);
        let output = tested.shop.sandbox.output(&mut command);
        assert_eq!(output.status, -1, "{point} was not reached: {}", output.snapshot());
        // The kernel signals its server, which needs a moment to exit.
        let mut waited = 0;
        while !servers_in(tested.scratch.path()).is_empty() && waited < 2_000 {
            waited += 1;
            crate::cluster::pause();
        }
        assert_eq!(servers_in(tested.scratch.path()), [""; 0], "{point}");
    }
    assert_eq!(tested.verifications().len(), 0, "no verification is recorded");
    let left = fs::read_dir(tested.scratch.path()).unwrap().count();
    assert!(left <= points.len(), "each run tidies up behind the one before");
    tested.verify(&RESTORE_TEST).success();
    tested.assert_clean();
}

#[test]
fn everybody_can_test_and_not_only_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tested = Tested::new();
    tested.back_up(&[]);
    let (home, scratch) = (tested.shop.sandbox.path(), tested.scratch.path());
    let user = pggit::process::OsUser::named("nobody".as_ref()).unwrap();
    for entry in walkdir::WalkDir::new(home).into_iter().chain(walkdir::WalkDir::new(scratch)).flatten() {
        let _ = chown(entry.path(), Some(user.uid), Some(user.gid));
    }
    let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
    let mut command = tested.shop.sandbox.command("setpriv");
    command.args(ids).args(["--clear-groups", "--", env!("CARGO_BIN_EXE_git-pggit"), "backup", "verify"]);
    let output = tested.shop.sandbox.output(command.args(RESTORE_TEST).arg("--json"));
    assert_eq!(output.status, 0, "{}", output.snapshot());
    assert_eq!(output.json()["verifications"][0]["status"], json!("passed"), "{}", output.snapshot());
    tested.assert_clean();
}

#[test]
fn as_whom_it_runs_can_be_chosen() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tested = Tested::new();
    tested.back_up(&[]);
    for (user, status, said) in [
        ("nobody", 0, ""),
        ("no-such-user", 19, "useradd --system --no-create-home --shell /usr/sbin/nologin pggit-scratch"),
        ("root", 19, "other than root"),
        // This user owns the running server of the test, which code in the backup could then control.
        ("postgres", 19, "cannot be run as `postgres`, who owns a running server (process "),
    ] {
        tested.shop.sandbox.git(["config", "pggit.scratchUser", user]);
        let output = tested.verify(&RESTORE_TEST);
        assert_eq!(output.status, status, "{user}: {}", output.snapshot());
        assert!(output.stderr_text().contains(said), "{user}: {}", output.snapshot());
        let doctor = tested.shop.pggit(&["doctor"]).stdout_text();
        assert_eq!(doctor.contains("restore tests: "), status != 0 && user != "root", "{user}: {doctor}");
    }
    assert_eq!(tested.verifications().len(), 1);
    tested.assert_clean();
}

/// Returns true if a process has ended, even if it has not been reaped.
fn is_gone(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn nothing_that_a_dump_has_started_outlives_the_test() {
    let tested = Tested::new();
    let dir = tempfile::Builder::new().prefix("pgl").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (script, pid) = (dir.path().join("leave"), dir.path().join("pid"));
    // The process leaves its parent, its group and its session. As another user it also clears its
    // environment.
    let env = if rustix::process::geteuid().is_root() { "env -i" } else { "" };
    let text = format!(
        "#!/bin/sh\n(setsid {env} /bin/sh -c 'echo $$ > {pid}; exec sleep 1000' </dev/null >/dev/null 2>&1 &)\n\
         while [ ! -s {pid} ]; do :; done\ncat >/dev/null\n",
        pid = pid.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // The function acts only in the scratch cluster, which has another value of max_connections.
    let sql = format!(
        "create function leave() returns int language plpgsql as $$ begin \
         if current_setting('max_connections') = '20' then copy (select 1) to program '{}'; end if; return 1; end $$; \
         create materialized view started as select leave()",
        script.display()
    );
    tested.shop.cluster.psql(&tested.shop.database, &sql);
    tested.back_up(&[]);
    assert!(!pid.exists());
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict:#}");
    let left = fs::read_to_string(&pid).expect("it was started");
    assert!(is_gone(left.trim()), "process {left} outlives the test");
    tested.assert_clean();
}
