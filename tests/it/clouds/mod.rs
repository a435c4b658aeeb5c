//! Stores in clouds: on servers with the protocols of the real ones.
//!
//! | here | protocol | checks signatures | create-only is atomic |
//! |---|---|---|---|
//! | a directory | | | yes |
//! | s3s-fs, in this process | S3 | yes | no |
//! | moto | S3 | no | yes |
//! | Azurite | Azure Blob Storage | yes | yes |

mod cache;
mod conformance;
mod credentials;
mod faults;
mod maintenance;
mod manifests;
mod outages;
mod proxy;
mod server;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pggit::domain::Timestamp;
use pggit::store::{Access, Chunking, CloudSettings, Error, NewArtifact, Published, Store, StoreUrl};

pub use server::{AZURITE, MOTO, S3S};

/// A location for a store, and the variables that are needed for access.
#[derive(Clone)]
pub struct Place {
    /// The bucket with a directory in it that only one test uses.
    pub url: StoreUrl,
    pub variables: Vec<(String, String)>,
    /// The address on which the server listens.
    pub address: String,
}

impl Place {
    /// Returns a place in the bucket `store` of a cloud, for one test.
    pub fn new(scheme: &str, address: &str, variables: &[(&str, String)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let url = format!("{scheme}://store/test-{number}").parse().unwrap();
        Self { url, variables, address: address.to_owned() }
    }

    /// Returns the place with another value of a variable.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut place = self.clone();
        place.variables.retain(|(known, _)| known != name);
        place.variables.push((name.to_owned(), value.to_owned()));
        place
    }

    /// Returns the place with another address.
    pub fn through(&self, address: &str) -> Self {
        let mut place = self.clone();
        for (_, value) in &mut place.variables {
            *value = value.replace(&self.address, address);
        }
        place.address = address.to_owned();
        place
    }

    /// Returns settings with short timeouts and few retries.
    pub fn access(&self) -> Access {
        Access {
            cloud: CloudSettings {
                variables: self.variables.clone(),
                retries: Some(4),
                patience: Some(Duration::from_secs(20)),
                ..CloudSettings::default()
            },
            ..Access::default()
        }
    }

    pub fn init(&self) -> Store {
        Store::init(&self.url, &self.access(), now()).unwrap()
    }

    pub fn open(&self) -> Store {
        Store::open(&self.url, &self.access()).unwrap()
    }
}

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// Stores `content` as the only file of the artifact `id`.
pub fn put(store: &Store, lineage: &str, id: &str, content: &[u8]) -> Result<Published, Error> {
    let writer =
        store.begin(NewArtifact { id: id.into(), lineage: lineage.into(), created_at: now(), level: 1 })?;
    let mut file = writer.file("dump.custom", Chunking::Content)?;
    let inner = |error: std::io::Error| error.downcast::<Error>().unwrap();
    file.write_all(content).map_err(inner)?;
    file.finish()?;
    writer.publish(None)
}

/// Returns the content of the artifact at `location`.
pub fn get(store: &Store, location: &str) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let mut reader = store.at(location)?.read("dump.custom")?;
    reader.read_to_end(&mut content).map_err(|error| error.downcast::<Error>().unwrap())?;
    Ok(content)
}

/// Returns incompressible bytes.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
