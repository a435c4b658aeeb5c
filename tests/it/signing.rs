//! Signed ledger commits, with real keys, and the results of `git` and of `git pggit fsck --signatures`.

use std::fs;
use std::path::PathBuf;

use crate::fsck::Shop;
use crate::sandbox::Sandbox;

/// Makes an ssh key for `mail`, and adds it to the allowed signers if it is `trusted`.
fn key(sandbox: &Sandbox, mail: &str, trusted: bool) -> PathBuf {
    let path = sandbox.home().join(mail);
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", mail, "-f", path.to_str().unwrap()];
    let _ = sandbox.output(sandbox.command("ssh-keygen").args(args)).success();
    if trusted {
        let public = fs::read_to_string(path.with_extension("com.pub")).unwrap();
        let signers = sandbox.home().join("allowed");
        let known = fs::read_to_string(&signers).unwrap_or_default();
        fs::write(&signers, format!("{known}{mail} {public}")).unwrap();
    }
    path
}

/// Makes a sandbox whose user Ada signs with ssh.
fn signing() -> Sandbox {
    let sandbox = Sandbox::new();
    let path = key(&sandbox, "ada@example.com", true);
    let allowed = sandbox.home().join("allowed");
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("user.signingKey", path.to_str().unwrap()),
        ("gpg.ssh.allowedSignersFile", allowed.to_str().unwrap()),
        ("commit.gpgSign", "true"),
    ] {
        sandbox.git(["config", name, value]);
    }
    sandbox
}

fn signed(shop: &Shop, revision: &str) -> bool {
    shop.sandbox.git(["cat-file", "commit", revision]).contains("\ngpgsig")
}

fn codes(shop: &Shop, status: i32) -> Vec<String> {
    let (mut found, _) = shop.fsck(&["--signatures"], status);
    found.dedup();
    found
}

#[test]
fn what_is_written_is_signed_when_git_signs() {
    let shop = Shop::in_sandbox(signing());
    let reference = shop.reference();
    for revision in [reference.clone(), format!("{reference}~1"), "refs/notes/backups".to_owned()] {
        assert!(signed(&shop, &revision), "{revision}");
        shop.sandbox.git(["verify-commit", &revision]);
    }
    let log = shop.sandbox.git(["log", "-1", "--show-signature", &reference]);
    assert!(log.contains("Good \"git\" signature for ada@example.com"), "{log}");
    shop.sandbox.git(["fsck", "--strict"]);
    assert!(codes(&shop, 0).is_empty());
    let output = shop.sandbox.pggit(["backup", "log", "--show-signature"]).success().stdout_text();
    assert!(output.contains("SIGNATURE") && output.matches("good").count() == 2, "{output}");
    let json = shop.sandbox.pggit(["backup", "log", "--show-signature", "--json"]).success().json();
    assert_eq!(json["events"][0]["signature"]["verdict"], "good");
    assert_eq!(json["events"][0]["signature"]["signer"], "ada@example.com");
}

#[test]
fn the_own_setting_goes_before_that_of_git() {
    let shop = Shop::in_sandbox(signing());
    shop.sandbox.git(["config", "pggit.sign", "false"]);
    shop.backup("unsigned");
    assert!(!signed(&shop, &shop.reference()));
    shop.sandbox.git(["config", "commit.gpgSign", "false"]);
    for word in ["true", "require"] {
        shop.sandbox.git(["config", "pggit.sign", word]);
        shop.backup(word);
        assert!(signed(&shop, &shop.reference()), "{word}");
    }
    // Options of `git -c` are respected, too.
    let mut command = shop.sandbox.pggit_command();
    command.env("GIT_CONFIG_PARAMETERS", "'pggit.sign'='false'").args(["backup", "tag", &shop.id, "x"]);
    let _ = shop.sandbox.output(&mut command).success();
    assert!(!signed(&shop, &shop.reference()));
}

#[test]
fn nothing_is_written_when_signing_fails() {
    let shop = Shop::in_sandbox(signing());
    let before = shop.sandbox.git(["for-each-ref"]);
    shop.sandbox.git(["config", "user.signingKey", "/nowhere/key"]);
    let output = shop.sandbox.pggit(["backup", "tag", &shop.id, "x"]).fails(19);
    assert!(output.stderr_text().contains("cannot sign: ") && output.stderr_text().contains("/nowhere/key"));
    shop.sandbox.git(["config", "--unset", "user.signingKey"]);
    shop.sandbox.git(["config", "pggit.sign", "require"]);
    let output = shop.sandbox.pggit(["backup", "tag", &shop.id, "x"]).fails(19);
    assert!(output.stderr_text().contains("user.signingKey is not set"), "{}", output.snapshot());
    shop.sandbox.git(["config", "pggit.sign", "always"]);
    let output = shop.sandbox.pggit(["backup", "tag", &shop.id, "x"]).fails(19);
    assert!(output.stderr_text().contains("`always`"), "{}", output.snapshot());
    assert_eq!(shop.sandbox.git(["for-each-ref"]), before);
}

#[test]
fn a_tampered_event_is_named() {
    let shop = Shop::in_sandbox(signing());
    let forged = shop.record().replace("\"size_bytes\": 1000", "\"size_bytes\": 2000");
    let commit = shop.write(&shop.file(), Some(&forged));
    let (found, answer) = shop.fsck(&["--signatures"], 1);
    assert!(
        found.contains(&"error event-altered".to_owned()) && found.contains(&"error unsigned".to_owned())
    );
    let by = |code: &str| {
        let all = answer["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["code"] == code).unwrap()["commit"].clone()
    };
    assert_eq!((by("event-altered"), by("unsigned")), (commit.clone().into(), commit.into()));
}

#[test]
fn an_unsigned_delete_is_named() {
    let shop = Shop::in_sandbox(signing());
    let event = |kind: &str| format!(r#"{{"backup":"{}","kind":"{kind}","reason":"old"}}"#, shop.id);
    let append = |kind: &str, sign: &str| {
        let mut command = shop.sandbox.pggit_command();
        command.env("GIT_CONFIG_PARAMETERS", format!("'commit.gpgsign'='{sign}'"));
        let path = shop.sandbox.path().join("event");
        fs::write(&path, event(kind)).unwrap();
        command.args(["backup", "append", "--stdin"]).stdin(fs::File::open(path).unwrap());
        let _ = shop.sandbox.output(&mut command).success();
    };
    append("expired", "true");
    assert!(codes(&shop, 0).is_empty());
    append("deleted", "false");
    assert_eq!(codes(&shop, 1), ["error unsigned", "error actor-unproven"]);
    let (_, answer) = shop.fsck(&["--signatures"], 1);
    let message = answer["findings"][1]["message"].as_str().unwrap();
    assert!(message.contains("(deleted) is by Ada <ada@example.com>"), "{answer:#}");
}

#[test]
fn a_rewritten_ref_is_named() {
    // The ref is moved back to a signed commit: the notes reveal it.
    let shop = Shop::in_sandbox(signing());
    let parent = shop.sandbox.git(["rev-parse", &format!("{}~1", shop.reference())]);
    shop.sandbox.git(["update-ref", &shop.reference(), &parent]);
    assert_eq!(codes(&shop, 1), ["error note-stale"]);
    // The ref is deleted.
    shop.sandbox.git(["update-ref", "-d", &shop.reference()]);
    assert_eq!(codes(&shop, 1), ["error note-orphan"]);
    // A commit that a remote has is reported as missing.
    let shop = Shop::in_sandbox(signing());
    let tip = shop.sandbox.git(["rev-parse", &shop.reference()]);
    let tracking = format!("refs/pggit/remotes/team/origin/backups/{}", shop.commit);
    shop.sandbox.git(["update-ref", &tracking, &tip]);
    assert!(codes(&shop, 0).is_empty());
    shop.sandbox.git(["update-ref", &shop.reference(), &format!("{tip}~1")]);
    let (found, answer) = shop.fsck(&[], 0);
    assert_eq!(found, ["warning note-stale", "notice behind"]);
    assert_eq!(answer["findings"][1]["message"], "`team/origin` has ledger commits that are not here");
    // The ledger commit is rewritten with other content.
    let shop = Shop::in_sandbox(signing());
    let forged = shop.record().replace("nightly", "forged");
    let tip = shop.sandbox.git(["rev-parse", &shop.reference()]);
    shop.write_on(&[&shop.commit], &tip, &shop.file(), Some(&forged));
    assert!(codes(&shop, 1).contains(&"error unsigned".to_owned()));
    // The signature belongs to other content.
    let shop = Shop::in_sandbox(signing());
    let object = shop.sandbox.git(["cat-file", "commit", &shop.reference()]) + "\n";
    let path = shop.sandbox.path().join("object");
    fs::write(&path, object.replace("completed", "Completed")).unwrap();
    let forged = shop.sandbox.git(["hash-object", "-w", "-t", "commit", path.to_str().unwrap()]);
    shop.sandbox.git(["update-ref", &shop.reference(), &forged]);
    assert_eq!(codes(&shop, 1), ["error signature-bad"]);
}

#[test]
fn unknown_keys_and_borrowed_names_are_told() {
    let shop = Shop::in_sandbox(signing());
    // Bob's key is known, and the name of the author is Ada's.
    let bob = key(&shop.sandbox, "bob@example.com", true);
    shop.sandbox.git(["config", "user.signingKey", bob.to_str().unwrap()]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "x"]).success();
    assert_eq!(codes(&shop, 0), ["warning signer-differs"]);
    let _ = shop.sandbox.pggit(["backup", "hold", &shop.id, "--reason", "audit"]).success();
    assert_eq!(codes(&shop, 1), ["error signer-differs", "warning signer-differs"]);
    // A key that is not in the allowed signers.
    let eve = key(&shop.sandbox, "eve@example.com", false);
    shop.sandbox.git(["config", "user.signingKey", eve.to_str().unwrap()]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "y"]).success();
    assert!(codes(&shop, 1).contains(&"error signer-unknown".to_owned()));
    // Without allowed signers all keys are unknown.
    shop.sandbox.git(["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    let found = codes(&shop, 1);
    assert!(found.contains(&"error no-signers".to_owned()), "{found:?}");
}

#[test]
fn merges_of_a_synchronisation_are_signed() {
    let shop = Shop::in_sandbox(signing());
    let hub = shop.sandbox.path().join("hub.git");
    shop.sandbox.git(["clone", "-q", "--bare", ".", hub.to_str().unwrap()]);
    shop.sandbox.git(["remote", "add", "origin", hub.to_str().unwrap()]);
    let _ = shop.sandbox.pggit(["sync"]).success();
    let before = shop.sandbox.git(["rev-parse", &shop.reference()]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "one"]).success();
    let _ = shop.sandbox.pggit(["sync"]).success();
    shop.sandbox.git(["update-ref", &shop.reference(), &before]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "two"]).success();
    let _ = shop.sandbox.pggit(["sync"]).success();
    let merge = shop.sandbox.git(["rev-list", "-1", "--merges", &shop.reference()]);
    shop.sandbox.git(["verify-commit", &merge]);
    assert!(codes(&shop, 0).is_empty());
}

/// Tests the hook in docs/trust.md.
#[test]
fn a_hub_with_the_hook_of_the_manual_forgets_nothing() {
    let shop = Shop::in_sandbox(signing());
    let hub = shop.sandbox.path().join("hub.git");
    shop.sandbox.git(["clone", "-q", "--bare", ".", hub.to_str().unwrap()]);
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trust.md")).unwrap();
    let begin = manual.find("#!/bin/sh").unwrap();
    let hook = &manual[begin..begin + manual[begin..].find("```").unwrap()];
    fs::write(hub.join("hooks/update"), hook).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(hub.join("hooks/update"), executable).unwrap();
    let allowed = shop.sandbox.home().join("allowed");
    let config = ["-C", hub.to_str().unwrap(), "config", "gpg.ssh.allowedSignersFile"];
    shop.sandbox.git([&config[..], &[allowed.to_str().unwrap()]].concat());
    shop.sandbox.git(["remote", "add", "origin", hub.to_str().unwrap()]);
    let _ = shop.sandbox.pggit(["sync"]).success();
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "more"]).success();
    let _ = shop.sandbox.pggit(["sync"]).success();
    let push = |refspec: &str| {
        let output = shop.sandbox.output(shop.sandbox.command("git").args(["push", "-q", "origin", refspec]));
        assert_ne!(output.status, 0, "{refspec}");
        output.stderr_text()
    };
    let reference = shop.reference();
    assert!(push(&format!(":{reference}")).contains("the ledger is not deleted"));
    assert!(push(&format!("+{reference}~1:{reference}")).contains("the ledger is not rewritten"));
    shop.sandbox.git(["config", "pggit.sign", "false"]);
    let _ = shop.sandbox.pggit(["backup", "tag", &shop.id, "unsigned"]).success();
    let output = shop.sandbox.pggit(["sync"]).fails(1);
    assert!(output.stderr_text().contains("rejected it"), "{}", output.snapshot());
    // The hook does not restrict branches.
    shop.sandbox.git(["push", "-q", "origin", "+main~0:refs/heads/other"]);
}

#[test]
fn sha256_repositories_are_signed_too() {
    let sandbox = signing();
    let config = fs::read_to_string(sandbox.repo().join(".git/config")).unwrap();
    fs::remove_dir_all(sandbox.repo().join(".git")).unwrap();
    sandbox.git(["init", "-q", "-b", "main", "--object-format=sha256"]);
    let signing = &config[config.find("[gpg]").unwrap()..];
    let path = sandbox.repo().join(".git/config");
    fs::write(&path, fs::read_to_string(&path).unwrap() + signing).unwrap();
    let shop = Shop::in_sandbox(sandbox);
    shop.sandbox.git(["verify-commit", &shop.reference()]);
    assert!(codes(&shop, 0).is_empty());
}

#[test]
fn openpgp_signs_as_well() {
    let mut sandbox = Sandbox::new();
    // The path of the socket of the agent has to be short.
    let home = tempfile::Builder::new().prefix("g").tempdir_in("/tmp").unwrap();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    sandbox.set("GNUPGHOME", home.path());
    let make =
        ["--batch", "-q", "--passphrase", "", "--quick-gen-key", "Ada <ada@example.com>", "ed25519", "sign"];
    let _ = sandbox.output(sandbox.command("gpg").args(make)).success();
    sandbox.git(["config", "commit.gpgSign", "true"]);
    let shop = Shop::in_sandbox(sandbox);
    shop.sandbox.git(["verify-commit", &shop.reference()]);
    assert!(codes(&shop, 0).is_empty());
    let _ = shop.sandbox.output(shop.sandbox.command("gpgconf").args(["--kill", "all"]));
}
