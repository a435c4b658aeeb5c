//! The queue in the refs of a repository.

use std::sync::Arc;
use std::time::Duration;

use pggit::clock::{Clock, Manual};
use pggit::domain::{BootTime, Timestamp};
use pggit::git::Repository;
use pggit::queue::{Error, Filter, Queue, RefsQueue};

use super::suite::{self, LEASE, Stage, backup, completed, secs};
use crate::sandbox::Sandbox;

struct Refs {
    sandbox: Sandbox,
    clock: Arc<Manual>,
}

/// A clock that is an hour ahead, on the same machine.
struct Ahead(Arc<Manual>, Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.0.now().plus(self.1)
    }

    fn uptime(&self) -> BootTime {
        self.0.uptime()
    }
}

/// A clock that shows a later time on each call.
struct Ticking(Arc<Manual>);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.advance(Duration::from_millis(1));
        self.0.now()
    }

    fn uptime(&self) -> BootTime {
        self.0.uptime()
    }
}

impl Refs {
    fn new() -> Self {
        let clock = Arc::new(Manual::at("2026-11-24T15:00:00Z".parse().unwrap()));
        Self { sandbox: Sandbox::new(), clock }
    }

    fn open_with(&self, clock: Arc<dyn Clock>) -> Box<dyn Queue> {
        Box::new(RefsQueue::new(Repository::open(&self.sandbox.repo()).unwrap(), clock))
    }
}

impl Stage for Refs {
    fn open(&self) -> Box<dyn Queue> {
        self.open_with(Arc::new(Ticking(Arc::clone(&self.clock))))
    }

    fn open_ahead(&self) -> Box<dyn Queue> {
        self.open_with(Arc::new(Ahead(Arc::clone(&self.clock), secs(3600))))
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn many(&self) -> usize {
        if std::env::var_os("PGGIT_TEST_LONG").is_some() { 3000 } else { 60 }
    }
}

suite::conformance!(Refs::new());

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let stage = Refs::new();
    let queue = stage.open();
    queue.enqueue(backup("shop")).unwrap();
    let worker = suite::worker("w");
    queue.claim(&worker).unwrap().unwrap();
    stage.clock.set("2020-01-01T00:00:00Z".parse().unwrap());
    stage.pass(LEASE + secs(1));
    let claim = queue.claim(&worker).unwrap().expect("the lease has expired");
    queue.end(&claim, &suite::failed(true)).unwrap();
    stage.clock.set("2019-01-01T00:00:00Z".parse().unwrap());
    stage.pass(secs(151));
    let claim = queue.claim(&worker).unwrap().expect("it has waited long enough");
    queue.end(&claim, &completed()).unwrap();
}

#[test]
fn jobs_survive_gc_and_packed_refs_and_one_that_is_damaged_is_named() {
    let stage = Refs::new();
    let queue = stage.open();
    let first = queue.enqueue(backup("shop")).unwrap().job;
    let second = stage.open().enqueue(backup("stats")).unwrap().job;
    stage.sandbox.git(["gc", "-q", "--prune=now"]);
    assert_eq!(queue.list(&Filter::default()).unwrap().jobs.len(), 2);
    let blob = stage.sandbox.path().join("blob");
    std::fs::write(&blob, "{\"format\": 2}").unwrap();
    let id = stage.sandbox.git(["hash-object", "-w", blob.to_str().unwrap()]);
    stage.sandbox.git(["update-ref", &format!("refs/pggit/jobs/{}", first.id), &id]);
    let claim = queue.claim(&suite::worker("w")).unwrap().unwrap();
    assert_eq!(claim.job.id, second.id);
    let listing = queue.list(&Filter::default()).unwrap();
    assert_eq!(listing.jobs.len(), 1);
    let reason = "written by a newer version of git-pggit".to_owned();
    assert_eq!(listing.damaged, [(first.id.to_string(), reason)]);
    stage.sandbox.git(["pack-refs", "--all"]);
    queue.end(&claim, &completed()).unwrap();
    assert_eq!(queue.clean(Duration::ZERO).unwrap(), 1);
    stage.sandbox.git(["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let Some(disk) = crate::tmpfs::Tmpfs::mount("size=1m") else { return };
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q", "--bare", disk.path().to_str().unwrap()]);
    let open = || RefsQueue::new(Repository::open(disk.path()).unwrap(), Arc::new(pggit::clock::System));
    let queue = open();
    let first = queue.enqueue(backup("shop")).unwrap().job;
    let filler = disk.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 2 << 20]);
    let refused = queue.enqueue(backup("shop")).unwrap_err();
    assert!(!matches!(refused, pggit::queue::Error::NotFound { .. }), "{refused}");
    assert!(queue.claim(&suite::worker("w")).is_err());
    assert_eq!(open().get(first.id).unwrap(), first);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(queue.list(&Filter::default()).unwrap().jobs.len(), 1);
    let claim = queue.claim(&suite::worker("w")).unwrap().unwrap();
    queue.end(&claim, &completed()).unwrap();
}

/// With many thousands of jobs, a claim does not list the refs.
#[test]
fn ten_thousand_jobs_can_wait() {
    let many = if std::env::var_os("PGGIT_TEST_LONG").is_some() { 10_000 } else { 1_000 };
    let stage = Refs::new();
    let queue = stage.open();
    let first = queue.enqueue(suite::free()).unwrap().job;
    let template = stage.sandbox.git(["cat-file", "blob", &format!("refs/pggit/jobs/{}", first.id)]);
    // Two git processes instead of thousands.
    let dir = stage.sandbox.path().join("jobs");
    std::fs::create_dir(&dir).unwrap();
    let (mut paths, mut ids) = (String::new(), Vec::new());
    for n in 0..many {
        let id = pggit::domain::JobId::new(stage.clock.now().plus(Duration::from_millis(n)));
        let path = dir.join(id.to_string());
        std::fs::write(&path, template.replace(&first.id.to_string(), &id.to_string())).unwrap();
        paths.push_str(&format!("{}\n", path.display()));
        ids.push(id);
    }
    let feed = |arguments: &[&str], input: &str| {
        let file = stage.sandbox.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut git = stage.sandbox.command("git");
        let output = stage.sandbox.output(git.args(arguments).stdin(std::fs::File::open(&file).unwrap()));
        assert_eq!(output.status, 0, "{}", output.snapshot());
        output.stdout_text()
    };
    let blobs = feed(&["hash-object", "-w", "--stdin-paths"], &paths);
    let created =
        ids.iter().zip(blobs.lines()).map(|(id, blob)| format!("create refs/pggit/jobs/{id} {blob}\n"));
    feed(&["update-ref", "--stdin"], &created.collect::<String>());
    assert_eq!(queue.stats().unwrap().due, many + 1);
    let worker = suite::worker("w");
    let mut claim = queue.claim(&worker).unwrap().unwrap();
    for _ in 0..100 {
        claim = queue.end_and_claim(&claim, &completed(), &worker).unwrap().1.expect("there are more");
    }
    assert_eq!(queue.stats().unwrap().due, many - 100);
}

#[test]
fn jobs_do_not_come_by_a_push() {
    let stage = Refs::new();
    let queue = stage.open();
    let job = queue.enqueue(backup("shop")).unwrap().job;
    let (repo, name) = (stage.sandbox.repo(), format!("refs/pggit/jobs/{}", job.id));
    let clone = stage.sandbox.path().join("clone");
    stage.sandbox.git(["clone", "-q", repo.to_str().unwrap(), clone.to_str().unwrap()]);
    let push = |refspec: &str| {
        let mut git = stage.sandbox.command("git");
        git.arg("-C").arg(&clone).args(["push", "-q"]).arg(&repo).arg(refspec);
        stage.sandbox.output(&mut git)
    };
    stage.sandbox.git(["-C", clone.to_str().unwrap(), "fetch", "-q", repo.to_str().unwrap(), &name]);
    let forged = "refs/pggit/jobs/01a2fff0-0000-7000-8000-000000000001";
    for refspec in
        [format!("FETCH_HEAD:{forged}"), format!(":{name}"), "FETCH_HEAD:refs/pggit/job-keys/x".to_owned()]
    {
        let said = push(&refspec).fails(1).stderr_text();
        assert!(said.contains("hidden ref"), "{said}");
    }
    assert_eq!(queue.list(&Filter::default()).unwrap().jobs, [job]);
}

#[test]
fn jobs_that_may_have_been_pushed_are_not_done_until_somebody_has_looked() {
    let stage = Refs::new();
    let first = stage.open().enqueue(backup("shop")).unwrap().job;
    let open_to_pushes = || stage.sandbox.git(["config", "--local", "--unset-all", "receive.hideRefs"]);
    open_to_pushes();
    let queue = stage.open();
    let worker = suite::worker("w");
    for refused in [queue.claim(&worker).err().unwrap(), queue.enqueue(backup("stats")).err().unwrap()] {
        assert!(matches!(refused, Error::Exposed { jobs: 1 }), "{refused}");
    }
    assert_eq!(stage.open().list(&Filter::default()).unwrap().jobs, [first], "they can be looked at");
    stage.sandbox.git(["config", "--add", "receive.hideRefs", "refs/pggit"]);
    let claim = queue.claim(&worker).unwrap().unwrap();
    queue.end(&claim, &completed()).unwrap();
    // Finished jobs are not run again, so they do not count.
    open_to_pushes();
    assert!(stage.open().claim(&worker).unwrap().is_none());
    assert_eq!(stage.sandbox.git(["config", "--local", "receive.hideRefs"]), "refs/pggit");
    // The setting of the user is not enough, because another user may receive a push.
    open_to_pushes();
    stage.sandbox.git(["config", "--global", "receive.hideRefs", "refs/pggit"]);
    stage.open().enqueue(backup("shop")).unwrap();
    assert_eq!(stage.sandbox.git(["config", "--local", "receive.hideRefs"]), "refs/pggit");
}

#[test]
fn jobs_do_not_come_by_a_fetch() {
    let stage = Refs::new();
    stage.sandbox.git(["config", "remote.hub.fetch", "+refs/*:refs/*"]);
    let refused = stage.open().enqueue(backup("shop")).err().unwrap();
    assert!(matches!(&refused, Error::Fetched { remote, .. } if remote == "hub"), "{refused}");
    stage.sandbox.git(["config", "--add", "remote.hub.fetch", "^refs/pggit/*"]);
    stage.open().enqueue(backup("shop")).unwrap();
}
