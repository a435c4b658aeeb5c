//! The adapter of Barman.
//!
//! Barman keeps backups and the WAL archive of a server in directories of its own. A backup is
//! complete if Barman reports it as `DONE`. A backup that waits for WAL cannot be restored.

mod answer;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backon::{BlockingRetryable as _, ConstantBuilder};

use super::adapter::{
    Adapter, BackupBase, BackupOrder, BackupOutput, BackupRef, CatalogEntry, Depth, IntegrityFinding, Probe,
    Report, RestoreStep, Sink, Target,
};
use super::external::{
    External, PATIENCE, VERSION_DEADLINE, failure, is_word, numbers, option, recovery_time,
};
use super::fetch_wal::{bring, left};
use super::{Error, ExternalError};
use crate::domain::{
    Backup, BackupType, Dependency, DependencyKind, Encryption, Line, Location, RecoveryTarget,
};
use crate::pg::ServerFacts;
use crate::process::{self, Cmd, Output, Status};
use crate::progress::Progress;

pub use answer::{BarmanBackup, parse_list, parse_made, parse_show};

/// The name of the program and of the tool.
const NAME: &str = "barman";
/// The oldest version that supports backup names.
const OLDEST: [u32; 2] = [3, 3];
/// Older versions lose a name that is given together with `--wait`.
const KEEPS_NAMES: [u32; 2] = [3, 5];
/// The first versions of Barman and PostgreSQL with incremental backups.
const INCREMENTAL: ([u32; 2], u32) = ([3, 11], 17);
/// The time to wait for WAL if there is no deadline.
const WAL_PATIENCE: Duration = Duration::from_secs(3600);
/// The interval between two checks of the WAL archive.
const POLL: Duration = Duration::from_millis(500);

/// Barman and the name of its server for the database.
#[derive(Debug, Clone)]
pub struct Barman {
    /// The program.
    pub external: External,
    /// The name of the server in the configuration of Barman.
    pub server: Option<String>,
    /// The configuration file; `None` for Barman's default.
    pub config: Option<PathBuf>,
}

/// Returns the location `barman:<server>/<id>`.
fn location(server: &str, id: &str) -> Location {
    format!("{NAME}:{server}/{id}").parse().expect("words make a location")
}

/// Returns the server and the id of a location.
fn parse_location(location: &str) -> Option<(&str, &str)> {
    let (server, id) = location.strip_prefix(NAME)?.strip_prefix(':')?.split_once('/')?;
    (is_word(server) && is_word(id)).then_some((server, id))
}

fn fault(fault: ExternalError) -> Error {
    Error::tool(NAME, fault)
}

/// Classifies a failure by its message. The exit status of Barman is always 1 or 2.
fn sort(status: Status, words: String) -> ExternalError {
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if has(&["Unknown server", "Unknown or not configured server"]) {
        ExternalError::Unknown(words)
    } else if has(&["Unknown backup"]) {
        ExternalError::NoBackup(words)
    } else if has(&["Another backup", "Another action", "another process", "already running", "is locked"]) {
        ExternalError::Busy(words)
    } else if has(&["could not connect", "connection to server", "Cannot connect to server"]) {
        ExternalError::Server(words)
    } else {
        ExternalError::Failed { status, words }
    }
}

/// Returns the arguments of a command, after the options.
fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

impl Barman {
    fn server(&self) -> Result<&str, Error> {
        self.server.as_deref().ok_or_else(|| fault(ExternalError::NotConfigured("barmanServer")))
    }

    fn cmd(&self, json: bool, args: &[String]) -> Result<Cmd, Error> {
        let mut cmd = self.external.cmd(NAME)?;
        if let Some(config) = &self.config {
            cmd = cmd.arg("--config").arg(config);
        }
        if json {
            cmd = cmd.args(["--format", "json"]);
        }
        Ok(cmd.args(args))
    }

    /// Runs a command. Fails if its exit status is not 0. With JSON output, Barman prints errors on
    /// standard output.
    fn run(cmd: Cmd) -> Result<Output, Error> {
        let output = cmd.run_any().map_err(|error| failure(NAME, error, sort))?;
        if output.exit.status.is_success() {
            return Ok(output);
        }
        let mut said = answer::errors(&output.stdout);
        if said.is_empty() {
            let other = String::from_utf8_lossy(&output.stdout);
            said.extend(
                other
                    .lines()
                    .filter(|line| line.contains("ERROR") || line.contains("EXCEPTION"))
                    .map(str::to_owned),
            );
        }
        let stderr = output.exit.stderr.trim();
        if !stderr.is_empty() {
            said.push(stderr.to_owned());
        }
        Err(fault(sort(output.exit.status, said.join("; "))))
    }

    fn ask(&self, args: &[&str]) -> Result<Vec<u8>, Error> {
        Ok(Self::run(self.cmd(true, &words(args))?.deadline(PATIENCE))?.stdout)
    }

    fn version(&self) -> Result<(PathBuf, String), Error> {
        let path = self.external.find(NAME)?;
        let cmd = self.external.cmd(NAME)?.arg("--version").deadline(VERSION_DEADLINE);
        let answer = Self::run(cmd)?.stdout;
        let text = std::str::from_utf8(&answer).ok().filter(|text| text.contains("Barman"));
        let version =
            text.and_then(|text| text.split_ascii_whitespace().find(|word| numbers(word).len() >= 2));
        let version = version
            .filter(|word| is_word(word))
            .ok_or_else(|| fault(ExternalError::answer("--version", &answer)))?;
        if numbers(version)[..] < OLDEST[..] {
            let reason = "names of backups need 3.3 or later".to_owned();
            return Err(fault(ExternalError::TooOld { version: version.to_owned(), reason }));
        }
        Ok((path, version.to_owned()))
    }

    fn show(&self, id: &str) -> Result<BarmanBackup, Error> {
        let server = self.server()?;
        parse_show(&self.ask(&["show-backup", server, id])?, server).map_err(fault)
    }

    fn list(&self) -> Result<Vec<(String, String)>, Error> {
        let server = self.server()?;
        parse_list(&self.ask(&["list-backups", server])?, server).map_err(fault)
    }

    /// Returns the id of a recorded backup. Fails if its location is not on the server that is
    /// configured here.
    fn label<'b>(&self, backup: &'b Backup) -> Result<&'b str, Error> {
        let location = backup.location.as_ref().map_or("", Location::as_str);
        match parse_location(location) {
            Some((server, id)) if server == self.server()? => Ok(id),
            _ => Err(fault(ExternalError::Refused(format!(
                "backup {} is at {location:?}, which is not on server `{}`",
                backup.id,
                self.server()?
            )))),
        }
    }

    /// Returns Barman's entry of a recorded backup, or `None` if it is missing. Fails if Barman
    /// fails.
    fn find(&self, backup: &Backup) -> Result<Option<BarmanBackup>, Error> {
        let id = self.label(backup)?;
        if !self.list()?.iter().any(|(known, _)| known == id) {
            return Ok(None);
        }
        let shown = self.show(id)?;
        let known = shown.catalogued(self.server()?, None);
        // Some versions lose names. Then there is no id to compare.
        if known.id.is_some_and(|known| known != backup.id) {
            return Err(fault(ExternalError::Refused(format!("{id} is not backup {}", backup.id))));
        }
        Ok(Some(shown))
    }

    /// Waits until all WAL that a backup needs is archived. Fails if WAL is still missing at
    /// `until`, or if the backup has failed.
    fn wait(&self, id: &str, until: Instant) -> Result<BarmanBackup, Error> {
        let server = self.server()?;
        let mut asked = 0;
        let look = || {
            if asked > 0 {
                // `barman cron` does the same. It may be running and hold the lock.
                let cmd = self.cmd(false, &words(&["archive-wal", server]))?.deadline(PATIENCE);
                if let Err(interrupted @ process::Error::Interrupted { .. }) = cmd.run_any() {
                    return Err(Error::Process(interrupted));
                }
            }
            asked += 1;
            let shown = self.show(id)?;
            match shown.status.as_str() {
                answer::DONE => Ok(shown),
                answer::WAITING => {
                    Err(fault(ExternalError::Unconfirmed(format!("backup {id} still waits for WAL"))))
                }
                _ => {
                    let known = shown.catalogued(server, None);
                    let why = known.usable.err().unwrap_or_default();
                    Err(fault(ExternalError::Failed {
                        status: Status::Exited(0),
                        words: format!("backup {id} is {why}"),
                    }))
                }
            }
        };
        let often = ConstantBuilder::default().with_delay(POLL).without_max_times();
        let waits = |error: &Error| {
            matches!(error, Error::Tool { fault: ExternalError::Unconfirmed(_), .. })
                && Instant::now() < until
        };
        look.retry(often).when(waits).call()
    }

    fn made(
        &self,
        shown: &BarmanBackup,
        system: Option<&str>,
        version: String,
        parent: Option<&Backup>,
    ) -> Result<BackupOutput, Error> {
        let found = shown.catalogued(self.server()?, system);
        let depends = parent.filter(|_| found.kind == BackupType::Incremental).and_then(|parent| {
            Some(Dependency { id: parent.id, kind: DependencyKind::between(found.kind, parent.kind).ok()? })
        });
        Ok(BackupOutput {
            location: Some(found.location),
            basis: Some(BackupBase { kind: found.kind, parent: depends }),
            size_bytes: Some(found.made.size_bytes),
            stored_bytes: Some(found.made.stored_bytes),
            encryption: found.made.encryption.map(|key| Encryption { key_id: Line::lossy(&key) }),
            tool_version: version,
            postgres: Some(found.made.postgres),
            metadata: found.made.metadata,
            ..BackupOutput::default()
        })
    }
}

impl Adapter for Barman {
    fn name(&self) -> &str {
        NAME
    }

    fn probe(&self, server_major: u32) -> Result<Probe, Error> {
        let (path, version) = self.version()?;
        let mut types = vec![BackupType::Full];
        if numbers(&version)[..] >= INCREMENTAL.0[..] && server_major >= INCREMENTAL.1 {
            types.push(BackupType::Incremental);
        }
        Ok(Probe { path, version, types })
    }

    fn has_repository(&self) -> bool {
        true
    }

    fn choose_base(
        &self,
        wanted: BackupType,
        facts: &ServerFacts,
        known: &[&Backup],
    ) -> Result<BackupBase, Error> {
        let refuse = |makes| Err(Error::TypeUnsupported { tool: NAME.to_owned(), kind: wanted, makes });
        match wanted {
            BackupType::Full => Ok(BackupBase::full()),
            BackupType::Differential | BackupType::Snapshot => refuse("full and incremental"),
            BackupType::Incremental if !self.probe(facts.major)?.types.contains(&wanted) => {
                refuse("full (and, from Barman 3.11 and PostgreSQL 17 on, incremental)")
            }
            BackupType::Incremental => {
                let here = self.list()?;
                let parent = known.iter().find(|backup| {
                    self.label(backup)
                        .is_ok_and(|label| here.contains(&(label.to_owned(), answer::DONE.to_owned())))
                });
                let Some(parent) = parent else { return Ok(BackupBase::full()) };
                let kind = DependencyKind::between(wanted, parent.kind).ok();
                let Some(kind) = kind else { return Ok(BackupBase::full()) };
                Ok(BackupBase { kind: wanted, parent: Some(Dependency { id: parent.id, kind }) })
            }
        }
    }

    fn backup(
        &self,
        order: &BackupOrder<'_>,
        _: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error> {
        let (_, version) = self.version()?;
        let until = Instant::now() + order.deadline.unwrap_or(WAL_PATIENCE);
        progress.stage(&format!("backing up {} with Barman", order.database), None);
        let mut args = words(&["backup", "--name", &format!("{}{}", answer::OUR_NAME, order.id)]);
        let waits = numbers(&version)[..] >= KEEPS_NAMES[..];
        if waits {
            args.push("--wait".to_owned());
            if let Some(deadline) = order.deadline {
                args.extend(words(&["--wait-timeout", &deadline.as_secs().max(1).to_string()]));
            }
        }
        let parent = order.parent.map(|parent| parent.backup);
        if let (BackupType::Incremental, Some(parent)) = (order.kind, parent) {
            args.extend(words(&["--incremental", self.label(parent)?]));
        }
        args.push(self.server()?.to_owned());
        let answer = Self::run(self.cmd(true, &args)?.deadline(order.deadline))?.stdout;
        let (id, system) = parse_made(&answer).map_err(fault)?;
        progress.stage("waiting for the WAL that the backup needs", None);
        let shown = self.wait(&id, until)?;
        self.made(&shown, system.as_deref(), version, parent)
    }

    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error> {
        let (_, server) = (self.version()?, self.server()?);
        let known = |(id, _): (String, String)| Ok(self.show(&id)?.catalogued(server, None));
        self.list()?.into_iter().map(known).collect::<Result<_, _>>().map(Some)
    }

    fn holds(&self, location: &Location) -> bool {
        parse_location(location.as_str()).is_some_and(|(server, _)| Some(server) == self.server.as_deref())
    }

    fn check(&self, subject: &BackupRef<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error> {
        let (_, version) = self.version()?;
        let (id, server, mut report) = (self.label(subject.backup)?, self.server()?, Report::default());
        let Some(shown) = self.find(subject.backup)? else {
            report
                .findings
                .push(IntegrityFinding::fatal(format!("{id} is not in Barman's catalogue any more")));
            return Ok(report);
        };
        report.evidence.insert("barman_version", version);
        report.evidence.insert("barman_status", shown.status.as_str());
        if let Err(why) = shown.catalogued(server, None).usable {
            report.findings.push(IntegrityFinding::fatal(format!("{id} is {why}")));
            return Ok(report);
        }
        if shown.is_rsync() {
            let message =
                format!("{id} was copied with rsync and has no checksums; only a restore test proves it");
            return Err(fault(ExternalError::Unsupported(message)));
        }
        progress.stage(&format!("verifying {id}"), None);
        match Self::run(self.cmd(true, &words(&["verify-backup", server, id]))?) {
            Ok(_) => {}
            Err(Error::Tool {
                fault: ExternalError::Failed { status: Status::Exited(1), words }, ..
            }) => {
                if words.contains("backup_manifest") && words.contains("not") {
                    return Err(fault(ExternalError::Unsupported(words)));
                }
                report.findings.push(IntegrityFinding::fatal(format!("{id}: {words}")));
                return Ok(report);
            }
            Err(error) => return Err(error),
        }
        if depth == Depth::Integrity {
            // `check-backup` looks for the WAL that the backup needs and changes the status if WAL
            // is missing.
            Self::run(self.cmd(false, &words(&["check-backup", server, id]))?.deadline(PATIENCE))?;
            if let Err(why) = self.show(id)?.catalogued(server, None).usable {
                report.findings.push(IntegrityFinding::fatal(format!("{id} is {why}")));
            }
        }
        Ok(report)
    }

    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        let (path, tablespaces, how) = match target {
            Target::DataDirectory { path, tablespaces, until } => (path, tablespaces, recovery(until)),
            // Without `--get-wal`, Barman copies all WAL since the backup.
            Target::Scratch { path, tablespaces } => (path, tablespaces, words(&["--get-wal"])),
            Target::Database { .. } => {
                return Err(Error::TargetUnsupported {
                    tool: NAME.to_owned(),
                    reason: "is restored into a data directory, not into a database",
                });
            }
        };
        self.version()?;
        let (id, server) = (self.label(subject.backup)?, self.server()?);
        let shown =
            self.find(subject.backup)?.ok_or_else(|| fault(ExternalError::NoBackup(id.to_owned())))?;
        if let Err(why) = shown.catalogued(server, None).usable {
            return Err(fault(ExternalError::Refused(format!("{id} is {why}"))));
        }
        let mut cmd = self.cmd(false, &words(&["recover"]))?.args(how);
        for (from, to) in tablespaces {
            let known = shown.tablespaces().into_iter().find(|(_, at)| at.as_str() == from.as_os_str());
            let (name, _) = known.ok_or_else(|| {
                fault(ExternalError::Refused(format!("{id} has no tablespace at {}", from.display())))
            })?;
            cmd = cmd.arg("--tablespace").arg(option(&format!("{name}:"), to));
        }
        let cmd = cmd.args([server, id]).arg(path);
        let what = format!("restore {id} with Barman");
        // Before 3.5, Barman deletes the contents of the directory.
        Ok(vec![
            RestoreStep::RequireEmpty { path: path.clone(), owner: self.external.user(NAME)? },
            RestoreStep::Run { what, cmd: Box::new(cmd) },
            RestoreStep::Append {
                path: path.join("postgresql.auto.conf"),
                text: b"archive_mode = off\n".to_vec(),
            },
        ])
    }

    fn tablespaces(&self, subject: &BackupRef<'_>) -> Result<Vec<PathBuf>, Error> {
        let shown = self.show(self.label(subject.backup)?)?;
        Ok(shown.tablespaces().into_iter().map(|(_, place)| place.into()).collect())
    }

    fn fetch_wal(&self, subject: &BackupRef<'_>, data: &Path, until: Instant) -> Result<Report, Error> {
        let (id, server) = (self.label(subject.backup)?, self.server()?);
        let shown =
            self.find(subject.backup)?.ok_or_else(|| fault(ExternalError::NoBackup(id.to_owned())))?;
        bring(NAME, &shown.catalogued(server, None).made, data, |segment, into| {
            let directory = into.parent().unwrap_or(data);
            let cmd = self.cmd(false, &words(&["get-wal", "--output-directory"]))?.arg(directory);
            match Self::run(cmd.args([server, segment.as_str()]).deadline(left(until))) {
                Ok(_) => Ok(Ok(())),
                // Barman has the same exit status for all failures.
                Err(Error::Tool { fault: ExternalError::Failed { words, .. }, .. })
                    if words.contains("not found") =>
                {
                    Ok(Err("is not in Barman's archive".to_owned()))
                }
                Err(error) => Err(error),
            }
        })
    }

    fn delete(&self, subject: &BackupRef<'_>) -> Result<(), Error> {
        self.version()?;
        let (id, server) = (self.label(subject.backup)?, self.server()?);
        let Some(shown) = self.find(subject.backup)? else { return Ok(()) };
        // Barman would delete the incremental backups that need this one too.
        let children = shown.children();
        if !children.is_empty() {
            return Err(fault(ExternalError::Refused(format!("{id} is needed by {}", children.join(", ")))));
        }
        Self::run(self.cmd(true, &words(&["delete", server, id]))?)?;
        match self.find(subject.backup)? {
            None => Ok(()),
            Some(_) => Err(fault(ExternalError::Unconfirmed(format!(
                "{id} was deleted, but is still in the catalogue"
            )))),
        }
    }
}

/// Returns the options of Barman for a recovery target.
fn recovery(until: &RecoveryTarget) -> Vec<String> {
    let (option, value) = match until {
        RecoveryTarget::Latest => return Vec::new(),
        RecoveryTarget::Immediate => ("--target-immediate", None),
        RecoveryTarget::Time(time) => ("--target-time", Some(recovery_time(time))),
        RecoveryTarget::Lsn(lsn) => ("--target-lsn", Some(lsn.to_string())),
        RecoveryTarget::Name(name) => ("--target-name", Some(name.to_string())),
        RecoveryTarget::Xid(xid) => ("--target-xid", Some(xid.to_string())),
    };
    // Barman could take a separate value for an option.
    let target = value.map_or_else(|| option.to_owned(), |value| format!("{option}={value}"));
    [target, "--target-action=promote".to_owned()].into()
}
