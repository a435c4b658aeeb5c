//! Garbage collection, checks, repairs and copies, in all places, encrypted or not.

use std::collections::BTreeMap;
use std::fs;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use super::server::{ACCOUNT, KEY};
use super::{Place, noise};
use crate::sandbox::{Output, Sandbox};

/// Access to the objects of a place without git-pggit.
pub(super) enum Raw {
    Files(std::path::PathBuf),
    Cloud { store: Box<dyn ObjectStore>, prefix: String, runtime: Runtime },
}

impl Raw {
    pub(super) fn of(place: &Place) -> Self {
        if let Some(directory) = place.url.directory() {
            return Self::Files(directory.to_owned());
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = format!("http://{}", place.address);
        let secret = place.variables.iter().find(|(name, _)| name == "AWS_SECRET_ACCESS_KEY");
        let store: Box<dyn ObjectStore> = match secret {
            Some((_, secret)) => Box::new(
                AmazonS3Builder::new()
                    .with_bucket_name("store")
                    .with_endpoint(endpoint)
                    .with_region("us-east-1")
                    .with_allow_http(true)
                    .with_access_key_id("AKIAEXAMPLE")
                    .with_secret_access_key(secret)
                    .build()
                    .unwrap(),
            ),
            None => Box::new(
                MicrosoftAzureBuilder::new()
                    .with_container_name("store")
                    .with_account(ACCOUNT)
                    .with_access_key(KEY)
                    .with_endpoint(format!("{endpoint}/{ACCOUNT}"))
                    .with_allow_http(true)
                    .build()
                    .unwrap(),
            ),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self::Cloud { store, prefix: place.url.prefix().to_owned(), runtime }
    }

    pub(super) fn overwrite(&self, name: &str, content: Vec<u8>) {
        match self {
            Self::Files(root) => fs::write(root.join(name), content).unwrap(),
            Self::Cloud { store, prefix, runtime } => {
                let path = Path::parse(format!("{prefix}/{name}")).unwrap();
                runtime.block_on(store.put(&path, content.into())).unwrap();
            }
        }
    }

    fn remove(&self, name: &str) {
        match self {
            Self::Files(root) => fs::remove_file(root.join(name)).unwrap(),
            Self::Cloud { store, prefix, runtime } => {
                let path = Path::parse(format!("{prefix}/{name}")).unwrap();
                runtime.block_on(store.delete(&path)).unwrap();
            }
        }
    }

    /// Returns the names of the objects below a directory.
    pub(super) fn names(&self, below: &str) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Files(root) => crate::stores::files(&root.join(below))
                .iter()
                .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
                .collect(),
            Self::Cloud { store, prefix, runtime } => {
                use futures_util::TryStreamExt;
                let path = Path::parse(format!("{prefix}/{below}")).unwrap();
                let listed = runtime.block_on(store.list(Some(&path)).try_collect::<Vec<_>>()).unwrap();
                let name = |meta: &object_store::ObjectMeta| {
                    meta.location.as_ref().strip_prefix(&format!("{prefix}/")).unwrap().to_owned()
                };
                listed.iter().map(name).collect()
            }
        };
        names.sort();
        names
    }
}

/// A store and its user.
struct Scene {
    sandbox: Sandbox,
    url: String,
    copy: String,
}

impl Scene {
    fn new(place: &Place, sealed: bool) -> Self {
        let mut sandbox = Sandbox::new();
        for (name, value) in &place.variables {
            sandbox.set(name, value);
        }
        let url = place.url.to_string();
        let scene = match sealed {
            false => Self { copy: format!("{url}-copy"), sandbox, url },
            true => {
                let identity = sandbox.path().join("ada.key");
                sandbox.set("PGGIT_STORE_IDENTITY", &identity);
                let generate = ["store", "key", "generate", identity.to_str().unwrap()];
                let public = sandbox.pggit(generate).success().stdout_text();
                let _ = sandbox.pggit(["store", "init", "--recipient", public.trim(), &url]).success();
                return Self { copy: format!("{url}-copy"), sandbox, url };
            }
        };
        let _ = scene.sandbox.pggit(["store", "init", &scene.url]).success();
        scene
    }

    fn run(&self, args: &[&str]) -> Output {
        self.at(&self.url, args)
    }

    fn at(&self, url: &str, args: &[&str]) -> Output {
        self.sandbox.pggit(["store"].iter().chain(args).chain(&["--store", url]))
    }

    fn put(&self, database: &str, content: &[u8]) -> String {
        let file = self.sandbox.path().join("input");
        fs::write(&file, content).unwrap();
        let put = ["put", "--database", database, file.to_str().unwrap()];
        self.run(&put).success().stdout_text().trim().to_owned()
    }

    fn assert_holds(&self, url: &str, contents: &BTreeMap<String, Vec<u8>>) {
        for (id, content) in contents {
            assert!(self.at(url, &["get", id]).success().stdout == *content, "{id}");
        }
        let checked = self.at(url, &["check", "--read-data", "--json"]).success().json();
        assert_eq!((&checked["sound"], &checked["artifacts"]), (&true.into(), &contents.len().into()));
    }
}

pub(super) fn stores_are_kept(place: &Place) {
    kept(place, false);
}

pub(super) fn sealed_stores_are_kept(place: &Place) {
    kept(place, true);
}

fn kept(place: &Place, sealed: bool) {
    let scene = Scene::new(place, sealed);
    let mut contents = BTreeMap::new();
    let mut content = noise(5, 300_000);
    for version in 0..3 {
        content[1000..1100].fill(version);
        contents.insert(scene.put("shop", &content), content.clone());
    }
    let crm = scene.put("crm", &noise(6, 50_000));
    let raw = Raw::of(place);
    let packs = raw.names("packs").len();

    // Removed artifacts become garbage, and garbage is collected.
    let _ = scene.run(&["remove", "--force", &crm]).success();
    let planned = scene.run(&["gc"]).success().stdout_text();
    assert_eq!(raw.names("packs").len(), packs, "{planned}");
    let _ = scene.run(&["gc", "--force"]).success();
    assert_eq!(raw.names("packs").len(), packs - 1, "{planned}");
    for left in ["gc", "writers"] {
        assert_eq!(raw.names(left), [""; 0]);
    }
    scene.assert_holds(&scene.url, &contents);

    // A copy has the same content.
    let copied = scene.run(&["copy", &scene.copy]).success().stdout_text();
    assert!(copied.starts_with("copied 3 artifacts with 3 packs"), "{copied}");
    let again = scene.run(&["copy", &scene.copy]).success().stdout_text();
    assert!(again.ends_with("3 were already copied\n"), "{again}");
    scene.assert_holds(&scene.copy, &contents);

    // Damaged objects are named and repaired.
    let names = raw.names("packs");
    raw.overwrite(&names[0], b"damaged".to_vec());
    raw.remove(&names[1]);
    raw.overwrite(&names[2], noise(9, 5000));
    let manifests = raw.names("artifacts");
    raw.overwrite(&manifests[1], noise(8, 500));
    let found = scene.run(&["check", "--read-data", "--json"]).fails(1).json();
    let damaged = found["damaged"].as_array().unwrap();
    let count = |code: &str| damaged.iter().filter(|one| one["code"] == code).count();
    let counts = ["pack-size", "pack-missing", "manifest-damaged"].map(count);
    assert_eq!((damaged.len(), counts), (4, [2, 1, 1]), "{found:#}");
    let _ = scene.run(&["gc", "--force"]).fails(16);
    let _ = scene.run(&["check", "--read-data", "--repair-from", &scene.copy]).success();
    let _ = scene.run(&["gc", "--force"]).success();
    assert_eq!(raw.names("packs"), names);
    assert_eq!(raw.names("artifacts").len(), manifests.len());
    scene.assert_holds(&scene.url, &contents);
    // A later version can use the repaired artifact as its base.
    content[1000..1100].fill(9);
    contents.insert(scene.put("shop", &content), content);
    let grown: usize = scene.run(&["stats", "--json"]).success().json()["packs"].as_u64().unwrap() as usize;
    assert_eq!(grown, names.len() + 1);
    scene.assert_holds(&scene.url, &contents);
}
