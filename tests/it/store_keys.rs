//! Encrypted stores as users use them: who can read, who can change the recipients, and the data that is
//! visible without a key.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::cluster::Cluster;
use crate::sandbox::{Output, Sandbox};
use crate::tmpfs::Tmpfs;

/// Data that must not be visible: the name of the database, of the file, and a line of its content.
const HIDDEN: [&str; 3] = ["customers_of_acme", "quarterly_figures.sql", "the price is 4711 ducats"];

/// A sandbox with an encrypted store for the identity in `ada.key`.
struct Vault {
    sandbox: Sandbox,
}

impl Vault {
    fn new() -> Self {
        let vault = Self::without_store();
        vault.run(&["init", "--recipient", &vault.public("ada")]).success();
        vault
    }

    fn without_store() -> Self {
        let mut sandbox = Sandbox::new();
        let store = sandbox.path().join("vault");
        sandbox.git(["config", "pggit.store", store.to_str().unwrap()]);
        sandbox.set("PGGIT_STORE_IDENTITY", sandbox.path().join("ada.key"));
        let vault = Self { sandbox };
        vault.generate("ada");
        vault
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    fn generate(&self, name: &str) {
        let file = self.file(&format!("{name}.key"));
        let args = ["store", "key", "generate", file.to_str().unwrap()];
        let printed = self.sandbox.pggit(args).success().stdout_text();
        assert_eq!(printed.trim(), self.public(name));
    }

    fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.file(&format!("{name}.key"))).unwrap();
        text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
    }

    #[must_use]
    fn run(&self, args: &[&str]) -> Output {
        self.sandbox.pggit([&["store"], args].concat())
    }

    /// Runs a command with other keys.
    #[must_use]
    fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = self.sandbox.pggit_command();
        command.env_remove("PGGIT_STORE_IDENTITY").envs(variables.iter().copied());
        self.sandbox.output(command.arg("store").args(args))
    }

    #[must_use]
    fn run_as(&self, name: &str, args: &[&str]) -> Output {
        let file = self.file(&format!("{name}.key"));
        self.run_with(&[("PGGIT_STORE_IDENTITY", file.to_str().unwrap())], args)
    }

    /// Stores `content`. Returns the id of the artifact, the growth of the store in bytes, and the key.
    fn put(&self, content: &[u8]) -> (String, u64, String) {
        let file = self.file("input");
        fs::write(&file, content).unwrap();
        let args = ["put", "--json", "--database", HIDDEN[0], "--name", HIDDEN[1], file.to_str().unwrap()];
        let json = self.run(&args).success().json();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        (text("id"), json["stored_bytes"].as_u64().unwrap(), text("key"))
    }

    fn objects(&self) -> Vec<PathBuf> {
        let files = WalkDir::new(self.file("vault")).sort_by_file_name().into_iter();
        files
            .map(|entry| entry.unwrap())
            .filter(|e| e.file_type().is_file())
            .map(walkdir::DirEntry::into_path)
            .collect()
    }

    fn keys_objects(&self) -> Vec<PathBuf> {
        self.objects().into_iter().filter(|path| path.parent().unwrap().ends_with("keys")).collect()
    }

    fn recipients(&self) -> Vec<String> {
        let json = self.run(&["key", "list", "--json"]).success().json();
        let name =
            |r: &serde_json::Value| r["label"].as_str().or(r["recipient"].as_str()).unwrap().to_owned();
        json["recipients"].as_array().unwrap().iter().map(name).collect()
    }

    /// Runs a change that is killed at `point`.
    fn killed(&self, point: &str, args: &[&str]) {
        let mut command = self.sandbox.pggit_command();
        let output = self.sandbox.output(command.arg("store").args(args).env("PGGIT_CRASH_AT", point));
        assert_eq!(output.status, -1, "{point}: {}", output.snapshot());
    }
}

/// Returns unique rows; `version` changes one of them.
fn rows(version: u32) -> Vec<u8> {
    let mut text = format!("-- version {version}\n-- {}\n", HIDDEN[2]);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for row in 0..40_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{row}\t{state:016x}\t{}\n", if row == 20_000 { version } else { 0 }));
    }
    text.into_bytes()
}

#[test]
fn what_is_stored_is_read_by_recipients_and_seen_by_nobody_else() {
    let vault = Vault::new();
    let (id, _, key) = vault.put(&rows(1));
    assert_eq!(key.len(), 8, "{key}");
    assert!(vault.run(&["get", &id]).success().stdout == rows(1));
    assert!(vault.run(&["show"]).success().stdout_text().contains("encrypted:  yes"));
    assert!(vault.run(&["list"]).success().stdout_text().contains(HIDDEN[0]));
    let secret = fs::read_to_string(vault.file("ada.key")).unwrap();
    let secret = secret.lines().last().unwrap();
    let secrets = unwrapped(&vault);
    let mut hidden: Vec<&[u8]> = HIDDEN.iter().map(|text| text.as_bytes()).collect();
    hidden.extend([secret.as_bytes(), id.as_bytes()]);
    // As hex digits, and as bytes.
    let bytes: Vec<Vec<u8>> = secrets.iter().map(|secret| unhex(secret)).collect();
    hidden.extend(secrets.iter().map(String::as_bytes));
    hidden.extend(bytes.iter().map(Vec::as_slice));
    for path in vault.objects() {
        let content = fs::read(&path).unwrap();
        let name = path.strip_prefix(vault.file("vault")).unwrap().to_str().unwrap().to_owned();
        for text in &hidden {
            let there = content.windows(text.len()).any(|window| window == *text);
            assert!(!there, "{name} shows {}", String::from_utf8_lossy(text));
            // The id of a backup is the name of its manifest, as in every store.
            let named = name.as_bytes().windows(text.len()).any(|window| window == *text);
            assert!(!named || *text == id.as_bytes(), "{name}");
        }
    }
    let kinds: Vec<_> = vault.objects().iter().map(|path| path.components().count()).collect();
    assert!(kinds.len() >= 4, "config, keys, a pack, a manifest");
}

/// Returns the secrets of a store as docs/store-encryption.md describes it.
fn unwrapped(vault: &Vault) -> Vec<String> {
    let object = vault.keys_objects().pop().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(object).unwrap()).unwrap();
    let armored = json["recipients"][0]["secrets"].as_str().unwrap().to_owned();
    let identity = fs::read_to_string(vault.file("ada.key")).unwrap();
    let identity: age::x25519::Identity = identity.lines().last().unwrap().parse().unwrap();
    let text = String::from_utf8(age::decrypt(&identity, armored.as_bytes()).unwrap()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// Opens a manifest without this program, as the page on encryption describes it.
#[test]
fn a_manifest_is_opened_by_hand_as_the_page_says() {
    use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
    use chacha20poly1305::{XChaCha20Poly1305, XNonce};
    let vault = Vault::new();
    let (id, _, key) = vault.put(b"4711");
    let secret: [u8; 32] = unhex(&unwrapped(&vault)[0]).try_into().unwrap();
    assert_eq!(blake3::derive_key("git-pggit 2026 store key id", &secret)[..4], unhex(&key));
    let naming = blake3::derive_key("git-pggit 2026 store naming", &secret);
    let lineage = blake3::keyed_hash(&naming, HIDDEN[0].as_bytes()).to_hex();
    let name = format!("artifacts/~{}/{id}/00000001", &lineage[..32]);
    let object = fs::read(vault.file("vault").join(&name)).unwrap();
    assert_eq!(object[..4], unhex(&key));
    let sealing = blake3::derive_key("git-pggit 2026 store sealing", &secret);
    let payload = Payload { msg: &object[28..], aad: name.as_bytes() };
    let cipher = XChaCha20Poly1305::new(&sealing.into());
    let blob = cipher.decrypt(XNonce::from_slice(&object[4..28]), payload).unwrap();
    let (blob, digest) = blob.split_last_chunk::<32>().unwrap();
    assert_eq!(blake3::hash(&[name.as_bytes(), &[0], blob].concat()), *digest);
    let json = match blob[0] {
        0 => blob[1..].to_vec(),
        1 => zstd::stream::decode_all(&blob[1..]).unwrap(),
        other => panic!("a manifest of kind {other}"),
    };
    let manifest: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((manifest["id"].as_str(), manifest["lineage"].as_str()), (Some(&*id), Some(HIDDEN[0])));
    assert_eq!(manifest["files"][0]["name"], HIDDEN[1]);
}

#[test]
fn whoever_has_no_key_or_a_wrong_one_is_told_what_to_do() {
    let vault = Vault::new();
    let (id, ..) = vault.put(b"x");
    vault.generate("eve");
    let error = vault.run_as("eve", &["get", &id, "--json"]).fails(19).json_error();
    assert_eq!(error["error"]["code"], "configuration");
    shows(
        &vault.run_as("eve", &["list"]),
        "\
[stderr]
error: file://[SANDBOX]/vault: encrypted, and none of the given keys fits
hint: 'git pggit store key list' shows the recipients whose keys open the store
[exit 19]
",
    );
    shows(
        &vault.run_with(&[], &["list"]),
        "\
[stderr]
error: file://[SANDBOX]/vault: encrypted, and no key was given
hint: name a file with an age identity: git config --global pggit.storeIdentity <file>
hint: or set the passphrase in PGGIT_STORE_PASSPHRASE or in the file of pggit.storePassphraseFile
[exit 19]
",
    );
    shows(
        &vault.run_as("nobody", &["list"]),
        "\
[stderr]
error: [SANDBOX]/nobody.key: cannot use key file: no such file
hint: pggit.storeIdentity and pggit.storePassphraseFile name key files: 'git pggit config' shows their origin
[exit 19]
",
    );
    fs::write(vault.file("words.key"), "hello\n").unwrap();
    fs::set_permissions(vault.file("words.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let error = vault.run_as("words", &["list"]).fails(19).stderr_text();
    assert!(error.contains("line 1 is not an age identity") && !error.contains("hello"), "{error}");
    // A relative path would name another file in another directory.
    vault.run_with(&[("PGGIT_STORE_IDENTITY", "ada.key")], &["list"]).fails(19);
    // Reading public metadata needs no key, and changes need one.
    vault.run_with(&[], &["key", "list"]).success();
    vault.run_as("eve", &["key", "rotate"]).fails(19);
    vault.run_as("eve", &["key", "add", &vault.public("eve")]).fails(19);
}

#[track_caller]
fn shows(output: &Output, expected: &str) {
    assert_eq!(output.snapshot(), expected);
}

#[test]
fn files_that_others_can_read_are_warned_of() {
    let vault = Vault::new();
    let mode = fs::metadata(vault.file("ada.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(vault.run(&["list"]).success().stderr_text(), "");
    fs::set_permissions(vault.file("ada.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let warned = vault.run(&["key", "rotate"]).success().stderr_text();
    assert_eq!(warned.matches("warning: other users may have access to the key").count(), 1, "{warned}");
    let twice = vault.file("ada.key");
    let refused = vault.run(&["key", "generate", twice.to_str().unwrap()]).fails(12);
    assert!(refused.stderr_text().contains("already exists"), "{}", refused.snapshot());
}

#[test]
fn a_passphrase_opens_from_the_environment_and_from_a_file() {
    let vault = Vault::without_store();
    let phrase = [("PGGIT_STORE_PASSPHRASE", "correct horse")];
    vault.run_with(&[], &["init", "--passphrase"]).fails(19);
    vault.run_with(&phrase, &["init", "--passphrase"]).success();
    fs::write(vault.file("phrase"), "correct horse\n").unwrap();
    fs::set_permissions(vault.file("phrase"), fs::Permissions::from_mode(0o600)).unwrap();
    vault.sandbox.git(["config", "pggit.storePassphraseFile", vault.file("phrase").to_str().unwrap()]);
    vault.run_with(&[], &["list"]).success();
    vault.run_with(&[("PGGIT_STORE_PASSPHRASE", "wrong")], &["list"]).fails(19);
    vault.run_with(&[], &["key", "add", &vault.public("ada"), "--label", "ada"]).success();
    vault.run(&["key", "remove", "passphrase"]).success();
    vault.run_with(&phrase, &["list"]).fails(19);
    assert_eq!(vault.recipients(), ["ada"]);
    for path in vault.objects() {
        let content = fs::read(path).unwrap();
        assert!(!content.windows(13).any(|window| window == b"correct horse"));
    }
}

#[test]
fn recipients_come_and_go_and_the_store_stays_one() {
    let vault = Vault::new();
    let (first, whole, old_key) = vault.put(&rows(1));
    vault.generate("bea");
    vault.run(&["key", "add", &vault.public("bea"), "--label", "bea"]).success();
    assert_eq!(vault.recipients().len(), 2);
    assert!(vault.run_as("bea", &["get", &first]).success().stdout == rows(1));
    vault.run(&["key", "add", &vault.public("bea")]).fails(12);
    vault.run(&["key", "add", "age1x"]).fails(129);
    vault.run(&["key", "remove", "eve"]).fails(10);
    vault.run(&["key", "remove", "bea"]).success();
    vault.run_as("bea", &["get", &first]).fails(19);
    let last = vault.run(&["key", "remove", &vault.public("ada")]).fails(12);
    assert!(last.stderr_text().contains("the last recipient"), "{}", last.snapshot());
    vault.run(&["key", "rotate"]).success();
    let (second, delta, new_key) = vault.put(&rows(2));
    assert_ne!(old_key, new_key);
    // Chunk boundaries and names do not depend on the key: only changed data is stored.
    assert!(delta < whole / 10, "{delta} of {whole}");
    assert!(vault.run(&["get", &first]).success().stdout == rows(1));
    assert!(vault.run(&["get", &second]).success().stdout == rows(2));
    vault.run_as("bea", &["get", &second]).fails(19);
    let json = vault.run(&["key", "list", "--json"]).success().json();
    let done: Vec<_> =
        json["history"].as_array().unwrap().iter().map(|c| c["action"].as_str().unwrap()).collect();
    assert_eq!(done, ["init", "add", "add", "remove", "rotate"]);
    let rotated = &json["history"][4];
    assert_eq!((&rotated["by"], &rotated["key"]), (&"Ada <ada@example.com>".into(), &new_key.into()));
    assert!(rotated["host"].as_str().is_some_and(|host| !host.is_empty()));
    assert_eq!(json["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn two_who_add_at_the_same_time_are_both_recipients() {
    let vault = Vault::new();
    let names = ["r0", "r1", "r2", "r3"];
    names.iter().for_each(|name| vault.generate(name));
    std::thread::scope(|scope| {
        for name in names {
            let vault = &vault;
            scope.spawn(move || {
                vault.run(&["key", "add", &vault.public(name), "--label", name]).success();
            });
        }
    });
    let mut recipients = vault.recipients();
    recipients.sort();
    assert_eq!(recipients[1..], names);
    assert_eq!(vault.keys_objects().len(), 1);
    for name in names {
        vault.run_as(name, &["list"]).success();
    }
}

#[test]
fn a_store_whose_making_is_killed_is_made_by_the_next() {
    for point in ["store.object.partial", "store.keys.begun"] {
        let vault = Vault::without_store();
        let ada = vault.public("ada");
        let init = ["init", "--recipient", &ada];
        vault.killed(point, &init);
        vault.run(&["list"]).fails(10);
        vault.run(&init).success();
        vault.run(&init).fails(12);
        let (id, ..) = vault.put(b"x");
        assert_eq!(vault.run(&["get", &id]).success().stdout, b"x");
        vault.run(&["key", "rotate"]).success();
        assert_eq!(vault.keys_objects().len(), 1, "{point}");
    }
}

#[test]
fn changes_that_are_killed_happen_or_do_not_and_can_be_made_again() {
    let points = ["store.keys.wrapped", "store.object.partial", "store.keys.created", "store.keys.removed"];
    for (at, point) in points.into_iter().enumerate() {
        let vault = Vault::new();
        vault.generate("bea");
        vault.run(&["key", "add", &vault.public("bea"), "--label", "bea"]).success();
        let (id, ..) = vault.put(b"x");
        vault.killed(point, &["key", "remove", "bea"]);
        let done = at >= 2;
        assert_eq!(vault.recipients().len(), if done { 1 } else { 2 }, "{point}");
        assert_eq!(vault.run(&["get", &id]).success().stdout, b"x");
        let list = vault.run(&["key", "list"]).success().stderr_text();
        // The previous key object still exists, and the list reports it.
        assert_eq!(list.contains("was not finished"), point == "store.keys.created", "{point}: {list}");
        // The second attempt succeeds or has nothing to do, and the previous object is removed either way.
        vault.run(&["key", "remove", "bea"]).fails(if done { 10 } else { 0 });
        vault.run_as("bea", &["list"]).fails(19);
        let objects = vault.keys_objects();
        assert_eq!(objects.len(), 1, "{point}: {objects:?}");
        vault.killed(point, &["key", "rotate"]);
        assert_eq!(vault.run(&["get", &id]).success().stdout, b"x", "{point}");
        vault.put(b"y");
    }
}

#[test]
fn damaged_keys_are_no_keys_and_whole_ones_come_back() {
    let vault = Vault::new();
    let (id, ..) = vault.put(b"x");
    let object = vault.keys_objects().pop().unwrap();
    let whole = fs::read_to_string(&object).unwrap();
    let write = |text: &str| overwrite(&object, text);
    for damaged in ["", "{}", &whole[..whole.len() / 2], &whole.replace("\"add\"", "\"init\"")] {
        write(damaged);
        let failed = vault.run(&["get", &id]).fails(16);
        assert!(failed.stderr_text().contains("damaged"), "{}", failed.snapshot());
        vault.run(&["key", "rotate"]).fails(16);
        assert_eq!(fs::read_to_string(&object).unwrap(), damaged, "nothing is written over it");
    }
    write(&whole.replace("\"format\": 1", "\"format\": 9"));
    vault.run(&["get", &id]).fails(19);
    fs::remove_file(&object).unwrap();
    vault.run(&["get", &id]).fails(16);
    write(&whole);
    assert_eq!(vault.run(&["get", &id]).success().stdout, b"x");
}

fn overwrite(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn stores_that_are_not_encrypted_have_no_keys() {
    let vault = Vault::without_store();
    vault.run(&["init"]).success();
    vault.run(&["key", "list"]).fails(12);
    vault.run(&["key", "add", &vault.public("ada")]).fails(12);
    vault.run(&["init", "--recipient", &vault.public("ada")]).fails(12);
    // An invalid recipient leaves no store.
    let other = Vault::without_store();
    other.run(&["init", "--recipient", "age1x"]).fails(129);
    assert!(!other.file("vault").exists());
}

#[test]
fn a_backup_in_an_encrypted_store_names_its_key_and_comes_back() {
    let (vault, cluster) = (Vault::new(), Cluster::shared());
    let database = cluster.create_database("sealed");
    let sql = "create table customers_of_acme (id int, note text)";
    vault.sandbox.commit("1.sql", sql, "one");
    cluster.psql(&database, sql);
    cluster.psql(&database, &format!("insert into customers_of_acme values (1, '{}')", HIDDEN[2]));
    let pggit = |args: &[&str]| vault.sandbox.pggit(args);
    pggit(&["database", "add", "shop", "--url", &cluster.url(&database)]).success();
    let key = || vault.run(&["key", "list", "--json"]).success().json()["keys"].as_array().unwrap().clone();
    for (name, copy) in [("before", "_before"), ("after", "_after")] {
        pggit(&["backup", "create", "--name", name]).success();
        let shown = pggit(&["backup", "show", "--json", name]).success().json();
        assert!(shown.to_string().contains(&format!("{}", key().last().unwrap()["id"])), "{shown:#}");
        let copy = format!("{database}{copy}");
        pggit(&["backup", "restore", name, "--into", &copy]).success();
        assert_eq!(cluster.psql(&copy, "select note from customers_of_acme").trim(), HIDDEN[2]);
        vault.run(&["key", "rotate"]).success();
    }
    assert_eq!(key().len(), 3);
    for path in vault.objects() {
        let content = fs::read(&path).unwrap();
        for text in HIDDEN {
            assert!(
                !content.windows(text.len()).any(|window| window == text.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
    vault.generate("eve");
    let mut command = vault.sandbox.pggit_command();
    command.env("PGGIT_STORE_IDENTITY", vault.file("eve.key"));
    let into = format!("{database}_eve");
    let refused = vault.sandbox.output(command.args(["backup", "restore", "before", "--into", &into]));
    assert!(refused.fails(19).stderr_text().contains("none of the given keys fits"));
    let mut command = vault.sandbox.pggit_command();
    command.env_remove("PGGIT_STORE_IDENTITY");
    vault.sandbox.output(command.args(["backup", "create"])).fails(19);
}

#[test]
fn a_full_disk_changes_nothing() {
    let Some(disk) = Tmpfs::mount("size=256k") else { return };
    let vault = Vault::without_store();
    let store = disk.path().join("vault");
    let at = ["--store", store.to_str().unwrap()];
    vault.run(&["init", store.to_str().unwrap(), "--recipient", &vault.public("ada")]).success();
    let list = || vault.run(&[&["key", "list", "--json"], &at[..]].concat()).success().stdout_text();
    let before = list();
    let filler = disk.path().join("filler");
    assert!(fs::write(&filler, vec![0; 1 << 20]).is_err(), "the disk is not full");
    vault.run(&[&["key", "rotate"], &at[..]].concat()).fails(15);
    assert_eq!(list(), before);
    fs::remove_file(filler).unwrap();
    vault.run(&[&["key", "rotate"], &at[..]].concat()).success();
    assert_ne!(list(), before);
}
