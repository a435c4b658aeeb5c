//! Restoring a dump from its files into a new database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::backup::restorer_of;
use crate::domain::{Artifact, Backup, BackupId, CommitId, DumpFormat, Postgres, Status};
use crate::pg::{Client, ConnInfo, Template};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::store;
use crate::store::{Access, Held};
use crate::tools::adapter::{self, Subject, Target};
use crate::tools::{Connection, DumpSpec, MigrateSpec, Migration, Programs};

use super::execute::{Execution, Staged};
use super::proof::{Leniency, difference};
use super::{Error, Plan, PlannedStep, Step, in_scratch_database, into_new_database};

/// What is to be restored and where to.
pub struct Restore<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// The name of the new database.
    pub into: &'a str,
    /// A database of the server in which it is to be made.
    pub admin: ConnInfo,
    /// Where the client programs of PostgreSQL are.
    pub programs: Programs,
    /// What it takes to reach the store.
    pub access: Access,
    /// A directory for dumps that pg_restore wants as files; made when it is needed.
    pub staging: PathBuf,
    /// Everything is to belong to the user who restores.
    pub no_owner: bool,
    /// Grants are left out.
    pub no_privileges: bool,
    /// The way on from the commit of the backup, when that is not the one that
    /// is wanted.
    pub forward: Option<Forward>,
    /// What the schema has to be in the end.
    pub expected: Expected,
    /// A schema that is another one is only said.
    pub allow_schema_difference: bool,
    /// What changes data that nobody may see, before anybody can connect.
    pub mask: Option<Migration>,
    /// A comment that the database keeps.
    pub label: Option<String>,
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

/// The way from the commit of a backup to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The commit that is wanted.
    pub commit: CommitId,
    /// What it takes.
    pub migrations: Vec<Migration>,
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
    Migrations(Vec<Migration>),
}

impl Expected {
    /// Where it comes from, in words.
    fn source(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Recorded { backup, .. } => Some(format!("the schema recorded with backup {backup}")),
            Self::Migrations(all) => Some(format!("what {} migrations make in an empty database", all.len())),
        }
    }
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Size of the dump.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// In what the schema is not as it should be, when that was allowed.
    pub difference: Option<String>,
    /// What the schema was compared with.
    pub compared_with: Option<String>,
}

/// The dump of a backup: bytes that can be read and have been proved.
struct Dump<'a> {
    held: Held,
    artifact: &'a Artifact,
}

impl Restore<'_> {
    /// Restores. Every byte is proved to be the one that was written before it is
    /// used; those of plain files before the server is asked to do anything.
    pub fn run(&self) -> Result<Restored, Error> {
        let begun = Instant::now();
        let dump = self.open()?;
        let client = Client::connect(&self.admin, "git-pggit")?;
        if client.database_exists(self.into)? {
            return Err(Error::TargetExists { dbname: self.into.to_owned() });
        }
        let major = client.facts()?.major;
        drop(client);
        if !dump.held.proves_itself() {
            self.progress.stage("verifying", Some(dump.artifact.size_bytes));
            dump.held.verify(
                dump.artifact.name.as_str(),
                &dump.artifact.digest.to_string(),
                self.progress,
            )?;
        }
        self.progress.stage(&format!("restoring {}", self.into), Some(dump.artifact.size_bytes));
        let mut difference = None;
        let work = |step: &Step, target: &ConnInfo| match step {
            Step::Migrate { .. } => self.migrate(target, major),
            Step::Mask { .. } => self.run_migrations(target, major, self.mask.as_slice()),
            Step::Prove { .. } => {
                difference = self.prove(target, major)?;
                Ok(())
            }
            _ => self.load(&dump, target, major),
        };
        into_new_database(&self.admin, &self.plan(), work, &crash_point)?;
        Ok(Restored {
            bytes: dump.artifact.size_bytes,
            duration: begun.elapsed(),
            difference,
            compared_with: self.expected.source(),
        })
    }

    /// What is going to happen, for people, and what stands against it now. What it
    /// shows is what runs.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        let mut refusals = Vec::new();
        if let Err(error) = self.open() {
            refusals.push(error);
        }
        let plan = self.plan();
        let major = match Client::connect(&self.admin, "git-pggit").and_then(|client| Ok((client.facts()?, client))) {
            Ok((facts, client)) => {
                if client.database_exists(self.into)? {
                    refusals.push(Error::TargetExists { dbname: self.into.to_owned() });
                }
                Some(facts.major)
            }
            Err(error) => {
                refusals.push(error.into());
                None
            }
        };
        let target = self.admin.with_dbname(plan.temporary());
        let loading = major.map(|major| self.loading(&target, major)).transpose();
        let loading = loading.unwrap_or_else(|error| {
            refusals.push(error);
            None
        });
        let cmd = loading.iter().flatten().find_map(|step| match step {
            adapter::Step::Load { cmd, .. } => Some(cmd.as_ref()),
            _ => None,
        });
        let steps = plan.steps().iter().map(|step| PlannedStep::of_database(step, cmd)).collect();
        Ok((steps, refusals))
    }

    /// What is going to happen.
    pub fn plan(&self) -> Plan {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        let names = |forward: &Forward| forward.migrations.iter().map(|one| one.name.clone()).collect();
        let commit = self.forward.as_ref().map_or(&self.backup.commit, |forward| &forward.commit);
        Plan::new(self.into, &self.backup.id.to_string(), Some(commit.as_str()), template)
            .then_migrate(self.forward.as_ref().map(names).unwrap_or_default())
            .then_prove(self.expected.source())
            .then_mask(self.mask.as_ref().map(|mask| mask.name.clone()))
            .labelled(self.label.clone())
    }

    fn migrate(&self, target: &ConnInfo, major: u32) -> Result<(), Error> {
        let Some(forward) = &self.forward else { return Ok(()) };
        self.progress.stage(&format!("migrating to {}", forward.commit.short()), None);
        self.run_migrations(target, major, &forward.migrations)
    }

    fn run_migrations(&self, target: &ConnInfo, major: u32, migrations: &[Migration]) -> Result<(), Error> {
        let staged = Staged::make(self.staging.join(format!("migrate-{}", self.backup.id)))?;
        let spec = MigrateSpec {
            connection: Connection::from(target),
            directory: staged.path().to_owned(),
            deadline: None,
        };
        Ok(self.programs.for_server(major).migrate(&spec, migrations)?)
    }

    /// In what the schema of `target` is not as it should be.
    fn prove(&self, target: &ConnInfo, major: u32) -> Result<Option<String>, Error> {
        self.progress.stage("comparing the schema", None);
        let tools = self.programs.for_server(major);
        let schema_of = |info: &ConnInfo| {
            tools.schema_sql(&DumpSpec::new(Connection::from(info), DumpFormat::Plain)).map_err(Error::from)
        };
        let expected = match &self.expected {
            Expected::Unknown => return Ok(None),
            Expected::Recorded { schema, .. } => schema.clone(),
            Expected::Migrations(all) => match self.schema_of_migrations(all, major, &schema_of) {
                Err(error @ Error::NoExpectedSchema { .. }) if self.allow_schema_difference => {
                    return Ok(Some(error.to_string()));
                }
                other => other?,
            },
        };
        let leniency = Leniency { owners: self.no_owner, privileges: self.no_privileges };
        match difference(&expected, &schema_of(target)?, leniency) {
            Some(diff) if !self.allow_schema_difference => {
                Err(Error::SchemaDiffers { dbname: self.into.to_owned(), diff })
            }
            other => Ok(other),
        }
    }

    /// The schema that all migrations of the commit make in an empty database.
    fn schema_of_migrations(
        &self,
        all: &[Migration],
        major: u32,
        schema_of: &dyn Fn(&ConnInfo) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        // It is dropped when this is done, whatever comes of it.
        let scratch =
            Plan::new(&format!("{}~schema", self.into), &self.backup.id.to_string(), None, template);
        in_scratch_database(&self.admin, &scratch, |target| {
            self.run_migrations(target, major, all)
                .map_err(|error| Error::NoExpectedSchema { reason: error.to_string() })?;
            schema_of(target)
        })
    }

    fn open(&self) -> Result<Dump<'_>, Error> {
        let refuse = |reason: String| Error::NotRestorable { backup: self.backup.id.to_string(), reason };
        if self.backup.status != Status::Completed {
            return Err(refuse(format!("it is {}", self.backup.status.as_str().replace('_', " "))));
        }
        let Some(artifact) = self.backup.artifacts.first() else {
            return Err(refuse(format!(
                "it was made by {} and is not a dump of this program",
                self.backup.tool.name
            )));
        };
        if DumpFormat::of_artifact(artifact.name.as_str()).is_none() {
            return Err(refuse(format!("it was made by {} and is no dump", self.backup.tool.name)));
        }
        let Some(location) = &self.backup.location else {
            return Err(refuse("its record does not say where it is".to_owned()));
        };
        let held = Held::open(location.as_str(), &self.access).map_err(|error| match error {
            store::Error::BadLocation { .. } => {
                refuse("its location is neither a directory nor a store".to_owned())
            }
            other => other.into(),
        })?;
        Ok(Dump { held, artifact })
    }

    /// How the bytes get into the database `target`.
    fn loading(&self, target: &ConnInfo, major: u32) -> Result<Vec<adapter::Step>, Error> {
        let subject = Subject { backup: self.backup, chain: &[], source: None };
        let restorer = restorer_of(self.backup, &self.programs).ok_or_else(|| Error::NotRestorable {
            backup: self.backup.id.to_string(),
            reason: format!("it was made by {}", self.backup.tool.name),
        })?;
        let target = Target::Database {
            connection: Connection::from(target),
            server_major: major,
            no_owner: self.no_owner,
            no_privileges: self.no_privileges,
        };
        Ok(restorer.restore(&subject, &target)?)
    }

    fn load(&self, dump: &Dump<'_>, target: &ConnInfo, major: u32) -> Result<(), Error> {
        let execution = Execution {
            wanted: (self.backup, &dump.held),
            chain: &[],
            staging: &self.staging,
            progress: self.progress,
        };
        execution.run(self.loading(target, major)?)
    }
}

/// What makes a new database sort and encode as the old one did.
pub fn template(postgres: &Postgres) -> Template {
    let text = |line: &Option<crate::domain::Line>| line.as_ref().map(ToString::to_string);
    Template {
        encoding: text(&postgres.encoding),
        collate: text(&postgres.collate),
        ctype: text(&postgres.ctype),
        provider: text(&postgres.locale_provider),
        locale: text(&postgres.locale),
        icu_rules: postgres.icu_rules.clone(),
    }
}
