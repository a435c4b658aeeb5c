//! Jobs are what this machine does: nobody may bring them by a push or a fetch.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use super::{DATABASES, Error, Inner, JOBS, KEYS};
use crate::clock::Clock;

/// Below it is all that is only of this repository.
const OURS: &str = "refs/pggit/";
/// How long it is believed without looking again.
const BELIEVED: Duration = Duration::from_secs(60);

impl Inner {
    /// Refuses to work with jobs that others may have brought. Where no job is there
    /// yet that could be done, pushes to them are forbidden from now on.
    pub(super) fn guard(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        if self.guarded.is_some_and(|at| at.elapsed() < BELIEVED) {
            return Ok(());
        }
        for prefix in [JOBS, KEYS, DATABASES] {
            if let Some((remote, refspec)) = self.repository.fetches_into(prefix)? {
                return Err(Error::Fetched { remote, refspec });
            }
        }
        if !self.is_closed()? {
            self.close(clock)?;
        }
        self.guarded = Some(Instant::now());
        Ok(())
    }

    fn is_closed(&self) -> Result<bool, Error> {
        for prefix in [JOBS, KEYS, DATABASES] {
            if !self.repository.hides_from_pushes(prefix)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forbids pushes, one process at a time: what another one of ours has put into the
    /// queue since is no job of others.
    fn close(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        let lock = self.lock().map_err(|error| Error::Watch { detail: error.to_string() })?;
        if !self.is_closed()? {
            self.refuse_unfinished(clock)?;
            self.repository.hide_from_pushes(OURS)?;
            // What was pushed between the two.
            if let Err(error) = self.refuse_unfinished(clock) {
                self.repository.show_to_pushes(OURS)?;
                return Err(error);
            }
        }
        drop(lock);
        Ok(())
    }

    /// A lock that ends with this process.
    fn lock(&self) -> io::Result<File> {
        let directory = self.repository.common_dir().join("pggit");
        fs::create_dir_all(&directory)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(directory.join("queue.lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn refuse_unfinished(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        self.look(clock)?;
        match self.scan.unsettled() {
            0 => Ok(()),
            jobs => Err(Error::Exposed { jobs }),
        }
    }
}
