//! Downloads packs ahead of their use, several at once, because the responses of a cloud have a
//! high latency.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::store::StoreInner;
use crate::store::manifest::{Chunk, Manifest};

/// The number of concurrent downloads.
const AT_ONCE: usize = 4;

/// Downloads packs of one artifact ahead of their use, until it is dropped.
pub(super) struct Prefetch {
    wanted: Option<Sender<String>>,
    seen: HashSet<u32>,
    ahead: usize,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts the threads; none if there is no cache.
    pub(super) fn start(inner: &Arc<StoreInner>) -> Self {
        let ahead = inner.packs.ahead();
        let (wanted, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..AT_ONCE.min(ahead)).map(|_| {
            let (inner, queue, stop) = (Arc::clone(inner), Arc::clone(&queue), Arc::clone(&stop));
            thread::spawn(move || {
                while let Some(pack) = take(&queue).filter(|_| !stop.load(Ordering::Acquire)) {
                    inner.packs.fetch(&pack);
                }
            })
        });
        Self { wanted: Some(wanted), seen: HashSet::new(), ahead, threads: threads.collect(), stop }
    }

    /// Requests the packs of the chunks that are read next, in this order, and the packs of their
    /// bases.
    pub(super) fn want<'a>(&mut self, manifest: &Manifest, chunks: impl IntoIterator<Item = &'a Chunk>) {
        let mut order = Vec::new();
        for chunk in chunks {
            self.visit(manifest, chunk.pack, &mut order);
        }
        for pack in order.into_iter().take(self.ahead) {
            if let (Some(entry), Some(wanted)) = (manifest.packs.get(pack as usize), &self.wanted) {
                // The threads may have exited. Then the reader downloads the pack itself.
                let _ = wanted.send(entry.id.clone());
            }
        }
    }

    fn visit(&mut self, manifest: &Manifest, pack: u32, order: &mut Vec<u32>) {
        let mut next = vec![pack];
        while let Some(pack) = next.pop() {
            if order.len() < self.ahead && self.seen.insert(pack) {
                order.push(pack);
                next.extend(
                    manifest.packs.get(pack as usize).iter().flat_map(|entry| entry.refs.iter().rev()),
                );
            }
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wanted = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn take(queue: &Mutex<Receiver<String>>) -> Option<String> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
