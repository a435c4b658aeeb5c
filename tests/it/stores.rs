//! Stores for tests: versions of a database in a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use pggit::domain::Timestamp;
use pggit::process::Cmd;
use pggit::progress::Quiet;
use pggit::store::{
    Access, ArtifactWriter, CheckOptions, CheckReport, Chunking, NewArtifact, Portion, Store,
};
use uuid::Uuid;

/// A store in a temporary directory.
pub(crate) struct TestStore {
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from(chrono::DateTime::<chrono::Utc>::from(SystemTime::now()))
}

/// Returns version `version` of the database `seed`. Each version differs a little from the previous one.
pub(crate) fn version(seed: u32, version: u32) -> Vec<u8> {
    let mut content = Vec::new();
    for row in 0..6000_u32 {
        let edits = (0..=version).rev().find(|edit| (row + 7 * edit) % 211 == 0).unwrap_or(0);
        let digest = blake3::hash(&[seed.to_le_bytes(), row.to_le_bytes(), edits.to_le_bytes()].concat());
        writeln!(content, "{row}\t{}\tcustomer {row}", digest.to_hex()).unwrap();
    }
    content
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let _ = Store::init(&place.url(), &Access::default(), now()).unwrap();
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn url(&self) -> pggit::store::StoreUrl {
        pggit::store::StoreUrl::from_directory(&self.root()).unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.url(), &Access::default()).unwrap()
    }

    /// Begins an artifact.
    pub(crate) fn begin(&self, lineage: &str) -> ArtifactWriter {
        begin(&self.store(), lineage)
    }

    /// Stores `content`. Returns the id of the artifact.
    pub(crate) fn put(&self, lineage: &str, content: &[u8]) -> String {
        publish(self.begin(lineage), content).unwrap()
    }

    /// Makes a store with three versions of two databases. Returns it with the contents by id.
    pub(crate) fn filled() -> (Self, BTreeMap<String, Vec<u8>>) {
        let place = Self::new();
        let mut contents = BTreeMap::new();
        for number in 0..3 {
            for (seed, lineage) in [(1, "shop"), (2, "crm")] {
                let content = version(seed, number);
                contents.insert(place.put(lineage, &content), content);
            }
        }
        (place, contents)
    }

    /// Makes a store with one artifact in four packs, whose earlier versions were removed. Returns it with
    /// the content by id.
    pub(crate) fn with_a_chain() -> (Self, BTreeMap<String, Vec<u8>>) {
        let place = Self::new();
        let ids: Vec<String> = (0..4).map(|number| place.put("shop", &version(1, number))).collect();
        ids[..3].iter().for_each(|id| place.remove(id));
        assert_eq!(place.packs().len(), 4);
        (place, BTreeMap::from([(ids[3].clone(), version(1, 3))]))
    }

    /// Copies the objects into another directory.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self { dir: tempfile::tempdir().unwrap() };
        duplicate(&self.root(), &twin.root());
        twin
    }

    /// Runs the program with `args` on this store, killed at `point` if it reaches it.
    pub(crate) fn run(&self, point: &str, args: &[&str]) -> Output {
        run(&self.root(), point, args)
    }

    pub(crate) fn remove(&self, id: &str) {
        let store = self.store();
        let listed = store.list().unwrap().into_iter().find(|listed| listed.id == id).unwrap();
        store.remove(&listed.location).unwrap();
    }

    pub(crate) fn collect(&self) -> pggit::store::GcReport {
        self.store().collect(&Quiet).unwrap()
    }

    pub(crate) fn check(&self) -> CheckReport {
        let all = CheckOptions { read: Some(Portion::All), expected: Vec::new() };
        self.store().check(&all, now(), &Quiet).unwrap()
    }

    /// Asserts that the store is sound and has all `contents`.
    #[track_caller]
    pub(crate) fn assert_holds(&self, contents: &BTreeMap<String, Vec<u8>>) {
        let store = self.store();
        let ids: Vec<String> = store.list().unwrap().into_iter().map(|listed| listed.id).collect();
        for id in contents.keys() {
            assert!(ids.contains(id), "{id} is gone");
            assert_eq!(read(&store, id).as_ref().ok(), contents.get(id), "{id}");
        }
        let checked = self.check();
        assert!(checked.is_sound(), "{checked:?}");
    }

    /// Makes the leases of all writers expire.
    pub(crate) fn age_writers(&self) {
        for path in files(&self.root().join("writers")) {
            set_age(&path, Duration::from_secs(13 * 3600));
        }
    }

    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        files(&self.root().join("packs"))
    }
}

pub(crate) fn set_age(path: &Path, age: Duration) {
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

pub(crate) fn begin(store: &Store, lineage: &str) -> ArtifactWriter {
    let id = Uuid::now_v7().to_string();
    store.begin(NewArtifact { id, lineage: lineage.to_owned(), created_at: now(), level: 1 }).unwrap()
}

pub(crate) fn write(writer: &ArtifactWriter, content: &[u8]) -> pggit::store::FileSummary {
    let mut file = writer.file("dump", Chunking::Content).unwrap();
    file.write_all(content).unwrap();
    file.finish().unwrap()
}

pub(crate) fn publish(writer: ArtifactWriter, content: &[u8]) -> Result<String, pggit::store::Error> {
    let _ = write(&writer, content);
    Ok(writer.publish(None)?.location.rsplit('/').next().unwrap().to_owned())
}

/// Reads an artifact.
pub(crate) fn read(store: &Store, id: &str) -> std::io::Result<Vec<u8>> {
    let listed = store.list().unwrap().into_iter().find(|listed| listed.id == id).unwrap();
    let artifact = store.artifact(&listed).map_err(std::io::Error::other)?;
    let mut content = Vec::new();
    for file in &artifact.manifest().files {
        artifact.read(&file.name).map_err(std::io::Error::other)?.read_to_end(&mut content)?;
    }
    Ok(content)
}

pub(crate) fn run(root: &Path, point: &str, args: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_git-pggit"));
    let home = root.parent().unwrap();
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CEILING_DIRECTORIES", home).current_dir(home);
    command.env("PGGIT_CRASH_AT", point).arg("store").args(args).arg("--store").arg(root);
    command.output().unwrap()
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().flatten();
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// Copies a whole directory.
pub(crate) fn duplicate(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    Cmd::new("cp").arg("-a").arg(from).arg(to).run().unwrap();
}
