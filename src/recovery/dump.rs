//! Restoring a dump from its files into a new database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::domain::{Artifact, Backup, DumpFormat, Postgres, Status};
use crate::pg::{Client, ConnInfo, Template};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::store;
use crate::store::{Access, Held};
use crate::tools::{self, Connection, Programs, RestoreSpec};

use super::{Error, Plan, into_new_database};

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
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Size of the dump.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// The dump of a backup: bytes that can be read and have been proved.
struct Dump<'a> {
    held: Held,
    artifact: &'a Artifact,
    format: DumpFormat,
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
        into_new_database(&self.admin, &self.plan(), |target| self.load(&dump, target, major), &crash_point)?;
        Ok(Restored { bytes: dump.artifact.size_bytes, duration: begun.elapsed() })
    }

    fn plan(&self) -> Plan {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        Plan::new(self.into, &self.backup.id.to_string(), Some(self.backup.commit.as_str()), template)
    }

    fn open(&self) -> Result<Dump<'_>, Error> {
        let refuse = |reason: String| Error::NotRestorable { backup: self.backup.id.to_string(), reason };
        if self.backup.status != Status::Completed {
            return Err(refuse(format!("it is {}", self.backup.status.as_str().replace('_', " "))));
        }
        let artifact = self.backup.artifacts.first();
        let format = artifact.and_then(|artifact| DumpFormat::of_artifact(artifact.name.as_str()));
        let (Some(artifact), Some(format)) = (artifact, format) else {
            return Err(refuse(format!(
                "it was made by {} and is not a dump of this program",
                self.backup.tool.name
            )));
        };
        let Some(location) = &self.backup.location else {
            return Err(refuse("its record does not say where it is".to_owned()));
        };
        let held = Held::open(location.as_str(), &self.access).map_err(|error| match error {
            store::Error::BadLocation { .. } => {
                refuse("its location is neither a directory nor a store".to_owned())
            }
            other => other.into(),
        })?;
        Ok(Dump { held, artifact, format })
    }

    fn load(&self, dump: &Dump<'_>, target: &ConnInfo, major: u32) -> Result<(), Error> {
        let tools = self.programs.for_server(major);
        let spec = RestoreSpec {
            no_owner: self.no_owner,
            no_privileges: self.no_privileges,
            ..RestoreSpec::new(Connection::from(target), dump.format)
        };
        let name = dump.artifact.name.as_str();
        if dump.format == DumpFormat::Directory {
            let staged;
            let directory = match dump.held.path(name)? {
                Some(directory) => directory,
                None => {
                    staged = Staged(self.staging.join(format!("restore-{}", self.backup.id)));
                    dump.held.unpack(name, &dump.artifact.digest.to_string(), &staged.0, self.progress)?;
                    staged.0.clone()
                }
            };
            return Ok(tools.restore_directory(&spec, &directory)?);
        }
        tools.restore_stream(&spec, &mut dump.held.reader(name)?, self.progress).map_err(of_store)?;
        Ok(())
    }
}

/// Files that go when this goes.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a store says through a tool that is fed from it.
fn of_store(error: tools::Error) -> Error {
    match error {
        tools::Error::Read { program, source } => match source.downcast::<store::Error>() {
            Ok(error) => Error::Store(error),
            Err(source) => Error::Tools(tools::Error::Read { program, source }),
        },
        other => Error::Tools(other),
    }
}

/// The new database sorts and encodes as the old one did.
fn template(postgres: &Postgres) -> Template {
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
