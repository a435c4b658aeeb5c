//! Failures of networks and servers, and their effect on stored artifacts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pggit::progress::Quiet;
use pggit::store::{CheckOptions, Error, Portion, Store};

use super::proxy::{Crowd, Fault, Proxy, Seen};
use super::server::Cloud;
use super::{AZURITE, MOTO, Place, S3S, get, noise, now, put};
use crate::sandbox::Sandbox;

const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const EXPIRED: &str = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token>s3cret</Token></Error>";

/// A store with an artifact, reached through a proxy.
struct Scene {
    place: Place,
    proxy: Proxy,
    first: String,
    content: Vec<u8>,
}

impl Scene {
    fn new(cloud: &Cloud, plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        let place = cloud.place();
        let content = noise(7, 1 << 20);
        let first = put(&place.init(), "shop", "a", &content).unwrap().location;
        let proxy = Proxy::start(&place.address, plan);
        Self { place, proxy, first, content }
    }

    fn store(&self) -> Result<Store, Error> {
        Store::open(&self.place.url, &self.place.through(&self.proxy.address).access())
    }

    /// Writes and reads through the proxy, which must succeed.
    fn all_is_well(&self) {
        let store = self.store().unwrap();
        let mut content = self.content.clone();
        content[..1000].fill(1);
        let second = put(&store, "shop", "b", &content).unwrap();
        assert_eq!(get(&store, &second.location).unwrap(), content);
        assert_eq!(get(&store, &self.first).unwrap(), self.content);
        // Acknowledged artifacts can be read without the proxy.
        let direct = self.place.open();
        assert_eq!(direct.list().unwrap().len(), 2);
        assert_eq!(get(&direct, &second.location).unwrap(), content);
        // Maintenance of the store succeeds through the proxy, too.
        store.remove(&second.location).unwrap();
        assert_eq!(store.collect(&Quiet).unwrap().removed.count, 1);
        let all = CheckOptions { read: Some(Portion::All), expected: vec![self.first.clone()] };
        let checked = store.check(&all, now(), &Quiet).unwrap();
        assert!(checked.is_sound() && checked.packs == 1, "{checked:?}");
    }

    /// Asserts after a failure that earlier artifacts exist and that a second attempt succeeds.
    fn nothing_is_lost(&self) {
        let direct = self.place.open();
        assert_eq!(direct.list().unwrap().len(), 1);
        assert_eq!(get(&direct, &self.first).unwrap(), self.content);
        let second = put(&direct, "shop", "b", b"again").unwrap();
        assert_eq!(get(&direct, &second.location).unwrap(), b"again");
    }
}

/// Every second request has this fault; all operations succeed in the end.
fn every_second(cloud: &Cloud, fault: Fault) {
    let count = AtomicUsize::new(0);
    let scene = Scene::new(cloud, move |_| match count.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => fault.clone(),
        _ => Fault::None,
    });
    scene.all_is_well();
}

macro_rules! survived {
    ($($name:ident: $fault:expr),* $(,)?) => {
        mod s3s { use super::*; $(#[test] fn $name() { every_second(&S3S, $fault); })* }
        mod azurite { use super::*; $(#[test] fn $name() { every_second(&AZURITE, $fault); })* }
    };
}

survived! {
    connections_that_break_before_the_server_has_the_request: Fault::Lost,
    // A write that was done is retried: the object exists, and it is ours.
    connections_that_break_after_the_server_has_done_it: Fault::AnswerLost,
    answers_that_break_off: Fault::Half,
    internal_errors: Fault::Answer(500, "", "<Error><Code>InternalError</Code></Error>"),
    servers_that_ask_for_patience: Fault::Answer(503, "Retry-After: 0\r\n", SLOW_DOWN),
    servers_that_throttle: Fault::Answer(429, "", ""),
}

#[test]
fn a_server_that_is_silent_is_asked_again() {
    let silent = AtomicU32::new(0);
    let scene = Scene::new(&S3S, move |_| match silent.fetch_add(1, Ordering::Relaxed) {
        1 => Fault::Silence,
        _ => Fault::None,
    });
    let mut access = scene.place.through(&scene.proxy.address).access();
    access.cloud.patience = Some(Duration::from_millis(300));
    let store = Store::open(&scene.place.url, &access).unwrap();
    assert_eq!(get(&store, &scene.first).unwrap(), scene.content);
}

#[test]
fn silence_has_an_end() {
    let scene = Scene::new(&S3S, |_| Fault::Silence);
    let mut access = scene.place.through(&scene.proxy.address).access();
    (access.cloud.patience, access.cloud.retries) = (Some(Duration::from_millis(100)), Some(1));
    let error = Store::open(&scene.place.url, &access).map(drop).unwrap_err();
    assert!(error.retry(), "{error}");
    assert!(error.to_string().ends_with("cannot read: no response within 100ms"), "{error}");
    assert_eq!(scene.proxy.seen().len(), 2);
    scene.nothing_is_lost();
}

#[test]
fn a_server_that_never_gets_better_is_given_up() {
    let scene = Scene::new(&S3S, |seen| match seen.writes_pack() {
        true => Fault::Answer(503, "", SLOW_DOWN),
        false => Fault::None,
    });
    let error = put(&scene.store().unwrap(), "shop", "b", &noise(8, 100_000)).unwrap_err();
    assert!(error.retry() && error.to_string().contains("SlowDown: Please reduce"), "{error}");
    // The request is sent five times.
    assert_eq!(scene.proxy.seen().iter().filter(|seen| seen.writes_pack()).count(), 5);
    scene.nothing_is_lost();
}

#[test]
fn what_will_not_get_better_is_not_tried_again() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidRequest"), (405, "MethodNotAllowed")] {
        let text: &'static str = format!("<Error><Code>{code}</Code></Error>").leak();
        let scene = Scene::new(&S3S, move |seen| match seen.writes_pack() {
            true => Fault::Answer(status, "", text),
            false => Fault::None,
        });
        let error = put(&scene.store().unwrap(), "shop", "b", &noise(8, 100_000)).unwrap_err();
        assert!(!error.retry() && error.to_string().contains(code), "{error}");
        assert_eq!(scene.proxy.seen().iter().filter(|seen| seen.writes_pack()).count(), 1);
        scene.nothing_is_lost();
    }
}

#[test]
fn credentials_that_expire_meanwhile_are_said_to_have() {
    for (status, cloud) in [(400, &*S3S), (403, &*AZURITE)] {
        let scene = Scene::new(cloud, move |seen| match seen.writes_pack() {
            true => Fault::Answer(status, "", EXPIRED),
            false => Fault::None,
        });
        let error = put(&scene.store().unwrap(), "shop", "b", &noise(8, 100_000)).unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error}");
        let text = error.to_string();
        assert!(text.ends_with("ExpiredToken: The provided token has expired"), "{text}");
        assert!(!text.contains("s3cret") && !text.contains('?'), "{text}");
        scene.nothing_is_lost();
    }
}

#[test]
fn a_name_that_two_write_at_once_is_tried_again() {
    // The response of S3 to one of them.
    const CONFLICT: &str = "<Error><Code>ConditionalRequestConflict</Code></Error>";
    let count = AtomicUsize::new(0);
    let scene = Scene::new(&MOTO, move |seen| {
        match seen.writes_pack() && count.fetch_add(1, Ordering::Relaxed) == 0 {
            true => Fault::Answer(409, "", CONFLICT),
            false => Fault::None,
        }
    });
    scene.all_is_well();
}

#[test]
fn a_line_that_is_slow_is_only_slow() {
    let scene = Scene::new(&S3S, |_| Fault::Trickle);
    scene.all_is_well();
}

#[test]
fn so_many_requests_at_once_and_no_more() {
    let crowd = Arc::new(Crowd::default());
    let there = Arc::clone(&crowd);
    let gathering = Arc::new(AtomicBool::new(false));
    let gathers = Arc::clone(&gathering);
    let scene = Scene::new(&S3S, move |_| {
        if gathers.load(Ordering::SeqCst) {
            there.meet(16);
        }
        Fault::None
    });
    let store = scene.store().unwrap();
    gathering.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(|| store.list().unwrap());
        }
    });
    assert_eq!(crowd.most(), 16, "at once");
}

/// A writer is killed while it uploads a pack, and between its steps.
#[test]
fn writers_that_are_killed_leave_nothing_that_counts() {
    let pid = Arc::new(AtomicU32::new(0));
    let victim = Arc::clone(&pid);
    let scene = Scene::new(&MOTO, move |seen| {
        let pid =
            victim.swap(if seen.writes_pack() { 0 } else { victim.load(Ordering::SeqCst) }, Ordering::SeqCst);
        if seen.writes_pack() && pid != 0 {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            return Fault::AnswerLost;
        }
        Fault::None
    });
    let mut sandbox = Sandbox::new();
    for (name, value) in &scene.place.through(&scene.proxy.address).variables {
        sandbox.set(name, value);
    }
    let url = scene.place.url.to_string();
    std::fs::write(sandbox.repo().join("dump"), noise(9, 500_000)).unwrap();
    let put = ["store", "put", "--store", &url, "--database", "shop", "dump"];

    // The program waits for its input until its process id is known.
    let mut command = sandbox.pggit_command();
    command.args(&put[..put.len() - 1]).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    pid.store(child.id(), Ordering::SeqCst);
    // The program may be killed before it has read all of its input.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &noise(9, 500_000));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));

    for point in ["store.writer.begun", "store.pack.written", "store.packs.written"] {
        let output = sandbox.output(sandbox.pggit_command().args(put).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point}: {}", output.snapshot());
    }
    scene.nothing_is_lost();
    // A writer that is killed after the artifact is complete leaves a valid artifact.
    let output =
        sandbox.output(sandbox.pggit_command().args(put).env("PGGIT_CRASH_AT", "store.artifact.written"));
    assert_eq!(output.status, -1, "{}", output.snapshot());
    let id = sandbox.pggit(put).success().stdout_text();
    let store = scene.place.open();
    assert_eq!(store.list().unwrap().len(), 4);
    for listed in store.list().unwrap() {
        let artifact = store.artifact(&listed).unwrap();
        artifact.read("dump.custom").unwrap().verify(&|_| {}).unwrap();
    }
    assert!(store.list().unwrap().iter().any(|listed| listed.id == id.trim()));
}

#[test]
fn nobody_there_is_said_at_once() {
    // Nothing listens on this port any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let place = S3S.place();
    let mut access = place.through(&address).access();
    access.cloud.retries = Some(2);
    let start = Instant::now();
    let error = Store::init(&place.url, &access, now()).map(drop).unwrap_err();
    assert!(error.retry() && error.to_string().contains("refused"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}
