//! Creation of a data directory from a physical backup.
//!
//! The data directory is created beside its destination, under a temporary name. It gets its final
//! name by an atomic rename, when it is complete and synchronized to disk. A directory with entries
//! is never changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::space::Space;
use super::staging::{self, StagingDir};
use super::{ClusterRecovery, Error, Execution, Home, PlannedStep, RecoveredCluster, WalSource};
use crate::artifacts::{StoreSource, of_store};
use crate::domain::{Backup, RecoveryTarget, Status};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::store::{Access, StoredBackup};
use crate::tools::Adapter;
use crate::tools::adapter::{BackupRef, RestoreStep, Source, Target};

/// The file to which a server writes settings of `ALTER SYSTEM`.
pub(super) const AUTO_CONF: &str = "postgresql.auto.conf";
/// The settings that switch off WAL archiving.
pub(super) const NO_ARCHIVE: &[u8] =
    b"# git-pggit: a restored cluster must not write into the WAL archive of its source\narchive_mode = 'off'\n";

/// The WAL archiving of the new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Archiving {
    /// Archiving is off: two clusters that write into one WAL archive destroy it.
    Off,
    /// Archiving is on, because the new cluster replaces the old one.
    Preserve,
}

/// A data directory to be created.
pub struct DataDirectory<'a> {
    /// The backup chain, from the full backup to the wanted backup, with the access to the bytes of
    /// each.
    pub members: &'a [(Backup, Access)],
    /// The tool that made the backups.
    pub adapter: &'a dyn Adapter,
    /// The absolute path of the directory.
    pub path: PathBuf,
    /// The tablespaces, as pairs of the original directory and the new directory.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// The recovery target.
    pub until: RecoveryTarget,
    /// The source of the WAL to replay; `None` if only the WAL in the backup is replayed.
    pub log: Option<WalSource>,
    /// The WAL archiving of the new cluster.
    pub archiving: Archiving,
    /// The work on the directory before it gets its name, if any.
    pub recovery: Option<&'a ClusterRecovery<'a>>,
    /// The directory of the data directory and its tablespaces, if the caller has opened it.
    pub home: Option<&'a Home>,
    /// Receives the progress.
    pub progress: &'a dyn Progress,
}

/// A data directory that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedDataDirectory {
    /// The size in bytes.
    pub bytes: u64,
    /// The duration.
    pub duration: Duration,
    /// The directories of its tablespaces.
    pub tablespaces: Vec<PathBuf>,
    /// The result of `recovery`, if there was one.
    pub recovered: Option<RecoveredCluster>,
}

impl DataDirectory<'_> {
    /// Creates the data directory. If that fails, everything that was created is removed.
    pub fn run(&self) -> Result<CreatedDataDirectory, Error> {
        let begun = Instant::now();
        let missing = || staging::refuse(&self.path, "is missing", "");
        let (wanted, _) = self.members.last().ok_or_else(missing)?;
        self.check_members()?;
        self.preflight()?;
        let held = self.open()?;
        let sources: Vec<StoreSource> = held.into_iter().map(StoreSource).collect();
        self.check_mapped(&sources)?;
        self.prove(&sources)?;
        let partial = StagingDir::make(&self.path, self.home)?;
        // The directory may have been replaced since the first check. From here on the open directory
        // counts.
        let owner = partial.owner(&self.path, self.home)?;
        let data = partial.data();
        let steps = self.steps(&sources, &data)?;
        let outside = tablespaces_of(&steps);
        staging::check_outside(&outside, &self.path)?;
        let spaces = self.spaces(&outside, owner, &partial)?;
        crash_point("recovery.partial");
        self.execute(&sources, steps, &data, &spaces)?;
        self.finish(&partial, &spaces, owner)?;
        let recovered = self.recovery.map(|recovery| recovery.run(&partial)).transpose()?.flatten();
        if self.recovery.is_none_or(ClusterRecovery::keeps) {
            partial.put(&self.path)?;
        }
        let bytes = wanted.postgres.as_ref().and_then(|postgres| postgres.size_bytes).unwrap_or_default();
        Ok(CreatedDataDirectory { bytes, duration: begun.elapsed(), tablespaces: outside, recovered })
    }

    /// Describes the steps for people, and returns the errors that prevent them now.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        self.check_members()?;
        let sources: Vec<StoreSource> = self.open()?.into_iter().map(StoreSource).collect();
        let steps = self.steps(&sources, &self.path)?;
        let checks = [
            self.preflight(),
            self.check_mapped(&sources),
            staging::check_outside(&tablespaces_of(&steps), &self.path),
        ];
        let refusals = checks.into_iter().filter_map(Result::err).collect();
        let further = self.recovery.iter().flat_map(|recovery| recovery.steps());
        Ok((steps.iter().map(PlannedStep::of_adapter).chain(further).collect(), refusals))
    }

    fn check_members(&self) -> Result<(), Error> {
        for (number, (backup, _)) in self.members.iter().enumerate() {
            let refuse = |reason: String| Error::NotRestorable { backup: backup.id.to_string(), reason };
            if backup.status != Status::Completed {
                return Err(refuse(format!("it is {}", backup.status.as_str().replace('_', " "))));
            }
            for needed in &backup.depends_on {
                if !self.members[..number].iter().any(|(member, _)| member.id == needed.id) {
                    return Err(refuse(format!("it needs backup {}, which is missing", needed.id)));
                }
            }
        }
        Ok(())
    }

    /// Fails if the directory cannot become a data directory.
    fn preflight(&self) -> Result<(), Error> {
        if let Some(recovery) = self.recovery {
            recovery.check(&StagingDir::beside(&self.path))?;
        }
        let meta = staging::preflight(&self.path, self.needed())?;
        self.home.map_or_else(|| staging::owner(&self.path, &meta).map(drop), |_| Ok(()))
    }

    /// Fails if the caller has not mapped all tablespaces.
    fn check_mapped(&self, sources: &[StoreSource]) -> Result<(), Error> {
        let Some(((backup, _), source)) = self.members.iter().zip(sources).next_back() else { return Ok(()) };
        let subject = BackupRef { backup, chain: &[], source: Some(source as &dyn Source) };
        let places = self.adapter.tablespaces(&subject).map_err(of_store::<Error>)?;
        staging::check_mapped(places, &self.tablespaces, &self.path)
    }

    /// Returns the required space in bytes. The full backup of a chain needs its space twice, because
    /// the chain exists beside its result.
    fn needed(&self) -> u64 {
        let size = |backup: &Backup| backup.artifacts.first().map_or(0, |artifact| artifact.size_bytes);
        let all = self.members.iter().map(|(backup, _)| size(backup)).sum::<u64>();
        let twice = self.members.len() > 1;
        all + if twice { self.members.first().map_or(0, |(full, _)| size(full)) } else { 0 }
    }

    fn open(&self) -> Result<Vec<StoredBackup>, Error> {
        let open = |(backup, access): &(Backup, Access)| match &backup.location {
            Some(_) => Ok(StoredBackup::open(backup, access)?),
            None => Err(Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: "its record has no location".to_owned(),
            }),
        };
        self.members.iter().map(open).collect()
    }

    /// Fails if the content of a plain file differs from its checksum. The content of a store is
    /// verified on read.
    fn prove(&self, sources: &[StoreSource]) -> Result<(), Error> {
        for ((backup, _), source) in self.members.iter().zip(sources) {
            for artifact in backup.artifacts.iter().filter(|_| !source.0.verifies_on_read()) {
                self.progress.stage(&format!("verifying {}", backup.name), Some(artifact.size_bytes));
                source.0.verify(artifact.name.as_str(), &artifact.digest.to_string(), self.progress)?;
            }
        }
        Ok(())
    }

    fn steps(&self, sources: &[StoreSource], data: &Path) -> Result<Vec<RestoreStep>, Error> {
        let subjects: Vec<BackupRef<'_>> = self
            .members
            .iter()
            .zip(sources)
            .map(|((backup, _), source)| BackupRef {
                backup,
                chain: &[],
                source: Some(source as &dyn Source),
            })
            .collect();
        let Some((wanted, chain)) = subjects.split_last() else { return Ok(Vec::new()) };
        let target = Target::DataDirectory {
            path: data.to_owned(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
        };
        let mut steps =
            self.adapter.restore(&BackupRef { chain, ..*wanted }, &target).map_err(of_store::<Error>)?;
        if self.archiving == Archiving::Off {
            steps.push(RestoreStep::Append { path: data.join(AUTO_CONF), text: NO_ARCHIVE.to_vec() });
        }
        if let Some(log) = &self.log {
            let (path, text) = (data.join(AUTO_CONF), log.settings(&self.until));
            steps.push(RestoreStep::Append { path, text });
            steps.push(RestoreStep::Append { path: data.join("recovery.signal"), text: Vec::new() });
        }
        Ok(steps)
    }

    /// Takes the directories of the tablespaces, so that no other user can change their entries.
    fn spaces(
        &self,
        outside: &[PathBuf],
        owner: Option<(u32, u32)>,
        partial: &StagingDir,
    ) -> Result<Vec<Space>, Error> {
        let (mut spaces, mut remembered) = (Vec::new(), Vec::new());
        for path in outside {
            let space = Space::take(path, owner, self.home)?;
            remembered.push(space.outside()?);
            spaces.push(space);
            partial.remember(&remembered)?;
        }
        Ok(spaces)
    }

    fn execute(
        &self,
        sources: &[StoreSource],
        steps: Vec<RestoreStep>,
        data: &Path,
        spaces: &[Space],
    ) -> Result<(), Error> {
        let members: Vec<(&Backup, &StoredBackup)> =
            self.members.iter().zip(sources).map(|((backup, _), source)| (backup, &source.0)).collect();
        let Some((wanted, chain)) = members.split_last() else { return Ok(()) };
        let staging = data.with_file_name("staging");
        let execution = Execution {
            wanted: *wanted,
            chain,
            staging: &staging,
            keep_going: false,
            spaces,
            progress: self.progress,
        };
        execution.run(steps).map(drop)
    }

    /// Sets owner and permissions, and synchronizes everything to disk.
    fn finish(&self, partial: &StagingDir, spaces: &[Space], owner: Option<(u32, u32)>) -> Result<(), Error> {
        self.progress.stage("writing to disk", None);
        let data = partial.data();
        relink(&data, spaces)?;
        spaces.iter().try_for_each(|space| space.finish(owner))?;
        let held = partial.held().enter("data".as_ref()).map_err(|e| Error::file("access", &data, e))?;
        if let Some(owner) = owner {
            staging::given(&held, held.hand_over(None, owner, &|_, _| None))?;
        }
        held.sync_all().map_err(|error| Error::file("sync", &data, error))?;
        // Group access to `base` shows the group access of the whole cluster. The archive has no
        // entry for the top directory.
        let mode = fs::metadata(data.join("base")).map_or(0o700, |meta| meta.permissions().mode());
        held.set_mode(mode & 0o750 | 0o700).map_err(|error| Error::file("chmod", &data, error))
    }
}

/// Points the symbolic links of tablespaces to the final paths of their directories. While the
/// directories are filled, the links have another target.
fn relink(data: &Path, spaces: &[Space]) -> Result<(), Error> {
    let links = fs::read_dir(data.join("pg_tblspc")).into_iter().flatten().flatten();
    for link in links.map(|entry| entry.path()) {
        let to = fs::read_link(&link).ok();
        let space = spaces.iter().find(|space| to.as_ref() == Some(&space.path()));
        if let Some(space) = space.filter(|space| space.path() != space.real()) {
            fs::remove_file(&link)
                .and_then(|()| symlink(space.real(), &link))
                .map_err(|error| Error::file("create", &link, error))?;
        }
    }
    Ok(())
}

/// Returns the directories of the tablespaces.
fn tablespaces_of(steps: &[RestoreStep]) -> Vec<PathBuf> {
    let directory = |step: &RestoreStep| match step {
        RestoreStep::Tablespace { directory, .. } => Some(directory.clone()),
        _ => None,
    };
    steps.iter().filter_map(directory).collect()
}
