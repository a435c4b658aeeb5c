//! Codes and hints for errors of restores.

use std::path::PathBuf;

use super::advice::{MAKE_USER, NAME_USER, server_wanted};
use super::{Code, Failure};
use crate::pg::quote_ident;
use crate::recovery::restore::{Refusal, WalRefusal};
use crate::recovery::{Error, MigrationConflict};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Pg(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Tools(error) => error.into(),
            other @ Error::SchemaDiffers { .. } => Self::of(Code::CheckFailed, &other)
                .hint("the restored data was removed; --allow-schema-difference keeps it despite the difference"),
            other @ Error::NoExpectedSchema { .. } => Self::of(Code::Conflict, &other)
                .hint("the restored data was removed; a backup of the commit itself would have its schema")
                .hint("--no-migrate restores the backup at its own commit; --allow-unproved runs the program without a proof"),
            other @ Error::NoMonetary { .. } => Self::of(Code::Conflict, &other).hint(
                "the restored data was removed; install the locale where the server runs, and restart the server",
            ),
            Error::Refused(refusal) => (*refusal).into(),
            Error::NoServer(error) => {
                Self::from(error).hint("or name the server to restore on with --maintenance-db <url>")
            }
            Error::LeftBehind { id, source } => Self::from(*source).left_behind(&id),
            Error::NotReplaced { id, source } => Self::from(*source).hint(format!(
                "the restored data is complete: 'git pggit backup restore resume {id}' puts it in place, '... abort {id}' removes it"
            )),
            Error::NotSwapped { dbname, restored, aside, source } => {
                let [dbname, aside, restored] = [dbname, aside, restored].map(|name| quote_ident(&name));
                Self::from(*source)
                    .hint(format!("the restored database is {restored}; when no session is connected to {dbname}, run:"))
                    .hint(format!(
                        "ALTER DATABASE {dbname} RENAME TO {aside}; ALTER DATABASE {restored} RENAME TO {dbname};"
                    ))
            }
            Error::Invalid(error) => error.into(),
            Error::Workspace(error) => (*error).into(),
            Error::Artifacts(error) => (*error).into(),
            Error::MigrationConflict(ref gap) => of_gap(gap, Self::of(Code::Conflict, &error)),
            other @ (Error::StateDiffers { .. } | Error::NotRecordable { .. }) => Self::of(Code::Conflict, &other)
                .hint("the restored data was removed; --no-migrate restores the backup at its own commit")
                .hint("or configure the program that runs the migrations: git config pggit.<database>.migrateCommand <command>"),
            ref other @ Error::StateIgnored { ref tool, .. } => Self::of(Code::Conflict, other)
                .hint(format!("if {tool} runs the migrations: git config pggit.<database>.migrationTool {tool}"))
                .hint("if no tool records them: git config pggit.<database>.migrationTool plain"),
            other @ Error::RowsNotBack { .. } => Self::of(Code::Conflict, &other)
                .hint("nothing was changed; --into restores the table into a database of its own"),
            other @ Error::Setting { .. } => Self::of(Code::Conflict, &other)
                .hint("migrations may depend on the setting; use --no-migrate, or restore as a role that may set it"),
            Error::Process(error) => error.into(),
            other @ (Error::NoUser { .. } | Error::OwnsServer { .. }) => {
                Self::of(Code::Configuration, &other).hint(MAKE_USER).hint(NAME_USER)
            }
            other @ Error::NotInBackup { .. } => Self::of(Code::NotFound, &other),
            other @ Error::LacksRole { .. } => Self::of(Code::ToolFailed, &other)
                .hint("--globals creates missing roles, if the backup contains them")
                .hint("or restore the part without them: --no-owner --no-privileges"),
            Error::NotTaken { ref why, .. } => {
                let why = why.clone();
                why.into_iter().fold(Self::of(Code::ToolFailed, &error), Failure::cause)
            }
            other @ Error::ServerMissing { major, .. } => {
                Self::of(Code::ToolFailed, &other).hint(server_wanted(major))
            }
            other @ (Error::ServerNotStarted { .. }
            | Error::NotPrivate { .. }
            | Error::Deadline { .. }) => Self::of(Code::ToolFailed, &other),
            other @ Error::Interrupted { .. } => Self::of(Code::Interrupted, &other),
            Error::Git(error) => error.into(),
            Error::Ledger(error) => error.into(),
            Error::Config(error) => error.into(),
            other @ Error::Command { .. } => Self::of(Code::ToolFailed, &other)
                .hint("pggit.<database>.migrateCommand names this command; it ran in a worktree of the commit")
                .hint("the restored data was removed; --no-migrate stops at the commit of the backup"),
            other @ Error::Step { .. } => Self::of(Code::ToolFailed, &other),
            other => of_destination(&other),
        }
    }
}

/// Hints about a database or directory that is created or replaced.
fn of_destination(error: &Error) -> Failure {
    match error {
        Error::Staging { .. } => Failure::of(Code::Storage, error),
        Error::Directory { hint, .. } => {
            let failure = Failure::of(Code::Conflict, error);
            if hint.is_empty() { failure } else { failure.hint(*hint) }
        }
        Error::Unmapped { places, .. } => Failure::of(Code::Conflict, error)
            .hint(format!("to create it at the original path, add: {}", mappings(places)))
            .hint("another path after the '=' relocates it; that directory must be empty or missing"),
        Error::NoRoom { .. } => {
            Failure::of(Code::Storage, error).hint("make room, or name a directory on another file system")
        }
        Error::NothingThere { .. } => {
            Failure::of(Code::NotFound, error).hint("without --in-place, --into creates it")
        }
        Error::InUse { .. } => Failure::of(Code::Conflict, error)
            .hint("writes of these sessions would be lost; stop them, or terminate them with --disconnect"),
        Error::NotOver { id, .. } => Failure::of(Code::Conflict, error)
            .hint(format!("'git pggit backup restore abort {id}' undoes that restore"))
            .hint(format!(
                "'... resume {id}' continues it, '... finish {id}' finishes it when it is in place"
            )),
        Error::NoRestore { .. } => Failure::of(Code::NotFound, error)
            .hint("'git pggit backup restore list' shows unfinished restores"),
        Error::Busy { .. } => Failure::of(Code::Busy, error),
        Error::File { .. } => Failure::of(Code::Storage, error),
        _ => Failure::of(Code::Conflict, error),
    }
}

/// Returns the options that map each tablespace to its original directory, quoted for a shell.
fn mappings(places: &[PathBuf]) -> String {
    let option = |place: &PathBuf| {
        let text = place.to_string_lossy().replace('=', "\\=");
        let mapping = format!("{text}={text}");
        let is_plain =
            mapping.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.,+=:@-".contains(&byte));
        let quoted = || shlex::try_quote(&mapping).map_or_else(|_| mapping.clone(), Into::into);
        format!("--tablespace-mapping {}", if is_plain { mapping.clone() } else { quoted() })
    };
    places.iter().map(option).collect::<Vec<_>>().join(" ")
}

/// Adds hints for migrations that do not lead to the requested commit.
fn of_gap(gap: &MigrationConflict, failure: Failure) -> Failure {
    let is_unproved = matches!(gap, MigrationConflict::NoProof { .. });
    let failure = match gap {
        MigrationConflict::NotAncestor { .. } => {
            return failure.hint("migrations are not undone; 'git pggit backup find' shows usable backups");
        }
        MigrationConflict::NoDirectory { .. } => failure
            .hint("name the directory of the migrations: git config pggit.<database>.migrations <directory>"),
        MigrationConflict::Ambiguous(_) => {
            return failure
                .hint("name the directory: git config pggit.<database>.migrations <directory>")
                .hint("or the tool: git config pggit.<database>.migrationTool <tool>");
        }
        MigrationConflict::NotAtCommit { .. } => {
            failure.hint("'git pggit backup show' has the differences that were recorded")
        }
        MigrationConflict::Changed(_)
        | MigrationConflict::OutOfOrder { .. }
        | MigrationConflict::OnlyByTool { .. }
        | MigrationConflict::Removed(_)
        | MigrationConflict::UnsupportedFile(_)
        | MigrationConflict::SeveralDirectories
        | MigrationConflict::NoProof { .. } => failure,
    };
    let failure = failure
        .hint("configure the program that runs the migrations: git config pggit.<database>.migrateCommand <command>")
        .hint("or restore the backup at its own commit with --no-migrate, or a commit between the two");
    if is_unproved {
        return failure.hint("or run the migrations without a proof: --allow-unproved");
    }
    failure
}

impl Failure {
    /// Adds a hint for a restore whose leftovers could not be removed.
    pub(crate) fn left_behind(self, id: &str) -> Self {
        self.hint(format!("'git pggit backup restore abort {id}' removes the leftovers"))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = |code| Self::of(code, &refusal);
        match &refusal {
            Refusal::NoSuchBackup { has_commit: true, .. } => {
                failure(Code::NotFound).hint("--commit requires a backup")
            }
            Refusal::NoSuchBackup { .. } => failure(Code::NotFound)
                .hint("'git pggit backup list' shows all backups")
                .hint("there is no commit of that name either"),
            Refusal::SeveralDatabases { .. } => {
                failure(Code::Ambiguous).hint("choose one with --database <name>")
            }
            Refusal::FailedVerification { failed, commit, .. } => failure(Code::Conflict)
                .hint(format!("if the cause is fixed: 'git pggit backup verify --force {failed}'"))
                .hint(format!("'git pggit backup find {}' shows other backups", commit.short()))
                .hint("a restore by the id of the backup is still possible, as far as its data is intact"),
            Refusal::NoCandidate { reasons, has_gap, .. } => {
                let mut failure = reasons.iter().fold(failure(Code::NotFound), Self::hint);
                if *has_gap {
                    failure = failure.hint(
                        "configure the program that runs the migrations: git config pggit.<database>.migrateCommand <command>",
                    );
                }
                failure.hint("'git pggit backup coverage' shows branches and their nearest backups")
            }
            Refusal::NoWay { gap, name, backup, commit } => {
                of_gap(gap, failure(Code::Conflict)).hint(format!(
                    "the nearest backup is {name} ({backup}) on commit {}; 'git pggit backup find' shows all",
                    commit.short()
                ))
            }
            Refusal::NoMask { database, origin, .. } => {
                failure(Code::NotFound).cause(format!("pggit.{database}.maskScript is set in {origin}"))
            }
            Refusal::NoneCompleteAt { .. } => {
                failure(Code::NotFound).hint("'git pggit backup list' shows all backups; a dump supports no point-in-time recovery")
            }
            Refusal::OthersConnected { .. } => failure(Code::Conflict).hint(
                "writes of these sessions would be lost if the migration fails; stop them, or terminate them with --disconnect",
            ),
            Refusal::NoSchema { .. } => failure(Code::Conflict).hint(
                "no schema was recorded with the backup, see pggit.<database>.recordSchema; restore without --check-schema",
            ),
            Refusal::NoDatabaseName { database, .. } => failure(Code::Conflict)
                .hint(format!("configure it: git config pggit.{database}.url <url>")),
            Refusal::ArchivingOff => {
                failure(Code::Usage).hint("enable archiving when the cluster replaces the old one")
            }
            Refusal::DependencyMissing { .. } => {
                failure(Code::Conflict).hint("'git pggit sync' fetches the records of other clones")
            }
            Refusal::PartOfDatabase { .. } => {
                failure(Code::Usage).hint("--no-migrate restores the part as of the commit of the backup")
            }
            Refusal::NotADump { .. } => failure(Code::Usage).hint("'--tool pg_dump' restores from a dump"),
            Refusal::MigrationsOfIncomplete { .. } => {
                failure(Code::Usage).hint("--no-migrate leaves the database at the commit of the backup")
            }
            Refusal::OtherDatabase { .. } => {
                failure(Code::Usage).hint("a physical backup contains all databases")
            }
            Refusal::Wal(refusal) => of_wal(refusal),
            Refusal::NotConfirmed => failure(Code::CheckFailed),
            Refusal::NotRecordable { .. } => failure(Code::Conflict),
            Refusal::NoTool { .. } | Refusal::DependencyCycle { .. } => failure(Code::Corrupt),
            Refusal::KeptByTool { .. } | Refusal::NoName | Refusal::NotWhole => failure(Code::Usage),
            _ => of_unfinished(&refusal),
        }
    }
}

/// Hints about a restore in place that is not finished.
fn of_unfinished(refusal: &Refusal) -> Failure {
    let failure = |code| Failure::of(code, refusal);
    match refusal {
        Refusal::OtherCluster { expected, .. } => {
            failure(Code::Conflict).hint(format!("the restore was into cluster {expected}"))
        }
        Refusal::State { id, option, .. } => {
            failure(Code::Conflict).hint(format!("use 'git pggit backup restore {option} {id}'"))
        }
        Refusal::NotInPlace { .. } => failure(Code::Conflict)
            .hint("'git pggit backup restore resume' puts it in place, '... abort' undoes the restore"),
        Refusal::SeveralUnfinished => {
            failure(Code::Ambiguous).hint("'git pggit backup restore list' shows all of them")
        }
        Refusal::NoSessions { .. } => failure(Code::Usage)
            .hint("the restore is into a data directory: stop its server, if it is running"),
        Refusal::Request { .. } => failure(Code::Corrupt)
            .hint("resume, abort or finish it with the version of git-pggit that began it"),
        Refusal::NotWritable { .. } | Refusal::NoProgram { .. } => failure(Code::Fatal),
        // The database or directory to replace, or the unfinished restore, does not exist.
        _ => failure(Code::NotFound),
    }
}

fn of_wal(refusal: &WalRefusal) -> Failure {
    let failure = |code| Failure::of(code, refusal);
    match refusal {
        WalRefusal::NoPositions { .. } | WalRefusal::AfterEnd { .. } => failure(Code::Conflict),
        WalRefusal::NotComplete { .. } => failure(Code::Conflict)
            .hint("choose an earlier backup: 'git pggit backup find --at <time>', or 'latest' with --at"),
        WalRefusal::NoArchive { .. } => failure(Code::NotFound).hint(
            "archive WAL with 'git pggit wal push' as archive_command, or with 'git pggit wal receive'",
        ),
        WalRefusal::Incomplete { .. } => failure(Code::Conflict)
            .hint("'git pggit wal check' shows the gaps")
            .hint("without a recovery target the backup is restored to its own end"),
        WalRefusal::BeforeEnd { .. } => failure(Code::Conflict).hint("choose an earlier backup"),
    }
}
