//! Restores that a backup tool makes from its own repository.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::syncfs;

use super::data_directory::{AUTO_CONF, NO_ARCHIVE};
use super::execute::{append, remove, run};
use super::recovery_conf::doubled;
use super::server::check_words;
use super::space::Outside;
use super::staging::{StagingDir, check_links, check_mapped, check_outside, given, preflight, refuse};
use super::{ClusterRecovery, CreatedDataDirectory, Error, Home, PlannedStep};
use crate::domain::{Backup, RecoveryTarget, Status};
use crate::process::{Pinned, crash_point, is_rooted};
use crate::progress::Progress;
use crate::tools::Adapter;
use crate::tools::adapter::{BackupRef, RestoreStep, Target, empty_directory};

/// The files that put a server into archive recovery or standby mode.
pub const SIGNALS: [&str; 2] = ["recovery.signal", "standby.signal"];
/// The time limit for copying the WAL of one backup.
const LOG_PATIENCE: Duration = Duration::from_secs(86_400);

/// Runs the steps that the tool of `backup` has planned for the directory `path`, which is below
/// `home`. A directory with entries is left unchanged. If a later step fails, the partial result is
/// removed.
pub fn restore_by_tool(
    backup: &Backup,
    steps: Vec<RestoreStep>,
    path: &Path,
    home: &Pinned,
    progress: &dyn Progress,
) -> Result<Duration, Error> {
    let begun = Instant::now();
    let mut ours = false;
    for step in steps {
        let done = match step {
            RestoreStep::RequireEmpty { path, owner } => {
                empty_directory(&home.within(&path), owner.as_ref()).map_err(Error::from)
            }
            RestoreStep::Run { what, cmd } => run(&what, *cmd, progress),
            RestoreStep::Append { path, text } => append(&home.within(&path), &text),
            _ => Err(Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: "its bytes are not available".to_owned(),
            }),
        };
        if let Err(error) = done {
            if ours {
                let _ = remove(&home.within(path));
            }
            return Err(error);
        }
        ours = true;
    }
    Ok(begun.elapsed())
}

/// A restore of a data directory by a tool, from its own repository.
pub struct ExternalRestore<'a> {
    /// The backup to restore.
    pub backup: &'a Backup,
    /// The tool of the backup.
    pub adapter: &'a dyn Adapter,
    /// The absolute path of the directory.
    pub path: PathBuf,
    /// The tablespaces, as pairs of the original directory and the new directory.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// The recovery target.
    pub until: RecoveryTarget,
    /// The work on the directory before it gets its name, if any.
    pub recovery: Option<&'a ClusterRecovery<'a>>,
    /// The directory of the data directory and its tablespaces, if the caller has opened it.
    pub home: Option<&'a Home>,
    /// Receives the progress.
    pub progress: &'a dyn Progress,
}

impl ExternalRestore<'_> {
    /// Restores the directory under a temporary name, and renames it when it is complete. If that
    /// fails, everything that was created is removed.
    pub fn run(&self) -> Result<CreatedDataDirectory, Error> {
        let begun = Instant::now();
        self.preflight()?;
        let places = self.places()?;
        let outside = self.outside(&places);
        check_mapped(places, &self.tablespaces, &self.path)?;
        check_outside(&outside, &self.path)?;
        let partial = StagingDir::make(&self.path, self.home)?;
        // The tool uses the path. This program uses the open directory.
        let (named, data) = (partial.named_data(), partial.data());
        let steps = self.steps(&named)?;
        let maker = self.maker(&steps, &outside)?;
        let remembered: Vec<Outside> = outside.iter().map(|path| Outside::made_by(maker, path)).collect();
        partial.remember(&remembered)?;
        // The tool may run as another user, who needs access to the directory.
        partial.open_up()?;
        let spaces = self.spaces(&steps, &outside)?;
        crash_point("recovery.partial");
        restore_by_tool(self.backup, steps, &named, partial.held(), self.progress)?;
        let mapped: Vec<PathBuf> = self.tablespaces.iter().map(|(_, to)| to.clone()).collect();
        check_links(&data, &mapped)?;
        self.hand_over(maker, &partial, &spaces)?;
        rewrite(&data, |text| text.extend_from_slice(NO_ARCHIVE))?;
        let synced = File::open(&data).and_then(|dir| Ok(syncfs(dir)?));
        synced.map_err(|error| Error::file("sync", &data, error))?;
        let recovered = self.recovery.map(|recovery| recovery.run(&partial)).transpose()?.flatten();
        if self.recovery.is_none_or(ClusterRecovery::keeps) {
            // The paths are rewritten only now: a server that recovered the directory here fetched
            // WAL to the temporary path.
            name_the_place(&data, &named, &self.path)?;
            partial.put(&self.path)?;
        }
        let bytes = self.backup.size_bytes.unwrap_or_default();
        Ok(CreatedDataDirectory { bytes, duration: begun.elapsed(), tablespaces: outside, recovered })
    }

    /// Describes the steps for people, and returns the errors that prevent them now.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        let steps = self.steps(&self.path)?;
        let further = self.recovery.iter().flat_map(|recovery| recovery.steps());
        let places = self.places()?;
        let outside = check_outside(&self.outside(&places), &self.path);
        let refusals = [self.preflight(), check_mapped(places, &self.tablespaces, &self.path), outside];
        let refusals = refusals.into_iter().filter_map(Result::err).collect();
        Ok((steps.iter().map(PlannedStep::of_adapter).chain(further).collect(), refusals))
    }

    /// Returns the original directories of the tablespaces.
    fn places(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(self.adapter.tablespaces(&self.subject())?)
    }

    /// Returns the directories in which the tablespaces will be.
    fn outside(&self, places: &[PathBuf]) -> Vec<PathBuf> {
        let moved = |place: &PathBuf| {
            let mapped = self.tablespaces.iter().find(|(from, _)| from == place);
            mapped.map_or_else(|| place.clone(), |(_, to)| to.clone())
        };
        places.iter().map(moved).collect()
    }

    /// Creates the directories of tablespaces below `home`, where the tool has no permission to create
    /// them.
    fn spaces(&self, steps: &[RestoreStep], outside: &[PathBuf]) -> Result<Vec<Pinned>, Error> {
        let Some(home) = self.home else { return Ok(Vec::new()) };
        let owner = steps.iter().find_map(|step| match step {
            RestoreStep::RequireEmpty { owner, .. } => owner.as_ref(),
            _ => None,
        });
        let take = |path: &PathBuf| {
            empty_directory(&home.held.within(path), owner)?;
            let name = path.file_name().unwrap_or_default();
            home.held.enter(name).map_err(|error| Error::file("access", path, error))
        };
        outside.iter().map(take).collect()
    }

    /// Gives the files that the tool has created to the owner of `home`. Code from a backup must not
    /// run as the user of the tool, because that user may own servers. The owner of `home` may be
    /// unable to read the repository of the tool, so the WAL is copied too.
    fn hand_over(&self, maker: u32, partial: &StagingDir, spaces: &[Pinned]) -> Result<(), Error> {
        let Some(owner) = self.home.and_then(|home| home.owner) else { return Ok(()) };
        let until = Instant::now() + LOG_PATIENCE;
        let log = self.adapter.fetch_wal(&self.subject(), &partial.named_data(), until)?;
        if let Some(finding) = log.findings.into_iter().find(|finding| finding.fatal) {
            let (backup, reason) = (self.backup.id.to_string(), finding.message);
            return Err(Error::NotRestorable { backup, reason });
        }
        let io = |error| Error::file("access", &self.path, error);
        let data = partial.held().enter("data".as_ref()).map_err(io)?;
        data.take().map_err(io)?;
        SIGNALS.iter().try_for_each(|name| remove(&data.path().join(name)))?;
        // If root has restored the files, they may have various owners, but no other user had access.
        let from = (maker != rustix::process::geteuid().as_raw()).then_some(maker);
        let mut all = spaces.iter().chain([&data]);
        all.try_for_each(|held| given(held, held.hand_over(from, owner, &|_, _| None)))
    }

    /// Returns the user who runs the tool. Fails if that is root and another user could redirect one of
    /// the paths.
    fn maker(&self, steps: &[RestoreStep], outside: &[PathBuf]) -> Result<u32, Error> {
        let owner = steps.iter().find_map(|step| match step {
            RestoreStep::RequireEmpty { owner, .. } => owner.as_ref().map(|owner| owner.uid),
            _ => None,
        });
        let us = rustix::process::geteuid().as_raw();
        let maker = owner.unwrap_or(us);
        for path in outside.iter().chain([&self.path]).filter(|_| maker == 0) {
            let parent = path.parent().unwrap_or(Path::new("/"));
            if !is_rooted(parent).map_err(|error| Error::file("access", parent, error))? {
                const HINT: &str =
                    "let the tool run as the owner: git config pggit.<database>.toolUser <user>";
                return Err(refuse(
                    path,
                    "is in a directory that another user can change: a tool of root could be redirected",
                    HINT,
                ));
            }
        }
        Ok(maker)
    }

    fn subject(&self) -> BackupRef<'_> {
        BackupRef { backup: self.backup, chain: &[], source: None }
    }

    fn preflight(&self) -> Result<(), Error> {
        if self.backup.status != Status::Completed {
            let reason = format!("it is {}", self.backup.status.as_str().replace('_', " "));
            return Err(Error::NotRestorable { backup: self.backup.id.to_string(), reason });
        }
        // The path becomes part of a `restore_command`, which a shell runs.
        check_words(&self.path)?;
        if let Some(recovery) = self.recovery {
            recovery.check(&StagingDir::beside(&self.path))?;
        }
        preflight(&self.path, self.backup.size_bytes.unwrap_or_default()).map(drop)
    }

    fn steps(&self, path: &Path) -> Result<Vec<RestoreStep>, Error> {
        let target = Target::DataDirectory {
            path: path.to_owned(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
        };
        Ok(self.adapter.restore(&self.subject(), &target)?)
    }
}

/// Rewrites `postgresql.auto.conf`, so that the new cluster does not archive WAL and names its final
/// directory, whatever the tool has written. This process may be root while the files belong to
/// another user, so symbolic links and hard links are refused.
fn rewrite(data: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
    let path = data.join(AUTO_CONF);
    let failed = |error| Error::file("write", &path, error);
    let mut file = Pinned::open(data).and_then(|held| held.file(AUTO_CONF)).map_err(failed)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    change(&mut text);
    let written = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(&text));
    written.and_then(|()| file.sync_all()).map_err(failed)
}

/// Replaces the directory `from` by `to` in the settings that a tool has written. `data` is the current
/// directory.
pub(super) fn name_the_place(data: &Path, from: &Path, to: &Path) -> Result<(), Error> {
    rewrite(data, |text| *text = moved(text, from, to))
}

/// Returns `text` with each occurrence of `from` replaced by `to`, whether it is quoted or not.
fn moved(text: &[u8], from: &Path, to: &Path) -> Vec<u8> {
    let quoted = |path: &Path| doubled(path.as_os_str().as_bytes(), b"'");
    let plain = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let text = replaced(text, &quoted(from), &quoted(to));
    replaced(&text, &plain(from), &plain(to))
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(from.len().max(1)).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_moved_wherever_it_stands() {
        let (from, to) = (Path::new("/a/.it's.pggit-partial/data"), Path::new("/a/it's"));
        let text = b"x = '--pg1-path=/a/.it''s.pggit-partial/data %f'\n# /a/.it's.pggit-partial/data\n";
        let expected = "x = '--pg1-path=/a/it''s %f'\n# /a/it's\n";
        assert_eq!(String::from_utf8(moved(text, from, to)).unwrap(), expected);
        assert_eq!(moved(b"nothing", from, to), b"nothing");
    }
}
