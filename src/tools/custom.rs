//! The adapter of custom tools: commands in the user's configuration that use a small protocol.
//! `docs/custom-tools.md` describes the protocol; this module implements it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{
    Adapter, BackupBase, BackupOrder, BackupOutput, BackupRef, CatalogEntry, CataloguedFacts, Depth,
    IntegrityFinding, Probe, Report, RestoreStep, Sink, Target,
};
use super::external::{External, PATIENCE, failure};
use super::{Connection, Error, ExternalError};
use crate::domain::{
    Backup, BackupId, BackupType, CommitId, Dependency, DependencyKind, Encryption, Line, Location, Metadata,
    Postgres, RecoveryTarget, Timestamp,
};
use crate::pg::ServerFacts;
use crate::process::{Cmd, Status, find_program, search_path};
use crate::progress::Progress;

/// `EX_TEMPFAIL` of sysexits.h: a retry may succeed.
const TRY_LATER: i32 = 75;
/// The key of the metadata with the original directories of the tablespaces.
const TABLESPACES: &str = "tablespaces";
/// The maximum size of an answer in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The version of a tool that does not report one.
const NO_VERSION: &str = "unknown";

/// The commands of a tool, each as a program with its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Makes a backup.
    pub backup: Option<Vec<String>>,
    /// Restores a backup.
    pub restore: Option<Vec<String>>,
    /// Verifies a backup.
    pub verify: Option<Vec<String>>,
    /// Removes a backup.
    pub delete: Option<Vec<String>>,
    /// Lists the backups.
    pub list: Option<Vec<String>>,
}

/// A tool that is defined by configuration.
#[derive(Debug, Clone)]
pub struct Custom {
    /// The name of the tool.
    pub name: String,
    /// The commands of the tool.
    pub commands: Commands,
    /// The operating system user that runs the commands.
    pub user: Option<String>,
    /// The configured database.
    pub database: String,
    /// The connection to the database.
    pub connection: Connection,
}

/// The answer of the command `backup`.
#[derive(Deserialize)]
struct MadeAnswer {
    location: Location,
    #[serde(default, rename = "type")]
    kind: Option<BackupType>,
    #[serde(default)]
    parent: Option<BackupId>,
    #[serde(flatten)]
    facts: FactsAnswer,
}

/// Optional facts about a backup.
#[derive(Default, Deserialize)]
struct FactsAnswer {
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    stopped_at: Option<Timestamp>,
    #[serde(default)]
    size_bytes: Option<u64>,
    #[serde(default)]
    stored_bytes: Option<u64>,
    #[serde(default)]
    tool_version: Option<Line>,
    #[serde(default)]
    encryption: Option<Line>,
    #[serde(default)]
    postgres: Option<Postgres>,
    #[serde(default)]
    metadata: Metadata,
}

/// The answer of the command `verify`.
#[derive(Deserialize)]
struct VerifyAnswer {
    findings: Vec<FindingAnswer>,
    #[serde(default)]
    evidence: Metadata,
}

#[derive(Deserialize)]
struct FindingAnswer {
    fatal: bool,
    message: String,
}

/// The answer of the command `list`.
#[derive(Deserialize)]
struct ListAnswer {
    backups: Vec<ListedAnswer>,
}

#[derive(Deserialize)]
struct ListedAnswer {
    label: String,
    location: Location,
    #[serde(default)]
    id: Option<BackupId>,
    #[serde(default)]
    commit: Option<CommitId>,
    #[serde(rename = "type")]
    kind: BackupType,
    #[serde(default)]
    parent: Option<String>,
    /// The reason why the backup is unusable.
    #[serde(default)]
    unusable: Option<String>,
    #[serde(flatten)]
    facts: FactsAnswer,
}

impl Custom {
    fn fault(&self, fault: ExternalError) -> Error {
        Error::tool(&self.name, fault)
    }

    /// Returns the command for `action`, with the variables that all commands get. Fails if no
    /// command is configured or its program is missing.
    fn cmd(&self, action: &'static str, words: Option<&Vec<String>>) -> Result<Cmd, Error> {
        let (program, args) = words.and_then(|words| words.split_first()).ok_or_else(|| {
            self.fault(ExternalError::Unsupported(format!("no command is configured for '{action}'")))
        })?;
        let found = match program.contains('/') {
            true => Some(program.into()).filter(|path: &PathBuf| path.is_absolute() && path.is_file()),
            false => find_program(program.as_ref(), &[], search_path().as_deref()),
        };
        let path = found.ok_or_else(|| Error::tool(program, ExternalError::Missing))?;
        let external = External { program: Some(path), user: self.user.clone() };
        let cmd = external.cmd(&self.name)?.args(args).stdout_limit(ANSWER_BYTES_MAX);
        let cmd = self.connection.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
        let cmd = cmd.env("PGGIT_ACTION", action).env("PGGIT_TOOL", &self.name);
        Ok(cmd.env("PGGIT_DATABASE", &self.database).env("PGGIT_CONNINFO", &self.connection.conninfo))
    }

    /// Returns the command for `action` on an existing backup.
    fn about(
        &self,
        action: &'static str,
        words: Option<&Vec<String>>,
        backup: &Backup,
    ) -> Result<Cmd, Error> {
        let location = backup.location.as_ref().map_or("", Location::as_str);
        let cmd = self.cmd(action, words)?.env("PGGIT_BACKUP_ID", backup.id.to_string());
        let cmd = cmd.env("PGGIT_COMMIT", backup.commit.as_str()).env("PGGIT_LOCATION", location);
        Ok(cmd.env("PGGIT_BACKUP_TYPE", backup.kind.as_str()))
    }

    fn require_empty(&self, path: &Path) -> Result<RestoreStep, Error> {
        let owner = External { program: None, user: self.user.clone() }.user(&self.name)?;
        Ok(RestoreStep::RequireEmpty { path: path.to_owned(), owner })
    }

    fn with_password(&self, cmd: Cmd) -> Cmd {
        match &self.connection.password {
            Some(password) => cmd.secret_env("PGPASSWORD", password.clone()),
            None => cmd,
        }
    }

    fn run(&self, cmd: Cmd) -> Result<Vec<u8>, Error> {
        let sort = |status, words: String| match status {
            Status::Exited(TRY_LATER) => ExternalError::Busy(words),
            Status::Exited(_) => ExternalError::Permanent { status, words },
            Status::Killed(_) => ExternalError::Failed { status, words },
        };
        Ok(cmd.run().map_err(|error| failure(&self.name, error, sort))?.stdout)
    }

    fn answer<T: for<'a> Deserialize<'a>>(&self, asked: &'static str, answer: &[u8]) -> Result<T, Error> {
        let value = serde_json::from_slice::<Value>(answer);
        let value = value.map_err(|_| self.fault(ExternalError::answer(asked, answer)))?;
        // The answer may contain a secret by mistake, so errors do not repeat it.
        serde_json::from_value(value)
            .map_err(|error| self.fault(ExternalError::Answer { asked, answer: error.to_string() }))
    }
}

impl Adapter for Custom {
    fn name(&self) -> &str {
        &self.name
    }

    /// Finds the programs. The tool reports its version with its first backup.
    fn probe(&self, _: u32) -> Result<Probe, Error> {
        let cmd = self.cmd("backup", self.commands.backup.as_ref())?;
        let path = cmd.argv().first().map(OsString::from).unwrap_or_default().into();
        Ok(Probe { path, version: NO_VERSION.to_owned(), types: BackupType::ALL.to_vec() })
    }

    fn has_repository(&self) -> bool {
        true
    }

    /// Proposes the newest suitable backup as the parent. The tool may choose another one.
    fn choose_base(
        &self,
        wanted: BackupType,
        _: &ServerFacts,
        known: &[&Backup],
    ) -> Result<BackupBase, Error> {
        let fits = |backup: &&&Backup| DependencyKind::between(wanted, backup.kind).is_ok();
        let parent = known.iter().find(fits).and_then(|backup| {
            Some(Dependency { id: backup.id, kind: DependencyKind::between(wanted, backup.kind).ok()? })
        });
        match (wanted, parent) {
            (BackupType::Incremental | BackupType::Differential, None) => Ok(BackupBase::full()),
            (kind, parent) => Ok(BackupBase { kind, parent }),
        }
    }

    fn backup(
        &self,
        order: &BackupOrder<'_>,
        _: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error> {
        progress.stage(&format!("backing up {} with {}", order.database, self.name), None);
        let mut cmd = self.cmd("backup", self.commands.backup.as_ref())?.deadline(order.deadline);
        cmd = cmd.env("PGGIT_BACKUP_ID", order.id.to_string()).env("PGGIT_BACKUP_NAME", order.name.as_str());
        cmd = cmd.env("PGGIT_COMMIT", order.commit.as_str()).env("PGGIT_BACKUP_TYPE", order.kind.as_str());
        cmd = cmd.env("PGGIT_SERVER_MAJOR", order.facts.major.to_string());
        if let Some(parent) = order.parent {
            let location = parent.backup.location.as_ref().map_or("", Location::as_str);
            cmd = cmd
                .env("PGGIT_PARENT_ID", parent.backup.id.to_string())
                .env("PGGIT_PARENT_LOCATION", location);
        }
        let answer = self.run(self.with_password(cmd))?;
        let made: MadeAnswer = self.answer("'backup'", &answer)?;
        let (kind, facts) = (made.kind.unwrap_or(order.kind), made.facts);
        let parent = order
            .parent
            .map(|parent| parent.backup)
            .filter(|parent| made.parent.is_none_or(|named| named == parent.id));
        let depends = parent.and_then(|parent| {
            Some(Dependency { id: parent.id, kind: DependencyKind::between(kind, parent.kind).ok()? })
        });
        Ok(BackupOutput {
            location: Some(made.location),
            basis: Some(BackupBase { kind, parent: depends }),
            size_bytes: facts.size_bytes,
            stored_bytes: facts.stored_bytes,
            encryption: facts.encryption.map(|key_id| Encryption { key_id }),
            tool_version: facts
                .tool_version
                .map_or_else(|| NO_VERSION.to_owned(), |version| version.to_string()),
            postgres: facts.postgres,
            metadata: facts.metadata,
            ..BackupOutput::default()
        })
    }

    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error> {
        if self.commands.list.is_none() {
            return Ok(None);
        }
        let answer = self.run(self.cmd("list", self.commands.list.as_ref())?.deadline(PATIENCE))?;
        let list: ListAnswer = self.answer("'list'", &answer)?;
        let mut all: Vec<_> = list.backups.into_iter().map(|listed| listed.catalogued(&self.name)).collect();
        all.sort_by(|a, b| (a.made.stopped_at, &a.label).cmp(&(b.made.stopped_at, &b.label)));
        Ok(Some(all))
    }

    fn check(&self, subject: &BackupRef<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error> {
        progress.stage(&format!("verifying with {}", self.name), None);
        let depth = match depth {
            Depth::Checksum => "checksum",
            Depth::Integrity => "integrity",
        };
        let cmd =
            self.about("verify", self.commands.verify.as_ref(), subject.backup)?.env("PGGIT_DEPTH", depth);
        let answer: VerifyAnswer = self.answer("'verify'", &self.run(cmd)?)?;
        let finding = |FindingAnswer { fatal, message }| IntegrityFinding { fatal, message };
        Ok(Report { findings: answer.findings.into_iter().map(finding).collect(), evidence: answer.evidence })
    }

    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        let cmd = self.about("restore", self.commands.restore.as_ref(), subject.backup)?;
        let (what, mut steps) = (format!("restore with {}", self.name), Vec::new());
        let cmd = match target {
            Target::Database { connection, server_major, .. } => {
                let cmd = connection.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
                let cmd = cmd.env("PGGIT_CONNINFO", &connection.conninfo).env("PGGIT_TARGET", "database");
                let cmd = cmd.env("PGGIT_SERVER_MAJOR", server_major.to_string());
                match &connection.password {
                    Some(password) => cmd.secret_env("PGPASSWORD", password.clone()),
                    None => cmd,
                }
            }
            // The tool restores tablespaces to their original directories.
            Target::DataDirectory { tablespaces, .. } if tablespaces.iter().any(|(from, to)| from != to) => {
                let message = "a custom tool cannot move tablespaces".to_owned();
                return Err(self.fault(ExternalError::Unsupported(message)));
            }
            Target::DataDirectory { path, until, .. } => {
                steps.push(self.require_empty(path)?);
                into_directory(cmd, path, until)
            }
            Target::Scratch { path, tablespaces } => {
                steps.push(self.require_empty(path)?);
                let map = tablespaces
                    .iter()
                    .map(|(from, to)| json!({ "from": from.to_string_lossy(), "to": to.to_string_lossy() }));
                let map = json!(map.collect::<Vec<_>>()).to_string();
                into_directory(cmd, path, &RecoveryTarget::Immediate).env("PGGIT_TABLESPACES", map)
            }
        };
        steps.push(RestoreStep::Run { what, cmd: Box::new(cmd) });
        Ok(steps)
    }

    /// Returns the tablespaces that the tool reported with the backup.
    fn tablespaces(&self, subject: &BackupRef<'_>) -> Result<Vec<PathBuf>, Error> {
        let Some(told) = subject.backup.metadata.as_map().get(TABLESPACES) else { return Ok(Vec::new()) };
        let one = |value: &Value| value.as_str().map(PathBuf::from).filter(|path| path.is_absolute());
        let all = told.as_array().and_then(|list| list.iter().map(one).collect::<Option<Vec<_>>>());
        all.ok_or_else(|| {
            let message = format!("{TABLESPACES} of backup {} are not absolute paths", subject.backup.id);
            self.fault(ExternalError::Refused(message))
        })
    }

    fn delete(&self, subject: &BackupRef<'_>) -> Result<(), Error> {
        self.run(self.about("delete", self.commands.delete.as_ref(), subject.backup)?).map(drop)
    }
}

impl ListedAnswer {
    fn catalogued(self, tool: &str) -> CatalogEntry {
        let Self { label, location, id, commit, kind, parent, unusable, facts } = self;
        let derived = facts.stopped_at.map(|at| BackupId::derived(at, &[tool, location.as_str()]));
        let mut metadata = facts.metadata;
        metadata.insert("label", label.as_str());
        CatalogEntry {
            label,
            location,
            id,
            derived,
            commit,
            kind,
            parent,
            usable: unusable.map_or(Ok(()), Err),
            made: CataloguedFacts {
                started_at: facts.started_at,
                stopped_at: facts.stopped_at,
                size_bytes: facts.size_bytes.unwrap_or_default(),
                stored_bytes: facts.stored_bytes.unwrap_or_default(),
                tool_version: facts.tool_version.map(|version| version.to_string()),
                encryption: facts.encryption.map(|key| key.to_string()),
                postgres: facts.postgres.unwrap_or_default(),
                metadata,
            },
        }
    }
}

/// Adds the variables of a command that fills a directory.
fn into_directory(cmd: Cmd, path: &Path, until: &RecoveryTarget) -> Cmd {
    let (kind, value) = recovery(until);
    let cmd = cmd.env("PGGIT_TARGET", "directory").env("PGGIT_TARGET_DIRECTORY", path);
    cmd.env("PGGIT_RECOVERY_TARGET", kind).env("PGGIT_RECOVERY_TARGET_VALUE", value)
}

/// Returns the kind and the value of the recovery target.
fn recovery(until: &RecoveryTarget) -> (&'static str, String) {
    match until {
        RecoveryTarget::Latest => ("latest", String::new()),
        RecoveryTarget::Immediate => ("immediate", String::new()),
        RecoveryTarget::Time(time) => ("time", time.to_string()),
        RecoveryTarget::Lsn(lsn) => ("lsn", lsn.to_string()),
        RecoveryTarget::Name(name) => ("name", name.to_string()),
        RecoveryTarget::Xid(xid) => ("xid", xid.to_string()),
    }
}
