//! The commands of `git pggit backup` that work on the ledger.

mod bad_input;
mod changes;
mod coverage;
pub mod crowd;
mod plumbing;
mod views;

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{Output, Sandbox};

/// Ids that are the same in every run and have different first digits.
pub(crate) const IDS: [&str; 4] = [
    "01aa0001-0000-7000-8000-000000000001",
    "01aa0002-0000-7000-8000-000000000002",
    "01aa0003-0000-7000-8000-000000000003",
    "01aa0004-0000-7000-8000-000000000004",
];

/// Makes a repository with three commits: one, two and three.
pub(crate) fn history() -> Sandbox {
    let mut sandbox = Sandbox::new();
    for variable in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        sandbox.set(variable, "2020-11-21T00:00:00Z");
    }
    for (n, message) in (1..).zip(["one", "two", "three"]) {
        sandbox.commit(&format!("000{n}.sql"), format!("create table t{n} ();\n"), message);
    }
    sandbox
}

/// Runs `git-pggit` with `input` on its standard input.
pub(crate) fn pggit_with(sandbox: &Sandbox, args: &[&str], input: &[u8]) -> Output {
    let file = tempfile::tempfile().expect("temporary file");
    (&file).write_all(input).expect("temporary file is writable");
    std::io::Seek::rewind(&mut (&file)).expect("a file can be read again");
    sandbox.output(sandbox.pggit_command().args(args).stdin(Stdio::from(file)))
}

/// Adds an event with a fixed time and host.
#[track_caller]
pub(crate) fn append(sandbox: &Sandbox, id: &str, minute: u32, mut event: Value) {
    event["backup"] = id.into();
    event["at"] = format!("2020-11-21T03:{minute:02}:00Z").into();
    event["host"] = "db1".into();
    let output = pggit_with(sandbox, &["backup", "append", "--stdin"], event.to_string().as_bytes());
    drop(output.success());
}

/// Registers a backup with a fixed id, time and host.
#[track_caller]
pub(crate) fn registered(sandbox: &Sandbox, id: &str, minute: u32, rev: &str, mut more: Value) {
    more["kind"] = "registered".into();
    more["commit"] = sandbox.git(["rev-parse", rev]).into();
    for (key, value) in [("name", json!("nightly")), ("database", json!("shop")), ("type", json!("full"))] {
        more.as_object_mut().expect("an object").entry(key).or_insert(value);
    }
    more.as_object_mut()
        .expect("an object")
        .entry("tool")
        .or_insert(json!({ "name": "pg_dump", "version": "15.18" }));
    append(sandbox, id, minute, more);
}

/// Completes a backup.
#[track_caller]
pub(crate) fn completed(sandbox: &Sandbox, id: &str, minute: u32) {
    append(
        sandbox,
        id,
        minute,
        json!({ "kind": "completed", "size_bytes": 1_288_490_189, "stored_bytes": 214_748_364 }),
    );
}

/// Makes three records: a completed and verified backup of one, a failed incremental backup on two that
/// depends on it, and one in progress on three.
pub(crate) fn world() -> Sandbox {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD~2", json!({ "name": "base", "tags": { "pinned": "" } }));
    completed(&sandbox, IDS[0], 2);
    append(
        &sandbox,
        IDS[0],
        3,
        json!({ "kind": "verified", "verification": "checksum", "status": "passed" }),
    );
    let needs = json!([{ "id": IDS[0], "kind": "base" }]);
    let tool = json!({ "name": "pgbackrest" });
    registered(
        &sandbox,
        IDS[1],
        4,
        "HEAD~1",
        json!({ "name": "hourly", "type": "incremental", "depends_on": needs, "tool": tool }),
    );
    append(
        &sandbox,
        IDS[1],
        5,
        json!({ "kind": "failed", "error": { "code": "disk-full", "message": "no space\nleft" } }),
    );
    registered(&sandbox, IDS[2], 6, "HEAD", json!({ "branch": "main", "database": "stats" }));
    sandbox
}

/// Registers a backup as users do. Returns its id.
#[track_caller]
pub(crate) fn register(sandbox: &Sandbox, more: &[&str]) -> String {
    let args = [&["backup", "register", "-d", "shop", "--tool", "zfs"], more].concat();
    sandbox.pggit(args).success().stdout_text().trim().to_owned()
}
