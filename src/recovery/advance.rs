//! From a backup that is back to the commit that is wanted, and the proof of it.
//!
//! What is run in a database once its data are there, and what its schema is
//! compared with: the same for a dump in a new database and for a database of a
//! cluster that was copied. It works on whatever database can be reached.

use std::path::PathBuf;

use crate::domain::{Backup, BackupId, CommitId, Setting};
use crate::pg::{Client, ConnInfo};
use crate::progress::Progress;
use crate::tools::{DumpSpec, Migration, Programs, run_migrations};

use super::by_command::MigrateCommand;
use super::new_database::{template, with_suffix};
use super::proof::{Leniency, difference};
use super::{Error, Plan, in_scratch_database};

/// What is to be done with a database whose backup is back.
pub struct Advance<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// What the database is called in the end, for what is said about it.
    pub dbname: &'a str,
    /// The way on from the commit of the backup, when that is not the one that
    /// is wanted.
    pub forward: Option<Forward>,
    /// What the schema has to be in the end.
    pub expected: Expected,
    /// What the restore leaves out, so that it is not compared.
    pub leniency: Leniency,
    /// A schema that is another one is only said.
    pub allow_schema_difference: bool,
    /// What changes data that nobody may see, before anybody can connect.
    pub mask: Option<Migration>,
    /// Where the client programs of PostgreSQL are.
    pub programs: Programs,
    /// A directory for files that are needed for a while; made when it is needed.
    pub staging: PathBuf,
    /// What our own environment says to libpq does not count: the server is ours.
    pub alone: bool,
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

/// The way from the commit of a backup to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The commit that is wanted.
    pub commit: CommitId,
    /// What it takes.
    pub way: Way,
}

/// Who runs migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// We do: these files, in their order.
    Files(Vec<Migration>),
    /// A program of the user.
    Command(MigrateCommand),
}

/// What the schema of a restored database has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nobody knows.
    Unknown,
    /// This, recorded with a backup of the commit.
    Recorded {
        /// The backup.
        backup: BackupId,
        /// The schema.
        schema: Vec<u8>,
    },
    /// What all migrations of the commit make in an empty database.
    Built(Way),
}

impl Expected {
    /// Returns the way to build the schema, if it has to be built.
    fn way(&self) -> Option<&Way> {
        match self {
            Self::Built(way) => Some(way),
            Self::Unknown | Self::Recorded { .. } => None,
        }
    }

    /// Where it comes from, in words.
    pub fn source(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Recorded { backup, .. } => Some(format!("the schema recorded with backup {backup}")),
            Self::Built(Way::Files(all)) => {
                Some(format!("what {} migrations make in an empty database", all.len()))
            }
            Self::Built(Way::Command(command)) => {
                Some(format!("what '{}' makes in an empty database", command.shown()))
            }
        }
    }
}

impl<'a> Advance<'a> {
    /// Nothing is run, and nothing is compared.
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
            leniency: Leniency::default(),
            allow_schema_difference: false,
            mask: None,
            programs,
            staging,
            alone: false,
            progress,
        }
    }

    /// The commit that the database is at in the end.
    pub fn commit(&self) -> &CommitId {
        self.forward.as_ref().map_or(&self.backup.commit, |forward| &forward.commit)
    }

    /// Returns true if the database may be marked with that commit. After migrations this requires a
    /// schema to compare with.
    pub fn is_proved(&self) -> bool {
        self.forward.is_none() || self.expected != Expected::Unknown
    }

    /// The names of what is run on the way, in its order.
    pub fn names(&self) -> Vec<String> {
        let Some(forward) = &self.forward else { return Vec::new() };
        match &forward.way {
            Way::Files(migrations) => migrations.iter().map(|one| one.name.clone()).collect(),
            Way::Command(command) => {
                vec![format!("'{}' in a worktree of {}", command.shown(), forward.commit.short())]
            }
        }
    }

    /// The recorded settings of the database, if something is run that may depend on them.
    pub(super) fn settings(&self) -> &[Setting] {
        self.backup.postgres.as_ref().map_or(&[], |postgres| self.lends(&postgres.settings))
    }

    /// Returns `settings`, if something is run that may depend on them.
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

    /// Runs migrations in a database that is at the commit `from`, or empty.
    fn go(&self, way: &Way, target: &ConnInfo, from: Option<&CommitId>) -> Result<(), Error> {
        match way {
            Way::Files(migrations) => Ok(run_migrations(target, migrations)?),
            Way::Command(command) => command.run(target, self.commit(), from),
        }
    }

    /// Runs the script that changes what nobody may see.
    pub fn mask(&self, target: &ConnInfo) -> Result<(), Error> {
        Ok(run_migrations(target, self.mask.as_slice())?)
    }

    /// Fails if a file cannot be run, before anything is restored.
    pub fn check(&self) -> Result<(), Error> {
        let ways = [self.forward.as_ref().map(|forward| &forward.way), self.expected.way()];
        let files = ways.into_iter().flatten().flat_map(|way| match way {
            Way::Files(files) => files.as_slice(),
            Way::Command(_) => &[],
        });
        Ok(files.chain(&self.mask).try_for_each(Migration::check)?)
    }

    /// In what the schema of `target` is not as it should be, when that is
    /// allowed; else it is an error. A scratch database is made, where one is
    /// needed, from `admin` on the same server.
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
            // Without it nothing is compared, and a difference that is not known cannot be allowed.
            Expected::Built(way) => self.schema_of_migrations(way, target, admin, &schema_of)?,
        };
        match difference(&expected, &schema_of(target)?, self.leniency) {
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
        way: &Way,
        target: &ConnInfo,
        admin: &ConnInfo,
        schema_of: &dyn Fn(&ConnInfo) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        // It is dropped when this is done, whatever comes of it.
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

/// The name of the database in which the schema to compare that of `dbname` with
/// is made.
pub(super) fn scratch_name(dbname: &str) -> String {
    with_suffix(dbname, "~schema")
}
