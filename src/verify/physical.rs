//! Restore tests of copies of a whole cluster: the data directory is made, and a
//! server recovers it.

use std::path::PathBuf;

use super::cluster::{Binaries, Cluster};
use super::restore_test::RestoreTest;
use super::scratch::Scratch;
use super::verdict::Findings;
use super::{Error, words};
use crate::domain::{Backup, RecoveryTarget};
use crate::recovery::{self, Archiving, DataDirectory, Limit, Origin};
use crate::store::Access;
use crate::tools::adapter::Target;
use crate::tools::{self, Connection};

impl RestoreTest<'_> {
    /// Whether it is restored into a database of a cluster that is there. Tools of
    /// one's own are asked for a directory, whatever else they can.
    pub(super) fn is_dump(&self) -> Result<bool, Error> {
        if self.around.adapter.has_repository() {
            return Ok(false);
        }
        let target = Target::Database {
            connection: Connection::default(),
            server_major: self.major()?,
            no_owner: false,
            no_privileges: false,
        };
        match self.around.adapter.restore(self.subject, &target) {
            Ok(_) => Ok(true),
            Err(tools::Error::TargetUnsupported { .. }) => Ok(false),
            Err(error) => Err(Error::of_tool(error)),
        }
    }

    /// A server that has recovered what was restored; `None` when there is none,
    /// and the findings say why.
    pub(super) fn recovered(
        &self,
        scratch: &Scratch,
        binaries: &Binaries,
        limit: Limit,
        findings: &mut Findings,
    ) -> Result<Option<Cluster>, Error> {
        let planted = match self.around.adapter.has_repository() {
            true => self.plant_by_tool(scratch, limit, findings)?,
            false => self.plant(scratch, findings)?,
        };
        if !planted {
            return Ok(None);
        }
        self.around.progress.stage("recovering", None);
        match Cluster::start(scratch, binaries, Origin::Restored, limit) {
            Ok(cluster) => Ok(Some(cluster)),
            Err(Error::NotStarted { reason }) if !words::is_of_machine(&reason) => {
                findings.fatal(format!("a server does not start from it: {}", words::last_word(&reason)));
                findings.note("log_tail", reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the data directory; whether that succeeded.
    fn plant(&self, scratch: &Scratch, findings: &mut Findings) -> Result<bool, Error> {
        let access = || self.around.access.clone();
        let chain = self.subject.chain.iter().map(|member| member.backup);
        let members: Vec<(Backup, Access)> =
            chain.chain([self.backup()]).map(|backup| (backup.clone(), access())).collect();
        let directory = DataDirectory {
            log: None,
            members: &members,
            adapter: self.around.adapter,
            path: scratch.data(),
            tablespaces: self.tablespaces(scratch)?,
            until: RecoveryTarget::Latest,
            archiving: Archiving::Off,
            recovery: None,
            home: Some(scratch.home()),
            progress: self.around.progress,
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

    /// Each tablespace goes into the scratch directory and not where it was:
    /// there, somebody else may be at work.
    pub(super) fn tablespaces(&self, scratch: &Scratch) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let places = self.around.adapter.tablespaces(self.subject).map_err(Error::of_tool)?;
        let to = |(n, place)| (place, scratch.space(n));
        Ok(places.into_iter().enumerate().map(to).collect())
    }
}
