//! A planned restore, which can be described or executed.

use serde_json::Value;

use super::database::DatabaseRestore;
use super::directory::DirectoryRestore;
use super::estimate::{Estimate, estimate};
use super::record::{RestoreFacts, location_of_database, location_of_directory, record};
use super::{Created, Description, Destination, Refusal, RestoreOutcome, RestoreRequest, Target};
use crate::domain::{RecoveryTarget, RestoreMode};
use crate::progress::Progress;
use crate::recovery::Error;
use crate::tools::Programs;
use crate::workspace::Workspace;

/// A restore that creates a database or a data directory.
pub struct RestorePlan<'a> {
    request: RestoreRequest,
    target: Target,
    programs: Programs,
    workspace: &'a Workspace,
}

/// The two kinds of restores.
enum Kind<'a> {
    Database(DatabaseRestore<'a>),
    Directory(DirectoryRestore<'a>),
}

impl<'a> RestorePlan<'a> {
    /// Finds the backup for the request, and plans the way to the wanted commit. Nothing is changed.
    ///
    /// # Errors
    /// If there is no such backup, if it does not lead to the commit, or if the request cannot be
    /// carried out.
    pub fn new(request: RestoreRequest, workspace: &'a Workspace) -> Result<Self, Error> {
        if let Destination::Database(database) = &request.destination
            && database.name.is_none()
        {
            return Err(Refusal::NoName.into());
        }
        let (query, until) = (request.query(), request.until());
        let target = match until {
            RecoveryTarget::Immediate => Target::find(&query, workspace)?,
            until => Target::find_for_point(&query, until, workspace)?,
        };
        let plan = Self { programs: workspace.programs()?, request, target, workspace };
        match plan.kind() {
            Kind::Database(restore) => restore.check()?,
            Kind::Directory(restore) => restore.check()?,
        }
        Ok(plan)
    }

    /// Returns the backup, and the way from it to the commit.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the request.
    pub fn request(&self) -> &RestoreRequest {
        &self.request
    }

    /// Returns true if objects that cannot be restored are left out.
    pub fn keeps_going(&self) -> bool {
        matches!(&self.request.destination, Destination::Database(database) if database.keep_going)
    }

    /// Describes the steps, and what prevents them now. Nothing is changed.
    ///
    /// # Errors
    /// If the steps cannot be determined.
    pub fn describe(&self) -> Result<Description, Error> {
        match self.kind() {
            Kind::Database(restore) => restore.describe(),
            Kind::Directory(restore) => restore.describe(),
        }
    }

    /// Returns the expected duration; `None` if no restore test was measured.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn estimate(&self) -> Result<Option<Estimate>, Error> {
        estimate(&self.target.entry.backup, self.workspace)
    }

    /// Returns the connection to the server on which the database is created.
    ///
    /// # Errors
    /// If the server is unknown.
    pub fn server(&self) -> Result<crate::pg::ConnInfo, Error> {
        let server = match &self.request.destination {
            Destination::Database(database) => database.server.as_deref(),
            Destination::Directory(_) => None,
        };
        super::admin_of(&self.target.entry, self.request.database.as_ref(), server, self.workspace)
    }

    /// Restores. If that fails, everything that was created is removed.
    ///
    /// # Errors
    /// If the backup cannot be restored.
    pub fn execute(&self, progress: &dyn Progress) -> Result<RestoreOutcome, Error> {
        match self.kind() {
            Kind::Database(restore) => restore.execute(progress),
            Kind::Directory(restore) => restore.execute(progress),
        }
    }

    /// Records the restore with the backup.
    ///
    /// # Errors
    /// If the ledger cannot be written. The restored database or directory is kept.
    pub fn record(&self, outcome: &RestoreOutcome) -> Result<(), Error> {
        let ran = ("ran", Value::from(outcome.ran.clone()));
        let (target, more) = match &outcome.made {
            Created::Database(made) => {
                let mut more = vec![("size_bytes", outcome.bytes.into()), ran];
                more.extend(made.part.clone().map(|part| ("part", part.into())));
                more.extend(made.is_incomplete().then(|| ("objects_missing", made.left_out.len().into())));
                (location_of_database(&made.info), more)
            }
            Created::Directory(made) => {
                let until = ("until", made.until.to_string().into());
                (location_of_directory(&made.path), vec![until, ran])
            }
        };
        let done = RestoreFacts {
            mode: RestoreMode::Clone,
            target,
            commit: outcome.commit.clone(),
            duration: outcome.duration,
            schema: outcome.schema.clone(),
            proof: Some(outcome.proof.clone()),
            more,
        };
        record(&self.target.entry, done, self.workspace)
    }

    fn kind(&self) -> Kind<'_> {
        let (request, target, workspace) = (&self.request, &self.target, self.workspace);
        let (programs, has_from) = (&self.programs, !request.from.is_empty());
        let allow_schema_difference = request.allow_schema_difference;
        match &request.destination {
            Destination::Database(destination) => Kind::Database(DatabaseRestore {
                destination,
                name: destination.name.as_deref().unwrap_or_default(),
                target,
                database: request.database.as_ref(),
                allow_schema_difference,
                has_from,
                programs,
                workspace,
            }),
            Destination::Directory(destination) => Kind::Directory(DirectoryRestore {
                destination,
                target,
                allow_schema_difference,
                has_from,
                programs,
                workspace,
            }),
        }
    }
}
