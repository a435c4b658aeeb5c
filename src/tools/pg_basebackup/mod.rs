//! The adapter of pg_basebackup: physical backups of a cluster, full or, since PostgreSQL 17,
//! incremental.
//!
//! pg_basebackup writes tar archives. They are split while they are read, and kept file by file. So
//! the store does not keep a file again that is unchanged since the previous backup.

mod label;
mod manifest;
mod restore;
mod tar_receiver;
mod tree;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::adapter::{
    Adapter, BackupBase, BackupOrder, BackupOutput, BackupRef, CatalogEntry, Content, Depth,
    IntegrityFinding, Probe, Report, RestoreStep, Sink, Source, Target,
};
use super::{Connection, Error, PgTools, Program, Programs};
use crate::domain::{
    Artifact, Backup, BackupType, ChainError, Checkpoint, Dependency, DependencyKind, Line, Metadata,
    Postgres, WalMethod, dependency_chain,
};
use crate::pg::{Client, ClusterFacts, ConnInfo, ServerFacts};
use crate::process::{Cmd, Stdin};
use crate::progress::Progress;
use label::{Label, parse_map};
pub use manifest::Manifest;
use tar_receiver::{ReceiveError, TarReceiver};
pub use tree::{TREE, Tree, is_below, real_path};

/// The name of the artifact with the files of the data directory.
pub const DIRECTORY: &str = "base.directory";
/// The name of the backup manifest of PostgreSQL.
pub const MANIFEST: &str = "backup_manifest";
/// The name of the temporary directory for archives that cannot be streamed.
const STAGING: &str = "archives";
/// The first version of PostgreSQL with incremental backups.
const INCREMENTAL_SINCE: u32 = 17;
/// The maximum size in bytes of a manifest that is read back.
const MANIFEST_MAX: u64 = 1 << 30;

/// pg_basebackup with its settings for the cluster of one database.
#[derive(Debug, Clone)]
pub struct PgBasebackup {
    /// The directories of the programs.
    pub programs: Programs,
    /// The connection of pg_basebackup to the server.
    pub connection: Connection,
    /// The connection of this program; `None` if backups are only restored.
    pub server: Option<ConnInfo>,
    /// The mode of the checkpoint at the start of a backup.
    pub checkpoint: Checkpoint,
    /// The maximum transfer rate in KiB per second.
    pub max_rate: Option<u32>,
    /// The method to include the WAL.
    pub wal: WalMethod,
}

impl PgBasebackup {
    fn tools(&self, server_major: u32) -> PgTools {
        self.programs.for_server(server_major)
    }

    fn ask(&self) -> Result<ClusterFacts, Error> {
        let server = self.server.as_ref().ok_or_else(|| Error::NotSetUp {
            what: "no server is configured".to_owned(),
            hint: "name one with pggit.<database>.url".to_owned(),
        })?;
        Ok(Client::connect(server, "git-pggit")?.cluster_facts()?)
    }

    /// Runs pg_basebackup and writes its output into the sink. Returns the version of the program.
    fn copy(
        &self,
        order: &BackupOrder<'_>,
        cluster: &ClusterFacts,
        sink: &dyn Sink,
        intake: &mut TarReceiver<'_>,
    ) -> Result<String, Error> {
        let (path, version) = self.tools(order.facts.major).find(Program::PgBasebackup)?;
        let cmd = self.connection.apply(Cmd::new(path).tied()).deadline(order.deadline);
        let cmd = cmd.args(["--format=tar".to_owned(), format!("--checkpoint={}", self.checkpoint.as_str())]);
        let cmd = cmd.arg(format!("--label=git-pggit {}", order.id));
        let cmd = match self.max_rate {
            Some(rate) => cmd.arg(format!("--max-rate={rate}k")),
            None => cmd,
        };
        let cmd = match &order.parent {
            Some(parent) => {
                let manifest = manifest_of(parent.source()?)?;
                Manifest::parse(&manifest).map_err(|reason| incomplete(format!("base backup: {reason}")))?;
                // pg_basebackup reads the manifest once and sequentially, so a pipe is sufficient.
                cmd.arg("--incremental=/dev/stdin").stdin(Stdin::Bytes(manifest))
            }
            None => cmd,
        };
        // pg_basebackup can write to a pipe only without tablespaces and without a WAL stream.
        if self.wal == WalMethod::Fetch && cluster.tablespaces.is_empty() {
            stream(cmd.args(["--wal-method=fetch", "--pgdata=-"]), intake)?;
        } else {
            let staging = sink.directory(STAGING).map_err(put)?;
            let mut target = std::ffi::OsString::from("--pgdata=");
            target.push(&staging);
            let cmd = cmd.arg(format!("--wal-method={}", self.wal.as_str())).arg("--no-sync").arg(target);
            cmd.run().map_err(failed)?;
            take_archives(&staging, intake)?;
            sink.discard(STAGING).map_err(put)?;
        }
        Ok(version.text)
    }

    /// Returns the newest suitable parent for a backup of type `wanted`.
    fn base_of(wanted: BackupType, facts: &ServerFacts, known: &[&Backup]) -> Option<Dependency> {
        let same_cluster = |backup: &Backup| {
            let postgres = backup.postgres.as_ref();
            let system = postgres.and_then(|postgres| postgres.system_identifier.as_ref()).map(Line::as_str);
            let timeline = postgres.and_then(|postgres| postgres.timeline);
            system.is_some() && system == facts.system_identifier.as_deref() && timeline == facts.timeline
        };
        let is_whole = |backup: &Backup| {
            let parent_of = |id| known.iter().find(|known| known.id == id).map(|known| ((), known.parent()));
            dependency_chain(backup.id, backup.parent(), |id| Ok::<_, Infallible>(parent_of(id))).is_ok()
        };
        let usable = known.iter().filter(|backup| same_cluster(backup) && is_whole(backup));
        usable
            .filter_map(|backup| {
                let kind = DependencyKind::between(wanted, backup.kind).ok()?;
                Some(Dependency { id: backup.id, kind })
            })
            .next()
    }
}

/// Runs `cmd` and reads the archive while the program writes it.
fn stream(cmd: Cmd, intake: &mut TarReceiver<'_>) -> Result<(), Error> {
    let mut running = cmd.spawn().map_err(failed)?;
    let mut pipe = running.take_stdout().expect("stdout is piped unless told otherwise");
    match intake.archive(b"", &mut pipe) {
        Ok(()) => running.finish().map(drop).map_err(failed),
        Err(stopped) => {
            // If the output has ended, the error of the program explains the cause better.
            if matches!(stopped, ReceiveError::Archive(_)) && matches!(pipe.read(&mut [0; 1]), Ok(0)) {
                running.finish().map_err(failed)?;
            }
            Err(stopped.into_error())
        }
    }
}

/// Reads archives that were written to files.
fn take_archives(staging: &Path, intake: &mut TarReceiver<'_>) -> Result<(), Error> {
    let read = |path: &Path, source| Error::directory(path, source);
    let entries = std::fs::read_dir(staging).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<_> = entries.map_err(|e| read(staging, e))?.into_iter().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        let mut file = File::open(&path).map_err(|e| read(&path, e))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let taken = match name.strip_suffix(".tar") {
            Some("base") => intake.archive(b"", file),
            Some("pg_wal") => intake.archive(b"pg_wal/", file),
            Some(oid) => intake.archive(format!("pg_tblspc/{oid}/").as_bytes(), file),
            None => {
                let size = file.metadata().map_err(|e| read(&path, e))?.len();
                intake.take(name.as_bytes().to_vec(), name, size, &mut file)
            }
        };
        taken.map_err(ReceiveError::into_error)?;
    }
    Ok(())
}

/// Returns the manifest of a backup. Fails if it is missing or unreadable.
fn manifest_of(source: &dyn Source) -> Result<Vec<u8>, Error> {
    let mut manifest = Vec::new();
    let reader = source.open(&format!("{DIRECTORY}/{MANIFEST}")).map_err(get)?;
    reader.take(MANIFEST_MAX).read_to_end(&mut manifest).map_err(get)?;
    Ok(manifest)
}

fn failed(error: crate::process::Error) -> Error {
    Error::of(Program::PgBasebackup, error)
}

fn put(source: io::Error) -> Error {
    Error::Write { program: Program::PgBasebackup, source }
}

fn get(source: io::Error) -> Error {
    Error::Read { program: Program::PgBasebackup, source }
}

fn incomplete(reason: impl Into<String>) -> Error {
    Error::Incomplete { program: Program::PgBasebackup, reason: reason.into() }
}

/// Returns the facts of the server. Fails if the backup is not complete.
fn judge(intake: &TarReceiver<'_>, facts: &ServerFacts) -> Result<(Postgres, Metadata), Error> {
    let small =
        |name: &str| intake.small.get(name).ok_or_else(|| incomplete(format!("{name} was not received")));
    let manifest = Manifest::parse(small(MANIFEST)?).map_err(incomplete)?;
    manifest.compare(&intake.arrived).map_err(incomplete)?;
    let label = Label::parse(small("backup_label")?).ok_or_else(|| incomplete("backup_label is damaged"))?;
    let map = intake.small.get("tablespace_map").map_or(&b""[..], Vec::as_slice);
    let map = parse_map(map).ok_or_else(|| incomplete("tablespace_map is damaged"))?;
    let system = manifest.system_identifier.clone().or_else(|| facts.system_identifier.clone());
    let postgres = Postgres {
        system_identifier: system.as_deref().map(Line::lossy),
        timeline: Some(label.timeline),
        start_lsn: Some(label.start),
        stop_lsn: manifest.wal.iter().map(|range| range.end).max(),
        size_bytes: Some(intake.arrived.values().map(|file| file.size).sum()),
        ..Postgres::default()
    };
    let mut metadata = Metadata::default();
    metadata.insert("files", intake.arrived.len());
    if !map.is_empty() {
        let shown =
            map.iter().map(|one| json!({ "oid": one.oid, "location": one.location.to_string_lossy() }));
        metadata.insert("tablespaces", shown.collect::<Vec<_>>());
    }
    Ok((postgres, metadata))
}

impl Adapter for PgBasebackup {
    fn name(&self) -> &str {
        Program::PgBasebackup.name()
    }

    fn probe(&self, server_major: u32) -> Result<Probe, Error> {
        let (path, version) = self.tools(server_major).find(Program::PgBasebackup)?;
        let types = match server_major >= INCREMENTAL_SINCE {
            true => vec![BackupType::Full, BackupType::Incremental, BackupType::Differential],
            false => vec![BackupType::Full],
        };
        Ok(Probe { path, version: version.text, types })
    }

    fn choose_base(
        &self,
        wanted: BackupType,
        facts: &ServerFacts,
        known: &[&Backup],
    ) -> Result<BackupBase, Error> {
        match wanted {
            BackupType::Full => return Ok(BackupBase::full()),
            BackupType::Incremental | BackupType::Differential if facts.major >= INCREMENTAL_SINCE => {}
            BackupType::Incremental | BackupType::Differential => {
                return Err(Error::NotSetUp {
                    what: format!(
                        "the server is PostgreSQL {}, which makes only full base backups",
                        facts.major
                    ),
                    hint: format!("incremental ones need PostgreSQL {INCREMENTAL_SINCE}; leave out --type"),
                });
            }
            BackupType::Snapshot => {
                return Err(Error::TypeUnsupported {
                    tool: self.name().to_owned(),
                    kind: wanted,
                    makes: "full, incremental and differential",
                });
            }
        }
        if self.ask()?.summarizes_wal != Some(true) {
            return Err(Error::NotSetUp {
                what: "the server does not track changes: summarize_wal is off".to_owned(),
                hint: "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf(); then make a full backup first"
                    .to_owned(),
            });
        }
        let parent = Self::base_of(wanted, facts, known);
        Ok(BackupBase { kind: if parent.is_some() { wanted } else { BackupType::Full }, parent })
    }

    fn backup(
        &self,
        order: &BackupOrder<'_>,
        sink: &dyn Sink,
        progress: &dyn Progress,
    ) -> Result<BackupOutput, Error> {
        let cluster = self.ask()?;
        if !cluster.may_replicate {
            return Err(Error::NotSetUp {
                what: "the role may not back up the cluster: it has no REPLICATION attribute".to_owned(),
                hint: "a superuser can allow it: ALTER ROLE <role> REPLICATION; pg_hba.conf must allow \"replication\", too"
                    .to_owned(),
            });
        }
        let expected = order.parent.is_none().then_some(cluster.size_bytes);
        progress.stage(&format!("backing up the cluster of {}", order.database), expected);
        sink.directory(DIRECTORY).map_err(put)?;
        let mut intake = TarReceiver::new(sink, progress);
        let tool_version = self.copy(order, &cluster, sink, &mut intake)?;
        let (postgres, mut metadata) = judge(&intake, order.facts)?;
        let directory = sink.seal(DIRECTORY).map_err(put)?;
        let mut file = sink.file(TREE, Content::Stream).map_err(put)?;
        let tree = serde_json::to_vec(&intake.tree).map_err(|error| put(error.into()))?;
        file.write_all(&tree).map_err(put)?;
        let tree: Artifact = file.finish().map_err(put)?;
        metadata.insert("checkpoint", self.checkpoint.as_str());
        metadata.insert("wal", self.wal.as_str());
        Ok(BackupOutput {
            artifacts: vec![directory, tree],
            tool_version,
            postgres: Some(postgres),
            metadata,
            ..BackupOutput::default()
        })
    }

    fn catalogue(&self) -> Result<Option<Vec<CatalogEntry>>, Error> {
        Ok(None)
    }

    fn check(&self, subject: &BackupRef<'_>, depth: Depth, progress: &dyn Progress) -> Result<Report, Error> {
        let mut report = Report::of_artifacts(subject, progress)?;
        if depth == Depth::Checksum || report.is_fatal() {
            return Ok(report);
        }
        match Manifest::parse(&manifest_of(subject.source()?)?) {
            Ok(manifest) => report.evidence.insert("manifest_files", manifest.files.len()),
            Err(reason) => report.findings.push(IntegrityFinding::fatal(reason)),
        }
        let member = |id| {
            let member = subject.chain.iter().find(|member| member.backup.id == id);
            Ok::<_, Infallible>(member.map(|member| ((), member.backup.parent())))
        };
        match dependency_chain(subject.backup.id, subject.backup.parent(), member) {
            Ok(_) => {}
            Err(ChainError::Missing(id)) => {
                report
                    .findings
                    .push(IntegrityFinding::fatal(format!("it needs backup {id}, which is missing")));
            }
            Err(ChainError::Cycle(id)) => {
                report
                    .findings
                    .push(IntegrityFinding::fatal(format!("it needs backup {id}, which needs itself")));
            }
            Err(ChainError::Lookup(never)) => match never {},
        }
        Ok(report)
    }

    fn tablespaces(&self, subject: &BackupRef<'_>) -> Result<Vec<PathBuf>, Error> {
        restore::places(subject.source()?)
    }

    fn restore(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        self.steps(subject, target)
    }

    fn delete(&self, _: &BackupRef<'_>) -> Result<(), Error> {
        Ok(())
    }
}
