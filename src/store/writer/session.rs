//! Sessions of writers, which garbage collection respects.
//!
//! A writer creates an object before it reads the store; the age of that object is the start of the
//! session. Later objects are heartbeats. The writer removes them at the end. docs/store-format.md
//! proves that no needed pack is removed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use crate::store::bucket::Bucket;
use crate::store::{Error, Result, layout};

/// The lease of a writer: without a heartbeat for this time, it counts as crashed.
pub(crate) const LEASE: Duration = Duration::from_secs(12 * 3600);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1800);

/// The session of one writer.
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

    /// Sends a heartbeat if it is due. Fails if it cannot be written.
    pub(crate) fn heartbeat(&self, bucket: &Bucket) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.elapsed() < HEARTBEAT_INTERVAL {
            return Ok(());
        }
        self.send_heartbeat(bucket, &mut last)
    }

    fn send_heartbeat(&self, bucket: &Bucket, last: &mut (u32, Instant)) -> Result<()> {
        self.put(bucket, last.0 + 1)?;
        if last.0 > 0 {
            bucket.delete(&self.name(last.0))?;
        }
        *last = (last.0 + 1, Instant::now());
        Ok(())
    }

    /// Sends a heartbeat, and fails if the session was ended before. After that, the session is
    /// valid for a whole lease. It is called before the manifest is written.
    pub(crate) fn renew(&self, bucket: &Bucket) -> Result<()> {
        self.send_heartbeat(bucket, &mut self.last.lock().unwrap_or_else(PoisonError::into_inner))?;
        self.confirm(bucket)
    }

    /// Fails if a garbage collection has ended this session.
    pub(crate) fn confirm(&self, bucket: &Bucket) -> Result<()> {
        match bucket.find(&self.name(0))? {
            Some(_) => Ok(()),
            None => Err(Error::LeaseExpired { url: bucket.url().to_string(), hours: LEASE.as_secs() / 3600 }),
        }
    }

    /// Ends the session. Objects that cannot be removed expire.
    pub(crate) fn end(&self, bucket: &Bucket) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).0;
        if last > 0 {
            let _ = bucket.delete(&self.name(last));
        }
        let _ = bucket.delete(&self.name(0));
    }
}
