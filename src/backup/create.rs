//! Makes a backup with the tool of its database and records it.
//!
//! The process may crash at any time, because the order of the steps is fixed. First, the record gets
//! the status `in_progress` and the process that works on the backup. Then the tool writes the bytes.
//! The bytes get their final name when all of them are on disk. Only then the record gets the status
//! `completed`. After a crash the record can be recognized as interrupted. At most a partial directory
//! is left over, and the next run removes it.
//!
//! A failed backup may be retried with the same id. Each attempt has a number and separate bytes.
//! Therefore a stale attempt cannot change the record or the bytes of its successor.

use std::collections::BTreeMap;
use std::thread;

use crate::artifacts::{DraftSink, NoSink, ROW_COUNTS, StoreSource, of_store, row_counts};
use crate::clock::Clock;
use crate::config::DatabaseConfig;
use crate::domain::{
    Backup, BackupId, BackupName, BackupType, Body, CommitId, Completed, Compression, Dependency, Encryption,
    Event, Failed, Failure, Line, Location, Metadata, Postgres, Record, Started, Status, TagKey, Timestamp,
    Tool,
};
use crate::git::Oid;
use crate::ledger::{self, Entry, Ledger, NewBackup};
use crate::migrations::{CommitCheck, CommitWarning, MIGRATIONS};
use crate::pg::{Client, ConnInfo, ServerFacts, Snapshot};
use crate::process::{self, Liveness, Owner, crash_point, interrupt, is_alive};
use crate::progress::Progress;
use crate::store::{Access, BackupDestination, PendingBackup, StoredBackup};
use crate::tools::adapter::{BackupBase, BackupOrder, BackupOutput, BackupRef, Source};
use crate::tools::{self, Adapter, DumpSpec, Programs};

use super::base::choose_base;
use super::commit::{CommitSpec, ResolvedCommit, choose_commit};
use super::error::{Error, NotAgain};
use super::migrations::ToolState;

/// The backup to make and its options.
#[derive(Debug)]
pub struct BackupRequest {
    /// The id of the backup, if it was chosen before. If the backup is registered already, this run is
    /// its next attempt.
    pub id: Option<BackupId>,
    /// The requested type.
    pub kind: BackupType,
    /// The database with its configuration and the options of the command line.
    pub database: DatabaseConfig,
    /// The requested commit.
    pub asked: CommitSpec,
    /// True if the commit recorded in the database is ignored.
    pub force: bool,
    /// The name of the backup; the default has the database and the time.
    pub name: Option<BackupName>,
    /// The tags of the backup.
    pub tags: BTreeMap<TagKey, Line>,
}

/// The environment of a run.
pub struct BackupContext<'a> {
    /// The ledger that records the backup.
    pub ledger: Ledger<'a>,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The connection to the database.
    pub server: ConnInfo,
    /// The client programs of PostgreSQL.
    pub programs: Programs,
    /// The tool that makes the backup.
    pub adapter: Box<dyn Adapter>,
    /// The destination of the bytes; `None` if the tool has a repository of its own.
    pub place: Option<BackupDestination>,
    /// The credentials and keys of the stores of earlier backups.
    pub access: Access,
    /// The receiver of progress reports.
    pub progress: &'a dyn Progress,
}

/// A run that did not make a backup.
#[derive(Debug)]
pub struct FailedRun {
    /// The cause.
    pub error: Box<Error>,
    /// The record, if the backup was registered.
    pub entry: Option<Box<Entry>>,
    /// The reason why the failure is not recorded although it should be.
    pub not_recorded: Option<Box<ledger::Error>>,
}

impl<E: Into<Error>> From<E> for FailedRun {
    fn from(error: E) -> Self {
        Self { error: Box::new(error.into()), entry: None, not_recorded: None }
    }
}

/// Makes the backup. If it is completed already, returns its record.
///
/// # Errors
/// Fails if the backup could not be made. Every failure after the choice of the commit is recorded.
pub fn create(context: &BackupContext<'_>, request: &BackupRequest) -> Result<Entry, FailedRun> {
    let registered = registered(context, request)?;
    if let Some(entry) = registered.as_ref().filter(|entry| entry.backup.status == Status::Completed) {
        return Ok(entry.clone());
    }
    let repository = context.ledger.schema_repository();
    let asked = match &registered {
        Some(entry) => CommitSpec::Revision(entry.backup.commit.to_string()),
        None => request.asked.clone(),
    };
    let name = request.database.name.as_str();
    let choice = |mark: Option<&str>, state: Option<&ToolState>| {
        choose_commit(repository, &asked, mark, name, request.force, |tip| {
            state?.commit(&request.database, tip, repository)
        })
    };
    // An unknown revision is reported before the first connection to the server.
    if asked != CommitSpec::Nothing {
        choose_commit(repository, &asked, None, name, true, |_| None)?;
    }
    let begin = |chosen: &ResolvedCommit, basis: BackupBase| match &registered {
        Some(entry) => again(context, entry),
        None => register(context, request, chosen, basis),
    };
    let client = match connect(context) {
        Ok(client) => client,
        Err(error) => {
            let begun = choice(None, None).ok().map(|chosen| begin(&chosen, BackupBase::of(request.kind)));
            return Err(unreachable(context, begun, error));
        }
    };
    let snapshot = match context.adapter.reads_snapshot() {
        true => Some(client.export_snapshot().map_err(Error::from)?),
        false => None,
    };
    let facts = client.facts().map_err(Error::from)?;
    let mark = client.read_mark().map_err(Error::from)?;
    let read = |snapshot: &Snapshot<'_>| ToolState::read(&context.server, snapshot.id(), &request.database);
    let state = snapshot.as_ref().map(read);
    let chosen = choice(mark.as_deref(), state.as_ref())?;
    let migrations =
        state.and_then(|state| state.fact(Oid::from(&chosen.commit), &request.database, repository));
    let facts_of_commit = match &registered {
        // The commit was chosen by the first attempt.
        Some(entry) => entry.backup.metadata.clone(),
        None => chosen.to_metadata(),
    };
    check_commit(request, &chosen.commit, facts_of_commit, migrations.as_ref())?;
    let (basis, chain) = choose_base(context, request, &facts)?;
    let entry = begin(&chosen, basis.clone()).map_err(Error::from)?;
    crash_point("backup.registered");
    let run = BackupRun {
        context,
        request,
        client: &client,
        facts: &facts,
        entry: &entry,
        basis,
        chain,
        migrations,
    };
    let made = run.make(snapshot.as_ref().map(Snapshot::id)).and_then(|made| {
        snapshot.map_or(Ok(()), Snapshot::finish)?;
        Ok(made)
    });
    made.and_then(|made| run.complete(made)).map_err(|error| failed(context, entry.clone(), error))
}

/// Fails if the configuration requires a commit that the database confirms, and it does not.
fn check_commit(
    request: &BackupRequest,
    commit: &CommitId,
    mut metadata: Metadata,
    migrations: Option<&serde_json::Value>,
) -> Result<(), Error> {
    if request.database.commit_check.value == CommitCheck::Warn {
        return Ok(());
    }
    migrations.into_iter().for_each(|state| metadata.insert(MIGRATIONS, state.clone()));
    match CommitWarning::of(commit, &metadata).into_iter().next() {
        None => Ok(()),
        Some(warning) => Err(Error::CommitDoubtful { database: request.database.name.clone(), warning }),
    }
}

/// Returns the record if the backup is registered already. Fails if it cannot be retried.
fn registered(context: &BackupContext<'_>, request: &BackupRequest) -> Result<Option<Entry>, Error> {
    let Some(id) = request.id else { return Ok(None) };
    let entry = match context.ledger.by_id(id) {
        Ok(entry) => entry,
        Err(ledger::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let backup = &entry.backup;
    let refuse = |reason| Err(Error::NotAgain { backup: id, reason });
    match backup.status {
        Status::Expired | Status::Deleted => refuse(NotAgain::Over(backup.status)),
        _ if backup.database != request.database.name => {
            refuse(NotAgain::OtherDatabase(backup.database.clone()))
        }
        Status::InProgress if is_being_made(backup) => refuse(NotAgain::BeingMade),
        _ => Ok(Some(entry)),
    }
}

/// Returns true if another process of this machine works on the backup. A process of another machine is
/// not visible; the caller of the next attempt has to know its state.
fn is_being_made(backup: &Backup) -> bool {
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    owner.is_some_and(|owner| {
        is_alive(owner) == Liveness::Alive && Owner::current().is_ok_and(|current| *owner != current)
    })
}

/// Records the start of the next attempt.
fn again(context: &BackupContext<'_>, entry: &Entry) -> Result<Entry, ledger::Error> {
    let attempt = entry.record.next_attempt();
    let started = Started { attempt, owner: Owner::current().ok(), started_at: None };
    let change = Body::from(started);
    context.ledger.append_at(&entry.backup.commit, entry.backup.id, |_| Ok(change.clone().into()))
}

fn connect(context: &BackupContext<'_>) -> Result<Client, Error> {
    Ok(Client::connect(&context.server, "git-pggit")?)
}

/// Records that the backup failed because the database is unreachable.
fn unreachable(
    context: &BackupContext<'_>,
    begun: Option<Result<Entry, ledger::Error>>,
    error: Error,
) -> FailedRun {
    match begun {
        Some(Ok(entry)) => failed(context, entry, error),
        Some(Err(other)) => {
            FailedRun { error: Box::new(error), entry: None, not_recorded: Some(Box::new(other)) }
        }
        None => error.into(),
    }
}

fn register(
    context: &BackupContext<'_>,
    request: &BackupRequest,
    chosen: &ResolvedCommit,
    basis: BackupBase,
) -> Result<Entry, ledger::Error> {
    let now = context.clock.now();
    let database = &request.database;
    let new = NewBackup {
        id: request.id.unwrap_or_else(|| BackupId::new(now)),
        name: match &request.name {
            Some(name) => name.clone(),
            None => default_name(database.name.as_str(), now)?,
        },
        database: database.name.clone(),
        commit: chosen.commit.clone(),
        branch: chosen.branch.clone(),
        kind: basis.kind,
        tool: Tool { name: Line::lossy(context.adapter.name()), version: None },
        depends_on: basis.parent.into_iter().collect(),
        expires_at: None,
        tags: request.tags.clone(),
        metadata: chosen.to_metadata(),
    };
    let started = Started { attempt: 1, owner: Owner::current().ok(), started_at: None };
    context.ledger.register(&new, &[started.into()])
}

/// Returns a name such as `shop-20261121T034006.123Z`. The milliseconds distinguish two backups in one
/// second; they are omitted if they are zero. Fails if the name is too long.
pub fn default_name(database: &str, at: Timestamp) -> Result<BackupName, crate::domain::Invalid> {
    let whole = at.as_datetime().timestamp_subsec_millis() == 0;
    let form = if whole { "%Y%m%dT%H%M%SZ" } else { "%Y%m%dT%H%M%S%.3fZ" };
    format!("{database}-{}", at.as_datetime().format(form)).parse()
}

/// Records the failure.
fn failed(context: &BackupContext<'_>, entry: Entry, error: Error) -> FailedRun {
    let error = match interrupt::requested() {
        Some(signal) => Error::Interrupted { signal },
        None => error,
    };
    let attempt = entry.backup.attempt.as_ref().map(|attempt| attempt.number);
    let failure = Failure { code: Line::lossy(error.code()), message: describe(&error) };
    let body = Body::from(Failed { attempt, error: failure });
    match context.ledger.append_at(&entry.backup.commit, entry.backup.id, |_| Ok(body.clone().into())) {
        Ok(entry) => FailedRun { error: Box::new(error), entry: Some(Box::new(entry)), not_recorded: None },
        Err(other) => FailedRun {
            error: Box::new(error),
            entry: Some(Box::new(entry)),
            not_recorded: Some(Box::new(other)),
        },
    }
}

/// Returns the message of an error and of its causes. A longer text is limited to its end.
fn describe(error: &Error) -> String {
    const MOST: usize = 16 << 10;
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let mut start = text.len().saturating_sub(MOST);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// A registered run.
struct BackupRun<'a> {
    context: &'a BackupContext<'a>,
    request: &'a BackupRequest,
    client: &'a Client,
    facts: &'a ServerFacts,
    entry: &'a Entry,
    basis: BackupBase,
    chain: Vec<Backup>,
    /// The state of the migration tool, for the record.
    migrations: Option<serde_json::Value>,
}

/// The result of the tool: durable, but not published.
struct ToolResult {
    draft: Option<PendingBackup>,
    made: BackupOutput,
    schema: Option<Vec<u8>>,
}

impl BackupRun<'_> {
    fn make(&self, snapshot: Option<&str>) -> Result<ToolResult, Error> {
        let draft = self.draft()?;
        let sources = self.sources()?;
        let mut chain: Vec<BackupRef<'_>> = Vec::new();
        for (backup, source) in self.chain.iter().zip(&sources) {
            let source = source.as_ref().map(|source| source as &dyn Source);
            chain.push(BackupRef { backup, chain: &[], source });
        }
        let parent = chain.split_last().map(|(parent, before)| BackupRef { chain: before, ..*parent });
        let order = BackupOrder {
            id: self.entry.backup.id,
            name: &self.entry.backup.name,
            database: &self.request.database.name,
            commit: &self.entry.backup.commit,
            kind: self.basis.kind,
            parent,
            facts: self.facts,
            snapshot,
            deadline: self.request.database.timeout.as_ref().map(|timeout| timeout.value),
        };
        let (recorder, counter) = (self.recorder(&order)?, self.counter(snapshot));
        let (made, schema, counts) = thread::scope(|scope| {
            let schema = scope.spawn(move || recorder.map(|record| record()).transpose());
            let counts = scope.spawn(move || counter.map(|count| count()));
            let made = self.run(&order, draft.as_ref());
            let schema = schema.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let counts = counts.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (made, schema, counts)
        });
        let (mut made, schema) = (made?, schema?);
        if self.basis.kind != self.request.kind {
            made.metadata.insert("requested_type", self.request.kind.as_str());
            let warning = format!(
                "no base backup was found: the backup is {} instead of {}",
                self.basis.kind, self.request.kind
            );
            made.metadata.insert("warnings", vec![warning]);
        }
        counts.into_iter().for_each(|counts| made.metadata.insert(ROW_COUNTS, counts));
        self.migrations.iter().for_each(|state| made.metadata.insert(MIGRATIONS, state.clone()));
        interrupted()?;
        Ok(ToolResult { draft, made, schema })
    }

    fn run(&self, order: &BackupOrder<'_>, draft: Option<&PendingBackup>) -> Result<BackupOutput, Error> {
        let (adapter, progress) = (&self.context.adapter, self.context.progress);
        let made = match draft {
            Some(draft) => {
                let compression = self.request.database.compression.value;
                adapter.backup(order, &DraftSink { draft, compression }, progress)
            }
            None => adapter.backup(order, &NoSink, progress),
        };
        made.map_err(of_store)
    }

    fn draft(&self) -> Result<Option<PendingBackup>, Error> {
        let Some(place) = &self.context.place else { return Ok(None) };
        place.sweep();
        let (id, now) = (self.artifact_id(), self.context.clock.now());
        let database = &self.request.database;
        Ok(Some(place.draft(&id, database.name.as_str(), database.compression.value, now)?))
    }

    /// Returns the name of the bytes of this attempt. It has the number of the attempt, because a stale
    /// attempt may still write its own bytes.
    fn artifact_id(&self) -> String {
        let id = self.entry.backup.id;
        match self.entry.backup.attempt.as_ref().map_or(1, |attempt| attempt.number) {
            1 => id.to_string(),
            number => format!("{id}-{number}"),
        }
    }

    /// Returns the bytes of the backups of the chain. An element is `None` if the tool keeps the bytes
    /// in a repository of its own.
    fn sources(&self) -> Result<Vec<Option<StoreSource>>, Error> {
        let open = |backup: &Backup| match &backup.location {
            Some(_) if !self.context.adapter.has_repository() => {
                let held = StoredBackup::open(backup, &self.context.access);
                let held = held.map_err(|source| Error::BaseUnreadable { backup: backup.id, source })?;
                Ok(Some(StoreSource(held)))
            }
            _ => Ok(None),
        };
        self.chain.iter().map(open).collect()
    }

    /// Returns a function that dumps the schema from the snapshot of the backup. It runs in parallel
    /// with the tool, which takes longer.
    fn recorder(
        &self,
        order: &BackupOrder<'_>,
    ) -> Result<Option<impl FnOnce() -> Result<Vec<u8>, tools::Error> + Send + use<>>, Error> {
        let database = &self.request.database;
        if !database.record_schema.value {
            return Ok(None);
        }
        let spec = DumpSpec {
            options: database.dump.clone(),
            snapshot: order.snapshot.map(str::to_owned),
            deadline: order.deadline,
            ..DumpSpec::of_schema(self.client, false)?
        };
        let programs = self.context.programs.for_server(self.facts.major);
        Ok(Some(move || programs.schema_sql(&spec)))
    }

    /// Returns a function that counts the rows of all tables in the snapshot of the backup.
    fn counter<'s>(
        &'s self,
        snapshot: Option<&'s str>,
    ) -> Option<impl FnOnce() -> serde_json::Value + Send + use<'s>> {
        let (database, server) = (&self.request.database, &self.context.server);
        let snapshot = snapshot.filter(|_| database.record_counts.value)?;
        let schemas: Vec<&str> = database.dump.schemas.iter().map(String::as_str).collect();
        Some(move || row_counts(server, snapshot, &schemas))
    }

    /// Returns the compression of the destination. It is used if the tool does not compress.
    fn compression(&self) -> Option<Line> {
        let level = self.request.database.compression.value;
        let text = match (self.context.place.as_ref()?, level) {
            (BackupDestination::Store { .. }, Compression::None) => "zstd".to_owned(),
            (_, Compression::Zstd(level)) => format!("zstd:{level}"),
            (BackupDestination::Directory(_), Compression::None) => "none".to_owned(),
        };
        Some(Line::lossy(&text))
    }

    fn completed(&self, draft: Option<&PendingBackup>, made: BackupOutput) -> Result<Completed, Error> {
        let location = match (made.location, draft) {
            (Some(location), _) => Some(location),
            (None, Some(draft)) => Some(location(&draft.location()?)?),
            (None, None) => None,
        };
        let key =
            draft.and_then(PendingBackup::key).map(|key_id| Encryption { key_id: Line::lossy(&key_id) });
        let sum = |size: fn(&crate::domain::Artifact) -> u64| made.artifacts.iter().map(size).sum();
        let basis = made.basis.map(|basis| self.recorded(basis)).filter(|basis| *basis != self.basis);
        let mut metadata = made.metadata;
        if let Some(snapshot) =
            self.facts.snapshot.as_deref().filter(|_| self.context.adapter.reads_snapshot())
        {
            metadata.insert("snapshot", snapshot);
        }
        Ok(Completed {
            attempt: self.entry.backup.attempt.as_ref().map(|attempt| attempt.number),
            location,
            store_id: draft.and_then(PendingBackup::store_id).map(|id| Line::lossy(&id)),
            size_bytes: made.size_bytes.unwrap_or_else(|| sum(|artifact| artifact.size_bytes)),
            stored_bytes: made.stored_bytes.unwrap_or_else(|| sum(|artifact| artifact.stored_bytes)),
            compression: made.compression.or_else(|| self.compression()),
            encryption: made.encryption.or(key),
            digest: made.artifacts.first().map(|artifact| artifact.digest.clone()),
            backup_type: basis.as_ref().map(|basis| basis.kind),
            depends_on: basis.map(|basis| basis.parent.into_iter().collect()),
            artifacts: made.artifacts,
            started_at: None,
            completed_at: None,
            postgres: Some(postgres(self.facts, self.context.server.dbname(), made.postgres)),
            tool_version: Some(Line::lossy(&made.tool_version)),
            metadata,
        })
    }

    /// Removes the parent from `basis` if it has no record, because the tool may use a backup that is
    /// not imported yet. Then only the metadata of the tool names the parent.
    fn recorded(&self, basis: BackupBase) -> BackupBase {
        let is_there = |parent: &Dependency| self.context.ledger.by_id(parent.id).is_ok();
        BackupBase { parent: basis.parent.filter(is_there), ..basis }
    }

    /// Publishes the bytes, and then records that the backup is completed.
    fn complete(&self, ToolResult { draft, made, schema }: ToolResult) -> Result<Entry, Error> {
        let body = self.completed(draft.as_ref(), made)?;
        let event = self.context.ledger.next_event(&self.entry.record, body.into())?;
        let record = completed_record(&self.entry.record, &event);
        let published = draft.map(|draft| draft.publish(record)).transpose()?;
        crash_point("backup.published");
        let error = match self.context.ledger.append_event_with_schema(&event, schema.as_deref()) {
            Ok(entry) => {
                crash_point("backup.completed");
                return Ok(entry);
            }
            Err(error) => error,
        };
        match self.context.ledger.by_id(self.entry.backup.id) {
            // The backup is completed, although a later step failed.
            Ok(entry) if entry.record.event(event.id).is_some() => Ok(entry),
            // Bytes without a record would be garbage that no command finds.
            Ok(_) => {
                if let (Some(place), Some(published)) = (&self.context.place, &published) {
                    let _ = place.remove(published);
                }
                Err(error.into())
            }
            // The bytes are kept if the existence of the record is unknown.
            Err(_) => Err(error.into()),
        }
    }
}

/// Returns the record with the completion. It is stored beside the bytes, so that they are usable
/// without the ledger.
fn completed_record(record: &Record, event: &Event) -> serde_json::Value {
    let mut completed = record.clone();
    let bytes = completed.add(event.clone()).and_then(|()| completed.to_bytes());
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| event.to_value())
}

/// Fails if a signal requested the end of the work.
fn interrupted() -> Result<(), Error> {
    match interrupt::requested() {
        Some(signal) => Err(Error::Interrupted { signal }),
        None => Ok(()),
    }
}

fn location(uri: &str) -> Result<Location, Error> {
    let parsed = uri.parse::<Location>();
    parsed.map_err(|error| Error::Ledger(ledger::Error::Invalid(error)))
}

/// Returns the facts of the server; the facts that the tool knows take precedence.
fn postgres(facts: &ServerFacts, dbname: &str, known: Option<Postgres>) -> Postgres {
    let known = known.unwrap_or_default();
    let line = |text: &str| Some(Line::lossy(text));
    let version = facts.version_text.split_ascii_whitespace().next().unwrap_or_default();
    Postgres {
        version: line(version),
        system_identifier: known
            .system_identifier
            .or_else(|| facts.system_identifier.as_deref().and_then(line)),
        timeline: known.timeline.or(facts.timeline),
        start_lsn: known.start_lsn.or_else(|| facts.current_lsn.as_ref().and_then(|lsn| lsn.parse().ok())),
        stop_lsn: known.stop_lsn,
        dbname: Some(dbname.to_owned()),
        size_bytes: known.size_bytes.or(Some(facts.database_size_bytes)),
        encoding: line(&facts.encoding),
        collate: line(&facts.collate),
        ctype: line(&facts.ctype),
        locale_provider: facts.locale_provider.as_deref().and_then(line),
        locale: facts.locale.as_deref().and_then(line),
        icu_rules: facts.icu_rules.clone(),
        lc_monetary: line(&facts.lc_monetary),
        settings: facts.settings.clone(),
    }
}

impl From<process::Error> for Error {
    fn from(error: process::Error) -> Self {
        Self::Tools(crate::tools::Error::Process(error))
    }
}
