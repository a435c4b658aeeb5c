//! Changes of keys, alone and concurrently, and manipulations of keys objects.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;

use super::*;
use crate::process::Secret;
use crate::store::Store;

/// A store in a temporary directory, with the identity of its first recipient.
struct TestStore {
    dir: tempfile::TempDir,
    url: StoreUrl,
}

fn author(by: &str) -> Author {
    Author { at: "2026-11-21T03:40:06Z".parse().unwrap(), by: by.to_owned(), host: "db1".to_owned() }
}

fn key_file(dir: &Path, name: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    let public = generate_identity(&path, author("x").at).unwrap();
    (path, public)
}

fn by_identity(path: &Path) -> Access {
    Access { keyring: Keyring { identity: Some(path.to_owned()), passphrase: None }, ..Access::default() }
}

fn given(passphrase: &str) -> Passphrase {
    Passphrase::Given(Secret::new(passphrase))
}

fn by_passphrase(passphrase: &str) -> Access {
    let keyring = Keyring { identity: None, passphrase: Some(given(passphrase)) };
    Access { keyring, ..Access::default() }
}

impl TestStore {
    /// Creates a store for the identity in `first`.
    fn new() -> Self {
        let place = Self::empty();
        let (path, public) = key_file(place.dir.path(), "first");
        let recipients = [NewRecipient::public_key(&public, Some("first")).unwrap()];
        Store::init_encrypted(&place.url, &by_identity(&path), &recipients, &author("ada")).unwrap();
        place
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = StoreUrl::from_directory(&dir.path().join("store")).unwrap();
        Self { dir, url }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn access(&self) -> Access {
        by_identity(&self.file("first"))
    }

    fn keys(&self) -> StoreKeys {
        StoreKeys::open(&self.url, &self.access()).unwrap()
    }

    fn open(&self, access: &Access) -> Result<Option<String>> {
        Store::open(&self.url, access).map(|store| store.inner.crypt.key())
    }

    /// Returns the names of all keys objects.
    fn objects(&self) -> Vec<String> {
        let names = fs::read_dir(self.file("store/keys")).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn labels(view: &KeysView) -> Vec<&str> {
    view.recipients.iter().filter_map(|recipient| recipient.label.as_deref()).collect()
}

#[test]
fn the_secrets_are_lines_of_hex_that_age_alone_unwraps() {
    let identity = Identity::generate();
    let secrets = Secrets::generate().unwrap().rotated().unwrap();
    let armored = secrets.wrap(&identity.to_public()).unwrap();
    let text = String::from_utf8(age::decrypt(&identity, armored.as_bytes()).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("# secrets of a git-pggit store"));
    assert!(lines[1..].iter().all(|line| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit())));
    let again = Secrets::unwrap(&armored, &identity).unwrap();
    assert_eq!(again.key_ids(), secrets.key_ids());
    assert!(Secrets::unwrap(&armored, &Identity::generate()).is_none());
    assert!(!format!("{secrets:?}").contains(lines[1]) && !format!("{secrets:?}").contains(lines[2]));
}

#[test]
fn only_the_owner_of_a_key_opens_the_store() {
    let place = TestStore::new();
    let key = place.open(&place.access()).unwrap();
    let view = place.keys().view().unwrap();
    assert_eq!(key.as_deref(), Some(view.keys[0].id.as_str()));
    let (other, public) = key_file(place.dir.path(), "other");
    assert!(matches!(place.open(&by_identity(&other)), Err(Error::NoKey { given: true, .. })));
    assert!(matches!(place.open(&Access::default()), Err(Error::NoKey { given: false, .. })));
    let recipient = NewRecipient::public_key(&public, Some("other")).unwrap();
    let view = place.keys().add(&recipient, &author("ada")).unwrap();
    assert_eq!(labels(&view), ["first", "other"]);
    assert_eq!(place.open(&by_identity(&other)).unwrap(), key);
    assert!(matches!(place.keys().add(&recipient, &author("ada")), Err(Error::RecipientKnown { .. })));
    // A file with several identities opens with any of them.
    let both = [fs::read(place.file("other")).unwrap(), fs::read(place.file("first")).unwrap()].concat();
    fs::write(place.file("both"), both).unwrap();
    assert_eq!(place.open(&by_identity(&place.file("both"))).unwrap(), key);
}

#[test]
fn a_removed_recipient_cannot_open_and_the_last_one_stays() {
    let place = TestStore::new();
    let (other, public) = key_file(place.dir.path(), "other");
    place.keys().add(&NewRecipient::public_key(&public, None).unwrap(), &author("ada")).unwrap();
    let old = place.open(&by_identity(&other)).unwrap();
    let view = place.keys().remove(&public[..12], &author("bea")).unwrap();
    assert_eq!(labels(&view), ["first"]);
    assert!(matches!(place.open(&by_identity(&other)), Err(Error::NoKey { .. })));
    assert_eq!(place.objects(), ["00000003"]);
    let text = fs::read_to_string(place.file("store/keys/00000003")).unwrap();
    assert_eq!(text.matches("BEGIN AGE ENCRYPTED FILE").count(), 1, "{text}");
    assert!(matches!(place.keys().remove("first", &author("bea")), Err(Error::LastRecipient { .. })));
    assert!(matches!(place.keys().remove("other", &author("bea")), Err(Error::RecipientUnknown { .. })));
    let view = place.keys().rotate(&author("bea")).unwrap();
    let now = place.open(&place.access()).unwrap();
    assert_ne!(now, old);
    assert_eq!(now.as_ref(), view.keys.last().map(|key| &key.id));
    let done: Vec<_> =
        view.history.iter().map(|change| (change.action, change.by.as_str(), change.host.as_str())).collect();
    let expected = [
        (Action::Init, "ada", "db1"),
        (Action::Add, "ada", "db1"),
        (Action::Add, "ada", "db1"),
        (Action::Remove, "bea", "db1"),
        (Action::Rotate, "bea", "db1"),
    ];
    assert_eq!(done, expected);
    assert_eq!(view.history[3].recipient.as_deref(), Some(public.as_str()));
    assert_eq!(view.history[4].key, now);
}

#[test]
fn passphrases_open_and_outlive_rotations_that_do_not_know_them() {
    let place = TestStore::new();
    let safe = NewRecipient::passphrase_with_work(&given("correct horse"), None, Some(4)).unwrap();
    place.keys().add(&safe, &author("ada")).unwrap();
    let other = NewRecipient::passphrase_with_work(&given("battery staple"), Some("two"), Some(4)).unwrap();
    let view = place.keys().add(&other, &author("ada")).unwrap();
    assert_eq!(labels(&view), ["first", "passphrase", "two"]);
    let key = place.open(&place.access()).unwrap();
    assert_eq!(place.open(&by_passphrase("correct horse")).unwrap(), key);
    assert_eq!(place.open(&by_passphrase("battery staple")).unwrap(), key);
    for wrong in ["correct hors", "x"] {
        assert!(matches!(place.open(&by_passphrase(wrong)), Err(Error::NoKey { given: true, .. })));
    }
    assert!(matches!(place.open(&by_passphrase("")), Err(Error::BadPassphrase { .. })));
    place.keys().rotate(&author("ada")).unwrap();
    let rotated = place.open(&by_passphrase("correct horse")).unwrap();
    assert_ne!(rotated, key);
    // The owner of a passphrase may change the recipients.
    let keys = StoreKeys::open(&place.url, &by_passphrase("battery staple")).unwrap();
    assert_eq!(labels(&keys.remove("passphrase", &author("bea")).unwrap()), ["first", "two"]);
    assert!(matches!(place.open(&by_passphrase("correct horse")), Err(Error::NoKey { .. })));
    fs::write(place.file("words"), "battery staple\r\nnot this line\n").unwrap();
    let keyring = Keyring { identity: None, passphrase: Some(Passphrase::File(place.file("words"))) };
    assert_eq!(place.open(&Access { keyring, ..Access::default() }).unwrap(), rotated);
}

#[test]
fn errors_of_key_files_do_not_show_their_content() {
    let place = TestStore::new();
    let secret = Identity::generate().to_string().expose_secret().to_owned();
    let cases = [
        ("", "there is no age identity in it"),
        ("# x\n", "there is no age identity in it"),
        ("s3cret\n", "line 1 is not an age identity"),
        (&*format!("{secret}\n{}x\n", &secret[..20]), "line 2 is not an age identity"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "it is encrypted itself"),
    ];
    for (content, expected) in cases {
        fs::write(place.file("bad"), content).unwrap();
        let error = place.open(&by_identity(&place.file("bad"))).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        assert!(!error.contains("AGE-SECRET-KEY-1"), "{error}");
    }
    let error = place.open(&by_identity(&place.file("nothing"))).unwrap_err().to_string();
    assert!(error.contains("no such file"), "{error}");
    assert!(matches!(place.open(&by_identity(place.dir.path())), Err(Error::KeyFile { .. })));
    let refused = NewRecipient::public_key(&secret, None).err().unwrap().to_string();
    assert!(refused.contains("secret identity") && !refused.contains(&secret[15..25]), "{refused}");
    for label in ["", " x", "age1x", "a\nb", &"x".repeat(65)] {
        let public = Identity::generate().to_public().to_string();
        assert!(NewRecipient::public_key(&public, Some(label)).is_err(), "{label:?}");
    }
    assert!(matches!(generate_identity(&place.file("bad"), author("x").at), Err(Error::Exists { .. })));
}

#[test]
fn concurrent_changes_all_succeed() {
    let place = TestStore::new();
    let names: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let (keys, dir) = (place.keys(), place.dir.path());
            scope.spawn(move || {
                let (_, public) = key_file(dir, name);
                let recipient = NewRecipient::public_key(&public, Some(name)).unwrap();
                keys.add(&recipient, &author(name)).unwrap();
            });
        }
        // A concurrent reader.
        scope.spawn(|| {
            for _ in 0..50 {
                place.open(&place.access()).unwrap();
            }
        });
    });
    let view = place.keys().view().unwrap();
    let mut present = labels(&view);
    present.sort_unstable();
    assert_eq!(present, ["first", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"]);
    assert_eq!((view.history.len(), view.number), (2 + 8, 1 + 8));
    for name in &names {
        place.open(&by_identity(&place.file(name))).unwrap();
    }
    assert_eq!(place.objects(), ["00000009"]);
}

#[test]
fn a_change_of_a_replaced_keys_object_is_retried() {
    let place = TestStore::new();
    let recipients: Vec<_> = (0..3)
        .map(|n| {
            let (_, public) = key_file(place.dir.path(), &n.to_string());
            NewRecipient::public_key(&public, Some(&n.to_string())).unwrap()
        })
        .collect();
    // The object 2 is removed before this change writes its 2, so the name is free.
    let first = Cell::new(true);
    let ada = author("ada");
    let view = place.keys().change(|document, secrets| {
        if first.replace(false) {
            place.keys().add(&recipients[0], &ada)?;
            place.keys().add(&recipients[1], &ada)?;
            assert_eq!(place.objects(), ["00000003"]);
        }
        let entry = recipients[2].entry(&secrets, &ada).unwrap();
        document.history.push(KeyChange::of(&ada, Action::Add, &entry));
        document.recipients.push(entry);
        Ok(secrets)
    });
    assert_eq!(labels(&view.unwrap()), ["first", "0", "1", "2"]);
    assert_eq!(place.objects(), ["00000004"]);
}

#[test]
fn recipients_cannot_be_changed_without_a_key() {
    let place = TestStore::new();
    let path = place.file("store/keys/00000001");
    let written = fs::read_to_string(&path).unwrap();
    let mallory = Identity::generate().to_public();
    let forge = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&written).unwrap();
        edit(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        let error = place.keys().rotate(&author("ada")).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(place.open(&place.access()).is_err());
    };
    forge(&|value| {
        // With secrets that Mallory has invented.
        let secrets = Secrets::generate().unwrap().wrap(&mallory).unwrap();
        let mut entry = value["recipients"][0].clone();
        entry["recipient"] = mallory.to_string().into();
        entry["secrets"] = secrets.into();
        value["recipients"].as_array_mut().unwrap().push(entry);
    });
    forge(&|value| value["history"] = serde_json::json!([]));
    forge(&|value| value["recipients"][0]["label"] = "x".into());
    forge(&|value| value["mac"] = serde_json::Value::Null);
    forge(&|value| value["recipients"] = serde_json::json!([]));
    fs::write(&path, written.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(matches!(place.open(&place.access()), Err(Error::Newer { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(place.open(&place.access()), Err(Error::Damaged { .. })));
    // White space does not matter.
    fs::write(&path, written.replace("\n", "\n ")).unwrap();
    place.open(&place.access()).unwrap();
}

#[test]
fn every_damage_of_a_keys_object_is_an_error() {
    let place = TestStore::new();
    let path = place.file("store/keys/00000001");
    let written = fs::read(&path).unwrap();
    let key = place.open(&place.access()).unwrap();
    // All bytes but the newline at the end, which is not part of the JSON.
    for at in (0..written.len() - 1).step_by(7) {
        let mut flipped = written.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        // A change from one white space to another is no damage.
        assert!(place.open(&place.access()).is_err() || written[at].is_ascii_whitespace(), "{at}");
        fs::write(&path, &written[..at]).unwrap();
        assert!(place.open(&place.access()).is_err(), "{at}");
    }
    fs::write(&path, &written).unwrap();
    assert_eq!(place.open(&place.access()).unwrap(), key);
}

#[test]
fn unfinished_stores_do_not_block_a_new_one() {
    let place = TestStore::empty();
    let (path, public) = key_file(place.dir.path(), "first");
    let recipients = [NewRecipient::public_key(&public, Some("first")).unwrap()];
    let bucket = Bucket::open(&place.url, &Access::default().cloud).unwrap();
    // One creation crashed before, and one is concurrent and slower.
    begin(&bucket, Uuid::now_v7(), &recipients, &author("dead")).unwrap();
    let store = Store::init_encrypted(&place.url, &by_identity(&path), &recipients, &author("ada")).unwrap();
    begin(&bucket, Uuid::now_v7(), &recipients, &author("slow")).unwrap();
    assert_eq!(place.open(&by_identity(&path)).unwrap(), store.inner.crypt.key());
    assert_eq!(place.keys().view().unwrap().number, 2);
    let again = Store::init_encrypted(&place.url, &by_identity(&path), &recipients, &author("bea"));
    assert!(matches!(again, Err(Error::StoreExists { .. })));
    let view = place.keys().rotate(&author("ada")).unwrap();
    assert_eq!((view.number, view.history[0].by.as_str()), (4, "ada"));
    assert_eq!(place.objects(), ["00000004"]);
}

#[test]
fn stores_without_encryption_have_no_keys_to_change() {
    let place = TestStore::empty();
    Store::init(&place.url, &Access::default(), author("x").at).unwrap();
    let refused = StoreKeys::open(&place.url, &Access::default()).err();
    assert!(matches!(refused, Some(Error::NotEncrypted { .. })));
    // The keyring is not read.
    place.open(&by_identity(&place.file("nothing"))).unwrap();
}
