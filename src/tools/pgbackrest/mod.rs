//! The adapter of pgBackRest.
//!
//! pgBackRest keeps backups and WAL in a repository of its own. Annotations, which this program
//! sets, identify a backup there. The recorded facts come from `info`, never from the messages of a
//! running program.

mod info;
mod report;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::adapter::{
    Adapter, BackupBase, BackupOrder, BackupOutput, BackupRef, CatalogEntry, Depth, IntegrityFinding, Probe,
    Report, RestoreStep, Sink, Target,
};
use super::external::{External, PATIENCE, VERSION_DEADLINE, failure, is_word, numbers, option};
use super::fetch_wal::{bring, left};
use super::{Error, ExternalError};
use crate::domain::{
    Backup, BackupType, Dependency, DependencyKind, Encryption, Line, Location, RecoveryTarget,
};
use crate::pg::ServerFacts;
use crate::process::{Cmd, Status};
use crate::progress::Progress;

pub use info::{Stanza, Tablespace, parse as parse_info};
pub use report::{Report as VerifyReport, VerifyResult, parse as parse_verify};

/// The name of the program and of the tool.
const NAME: &str = "pgbackrest";
/// The oldest version that supports annotations.
const OLDEST: [u32; 2] = [2, 41];
/// The first version that refuses to run as root by default.
const NO_ROOT: [u32; 2] = [2, 59];
/// The options of a restore into a scratch directory. They disable later WAL fetches, writes to
/// other directories and exclusions, regardless of the configuration.
const IN_SCRATCH: [&str; 4] =
    ["--type=none", "--reset-db-include", "--reset-db-exclude", "--reset-recovery-option"];
/// The options that keep symbolic links and tablespaces inside the directory, regardless of the
/// configuration of pgBackRest.
const NO_LINKS: [&str; 3] = ["--no-link-all", "--reset-link-map", "--reset-tablespace-map-all"];
/// The exit status of `archive-get` if the segment is missing.
const NOT_IN_ARCHIVE: i32 = 1;
/// The exit statuses of `archive-get` for a damaged file: invalid checksum, content or format.
const DAMAGED: [i32; 3] = [26, 28, 29];
/// The first version whose `verify` needs an option to check a single backup.
const VERIFIES_SETS: [u32; 2] = [2, 55];

/// pgBackRest and the name of its stanza for the database.
#[derive(Debug, Clone)]
pub struct PgBackRest {
    /// The program.
    pub external: External,
    /// The name of the stanza.
    pub stanza: Option<String>,
    /// The configuration file; `None` for pgBackRest's default.
    pub config: Option<PathBuf>,
    /// The number of the repository. If it is `None`, backups go to the first repository and all
    /// repositories are searched.
    pub repo: Option<u32>,
}

/// Returns the location `pgbackrest:<stanza>/<label>`, with `?repo=<n>` unless the number is 1.
fn location(stanza: &str, label: &str, repo: u32) -> Location {
    let repo = if repo == 1 { String::new() } else { format!("?repo={repo}") };
    format!("{NAME}:{stanza}/{label}{repo}").parse().expect("words make a location")
}

/// Returns the stanza, the label and the repository of a location.
fn parse_location(location: &str) -> Option<(&str, &str, u32)> {
    let (stanza, rest) = location.strip_prefix(NAME)?.strip_prefix(':')?.split_once('/')?;
    let (label, repo) = match rest.split_once("?repo=") {
        Some((label, repo)) => (label, repo.parse().ok().filter(|repo| (1..=256).contains(repo))?),
        None => (rest, 1),
    };
    (is_word(stanza) && is_word(label)).then_some((stanza, label, repo))
}

fn fault(fault: ExternalError) -> Error {
    Error::tool(NAME, fault)
}

/// Classifies a failure by its message and its exit status.
fn sort(status: Status, words: String) -> ExternalError {
    match status {
        Status::Exited(50) => ExternalError::Busy(words),
        Status::Exited(56) => ExternalError::Server(words),
        Status::Exited(31) if words.contains("root") => ExternalError::Root,
        _ => ExternalError::Failed { status, words },
    }
}

impl PgBackRest {
    fn stanza(&self) -> Result<&str, Error> {
        self.stanza.as_deref().ok_or_else(|| fault(ExternalError::NotConfigured("pgbackrestStanza")))
    }

    /// Returns a command for the stanza that prints only errors and warnings. Fails if the program
    /// is missing or no stanza is configured.
    fn cmd(&self, command: &str) -> Result<Cmd, Error> {
        let mut cmd = self.external.cmd(NAME)?;
        if let Some(config) = &self.config {
            cmd = cmd.arg(option("--config=", config));
        }
        cmd = cmd.arg(format!("--stanza={}", self.stanza()?));
        cmd = cmd.args(["--log-level-console=off", "--log-level-stderr=warn", "--log-timestamp=n"]);
        Ok(cmd.arg(command))
    }

    fn run(cmd: Cmd) -> Result<crate::process::Output, Error> {
        cmd.run().map_err(|error| failure(NAME, error, sort))
    }

    fn version(&self) -> Result<(PathBuf, String), Error> {
        let path = self.external.find(NAME)?;
        let answer = Self::run(self.external.cmd(NAME)?.arg("version").deadline(VERSION_DEADLINE))?.stdout;
        let text = std::str::from_utf8(&answer).ok().and_then(|text| text.trim().strip_prefix("pgBackRest "));
        let version = text.filter(|text| is_word(text) && numbers(text).len() >= 2);
        let version = version.ok_or_else(|| fault(ExternalError::answer("version", &answer)))?.to_owned();
        if numbers(&version)[..] < OLDEST[..] {
            let reason = "annotations need 2.41 or later".to_owned();
            return Err(fault(ExternalError::TooOld { version, reason }));
        }
        if self.external.is_root() && numbers(&version)[..] >= NO_ROOT[..] {
            return Err(fault(ExternalError::Root));
        }
        Ok((path, version))
    }

    fn info(&self, one: Option<(&str, u32)>) -> Result<Stanza, Error> {
        let mut cmd = self.cmd("info")?.arg("--output=json").deadline(PATIENCE);
        if let Some((label, repo)) = one {
            cmd = cmd.arg(format!("--set={label}")).arg(format!("--repo={repo}"));
        }
        parse_info(&Self::run(cmd)?.stdout, self.stanza()?, self.repo).map_err(fault)
    }

    /// Returns the label and the repository of a recorded backup. Fails if its location is not in
    /// the stanza that is configured here.
    fn label<'b>(&self, backup: &'b Backup) -> Result<(&'b str, u32), Error> {
        let location = backup.location.as_ref().map_or("", Location::as_str);
        match parse_location(location) {
            Some((stanza, label, repo)) if stanza == self.stanza()? => Ok((label, repo)),
            _ => Err(fault(ExternalError::Refused(format!(
                "backup {} is at {location:?}, which is not in stanza `{}`",
                backup.id,
                self.stanza()?
            )))),
        }
    }

    /// Returns the catalogue entry of a recorded backup. Fails if it is missing or has the id of
    /// another backup.
    fn find(&self, stanza: &Stanza, backup: &Backup) -> Result<CatalogEntry, Error> {
        let (label, _) = self.label(backup)?;
        let found =
            stanza.catalogue().into_iter().find(|known| Some(&known.location) == backup.location.as_ref());
        let found = found.ok_or_else(|| fault(ExternalError::NoBackup(label.to_owned())))?;
        if found.known_as().is_some_and(|id| id != backup.id) {
            let message = format!("{label} is not backup {}", backup.id);
            return Err(fault(ExternalError::Refused(message)));
        }
        Ok(found)
    }

    fn made(&self, stanza: &Stanza, found: CatalogEntry, version: String, warnings: &str) -> BackupOutput {
        let parent = found.parent.as_ref().and_then(|label| {
            let repo = parse_location(found.location.as_str()).map_or(1, |(_, _, repo)| repo);
            let wanted = location(&stanza_of(&found), label, repo);
            stanza.catalogue().into_iter().find(|known| known.location == wanted)
        });
        let mut metadata = found.made.metadata;
        let warnings = warnings.lines().filter_map(|line| Some(line.split_once("WARN: ")?.1.trim()));
        let warnings: Vec<&str> = warnings.take(20).collect();
        if !warnings.is_empty() {
            metadata.insert("warnings", warnings);
        }
        BackupOutput {
            location: Some(found.location),
            basis: Some(BackupBase {
                kind: found.kind,
                parent: parent.and_then(|parent| depends(found.kind, &parent)),
            }),
            size_bytes: Some(found.made.size_bytes),
            stored_bytes: Some(found.made.stored_bytes),
            encryption: found.made.encryption.map(|key| Encryption { key_id: Line::lossy(&key) }),
            tool_version: version,
            postgres: Some(found.made.postgres),
            metadata,
            ..BackupOutput::default()
        }
    }
}

fn stanza_of(found: &CatalogEntry) -> String {
    parse_location(found.location.as_str()).map_or_else(String::new, |(stanza, ..)| stanza.to_owned())
}

fn depends(kind: BackupType, parent: &CatalogEntry) -> Option<Dependency> {
    Some(Dependency { id: parent.known_as()?, kind: DependencyKind::between(kind, parent.kind).ok()? })
}

impl Adapter for PgBackRest {
    fn name(&self) -> &str {
        NAME
    }

    fn probe(&self, _: u32) -> Result<Probe, Error> {
        let (path, version) = self.version()?;
        let types = vec![BackupType::Full, BackupType::Differential, BackupType::Incremental];
        Ok(Probe { path, version, types })
    }

    fn has_repository(&self) -> bool {
        true
    }

    /// Returns the type without a parent. pgBackRest itself chooses the parent and reports it
    /// afterwards.
    fn choose_base(&self, wanted: BackupType, _: &ServerFacts, _: &[&Backup]) -> Result<BackupBase, Error> {
        match wanted {
            BackupType::Snapshot => Err(Error::TypeUnsupported {
                tool: NAME.to_owned(),
                kind: wanted,
                makes: "full, differential and incremental",
            }),
            kind => Ok(BackupBase::of(kind)),
        }
    }

    fn backup(
        &self,
        order: &BackupOrder<'_>,
        _: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error> {
        let (_, version) = self.version()?;
        let id = order.id;
        // A lost attempt may have made a backup with this id.
        let earlier: Vec<_> =
            self.info(None)?.catalogue().into_iter().filter(|known| known.id == Some(id)).collect();
        progress.stage(&format!("backing up {} with pgBackRest", order.database), None);
        let kind = match order.kind {
            BackupType::Differential => "diff",
            BackupType::Incremental => "incr",
            BackupType::Full | BackupType::Snapshot => "full",
        };
        let mut cmd = self.cmd("backup")?.arg(format!("--type={kind}")).deadline(order.deadline);
        cmd = cmd.arg(format!("--annotation={}={id}", info::OUR_ID));
        cmd = cmd.arg(format!("--annotation={}={}", info::OUR_COMMIT, order.commit));
        if let Some(repo) = self.repo {
            cmd = cmd.arg(format!("--repo={repo}"));
        }
        let output = Self::run(cmd)?;
        let stanza = self.info(None)?;
        let ours = stanza
            .catalogue()
            .into_iter()
            .rfind(|known| known.id == Some(id) && !earlier.iter().any(|old| old.location == known.location));
        let ours = ours.ok_or_else(|| {
            fault(ExternalError::Unconfirmed(format!(
                "the backup succeeded, but the repository has no new backup with {}={id}",
                info::OUR_ID
            )))
        })?;
        Ok(self.made(&stanza, ours, version, &output.exit.stderr))
    }

    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error> {
        self.version()?;
        Ok(Some(self.info(None)?.catalogue()))
    }

    fn holds(&self, location: &Location) -> bool {
        parse_location(location.as_str()).is_some_and(|(stanza, _, repo)| {
            Some(stanza) == self.stanza.as_deref() && self.repo.is_none_or(|wanted| wanted == repo)
        })
    }

    fn check(&self, subject: &BackupRef<'_>, _: Depth, progress: &dyn Progress) -> Result<Report, Error> {
        let (_, version) = self.version()?;
        let (label, repo) = self.label(subject.backup)?;
        let (stanza, mut report) = (self.info(None)?, Report::default());
        let found = match self.find(&stanza, subject.backup) {
            Err(Error::Tool { fault: ExternalError::NoBackup(_), .. }) => {
                report
                    .findings
                    .push(IntegrityFinding::fatal(format!("{label} is not in the repository any more")));
                return Ok(report);
            }
            found => found?,
        };
        let made_by = found.made.tool_version.unwrap_or_default();
        if numbers(&version) < numbers(&made_by) {
            // An older pgBackRest would report valid files of a newer version as missing.
            let reason = format!("backup {label} was made by version {made_by}");
            return Err(fault(ExternalError::TooOld { version, reason }));
        }
        if found.made.metadata.as_map().contains_key("page_checksum_errors") {
            let message = "pages with wrong checksums were found in the database when the backup was made";
            report.findings.push(IntegrityFinding::warning(message));
        }
        progress.stage(&format!("verifying {label}"), None);
        let mut cmd = self.cmd("verify")?.args(["--output=text", "--verbose"]).arg(format!("--repo={repo}"));
        if numbers(&version)[..] >= VERIFIES_SETS[..] && stanza.chain(label, repo).len() == 1 {
            cmd = cmd.arg(format!("--set={label}"));
        }
        let verified = parse_verify(&Self::run(cmd)?.stdout, self.stanza()?).map_err(fault)?;
        judge(&verified, &stanza.chain(label, repo), &mut report);
        report.evidence.insert("pgbackrest_version", version);
        report.evidence.insert("pgbackrest_verify_status", verified.status);
        Ok(report)
    }

    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        let (path, tablespaces, how) = match target {
            Target::DataDirectory { path, tablespaces, until } => (path, tablespaces, recovery(until)),
            Target::Scratch { path, tablespaces } => {
                (path, tablespaces, IN_SCRATCH.map(str::to_owned).to_vec())
            }
            Target::Database { .. } => {
                return Err(Error::TargetUnsupported {
                    tool: NAME.to_owned(),
                    reason: "is restored into a data directory, not into a database",
                });
            }
        };
        self.version()?;
        let (label, repo) = self.label(subject.backup)?;
        self.find(&self.info(None)?, subject.backup)?;
        let mut cmd = self.cmd("restore")?.arg(format!("--repo={repo}")).arg(format!("--set={label}"));
        // The caller decides on links and tablespaces, not the configuration file.
        cmd = cmd.arg(option("--pg1-path=", path)).arg("--archive-mode=off").args(NO_LINKS).args(how);
        if !tablespaces.is_empty() {
            let stanza = self.info(Some((label, repo)))?;
            for (from, to) in tablespaces {
                let known = stanza
                    .tablespaces(label)
                    .iter()
                    .find(|known| known.destination.as_str() == from.as_os_str());
                let known = known.ok_or_else(|| {
                    fault(ExternalError::Refused(format!("{label} has no tablespace at {}", from.display())))
                })?;
                cmd = cmd.arg(option(&format!("--tablespace-map={}=", known.name), to));
            }
        }
        let what = format!("restore {label} with pgBackRest");
        let owner = self.external.user(NAME)?;
        Ok(vec![
            RestoreStep::RequireEmpty { path: path.clone(), owner },
            RestoreStep::Run { what, cmd: Box::new(cmd) },
        ])
    }

    fn tablespaces(&self, subject: &BackupRef<'_>) -> Result<Vec<PathBuf>, Error> {
        let (label, repo) = self.label(subject.backup)?;
        let stanza = self.info(Some((label, repo)))?;
        Ok(stanza.tablespaces(label).iter().map(|known| known.destination.clone().into()).collect())
    }

    /// Returns true, because each file in a repository has a checksum.
    fn restore_proves(&self) -> bool {
        true
    }

    fn fetch_wal(&self, subject: &BackupRef<'_>, data: &Path, until: Instant) -> Result<Report, Error> {
        let (_, repo) = self.label(subject.backup)?;
        let found = self.find(&self.info(None)?, subject.backup)?;
        bring(NAME, &found.made, data, |segment, into| {
            // The asynchronous queue serves the production server, so it is not used here.
            let cmd = self.cmd("archive-get")?.arg("--no-archive-async").arg(format!("--repo={repo}"));
            let cmd = cmd.arg(option("--pg1-path=", data)).arg(segment.as_str()).arg(into);
            match Self::run(cmd.deadline(left(until))) {
                Ok(_) => Ok(Ok(())),
                Err(Error::Tool {
                    fault: ExternalError::Failed { status: Status::Exited(code), words },
                    ..
                }) => match code {
                    NOT_IN_ARCHIVE => Ok(Err("is not in the repository".to_owned())),
                    code if DAMAGED.contains(&code) => Ok(Err(format!("is damaged: {words}"))),
                    _ => Err(fault(sort(Status::Exited(code), words))),
                },
                Err(error) => Err(error),
            }
        })
    }

    fn delete(&self, subject: &BackupRef<'_>) -> Result<(), Error> {
        self.version()?;
        let ((label, repo), stanza) = (self.label(subject.backup)?, self.info(None)?);
        match self.find(&stanza, subject.backup) {
            Err(Error::Tool { fault: ExternalError::NoBackup(_), .. }) => return Ok(()),
            found => drop(found?),
        }
        // pgBackRest would delete these backups too.
        let dependents = stanza.dependents(label, repo);
        if !dependents.is_empty() {
            let message = format!("{label} is needed by {}", dependents.join(", "));
            return Err(fault(ExternalError::Refused(message)));
        }
        Self::run(self.cmd("expire")?.arg(format!("--repo={repo}")).arg(format!("--set={label}")))?;
        match self.find(&self.info(None)?, subject.backup) {
            Err(Error::Tool { fault: ExternalError::NoBackup(_), .. }) => Ok(()),
            _ => Err(fault(ExternalError::Unconfirmed(format!(
                "{label} was expired, but is still in the repository"
            )))),
        }
    }
}

/// Adds the findings of a verification for one backup chain to the report.
fn judge(verified: &VerifyReport, chain: &[String], report: &mut Report) {
    for label in chain {
        match verified.backups.get(label) {
            Some(part) if part.is_good() => {}
            Some(part) => report.findings.push(IntegrityFinding::fatal(format!("{label}: {}", part.words()))),
            None => report
                .findings
                .push(IntegrityFinding::fatal(format!("{label}: pgBackRest did not verify it"))),
        }
    }
    for (archive, part) in verified.archives.iter().filter(|(_, part)| !part.is_good()) {
        let message = format!("WAL {archive}: {}; recovery may not get past it", part.words());
        report.findings.push(IntegrityFinding::warning(message));
    }
    let mut others =
        verified.backups.iter().filter(|(label, part)| !chain.contains(label) && !part.is_good());
    if verified.status != "ok" && report.findings.is_empty() {
        let message = match others.next() {
            Some((label, part)) => {
                format!("another backup of the stanza is damaged: {label}: {}", part.words())
            }
            None => format!("stanza status {}: {}", verified.status, verified.further.join("; ")),
        };
        report.findings.push(IntegrityFinding::warning(message));
    }
    let checked: u64 =
        chain.iter().filter_map(|label| verified.backups.get(label)).map(|part| part.checked).sum();
    report.evidence.insert("verified_files", checked);
}

/// Returns the options of pgBackRest for a recovery target.
fn recovery(until: &RecoveryTarget) -> Vec<String> {
    let target = |kind: &str, value: Option<String>| {
        let value = value.map(|value| format!("--target={value}"));
        let head = [format!("--type={kind}"), "--target-action=promote".to_owned()];
        head.into_iter().chain(value).collect()
    };
    match until {
        RecoveryTarget::Latest => vec!["--type=default".to_owned()],
        RecoveryTarget::Immediate => target("immediate", None),
        RecoveryTarget::Time(time) => target("time", Some(super::external::recovery_time(time))),
        RecoveryTarget::Lsn(lsn) => target("lsn", Some(lsn.to_string())),
        RecoveryTarget::Name(name) => target("name", Some(name.to_string())),
        RecoveryTarget::Xid(xid) => target("xid", Some(xid.to_string())),
    }
}
