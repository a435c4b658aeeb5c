//! Programs: their streams, their exit, and their behaviour on signals.
#![expect(clippy::unwrap_used, reason = "functions of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use pggit::process::{self, Cmd, Error, Secret, Status, Stdin, Stdout, interrupt};

fn sh(script: &str) -> Cmd {
    Cmd::new("/bin/sh").arg("-c").arg(script)
}

fn text(cmd: Cmd) -> String {
    String::from_utf8(cmd.run().unwrap().stdout).unwrap()
}

/// Waits until the process `pid` has exited, reaped or not.
fn wait_until_gone(pid: &str) {
    let start = Instant::now();
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    while state().is_some_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(20), "process {pid} still runs");
        crate::cluster::pause();
    }
}

#[test]
fn arguments_and_input_arrive_as_they_are() {
    let hostile = ["-n", "a b", "'; rm -rf /", "$(id)", "\n", ""];
    let out = Cmd::new("printf").arg("[%s]").args(hostile).run().unwrap().stdout;
    assert_eq!(String::from_utf8(out).unwrap(), "[-n][a b]['; rm -rf /][$(id)][\n][]");
    let big = vec![b'x'; 3_000_000];
    assert_eq!(Cmd::new("cat").stdin(Stdin::Bytes(big.clone())).run().unwrap().stdout, big);
    assert_eq!(text(Cmd::new("cat")), "");
    assert_eq!(text(Cmd::new("true").stdin(Stdin::Bytes(big))), "");
}

#[test]
fn streams_can_be_files_and_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let out = fs::File::create(&file).unwrap();
    Cmd::new("pwd").cwd(dir.path()).stdout(Stdout::File(out)).run().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), dir.path().to_str().unwrap());
    let input = fs::File::open(&file).unwrap();
    assert!(text(Cmd::new("cat").stdin(Stdin::File(input))).contains("tmp"));

    let mut running = Cmd::new("cat").stdin(Stdin::Piped).spawn().unwrap();
    let (mut to, mut from) = (running.take_stdin().unwrap(), running.take_stdout().unwrap());
    to.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    from.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
    drop(to);
    assert!(running.finish().unwrap().status.is_success());
}

#[test]
fn a_tool_sees_only_the_allowed_environment() {
    let names = text(Cmd::new("env").env("MINE", "1").secret_env("PGPASSWORD", Secret::new("pw")));
    for line in names.lines() {
        let name = line.split('=').next().unwrap();
        let known = [
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "TZ",
            "TMPDIR",
            "LD_LIBRARY_PATH",
            "LC_ALL",
            "LC_MESSAGES",
            "MINE",
        ];
        assert!(known.contains(&name) || name.starts_with("PG") || name.starts_with("SSL"), "{line}");
        assert!(!name.starts_with("PGGIT_"), "{line}");
    }
    assert!(names.contains("LC_ALL=C\n") && names.contains("PGPASSWORD=pw\n"), "{names}");
    assert!(text(Cmd::new("env").inherit_env()).contains("CARGO"), "git sees everything");
}

#[test]
fn ends_are_told_apart() {
    let Err(Error::Failed { status, stderr, .. }) = sh("echo oh no >&2; exit 7").run() else { panic!() };
    assert_eq!((status, stderr.as_str()), (Status::Exited(7), "oh no\n"));
    let error = sh("kill -9 $$").run().unwrap_err();
    assert!(matches!(error, Error::Failed { status: Status::Killed(9), .. }), "{error}");
    assert_eq!(error.to_string(), "sh: killed by signal 9");
    assert_eq!(sh("exit 1").run_any().unwrap().exit.status, Status::Exited(1));

    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "text").unwrap();
    assert!(matches!(Cmd::new(&plain).run(), Err(Error::NotExecutable { .. })));
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Cmd::new(&plain).run(), Err(Error::NotExecutable { .. })), "neither binary nor script");
    fs::write(&plain, "#!/no/such/interpreter\n").unwrap();
    assert!(matches!(Cmd::new(&plain).run(), Err(Error::Spawn { .. })));
    let missing = Cmd::new("no-such-program").run().unwrap_err();
    assert_eq!(missing.to_string(), "no-such-program: program not found");
    assert!(matches!(Cmd::new("true").cwd("/no/such/dir").run(), Err(Error::Spawn { .. })));
    assert!(matches!(Cmd::new("true").arg("a\0b").run(), Err(Error::Spawn { .. })));
}

#[test]
fn ten_megabytes_on_stderr_neither_block_nor_fill() {
    let script = "i=0; line=$(printf '%1023s' x); while [ $i -lt 10240 ]; do echo \"$line\" >&2; i=$((i+1)); done; echo the end >&2; exit 3";
    let Err(Error::Failed { stderr, .. }) = sh(script).run() else { panic!() };
    assert!(stderr.len() <= 64 * 1024, "{}", stderr.len());
    assert!(stderr.ends_with("the end\n"));
}

#[test]
fn secrets_are_shown_nowhere() {
    let cmd = || {
        sh("echo password is $PW. >&2; printf '\\377' >&2; exit 1").secret_env("PW", Secret::new("hunter2"))
    };
    assert!(!format!("{:?}", cmd()).contains("hunter2"));
    let error = cmd().run().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2") && shown.contains("password is ***."), "{shown}");
    let running = cmd().spawn().unwrap();
    assert!(!format!("{running:?}").contains("hunter2"));
}

#[test]
fn a_deadline_ends_the_whole_group() {
    let start = Instant::now();
    let mut running = sh("sleep 1000 & echo $!; wait").deadline(Duration::from_millis(100)).spawn().unwrap();
    let mut out = String::new();
    running.take_stdout().unwrap().read_to_string(&mut out).unwrap();
    let error = running.finish().unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }) && error.retry(), "{error}");
    wait_until_gone(out.trim());
    assert!(start.elapsed() < Duration::from_secs(60));
    let deaf = sh("trap '' TERM; while :; do sleep 1000; done");
    let deaf = deaf.deadline(Duration::from_millis(50)).grace(Duration::from_millis(50)).run();
    assert!(matches!(deaf, Err(Error::Deadline { .. })));
    assert!(sh("true").deadline(Duration::from_secs(1000)).run().is_ok());
}

#[test]
fn losing_interest_ends_and_reaps() {
    let mut running = sh("sleep 1000 & echo $!; wait").spawn().unwrap();
    let (leader, mut line) = (running.id(), String::new());
    BufReader::new(running.take_stdout().unwrap()).read_line(&mut line).unwrap();
    drop(running);
    assert!(!Path::new(&format!("/proc/{leader}")).exists(), "not reaped");
    wait_until_gone(line.trim());
    let error = Cmd::new("yes").stdout_limit(1000).run().unwrap_err();
    assert!(matches!(error, Error::TooMuchOutput { limit: 1000, .. }), "{error}");
}

#[test]
fn a_daemon_left_behind_does_not_hold_us() {
    let (done, finished) = channel();
    std::thread::spawn(move || {
        let mut running = sh("setsid sleep 30 >/dev/null & echo $!; echo started >&2").spawn().unwrap();
        let mut pid = String::new();
        running.take_stdout().unwrap().read_to_string(&mut pid).unwrap();
        done.send((running.finish().unwrap().stderr, pid)).unwrap();
    });
    let (stderr, pid) = finished.recv_timeout(Duration::from_secs(20)).expect("finish() returns");
    assert_eq!(stderr, "started\n");
    Cmd::new("kill").arg(pid.trim()).run().unwrap();
}

/// Runs one of the ignored tests below in a process that may be killed. Returns the process with its
/// stdout.
fn role(name: &str, env: &[(&str, &str)]) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("process::{name}"), "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn kill(signal: &str, pid: u32) {
    Cmd::new("kill").args([signal, &pid.to_string()]).run().unwrap();
}

fn read_until(out: &mut impl BufRead, wanted: &str) -> String {
    let (mut all, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "no {wanted:?} in {all:?}");
        all.push_str(&line);
        if line.contains(wanted) {
            return all;
        }
    }
}

#[test]
fn the_first_signal_ends_tools_but_not_git_and_the_second_kills() {
    let mut child = role("interrupted_role", &[]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut out, "all started");
    kill("-INT", child.id());
    read_until(&mut out, "polite tool: interrupted (SIGINT)");
    kill("-TERM", child.id());
    let rest = read_until(&mut out, "git:");
    assert!(rest.contains("deaf tool: interrupted (SIGINT)"), "{rest}");
    assert!(rest.contains("next tool: interrupted (SIGINT)"), "{rest}");
    assert!(rest.contains("git: done"), "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn interrupted_role() {
    interrupt::install().unwrap();
    interrupt::install().unwrap();
    assert_eq!(interrupt::requested(), None);
    let mut polite = sh("echo up; sleep 1000").spawn().unwrap();
    let mut deaf = sh("trap '' TERM; echo up; while :; do sleep 1000; done").spawn().unwrap();
    let mut git = sh("echo up; read line; exit 0").inherit_env().survives_interrupt();
    git = git.stdin(Stdin::Piped);
    let mut git = git.spawn().unwrap();
    for running in [&mut polite, &mut deaf, &mut git] {
        let mut line = [0; 3];
        running.take_stdout().unwrap().read_exact(&mut line).unwrap();
    }
    println!("all started");
    println!("polite tool: {}", polite.finish().unwrap_err());
    println!("deaf tool: {}", deaf.finish().unwrap_err());
    println!("next tool: {}", Cmd::new("true").run().unwrap_err());
    assert_eq!(interrupt::requested().map(interrupt::Signal::number), Some(2));
    git.take_stdin().unwrap().write_all(b"go\n").unwrap();
    println!("git: {}", git.finish().map_or_else(|e| e.to_string(), |_| "done".into()));
}

#[test]
fn the_third_signal_ends_us() {
    use std::os::unix::process::ExitStatusExt;
    let mut child = role("stuck_role", &[]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut out, "installed");
    let status = loop {
        kill("-TERM", child.id());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.signal(), Some(15));
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn stuck_role() {
    interrupt::install().unwrap();
    println!("installed");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_crash_point_kills_only_where_it_is_named() {
    use std::os::unix::process::ExitStatusExt;
    let crashed = role("crash_role", &[("PGGIT_CRASH_AT", "second")]).wait_with_output().unwrap();
    assert_eq!(crashed.status.signal(), Some(9));
    let out = String::from_utf8_lossy(&crashed.stdout).into_owned();
    assert!(out.contains("after first") && !out.contains("after second"), "{out}");
    for point in ["else", "second:2"] {
        let lives = role("crash_role", &[("PGGIT_CRASH_AT", point)]).wait_with_output().unwrap();
        assert!(lives.status.success(), "{point}");
    }
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn crash_role() {
    for point in ["first", "second"] {
        process::crash_point(point);
        println!("after {point}");
    }
}

#[test]
fn a_process_that_was_killed_is_dead() {
    let mut child = role("owner_role", &[]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let said = read_until(&mut out, "\"pid\"");
    let json = &said[said.find('{').unwrap()..=said.rfind('}').unwrap()];
    let owner: process::Owner = serde_json::from_str(json).unwrap();
    assert_eq!(process::is_alive(&owner), process::Liveness::Alive);
    child.kill().unwrap();
    wait_until_gone(&owner.pid.to_string());
    assert_eq!(process::is_alive(&owner), process::Liveness::Dead, "a zombie is dead");
    child.wait().unwrap();
    assert_eq!(process::is_alive(&owner), process::Liveness::Dead);
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn owner_role() {
    println!("{}", serde_json::to_string(&process::Owner::current().unwrap()).unwrap());
    loop {
        std::thread::park();
    }
}

#[test]
fn the_directory_of_a_killed_process_is_removed_by_the_next_one() {
    let base = tempfile::tempdir().unwrap();
    let above = process::Pinned::reach(base.path()).unwrap();
    let sweep = || process::sweep(&above, |name, _| name == "dir", |_| {});
    let start = || {
        let mut child = role("directory_role", &[("PGGIT_TEST_BASE", base.path().to_str().unwrap())]);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        read_until(&mut out, "uses the directories");
        child
    };
    let (mut first, dir) = (start(), base.path().join("dir"));
    let claim = || process::ExclusiveDir::claim(&base.path().join("stays"), "note").unwrap();
    assert!(sweep().is_empty() && dir.join("file").exists() && claim().is_none());
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(sweep(), std::slice::from_ref(&dir));
    assert!(!dir.exists());
    // Another process uses the same names, and is killed in turn.
    let mut second = start();
    assert!(sweep().is_empty() && claim().is_none());
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(claim().is_some() && base.path().join("stays/segment").exists());
    assert_eq!(sweep(), [dir]);
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn directory_role() {
    let base = std::path::PathBuf::from(std::env::var_os("PGGIT_TEST_BASE").unwrap());
    let dir = process::OwnedDir::make_private(&base.join("dir")).unwrap();
    fs::write(dir.held().real().join("file"), "x").unwrap();
    let _stays = process::ExclusiveDir::claim(&base.join("stays"), "note").unwrap().unwrap();
    fs::write(base.join("stays/segment"), "x").unwrap();
    println!("uses the directories");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_program_of_another_user_has_that_user_s_ids_home_and_no_further_groups() {
    use pggit::process::OsUser;
    assert_eq!(OsUser::named("no such user".as_ref()), None);
    let us = OsUser::with_id(rustix::process::geteuid().as_raw()).expect("the current user is known");
    let id = |user: &OsUser| {
        let cmd = Cmd::new("/bin/sh").args(["-c", "id -u; id -G; echo $HOME $USER $LOGNAME; pwd"]);
        String::from_utf8(cmd.as_user(user).run().unwrap().stdout).unwrap()
    };
    assert!(id(&us).starts_with(&format!("{}\n", us.uid)));
    let nobody = OsUser::named("nobody".as_ref()).expect("there is a user `nobody`");
    if OsUser::we_are_root() {
        let home = nobody.home.display();
        assert_eq!(id(&nobody), format!("{}\n{}\n{home} nobody nobody\n/\n", nobody.uid, nobody.gid));
    } else {
        let refused = Cmd::new("/bin/true").as_user(&nobody).run().unwrap_err();
        assert!(matches!(refused, Error::Spawn { .. }), "{refused}");
    }
}
