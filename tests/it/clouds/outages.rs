//! Storages that fail for a while: requests wait, report it once, and end at a signal or a limit.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pggit::store::Store;
use rustix::process::{Pid, Signal, kill_process};

use super::proxy::{Fault, Proxy, Refusing};
use super::server::Cloud;
use super::{AZURITE, MOTO, Place, S3S, get, noise, put};
use crate::create::Shop;
use crate::sandbox::Sandbox;

/// Every request fails until the outage is reported. Then all operations succeed.
fn ridden_out(cloud: &Cloud, fault: Fault) {
    let place = cloud.place();
    let content = noise(7, 100_000);
    let first = put(&place.init(), "shop", "a", &content).unwrap().location;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let proxy = Proxy::start(&place.address, move |_| match is_down.load(Ordering::SeqCst) {
        true => fault.clone(),
        false => Fault::None,
    });
    let reports = Arc::new(Mutex::new(Vec::new()));
    let (log, until) = (Arc::clone(&reports), Arc::clone(&down));
    let mut access = place.through(&proxy.address).access();
    access.cloud.retries = None;
    access.cloud.patience = Some(Duration::from_millis(500));
    access.cloud.report_outage = Some(Arc::new(move |text: &str| {
        log.lock().unwrap().push(text.to_owned());
        until.store(false, Ordering::SeqCst);
    }));

    let store = Store::open(&place.url, &access).unwrap();
    assert!(!down.load(Ordering::SeqCst));
    assert_eq!(get(&store, &first).unwrap(), content);
    // Uploads wait, too. The second outage follows at once and is not reported, so it is short.
    put(&store, "shop", "b", &content).unwrap();
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].ends_with("; requests are retried for up to 180 s"), "{reports:?}");
    assert!(reports[0].starts_with(&format!("{} ", place.url)), "{reports:?}");
}

macro_rules! ridden_out {
    ($($name:ident: $fault:expr),* $(,)?) => {
        mod s3s { use super::*; $(#[test] fn $name() { ridden_out(&S3S, $fault); })* }
        mod azurite { use super::*; $(#[test] fn $name() { ridden_out(&AZURITE, $fault); })* }
    };
}

ridden_out! {
    connections_are_reset: Fault::Lost,
    responses_are_lost: Fault::AnswerLost,
    responses_are_incomplete: Fault::Half,
    the_server_is_silent: Fault::Silence,
    the_server_fails: Fault::Answer(500, "", "<Error><Code>InternalError</Code></Error>"),
    the_gateway_fails: Fault::Answer(502, "", "<html>Bad Gateway</html>"),
    the_server_is_overloaded: Fault::Answer(503, "Retry-After: 1\r\n", ""),
}

/// A sandbox with the variables for access to a place.
fn sandbox(place: &Place) -> Sandbox {
    let mut sandbox = Sandbox::new();
    for (name, value) in &place.variables {
        sandbox.set(name, value);
    }
    sandbox
}

/// A running command whose standard error is read.
struct Waiting {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Waiting {
    /// Starts a command, and waits until it reports an outage.
    fn start(command: &mut std::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut waiting =
            Self { stderr: BufReader::new(child.stderr.take().unwrap()), child, said: String::new() };
        while !waiting.said.contains("requests are retried") {
            let read = waiting.stderr.read_line(&mut waiting.said).unwrap();
            assert_ne!(read, 0, "no outage was reported: {}", waiting.said);
        }
        waiting
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until the command exits. Returns its exit status, and all of its standard error.
    fn finish(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), self.said)
    }
}

#[test]
fn refused_connections_are_ridden_out_and_reported_once() {
    let place = MOTO.place();
    put(&place.init(), "shop", "a", b"content").unwrap();
    let refusing = Refusing::new();
    let sandbox = sandbox(&place.through(&refusing.address));
    let url = place.url.to_string();
    let waiting = Waiting::start(sandbox.pggit_command().args(["store", "list", "--store", &url]));
    let _proxy = Proxy::start_on(refusing.listen(), &place.address, |_| Fault::None);
    let (status, said) = waiting.finish();
    assert_eq!(status, Some(0), "{said}");
    let expected = format!("warning: {url} is unreachable; requests are retried for up to 180 s\n");
    assert_eq!(said, expected);
}

#[test]
fn a_signal_ends_the_wait_of_a_backup_at_once() {
    let place = MOTO.place();
    place.init();
    let proxy = Proxy::start(&place.address, |seen| match seen.writes_pack() {
        true => Fault::Answer(503, "Retry-After: 30\r\n", ""),
        false => Fault::None,
    });
    let mut shop = Shop::with_store();
    for (name, value) in &place.through(&proxy.address).variables {
        shop.sandbox.set(name, value);
    }
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        let mut command = shop.sandbox.pggit_command();
        let waiting = Waiting::start(command.args(["backup", "create", "--store", &place.url.to_string()]));
        let start = Instant::now();
        waiting.signal(signal);
        let (status, said) = waiting.finish();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}: {said}", start.elapsed());
        assert_eq!(status, Some(130), "{said}");
        assert!(said.contains(&format!("interrupted ({name})")), "{said}");
        assert_eq!(said.matches("requests are retried").count(), 1, "{said}");
    }
    // The garbage of the interrupted writers is removed like any other.
    assert_eq!(place.open().list().unwrap().len(), 0);
}

#[test]
fn wal_commands_have_a_limit_of_their_own() {
    let refusing = Refusing::new();
    let silent = Proxy::start(&refusing.address, |_| Fault::Silence);
    for address in [&refusing.address, &silent.address] {
        let place = S3S.place();
        let sandbox = sandbox(&place.through(address));
        let data = sandbox.path().join("data");
        fs::create_dir_all(data.join("global")).unwrap();
        fs::create_dir_all(sandbox.path().join("tmp")).unwrap();
        fs::write(data.join("global/pg_control"), 42_u64.to_ne_bytes()).unwrap();
        let name = "000000010000000000000003";
        fs::write(data.join(name), noise(1, 1 << 20)).unwrap();
        let url = place.url.to_string();
        let wal = |args: &[&str]| {
            let mut command = sandbox.pggit_command();
            command.current_dir(&data).env("TMPDIR", sandbox.path().join("tmp"));
            let start = Instant::now();
            let output =
                sandbox.output(command.arg("wal").args(args).args(["--timeout", "1s", "--store", &url]));
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            output
        };
        wal(&["push", name]).fails(15);
        // PostgreSQL stops recovery, instead of taking it as the end of the archive.
        wal(&["fetch", name, "RECOVERYXLOG"]).fails(128);
    }
}

#[test]
fn endpoints_that_cannot_work_fail_at_once() {
    for endpoint in ["localhost:9000", "ftp://localhost:9000"] {
        let place = S3S.place().with("AWS_ENDPOINT_URL", endpoint);
        let error = Store::open(&place.url, &place.access()).map(drop).unwrap_err();
        assert!(!error.retry(), "{error}");
        let text = error.to_string();
        assert!(
            text.ends_with(&format!("the endpoint {endpoint:?} is not an http:// or https:// URL")),
            "{text}"
        );
    }
}
