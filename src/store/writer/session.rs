//! That somebody writes, for those who collect garbage.
//!
//! A writer leaves an object before it looks at the store, whose age says since
//! when it writes, and more of them while it works, which say that it lives. It
//! removes them at the end. docs/store-format.md says why nothing is lost then.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use crate::store::bucket::Bucket;
use crate::store::{Error, Result, layout};

/// A writer who has not said for so long that it lives is dead.
pub(crate) const LEASE: Duration = Duration::from_secs(12 * 3600);
const BEAT: Duration = Duration::from_secs(1800);

/// One writer.
pub(crate) struct Session {
    prefix: String,
    last: Mutex<(u32, Instant)>,
}

impl Session {
    pub(crate) fn begin(bucket: &Bucket) -> Result<Self> {
        let session = Self {
            prefix: format!("{}{}/", layout::WRITERS, Uuid::now_v7()),
            last: Mutex::new((0, Instant::now())),
        };
        session.put(bucket, 0)?;
        Ok(session)
    }

    fn name(&self, number: u32) -> String {
        format!("{}{number:08}", self.prefix)
    }

    fn put(&self, bucket: &Bucket, number: u32) -> Result<()> {
        bucket.put(&self.name(number), Bytes::from_static(b"{}\n"))
    }

    /// Says that we live, when it is time to.
    pub(crate) fn beat(&self, bucket: &Bucket) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.elapsed() < BEAT {
            return Ok(());
        }
        self.sign(bucket, &mut last)
    }

    fn sign(&self, bucket: &Bucket, last: &mut (u32, Instant)) -> Result<()> {
        self.put(bucket, last.0 + 1)?;
        if last.0 > 0 {
            bucket.delete(&self.name(last.0))?;
        }
        *last = (last.0 + 1, Instant::now());
        Ok(())
    }

    /// Says that we live, and makes sure that nobody took us for dead before: from
    /// now on nobody does for a whole lease. It comes before a manifest.
    pub(crate) fn renew(&self, bucket: &Bucket) -> Result<()> {
        self.sign(bucket, &mut self.last.lock().unwrap_or_else(PoisonError::into_inner))?;
        self.confirm(bucket)
    }

    /// Makes sure that nobody took us for dead until now.
    pub(crate) fn confirm(&self, bucket: &Bucket) -> Result<()> {
        match bucket.find(&self.name(0))? {
            Some(_) => Ok(()),
            None => Err(Error::TakenForDead { url: bucket.url().to_string(), hours: LEASE.as_secs() / 3600 }),
        }
    }

    /// The end. What cannot be removed now expires.
    pub(crate) fn end(&self, bucket: &Bucket) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).0;
        if last > 0 {
            let _ = bucket.delete(&self.name(last));
        }
        let _ = bucket.delete(&self.name(0));
    }
}
