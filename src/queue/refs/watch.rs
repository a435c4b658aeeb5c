//! Watches the refs of the jobs.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::{Error, JOBS};
use crate::git::Repository;
use crate::queue::Watch;

/// An inotify watch on the directory of the refs. Each change of a job writes a file there, even if its
/// ref is packed.
pub(super) struct RefsWatch {
    directory: PathBuf,
    inotify: OwnedFd,
}

impl RefsWatch {
    pub(super) fn new(repository: &Repository) -> Result<Self, Error> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(failed)?;
        let watch = Self { directory: repository.common_dir().join(JOBS), inotify };
        watch.begin()?;
        Ok(watch)
    }

    /// Starts to watch the directory. It is created first, because git removes an empty one.
    fn begin(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let flags =
            WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        inotify::add_watch(&self.inotify, &self.directory, flags | WatchFlags::ONLYDIR).map_err(failed)?;
        Ok(())
    }

    /// Reads the pending events. Returns true if a ref may have changed. Lock files do not count.
    fn drain(&self) -> Result<bool, Error> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let (mut changed, mut gone) = (false, false);
        loop {
            match reader.next() {
                Ok(event) => {
                    let lost = ReadFlags::IGNORED | ReadFlags::MOVE_SELF | ReadFlags::QUEUE_OVERFLOW;
                    gone |= event.events().intersects(lost);
                    let lock = event.file_name().is_some_and(|name| name.to_bytes().ends_with(b".lock"));
                    changed |= !lock;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if gone {
            self.begin()?;
        }
        Ok(changed)
    }
}

impl Watch for RefsWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, Error> {
        let end = Instant::now() + timeout;
        loop {
            if self.drain()? {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let timeout = Timespec::try_from(left).ok();
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: impl Into<std::io::Error>) -> Error {
    Error::Watch { detail: error.into().to_string() }
}
