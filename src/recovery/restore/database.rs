//! Restores into a new database: a whole dump, or a database, a schema or a table from a backup of
//! any type.

use super::records::members;
use super::{
    Created, CreatedDatabase, DatabaseDestination, Description, Proof, Refusal, RestoreOutcome,
    RestoredState, SchemaComparison, Target, admin_of, connection, tool_of,
};
use crate::artifacts;
use crate::domain::{Backup, DatabaseName, DumpFormat};
use crate::pg::ConnInfo;
use crate::progress::{Progress, Quiet};
use crate::recovery::{BackupSource, Error, Expected, PartialRestore, PostRestore, Restore, Restored};
use crate::tools::{Program, Programs};
use crate::workspace::{Workspace, places, store};

/// A restore into a new database.
pub(super) struct DatabaseRestore<'a> {
    pub(super) destination: &'a DatabaseDestination,
    /// The name of the new database.
    pub(super) name: &'a str,
    pub(super) target: &'a Target,
    /// The database that the user has named.
    pub(super) database: Option<&'a DatabaseName>,
    pub(super) allow_schema_difference: bool,
    pub(super) has_from: bool,
    pub(super) programs: &'a Programs,
    pub(super) workspace: &'a Workspace,
}

impl DatabaseRestore<'_> {
    fn backup(&self) -> &Backup {
        &self.target.entry.backup
    }

    /// Describes the steps, and what prevents them now.
    pub(super) fn describe(&self) -> Result<Description, Error> {
        let (steps, refusals) = match self.is_partial() {
            true => self.part(&Quiet)?.describe()?,
            false => self.whole(&Quiet)?.describe()?,
        };
        Ok(Description { steps, refusals })
    }

    /// Creates the database. If that fails, everything that was created is removed.
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<RestoreOutcome, Error> {
        if !self.is_partial() {
            let restore = self.whole(progress)?;
            let restored = restore.run()?;
            return Ok(self.outcome(&restore.post_restore, &restore.admin, restored, None));
        }
        let part = self.part(progress)?;
        let backup = self.backup();
        let restored = match artifacts::restorer_of(backup, self.programs) {
            Some(_) if is_dump(backup) => {
                part.run(&BackupSource::Dump(Box::new(places::access_to(self.workspace, backup)?)))
            }
            Some(adapter) => part
                .run(&BackupSource::Store(&members(&self.target.entry, self.workspace)?, adapter.as_ref())),
            None => {
                let server = connection(backup, self.workspace)?;
                let adapter = tool_of(backup, &server, self.programs, self.workspace)?;
                part.run(&BackupSource::Tool(adapter.as_ref()))
            }
        }?;
        let words = part.selection.words();
        let words = (!words.is_empty()).then_some(words);
        Ok(self.outcome(&part.post_restore, &part.admin, restored, words))
    }

    fn outcome(
        &self,
        post_restore: &PostRestore<'_>,
        admin: &ConnInfo,
        restored: Restored,
        part: Option<String>,
    ) -> RestoreOutcome {
        let schema = SchemaComparison::of(restored.compared_with, restored.difference);
        let (info, database) = (admin.with_dbname(self.name), &self.backup().database);
        let is_whole = part.is_none();
        let state = is_whole
            .then(|| RestoredState::read(&info, database, self.target.commit, self.workspace))
            .flatten();
        let proof = match (is_whole, restored.left_out.is_empty()) {
            (true, true) => Proof::of(self.target, schema.as_ref(), state.as_ref(), self.workspace),
            (true, false) => Proof::of_incomplete(&restored.left_out),
            (false, _) => Proof::of_part(),
        };
        RestoreOutcome {
            commit: post_restore.commit().clone(),
            bytes: restored.bytes,
            duration: restored.duration,
            schema,
            proof,
            state,
            ran: post_restore.names(),
            made: Created::Database(CreatedDatabase {
                info,
                roles: restored.roles,
                left_out: restored.left_out,
                not_set: restored.not_set,
                not_marked: restored.not_marked,
                part,
            }),
        }
    }

    /// Fails if an option has no effect on this restore.
    pub(super) fn check(&self) -> Result<(), Error> {
        let (backup, destination) = (self.backup(), self.destination);
        let options = [("--jobs", destination.jobs.is_some()), ("--keep-going", destination.keep_going)];
        if let Some((option, _)) = options.into_iter().find(|(_, given)| *given && !is_dump(backup)) {
            let tool = backup.tool.name.to_string();
            return Err(Refusal::NotADump { option, backup: backup.id, tool }.into());
        }
        if destination.keep_going && self.target.forward.is_some() {
            return Err(Refusal::MigrationsOfIncomplete { commit: backup.commit.clone() }.into());
        }
        Ok(())
    }

    /// Returns true if the restore needs more than a load of a dump.
    fn is_partial(&self) -> bool {
        let destination = self.destination;
        !destination.selection().is_all() || destination.from_database.is_some() || !is_dump(self.backup())
    }

    fn admin(&self) -> Result<ConnInfo, Error> {
        admin_of(&self.target.entry, self.database, self.destination.server.as_deref(), self.workspace)
    }

    fn post_restore<'b>(&'b self, progress: &'b dyn Progress) -> Result<PostRestore<'b>, Error> {
        let staging = store::staging(self.workspace)?;
        Ok(PostRestore {
            options: self.destination.options(),
            forward: self.target.forward.clone(),
            expected: self.target.expected.clone(),
            allow_schema_difference: self.allow_schema_difference,
            ..PostRestore::nowhere(self.backup(), self.name, self.programs.clone(), staging, progress)
        })
    }

    fn whole<'b>(&'b self, progress: &'b dyn Progress) -> Result<Restore<'b>, Error> {
        Ok(Restore {
            post_restore: self.post_restore(progress)?,
            admin: self.admin()?,
            access: places::access_to(self.workspace, self.backup())?,
            label: None,
            globals: self.destination.globals,
            // A database that was lost comes back as it was. One with another name is another database.
            properties: self.has_original_name() && has_properties(self.backup()),
        })
    }

    fn has_original_name(&self) -> bool {
        let original = self.backup().postgres.as_ref().and_then(|postgres| postgres.dbname.as_deref());
        original == Some(self.name)
    }

    fn part<'b>(&'b self, progress: &'b dyn Progress) -> Result<PartialRestore<'b>, Error> {
        let (backup, config) = (self.backup(), self.workspace.config()?);
        let selection = self.destination.selection();
        let (dbname, is_another) = self.original()?;
        let is_whole = selection.is_all() && !is_another;
        if !is_whole && self.target.forward.is_some() {
            return Err(Refusal::PartOfDatabase { commit: backup.commit.clone() }.into());
        }
        if self.has_from && artifacts::restorer_of(backup, self.programs).is_none() {
            let tool = backup.tool.name.to_string();
            return Err(Refusal::KeptByTool { backup: backup.id, tool }.into());
        }
        let post_restore = self.post_restore(progress)?;
        Ok(PartialRestore {
            post_restore: match is_whole {
                true => post_restore,
                false => PostRestore { expected: Expected::Unknown, ..post_restore },
            },
            admin: self.admin()?,
            dbname,
            selection,
            mark: is_whole,
            globals: self.destination.globals,
            scratch: config.scratch()?,
            scratch_user: config.scratch_user()?.map(|user| user.value),
        })
    }

    /// Returns the wanted database of the backup, and whether it differs from the recorded database.
    fn original(&self) -> Result<(String, bool), Error> {
        let backup = self.backup();
        let known = backup.postgres.as_ref().and_then(|postgres| postgres.dbname.clone());
        let dbname = match self.destination.from_database.clone().or_else(|| known.clone()) {
            Some(dbname) => dbname,
            None => connection(backup, self.workspace)?.dbname().to_owned(),
        };
        match known {
            Some(known) if known != dbname && is_dump(backup) => {
                Err(Refusal::OtherDatabase { backup: backup.id, dbname: known }.into())
            }
            known => Ok((dbname.clone(), known.is_some_and(|known| known != dbname))),
        }
    }
}

fn is_dump(backup: &Backup) -> bool {
    backup.tool.name.as_str() == Program::PgDump.name()
}

/// Returns true if the dump has the properties of its database: of the archives that are read as a stream.
fn has_properties(backup: &Backup) -> bool {
    let artifact = backup.artifacts.first();
    let format = artifact.and_then(|artifact| DumpFormat::of_artifact(artifact.name.as_str()));
    matches!(format, Some(DumpFormat::Custom | DumpFormat::Tar))
}
