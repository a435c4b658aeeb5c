//! Advances a restored database from the commit of its backup to the wanted commit, and compares its
//! schema.
//!
//! This module runs migrations in a database whose data are restored, and compares the schema with
//! the expected one. It serves a dump in a new database and a database of a physical backup alike. It
//! works on every database that can be reached.

use std::path::PathBuf;

use crate::domain::{Backup, BackupId, CommitId, Setting, TableName};
use crate::migrations::Tool;
use crate::pg::{Client, ConnInfo, quote_ident, quote_literal};
use crate::progress::Progress;
use crate::tools::{DumpSpec, LoadOptions, Migration, Programs, run_migrations};
use crate::workspace::migration_state::FoundTable;

use super::migrate_command::MigrateCommand;
use super::new_database::{template, with_suffix};
use super::schema_diff::{IgnoreInDiff, diff_schemas};
use super::tool_migrations::ToolMigrations;
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
    /// The options of the load. Parts that it leaves out are not compared.
    pub options: LoadOptions,
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
    /// This program runs these files in order. Nothing records them.
    Files {
        /// The files.
        files: Vec<Migration>,
        /// True if the user has said that no tool records the migrations.
        is_plain: bool,
    },
    /// This program runs the migrations of a tool, and records them as the tool does.
    Tool(Box<ToolMigrations>),
    /// A program of the user runs the migrations.
    Command(MigrateCommand),
}

impl MigrationRunner {
    /// Returns the number of migrations; `None` if only the program of the user knows it.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Files { files, .. } => Some(files.len()),
            Self::Tool(migrations) => Some(migrations.run.len()),
            Self::Command(_) => None,
        }
    }

    /// Returns the names of the migrations or the command, in order of execution.
    fn names(&self, commit: &CommitId) -> Vec<String> {
        match self {
            Self::Files { files, .. } => files.iter().map(|one| one.name.clone()).collect(),
            Self::Tool(tool) => tool.run.iter().map(|one| one.label(tool.tool())).collect(),
            Self::Command(command) => {
                vec![format!("'{}' in a worktree of {}", command.shown(), commit.short())]
            }
        }
    }

    /// Returns the files that this program would run.
    fn files(&self) -> Vec<Migration> {
        match self {
            Self::Files { files, .. } => files.clone(),
            Self::Tool(tool) => tool.migrations(),
            Self::Command(_) => Vec::new(),
        }
    }
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
            Self::Built(MigrationRunner::Command(command)) => {
                Some(format!("the schema that '{}' creates in an empty database", command.shown()))
            }
            Self::Built(way) => {
                let count = way.count().unwrap_or_default();
                Some(format!("the schema that {count} migrations create in an empty database"))
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
            options: LoadOptions::default(),
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
        forward.way.names(&forward.commit)
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
        match &forward.way {
            MigrationRunner::Files { files, .. } if files.is_empty() => Ok(()),
            MigrationRunner::Files { files, is_plain } => {
                if !is_plain {
                    no_state_table(target)?;
                }
                Ok(run_migrations(target, files)?)
            }
            MigrationRunner::Tool(migrations) => migrations.run(target),
            MigrationRunner::Command(command) => {
                command.run(target, self.commit(), Some(&self.backup.commit))
            }
        }
    }

    /// Runs the script that masks confidential data. Fails if the script fails.
    pub fn mask(&self, target: &ConnInfo) -> Result<(), Error> {
        Ok(run_migrations(target, self.mask.as_slice())?)
    }

    /// Fails if a migration file cannot be run. Callers check this before they restore anything.
    pub fn check(&self) -> Result<(), Error> {
        let ways = [self.forward.as_ref().map(|forward| &forward.way), self.expected.way()];
        let files: Vec<Migration> = ways.into_iter().flatten().flat_map(MigrationRunner::files).collect();
        Ok(files.iter().chain(&self.mask).try_for_each(Migration::check)?)
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
            Expected::Built(way) => {
                let state_table = match way {
                    MigrationRunner::Tool(tool) => self.state_table(Some(tool.tool()), target, major)?,
                    MigrationRunner::Files { .. } => self.state_table(None, target, major)?,
                    MigrationRunner::Command(_) => None,
                };
                self.schema_of_migrations(way, target, admin, state_table.as_ref(), &schema_of)?
            }
        };
        match diff_schemas(&expected, &schema_of(target)?, IgnoreInDiff::of(self.options)) {
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
        state_table: Option<&(String, Migration)>,
        schema_of: &dyn Fn(&ConnInfo) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let template = self.backup.postgres.as_ref().map(template).unwrap_or_default();
        // The scratch database is dropped afterwards, also after an error.
        let settings = Client::connect(target, "git-pggit")?.database_settings(target.dbname())?;
        let scratch = Plan::new(&scratch_name(self.dbname), &self.backup.id.to_string(), None, template)
            .with_settings(&settings, admin.user());
        in_scratch_database(admin, &scratch, |target| {
            let built = match way {
                MigrationRunner::Files { files, .. } => {
                    let create = state_table.map(|(_, create)| create);
                    run_migrations(target, &create.into_iter().chain(files).cloned().collect::<Vec<_>>())
                        .map_err(Error::from)
                }
                MigrationRunner::Tool(migrations) => migrations.build(target, state_table),
                MigrationRunner::Command(command) => command.run(target, self.commit(), None),
            };
            built.map_err(|error| Error::NoExpectedSchema { reason: error.to_string() })?;
            schema_of(target)
        })
    }

    /// Returns the schema of the table of the migration tool in `target`, and the script that creates it
    /// elsewhere; `None` if there is no such table.
    fn state_table(
        &self,
        tool: Option<Tool>,
        target: &ConnInfo,
        major: u32,
    ) -> Result<Option<(String, Migration)>, Error> {
        let client = Client::connect(target, "git-pggit")?;
        let Some(found) = FoundTable::find(&client, tool)? else { return Ok(None) };
        let companions = found.tool().companions();
        let (schema, name) = (found.table.schema, found.table.name);
        let owner = format!(
            "SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = {}",
            quote_literal(&schema)
        );
        let owner = client.query(&owner)?.into_iter().flatten().next().flatten().unwrap_or_default();
        let mut sql = match (schema.as_str(), self.options.no_owner) {
            ("public", _) => String::new(),
            (schema, true) => format!("CREATE SCHEMA {};\n", quote_ident(schema)),
            (schema, false) => {
                format!("CREATE SCHEMA {} AUTHORIZATION {};\n", quote_ident(schema), quote_ident(&owner))
            }
        };
        let mut dump = DumpSpec::of_schema(&client, self.alone)?;
        let table = |name: &str| TableName { schema: Some(schema.clone()), name: name.to_owned() };
        dump.options.tables = vec![table(&name)];
        for companion in companions {
            let qualified = format!("{}.{}", quote_ident(&schema), quote_ident(companion));
            let exists = format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", quote_literal(&qualified));
            if client.is_true(&exists)? == Some(true) {
                dump.options.tables.push(table(companion));
            }
        }
        let ddl = self.programs.for_server(major).schema_sql(&dump)?;
        let ignored = IgnoreInDiff::of(self.options);
        for line in String::from_utf8_lossy(&ddl).lines().filter(|line| !ignored.includes(line)) {
            sql += line;
            sql.push('\n');
        }
        Ok(Some((schema.clone(), Migration::of_file(format!("{schema}.{name}"), sql.into_bytes()))))
    }
}

/// Fails if the database has the table of a migration tool.
fn no_state_table(target: &ConnInfo) -> Result<(), Error> {
    let client = Client::connect(target, "git-pggit")?;
    match FoundTable::find(&client, None)? {
        None => Ok(()),
        Some(found) => Err(Error::StateIgnored {
            tool: found.tool().to_string(),
            table: format!("{}.{}", found.table.schema, found.table.name),
        }),
    }
}

/// Returns the name of the scratch database for the schema that is compared with that of `dbname`.
pub(super) fn scratch_name(dbname: &str) -> String {
    with_suffix(dbname, "~schema")
}
