//! Objects in a cloud.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::{Object, Storage};
use crate::domain::Timestamp;
use crate::store::url::{Scheme, StoreUrl};
use crate::store::{Error, Result};

/// How long a request may be tried again.
const RETRIES: usize = 8;
const RETRY_TIME: Duration = Duration::from_secs(180);

/// What the clouds' own tools take from the environment and their files:
/// pairs such as `AWS_ACCESS_KEY_ID` and its value.
#[derive(Clone, Default)]
pub struct CloudSettings {
    /// Names in upper case with their values.
    pub variables: Vec<(String, String)>,
    /// How many times a request is tried again; by default eight times.
    pub retries: Option<usize>,
}

impl std::fmt::Debug for CloudSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("CloudSettings").field("variables", &names).field("retries", &self.retries).finish()
    }
}

pub(super) struct Cloud {
    url: StoreUrl,
    store: Arc<dyn ObjectStore>,
    // It is there until the value is dropped.
    runtime: Option<Runtime>,
}

impl Cloud {
    pub(super) fn open(url: &StoreUrl, settings: &CloudSettings) -> Result<Self> {
        let unusable = |detail: String| Error::Storage {
            action: "use the storage",
            object: url.to_string(),
            detail,
            transient: false,
        };
        // There may be a provider already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = build(url, settings).map_err(|error| unusable(describe(&error)))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build();
        let runtime = runtime.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { url: url.clone(), store, runtime: Some(runtime) })
    }

    fn path(&self, name: &str) -> Path {
        match self.url.prefix() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    fn run<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let failed =
            |detail| Error::Storage { action, object: self.url.join(name), detail, transient: false };
        let Some(runtime) = &self.runtime else { return Err(failed("its threads have ended".to_owned())) };
        runtime.block_on(work).map_err(|error| classify(action, self.url.join(name), &error))
    }

    /// The name in the store of what the cloud lists.
    fn name_of<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let path: &str = path.as_ref();
        match self.url.prefix() {
            "" => Some(path),
            prefix => path.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // A request that hangs must not hold us.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Storage for Cloud {
    fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(name);
        let put = async {
            match self.store.put_opts(&path, content.into(), options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        };
        self.run("write", name, put)
    }

    fn get(&self, name: &str) -> Result<Bytes> {
        let path = self.path(name);
        self.run("read", name, async { self.store.get(&path).await?.bytes().await })
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.path(name);
        let wanted = range.end - range.start;
        let content = self.run("read", name, self.store.get_range(&path, range))?;
        if content.len() as u64 != wanted {
            return Err(Error::Damaged { object: self.url.join(name), detail: "truncated".to_owned() });
        }
        Ok(content)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let path = self.path(prefix.trim_end_matches('/'));
        let listed = self.run("list", prefix, self.store.list(Some(&path)).try_collect::<Vec<_>>())?;
        let mut objects: Vec<Object> = listed
            .iter()
            .filter_map(|meta| {
                let name = self.name_of(&meta.location)?;
                let modified = Timestamp::from(meta.last_modified);
                Some(Object { name: name.to_owned(), size: meta.size, modified })
            })
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let delete = async {
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.run("remove", name, delete)
    }

    fn sweep(&self, _older_than: Timestamp) -> Result<u64> {
        // Objects appear there when they are complete, or not at all.
        Ok(0)
    }
}

fn build(url: &StoreUrl, settings: &CloudSettings) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: settings.retries.unwrap_or(RETRIES),
        retry_timeout: RETRY_TIME,
        ..RetryConfig::default()
    };
    /// Takes those variables that the builder knows.
    macro_rules! configured {
        ($builder:ty) => {{
            let mut builder = <$builder>::new();
            for (name, value) in &settings.variables {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            builder.with_retry(retry)
        }};
    }
    Ok(match url.scheme() {
        Scheme::Azure => {
            Arc::new(configured!(MicrosoftAzureBuilder).with_container_name(url.bucket()).build()?)
        }
        Scheme::Google => {
            Arc::new(configured!(GoogleCloudStorageBuilder).with_bucket_name(url.bucket()).build()?)
        }
        Scheme::S3 | Scheme::File => {
            Arc::new(configured!(AmazonS3Builder).with_bucket_name(url.bucket()).build()?)
        }
    })
}

fn classify(action: &'static str, object: String, error: &object_store::Error) -> Error {
    use object_store::Error as E;
    let detail = describe(error);
    match error {
        E::NotFound { .. } => Error::NoObject { object },
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Error::Forbidden { object, detail },
        // What is left after its own retries: connections, time, status 5xx.
        E::Generic { .. } | E::JoinError { .. } => Error::Storage { action, object, detail, transient: true },
        _ => Error::Storage { action, object, detail, transient: false },
    }
}

/// An error with those behind it, without the URL of the request, which may be signed.
fn describe(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    if let Some(start) = text.find(['?']) {
        text.truncate(start);
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}
