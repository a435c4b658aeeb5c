//! Extraction of a database, or of a part of a database, from a backup into a new database.
//!
//! A physical backup is restored into a scratch cluster. A private server recovers the scratch
//! cluster, and `pg_dump` extracts the part. A part of a dump is extracted in the same way from a
//! scratch database. A table therefore means the same for every backup type: its rows, indexes,
//! constraints, triggers and sequences.

mod selection;
mod temp_cluster;

use std::cell::RefCell;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::dump::check_money;
use super::globals::MadeRoles;
use super::new_database::with_suffix;
use super::{
    Archiving, ClusterRecovery, DataDirectory, DatabaseStep, Effect, Error, ExternalRestore, Plan,
    PlannedStep, PostRestore, PrivateServer, Restore, Restored, in_scratch_database, into_new_database,
    template,
};
use crate::artifacts::{StoreSource, of_store};
use crate::domain::{Backup, DumpFormat, DumpOptions, RecoveryTarget, Setting};
use crate::pg::{Client, ConnInfo, Template, quote_ident};
use crate::process::crash_point;
use crate::progress::Quiet;
use crate::store::{Access, StoredBackup};
use crate::tools::adapter::{BackupRef, Source};
use crate::tools::{self, Adapter, Connection, DumpSpec, LeftOut, LoadOptions, PgTools, RestoreSpec};
use selection::Resolved;
use temp_cluster::TempClusterDir;

pub use selection::Selection;

/// The application name of this program in `pg_stat_activity`.
const APPLICATION: &str = "git-pggit";

/// The first version of pg_dump that includes extensions in a dump of a part.
const KNOWS_EXTENSIONS: u32 = 14;

/// The extraction of a part of a backup.
pub struct PartialRestore<'a> {
    /// The backup, the name of the new database, and the steps after the load.
    pub post_restore: PostRestore<'a>,
    /// The connection to a database of the server on which the new database is created.
    pub admin: ConnInfo,
    /// The name of the database in the physical backup.
    pub dbname: String,
    /// The part of the database.
    pub selection: Selection,
    /// True if the new database is marked with the commit. A part is never marked, because it is at
    /// no commit.
    pub mark: bool,
    /// True if missing roles are created.
    pub globals: bool,
    /// The directory for scratch clusters.
    pub scratch: PathBuf,
    /// The user of scratch servers if this process is root.
    pub scratch_user: Option<String>,
}

/// The location of the backup.
pub enum BackupSource<'a> {
    /// A dump, with the access to its bytes.
    Dump(Box<Access>),
    /// A backup chain of physical backups in our stores, the full backup first.
    Store(&'a [(Backup, Access)], &'a dyn Adapter),
    /// A physical backup in the repository of its tool.
    Tool(&'a dyn Adapter),
}

/// The result of a copy; the fields have the same meaning as in [`Restored`].
struct Copied {
    difference: Option<String>,
    left_out: Vec<LeftOut>,
    not_marked: Option<String>,
}

impl PartialRestore<'_> {
    /// Extracts the part. If that fails, everything that was created is removed.
    pub fn run(&self, kept: &BackupSource<'_>) -> Result<Restored, Error> {
        let begun = Instant::now();
        self.post_restore.check()?;
        if Client::connect(&self.admin, APPLICATION)?.database_exists(self.post_restore.dbname)? {
            return Err(Error::TargetExists { dbname: self.post_restore.dbname.to_owned() });
        }
        let restored = match kept {
            BackupSource::Dump(access) => self.out_of_dump((**access).clone()),
            BackupSource::Store(members, adapter) => self.out_of_cluster(&|holder, recovery| {
                let spaces = self.spaces(*adapter, Some(members), holder)?;
                self.directory(members, *adapter, holder, spaces, recovery).run().map(drop)
            }),
            BackupSource::Tool(adapter) => self.out_of_cluster(&|holder, recovery| {
                let spaces = self.spaces(*adapter, None, holder)?;
                self.tool(*adapter, holder, spaces, recovery).run().map(drop)
            }),
        };
        Ok(Restored { duration: begun.elapsed(), ..restored? })
    }

    /// Describes the steps for people, and returns the errors that prevent them now.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        let makes = |what: String| PlannedStep::new(what, Effect::Makes);
        let client = Client::connect(&self.admin, APPLICATION)?;
        let taken = client.database_exists(self.post_restore.dbname)?;
        let refusals = taken.then(|| Error::TargetExists { dbname: self.post_restore.dbname.to_owned() });
        let database = quote_ident(&self.dbname);
        let what = match self.selection.is_all() {
            true => format!("database {database}"),
            false => format!("{} of database {database}", self.selection.words()),
        };
        let whole = PlannedStep { bulk: true, ..makes("restore the whole backup temporarily".to_owned()) };
        let mut steps = vec![whole];
        if self.globals {
            steps.push(makes("create the roles that the server lacks".to_owned()));
        }
        for step in self.plan(Template::default(), self.post_restore.settings()).steps() {
            steps.push(match step {
                DatabaseStep::Load => makes(format!("copy {what} into it")),
                other => PlannedStep::of_database(&other, None),
            });
        }
        Ok((steps, refusals.into_iter().collect()))
    }

    fn directory<'b>(
        &'b self,
        members: &'b [(Backup, Access)],
        adapter: &'b dyn Adapter,
        holder: &'b TempClusterDir,
        tablespaces: Vec<(PathBuf, PathBuf)>,
        recovery: &'b ClusterRecovery<'b>,
    ) -> DataDirectory<'b> {
        DataDirectory {
            members,
            adapter,
            path: holder.cluster(),
            tablespaces,
            until: RecoveryTarget::Immediate,
            log: None,
            archiving: Archiving::Off,
            recovery: Some(recovery),
            home: Some(holder.home()),
            progress: self.post_restore.progress,
        }
    }

    fn tool<'b>(
        &'b self,
        adapter: &'b dyn Adapter,
        holder: &'b TempClusterDir,
        tablespaces: Vec<(PathBuf, PathBuf)>,
        recovery: &'b ClusterRecovery<'b>,
    ) -> ExternalRestore<'b> {
        ExternalRestore {
            backup: self.post_restore.backup,
            adapter,
            path: holder.cluster(),
            tablespaces,
            until: RecoveryTarget::Immediate,
            recovery: Some(recovery),
            home: Some(holder.home()),
            progress: self.post_restore.progress,
        }
    }

    /// Maps each tablespace to a directory beside the scratch cluster. The original directory may be
    /// in use by another server.
    fn spaces(
        &self,
        adapter: &dyn Adapter,
        members: Option<&[(Backup, Access)]>,
        holder: &TempClusterDir,
    ) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let held = match members.and_then(<[_]>::last) {
            Some((backup, access)) => {
                backup.location.as_ref().ok_or_else(|| self.refuse("its record has no location"))?;
                Some(StoreSource(StoredBackup::open(backup, access)?))
            }
            None => None,
        };
        let source = held.as_ref().map(|held| held as &dyn Source);
        let places = adapter.tablespaces(&BackupRef { backup: self.post_restore.backup, chain: &[], source });
        let places = places.map_err(of_store::<Error>)?.into_iter().enumerate();
        Ok(places.map(|(number, place)| (place, holder.space(number))).collect())
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::NotRestorable { backup: self.post_restore.backup.id.to_string(), reason: reason.into() }
    }

    /// Starts a private server on the cluster that `restore` creates, and extracts the part from that
    /// server.
    fn out_of_cluster(
        &self,
        restore: &dyn Fn(&TempClusterDir, &ClusterRecovery<'_>) -> Result<(), Error>,
    ) -> Result<Restored, Error> {
        let post_restore = &self.post_restore;
        let holder = TempClusterDir::make(&self.scratch, self.scratch_user.as_deref())?;
        let restored = RefCell::new(None);
        let take = |server: &PrivateServer| {
            if !server.connect("template1")?.database_exists(&self.dbname)? {
                return Err(self.refuse(format!("there is no database {} in it", quote_ident(&self.dbname))));
            }
            let source = server.to(&self.dbname);
            let roles = match self.globals {
                true => {
                    let mut script = Vec::new();
                    let tools = post_restore.programs.for_server(server.version.major);
                    tools.globals(&server.connection(&self.dbname), true, None, &mut script)?;
                    Some(MadeRoles::make(&self.admin, post_restore.backup, &script, Some(server.admin()))?)
                }
                false => None,
            };
            let settings = Client::connect(&source, APPLICATION)?.database_settings(source.dbname())?;
            let copied = self.copy(
                &server.connection(&self.dbname),
                &source,
                post_restore.lends(&settings),
                Vec::new(),
            )?;
            *restored.borrow_mut() = Some(self.done(copied, roles));
            Ok(())
        };
        let progress = post_restore.progress;
        let nowhere = PostRestore::nowhere(
            post_restore.backup,
            &self.dbname,
            post_restore.programs.clone(),
            post_restore.staging.clone(),
            progress,
        );
        restore(&holder, &ClusterRecovery::to_take(nowhere, &take))?;
        restored.into_inner().ok_or_else(|| self.refuse("nothing was extracted from it"))
    }

    /// Restores the whole dump into a scratch database, and extracts the part from that database.
    fn out_of_dump(&self, access: Access) -> Result<Restored, Error> {
        let post_restore = &self.post_restore;
        let whole = Restore {
            post_restore: PostRestore {
                // Other objects of the dump do not prevent the restore of a part.
                options: LoadOptions { keep_going: !self.selection.is_all(), ..post_restore.options },
                ..PostRestore::nowhere(
                    post_restore.backup,
                    post_restore.dbname,
                    post_restore.programs.clone(),
                    post_restore.staging.clone(),
                    post_restore.progress,
                )
            },
            admin: self.admin.clone(),
            access,
            label: None,
            globals: false,
            properties: false,
        };
        let roles = whole.roles(self.globals)?;
        let like = post_restore.backup.postgres.as_ref().map(template).unwrap_or_default();
        let scratch = Plan::new(
            &with_suffix(post_restore.dbname, "~whole"),
            &post_restore.backup.id.to_string(),
            None,
            like,
        );
        let copied = in_scratch_database(&self.admin, &scratch, |source| {
            let major = Client::connect(source, APPLICATION)?.facts()?.major;
            let lost = whole.load_into(source, major)?;
            crash_point("recovery.whole");
            // A dump contains no settings of the database.
            self.copy(&Connection::from(source), source, post_restore.settings(), lost)
        })?;
        Ok(self.done(copied, roles))
    }

    fn done(&self, copied: Copied, roles: Option<MadeRoles<'_>>) -> Restored {
        let Copied { difference, left_out, not_marked } = copied;
        Restored {
            bytes: self.post_restore.backup.size_bytes.unwrap_or_default(),
            duration: Duration::ZERO,
            difference,
            compared_with: self.post_restore.expected.source(),
            roles: roles.map(MadeRoles::keep),
            left_out,
            not_set: Vec::new(),
            not_marked,
        }
    }

    fn plan(&self, template: Template, settings: &[Setting]) -> Plan {
        let post_restore = &self.post_restore;
        let commit = (self.mark && post_restore.is_proved()).then(|| post_restore.commit().as_str());
        Plan::new(post_restore.dbname, &post_restore.backup.id.to_string(), commit, template)
            .then_migrate(post_restore.names())
            .with_settings(settings, self.admin.user())
            .then_prove(post_restore.expected.source())
    }

    /// Copies the part from the source database, which programs reach by `connection`, into the new
    /// database. `settings` are the settings of the original database, and `lost` the objects that the
    /// source database lacks.
    fn copy(
        &self,
        connection: &Connection,
        source: &ConnInfo,
        settings: &[Setting],
        lost: Vec<LeftOut>,
    ) -> Result<Copied, Error> {
        let (post_restore, from) = (&self.post_restore, Client::connect(source, APPLICATION)?);
        let (resolved, facts) = (self.available(&from, &lost)?, from.facts()?);
        let like = Template::like(&facts);
        let major = Client::connect(&self.admin, APPLICATION)?.facts()?.major;
        let version = major.max(facts.major);
        let tools = post_restore.programs.for_server(version);
        let dump = DumpSpec {
            options: DumpOptions {
                schemas: self.selection.schemas.clone(),
                tables: resolved.tables.clone(),
                ..DumpOptions::whole(DumpFormat::Custom)
            },
            with_extensions: !self.selection.is_all() && version >= KNOWS_EXTENSIONS,
            encoding: Some(facts.encoding.clone()),
            ..DumpSpec::new(connection.clone(), DumpFormat::Custom)
        };
        let (mut difference, mut left_out) = (None, Vec::new());
        let work = |step: &DatabaseStep, target: &ConnInfo| match step {
            DatabaseStep::Migrate { .. } => post_restore.migrate(target),
            DatabaseStep::Prove { .. } => {
                difference = post_restore.prove(target, &self.admin, major)?;
                Ok(())
            }
            _ => {
                left_out = self.transfer(&tools, &dump, target, &resolved)?;
                check_money(target, &facts.lc_monetary)?;
                let missing = match self.selection.is_all() {
                    true => Vec::new(),
                    false => {
                        self.selection.missing(&resolved, &from, &Client::connect(target, APPLICATION)?)?
                    }
                };
                match missing.is_empty() {
                    true => Ok(()),
                    false => Err(Error::NotTaken { missing, why: shown(&std::mem::take(&mut left_out)) }),
                }
            }
        };
        let not_marked = into_new_database(&self.admin, &self.plan(like, settings), work, &crash_point)?;
        let left_out = lost.into_iter().chain(left_out).collect();
        Ok(Copied { difference, left_out, not_marked })
    }

    /// Finds the selected objects in the source database. Fails if one of them is not complete there,
    /// because it is among the objects that the source database lacks.
    fn available(&self, from: &Client, lost: &[LeftOut]) -> Result<Resolved, Error> {
        if lost.iter().any(LeftOut::is_count) {
            return Err(self.refuse("too many of its objects cannot be restored to know the state of one"));
        }
        if let Some(one) = lost.iter().find(|one| one.lacks_role()) {
            return Err(Error::LacksRole { what: one.to_string() });
        }
        let not_taken = |name: &str, is_cause: &dyn Fn(&LeftOut) -> bool| {
            let why: Vec<String> = lost.iter().filter(|one| is_cause(one)).map(ToString::to_string).collect();
            match why.is_empty() {
                true => Ok(()),
                false => Err(Error::NotTaken { missing: vec![name.to_owned()], why }),
            }
        };
        let (schemas, tables) = (&self.selection.schemas, &self.selection.tables);
        for name in schemas.iter().chain(tables.iter().map(|table| &table.name)) {
            not_taken(name, &|one| one.is_table(name))?;
        }
        let resolved = self.selection.resolve(from)?;
        if lost.is_empty() {
            return Ok(resolved);
        }
        for (schema, name, _) in self.selection.filled(&resolved, from)? {
            let shown = format!("{}.{}", quote_ident(&schema), quote_ident(&name));
            not_taken(&shown, &|one| {
                one.takes_rows_of(&name) || (!tables.is_empty() && one.is_content_of(&name))
            })?;
        }
        Ok(resolved)
    }

    /// Pipes `pg_dump` of the source into `pg_restore` of the target. Returns the objects that were
    /// left out because they refer to objects outside the part.
    fn transfer(
        &self,
        tools: &PgTools,
        dump: &DumpSpec,
        target: &ConnInfo,
        resolved: &Resolved,
    ) -> Result<Vec<LeftOut>, Error> {
        let (post_restore, all) = (&self.post_restore, self.selection.is_all());
        post_restore.progress.stage("copying", None);
        for schema in &resolved.schemas {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(schema));
            Client::connect(target, APPLICATION)?.execute(&sql)?;
        }
        let restore = RestoreSpec {
            options: LoadOptions { keep_going: !all, jobs: None, ..post_restore.options },
            ..RestoreSpec::new(Connection::from(target), DumpFormat::Custom)
        };
        let (mut reader, mut writer) =
            std::io::pipe().map_err(|error| Error::file("create", std::path::Path::new("a pipe"), error))?;
        let (dumped, restored) = thread::scope(|scope| {
            let dumping = scope.spawn(move || {
                let dumped = tools.dump_to(dump, &mut writer, &Quiet);
                drop(writer);
                dumped
            });
            let restored = tools.restore_stream(&restore, &mut reader, post_restore.progress);
            drop(reader);
            (dumping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), restored)
        });
        match (restored, dumped) {
            (Err(tools::Error::Failed { stderr, .. }), Ok(_)) if !all && is_tolerable(&stderr) => {
                Ok(LeftOut::all(&stderr).unwrap_or_default())
            }
            (Err(error @ tools::Error::Failed { .. }), _) => Err(error.into()),
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error.into()),
            (Ok(_), Ok(_)) => Ok(Vec::new()),
        }
    }
}

/// Returns true if all errors are about objects outside the part. Missing roles are checked
/// separately.
fn is_tolerable(stderr: &str) -> bool {
    LeftOut::all(stderr).is_some_and(|all| !all.iter().any(LeftOut::lacks_role))
}

fn shown(left_out: &[LeftOut]) -> Vec<String> {
    left_out.iter().map(ToString::to_string).collect()
}
