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
            other @ Error::SchemaDiffers { .. } => Self::of(Code::Negative, &other)
                .hint("nothing is left of it; --allow-schema-difference restores it all the same"),
            other @ Error::NoExpectedSchema { .. } => Self::of(Code::Conflict, &other)
                .hint("nothing is left of it; a backup of the commit itself would have its schema")
                .hint("--no-migrate restores the backup at its own commit"),
            other @ Error::NoMonetary { .. } => Self::of(Code::Conflict, &other).hint(
                "nothing is left of it; install the locale where the server runs, and restart the server",
            ),
            Error::Refused(refusal) => (*refusal).into(),
            Error::NoServer(error) => {
                Self::from(error).hint("or name the server to restore on with --maintenance-db <url>")
            }
            Error::LeftBehind { id, source } => Self::from(*source).left_behind(&id),
            Error::NotReplaced { id, source } => Self::from(*source).hint(format!(
                "what was restored is complete: 'git pggit backup restore resume {id}' puts it in place, '... abort {id}' removes it"
            )),
            Error::NotSwapped { dbname, restored, aside, source } => {
                let [dbname, aside, restored] = [dbname, aside, restored].map(|name| quote_ident(&name));
                Self::from(*source)
                    .hint(format!("it is restored as database {restored}; when nobody is connected to {dbname}:"))
                    .hint(format!(
                        "ALTER DATABASE {dbname} RENAME TO {aside}; ALTER DATABASE {restored} RENAME TO {dbname};"
                    ))
            }
            Error::Invalid(error) => error.into(),
            Error::Workspace(error) => (*error).into(),
            Error::Artifacts(error) => (*error).into(),
            Error::MigrationConflict(ref gap) => of_gap(gap, Self::of(Code::Conflict, &error)),
            other @ Error::Setting { .. } => Self::of(Code::Conflict, &other)
                .hint("migrations may depend on it; restore the backup with --no-migrate, or as a role that may set it"),
            Error::Process(error) => error.into(),
            other @ (Error::NoUser { .. } | Error::OwnsServer { .. }) => {
                Self::of(Code::Configuration, &other).hint(MAKE_USER).hint(NAME_USER)
            }
            other @ Error::NotInBackup { .. } => Self::of(Code::NotFound, &other),
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
                .hint("it is what pggit.<database>.migrateCommand names; it ran in a worktree of the commit")
                .hint("nothing is left of what was restored; --no-migrate stops at the commit of the backup"),
            other @ Error::Step { .. } => Self::of(Code::ToolFailed, &other),
            other => of_destination(&other),
        }
    }
}

/// Hints about a database or directory that is created or replaced.
fn of_destination(error: &Error) -> Failure {
    match error {
        Error::Staging { .. } => Failure::of(Code::Destination, error),
        Error::Directory { hint, .. } => {
            let failure = Failure::of(Code::Conflict, error);
            if hint.is_empty() { failure } else { failure.hint(*hint) }
        }
        Error::Unmapped { places, .. } => Failure::of(Code::Conflict, error)
            .hint(format!("to make it where it was, add: {}", mappings(places)))
            .hint("a path behind the '=' makes it there; it has to be empty or missing"),
        Error::NoRoom { .. } => {
            Failure::of(Code::Destination, error).hint("make room, or name a directory elsewhere")
        }
        Error::NothingThere { .. } => {
            Failure::of(Code::NotFound, error).hint("without --in-place, --into makes it")
        }
        Error::InUse { .. } => Failure::of(Code::Conflict, error)
            .hint("what they write would be lost; stop them, or end them with --disconnect"),
        Error::NotOver { id, .. } => Failure::of(Code::Conflict, error)
            .hint(format!("'git pggit backup restore abort {id}' puts back what was there before"))
            .hint(format!(
                "'... resume {id}' goes on with it, '... finish {id}' ends it when it is in place"
            )),
        Error::NoRestore { .. } => Failure::of(Code::NotFound, error)
            .hint("'git pggit backup restore list' shows those that are not over"),
        Error::Busy { .. } => Failure::of(Code::Busy, error),
        Error::File { .. } => Failure::of(Code::Destination, error),
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
    let failure = match gap {
        MigrationConflict::NotAncestor { .. } => {
            return failure.hint("migrations are not undone; 'git pggit backup find' shows what leads there");
        }
        MigrationConflict::NoDirectory { .. } => failure
            .hint("name the directory of the migrations: git config pggit.<database>.migrations <directory>"),
        MigrationConflict::Changed(_)
        | MigrationConflict::Removed(_)
        | MigrationConflict::UnsupportedFile(_)
        | MigrationConflict::SeveralDirectories
        | MigrationConflict::NoProof { .. } => failure,
    };
    failure
        .hint("let the program run them that they are for: git config pggit.<database>.migrateCommand <command>")
        .hint("or restore the backup as it is, with --no-migrate, or a commit between the two")
}

impl Failure {
    /// Adds a hint for a restore whose leftovers could not be removed.
    pub(crate) fn left_behind(self, id: &str) -> Self {
        self.hint(format!("'git pggit backup restore abort {id}' removes what is left of it"))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = |code| Self::of(code, &refusal);
        match &refusal {
            Refusal::NoSuchBackup { has_commit: true, .. } => {
                failure(Code::NotFound).hint("--commit goes with a backup")
            }
            Refusal::NoSuchBackup { .. } => failure(Code::NotFound)
                .hint("'git pggit backup list' shows all backups")
                .hint("it is no commit either"),
            Refusal::SeveralDatabases { .. } => {
                failure(Code::Ambiguous).hint("choose one with --database <name>")
            }
            Refusal::FailedVerification { failed, commit, .. } => failure(Code::Conflict)
                .hint(format!("'git pggit backup verify --force {failed}' if the cause is gone"))
                .hint(format!("'git pggit backup find {}' shows what else there is", commit.short()))
                .hint("by its own id it is restored all the same, as far as its bytes go"),
            Refusal::NoCandidate { reasons, has_gap, .. } => {
                let mut failure = reasons.iter().fold(failure(Code::NotFound), Self::hint);
                if *has_gap {
                    failure = failure.hint(
                        "a program of yours can run the migrations: git config pggit.<database>.migrateCommand <command>",
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
                failure(Code::NotFound).hint("'git pggit backup list' shows all; a dump leads to no moment")
            }
            Refusal::OthersConnected { .. } => failure(Code::Conflict).hint(
                "what they write would be lost if the migration fails; stop them, or end them with --disconnect",
            ),
            Refusal::NoSchema { .. } => failure(Code::Conflict).hint(
                "no schema was recorded with the backup, see pggit.<database>.recordSchema; restore without --check-schema",
            ),
            Refusal::NoDatabaseName { database, .. } => failure(Code::Conflict)
                .hint(format!("configure it: git config pggit.{database}.url <url>")),
            Refusal::ArchivingOff => {
                failure(Code::Usage).hint("switch it on when the cluster takes its place")
            }
            Refusal::DependencyMissing { .. } => {
                failure(Code::Conflict).hint("'git pggit sync' fetches what others have recorded")
            }
            Refusal::PartOfDatabase { .. } => {
                failure(Code::Usage).hint("--no-migrate restores what the backup has")
            }
            Refusal::OtherDatabase { .. } => {
                failure(Code::Usage).hint("a copy of a cluster has the others")
            }
            Refusal::Wal(refusal) => of_wal(refusal),
            Refusal::NotConfirmed => failure(Code::Negative),
            Refusal::NotRecordable { .. } => failure(Code::Conflict),
            Refusal::NoTool { .. } | Refusal::DependencyCycle { .. } => failure(Code::Damaged),
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
        Refusal::State { id, option, .. } => failure(Code::Conflict)
            .hint(format!("'git pggit backup restore {option} {id}' is the way to its end")),
        Refusal::NotInPlace { .. } => failure(Code::Conflict)
            .hint("'git pggit backup restore resume' puts it there, '... abort' ends it"),
        Refusal::SeveralUnfinished => {
            failure(Code::Ambiguous).hint("'git pggit backup restore list' shows them")
        }
        Refusal::NoSessions { .. } => {
            failure(Code::Usage).hint("it is into a data directory: stop the server on it, if there is one")
        }
        Refusal::Request { .. } => {
            failure(Code::Damaged).hint("use the version that has begun it to resume, abort or finish it")
        }
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
            .hint("choose an earlier one: 'git pggit backup find --at <time>', or 'latest' with --at"),
        WalRefusal::NoArchive { .. } => failure(Code::NotFound)
            .hint("'git pggit wal push' as archive_command, or 'git pggit wal receive', archives it"),
        WalRefusal::Incomplete { .. } => failure(Code::Conflict)
            .hint("'git pggit wal check' shows what is missing")
            .hint("without --at and its like it is restored as it was made"),
        WalRefusal::BeforeEnd { .. } => failure(Code::Conflict).hint("choose an earlier backup"),
    }
}
