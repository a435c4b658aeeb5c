//! The arguments of `git pggit backup restore` and `git pggit backup plan`.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::restore_options::Form;
use crate::cli::Context;
use crate::cli::from_option::FromOption;
use crate::domain::{DatabaseName, Line, Lsn, RecoveryTarget, TableName, time_or_span_before};
use crate::failure::{Code, Failure};
use crate::recovery::Archiving;
use crate::recovery::restore::{DatabaseDestination, Destination, DirectoryDestination, RestoreRequest};

/// The commands for an unfinished in-place restore
#[derive(Debug, clap::Subcommand)]
pub(super) enum Unfinished {
    /// List unfinished in-place restores
    List,
    /// Resume an interrupted in-place restore
    Resume(Which),
    /// Undo an in-place restore: put the old database or directory back, and remove the new one
    Abort(Which),
    /// Finish an in-place restore: remove the old database or directory
    Finish(Which),
}

/// An unfinished in-place restore
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The id of the restore in 'git pggit backup restore list'; by default the only one
    #[arg(value_name = "RESTORE")]
    pub(super) restore: Option<String>,

    /// Terminate other sessions in the database
    #[arg(long)]
    pub(super) disconnect: bool,
}

/// The relation to an existing database or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    Clone,
    Disaster,
}

/// The backup and the destination of a restore
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup (an id or the beginning of one, a name, 'latest', 'oldest'), or a commit
    #[arg(value_name = "BACKUP|COMMIT", default_value = "", hide_default_value = true)]
    pub(super) backup: String,

    /// The name of the new database; with --in-place, of the database to replace
    #[arg(long, value_name = "DATABASE")]
    pub(super) into: Option<String>,

    /// Replace the existing database or data directory
    #[arg(long)]
    pub(super) in_place: bool,

    /// 'disaster' is --in-place
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Clone, hide = true, conflicts_with = "in_place")]
    pub(super) mode: Mode,

    /// With --in-place: terminate other sessions in the database
    #[arg(long)]
    pub(super) disconnect: bool,

    /// With --into: only this schema with its objects; may be given several times
    #[arg(long, value_name = "SCHEMA")]
    pub(super) schema: Vec<String>,

    /// With --into: only this table, with its indexes, constraints, triggers and sequences; may be
    /// given several times
    #[arg(long, value_name = "TABLE")]
    pub(super) table: Vec<TableName>,

    /// With --into: another database of a physical backup
    #[arg(long, value_name = "DATABASE")]
    pub(super) from_database: Option<String>,

    /// The new data directory: missing or empty
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,

    /// With --to: relocate the tablespace in OLD to NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    pub(super) tablespace_mapping: Vec<OsString>,

    /// With --to: 'off' disables WAL archiving of the new cluster, 'preserve' keeps the archiving of
    /// the old one
    #[arg(long, value_name = "MODE", value_parser = ["off", "preserve"], default_value = "off")]
    pub(super) archive_mode: String,

    /// With a backup: migrate the restored database to this commit
    #[arg(short, long, value_name = "REV")]
    pub(super) commit: Option<String>,

    /// With a commit: leave the database at the commit of the backup
    #[arg(long)]
    pub(super) no_migrate: bool,

    /// With --to: recover the cluster and compare the schema, also if no migration is pending
    #[arg(long)]
    pub(super) check_schema: bool,

    /// With --to: start a permanent server on the directory, on a socket in it, and print its URL
    #[arg(long)]
    pub(super) start: bool,

    /// Only warn if the schema differs from the expected one
    #[arg(long)]
    pub(super) allow_schema_difference: bool,

    /// Run migrations even if the schema of the commit is not known, so that nothing is proved
    #[arg(long)]
    pub(super) allow_unproved: bool,

    /// Only backups of this tool
    #[arg(long, value_name = "TOOL")]
    pub(super) tool: Option<Line>,

    /// Only backups of this configured database; its server is the default target server
    #[arg(short, long, value_name = "NAME")]
    pub(super) database: Option<DatabaseName>,

    /// The target server, as a psql connection string
    #[arg(long, value_name = "URL")]
    pub(super) maintenance_db: Option<String>,

    /// Create the roles of the backup that the server lacks; existing roles are not changed
    #[arg(long)]
    pub(super) globals: bool,

    #[command(flatten)]
    pub(super) from: FromOption,

    /// Do not restore ownership: the restoring role owns all objects
    #[arg(long)]
    pub(super) no_owner: bool,

    /// Do not restore privileges (GRANT and REVOKE)
    #[arg(long)]
    pub(super) no_privileges: bool,

    /// Do not restore tablespaces: everything is in the default tablespace of the database
    #[arg(long)]
    pub(super) no_tablespaces: bool,

    /// With --into and a dump: leave out objects that cannot be restored, and exit with 1 if there are
    /// any
    #[arg(long)]
    pub(super) keep_going: bool,

    /// The number of parallel jobs of pg_restore, for a dump in custom or directory format; default: 1
    #[arg(short, long, value_name = "N")]
    pub(super) jobs: Option<NonZeroU32>,

    #[command(flatten)]
    pub(super) until: RecoveryTargetArgs,
}

/// The recovery target
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Recovery target, with --to")]
pub(super) struct RecoveryTargetArgs {
    /// The recovery target time: RFC 3339, a date, or a span before now; 'latest' is then the last
    /// backup completed before
    #[arg(long, value_name = "TIME", group = "point")]
    at: Option<String>,

    /// The recovery target LSN
    #[arg(long, value_name = "LSN", group = "point")]
    lsn: Option<Lsn>,

    /// The recovery target name: a named restore point
    #[arg(long, value_name = "NAME", group = "point")]
    restore_point: Option<Line>,

    /// The recovery target transaction ID
    #[arg(long, value_name = "XID", group = "point")]
    xid: Option<u64>,

    /// Recover to the end of the archived WAL
    #[arg(long, group = "point")]
    to_latest: bool,

    /// The store of the archived WAL; by default the configured one
    #[arg(long, value_name = "URL")]
    pub(super) wal_store: Option<String>,
}

impl RestoreArgs {
    /// Returns the request of the options. Fails if an option is invalid.
    pub(super) fn request(&self, context: &Context) -> Result<RestoreRequest, Failure> {
        if self.backup.is_empty() {
            return Err(Failure::new(Code::Usage, "no backup or commit was given"));
        }
        let destination = match &self.to {
            Some(to) => Destination::Directory(self.directory(to, context)?),
            None => Destination::Database(DatabaseDestination {
                name: self.into.clone(),
                server: self.maintenance_db.clone(),
                schemas: self.schema.clone(),
                tables: self.table.clone(),
                from_database: self.from_database.clone(),
                globals: self.globals,
                no_owner: self.no_owner,
                no_privileges: self.no_privileges,
                no_tablespaces: self.no_tablespaces,
                keep_going: self.keep_going,
                jobs: self.jobs,
                disconnect: self.disconnect,
            }),
        };
        Ok(RestoreRequest {
            database: self.database.clone(),
            tool: self.tool.clone(),
            commit: self.commit.clone(),
            no_migrate: self.no_migrate,
            allow_schema_difference: self.allow_schema_difference,
            allow_unproved: self.allow_unproved,
            from: self.from.absolute(context)?,
            ..RestoreRequest::new(self.backup.clone(), destination)
        })
    }

    fn directory(&self, to: &Path, context: &Context) -> Result<DirectoryDestination, Failure> {
        let mappings = self.tablespace_mapping.iter().map(|text| mapping(text, context));
        Ok(DirectoryDestination {
            path: plain(&context.cwd().join(to)),
            tablespaces: mappings.collect::<Result<_, _>>()?,
            archiving: if self.archive_mode == "off" { Archiving::Off } else { Archiving::Preserve },
            until: self.until.target(context)?,
            wal_store: self.until.wal_store.clone(),
            check_schema: self.check_schema,
            start: self.start,
        })
    }
}

impl RecoveryTargetArgs {
    /// Returns the recovery target; the default is the end of the backup.
    fn target(&self, context: &Context) -> Result<RecoveryTarget, Failure> {
        if let Some(at) = &self.at {
            return Ok(RecoveryTarget::Time(time_or_span_before(at, context.now())?));
        }
        Ok(match (&self.lsn, &self.restore_point, &self.xid, self.to_latest) {
            (Some(lsn), ..) => RecoveryTarget::Lsn(*lsn),
            (_, Some(name), ..) => RecoveryTarget::Name(name.clone()),
            (_, _, Some(xid), _) => RecoveryTarget::Xid(*xid),
            (.., true) => RecoveryTarget::Latest,
            _ => RecoveryTarget::Immediate,
        })
    }
}

impl RestoreArgs {
    /// Returns the form of the restore, or `None` if the options do not name one.
    pub(super) fn form(&self) -> Option<Form> {
        match (self.replaces(), &self.to, &self.into) {
            (false, Some(_), _) => Some(Form::To),
            (false, None, Some(_)) => Some(Form::Into),
            (false, None, None) => None,
            (true, Some(_), _) => Some(Form::ReplaceDirectory),
            (true, None, _) => Some(Form::ReplaceDatabase),
        }
    }

    pub(super) fn replaces(&self) -> bool {
        self.in_place || self.mode == Mode::Disaster
    }
}

/// Returns the path without `.` components and trailing slashes, so that a suffix can be added.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Parses `OLD=NEW` as pg_basebackup does: `\\=` is an equals sign in a path.
fn mapping(text: &OsStr, context: &Context) -> Result<(PathBuf, PathBuf), Failure> {
    let refuse = |reason: &str| {
        let message = format!("--tablespace-mapping {}: {reason}", text.to_string_lossy());
        Err(Failure::new(Code::Usage, message))
    };
    let (mut paths, mut path, mut bytes) = (Vec::new(), Vec::new(), text.as_bytes().iter().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next_if_eq(&&b'=').is_some() => path.push(b'='),
            b'=' => paths.push(std::mem::take(&mut path)),
            byte => path.push(*byte),
        }
    }
    paths.push(path);
    let paths: Vec<PathBuf> = paths.into_iter().map(|path| OsString::from_vec(path).into()).collect();
    match paths.as_slice() {
        [old, new] if old.is_absolute() && !new.as_os_str().is_empty() => {
            Ok((plain(old), plain(&context.cwd().join(new))))
        }
        [_, _] => refuse("the old directory must be an absolute path"),
        _ => refuse("expected OLD=NEW"),
    }
}
