//! Restore tests of physical backups. The data directory is restored, and a server recovers it.

use std::path::PathBuf;

use super::cluster::{Binaries, Cluster};
use super::restore_test::RestoreTest;
use super::scratch::Scratch;
use super::verdict::Findings;
use super::{Error, excerpt};
use crate::domain::{Backup, RecoveryTarget};
use crate::recovery::{self, Archiving, DataDirectory, DataOrigin, Limit};
use crate::store::Access;
use crate::tools::adapter::Target;
use crate::tools::{self, Connection, LoadOptions};

impl RestoreTest<'_> {
    /// Returns true if the backup is restored into a database of a running cluster. A custom tool
    /// always restores into a directory. Fails if the tool cannot plan a restore.
    pub(super) fn is_dump(&self) -> Result<bool, Error> {
        if self.context.adapter.has_repository() {
            return Ok(false);
        }
        let target = Target::Database {
            connection: Connection::default(),
            server_major: self.major()?,
            options: LoadOptions::default(),
        };
        match self.context.adapter.restore(self.subject, &target) {
            Ok(_) => Ok(true),
            Err(tools::Error::TargetUnsupported { .. }) => Ok(false),
            Err(error) => Err(Error::of_tool(error)),
        }
    }

    /// Returns a server that has recovered the restored data directory. Returns `None` if there is
    /// none; the findings have the reason. Fails if the cause is not the backup.
    pub(super) fn recovered(
        &self,
        scratch: &Scratch,
        binaries: &Binaries,
        limit: Limit,
        findings: &mut Findings,
    ) -> Result<Option<Cluster>, Error> {
        let planted = match self.context.adapter.has_repository() {
            true => self.restore_external(scratch, limit, findings)?,
            false => self.plant(scratch, findings)?,
        };
        if !planted {
            return Ok(None);
        }
        self.context.progress.stage("recovering", None);
        match Cluster::start(scratch, binaries, DataOrigin::ScratchRestore, limit) {
            Ok(cluster) => Ok(Some(cluster)),
            Err(Error::NotStarted { reason }) if !excerpt::is_of_machine(&reason) => {
                findings.fatal(format!("a server does not start from it: {}", excerpt::last_error(&reason)));
                findings.note("log_tail", reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Restores the data directory. Returns false if the backup cannot be restored; the findings have
    /// the reason.
    fn plant(&self, scratch: &Scratch, findings: &mut Findings) -> Result<bool, Error> {
        let access = || self.context.access.clone();
        let chain = self.subject.chain.iter().map(|member| member.backup);
        let members: Vec<(Backup, Access)> =
            chain.chain([self.backup()]).map(|backup| (backup.clone(), access())).collect();
        let directory = DataDirectory {
            log: None,
            members: &members,
            adapter: self.context.adapter,
            path: scratch.data(),
            tablespaces: self.tablespaces(scratch)?,
            until: RecoveryTarget::Latest,
            archiving: Archiving::Off,
            recovery: None,
            home: Some(scratch.home()),
            progress: self.context.progress,
        };
        match directory.run() {
            Ok(planted) => {
                findings.note("restored_bytes", planted.bytes);
                Ok(true)
            }
            Err(recovery::Error::Store(error)) if error.is_damage() => {
                findings.fatal(error.to_string());
                Ok(false)
            }
            Err(recovery::Error::NotRestorable { reason, .. }) => {
                findings.fatal(format!("it cannot be restored: {reason}"));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns each tablespace with its directory in the scratch directory. The original directory may
    /// be in use by another cluster.
    pub(super) fn tablespaces(&self, scratch: &Scratch) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let places = self.context.adapter.tablespaces(self.subject).map_err(Error::of_tool)?;
        let to = |(n, place)| (place, scratch.space(n));
        Ok(places.into_iter().enumerate().map(to).collect())
    }
}
