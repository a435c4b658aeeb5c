//! One ledger in several clones.

use std::collections::BTreeMap;

use pggit::clock::System;
use pggit::domain::{Annotated, Body, Expired, Held, Line, Tagged};
use pggit::git::Repository;
use pggit::ledger::{Filter, Ledger, NewBackup, SyncOptions, SyncReport};
use proptest::prelude::*;

use crate::ledger::{Repo, completed, new_backup};
use crate::sandbox::Sandbox;

const BOTH: SyncOptions = SyncOptions { fetch: true, push: true, dry_run: false, unattended: None };

/// A hub and clones of it, each of another person.
struct Team {
    hub: Repo,
    clones: Vec<Repo>,
}

impl Team {
    fn new(clones: usize) -> Self {
        let source = Repo::with_history(&[]);
        let hub = Repo::bare_clone_of(&source);
        let clones = (0..clones).map(|n| Repo::clone_of(&hub, &format!("Person {n}"))).collect();
        Self { hub, clones }
    }

    fn on<T>(&self, clone: usize, work: impl FnOnce(&Ledger<'_>) -> T) -> T {
        let (repository, host) = (self.clones[clone].open(), Line::lossy("db1"));
        work(&Ledger::new(&repository, &System, &host))
    }

    fn sync(&self, clone: usize) -> SyncReport {
        self.on(clone, |ledger| ledger.sync("origin", BOTH).expect("syncs"))
    }

    /// Returns the tree of every ledger ref and the text of every note.
    fn state(&self, dir: &Repo) -> BTreeMap<String, String> {
        let refs = dir.git(&["for-each-ref", "--format=%(refname) %(tree)", "refs/backups/"]);
        let mut state: BTreeMap<String, String> = refs
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, tree)| (name.into(), tree.into()))
            .collect();
        for commit in state
            .keys()
            .filter_map(|name| name.strip_prefix("refs/backups/").map(str::to_owned))
            .collect::<Vec<_>>()
        {
            state.insert(format!("note {commit}"), dir.git(&["notes", "--ref=backups", "show", &commit]));
        }
        state
    }
}

fn register(ledger: &Ledger<'_>, repository: &Repository, name: &str) -> NewBackup {
    let new = new_backup(repository, name);
    ledger.register(&new, &[]).expect("registers");
    new
}

#[test]
fn a_record_reaches_everybody() {
    let team = Team::new(2);
    team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    let first = team.sync(0);
    assert_eq!((first.pushed.len(), first.fetched.len(), first.merged.len()), (1, 0, 0));
    assert!(team.sync(0).is_nothing());
    let second = team.sync(1);
    assert_eq!((second.pushed.len(), second.fetched.len()), (0, 1));
    assert_eq!(team.state(&team.clones[0]), team.state(&team.clones[1]));
    assert_eq!(team.state(&team.clones[0]), team.state(&team.hub));
    team.hub.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn what_was_done_apart_comes_together_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        let team = Team::new(3);
        let shared = team.on(0, |ledger| register(ledger, ledger.repository(), "shared"));
        team.sync(0);
        team.sync(1);
        team.on(0, |ledger| {
            ledger.append(shared.id, |_| Ok(completed().into())).unwrap();
            register(ledger, ledger.repository(), "only 0");
        });
        team.clones[0].git(&["notes", "--ref=backups", "append", "-m", "said by 0", "HEAD"]);
        team.on(1, |ledger| {
            ledger.append(shared.id, |_| Ok(Held { reason: Line::lossy("audit") }.into())).unwrap();
            ledger
                .append(shared.id, |_| {
                    Ok(Tagged { key: "keep".parse().unwrap(), value: Line::default() }.into())
                })
                .unwrap();
            register(ledger, ledger.repository(), "only 1");
        });
        team.clones[1].git(&["notes", "--ref=backups", "append", "-m", "said by 1", "HEAD"]);
        for clone in order {
            team.sync(clone);
        }
        team.sync(order[0]);
        team.sync(2);
        let state = team.state(&team.clones[0]);
        for clone in &team.clones {
            assert_eq!(team.state(clone), state);
        }
        assert_eq!(team.state(&team.hub), state);
        let note = team.clones[2].git(&["notes", "--ref=backups", "show", "HEAD"]);
        assert!(
            note.contains("said by 0") && note.contains("said by 1") && note.contains("completed shared"),
            "{note}"
        );
        let catalog = team.on(2, |ledger| ledger.catalog().unwrap());
        assert_eq!(catalog.entries.len(), 3);
        let shared = catalog.find(&shared.id.to_string().parse().unwrap(), &Filter::default()).unwrap();
        assert_eq!((shared.backup.holds.len(), shared.backup.tags.len(), shared.ignored.len()), (1, 1, 0));
    }
}

#[test]
fn who_has_the_same_writes_nothing() {
    let team = Team::new(3);
    let refs = |dir: &Repo| dir.git(&["for-each-ref", "refs/backups", "refs/notes"]);
    for round in 0..3 {
        // Adds a record in one clone, or in two of them.
        for clone in 0..=round % 2 {
            team.on(clone, |ledger| {
                register(ledger, ledger.repository(), &format!("r{round}-{clone}"));
            });
        }
        // Synchronises until all clones have all records.
        for clone in [0, 1, 0, 2] {
            team.sync(clone);
        }
        let settled = refs(&team.hub);
        for clone in [0, 1, 2, 1, 0] {
            assert!(team.sync(clone).is_nothing(), "round {round}");
            assert_eq!(refs(&team.clones[clone]), settled, "round {round}");
        }
        assert_eq!(refs(&team.hub), settled, "round {round}");
    }
}

#[test]
fn a_rewritten_history_is_refused_and_nothing_is_lost() {
    let team = Team::new(2);
    let one = team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.on(0, |ledger| ledger.append(one.id, |_| Ok(completed().into())).unwrap());
    team.sync(0);
    team.sync(1);
    // The hub loses the completion.
    let name = format!("refs/backups/{}", one.commit);
    let parent = team.hub.git(&["rev-parse", &format!("{name}~1")]);
    let full = team.hub.git(&["rev-parse", &name]);
    team.hub.git(&["update-ref", &name, &parent]);
    let synced = team.sync(1);
    assert!(synced.skipped.len() == 1 && synced.skipped[0].rewritten, "{synced:?}");
    assert_eq!(team.clones[1].git(&["rev-parse", &name]), full);
    // Each synchronisation reports it until the hub is repaired.
    assert_eq!(team.sync(1).skipped.len(), 1);
    team.hub.git(&["update-ref", &name, &full]);
    assert!(team.sync(1).is_nothing());
}

#[test]
fn plain_git_cannot_lose_a_record() {
    let team = Team::new(2);
    team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.sync(0);
    team.sync(1);
    team.on(1, |ledger| register(ledger, ledger.repository(), "b"));
    let before = team.state(&team.clones[1]);
    for args in [
        &["fetch", "-q"][..],
        &["fetch", "-q", "--prune"],
        &["pull", "-q", "--rebase"],
        &["push", "-q"],
        &["gc", "-q", "--prune=now"],
    ] {
        team.clones[1].git(args);
        assert_eq!(team.state(&team.clones[1]), before, "{args:?}");
    }
}

#[test]
fn refs_that_the_other_side_lost_are_given_back() {
    let team = Team::new(1);
    let one = team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.sync(0);
    team.hub.git(&["update-ref", "-d", &format!("refs/backups/{}", one.commit)]);
    assert_eq!(team.sync(0).pushed.len(), 1);
    assert_eq!(team.state(&team.hub).len(), 2);
}

#[test]
fn notes_that_the_other_side_lost_are_given_back() {
    let team = Team::new(2);
    team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.sync(0);
    team.sync(1);
    team.hub.git(&["update-ref", "-d", "refs/notes/backups"]);
    team.sync(1);
    assert_eq!(team.state(&team.hub), team.state(&team.clones[1]));
}

#[test]
fn what_is_new_is_taken_while_what_was_rewritten_is_left_alone() {
    let team = Team::new(2);
    let one = team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.on(0, |ledger| ledger.append(one.id, |_| Ok(completed().into())).unwrap());
    team.sync(0);
    team.sync(1);
    team.clones[0].git(&["checkout", "-q", "HEAD~1"]);
    team.on(0, |ledger| register(ledger, ledger.repository(), "b"));
    team.sync(0);
    let name = format!("refs/backups/{}", one.commit);
    let parent = team.hub.git(&["rev-parse", &format!("{name}~1")]);
    team.hub.git(&["update-ref", &name, &parent]);
    let synced = team.sync(1);
    assert!(synced.skipped.len() == 1 && synced.skipped[0].rewritten, "{synced:?}");
    assert_eq!(synced.fetched.len(), 1);
    assert_eq!(team.on(1, |ledger| ledger.catalog().unwrap().entries.len()), 2);
}

#[test]
fn many_refs_that_both_sides_changed_come_together_at_once() {
    const COMMITS: usize = 70;
    let team = Team::new(2);
    let mut backups = Vec::new();
    for number in 0..COMMITS {
        team.clones[0].commit("0003.sql", &number.to_string(), "more");
        backups.push(team.on(0, |ledger| register(ledger, ledger.repository(), &format!("b{number}"))));
    }
    team.clones[0].git(&["push", "-q", "origin", "main"]);
    assert_eq!(team.sync(0).pushed.len(), COMMITS);
    assert_eq!(team.sync(1).fetched.len(), COMMITS);
    for (clone, reason) in [(0, "audit"), (1, "court")] {
        team.on(clone, |ledger| {
            for backup in &backups {
                let held = Held { reason: Line::lossy(reason) };
                ledger.append_at(&backup.commit, backup.id, |_| Ok(held.clone().into())).unwrap();
            }
        });
    }
    team.sync(0);
    let synced = team.sync(1);
    assert_eq!((synced.merged.len(), synced.pushed.len(), synced.skipped.len()), (COMMITS, COMMITS, 0));
    assert_eq!(team.sync(0).fetched.len(), COMMITS);
    assert!(team.sync(1).is_nothing());
    let state = team.state(&team.clones[0]);
    assert_eq!(team.state(&team.clones[1]), state);
    assert_eq!(team.state(&team.hub), state);
    let catalog = team.on(1, |ledger| ledger.catalog().unwrap());
    assert!(catalog.entries.iter().all(|entry| entry.backup.holds.len() == 2));
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let team = Team::new(2);
    team.on(0, |ledger| register(ledger, ledger.repository(), "a"));
    team.sync(0);
    team.on(1, |ledger| register(ledger, ledger.repository(), "b"));
    let (before, hub) = (team.state(&team.clones[1]), team.state(&team.hub));
    let would = team.on(1, |ledger| ledger.sync("origin", SyncOptions { dry_run: true, ..BOTH }).unwrap());
    assert_eq!((would.merged.len(), would.pushed.len()), (1, 1));
    assert_eq!((team.state(&team.clones[1]), team.state(&team.hub)), (before, hub));
}

#[test]
fn clones_that_push_at_the_same_time_all_succeed() {
    let team = Team::new(4);
    std::thread::scope(|scope| {
        for clone in 0..4 {
            let team = &team;
            scope.spawn(move || {
                for n in 0..3 {
                    team.on(clone, |ledger| register(ledger, ledger.repository(), &format!("{clone}-{n}")));
                    team.sync(clone);
                }
            });
        }
    });
    (0..4).for_each(|clone| drop(team.sync(clone)));
    let state = team.state(&team.hub);
    assert!(team.clones.iter().all(|clone| team.state(clone) == state));
    assert_eq!(team.on(0, |ledger| ledger.catalog().unwrap().entries.len()), 12);
}

#[test]
fn a_remote_that_is_not_there_is_a_clear_error() {
    let repo = Repo::with_history(&[]);
    repo.git(&["remote", "add", "origin", "/nowhere/at/all"]);
    let (repository, host) = (repo.open(), Line::lossy("db1"));
    let error = Ledger::new(&repository, &System, &host).sync("origin", BOTH).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

/// Makes a sandbox whose repository has a remote.
fn sandbox_with_remote(url: impl FnOnce(&Sandbox) -> String) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "one");
    let hub = sandbox.path().join("hub.git");
    sandbox.git(["init", "-q", "--bare", hub.to_str().unwrap()]);
    sandbox.git(["-C", hub.to_str().unwrap(), "config", "http.receivepack", "true"]);
    let url = url(&sandbox);
    sandbox.git(["remote", "add", "origin", &url]);
    sandbox
}

const REGISTER: [&str; 7] = ["backup", "register", "--database", "shop", "--tool", "x", "--in-progress"];

fn records_of_hub(sandbox: &Sandbox) -> usize {
    let hub = sandbox.path().join("hub.git");
    sandbox.git(["-C", hub.to_str().unwrap(), "for-each-ref", "refs/backups"]).lines().count()
}

#[test]
fn what_is_written_is_shared_at_once_when_that_is_wanted() {
    let sandbox = sandbox_with_remote(|sandbox| sandbox.path().join("hub.git").display().to_string());
    sandbox.pggit(REGISTER).success();
    assert_eq!(records_of_hub(&sandbox), 0);
    sandbox.git(["config", "pggit.sync", "on-write"]);
    sandbox.pggit(REGISTER).success();
    assert_eq!(records_of_hub(&sandbox), 1);
    // Without the remote, the record is still written.
    sandbox.git(["remote", "set-url", "origin", "/nowhere"]);
    let offline = sandbox.pggit(REGISTER).success();
    assert!(offline.stderr_text().contains("cannot synchronise with origin"), "{}", offline.snapshot());
    assert_eq!(sandbox.pggit(["backup", "list", "--ids"]).success().stdout_text().lines().count(), 3);
}

#[test]
fn ssh_is_git_s_own() {
    let mut sandbox =
        sandbox_with_remote(|sandbox| format!("ssh://db1{}", sandbox.path().join("hub.git").display()));
    // The command gets the host and the command to run there.
    sandbox.set("GIT_SSH_COMMAND", "sh -c 'shift $(($# - 1)); exec sh -c \"$1\"' --");
    sandbox.pggit(REGISTER).success();
    sandbox.pggit(["sync"]).success();
    assert_eq!(records_of_hub(&sandbox), 1);
    assert!(sandbox.pggit(["sync"]).success().stderr_text().contains("already in sync"));
}

#[test]
fn http_is_git_s_own() {
    let server = Http::start();
    let sandbox = sandbox_with_remote(|sandbox| server.serve(&sandbox.path().join("hub.git")));
    sandbox.pggit(REGISTER).success();
    sandbox.pggit(["sync"]).success();
    assert_eq!(records_of_hub(&sandbox), 1);
}

/// Serves repositories by `git http-backend` on a free port of loopback.
struct Http {
    listener: std::net::TcpListener,
}

impl Http {
    fn start() -> Self {
        Self { listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    /// Serves `repository` until the tests exit. Returns its URL.
    fn serve(&self, repository: &std::path::Path) -> String {
        let (listener, root) = (self.listener.try_clone().unwrap(), repository.parent().unwrap().to_owned());
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let root = root.clone();
                std::thread::spawn(move || drop(answer(&connection.unwrap(), &root)));
            }
        });
        format!("http://127.0.0.1:{port}/{}", repository.file_name().unwrap().to_str().unwrap())
    }
}

/// Answers one request: its head becomes the environment of the backend, its body the input. The output of
/// the backend is the response.
fn answer(connection: &std::net::TcpStream, root: &std::path::Path) -> std::io::Result<()> {
    use std::io::{BufRead as _, Read as _, Write as _};
    let mut reader = std::io::BufReader::new(connection.try_clone()?);
    let (mut request, mut headers) = (String::new(), BTreeMap::new());
    reader.read_line(&mut request)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    if header("expect") == "100-continue" {
        (&*connection).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mut words = request.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = std::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    backend.stdin.take().unwrap().write_all(&body)?;
    let output = backend.wait_with_output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    (&*connection).write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes())?;
    (&*connection).write_all(&output)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn three_clones_with_any_histories_agree(steps in proptest::collection::vec((0..3usize, 0..7u8), 1..14)) {
        let team = Team::new(3);
        let shared = team.on(0, |ledger| register(ledger, ledger.repository(), "shared"));
        (0..3).for_each(|clone| drop(team.sync(clone)));
        for (step, (clone, what)) in steps.into_iter().enumerate() {
            let body: Body = match what {
                0 => { team.on(clone, |ledger| register(ledger, ledger.repository(), &format!("{step}"))); continue }
                1 => { team.sync(clone); continue }
                2 => completed(),
                3 => Tagged { key: format!("t{step}").parse().unwrap(), value: Line::default() }.into(),
                4 => Held { reason: Line::lossy("x") }.into(),
                5 => Expired { reason: Line::lossy("old") }.into(),
                _ => Annotated { metadata: serde_json::json!({ "step": step }) }.into(),
            };
            // Some states do not allow the event.
            let _ = team.on(clone, |ledger| ledger.append(shared.id, |_| Ok(body.clone().into())));
        }
        for clone in [2, 0, 1, 2, 0] {
            team.sync(clone);
        }
        let state = team.state(&team.hub);
        for clone in &team.clones {
            prop_assert_eq!(&team.state(clone), &state);
        }
    }
}
