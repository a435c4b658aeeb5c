//! Commands that need no server, each with `--json`. The sandbox validates their output against the
//! schemas.

use std::fs;

use crate::sandbox::Sandbox;

/// The commands in this order, in one repository, each with its exit status.
const COMMANDS: &[(&str, i32)] = &[
    ("init --check", 1),
    ("init", 0),
    ("config", 0),
    ("config --list-keys", 0),
    ("database list", 0),
    ("database show shop", 0),
    ("hooks install", 0),
    ("hooks status", 0),
    ("hooks remove", 0),
    ("schedule list", 0),
    ("schedule next", 0),
    ("schedule systemd", 0),
    ("schedule run --dry-run", 0),
    ("schedule run", 0),
    ("queue list", 0),
    ("queue stats", 0),
    ("queue enqueue --database shop", 0),
    ("queue clean", 0),
    ("schedule catch-up", 0),
    ("backup create --database shop --enqueue", 0),
    ("backup register --database shop --tool zfs --size 1 --name one", 0),
    ("backup register --database shop --tool zfs --in-progress --name two", 0),
    ("backup start two", 0),
    ("backup fail two --message broken", 0),
    ("backup fail --interrupted --all", 0),
    ("backup tag one kept=yes", 0),
    ("backup untag one kept", 0),
    ("backup hold one --reason audit", 0),
    ("backup release one", 0),
    ("backup annotate one ticket=1", 0),
    ("backup list", 0),
    ("backup show one", 0),
    ("backup log", 0),
    ("backup log --show-signature", 0),
    ("backup coverage", 0),
    ("backup coverage --commits HEAD", 0),
    ("backup find", 0),
    ("backup verify --due --dry-run", 0),
    ("backup verify --report", 0),
    ("fsck", 0),
    ("maintenance", 0),
    ("maintenance --auto", 0),
    ("ledger export --output ../ledger.jsonl", 0),
    ("ledger import ../ledger.jsonl", 0),
    ("ledger import ../ledger.jsonl --dry-run", 0),
    ("store init", 0),
    ("store show", 0),
    ("store put --database shop dump", 0),
    ("store list", 0),
    ("store stats", 0),
    ("store check", 0),
    ("store gc", 0),
    ("store gc --force", 0),
    ("store copy DIR/replica", 0),
    ("store key generate ../key", 0),
    ("ledger rebuild --from-store --dry-run", 0),
    ("sync", 0),
    ("backup show unknown", 10),
];

#[test]
fn what_is_printed_is_as_documented() {
    let sandbox = Sandbox::new();
    let _ = sandbox.commit("0001.sql", "create table a ();", "one");
    fs::write(sandbox.repo().join("dump"), "dump").unwrap();
    let remote = sandbox.path().join("remote");
    sandbox.git(["init", "-q", "--bare", remote.to_str().unwrap()]);
    sandbox.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    let store = sandbox.path().join("store");
    sandbox.git(["config", "pggit.store", store.to_str().unwrap()]);
    for (key, value) in
        [("url", "service=x"), ("schedule", "daily"), ("onMerge", "main"), ("verify", "checksum every 7d")]
    {
        sandbox.git(["config", &format!("pggit.shop.{key}"), value]);
    }
    let mut wrong = vec![];
    for (command, status) in COMMANDS {
        let arguments = command.replace("DIR", sandbox.path().to_str().unwrap());
        let output = sandbox.pggit(arguments.split(' ').chain(["--json"]));
        if output.status != *status {
            wrong.push(format!("{command}: {} {}", output.status, output.stderr_text()));
        } else if output.status == 0 {
            let _ = output.json();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
