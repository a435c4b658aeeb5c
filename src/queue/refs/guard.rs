//! Keeps jobs of other people out of the queue: this host executes jobs, so no push or fetch may bring
//! any.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use super::{DATABASES, Error, Inner, JOBS, KEYS};
use crate::clock::Clock;
use crate::git::RefExposure;

/// The prefix of the refs that belong to this repository alone.
const OURS: &str = "refs/pggit/";
/// The time for which the result of a check is reused.
const RECHECK_AFTER: Duration = Duration::from_secs(60);

/// The refs of the queue.
const PREFIXES: [&str; 3] = [JOBS, KEYS, DATABASES];

fn hides_all(exposure: &RefExposure) -> bool {
    PREFIXES.iter().all(|prefix| exposure.hides_from_pushes(prefix))
}

impl Inner {
    /// Fails if other people may have pushed jobs, or a fetch may bring some. If pushes are not forbidden
    /// yet and there are no unsettled jobs, forbids pushes.
    pub(super) fn check_exposure(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        if self.checked_exposure.is_some_and(|at| at.elapsed() < RECHECK_AFTER) {
            return Ok(());
        }
        let exposure = self.repository.ref_exposure()?;
        if let Some((remote, refspec)) = PREFIXES.iter().find_map(|prefix| exposure.fetches_into(prefix)) {
            return Err(Error::Fetched { remote, refspec });
        }
        if !hides_all(&exposure) {
            self.forbid_pushes(clock)?;
        }
        self.checked_exposure = Some(Instant::now());
        Ok(())
    }

    /// Forbids pushes, one process at a time. With the lock, jobs that another process of
    /// this program queues meanwhile are not mistaken for pushed ones.
    fn forbid_pushes(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        let lock = self.lock().map_err(|error| Error::Watch { detail: error.to_string() })?;
        if !hides_all(&self.repository.ref_exposure()?) {
            self.refuse_unfinished(clock)?;
            self.repository.hide_from_pushes(OURS)?;
            // Jobs may have been pushed between the check and the change of the setting.
            if let Err(error) = self.refuse_unfinished(clock) {
                self.repository.show_to_pushes(OURS)?;
                return Err(error);
            }
        }
        drop(lock);
        Ok(())
    }

    /// Takes a file lock, which the system releases when this process exits.
    fn lock(&self) -> io::Result<File> {
        let directory = self.repository.common_dir().join("pggit");
        fs::create_dir_all(&directory)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(directory.join("queue.lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn refuse_unfinished(&mut self, clock: &dyn Clock) -> Result<(), Error> {
        self.refresh(clock)?;
        match self.cache.unsettled() {
            0 => Ok(()),
            jobs => Err(Error::Exposed { jobs }),
        }
    }
}
