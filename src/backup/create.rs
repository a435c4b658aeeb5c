//! Makes a backup with the tool of its database and records it.
//!
//! The order is what makes it safe to die anywhere: the record says
//! `in_progress`, and whose process works on it, before the first byte; the
//! bytes get their name when all of them are on disk; only then the record says
//! `completed`. What dies in between leaves a record that others can see to be
//! interrupted, and at most a partial directory that the next run removes.
//!
//! The same backup may be tried again, under the same id: each attempt has a
//! number and bytes of its own, so that what a lost attempt still does is
//! neither believed nor in the way.

use std::collections::BTreeMap;
use std::thread;

use crate::artifacts::{DraftSink, HeldSource, NoSink, ROW_COUNTS, of_store, row_counts};
use crate::clock::Clock;
use crate::config::DatabaseConfig;
use crate::domain::{
    Backup, BackupId, BackupName, BackupType, Body, Completed, Compression, Dependency, Encryption, Event,
    Failed, Failure, Line, Location, Postgres, Record, Started, Status, TagKey, Timestamp, Tool,
};
use crate::git::Oid;
use crate::ledger::{self, Entry, Ledger, NewBackup};
use crate::pg::{Client, ConnInfo, ServerFacts, Snapshot};
use crate::process::{self, Liveness, Owner, crash_point, interrupt, is_alive};
use crate::progress::Progress;
use crate::store::{Access, BackupDestination, PendingBackup, StoredBackup};
use crate::tools::adapter::{Basis, Made, Order, Source, Subject};
use crate::tools::{self, Adapter, DumpSpec, Programs};

use super::base::choose_base;
use super::choice::{Asked, Chosen, choose};
use super::error::{Error, NotAgain};
use super::migrations::{MIGRATIONS, migrations};

/// What is to be backed up and how.
#[derive(Debug)]
pub struct Request {
    /// The id of the backup, where somebody has decided on it before. When it is
    /// registered already, this is its next attempt.
    pub id: Option<BackupId>,
    /// The type that is wanted.
    pub kind: BackupType,
    /// The database, with everything that the command line said about it.
    pub database: DatabaseConfig,
    /// What was asked for as the commit.
    pub asked: Asked,
    /// The commit recorded in the database does not count.
    pub force: bool,
    /// The name of the backup; without one, the database and the time.
    pub name: Option<BackupName>,
    /// Its tags.
    pub tags: BTreeMap<TagKey, Line>,
}

/// What a run needs to have around it.
pub struct Surroundings<'a> {
    /// Where it is recorded.
    pub ledger: Ledger<'a>,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// How to reach the database.
    pub server: ConnInfo,
    /// Where the client programs of PostgreSQL are.
    pub programs: Programs,
    /// The tool that makes it.
    pub adapter: Box<dyn Adapter>,
    /// Where the bytes go; `None` when the tool has a repository of its own.
    pub place: Option<BackupDestination>,
    /// What it takes to reach the stores of earlier backups.
    pub access: Access,
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

/// A run that did not make a backup.
#[derive(Debug)]
pub struct Unsuccessful {
    /// Why.
    pub error: Box<Error>,
    /// What the ledger says about it, when it was registered.
    pub entry: Option<Box<Entry>>,
    /// Why the ledger does not say that it failed, when it should.
    pub not_recorded: Option<Box<ledger::Error>>,
}

impl<E: Into<Error>> From<E> for Unsuccessful {
    fn from(error: E) -> Self {
        Self { error: Box::new(error.into()), entry: None, not_recorded: None }
    }
}

/// Makes the backup. Everything that goes wrong after the commit is known is
/// recorded. A backup that is completed already is not made again.
pub fn create(around: &Surroundings<'_>, request: &Request) -> Result<Entry, Unsuccessful> {
    let registered = registered(around, request)?;
    if let Some(entry) = registered.as_ref().filter(|entry| entry.backup.status == Status::Completed) {
        return Ok(entry.clone());
    }
    let repository = around.ledger.schema_repository();
    let asked = match &registered {
        Some(entry) => Asked::Revision(entry.backup.commit.to_string()),
        None => request.asked.clone(),
    };
    let name = request.database.name.as_str();
    let choice = |mark: Option<&str>| choose(repository, &asked, mark, name, request.force);
    // A revision that does not exist is said before the server is asked.
    if asked != Asked::Nothing {
        choose(repository, &asked, None, name, true)?;
    }
    let begin = |chosen: &Chosen, basis: Basis| match &registered {
        Some(entry) => again(around, entry),
        None => register(around, request, chosen, basis),
    };
    let client = match connect(around) {
        Ok(client) => client,
        Err(error) => {
            let begun = choice(None).ok().map(|chosen| begin(&chosen, Basis::of(request.kind)));
            return Err(unreachable(around, begun, error));
        }
    };
    let snapshot = match around.adapter.reads_snapshot() {
        true => Some(client.export_snapshot().map_err(Error::from)?),
        false => None,
    };
    let facts = client.facts().map_err(Error::from)?;
    let chosen = choice(client.read_mark().map_err(Error::from)?.as_deref())?;
    let (basis, chain) = choose_base(around, request, &facts)?;
    let entry = begin(&chosen, basis.clone()).map_err(Error::from)?;
    crash_point("backup.registered");
    let run = Run { around, request, client: &client, facts: &facts, entry: &entry, basis, chain };
    let made = run.make(snapshot.as_ref().map(Snapshot::id)).and_then(|made| {
        snapshot.map_or(Ok(()), Snapshot::finish)?;
        Ok(made)
    });
    made.and_then(|made| run.complete(made)).map_err(|error| failed(around, entry.clone(), error))
}

/// The record, when the backup that is to be made is registered already and may
/// be tried again.
fn registered(around: &Surroundings<'_>, request: &Request) -> Result<Option<Entry>, Error> {
    let Some(id) = request.id else { return Ok(None) };
    let entry = match around.ledger.by_id(id) {
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

/// Whether another process of this machine is known to work on it. One of
/// another machine has to be known by whoever asks for the next attempt.
fn is_being_made(backup: &Backup) -> bool {
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    owner.is_some_and(|owner| {
        is_alive(owner) == Liveness::Alive && Owner::current().is_ok_and(|current| *owner != current)
    })
}

/// Begins the next attempt.
fn again(around: &Surroundings<'_>, entry: &Entry) -> Result<Entry, ledger::Error> {
    let attempt = entry.record.next_attempt();
    let started = Started { attempt, owner: Owner::current().ok(), started_at: None };
    let change = Body::from(started);
    around.ledger.append_at(&entry.backup.commit, entry.backup.id, |_| Ok(change.clone().into()))
}

fn connect(around: &Surroundings<'_>) -> Result<Client, Error> {
    Ok(Client::connect(&around.server, "git-pggit")?)
}

/// A database that cannot be reached is a backup that was not made, and the
/// ledger says so.
fn unreachable(
    around: &Surroundings<'_>,
    begun: Option<Result<Entry, ledger::Error>>,
    error: Error,
) -> Unsuccessful {
    match begun {
        Some(Ok(entry)) => failed(around, entry, error),
        Some(Err(other)) => {
            Unsuccessful { error: Box::new(error), entry: None, not_recorded: Some(Box::new(other)) }
        }
        None => error.into(),
    }
}

fn register(
    around: &Surroundings<'_>,
    request: &Request,
    chosen: &Chosen,
    basis: Basis,
) -> Result<Entry, ledger::Error> {
    let now = around.clock.now();
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
        tool: Tool { name: Line::lossy(around.adapter.name()), version: None },
        depends_on: basis.parent.into_iter().collect(),
        expires_at: None,
        tags: request.tags.clone(),
        metadata: chosen.to_metadata(),
    };
    let started = Started { attempt: 1, owner: Owner::current().ok(), started_at: None };
    around.ledger.register(&new, &[started.into()])
}

/// `shop-20261121T034006.123Z`: two in one second have two names. Whole seconds
/// are written as such.
pub fn default_name(database: &str, at: Timestamp) -> Result<BackupName, crate::domain::Invalid> {
    let whole = at.as_datetime().timestamp_subsec_millis() == 0;
    let form = if whole { "%Y%m%dT%H%M%SZ" } else { "%Y%m%dT%H%M%S%.3fZ" };
    format!("{database}-{}", at.as_datetime().format(form)).parse()
}

/// Records the failure.
fn failed(around: &Surroundings<'_>, entry: Entry, error: Error) -> Unsuccessful {
    let error = match interrupt::requested() {
        Some(signal) => Error::Interrupted { signal },
        None => error,
    };
    let attempt = entry.backup.attempt.as_ref().map(|attempt| attempt.number);
    let failure = Failure { code: Line::lossy(error.code()), message: describe(&error) };
    let body = Body::from(Failed { attempt, error: failure });
    match around.ledger.append_at(&entry.backup.commit, entry.backup.id, |_| Ok(body.clone().into())) {
        Ok(entry) => {
            Unsuccessful { error: Box::new(error), entry: Some(Box::new(entry)), not_recorded: None }
        }
        Err(other) => Unsuccessful {
            error: Box::new(error),
            entry: Some(Box::new(entry)),
            not_recorded: Some(Box::new(other)),
        },
    }
}

/// An error with the errors behind it; the end of what is too long.
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
struct Run<'a> {
    around: &'a Surroundings<'a>,
    request: &'a Request,
    client: &'a Client,
    facts: &'a ServerFacts,
    entry: &'a Entry,
    basis: Basis,
    chain: Vec<Backup>,
}

/// What was made, durable but not published.
struct Whole {
    draft: Option<PendingBackup>,
    made: Made,
    schema: Option<Vec<u8>>,
}

impl Run<'_> {
    fn make(&self, snapshot: Option<&str>) -> Result<Whole, Error> {
        let draft = self.draft()?;
        let sources = self.sources()?;
        let mut chain: Vec<Subject<'_>> = Vec::new();
        for (backup, source) in self.chain.iter().zip(&sources) {
            let source = source.as_ref().map(|source| source as &dyn Source);
            chain.push(Subject { backup, chain: &[], source });
        }
        let parent = chain.split_last().map(|(parent, before)| Subject { chain: before, ..*parent });
        let order = Order {
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
        let reader = self.migrations_reader(snapshot);
        let (made, schema, counts, migrations) = thread::scope(|scope| {
            let migrations = scope.spawn(move || reader.and_then(|read| read()));
            let schema = scope.spawn(move || recorder.map(|record| record()).transpose());
            let counts = scope.spawn(move || counter.map(|count| count()));
            let made = self.run(&order, draft.as_ref());
            let schema = schema.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let counts = counts.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let migrations = migrations.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (made, schema, counts, migrations)
        });
        let (mut made, schema) = (made?, schema?);
        if self.basis.kind != self.request.kind {
            made.metadata.insert("requested_type", self.request.kind.as_str());
            let warning = format!(
                "there was no backup to build on: {} instead of {}",
                self.basis.kind, self.request.kind
            );
            made.metadata.insert("warnings", vec![warning]);
        }
        counts.into_iter().for_each(|counts| made.metadata.insert(ROW_COUNTS, counts));
        migrations.into_iter().for_each(|state| made.metadata.insert(MIGRATIONS, state));
        interrupted()?;
        Ok(Whole { draft, made, schema })
    }

    fn run(&self, order: &Order<'_>, draft: Option<&PendingBackup>) -> Result<Made, Error> {
        let (adapter, progress) = (&self.around.adapter, self.around.progress);
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
        let Some(place) = &self.around.place else { return Ok(None) };
        place.sweep();
        let (id, now) = (self.artifact_id(), self.around.clock.now());
        let database = &self.request.database;
        Ok(Some(place.draft(&id, database.name.as_str(), database.compression.value, now)?))
    }

    /// What the bytes of this attempt are called: an attempt that was lost may
    /// still be at work on its own.
    fn artifact_id(&self) -> String {
        let id = self.entry.backup.id;
        match self.entry.backup.attempt.as_ref().map_or(1, |attempt| attempt.number) {
            1 => id.to_string(),
            number => format!("{id}-{number}"),
        }
    }

    /// The bytes of the backups that it builds on, where they are ours.
    fn sources(&self) -> Result<Vec<Option<HeldSource>>, Error> {
        let open = |backup: &Backup| match &backup.location {
            Some(_) if !self.around.adapter.has_repository() => {
                let held = StoredBackup::open(backup, &self.around.access);
                let held = held.map_err(|source| Error::BaseUnreadable { backup: backup.id, source })?;
                Ok(Some(HeldSource(held)))
            }
            _ => Ok(None),
        };
        self.chain.iter().map(open).collect()
    }

    /// What asks for the schema of the database, as it is backed up: beside the
    /// tool, which takes longer.
    fn recorder(
        &self,
        order: &Order<'_>,
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
        let programs = self.around.programs.for_server(self.facts.major);
        Ok(Some(move || programs.schema_sql(&spec)))
    }

    /// What counts the rows of all tables in the snapshot that is backed up.
    fn counter<'s>(
        &'s self,
        snapshot: Option<&'s str>,
    ) -> Option<impl FnOnce() -> serde_json::Value + Send + use<'s>> {
        let (database, server) = (&self.request.database, &self.around.server);
        let snapshot = snapshot.filter(|_| database.record_counts.value)?;
        let schemas: Vec<&str> = database.dump.schemas.iter().map(String::as_str).collect();
        Some(move || row_counts(server, snapshot, &schemas))
    }

    /// Returns the function that reads the state of the migration tool in the snapshot that is backed up.
    fn migrations_reader<'s>(
        &'s self,
        snapshot: Option<&'s str>,
    ) -> Option<impl FnOnce() -> Option<serde_json::Value> + Send + use<'s>> {
        let (database, server, snapshot) = (&self.request.database, &self.around.server, snapshot?);
        let repository = self.around.ledger.schema_repository().for_thread();
        let commit = Oid::from(&self.entry.backup.commit);
        Some(move || migrations(server, snapshot, &repository, commit, database))
    }

    /// How the place compresses, where the tool does not do it.
    fn compression(&self) -> Option<Line> {
        let level = self.request.database.compression.value;
        let text = match (self.around.place.as_ref()?, level) {
            (BackupDestination::Store { .. }, Compression::None) => "zstd".to_owned(),
            (_, Compression::Zstd(level)) => format!("zstd:{level}"),
            (BackupDestination::Directory(_), Compression::None) => "none".to_owned(),
        };
        Some(Line::lossy(&text))
    }

    fn completed(&self, draft: Option<&PendingBackup>, made: Made) -> Result<Completed, Error> {
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
            self.facts.snapshot.as_deref().filter(|_| self.around.adapter.reads_snapshot())
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
            postgres: Some(postgres(self.facts, self.around.server.dbname(), made.postgres)),
            tool_version: Some(Line::lossy(&made.tool_version)),
            metadata,
        })
    }

    /// A tool may have built on a backup that nobody has imported yet: then there
    /// is no record to point to, and only the facts of the tool tell.
    fn recorded(&self, basis: Basis) -> Basis {
        let is_there = |parent: &Dependency| self.around.ledger.by_id(parent.id).is_ok();
        Basis { parent: basis.parent.filter(is_there), ..basis }
    }

    /// Publishes the bytes, then says in the ledger that they are there.
    fn complete(&self, Whole { draft, made, schema }: Whole) -> Result<Entry, Error> {
        let body = self.completed(draft.as_ref(), made)?;
        let event = self.around.ledger.next_event(&self.entry.record, body.into())?;
        let record = completed_record(&self.entry.record, &event);
        let published = draft.map(|draft| draft.publish(record)).transpose()?;
        crash_point("backup.published");
        let error = match self.around.ledger.append_event_with_schema(&event, schema.as_deref()) {
            Ok(entry) => {
                crash_point("backup.completed");
                return Ok(entry);
            }
            Err(error) => error,
        };
        match self.around.ledger.by_id(self.entry.backup.id) {
            // It counts, although something after it went wrong.
            Ok(entry) if entry.record.event(event.id).is_some() => Ok(entry),
            // Without a record nobody would ever find these bytes.
            Ok(_) => {
                if let (Some(place), Some(published)) = (&self.around.place, &published) {
                    let _ = place.remove(published);
                }
                Err(error.into())
            }
            // Who does not know whether there is a record keeps the bytes.
            Err(_) => Err(error.into()),
        }
    }
}

/// What the ledger is going to say about the bytes; it is kept beside them, so
/// that they are complete without it.
fn completed_record(record: &Record, event: &Event) -> serde_json::Value {
    let mut completed = record.clone();
    let bytes = completed.add(event.clone()).and_then(|()| completed.to_bytes());
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| event.to_value())
}

/// The end of the work when a signal asked for it.
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

/// What the server said, and what the tool knows better.
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
