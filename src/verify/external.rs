//! Restore tests of backups that a tool keeps in a repository of its own.
//!
//! The tool restores as the user that it runs as. This user may read the repository. The server that
//! recovers the cluster runs as another user, who may not read the repository. Therefore the tool owns
//! the directory of the scratch cluster until the restore is complete. The restore includes the WAL
//! that the backup needs, so the server fetches nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::restore_test::RestoreTest;
use super::scratch::{Refused, Scratch};
use super::verdict::Findings;
use super::{Error, excerpt};
use crate::process::{self, OsUser, crash_point, is_rooted};
use crate::recovery::{self, Limit, SIGNALS, restore_by_tool};
use crate::tools::adapter::{Depth, Report, RestoreStep, Target, empty_directory};
use crate::tools::{self, ExternalError};

impl RestoreTest<'_> {
    /// Restores the data directory with the tool. Returns false if the backup cannot be restored; the
    /// findings have the reason.
    pub(super) fn restore_external(
        &self,
        scratch: &Scratch,
        limit: Limit,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        self.has_room(scratch)?;
        if !self.context.adapter.restore_proves() {
            match self.damage() {
                Ok(report) => findings.take(report, None),
                Err(Error::Tools(tools::Error::Tool { fault: ExternalError::Unsupported(why), .. })) => {
                    findings.note("checksum", format!("not compared: {}", excerpt::short(&why)));
                }
                Err(error) => return Err(error),
            }
            if findings.is_fatal() {
                return Ok(false);
            }
        }
        let (steps, spaces) = match self.plan(scratch) {
            Err(Error::Tools(tools::Error::Tool { tool, fault: ExternalError::NoBackup(label) })) => {
                findings.fatal(format!("{label} is not in the repository of {tool} any more"));
                return Ok(false);
            }
            planned => planned?,
        };
        let data = scratch.data();
        let owner = steps.iter().find_map(|step| match step {
            RestoreStep::RequireEmpty { owner, .. } => owner.clone(),
            _ => None,
        });
        self.is_reached(owner.as_ref(), scratch)?;
        scratch.lend(owner.as_ref())?;
        for space in &spaces {
            empty_directory(&scratch.held().within(space), owner.as_ref())?;
        }
        crash_point("verify.lent");
        let in_time = |step| match step {
            RestoreStep::Run { what, cmd } => {
                RestoreStep::Run { what, cmd: Box::new(cmd.deadline(limit.left())) }
            }
            other => other,
        };
        let steps = steps.into_iter().map(in_time).collect();
        if let Err(error) =
            restore_by_tool(self.backup(), steps, &data, scratch.held(), self.context.progress)
        {
            self.judge_restore(error, limit, findings)?;
            return Ok(false);
        }
        self.context.progress.stage("fetching the WAL that the backup needs", None);
        let log = self.context.adapter.fetch_wal(self.subject, &data, limit.at);
        findings.take(log.map_err(|error| in_limit(Error::of_tool(error), limit))?, None);
        if findings.is_fatal() {
            return Ok(false);
        }
        scratch.close()?;
        let data = scratch.held().within(&data);
        SIGNALS.iter().try_for_each(|name| forget(&data.join(name)))?;
        scratch.take_back().map_err(|error| self.refused(error))?;
        Ok(true)
    }

    /// Fails if the tool runs as root and another user could redirect the paths that it is given.
    fn is_reached(&self, owner: Option<&OsUser>, scratch: &Scratch) -> Result<(), Error> {
        let base = &self.context.scratch.directory;
        let failed = |source| Error::Scratch { action: "access", path: base.clone(), source };
        if !OsUser::we_are_root()
            || owner.is_some_and(|owner| !owner.is_us())
            || is_rooted(scratch.held().real()).map_err(failed)?
        {
            return Ok(());
        }
        let reason = format!(
            "{} would run as root below {}, which other users can change",
            self.context.adapter.name(),
            base.display()
        );
        Err(Error::NotVerifiable { backup: self.backup().id, reason })
    }

    /// Returns the steps of the restore and the directories of the tablespaces.
    fn plan(&self, scratch: &Scratch) -> Result<(Vec<RestoreStep>, Vec<PathBuf>), Error> {
        let tablespaces = self.tablespaces(scratch)?;
        let spaces = tablespaces.iter().map(|(_, to)| to.clone()).collect();
        let target = Target::Scratch { path: scratch.data(), tablespaces };
        let steps = self.context.adapter.restore(self.subject, &target).map_err(Error::of_tool)?;
        Ok((steps, spaces))
    }

    /// Returns the report of the tool about its stored bytes.
    fn damage(&self) -> Result<Report, Error> {
        let checked = self.context.adapter.check(self.subject, Depth::Checksum, self.context.progress);
        checked.map_err(Error::of_tool)
    }

    /// Judges a failed restore. Adds a finding about the backup if the tool reports damage. Otherwise
    /// fails with the error of the restore.
    fn judge_restore(
        &self,
        error: recovery::Error,
        limit: Limit,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let recovery::Error::Step { what, source } = error else { return Err(error.into()) };
        let process::Error::Failed { stderr, .. } = &source else {
            return Err(in_limit(source.into(), limit));
        };
        let complaint = excerpt::first_error(stderr);
        if excerpt::is_of_machine(&complaint) {
            return Err(Error::Unsuitable { reason: complaint });
        }
        match self.damage() {
            Ok(report) if report.is_fatal() => {
                findings.fatal(format!("it cannot be restored: {complaint}"));
                findings.take(report, None);
                Ok(())
            }
            Err(interrupted @ Error::Interrupted { .. }) => Err(interrupted),
            _ => Err(recovery::Error::Step { what, source }.into()),
        }
    }

    fn refused(&self, error: Refused) -> Error {
        match error {
            Refused::Io(error) => error,
            Refused::Leads(path, why) => {
                let reason = format!("{} made {path}, which {why}", self.context.adapter.name());
                Error::NotVerifiable { backup: self.backup().id, reason }
            }
        }
    }
}

fn in_limit(error: Error, limit: Limit) -> Error {
    match error {
        Error::Process(process::Error::Deadline { .. })
        | Error::Tools(tools::Error::Process(process::Error::Deadline { .. })) => limit.error().into(),
        other => other,
    }
}

fn forget(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Scratch { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
