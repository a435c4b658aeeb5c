//! Objects in a cloud.

mod error_response;
mod http;
mod retry;
mod settings;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::runtime::{Builder, Runtime};

pub use settings::CloudSettings;

use self::error_response::ErrorResponse;
use super::{Object, Storage};
use crate::domain::Timestamp;
use crate::store::url::StoreUrl;
use crate::store::{Error, Result};

pub(super) struct Cloud {
    url: StoreUrl,
    store: Arc<dyn ObjectStore>,
    // `Some` until drop.
    runtime: Option<Runtime>,
}

impl Cloud {
    pub(super) fn open(url: &StoreUrl, settings: &CloudSettings) -> Result<Self> {
        // A provider may be installed already; any of them will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = settings::build(url, settings)?;
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::io("start threads for", url.to_string().as_ref(), error))?;
        Ok(Self { url: url.clone(), store, runtime: Some(runtime) })
    }

    /// Returns the path of an object in the bucket. `Path::from` would replace characters.
    fn path(&self, name: &str) -> Result<Path> {
        let path = match self.url.prefix() {
            "" => Path::parse(name),
            prefix => Path::parse(format!("{prefix}/{name}")),
        };
        path.map_err(|_| Error::BadLocation {
            location: self.url.join(name),
            reason: "it cannot be the name of an object",
        })
    }

    fn run<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let failed =
            |detail| Error::Storage { action, object: self.url.join(name), detail, transient: false };
        let Some(runtime) = &self.runtime else { return Err(failed("its threads have exited".to_owned())) };
        runtime.block_on(work).map_err(|error| self.classify(action, name, &error))
    }

    fn classify(&self, action: &'static str, name: &str, error: &object_store::Error) -> Error {
        use object_store::Error as E;
        let object = self.url.join(name);
        if let Some(answer) = ErrorResponse::find_in(error) {
            return answer.error(action, object, self.url.to_string());
        }
        let detail = describe(error);
        match error {
            E::NotFound { .. } => Error::NoObject { object },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Error::Forbidden { object, detail },
            _ => Error::Storage { action, object, detail, transient: false },
        }
    }

    /// Returns the name in the store of a listed object.
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
        // A hanging request must not block the drop.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Storage for Cloud {
    fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(name)?;
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

    fn replace(&self, name: &str, content: Bytes) -> Result<()> {
        let path = self.path(name)?;
        self.run("write", name, async { self.store.put(&path, content.into()).await.map(drop) })
    }

    fn get(&self, name: &str) -> Result<Bytes> {
        let path = self.path(name)?;
        self.run("read", name, async { self.store.get(&path).await?.bytes().await })
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.path(name)?;
        let wanted = range.end - range.start;
        let content = self.run("read", name, self.store.get_range(&path, range))?;
        if content.len() as u64 != wanted {
            return Err(Error::Damaged { object: self.url.join(name), detail: "truncated".to_owned() });
        }
        Ok(content)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let path = self.path(prefix.trim_end_matches('/'))?;
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
        let path = self.path(name)?;
        let delete = async {
            match self.store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.run("remove", name, delete)
    }

    fn concurrency(&self) -> usize {
        http::REQUESTS_MAX
    }

    fn sweep(&self, _older_than: Timestamp) -> Result<u64> {
        // Uploads to a cloud are atomic: there are no partial objects.
        Ok(0)
    }
}

/// Returns the message of an error without the URL of the request, which may be signed.
fn describe(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    if let Some(start) = text.find(['?']) {
        text.truncate(start);
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}
