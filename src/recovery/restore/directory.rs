//! Restores into a data directory.

use std::path::PathBuf;

use super::records::members;
use super::wal::wal_source;
use super::{
    Created, CreatedDirectory, Description, DirectoryDestination, Proof, Refusal, RestoreOutcome,
    SchemaComparison, Target, connection, tool_of,
};
use crate::artifacts;
use crate::domain::{Backup, RecoveryTarget};
use crate::pg::ConnInfo;
use crate::progress::{Progress, Quiet};
use crate::recovery::{
    Archiving, ClusterRecovery, CreatedDataDirectory, DataDirectory, Error, Expected, ExternalRestore,
    PostRestore, check_clone, start_clone,
};
use crate::store::Access;
use crate::tools::{Adapter, Programs};
use crate::workspace::{Workspace, store};

/// A restore into a data directory.
pub(super) struct DirectoryRestore<'a> {
    pub(super) destination: &'a DirectoryDestination,
    pub(super) target: &'a Target,
    pub(super) allow_schema_difference: bool,
    pub(super) has_from: bool,
    pub(super) programs: &'a Programs,
    pub(super) workspace: &'a Workspace,
}

/// The bytes of a backup, and the access to them.
enum Bytes {
    /// In our stores: the backup chain, the full backup first.
    Ours { adapter: Box<dyn Adapter>, members: Vec<(Backup, Access)> },
    /// In the repository of a tool.
    OfTool(Box<dyn Adapter>),
}

impl DirectoryRestore<'_> {
    fn backup(&self) -> &Backup {
        &self.target.entry.backup
    }

    /// Fails if the request cannot be carried out, before anything is done.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.destination.check_schema && self.target.expected == Expected::Unknown {
            return Err(Refusal::NoSchema { commit: self.target.commit.to_commit() }.into());
        }
        if self.destination.start {
            check_clone(&self.destination.path)?;
        }
        Ok(())
    }

    /// Describes the steps, and what prevents them now.
    pub(super) fn describe(&self) -> Result<Description, Error> {
        let server = self.server();
        let recovery = self.recovery(server.as_ref(), &Quiet)?;
        let (steps, refusals) = match self.bytes(server.as_ref())? {
            Bytes::Ours { adapter, members } => {
                self.out_of_store(adapter.as_ref(), &members, recovery.as_ref(), &Quiet)?.describe()?
            }
            Bytes::OfTool(adapter) => self.by_tool(adapter.as_ref(), recovery.as_ref(), &Quiet).describe()?,
        };
        Ok(Description { steps, refusals })
    }

    /// Creates the data directory. If that fails, everything that was created is removed.
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<RestoreOutcome, Error> {
        let server = self.server();
        let recovery = self.recovery(server.as_ref(), progress)?;
        let (planted, members) = match self.bytes(server.as_ref())? {
            Bytes::Ours { adapter, members } => {
                let restore = self.out_of_store(adapter.as_ref(), &members, recovery.as_ref(), progress)?;
                let planted = restore.run()?;
                (planted, members.into_iter().map(|(member, _)| member.id).collect())
            }
            Bytes::OfTool(adapter) => {
                let planted = self.by_tool(adapter.as_ref(), recovery.as_ref(), progress).run()?;
                (planted, vec![self.backup().id])
            }
        };
        let CreatedDataDirectory { bytes, duration, tablespaces, recovered } = planted;
        let dbname = recovery.as_ref().map(|recovery| recovery.post_restore.dbname);
        let server = match (&recovered, dbname) {
            (Some(recovered), Some(dbname)) if self.destination.start => {
                Some(start_clone(&self.destination.path, recovered, dbname, self.programs))
            }
            _ => None,
        };
        let is_recovered = recovered.is_some();
        let compared = recovered.map(|recovered| (recovered.compared_with, recovered.difference));
        let (with, difference) = compared.unwrap_or_default();
        let schema = SchemaComparison::of(with, difference);
        Ok(RestoreOutcome {
            commit: self.target.commit.to_commit(),
            bytes,
            duration,
            proof: Proof::of_directory(self.target, schema.as_ref(), &self.destination.until, self.workspace),
            schema,
            state: None,
            ran: recovery.as_ref().map(|recovery| recovery.post_restore.names()).unwrap_or_default(),
            made: Created::Directory(CreatedDirectory {
                path: self.destination.path.clone(),
                tablespaces,
                archiving: self.destination.archiving,
                until: self.destination.until.clone(),
                members,
                is_recovered,
                server,
            }),
        })
    }

    /// Returns the configured server of the database, if this process recovers the cluster.
    fn server(&self) -> Option<ConnInfo> {
        let is_recovered =
            self.target.forward.is_some() || self.destination.check_schema || self.destination.start;
        is_recovered.then(|| connection(self.backup(), self.workspace).ok()).flatten()
    }

    /// Returns the recovery of the cluster before the directory gets its name, if one is necessary.
    /// The role is that of the configured URL.
    fn recovery<'b>(
        &'b self,
        server: Option<&'b ConnInfo>,
        progress: &'b dyn Progress,
    ) -> Result<Option<ClusterRecovery<'b>>, Error> {
        let destination = self.destination;
        if self.target.forward.is_none() && !destination.check_schema && !destination.start {
            return Ok(None);
        }
        let (backup, staging) = (self.backup(), store::staging(self.workspace)?);
        let recorded = backup.postgres.as_ref().and_then(|postgres| postgres.dbname.as_deref());
        let dbname = recorded.or(server.map(ConnInfo::dbname)).ok_or_else(|| Refusal::NoDatabaseName {
            backup: backup.id,
            database: backup.database.clone(),
        })?;
        let post_restore = PostRestore {
            forward: self.target.forward.clone(),
            expected: self.target.expected.clone(),
            allow_schema_difference: self.allow_schema_difference,
            alone: true,
            ..PostRestore::nowhere(backup, dbname, self.programs.clone(), staging, progress)
        };
        let mut recovery = ClusterRecovery::new(post_restore, server.map_or("postgres", ConnInfo::user));
        recovery.mark &= destination.until == RecoveryTarget::Immediate;
        recovery.start = destination.start;
        Ok(Some(recovery))
    }

    fn bytes(&self, server: Option<&ConnInfo>) -> Result<Bytes, Error> {
        let backup = self.backup();
        if let Some(adapter) = artifacts::restorer_of(backup, self.programs) {
            return Ok(Bytes::Ours { adapter, members: members(&self.target.entry, self.workspace)? });
        }
        if self.has_from {
            let tool = backup.tool.name.to_string();
            return Err(Refusal::KeptByTool { backup: backup.id, tool }.into());
        }
        let server =
            server.map_or_else(|| connection(backup, self.workspace), |server| Ok(server.clone()))?;
        let adapter = tool_of(backup, &server, self.programs, self.workspace)?;
        if self.destination.archiving == Archiving::Preserve {
            return Err(Refusal::ArchivingOff.into());
        }
        Ok(Bytes::OfTool(adapter))
    }

    fn tablespaces(&self) -> Vec<(PathBuf, PathBuf)> {
        self.destination.tablespaces.clone()
    }

    fn out_of_store<'b>(
        &'b self,
        adapter: &'b dyn Adapter,
        members: &'b [(Backup, Access)],
        recovery: Option<&'b ClusterRecovery<'b>>,
        progress: &'b dyn Progress,
    ) -> Result<DataDirectory<'b>, Error> {
        let (destination, entry) = (self.destination, &self.target.entry);
        let log = match &destination.until {
            RecoveryTarget::Immediate => None,
            until => Some(wal_source(until, destination.wal_store.as_deref(), entry, self.workspace)?),
        };
        Ok(DataDirectory {
            members,
            adapter,
            path: destination.path.clone(),
            tablespaces: self.tablespaces(),
            until: destination.until.clone(),
            log,
            archiving: destination.archiving,
            recovery,
            home: None,
            progress,
        })
    }

    fn by_tool<'b>(
        &'b self,
        adapter: &'b dyn Adapter,
        recovery: Option<&'b ClusterRecovery<'b>>,
        progress: &'b dyn Progress,
    ) -> ExternalRestore<'b> {
        ExternalRestore {
            backup: self.backup(),
            adapter,
            path: self.destination.path.clone(),
            tablespaces: self.tablespaces(),
            until: self.destination.until.clone(),
            recovery,
            home: None,
            progress,
        }
    }
}
