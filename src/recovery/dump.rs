//! Restoring a dump from its files into a new database.

use std::time::{Duration, Instant};

use crate::artifacts::restorer_of;
use crate::domain::{Artifact, DumpFormat, Status};
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::process::crash_point;
use crate::store;
use crate::store::{Access, StoredBackup};
use crate::tools::adapter::{self, BackupRef, Target};
use crate::tools::{Connection, DatabaseProperties, GLOBALS, LeftOut, PropertiesSpec};

use super::execute::Execution;
use super::globals::{MadeRoles, script};
use super::new_database::template;
use super::{DatabaseStep, Effect, Error, Plan, PlannedStep, PostRestore, Roles, into_new_database};

/// The reason why a database is not marked with its commit if objects may be missing.
const UNMARKED: &str = "objects may be missing (--keep-going)";

/// A restore of a dump, with its source and its target.
pub struct Restore<'a> {
    /// The backup, the name of the new database, and the steps after the load. Objects that
    /// these steps ignore are not restored.
    pub post_restore: PostRestore<'a>,
    /// The connection to a database of the server on which the new database is created.
    pub admin: ConnInfo,
    /// The access to the bytes of the backup.
    pub access: Access,
    /// The final comment of the database, if any.
    pub label: Option<String>,
    /// True if missing roles are created from the `globals.sql` beside the dump.
    pub globals: bool,
    /// True if the database gets the properties of the original one that only `pg_restore --create` restores.
    pub properties: bool,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The size of the dump in bytes.
    pub bytes: u64,
    /// The duration.
    pub duration: Duration,
    /// The schema difference, if there is one and a difference was allowed.
    pub difference: Option<String>,
    /// The source of the expected schema, if the schema was compared.
    pub compared_with: Option<String>,
    /// The roles that were created and kept, if roles were requested.
    pub roles: Option<Roles>,
    /// The objects that could not be restored: because they refer to objects outside the restored part,
    /// or because they cannot be restored at all.
    pub left_out: Vec<LeftOut>,
    /// The properties of the original database that could not be set, each with the reason.
    pub not_set: Vec<String>,
    /// The reason why the database is not marked with its commit, if it should be.
    pub not_marked: Option<String>,
}

/// The readable and verified bytes of the dump of a backup.
struct Dump<'a> {
    held: StoredBackup,
    artifact: &'a Artifact,
}

impl Restore<'_> {
    /// Restores the dump. Every byte is verified against its checksum before use. Plain files are
    /// verified before the first connection to the server.
    pub fn run(&self) -> Result<Restored, Error> {
        let (begun, post_restore) = (Instant::now(), &self.post_restore);
        post_restore.check()?;
        let dump = self.open()?;
        let client = Client::connect(&self.admin, "git-pggit")?;
        if client.database_exists(post_restore.dbname)? {
            return Err(Error::TargetExists { dbname: post_restore.dbname.to_owned() });
        }
        let major = client.facts()?.major;
        drop(client);
        if !dump.held.is_authentic() {
            self.post_restore.progress.stage("verifying", Some(dump.artifact.size_bytes));
            dump.held.verify(
                dump.artifact.name.as_str(),
                &dump.artifact.digest.to_string(),
                self.post_restore.progress,
            )?;
        }
        self.post_restore
            .progress
            .stage(&format!("restoring {}", post_restore.dbname), Some(dump.artifact.size_bytes));
        let roles = self.made_roles(self.globals, &dump)?;
        let properties = if self.properties { self.properties(&dump, major)? } else { None };
        let (mut difference, mut left_out) = (None, Vec::new());
        let mut not_set = Vec::new();
        let work = |step: &DatabaseStep, target: &ConnInfo| {
            match step {
                DatabaseStep::Migrate { .. } => post_restore.migrate(target)?,
                DatabaseStep::Mask { .. } => post_restore.mask(target)?,
                // Without some objects the schema differs in any case.
                DatabaseStep::Prove { .. } if !left_out.is_empty() => {}
                DatabaseStep::Prove { .. } => difference = post_restore.prove(target, &self.admin, major)?,
                DatabaseStep::Properties => not_set = self.set_properties(properties.as_ref(), target)?,
                _ => left_out = self.load(&dump, target, major)?,
            }
            Ok::<(), Error>(())
        };
        let comment = properties.as_ref().and_then(DatabaseProperties::comment);
        let plan = self.plan();
        let plan = if comment.is_some() { plan.labelled(comment) } else { plan };
        let not_marked = into_new_database(&self.admin, &plan, work, &crash_point)?;
        let compared_with = post_restore.expected.source().filter(|_| left_out.is_empty());
        Ok(Restored {
            bytes: dump.artifact.size_bytes,
            duration: begun.elapsed(),
            difference,
            compared_with,
            roles: roles.map(MadeRoles::keep),
            left_out,
            not_set,
            not_marked: not_marked.or_else(|| self.is_unmarked().then(|| UNMARKED.to_owned())),
        })
    }

    /// Creates the roles that the server lacks, if they are `wanted`. Fails if a role cannot be
    /// created.
    pub(super) fn roles(&self, wanted: bool) -> Result<Option<MadeRoles<'_>>, Error> {
        self.made_roles(wanted, &self.open()?)
    }

    fn made_roles(&self, wanted: bool, dump: &Dump<'_>) -> Result<Option<MadeRoles<'_>>, Error> {
        let backup = self.post_restore.backup;
        let make = || MadeRoles::make(&self.admin, backup, &script(backup, &dump.held)?, None);
        wanted.then(make).transpose()
    }

    /// Returns true if the database is not marked, because objects may be missing in it.
    fn is_unmarked(&self) -> bool {
        self.post_restore.options.keep_going
    }

    /// Loads the whole dump into an empty database that the caller has created. Returns the objects that
    /// were left out, if the load keeps going.
    pub(super) fn load_into(&self, target: &ConnInfo, major: u32) -> Result<Vec<LeftOut>, Error> {
        let dump = self.open()?;
        if !dump.held.is_authentic() {
            let (name, digest) = (dump.artifact.name.as_str(), dump.artifact.digest.to_string());
            dump.held.verify(name, &digest, self.post_restore.progress)?;
        }
        self.load(&dump, target, major)
    }

    /// Describes the steps for people, and returns the errors that prevent them now. The described
    /// steps are the executed steps.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        let opened = self.open().map(drop);
        let mut refusals: Vec<Error> =
            [self.post_restore.check(), opened].into_iter().filter_map(Result::err).collect();
        let plan = self.plan();
        let major = match Client::connect(&self.admin, "git-pggit")
            .and_then(|client| Ok((client.facts()?, client)))
        {
            Ok((facts, client)) => {
                if client.database_exists(self.post_restore.dbname)? {
                    refusals.push(Error::TargetExists { dbname: self.post_restore.dbname.to_owned() });
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
            adapter::RestoreStep::Load { cmd, .. } => Some(cmd.as_ref()),
            _ => None,
        });
        let roles =
            PlannedStep::new(format!("create the roles of {GLOBALS} that the server lacks"), Effect::Makes);
        let roles = self.globals.then_some(roles);
        let steps = plan.steps().into_iter().map(|step| PlannedStep::of_database(&step, cmd));
        Ok((roles.into_iter().chain(steps).collect(), refusals))
    }

    /// Returns the plan for the new database.
    pub fn plan(&self) -> Plan {
        let post_restore = &self.post_restore;
        let template = post_restore.backup.postgres.as_ref().map(template).unwrap_or_default();
        let is_marked = post_restore.is_proved() && !self.is_unmarked();
        let commit = is_marked.then(|| post_restore.commit().as_str());
        Plan::new(post_restore.dbname, &post_restore.backup.id.to_string(), commit, template)
            .then_migrate(post_restore.names())
            .then_prove(post_restore.expected.source())
            .then_mask(post_restore.mask.as_ref().map(|mask| mask.name.clone()))
            .with_settings(post_restore.settings(), self.admin.user())
            .then_properties(self.properties)
            .labelled(self.label.clone())
    }

    fn open(&self) -> Result<Dump<'_>, Error> {
        let refuse =
            |reason: String| Error::NotRestorable { backup: self.post_restore.backup.id.to_string(), reason };
        if self.post_restore.backup.status != Status::Completed {
            return Err(refuse(format!(
                "it is {}",
                self.post_restore.backup.status.as_str().replace('_', " ")
            )));
        }
        let Some(artifact) = self.post_restore.backup.artifacts.first() else {
            return Err(refuse(format!(
                "it was made by {} and is not a dump of git-pggit",
                self.post_restore.backup.tool.name
            )));
        };
        if DumpFormat::of_artifact(artifact.name.as_str()).is_none() {
            return Err(refuse(format!(
                "it was made by {} and is not a dump",
                self.post_restore.backup.tool.name
            )));
        }
        if self.post_restore.backup.location.is_none() {
            return Err(refuse("its record has no location".to_owned()));
        }
        let held =
            StoredBackup::open(self.post_restore.backup, &self.access).map_err(|error| match error {
                store::Error::BadLocation { .. } => {
                    refuse("its location is neither a directory nor a store".to_owned())
                }
                other => other.into(),
            })?;
        Ok(Dump { held, artifact })
    }

    /// Returns the properties of the original database; `None` if the format of the dump has none.
    fn properties(&self, dump: &Dump<'_>, major: u32) -> Result<Option<DatabaseProperties>, Error> {
        let options = self.post_restore.options;
        let spec = PropertiesSpec { no_owner: options.no_owner, no_privileges: options.no_privileges };
        let name = dump.artifact.name.as_str();
        let format = match DumpFormat::of_artifact(name) {
            Some(format @ (DumpFormat::Custom | DumpFormat::Tar)) => format,
            _ => return Ok(None),
        };
        let tools = self.post_restore.programs.for_server(major);
        let mut reader = dump.held.reader(name)?;
        Ok(Some(tools.database_properties(format, spec, &mut reader)?))
    }

    /// Gives a database its properties. Returns those that this role may not set, or that name a missing role.
    fn set_properties(
        &self,
        properties: Option<&DatabaseProperties>,
        target: &ConnInfo,
    ) -> Result<Vec<String>, Error> {
        let client = Client::connect(&self.admin, "git-pggit")?;
        let mut not_set = Vec::new();
        for statement in properties.map(|known| known.statements(target.dbname())).unwrap_or_default() {
            match client.execute(&statement) {
                Ok(()) => {}
                Err(error) if matches!(error.sqlstate(), Some("42501" | "42704")) => {
                    let shown = statement
                        .replace(&quote_ident(target.dbname()), &quote_ident(self.post_restore.dbname));
                    not_set.push(format!("{shown}: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(not_set)
    }

    /// Returns the steps that load the dump into the database `target`.
    fn loading(&self, target: &ConnInfo, major: u32) -> Result<Vec<adapter::RestoreStep>, Error> {
        let subject = BackupRef { backup: self.post_restore.backup, chain: &[], source: None };
        let restorer =
            restorer_of(self.post_restore.backup, &self.post_restore.programs).ok_or_else(|| {
                Error::NotRestorable {
                    backup: self.post_restore.backup.id.to_string(),
                    reason: format!("it was made by {}", self.post_restore.backup.tool.name),
                }
            })?;
        let target = Target::Database {
            connection: Connection::from(target),
            server_major: major,
            options: self.post_restore.options,
        };
        Ok(restorer.restore(&subject, &target)?)
    }

    fn load(&self, dump: &Dump<'_>, target: &ConnInfo, major: u32) -> Result<Vec<LeftOut>, Error> {
        let execution = Execution {
            wanted: (self.post_restore.backup, &dump.held),
            chain: &[],
            staging: &self.post_restore.staging,
            keep_going: self.post_restore.options.keep_going,
            spaces: &[],
            progress: self.post_restore.progress,
        };
        let left_out = execution.run(self.loading(target, major)?)?;
        let written =
            self.post_restore.backup.postgres.as_ref().and_then(|postgres| postgres.lc_monetary.as_ref());
        written.map_or(Ok(()), |locale| check_money(target, locale.as_str()))?;
        Ok(left_out)
    }
}

/// Fails if `target` reads amounts of type money differently than they were written, under `locale`.
pub(super) fn check_money(target: &ConnInfo, locale: &str) -> Result<(), Error> {
    match Client::connect(target, "git-pggit")?.reads_money(locale)? {
        true => Ok(()),
        false => Err(Error::NoMonetary { locale: locale.to_owned() }),
    }
}
