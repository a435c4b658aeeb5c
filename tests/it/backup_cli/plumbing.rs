//! The commands cat, for-each and append.

use serde_json::{Value, json};

use super::{IDS, append, history, pggit_with, register, registered, world};

#[test]
fn cat_prints_what_is_stored() {
    let sandbox = world();
    let record = sandbox.pggit(["backup", "cat", "base"]).success();
    let commit = sandbox.git(["rev-parse", "HEAD~2"]);
    let mut git = sandbox.command("git");
    git.args(["cat-file", "blob", &format!("refs/backups/{commit}:.pggit/{}.json", IDS[0])]);
    assert_eq!(record.stdout, sandbox.output(&mut git).success().stdout);
    assert_eq!(sandbox.pggit(["backup", "cat", "base", "record"]).success().stdout, record.stdout);
    let events: Value = sandbox.pggit(["backup", "cat", "base", "events"]).success().json();
    assert_eq!(events, record.json()["events"]);
    let id = events[1]["id"].as_str().unwrap();
    assert_eq!(sandbox.pggit(["backup", "cat", "base", id]).success().json(), events[1]);
    assert_eq!(
        sandbox.pggit(["backup", "cat", "base", "schema"]).snapshot(),
        "[stderr]\nerror: no schema is recorded with backup [ID1]\n[exit 10]\n"
    );
    assert_eq!(
        sandbox.pggit(["backup", "cat", "base", "everything"]).snapshot(),
        "[stderr]\nerror: invalid event id \"everything\": expected a UUID in lower case with hyphens\n\
         hint: expected record, events, schema, or the id of an event\n[exit 129]\n"
    );
    assert_eq!(
        sandbox.pggit(["backup", "cat", "base", IDS[3]]).snapshot(),
        "[stderr]\nerror: backup [ID1] has no event [ID2]\n\
         hint: 'git pggit backup cat <backup> events' prints all of them\n[exit 10]\n"
    );
}

#[test]
fn for_each_prints_fields_as_git_does() {
    let sandbox = world();
    assert_eq!(
        sandbox.pggit(["backup", "for-each"]).snapshot(),
        "[ID1] completed [COMMIT1] base\n[ID2] failed [COMMIT2] hourly\n[ID3] in_progress [COMMIT3] nightly\n[exit 0]\n"
    );
    let _region = sandbox.pggit(["backup", "annotate", "base", "region=eu"]).success();
    let _number =
        pggit_with(&sandbox, &["backup", "annotate", "base", "--metadata=-"], br#"{"n":{"a":1.50}}"#)
            .success();
    let format = |format: &str, more: &[&str]| {
        let args = [&["backup", "for-each", "--name=base", "--format", format], more].concat();
        sandbox.pggit(args).success().stdout
    };
    assert_eq!(
        format(
            "%(database) %(type) %(tool)/%(tool:version) %(size)>%(stored) [%(branch)] %(attempt)100%%",
            &[]
        ),
        b"shop full pg_dump/15.18 1288490189>214748364 [] 100%\n"
    );
    assert_eq!(
        format("%(registered) %(completed) %(started)|", &[]),
        b"2020-11-21T03:01:00.000000Z 2020-11-21T03:02:00.000000Z |\n"
    );
    assert_eq!(
        format("%(host) %(by) %(tags) <%(tag:pinned)>", &[]),
        b"db1 Ada <ada@example.com> pinned <>\n"
    );
    assert_eq!(format("%(metadata:region) %(metadata:n) %(metadata:none).", &[]), b"eu {\"a\":1.50} .\n");
    assert_eq!(format("-%0a%ff%00", &["-z"]), b"-\n\xff\0\0");
    assert_eq!(format("%ff", &[]), b"\xff\n");
    let unknown = sandbox.pggit(["backup", "for-each", "--format=%(refname)"]).snapshot();
    assert!(
        unknown
            .starts_with("[stderr]\nerror: unknown field 'refname'\nhint: fields are id, name, database, "),
        "{unknown}"
    );
    assert!(unknown.ends_with(", tag:KEY, metadata:KEY\n[exit 129]\n"), "{unknown}");
    let help =
        sandbox.pggit(["backup", "for-each", "--help"]).success().stdout_text().replace(['\n', ' '], "");
    let fields = unknown.split("fields are ").nth(1).unwrap().split('\n').next().unwrap();
    assert!(help.contains(&fields.replace(", ", "")), "the help lists other fields than the program knows");
}

#[test]
fn append_fills_in_what_every_event_has() {
    let sandbox = history();
    let id = register(&sandbox, &["--size=1", "--name=x"]);
    let event = json!({ "backup": id, "kind": "verified", "verification": "checksum", "status": "passed", "future": [1] });
    let output = pggit_with(&sandbox, &["backup", "append", "--stdin"], event.to_string().as_bytes());
    assert_eq!(output.snapshot(), "[ID1]\n[stderr]\nverified x of shop ([ID2])\n[exit 0]\n");
    let stored = sandbox.pggit(["backup", "cat", "x", output.stdout_text().trim()]).success().json();
    assert_eq!((&stored["format"], &stored["by"]), (&json!(1), &json!("Ada <ada@example.com>")));
    assert_eq!((&stored["future"], &stored["clock"]), (&json!([1]), &json!(3)), "{stored}");
    // The same event again is no change, and its time is stored in the form of the format.
    let mut again = stored.clone();
    again["at"] = json!("2026-11-21T04:40:06+01:00");
    again["id"] = json!(IDS[3]);
    for _ in 0..2 {
        let _again =
            pggit_with(&sandbox, &["backup", "append", "--stdin"], again.to_string().as_bytes()).success();
    }
    let stored = sandbox.pggit(["backup", "cat", "x", IDS[3]]).success().json();
    assert_eq!(stored["at"], "2026-11-21T03:40:06.000000Z");
    let record = sandbox.pggit(["backup", "show", "x", "--json"]).success().json();
    assert_eq!(record["verifications"].as_array().unwrap().len(), 2);
}

#[test]
fn append_refuses_what_is_no_event() {
    let sandbox = history();
    registered(&sandbox, IDS[0], 1, "HEAD", json!({}));
    let refs = sandbox.git(["for-each-ref"]);
    let backup = IDS[0];
    let deep = format!(
        "{{\"backup\":\"{backup}\",\"kind\":\"annotated\",\"metadata\":{{\"a\":{}{}}}}}",
        "[".repeat(100),
        "]".repeat(100)
    );
    for (event, status, words) in [
        ("", 129, "not an event: not valid JSON"),
        ("[]", 129, "not an event: it is not a JSON object"),
        ("{}", 129, "not an event: it has no `backup`"),
        (r#"{"backup":"x","kind":"tagged"}"#, 129, "invalid backup id \"x\""),
        (r#"{"backup":7,"kind":"tagged"}"#, 129, "not an event: `backup` is not a text"),
        (&format!("{{\"backup\":\"{backup}\"}}"), 129, "not an event: it has no `kind`"),
        (
            &format!("{{\"backup\":\"{backup}\",\"kind\":\"exploded\"}}"),
            129,
            "unknown kind or format; known are registered",
        ),
        (&format!("{{\"backup\":\"{backup}\",\"kind\":\"tagged\"}}"), 129, "missing field `key`"),
        (
            &format!("{{\"backup\":\"{backup}\",\"kind\":\"tagged\",\"key\":\"a\",\"format\":2}}"),
            129,
            "unknown kind or format",
        ),
        (
            &format!("{{\"backup\":\"{backup}\",\"kind\":\"tagged\",\"key\":\"a\",\"at\":\"noon\"}}"),
            129,
            "is not an RFC 3339 time",
        ),
        (
            &format!("{{\"backup\":\"{}\",\"kind\":\"tagged\",\"key\":\"a\"}}", IDS[1]),
            10,
            "there is no backup",
        ),
        (
            &format!("{{\"backup\":\"{backup}\",\"kind\":\"expired\",\"reason\":\"old\"}}"),
            12,
            "cannot be expired: the backup is in progress",
        ),
        (&deep, 129, "nested more than 32 levels deep"),
    ] {
        let output = pggit_with(&sandbox, &["backup", "append", "--stdin"], event.as_bytes());
        assert_eq!(output.status, status, "{event}: {}", output.snapshot());
        assert!(output.stderr_text().contains(words), "{event}: {}", output.snapshot());
    }
    let huge = pggit_with(&sandbox, &["backup", "append", "--stdin"], &vec![b' '; 5 << 20]);
    assert_eq!(huge.snapshot(), "[stderr]\nerror: the event from '-' is larger than 4.0 MiB\n[exit 129]\n");
    let secret = json!({ "backup": backup, "kind": "completed", "size_bytes": 1, "stored_bytes": 1, "location": "s3://k:hunter2@h/x" });
    let output =
        pggit_with(&sandbox, &["backup", "append", "--stdin"], secret.to_string().as_bytes()).fails(129);
    assert!(!output.stderr_text().contains("hunter2"), "{}", output.snapshot());
    assert_eq!(sandbox.git(["for-each-ref"]), refs);
    append(&sandbox, IDS[0], 2, json!({ "kind": "failed", "error": { "code": "x", "message": "y" } }));
}
