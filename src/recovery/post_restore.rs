//! Advances a restored database from the commit of its backup to the wanted commit, and compares its
//! schema.
//!
//! This module runs migrations in a database whose data are restored, and compares the schema with
//! the expected one. It serves a dump in a new database and a database of a physical backup alike. It
//! works on every database that can be reached.

use std::path::PathBuf;

use crate::domain::{Backup, BackupId, CommitId, Setting};
use crate::pg::{Client, ConnInfo};
use crate::progress::Progress;
use crate::tools::{DumpSpec, Migration, Programs, run_migrations};

use super::migrate_command::MigrateCommand;
use super::new_database::{template, with_suffix};
use super::schema_diff::{IgnoreInDiff, diff_schemas};
use super::{Error, Plan, in_scratch_database};

/// The steps after a restore of the data of a database.
pub struct PostRestore<'a> {
    /// The restored backup.
    pub backup: &'a Backup,
    /// The final name of the database, for messages.
    pub dbname: &'a str,
    /// The migrations from the commit of the backup to the wanted commit; `None` if the commits are
    /// the same.
    pub forward: Option<MigrationPlan>,
    /// The expected schema at the end.
    pub expected: Expected,
    /// The objects that the restore leaves out. They are not compared.
    pub leniency: IgnoreInDiff,
    /// True if a schema difference is reported and is not an error.
    pub allow_schema_difference: bool,
    /// The script that masks confidential data before anyone can connect.
    pub mask: Option<Migration>,
    /// The directories of the PostgreSQL client programs.
    pub programs: Programs,
    /// A directory for temporary files. It is created on demand.
    pub staging: PathBuf,
    /// True if the server belongs to this process, so that libpq variables of our environment are
    /// ignored.
    pub alone: bool,
    /// Receives the progress.
    pub progress: &'a dyn Progress,
}

/// The path from the commit of a backup to a later commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationPlan {
    /// The wanted commit.
    pub commit: CommitId,
    /// The way to run the migrations.
    pub way: MigrationRunner,
}

/// The way to run migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationRunner {
    /// This program runs these files in order.
    Files(Vec<Migration>),
    /// A program of the user runs the migrations.
    Command(MigrateCommand),
}

/// The expected schema of a restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The expected schema is unknown.
    Unknown,
    /// The schema that was recorded with a backup of the commit.
    Recorded {
        /// The backup.
        backup: BackupId,
        /// The schema.
        schema: Vec<u8>,
    },
    /// The schema that all migrations of the commit create in an empty database.
    Built(MigrationRunner),
}

impl Expected {
    /// Returns the way to build the schema; `None` if no build is necessary.
    fn way(&self) -> Option<&MigrationRunner> {
        match self {
            Self::Built(way) => Some(way),
            Self::Unknown | Self::Recorded { .. } => None,
        }
    }

    /// Returns a description of the source of the schema; `None` if the schema is unknown.
    pub fn source(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Recorded { backup, .. } => Some(format!("the schema recorded with backup {backup}")),
            Self::Built(MigrationRunner::Files(all)) => {
                Some(format!("the schema that {} migrations create in an empty database", all.len()))
            }
            Self::Built(MigrationRunner::Command(command)) => {
                Some(format!("the schema that '{}' creates in an empty database", command.shown()))
            }
        }
    }
}

impl<'a> PostRestore<'a> {
    /// Returns steps that run nothing and compares nothing.
    pub fn nowhere(
        backup: &'a Backup,
        dbname: &'a str,
        programs: Programs,
        staging: PathBuf,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            backup,
            dbname,
            forward: None,
            expected: Expected::Unknown,
            leniency: IgnoreInDiff::default(),
            allow_schema_difference: false,
            mask: None,
            programs,
            staging,
            alone: false,
            progress,
        }
    }

    /// Returns the commit of the database after these steps.
    pub fn commit(&self) -> &CommitId {
        self.forward.as_ref().map_or(&self.backup.commit, |forward| &forward.commit)
    }

    /// Returns true if the database may be marked with that commit. After migrations this requires a
    /// schema to compare with.
    pub fn is_proved(&self) -> bool {
        self.forward.is_none() || self.expected != Expected::Unknown
    }

    /// Returns the names of the migrations or the command, in order of execution.
    pub fn names(&self) -> Vec<String> {
        let Some(forward) = &self.forward else { return Vec::new() };
        match &forward.way {
            MigrationRunner::Files(migrations) => migrations.iter().map(|one| one.name.clone()).collect(),
            MigrationRunner::Command(command) => {
                vec![format!("'{}' in a worktree of {}", command.shown(), forward.commit.short())]
            }
        }
    }

    /// Returns the recorded settings of the database if a step runs something that may depend on
    /// them.
    pub(super) fn settings(&self) -> &[Setting] {
        self.backup.postgres.as_ref().map_or(&[], |postgres| self.lends(&postgres.settings))
    }

    /// Returns `settings` if a step runs something that may depend on them.
    pub(super) fn lends<'s>(&self, settings: &'s [Setting]) -> &'s [Setting] {
        let runs = self.forward.is_some() || self.mask.is_some() || self.expected.way().is_some();
        if runs { settings } else { &[] }
    }

    /// Runs the migrations between the commit of the backup and the wanted commit in `target`.
    pub fn migrate(&self, target: &ConnInfo) -> Result<(), Error> {
        let Some(forward) = &self.forward else { return Ok(()) };
        self.progress.stage(&format!("migrating to {}", forward.commit.short()), None);
        self.go(&forward.way, target, Some(&self.backup.commit))
    }

    /// Runs migrations in a database that is at the commit `from`, or empty. Fails if a migration
    /// fails.
    fn go(&self, way: &MigrationRunner, target: &ConnInfo, from: Option<&CommitId>) -> Result<(), Error> {
        match way {
            MigrationRunner::Files(migrations) => Ok(run_migrations(target, migrations)?),
            MigrationRunner::Command(command) => command.run(target, self.commit(), from),
        }
    }

    /// Runs the script that masks confidential data. Fails if the script fails.
    pub fn mask(&self, target: &ConnInfo) -> Result<(), Error> {
        Ok(run_migrations(target, self.mask.as_slice())?)
    }

    /// Fails if a migration file cannot be run. Callers check this before they restore anything.
    pub fn check(&self) -> Result<(), Error> {
        let ways = [self.forward.as_ref().map(|forward| &forward.way), self.expected.way()];
        let files = ways.into_iter().flatten().flat_map(|way| match way {
            MigrationRunner::Files(files) => files.as_slice(),
            MigrationRunner::Command(_) => &[],
        });
        Ok(files.chain(&self.mask).try_for_each(Migration::check)?)
    }

    /// Compares the schema of `target` with the expected schema. Returns the difference if a
    /// difference is allowed. Fails if a difference is not allowed. A scratch database, if needed, is
    /// created through `admin` on the same server.
    pub fn prove(&self, target: &ConnInfo, admin: &ConnInfo, major: u32) -> Result<Option<String>, Error> {
        self.progress.stage("comparing the schema", None);
        let tools = self.programs.for_server(major);
        let schema_of = |info: &ConnInfo| {
            let client = Client::connect(info, "git-pggit")?;
            tools.schema_sql(&DumpSpec::of_schema(&client, self.alone)?).map_err(Error::from)
        };
        let expected = match &self.expected {
            Expected::Unknown => return Ok(None),
            Expected::Recorded { schema, .. } => schema.clone(),
            // This runs even if a difference is allowed: without this schema nothing is compared, and
            // an unknown difference cannot be allowed.
            Expected::Built(way) => self.schema_of_migrations(way, target, admin, &schema_of)?,
        };
        match diff_schemas(&expected, &schema_of(target)?, self.leniency) {
            Some(diff) if !self.allow_schema_difference => {
                Err(Error::SchemaDiffers { dbname: self.dbname.to_owned(), diff })
            }
            other => Ok(other),
        }
    }

    /// Returns the schema that all migrations of the commit create in an empty database with the
    /// settings of `target`.
    fn schema_of_migrations(
        &self,
        way: &MigrationRunner,
        target: &ConnInfo,
        admin: &ConnInfo,
        schema_of: &dyn Fn(&ConnInfo) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        // The scratch database is dropped afterwards, also after an error.
        let settings = Client::connect(target, "git-pggit")?.database_settings(target.dbname())?;
        let scratch = Plan::new(&scratch_name(self.dbname), &self.backup.id.to_string(), None, template)
            .with_settings(&settings, admin.user());
        in_scratch_database(admin, &scratch, |target| {
            self.go(way, target, None)
                .map_err(|error| Error::NoExpectedSchema { reason: error.to_string() })?;
            schema_of(target)
        })
    }
}

/// Returns the name of the scratch database for the schema that is compared with that of `dbname`.
pub(super) fn scratch_name(dbname: &str) -> String {
    with_suffix(dbname, "~schema")
}
