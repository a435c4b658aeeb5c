//! Restoring a dump from its files into a new database.

use std::time::{Duration, Instant};

use crate::domain::{Artifact, Backup, DumpFormat, Postgres, Status};
use crate::pg::{Client, ConnInfo, Template};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::store::plain::{FileUri, Stored};
use crate::tools::{Connection, Programs, RestoreSpec};

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
    stored: Stored,
    artifact: &'a Artifact,
    format: DumpFormat,
}

impl Restore<'_> {
    /// Restores. Every byte is proved to be the one that was written before the
    /// server is asked to do anything.
    pub fn run(&self) -> Result<Restored, Error> {
        let begun = Instant::now();
        let dump = self.open()?;
        let client = Client::connect(&self.admin, "git-pggit")?;
        if client.database_exists(self.into)? {
            return Err(Error::TargetExists { dbname: self.into.to_owned() });
        }
        let major = client.facts()?.major;
        drop(client);
        self.progress.stage("verifying", Some(dump.artifact.size_bytes));
        dump.stored.verify(dump.artifact.name.as_str(), &dump.artifact.digest.to_string(), self.progress)?;
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
        let location = self.backup.location.as_ref().map(|location| location.as_str().parse::<FileUri>());
        let Some(Ok(location)) = location else {
            return Err(refuse("its location is not a directory".to_owned()));
        };
        Ok(Dump { stored: Stored::open(&location.to_path())?, artifact, format })
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
            return Ok(tools.restore_directory(&spec, &dump.stored.path(name)?)?);
        }
        tools.restore_stream(&spec, &mut dump.stored.reader(name)?, self.progress)?;
        Ok(())
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
