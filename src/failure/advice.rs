//! Converts the errors of all modules into failures of a command, with exit code and advice.

use crate::config::{self, InvalidUrl};
use crate::domain::{Invalid, InvalidTime};
use crate::tools::{ExternalError, Kind};
use crate::{
    artifacts, automation, backup, git, ledger, pg, process, queue, store, tools, verify, wal, worker,
    workspace,
};

use super::{Code, Failure};

impl From<git::config::Error> for Failure {
    fn from(error: git::config::Error) -> Self {
        use git::config::Error;
        match error {
            _ if error.retry() => Self::of(Code::Busy, &error).hint(
                "another git process is writing this file; if there is none, remove its '.lock' file by hand",
            ),
            Error::Parse { .. } | Error::Parameters | Error::Read { .. } => {
                Self::of(Code::Configuration, &error)
            }
            Error::Nul { .. } => Self::of(Code::Usage, &error),
            Error::Start(_) => {
                Self::of(Code::ToolFailed, &error).hint("install git, or add its directory to PATH")
            }
            Error::Git { .. } => Self::of(Code::ToolFailed, &error),
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        use config::Error;
        const ADD: &str = "add one with 'git pggit database add <name> --url <url>'";
        match &error {
            Error::Retired { new, key, .. } => Self::of(Code::Configuration, &error)
                .hint(format!("git config {new} \"$(git config {key})\" && git config --unset {key}")),
            Error::NoStore { name, .. } => Self::of(Code::Configuration, &error)
                .hint(format!("configure its URL: git config pggit.store.{name}.url <url>")),
            Error::Value { origin, .. } | Error::Reason { origin, .. } | Error::DatabaseName { origin, .. } => {
                let usage = *origin == config::Origin::CommandLine;
                Self::of(if usage { Code::Usage } else { Code::Configuration }, &error)
            }
            Error::Url { origin, reason, .. } => {
                let usage = *origin == config::Origin::CommandLine;
                let failure = Self::of(if usage { Code::Usage } else { Code::Configuration }, &error);
                if *reason != InvalidUrl::Password {
                    return failure;
                }
                failure
                    .hint("remove the password from the URL and put it into ~/.pgpass, a service file or PGPASSWORD")
                    .hint("change the password, too, if other people could read the URL")
            }
            Error::UnknownDatabase { known, nearest, .. } => {
                let failure = Self::of(Code::NotFound, &error);
                let names: Vec<_> = known.iter().map(crate::domain::DatabaseName::as_str).collect();
                match nearest {
                    Some(nearest) => failure.hint(format!("did you mean '{nearest}'?")),
                    None if known.is_empty() => failure.hint(ADD),
                    None => failure.hint(format!("configured databases: {}", names.join(", "))),
                }
            }
            Error::NoDatabase => Self::of(Code::Configuration, &error).hint(ADD),
            Error::AwsProfile { profile, .. } => Self::of(Code::Configuration, &error).hint(format!(
                "'eval \"$(aws configure export-credentials --profile {profile} --format env)\"' gives the keys of any profile"
            )),
            Error::SeveralDatabases { .. } => Self::of(Code::Ambiguous, &error).hint(
                "choose one with --database <name>, or permanently with 'git config pggit.database <name>'",
            ),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        Self::of(Code::Usage, &error)
    }
}

impl From<InvalidTime> for Failure {
    fn from(error: InvalidTime) -> Self {
        Self::of(Code::Usage, &error).hint(format!(
            "valid times are 2026-11-21, 2026-11-21T03:40:06Z, or a span {} now (units s, m, h, d and w): 90m, 12h, 7d, 2w",
            error.side
        ))
    }
}

impl From<git::Error> for Failure {
    fn from(error: git::Error) -> Self {
        use git::Error;
        const FETCH: &str = "this clone is shallow; 'git fetch --unshallow' fetches the rest of the history";
        let failure = |code| Self::of(code, &error);
        match &error {
            Error::Signing { .. } => Self::of(Code::Configuration, &error)
                .hint("git signs in the same way: test it with 'git commit --allow-empty -S'; see also 'pggit.sign'"),
            Error::NotARepository { message, .. } if message.contains("not a git repository") => {
                failure(Code::NotARepository)
                    .hint("run the command inside of your schema repository, or name the repository with -C <dir>")
            }
            Error::NotARepository { .. } => failure(Code::NotARepository),
            Error::Extension { extension, .. } => {
                const CLONE: &str = "work in a clone without the extension: git clone --ref-format=files <path> <dir>";
                let failure = failure(Code::Conflict);
                match extension.to_ascii_lowercase().split(' ').next() {
                    Some("refstorage") => failure
                        .hint("convert the repository: git refs migrate --ref-format=files")
                        .hint(format!("or {CLONE}")),
                    Some("partialclone") => failure
                        .hint("fetch the missing objects: git fetch --refetch --no-filter <remote>")
                        .hint("then: git config --unset remote.<remote>.promisor; git config --unset extensions.partialClone"),
                    _ => failure.hint(CLONE),
                }
            }
            // The detail of the library is meant for its own developers.
            Error::UnknownRevision { detail, .. } if detail.contains('{') || detail.is_empty() => failure(Code::NotFound),
            Error::UnknownRevision { detail, .. } => failure(Code::NotFound).cause(detail.clone()),
            Error::AmbiguousRevision { .. } => failure(Code::Ambiguous).hint("use a longer prefix"),
            Error::Unborn { .. } => {
                failure(Code::NotFound).hint("a backup belongs to a commit; create one with 'git commit' first")
            }
            Error::Missing { shallow: true, .. } => failure(Code::NotFound).hint(FETCH),
            Error::Missing { .. } | Error::Vanished { .. } => {
                failure(Code::Corrupt).hint("check the repository with 'git fsck'")
            }
            Error::NoIdentity => failure(Code::Configuration)
                .hint("configure your identity: git config --global user.name <name>")
                .hint("and: git config --global user.email <mail>"),
            Error::LostRace { .. } => failure(Code::Busy).hint("try again"),
            Error::Program { .. } => failure(Code::ToolFailed),
            Error::Io { .. } | Error::Library { .. } => failure(Code::Fatal),
        }
    }
}

impl From<ledger::Error> for Failure {
    fn from(error: ledger::Error) -> Self {
        use ledger::Error;
        let failure = |code| Self::of(code, &error);
        match error {
            Error::Git(error) => error.into(),
            Error::Invalid(error) => error.into(),
            Error::NotFound { .. } | Error::NoneCompleted { .. } => {
                failure(Code::NotFound).hint("'git pggit backup list' shows all backups")
            }
            Error::Ambiguous { ref candidates, .. } => {
                const SHOWN: usize = 10;
                let failure = failure(Code::Ambiguous).hint("use a longer prefix of the id; it matches");
                let failure = candidates
                    .iter()
                    .take(SHOWN)
                    .fold(failure, |failure, line| failure.hint(format!("  {line}")));
                if candidates.len() > SHOWN {
                    return failure.hint(format!("  and {} more", candidates.len() - SHOWN));
                }
                failure
            }
            Error::NotRegistered { .. } => {
                failure(Code::NotFound).hint("an event of kind `registered` creates a record")
            }
            Error::Refused { .. } | Error::RemoteRejected { .. } => failure(Code::Conflict),
            Error::Event(_) => failure(Code::Usage),
            Error::Damaged { ref commit, .. } => failure(Code::Corrupt).hint(format!(
                "'git log -p refs/backups/{commit}' shows its history; an earlier version may be intact"
            )),
            Error::Export { .. } => {
                failure(Code::Corrupt).hint("'git pggit fsck' lists the errors of the ledger")
            }
            Error::Import { .. } => failure(Code::Usage).hint("nothing was written"),
            Error::MissingCommits { ref commits } => {
                const SHOWN: usize = 10;
                let failure = failure(Code::NotFound);
                let failure = commits
                    .iter()
                    .take(SHOWN)
                    .fold(failure, |failure, commit| failure.cause(commit.to_string()));
                let failure = match commits.len().saturating_sub(SHOWN) {
                    0 => failure,
                    more => failure.cause(format!("and {more} more")),
                };
                failure.hint(
                    "fetch the missing schema history, or use --skip-missing or --allow-missing-commits",
                )
            }
            Error::Busy { .. } => failure(Code::Busy).hint(
                "many processes write to this ledger, or a killed git has left a '.lock' file; \
                 run 'git pggit doctor'",
            ),
        }
    }
}

impl From<pg::Error> for Failure {
    fn from(error: pg::Error) -> Self {
        use pg::Error;
        let failure = |code| Self::of(code, &error);
        match &error {
            Error::Unreachable { .. } => {
                failure(Code::DatabaseUnreachable).hint("check that the server is running, and check the URL: 'git pggit database show'")
            }
            Error::AuthFailed { .. } => failure(Code::DatabaseUnreachable)
                .hint("put the password into ~/.pgpass, a service file or PGPASSWORD, as for psql"),
            Error::DatabaseMissing { .. } => failure(Code::DatabaseUnreachable).hint("'psql -l' lists the databases of a server"),
            Error::TooManyConnections { .. } | Error::Starting { .. } => failure(Code::Busy).hint("try again in a moment"),
            Error::Tls { .. } | Error::ConnectionLost { .. } => failure(Code::DatabaseUnreachable),
            Error::DatabaseExists { .. } | Error::DatabaseInUse { .. } => failure(Code::Conflict),
            Error::OwnedByOther { owner, .. } => failure(Code::Conflict)
                .hint(format!("nothing of {owner} was used; if {owner} has created the queue, connect as {owner}"))
                .hint("otherwise drop the existing objects, or choose another database: git config pggit.queue <url>"),
            Error::PermissionDenied { what, .. } if what.contains("pggit.commit") => failure(Code::DatabaseUnreachable)
                .hint("a superuser can grant the privilege: GRANT SET ON PARAMETER \"pggit.commit\" TO <role> (PostgreSQL 15 and later)"),
            Error::PermissionDenied { .. } => failure(Code::DatabaseUnreachable),
            Error::BadConnInfo { .. } => failure(Code::Configuration),
            Error::BadName { .. } | Error::BadMark { .. } => failure(Code::Usage),
            Error::Query { .. } | Error::Unexpected { .. } => failure(Code::ToolFailed),
        }
    }
}

impl From<process::Error> for Failure {
    fn from(error: process::Error) -> Self {
        match &error {
            process::Error::Interrupted { .. } => Self::of(Code::Interrupted, &error),
            _ => Self::of(Code::ToolFailed, &error),
        }
    }
}

impl From<tools::Error> for Failure {
    fn from(error: tools::Error) -> Self {
        use tools::Error;
        let error = match error {
            Error::Pg(error) => return error.into(),
            other => other,
        };
        let failure = |code| Self::of(code, &error);
        match &error {
            Error::ProgramMissing { .. } => failure(Code::ToolFailed)
                .hint("install PostgreSQL's client programs, or name their directory: git config pggit.pgBinDir <dir>"),
            Error::ServerNewer { server, .. } => failure(Code::ToolFailed).hint(format!(
                "install the client programs of PostgreSQL {server}, or name their directory: git config pggit.pgBinDir <dir>"
            )),
            Error::OtherMajor { needed, .. } => failure(Code::ToolFailed).hint(format!(
                "install the programs of PostgreSQL {needed}, or name their directory: git config pggit.pgBinDir <dir>"
            )),
            Error::NotSetUp { hint, .. } => failure(Code::Configuration).hint(hint.clone()),
            Error::Unsupported { .. } | Error::TypeUnsupported { .. } | Error::NoSuchTablespace { .. } => failure(Code::Usage),
            Error::TargetUnsupported { .. } | Error::NoBytes { .. } => failure(Code::Conflict),
            Error::Place(_) => failure(Code::Storage),
            Error::Failed { kind, .. } => {
                let code = code_of(*kind);
                match hint_for(&error.to_string()) {
                    Some(hint) => failure(code).hint(hint),
                    None => failure(code),
                }
            }
            Error::Write { source, .. } => Self::of(Code::Storage, &error).hint(match source.kind() {
                std::io::ErrorKind::StorageFull => "make room, or choose another directory with --output",
                _ => "choose another directory with --output",
            }),
            Error::Process(process::Error::Interrupted { .. }) => failure(Code::Interrupted),
            Error::Destination { source, .. } => match source.kind() {
                std::io::ErrorKind::DirectoryNotEmpty => failure(Code::Conflict)
                    .hint("nothing was changed; restore into a directory that is missing or empty"),
                _ => failure(Code::Storage),
            },
            Error::Tool { tool, fault } => of_fault(tool, fault, failure),
            Error::Statement { refusal, .. } => of_refusal(refusal, failure(code_of(error.kind()))),
            Error::Script { .. } => failure(Code::Conflict),
            Error::WrongDatabase { .. } => failure(Code::Fatal),
            Error::Read { .. } | Error::Directory { .. } => failure(Code::Corrupt),
            Error::VersionUnknown { .. }
            | Error::Empty { .. }
            | Error::Truncated { .. }
            | Error::Incomplete { .. }
            | Error::Process(_) => failure(Code::ToolFailed),
            Error::Pg(_) => unreachable!("handled above"),
        }
    }
}

fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::ServerUnreachable | Kind::AuthFailed | Kind::DatabaseMissing => Code::DatabaseUnreachable,
        Kind::Busy => Code::Busy,
        Kind::DiskFull => Code::Storage,
        _ => Code::ToolFailed,
    }
}

/// Adds the detail, position and hint that the server reported for a statement of a script.
fn of_refusal(refusal: &pg::Refusal, failure: Failure) -> Failure {
    const ALONE: &str =
        "a file that begins with the comment '-- no-transaction' is run without a transaction";
    let failure = refusal.detail.iter().chain(&refusal.place).cloned().fold(failure, Failure::cause);
    let failure = refusal.hint.iter().cloned().fold(failure, Failure::hint);
    match refusal.sqlstate.as_str() {
        "25001" | "2D000" => failure.hint(ALONE),
        "22023" if refusal.message.contains("\"default_tablespace\"") => {
            failure.hint("--no-tablespaces restores everything into the default tablespace")
        }
        _ => failure,
    }
}

/// Returns the failure with advice for a fault of a tool that has its own repository.
fn of_fault(tool: &str, fault: &ExternalError, failure: impl Fn(Code) -> Failure) -> Failure {
    match fault {
        ExternalError::Missing => failure(Code::ToolFailed)
            .hint(format!("install {tool}, or configure its path: git config pggit.<database>.{tool} <program>")),
        ExternalError::NotConfigured(key) => failure(Code::Configuration)
            .hint(format!("configure the name of the database in {tool}: git config pggit.<database>.{key} <name>")),
        ExternalError::Root => failure(Code::Configuration).hint(
            "configure the user that owns the repository: git config pggit.<database>.toolUser postgres",
        ),
        ExternalError::NoUser(_) => failure(Code::Configuration).hint("set pggit.<database>.toolUser to an existing user"),
        ExternalError::NotRoot(user) => failure(Code::Configuration)
            .hint(format!("run git pggit as root or as {user}, or remove pggit.<database>.toolUser")),
        ExternalError::TooOld { .. } => failure(Code::ToolFailed).hint(format!("install a newer {tool}")),
        ExternalError::Unknown(_) => failure(Code::NotFound)
            .hint("check pggit.<database>.pgbackrestStanza or .barmanServer, and the configuration file of the tool"),
        ExternalError::NoBackup(_) => {
            failure(Code::NotFound).hint("'git pggit backup reconcile' compares the ledger with the catalogue of the tool")
        }
        ExternalError::Busy(_) => failure(Code::Busy).hint("run the command again when the other process has finished"),
        ExternalError::Server(_) => failure(Code::DatabaseUnreachable),
        ExternalError::Refused(_) => failure(Code::Conflict),
        ExternalError::Unsupported(_) => failure(Code::Usage),
        ExternalError::Answer { .. } | ExternalError::Unconfirmed(_) | ExternalError::Permanent { .. } | ExternalError::Failed { .. } => failure(Code::ToolFailed),
    }
}

/// Returns a hint for some error messages of pg_basebackup.
fn hint_for(said: &str) -> Option<&'static str> {
    let hints = [
        ("has already been removed", "increase wal_keep_size of the server, or use --wal stream"),
        (
            "no pg_hba.conf entry for replication",
            "add a line for the database \"replication\" to pg_hba.conf",
        ),
        (
            "WAL summaries are required",
            "the server has removed its WAL summaries (wal_summary_keep_time): use --type full",
        ),
        (
            "invalid value for parameter \"default_tablespace\"",
            "--no-tablespaces restores everything into the default tablespace",
        ),
        ("max_locks_per_transaction", "increase max_locks_per_transaction of the server, and restart it"),
        ("too many WAL senders", "increase max_wal_senders of the server, or try again in a moment"),
        (
            "requested starting point",
            "the server does not have the WAL since the parent backup any more: use --type full",
        ),
    ];
    if said.contains("ERROR:  role \"") && said.contains("\" does not exist") {
        // Policies and user mappings also cause this error: --no-owner and --no-privileges do not
        // leave them out.
        return Some("--globals creates missing roles, if the backup contains them");
    }
    hints.iter().find(|(words, _)| said.contains(words)).map(|(_, hint)| *hint)
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        use store::Error;
        let failure = |code| Self::of(code, &error);
        match &error {
            Error::RootMissing { path } => {
                failure(Code::Storage).hint(format!("create the directory: mkdir -p {}", path.display()))
            }
            Error::Full { .. } => {
                failure(Code::Storage).hint("make room, or choose another directory with --output")
            }
            Error::NotADirectory { .. } | Error::ReadOnly { .. } | Error::Denied { .. } => {
                failure(Code::Storage).hint("choose another directory with --output")
            }
            Error::UnsafeName { .. } | Error::BadLocation { .. } => failure(Code::Usage),
            Error::Exists { .. } => failure(Code::Conflict),
            Error::Missing { .. } => failure(Code::NotFound),
            Error::Unexpected { .. }
            | Error::Truncated { .. }
            | Error::Corrupt { .. }
            | Error::Mismatch { .. } => failure(Code::Corrupt)
                .hint("the stored data is corrupt; restore from another backup"),
            Error::NoStore { url } => failure(Code::NotFound).hint(format!("create one with 'git pggit store init {url}'")),
            Error::StoreExists { .. } | Error::OtherObject { .. } => failure(Code::Conflict),
            Error::OtherStore { .. } => failure(Code::Conflict)
                .hint("a copy has the id of the original store; name an empty location for 'git pggit store copy'"),
            Error::Replaced { .. }
            | Error::RecordedAsEncrypted { .. }
            | Error::OtherKeys { .. }
            | Error::OutsideRoots { .. }
            | Error::OtherFiles { .. } => against_record(&error),
            Error::Newer { .. } => failure(Code::Configuration).hint("use a newer version of git-pggit"),
            Error::NoObject { .. } => failure(Code::NotFound),
            Error::Damaged { .. } => failure(Code::Corrupt)
                .hint("'git pggit store check' lists damaged objects and the backups that need them"),
            Error::NoBucket { .. } => failure(Code::Storage)
                .hint("create the bucket with the tools of the cloud, or correct the URL; see docs/store-clouds.md"),
            Error::Forbidden { .. } => failure(Code::Storage)
                .hint("check the credentials of the cloud's own tools, such as AWS_PROFILE or AZURE_STORAGE_ACCOUNT"),
            Error::Storage { transient, .. } => {
                let failure = failure(Code::Storage);
                if *transient { failure.hint("the error may be temporary: try again later") } else { failure }
            }
            Error::NoKey { .. }
            | Error::KeyFile { .. }
            | Error::BadPassphrase { .. }
            | Error::BadRecipient { .. }
            | Error::RecipientKnown { .. }
            | Error::RecipientUnknown { .. }
            | Error::RecipientAmbiguous { .. }
            | Error::LastRecipient { .. }
            | Error::NotEncrypted { .. } => about_keys(&error),
            Error::KeysBusy { .. } => failure(Code::Busy).hint("nothing was changed; try again"),
            Error::LeaseExpired { .. } => failure(Code::Busy).hint("nothing was recorded; try again"),
            Error::Interrupted { .. } => failure(Code::Interrupted),
            Error::Unfinished { .. } | Error::Io { .. } => failure(Code::Fatal),
        }
    }
}

/// Returns the failure for an error about the keys or the recipients of an encrypted store.
fn about_keys(error: &store::Error) -> Failure {
    use store::Error;
    let failure = |code| Failure::of(code, error);
    match error {
        Error::NoKey { given, .. } => {
            let failure = failure(Code::Configuration);
            if *given {
                return failure.hint("'git pggit store key list' shows the recipients whose keys open the store");
            }
            failure
                .hint("name a file with an age identity: git config --global pggit.storeIdentity <file>")
                .hint("or set the passphrase in PGGIT_STORE_PASSPHRASE or in the file of pggit.storePassphraseFile")
        }
        Error::KeyFile { .. } => failure(Code::Configuration)
            .hint("pggit.storeIdentity and pggit.storePassphraseFile name key files: 'git pggit config' shows their origin"),
        Error::BadPassphrase { .. } => failure(Code::Configuration),
        Error::BadRecipient { .. } => failure(Code::Usage)
            .hint("'git pggit store key generate <file>' generates an identity and prints its public key"),
        Error::RecipientKnown { .. } => failure(Code::Conflict)
            .hint("'git pggit store key list' shows all recipients; choose another label with --label"),
        Error::RecipientUnknown { .. } => {
            failure(Code::NotFound).hint("'git pggit store key list' shows all recipients")
        }
        Error::RecipientAmbiguous { .. } => failure(Code::Ambiguous).hint("use a longer prefix of the public key, or the label"),
        Error::LastRecipient { .. } => {
            failure(Code::Conflict).hint("nobody could read the store afterwards; add another recipient first")
        }
        Error::NotEncrypted { .. } => failure(Code::Conflict).hint(
            "an existing store cannot be encrypted; create another one with 'git pggit store init <url> --recipient <key>'",
        ),
        _ => failure(Code::Fatal),
    }
}

/// Returns the failure for bytes or stores that differ from the records.
fn against_record(error: &store::Error) -> Failure {
    use store::Error;
    let failure = |code| Failure::of(code, error);
    match error {
        Error::Replaced { .. } => failure(Code::Conflict)
            .hint("name the store of the backups: 'git config pggit.store <url>', or --from <place>"),
        Error::OutsideRoots { .. } => failure(Code::Conflict)
            .hint("records of other people may name any location; if you trust the location, add --from <place>")
            .hint("or permanently: git config --add pggit.place <place>"),
        Error::OtherFiles { .. } => failure(Code::Corrupt)
            .hint("the stored data is corrupt; restore from another backup"),
        _ => failure(Code::Conflict)
            .hint("the store may have been replaced; 'git pggit store show' shows its configuration"),
    }
}

impl From<queue::Error> for Failure {
    fn from(error: queue::Error) -> Self {
        use queue::Error;
        let failure = |code| Self::of(code, &error);
        match error {
            Error::Git(error) => error.into(),
            Error::Pg(error) => error.into(),
            Error::NotFound { .. } => failure(Code::NotFound).hint("'git pggit queue list' shows all jobs"),
            Error::Refused { .. } | Error::Lost { .. } => failure(Code::Conflict),
            Error::Damaged { .. } => failure(Code::Corrupt),
            Error::Busy { .. } => failure(Code::Busy).hint("nothing was changed; try again"),
            Error::Version { installed, needed, .. } if installed > needed => {
                failure(Code::Configuration).hint("use a newer version of git-pggit")
            }
            Error::Version { .. } => failure(Code::Configuration)
                .hint("'git pggit queue init' upgrades the queue; its role must own the schema"),
            Error::Exposed { .. } => failure(Code::Configuration)
                .hint("'git pggit queue list' shows all jobs; cancel unknown jobs with 'git pggit queue cancel'")
                .hint("then forbid pushes to the queue: git config --add receive.hideRefs refs/pggit"),
            Error::Fetched { ref remote, .. } => {
                let key = format!("remote.{remote}.fetch");
                failure(Code::Configuration).hint(format!("exclude these refs: git config --add {key} '^refs/pggit/*'"))
            }
            Error::Watch { .. } => failure(Code::Fatal),
        }
    }
}

impl From<automation::InvocationError> for Failure {
    fn from(error: automation::InvocationError) -> Self {
        let failure = Self::of(Code::Usage, &error);
        match error {
            automation::InvocationError::NotUtf8(_) => failure,
            automation::InvocationError::LineBreak => {
                failure.hint("use 'git pggit schedule systemd' instead")
            }
        }
    }
}

impl From<wal::Error> for Failure {
    fn from(error: wal::Error) -> Self {
        use wal::Error;
        let failure = |code| Self::of(code, &error);
        match error {
            Error::Workspace(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Pg(error) => error.into(),
            Error::Tools(error) => error.into(),
            Error::Invalid(error) => error.into(),
            Error::ControlFile { .. } => failure(Code::Usage).hint(
                "run the command in the data directory, as PostgreSQL does, or name the directory with --pgdata",
            ),
            Error::Spool { .. } => failure(Code::Storage).hint("choose another directory with TMPDIR"),
            Error::Target { .. } | Error::Directory { .. } => failure(Code::Storage),
            Error::File { .. } | Error::NotArchived { .. } => failure(Code::NotFound),
            Error::Occupied { .. } => failure(Code::Busy),
            Error::NoSystemIdentifier => failure(Code::DatabaseUnreachable)
                .hint("GRANT EXECUTE ON FUNCTION pg_control_system() TO <role>"),
            Error::NoEnd => failure(Code::Usage),
            Error::Segment { .. } | Error::Signals(_) => failure(Code::Fatal),
        }
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        match error {
            worker::Error::Queue(error) => error.into(),
            worker::Error::Workspace(error) => error.into(),
            worker::Error::Listen { .. } => Self::of(Code::Usage, &error),
            worker::Error::Io(_) => Self::of(Code::Fatal, &error),
        }
    }
}

impl From<worker::job::ReadError> for Failure {
    fn from(error: worker::job::ReadError) -> Self {
        use worker::job::ReadError;
        match error {
            ReadError::Input(_) | ReadError::Signals(_) => Self::of(Code::Fatal, &error),
            ReadError::Malformed(_) => Self::of(Code::Usage, &error),
        }
    }
}

impl From<worker::job::Error> for Failure {
    fn from(error: worker::job::Error) -> Self {
        use worker::job::Error;
        match error {
            Error::Workspace(error) => (*error).into(),
            Error::Backup(error) => {
                let refused = matches!(*error, backup::Error::Ledger(ledger::Error::Refused { .. }));
                let failure = Self::from(*error);
                if refused { failure.with_code(Code::Busy) } else { failure }
            }
            Error::Verify(error) => (*error).into(),
            Error::UnknownTool { .. } => Self::of(Code::Configuration, &error),
            Error::EarlierAttempt => Self::of(Code::Busy, &error),
            Error::VerificationFailed { ref reasons, .. } => {
                let failure = Self::of(Code::CheckFailed, &error);
                reasons.iter().cloned().fold(failure, Self::cause)
            }
        }
    }
}

/// Advice for a machine without a user that may run a server.
pub(super) const MAKE_USER: &str = "create a user that owns nothing else: useradd --system --no-create-home --shell /usr/sbin/nologin pggit-scratch";
pub(super) const NAME_USER: &str =
    "or name another user that owns no server: git config pggit.scratchUser <user>";

/// Returns the advice for a missing server of a major version.
pub(super) fn server_wanted(major: u32) -> String {
    format!(
        "install the server of PostgreSQL {major}, or name its directory: git config pggit.pgBinDir <dir>"
    )
}

impl From<verify::Error> for Failure {
    fn from(error: verify::Error) -> Self {
        use verify::Error;
        let failure = |code| Self::of(code, &error);
        match error {
            Error::Ledger(error) => error.into(),
            Error::Pg(error) => error.into(),
            Error::Tools(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Process(error) => error.into(),
            Error::Recovery(error) => error.into(),
            Error::Workspace(error) => (*error).into(),
            Error::Artifacts(error) => (*error).into(),
            Error::NotVerifiable { .. } | Error::UnknownTool { .. } => failure(Code::Conflict),
            Error::ServerMissing { major, .. } => failure(Code::ToolFailed).hint(server_wanted(major)),
            Error::NoUser { .. } => failure(Code::Configuration).hint(MAKE_USER).hint(NAME_USER),
            Error::Scratch { .. } | Error::TooLong { .. } | Error::InsideDataDirectory { .. } => {
                failure(Code::Storage).hint("choose another directory: git config pggit.scratchDir <dir>")
            }
            Error::NoRoom { .. } => failure(Code::Storage)
                .hint("make room, or choose another directory: git config pggit.scratchDir <dir>"),
            Error::NotStarted { .. } | Error::NotScratch { .. } | Error::Unsuitable { .. } => {
                failure(Code::ToolFailed)
            }
            Error::Deadline { .. } => failure(Code::ToolFailed)
                .hint("increase the time limit: git config pggit.<database>.verifyTimeout <duration>"),
            Error::Interrupted { .. } => failure(Code::Interrupted).hint("no verdict was recorded"),
        }
    }
}

impl From<artifacts::Error> for Failure {
    fn from(error: artifacts::Error) -> Self {
        use artifacts::Error;
        match error {
            Error::Config(error) => error.into(),
            Error::UnknownTool { .. } => {
                let known: Vec<_> = config::Tool::KNOWN.iter().map(|(word, _)| *word).collect();
                let failure =
                    Self::of(Code::Configuration, &error).hint(format!("known tools: {}", known.join(", ")));
                failure.hint("a custom tool needs a command: git config pggit.tool.<tool>.backup; see docs/custom-tools.md")
            }
        }
    }
}

impl From<backup::Error> for Failure {
    fn from(error: backup::Error) -> Self {
        use backup::Error;
        match error {
            Error::Git(error) => error.into(),
            Error::Ledger(error) => error.into(),
            Error::Pg(error) => error.into(),
            Error::Tools(error) => error.into(),
            Error::Store(error) => error.into(),
            other @ Error::MarkDiffers { .. } => Self::of(Code::Conflict, &other)
                .hint("leave out --commit to use the commit recorded in the database")
                .hint("or use --force to back up onto the given commit; the record then names both commits"),
            other @ Error::MarkUnknown { .. } => Self::of(Code::Conflict, &other)
                .hint("the database belongs to another repository, or its commit was not fetched")
                .hint("name the commit with --commit and --force, or correct the mark with 'git pggit mark'"),
            other @ Error::CommitDoubtful { .. } => Self::of(Code::Conflict, &other)
                .hint("'git pggit migrations' shows the state of each migration; 'git pggit mark' records the commit"),
            Error::Artifacts(error) => error.into(),
            other @ Error::NoCatalogue { .. } => Self::of(Code::Usage, &other)
                .hint("pgbackrest and barman have a catalogue, and custom tools with pggit.tool.<tool>.list"),
            other @ Error::BaseUnreadable { .. } => {
                Self::of(Code::Corrupt, &other).hint("make a full backup: --type full")
            }
            other @ Error::NotAgain { reason: backup::NotAgain::BeingMade, .. } => {
                Self::of(Code::Busy, &other)
            }
            other @ Error::NotAgain { .. } => Self::of(Code::Conflict, &other),
            other @ Error::Interrupted { .. } => Self::of(Code::Interrupted, &other),
            Error::Workspace(error) => error.into(),
        }
    }
}

impl From<workspace::artifacts::RemovalRefused> for Failure {
    fn from(error: workspace::artifacts::RemovalRefused) -> Self {
        use workspace::artifacts::RemovalRefused as Refused;
        let failure = Self::of(Code::Conflict, &error);
        match &error {
            Refused::RecordUnreadable { .. } => {
                failure.with_code(Code::Corrupt).hint("'git pggit fsck' lists the errors of the ledger")
            }
            Refused::InProgress { .. } => {
                failure.hint("if the backup was interrupted, record that with 'git pggit backup fail'")
            }
            Refused::Deleted { .. } => failure.hint(
                "'--recorded' removes the artifact; 'git pggit backup log' shows who deleted the backup",
            ),
            Refused::Held { .. } => failure.hint("'git pggit backup release' releases the hold"),
            Refused::Needed { by, .. } => failure.cause(format!("backup {by}")),
            Refused::Recorded { .. } => {
                failure.hint("'--recorded' records the backup as deleted, and removes the artifact")
            }
        }
    }
}

impl From<workspace::Error> for Failure {
    fn from(error: workspace::Error) -> Self {
        use workspace::Error;
        match error {
            Error::Git(error) => error.into(),
            Error::GitConfig(error) => error.into(),
            Error::Config(error) => error.into(),
            Error::Ledger(error) => error.into(),
            Error::Pg(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Queue(error) => error.into(),
            Error::Setting { origin, source } => {
                Self::from(*source).cause(format!("pggit.repository is set in {origin}"))
            }
            Error::RecordsRepository { ref reason, .. } => Self::of(Code::Configuration, &error)
                .cause(reason.clone())
                .hint("'git pggit init --repository <dir>' creates such a repository"),
            Error::SeveralStateTables { .. } => Self::of(Code::Ambiguous, &error),
            Error::AmbiguousMigrations { .. } => Self::of(Code::Ambiguous, &error)
                .hint("name the directory: git config pggit.<database>.migrations <directory>"),
            Error::NoDirectory | Error::NotOneLine { .. } => Self::of(Code::Usage, &error),
            Error::PasswordInArguments => Self::of(Code::Usage, &error)
                .hint("put the password into ~/.pgpass, a service file or PGPASSWORD"),
            Error::Credentials { .. } => Self::of(Code::Configuration, &error),
            Error::PlaceMissing { ref command, .. } => Self::of(Code::Storage, &error)
                .hint("mount it, or restore it")
                .hint(format!("if the backups are permanently lost, '{command}' creates an empty one")),
            Error::OtherStore { source, command } => match source {
                store::Error::Replaced { .. } => {
                    Self::from(source).hint(format!("to accept the other store: {command}"))
                }
                // Accepting a store does not replace the recorded keys, which are still required.
                source => Self::from(source),
            },
        }
    }
}
