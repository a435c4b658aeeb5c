//! Tests with recorded output of several versions of pgBackRest.

use super::info::{OUR_COMMIT, OUR_ID};
use super::*;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/tool-output/", $name)).as_slice()
    };
}

const BLOCK: &[u8] = recorded!("pgbackrest-2.59.1-info-block.json");

fn catalogue(answer: &[u8], stanza: &str) -> Vec<CatalogEntry> {
    parse_info(answer, stanza, None).unwrap().catalogue()
}

#[test]
fn every_recorded_catalogue_is_understood() {
    for (answer, stanza) in [
        (recorded!("pgbackrest-2.45-info.json"), "demo"),
        (recorded!("pgbackrest-2.59.1-info-of-2.45-repo.json"), "demo"),
        (BLOCK, "demo"),
        (recorded!("pgbr-info.json"), "main"),
        (recorded!("pgbr-info-set.json"), "main"),
        (recorded!("pgbackrest-2.45-info-set.json"), "demo"),
    ] {
        let all = catalogue(answer, stanza);
        assert!(!all.is_empty());
        for item in &all {
            assert!(item.made.size_bytes > 0 && item.made.stored_bytes > 0, "{item:?}");
            assert!(item.made.started_at <= item.made.stopped_at && item.made.stopped_at.is_some());
            assert!(item.derived.is_some() && item.usable.is_ok());
            let system = item.made.postgres.system_identifier.as_ref().unwrap().as_str();
            // A double cannot represent this number exactly.
            assert!(system.len() == 19 && system.bytes().all(|b| b.is_ascii_digit()), "{system}");
            assert_eq!(item.made.postgres.timeline, Some(1));
            assert!(item.made.postgres.start_lsn < item.made.postgres.stop_lsn);
            assert_eq!(item.parent.is_some(), item.kind != BackupType::Full, "{item:?}");
            let stanza_name = stanza;
            assert_eq!(
                parse_location(item.location.as_str()).map(|(stanza, label, _)| (stanza, label)),
                Some((stanza_name, item.label.as_str()))
            );
        }
        let mut ids: Vec<_> = all.iter().map(|item| item.derived).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }
    // There are other stanzas, but none of this name.
    assert!(matches!(parse_info(BLOCK, "other", None), Err(ExternalError::Unknown(_))));
}

#[test]
fn the_versions_agree_on_what_a_backup_is() {
    let old = catalogue(recorded!("pgbackrest-2.45-info.json"), "demo");
    let new = catalogue(recorded!("pgbackrest-2.59.1-info-of-2.45-repo.json"), "demo");
    assert_eq!(old, new);
}

#[test]
fn types_chains_repositories_and_annotations_are_read() {
    let stanza = parse_info(BLOCK, "demo", None).unwrap();
    let all = stanza.catalogue();
    let by = |label: &str| all.iter().find(|item| item.label == label).unwrap();
    let incr = by("20261121-010904F_20261121-010915I");
    assert_eq!(incr.kind, BackupType::Incremental);
    assert_eq!(incr.parent.as_deref(), Some("20261121-010904F_20261121-010912D"));
    assert_eq!(by("20261121-010904F_20261121-010912D").kind, BackupType::Differential);
    let commit = by("20261121-010904F").commit.as_ref().map(ToString::to_string);
    assert_eq!(commit.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
    assert_eq!(stanza.chain(&incr.label, 1).len(), 3);
    assert_eq!(stanza.dependents("20261121-010904F", 1).len(), 2);
    let second = by("20261121-010918F");
    assert_eq!(second.location.as_str(), "pgbackrest:demo/20261121-010918F?repo=2");
    assert_eq!(second.made.encryption.as_deref(), Some("repo2:aes-256-cbc"));
    assert!(incr.made.encryption.is_none());
    let only_second = parse_info(BLOCK, "demo", Some(2)).unwrap().catalogue();
    assert!(
        !only_second.is_empty() && only_second.iter().all(|item| item.location.as_str().ends_with("?repo=2"))
    );
}

#[test]
fn a_repository_that_cannot_be_read_is_not_an_empty_one() {
    let missing = parse_info(recorded!("pgbackrest-2.45-info-missing-stanza.json"), "demo", None);
    assert!(matches!(missing, Err(ExternalError::Unknown(why)) if why.contains("missing stanza path")));
    let none = recorded!("pgbackrest-2.45-info-no-backups.json");
    assert_eq!(catalogue(none, "demo"), []);
    let text = String::from_utf8(recorded!("pgbackrest-2.45-info.json").to_vec()).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value[0]["repo"][1]["status"] = serde_json::json!({ "code": 99, "message": "other" });
    let answer = serde_json::to_vec(&value).unwrap();
    assert!(matches!(parse_info(&answer, "demo", None), Err(ExternalError::Unknown(_))));
    assert!(parse_info(&answer, "demo", Some(1)).is_ok());
    assert!(matches!(parse_info(b"[]", "demo", None), Err(ExternalError::Unknown(_))));
}

#[test]
fn garbage_and_hostile_labels_are_refused() {
    for garbage in [&b""[..], b"{}", b"ERROR: x", b"[{\"name\":\"demo\"}]", b"\xff", b"null"] {
        assert!(
            matches!(parse_info(garbage, "demo", None), Err(ExternalError::Answer { .. })),
            "{garbage:?}"
        );
    }
    let text = String::from_utf8(recorded!("pgbackrest-2.45-info.json").to_vec()).unwrap();
    for label in ["--config=/x", "../x", "a/b", "a b", ""] {
        let answer = text.replace("\"20261121-010918F\"", &format!("\"{label}\""));
        assert!(
            matches!(parse_info(answer.as_bytes(), "demo", None), Err(ExternalError::Answer { .. })),
            "{label}"
        );
    }
    for bad in [
        "pgbackrest:main",
        "pgbackrest:/x",
        "pgbackrest:-x/y",
        "pgbackrest:main/../y",
        "barman:main/x",
        "pgbackrest:main/x?repo=0",
        "pgbackrest:main/x?repo=257",
        "pgbackrest:main/x?repo=1 --y",
    ] {
        assert_eq!(parse_location(bad), None, "{bad}");
    }
}

#[test]
fn errors_of_page_checksums_and_our_annotations_are_seen() {
    let mut value: serde_json::Value =
        serde_json::from_slice(recorded!("pgbackrest-2.45-info.json")).unwrap();
    let id = "019f8d5e-0000-7000-8000-000000000001";
    value[0]["backup"][0]["error"] = true.into();
    value[0]["backup"][0]["annotation"] = serde_json::json!({ OUR_ID: id, OUR_COMMIT: "nonsense" });
    let all = catalogue(&serde_json::to_vec(&value).unwrap(), "demo");
    let item = all.iter().find(|item| item.id.is_some()).unwrap();
    assert_eq!((item.known_as().unwrap().to_string().as_str(), &item.commit), (id, &None));
    assert_eq!(item.made.metadata.as_map()["page_checksum_errors"], true);
}

#[test]
fn the_text_of_verify_is_believed_and_not_its_status() {
    let (ok, corrupt) =
        (recorded!("pgbackrest-2.59.1-verify-ok.txt"), recorded!("pgbackrest-2.59.1-verify-corrupt.txt"));
    let judged = |text: &[u8], chain: &[&str]| {
        let mut report = Report::default();
        let chain: Vec<String> = chain.iter().map(|label| (*label).to_owned()).collect();
        judge(&parse_verify(text, "demo").unwrap(), &chain, &mut report);
        report
    };
    let good = judged(ok, &["20261121-010904F", "20261121-010904F_20261121-010912D"]);
    assert_eq!(good.findings, []);
    assert_eq!(good.evidence.as_map()["verified_files"], 1928);
    let bad = judged(corrupt, &["20261121-010928F"]);
    assert!(bad.is_fatal() && bad.findings[0].message.contains("checksum invalid: 1"), "{:?}", bad.findings);
    // A chain is as good as its worst member. A missing result is not a success.
    assert!(judged(corrupt, &["20261121-010928F", "20261121-010928F_20261121-010931I"]).is_fatal());
    assert!(judged(corrupt, &["20261121-010904F"]).is_fatal());
    let missing = String::from_utf8_lossy(ok).replacen("missing: 0", "missing: 2", 1);
    let log = judged(missing.as_bytes(), &["20261121-010904F"]);
    assert!(!log.is_fatal() && log.findings[0].message.contains("missing: 2"), "{:?}", log.findings);
    for garbage in [&b""[..], b"stanza: other\nstatus: ok", b"stanza: demo", b"\xff", b"ok"] {
        assert!(parse_verify(garbage, "demo").is_err(), "{garbage:?}");
    }
}

#[test]
fn recovery_targets_become_options() {
    use crate::domain::Timestamp;
    let time = Timestamp::from_unix(1_795_223_344).unwrap();
    assert_eq!(recovery(&RecoveryTarget::Latest), ["--type=default"]);
    assert_eq!(recovery(&RecoveryTarget::Immediate), ["--type=immediate", "--target-action=promote"]);
    assert_eq!(recovery(&RecoveryTarget::Time(time))[2], "--target=2026-11-21 01:09:04.000000+00");
    assert_eq!(recovery(&RecoveryTarget::Name(Line::lossy("--x")))[2], "--target=--x");
    assert_eq!(recovery(&RecoveryTarget::Xid(7))[..1], ["--type=xid"]);
}
