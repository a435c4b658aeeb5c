//! Makes a backup with pg_dump and records it.
//!
//! The order is what makes it safe to die anywhere: the record says
//! `in_progress`, and whose process works on it, before the first byte; the
//! bytes get their name when all of them are on disk; only then the record says
//! `completed`. What dies in between leaves a record that others can see to be
//! interrupted, and at most a partial directory that the next run removes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::clock::Clock;
use crate::config::{DatabaseConfig, Globals};
use crate::domain::{
    BackupId, BackupName, BackupType, Body, Completed, Compression, DumpFormat, Encryption, Failed, Failure,
    Line, Location, Postgres, Started, Status, TagKey, Timestamp, Tool,
};
use crate::ledger::{self, Entry, Ledger, NewBackup};
use crate::pg::{Client, ConnInfo, ServerFacts};
use crate::process::{self, Owner, crash_point, interrupt};
use crate::progress::Progress;
use crate::store::{Draft, Place};
use crate::tools::{Connection, DumpSpec, Programs};

use super::Error;
use super::choice::{Asked, Chosen, choose};
use super::dump::{Dump, Job, completed_record};

/// What is to be backed up and how.
#[derive(Debug)]
pub struct Request {
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
    /// Where the bytes go.
    pub place: Place,
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
/// recorded.
pub fn create(around: &Surroundings<'_>, request: &Request) -> Result<Entry, Unsuccessful> {
    let repository = around.ledger.schema_repository();
    let name = request.database.name.as_str();
    let choice = |mark: Option<&str>| choose(repository, &request.asked, mark, name, request.force);
    // A revision that does not exist is said before the server is asked.
    if request.asked != Asked::Nothing {
        choose(repository, &request.asked, None, name, true)?;
    }
    let client = match connect(around) {
        Ok(client) => client,
        Err(error) => return Err(unreachable(around, request, choice(None).ok(), error)),
    };
    let snapshot = client.export_snapshot().map_err(Error::from)?;
    let facts = client.facts().map_err(Error::from)?;
    let chosen = choice(client.read_mark().map_err(Error::from)?.as_deref())?;
    let entry = register(around, request, &chosen)?;
    crash_point("backup.registered");
    let run = Run { around, request, facts: &facts, entry: &entry };
    let made = run.make(snapshot.id()).and_then(|made| {
        snapshot.finish()?;
        Ok(made)
    });
    made.and_then(|made| run.complete(made)).map_err(|error| failed(around, entry.clone(), error))
}

fn connect(around: &Surroundings<'_>) -> Result<Client, Error> {
    let client = Client::connect(&around.server, "git-pggit")?;
    client.never_time_out()?;
    Ok(client)
}

/// A database that cannot be reached is a backup that was not made, and the
/// ledger says so.
fn unreachable(
    around: &Surroundings<'_>,
    request: &Request,
    chosen: Option<Chosen>,
    error: Error,
) -> Unsuccessful {
    match chosen.map(|chosen| register(around, request, &chosen)) {
        Some(Ok(entry)) => failed(around, entry, error),
        Some(Err(other)) => {
            Unsuccessful { error: Box::new(error), entry: None, not_recorded: Some(Box::new(other)) }
        }
        None => error.into(),
    }
}

fn register(around: &Surroundings<'_>, request: &Request, chosen: &Chosen) -> Result<Entry, ledger::Error> {
    let now = around.clock.now();
    let database = &request.database;
    let new = NewBackup {
        id: BackupId::new(now),
        name: match &request.name {
            Some(name) => name.clone(),
            None => default_name(database.name.as_str(), now)?,
        },
        database: database.name.clone(),
        commit: chosen.commit.clone(),
        branch: chosen.branch.clone(),
        kind: BackupType::Full,
        tool: Tool { name: Line::lossy(database.tool.value.as_str()), version: None },
        depends_on: Vec::new(),
        expires_at: None,
        tags: request.tags.clone(),
        metadata: chosen.to_metadata(),
    };
    let started = Started { attempt: 1, owner: Owner::current().ok(), started_at: None };
    around.ledger.register(&new, &[started.into()])
}

/// `shop-20261121T034006Z`
pub fn default_name(database: &str, at: Timestamp) -> Result<BackupName, crate::domain::Invalid> {
    format!("{database}-{}", at.as_datetime().format("%Y%m%dT%H%M%SZ")).parse()
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
    facts: &'a ServerFacts,
    entry: &'a Entry,
}

/// What was made, durable but not published.
struct Made {
    draft: Draft,
    dump: Dump,
}

impl Run<'_> {
    fn make(&self, snapshot: &str) -> Result<Made, Error> {
        let place = &self.around.place;
        place.sweep();
        let database = &self.request.database;
        let (id, now) = (self.entry.backup.id.to_string(), self.around.clock.now());
        let draft = place.draft(&id, database.name.as_str(), database.compression.value, now)?;
        let dump = self.job(snapshot).run(&draft)?;
        interrupted()?;
        Ok(Made { draft, dump })
    }

    fn job(&self, snapshot: &str) -> Job<'_> {
        let database = &self.request.database;
        Job {
            database: database.name.as_str(),
            tools: self.around.programs.for_server(self.facts.major),
            spec: DumpSpec {
                connection: Connection::from(&self.around.server),
                format: database.format.value,
                schemas: database.schemas.iter().map(|schema| schema.value.clone()).collect(),
                jobs: database.jobs.as_ref().and_then(|jobs| NonZeroU32::new(jobs.value.into())),
                snapshot: Some(snapshot.to_owned()),
                deadline: database.timeout.as_ref().map(|timeout| timeout.value),
            },
            globals: match database.globals.value {
                Globals::All if !self.facts.can_read_role_passwords => Globals::NoPasswords,
                wanted => wanted,
            },
            record_schema: database.record_schema.value,
            compression: database.compression.value,
            progress: self.around.progress,
        }
    }

    fn compression(&self) -> String {
        let database = &self.request.database;
        match database.compression.value {
            Compression::None if matches!(self.around.place, Place::Store { .. }) => "zstd".to_owned(),
            Compression::Zstd(level) if matches!(self.around.place, Place::Store { .. }) => {
                format!("zstd:{level}")
            }
            // pg_dump compresses the files of a directory by itself.
            _ if database.format.value == DumpFormat::Directory => "gzip".to_owned(),
            Compression::None => "none".to_owned(),
            Compression::Zstd(level) => format!("zstd:{level}"),
        }
    }

    /// Publishes the bytes, then says in the ledger that they are there.
    fn complete(&self, Made { draft, dump }: Made) -> Result<Entry, Error> {
        let location = location(&draft.location()?)?;
        let schema = dump.schema.clone();
        let body = Completed {
            attempt: self.entry.backup.attempt.as_ref().map(|attempt| attempt.number),
            location: Some(location),
            size_bytes: dump.artifacts.iter().map(|artifact| artifact.size_bytes).sum(),
            stored_bytes: dump.artifacts.iter().map(|artifact| artifact.stored_bytes).sum(),
            compression: Some(Line::lossy(&self.compression())),
            encryption: draft.key().map(|key_id| Encryption { key_id: Line::lossy(&key_id) }),
            digest: dump.artifacts.first().map(|artifact| artifact.digest.clone()),
            artifacts: dump.artifacts,
            started_at: None,
            completed_at: None,
            postgres: Some(postgres(self.facts, self.around.server.dbname())),
            tool_version: Some(Line::lossy(&dump.tool_version)),
            metadata: dump.metadata,
        };
        let event = self.around.ledger.next_event(&self.entry.record, body.into())?;
        let published = draft.publish(completed_record(&self.entry.record, &event))?;
        crash_point("backup.published");
        let error = match self.around.ledger.append_event_with_schema(&event, schema.as_deref()) {
            Ok(entry) => return Ok(entry),
            Err(error) => error,
        };
        match self.around.ledger.by_id(self.entry.backup.id) {
            // It counts, although something after it went wrong.
            Ok(entry) if entry.backup.status == Status::Completed => Ok(entry),
            // Without a record nobody would ever find these bytes.
            Ok(_) => {
                let _ = self.around.place.remove(&published);
                Err(error.into())
            }
            // Who does not know whether there is a record keeps the bytes.
            Err(_) => Err(error.into()),
        }
    }
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

fn postgres(facts: &ServerFacts, dbname: &str) -> Postgres {
    let line = |text: &str| Some(Line::lossy(text));
    let version = facts.version_text.split_ascii_whitespace().next().unwrap_or_default();
    Postgres {
        version: line(version),
        system_identifier: facts.system_identifier.as_deref().and_then(line),
        timeline: facts.timeline,
        start_lsn: facts.current_lsn.as_ref().and_then(|lsn| lsn.parse().ok()),
        stop_lsn: None,
        dbname: Some(dbname.to_owned()),
        size_bytes: Some(facts.database_size_bytes),
        encoding: line(&facts.encoding),
        collate: line(&facts.collate),
        ctype: line(&facts.ctype),
        locale_provider: facts.locale_provider.as_deref().and_then(line),
        locale: facts.locale.as_deref().and_then(line),
        icu_rules: facts.icu_rules.clone(),
    }
}

impl From<process::Error> for Error {
    fn from(error: process::Error) -> Self {
        Self::Tools(crate::tools::Error::Process(error))
    }
}
