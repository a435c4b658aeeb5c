//! The arguments of `git pggit backup restore` and `git pggit backup plan`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::restore_options::Form;
use crate::cli::Context;
use crate::cli::from_option::FromOption;
use crate::domain::{DatabaseName, Line, Lsn, RecoveryTarget, TableName, time_or_span_before};
use crate::failure::{Code, Failure};
use crate::recovery::Archiving;
use crate::recovery::restore::{DatabaseDestination, Destination, DirectoryDestination, RestoreRequest};

/// The end of a restore in place that is not finished
#[derive(Debug, clap::Subcommand)]
pub(super) enum Unfinished {
    /// List the restores in place that are not over
    List,
    /// Go on with one that was interrupted
    Resume(Which),
    /// Put back what was there before, and remove what was restored
    Abort(Which),
    /// Remove what was there before: nobody needs it any more
    Finish(Which),
}

/// A restore in place that is not over
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The restore, as 'git pggit backup restore list' shows it; the only one by default
    #[arg(value_name = "RESTORE")]
    pub(super) restore: Option<String>,

    /// End the sessions of others in the database
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

    /// The name of the new database; with --in-place, of the one that is replaced
    #[arg(long, value_name = "DATABASE")]
    pub(super) into: Option<String>,

    /// Put what is restored in the place of the database or data directory that is there
    #[arg(long)]
    pub(super) in_place: bool,

    /// 'disaster' is --in-place
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Clone, hide = true, conflicts_with = "in_place")]
    pub(super) mode: Mode,

    /// With --in-place: end the sessions of others in the database
    #[arg(long)]
    pub(super) disconnect: bool,

    /// With --into: only this schema and what is in it; may be given several times
    #[arg(long, value_name = "SCHEMA")]
    pub(super) schema: Vec<String>,

    /// With --into: only this table, with its indexes, constraints, triggers and sequences; may be
    /// given several times
    #[arg(long, value_name = "TABLE")]
    pub(super) table: Vec<TableName>,

    /// With --into: another database of a cluster that was copied
    #[arg(long, value_name = "DATABASE")]
    pub(super) from_database: Option<String>,

    /// The missing or empty directory that becomes a data directory
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,

    /// With --to: where the tablespace at OLD goes; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    pub(super) tablespace_mapping: Vec<OsString>,

    /// With --to: 'off' keeps the new cluster out of the archive of the old one, 'preserve' lets it
    /// take its place
    #[arg(long, value_name = "MODE", value_parser = ["off", "preserve"], default_value = "off")]
    pub(super) archive_mode: String,

    /// With a backup: run the migrations up to this commit after it
    #[arg(short, long, value_name = "REV")]
    pub(super) commit: Option<String>,

    /// With a commit: leave the database at the commit of the backup
    #[arg(long)]
    pub(super) no_migrate: bool,

    /// With --to: recover the cluster and compare the schema, also where no migration has to be run
    #[arg(long)]
    pub(super) check_schema: bool,

    /// With --to: start a server on it that stays, on a socket in the directory, and print its URL
    #[arg(long)]
    pub(super) start: bool,

    /// Only say it when the schema is not what it should be
    #[arg(long)]
    pub(super) allow_schema_difference: bool,

    /// Only backups of this configured database, and by default the server that it is on
    #[arg(short, long, value_name = "NAME")]
    pub(super) database: Option<DatabaseName>,

    /// A database of the server to restore on, as psql takes it
    #[arg(long, value_name = "URL")]
    pub(super) maintenance_db: Option<String>,

    /// Make the roles that are beside the dump and not on the server; those that are there stay as
    /// they are
    #[arg(long)]
    pub(super) globals: bool,

    #[command(flatten)]
    pub(super) from: FromOption,

    /// Let everything belong to the user who restores
    #[arg(long)]
    pub(super) no_owner: bool,

    /// Leave out grants and revokes
    #[arg(long)]
    pub(super) no_privileges: bool,

    #[command(flatten)]
    pub(super) until: RecoveryTargetArgs,
}

/// Up to where the log is replayed
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Point in time, with --to")]
pub(super) struct RecoveryTargetArgs {
    /// Up to this time: RFC 3339, a date, or a span before now; with 'latest', of the last backup
    /// that was complete then
    #[arg(long, value_name = "TIME", group = "point")]
    at: Option<String>,

    /// Up to this position in the log
    #[arg(long, value_name = "LSN", group = "point")]
    lsn: Option<Lsn>,

    /// Up to this named restore point
    #[arg(long, value_name = "NAME", group = "point")]
    restore_point: Option<Line>,

    /// Up to this transaction
    #[arg(long, value_name = "XID", group = "point")]
    xid: Option<u64>,

    /// Up to the end of the log
    #[arg(long, group = "point")]
    to_latest: bool,

    /// The store that has the log, if not the configured one
    #[arg(long, value_name = "URL")]
    pub(super) wal_store: Option<String>,
}

impl RestoreArgs {
    /// Returns the request of the options. Fails if an option is invalid.
    pub(super) fn request(&self, context: &Context) -> Result<RestoreRequest, Failure> {
        if self.backup.is_empty() {
            return Err(Failure::new(Code::Usage, "name a backup or a commit"));
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
                disconnect: self.disconnect,
            }),
        };
        Ok(RestoreRequest {
            database: self.database.clone(),
            commit: self.commit.clone(),
            no_migrate: self.no_migrate,
            allow_schema_difference: self.allow_schema_difference,
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
        [_, _] => refuse("the old directory has to be absolute"),
        _ => refuse("expected OLD=NEW"),
    }
}
