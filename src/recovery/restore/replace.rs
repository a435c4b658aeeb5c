//! In-place restores: a restored database or data directory replaces an existing one.
//!
//! The new object is created beside the old one. Then the two objects exchange names. The old object
//! is kept until the restore is finished or aborted. A journal records each step, so that an
//! interrupted restore can be resumed or aborted.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::record::{RestoreFacts, location_of_database, location_of_directory, record};
use super::request::VERSION;
use super::target::locate_for;
use super::{
    Description, Destination, Proof, Refusal, RestoreOutcome, RestorePlan, RestoreRequest, SchemaComparison,
    admin_of,
};
use crate::domain::{BackupId, CommitId, Metadata, RestoreMode};
use crate::git::Oid;
use crate::ledger::Entry;
use crate::process::crash_point;
use crate::progress::Progress;
use crate::recovery::in_place::{
    self, DatabaseSite, DirectorySite, Identity, Journal, Journals, LockedJournal, Positions, ReplacedObject,
    Slot, Stage, SwapTarget,
};
use crate::recovery::{Effect, Error, PlannedStep};
use crate::workspace::{Workspace, connect, places, store};

/// Returns the journals of the unfinished restores.
///
/// # Errors
/// If there is no repository.
pub fn journals(workspace: &Workspace) -> Result<Journals, Error> {
    Ok(Journals::new(workspace.repository()?.common_dir().join("pggit/restores")))
}

/// The database or data directory to replace.
enum Original {
    Database(Box<DatabaseSite>),
    Directory(DirectorySite),
}

impl Original {
    /// Returns the object that the request names.
    fn of_request(
        request: &RestoreRequest,
        entry: &Entry,
        commit: CommitId,
        workspace: &Workspace,
    ) -> Result<Self, Error> {
        let database = match &request.destination {
            Destination::Directory(directory) => {
                let site = DirectorySite::at(&directory.path)?;
                return Ok(Self::Directory(site.with_mapped(mapped(request))));
            }
            Destination::Database(database) => database,
        };
        let admin = admin_of(entry, request.database.as_ref(), database.server.as_deref(), workspace)?;
        let dbname = match &database.name {
            Some(name) => name.clone(),
            None => {
                let name = request.database.as_ref().unwrap_or(&entry.backup.database);
                let known = workspace.config()?.selected(Some(name.as_str()))?;
                connect::conninfo(workspace, &known)?.dbname().to_owned()
            }
        };
        Ok(Self::Database(Box::new(DatabaseSite::at(&admin, &dbname, commit, database.disconnect)?)))
    }

    /// Returns the object that a journal names. `request` is the original request.
    fn of_journal(journal: &Journal, request: &RestoreRequest, workspace: &Workspace) -> Result<Self, Error> {
        let (dbname, expected) = match &journal.place {
            ReplacedObject::Directory { path, beside, aside } => {
                let site = DirectorySite::of(path, beside, aside);
                return Ok(Self::Directory(site.with_mapped(mapped(request))));
            }
            ReplacedObject::Database { dbname, system_identifier, .. } => (dbname, system_identifier),
        };
        let (server, disconnect) = match &request.destination {
            Destination::Database(database) => (database.server.as_deref(), database.disconnect),
            Destination::Directory(_) => (None, false),
        };
        let entry = workspace.ledger()?.by_id(journal.backup)?;
        let admin = admin_of(&entry, request.database.as_ref(), server, workspace)?;
        let site = DatabaseSite::at(&admin, dbname, journal.commit.clone(), disconnect)?;
        if site.system_identifier() != expected {
            let (server, expected) = (admin.to_url(), expected.clone());
            return Err(Refusal::OtherCluster { server, expected }.into());
        }
        Ok(Self::Database(Box::new(site)))
    }

    fn site(&self) -> &dyn SwapTarget {
        match self {
            Self::Database(site) => site.as_ref(),
            Self::Directory(site) => site,
        }
    }

    fn place(&self) -> ReplacedObject {
        match self {
            Self::Database(site) => site.place(),
            Self::Directory(site) => site.place(),
        }
    }

    fn preflight(&self) -> Result<(), Error> {
        match self {
            Self::Database(site) => site.preflight(),
            Self::Directory(site) => site.preflight(),
        }
    }
}

/// Returns the directories that the user has named for tablespaces.
fn mapped(request: &RestoreRequest) -> Vec<PathBuf> {
    match &request.destination {
        Destination::Directory(directory) => {
            directory.tablespaces.iter().map(|(_, new)| new.clone()).collect()
        }
        Destination::Database(_) => Vec::new(),
    }
}

/// Returns the request that creates the new object beside the old one.
fn beside(request: &RestoreRequest, place: &ReplacedObject) -> RestoreRequest {
    let mut beside = request.clone();
    match (&mut beside.destination, place) {
        (Destination::Database(database), ReplacedObject::Database { beside, .. }) => {
            database.name = Some(beside.clone());
        }
        (Destination::Directory(directory), ReplacedObject::Directory { beside, .. }) => {
            directory.path.clone_from(beside);
        }
        // A target in a journal has the same kind as the destination in its request.
        _ => {}
    }
    beside
}

/// Returns the request for exactly this backup and commit. It depends neither on later backups nor on
/// the working directory of the command.
fn exact(
    request: RestoreRequest,
    entry: &Entry,
    commit: Oid,
    workspace: &Workspace,
) -> Result<RestoreRequest, Error> {
    let mut destination = request.destination;
    if let Destination::Directory(directory) = &mut destination
        && let Some(url) = &directory.wal_store
    {
        directory.wal_store = Some(store::general_url(workspace, Some(url))?.to_string());
    }
    Ok(RestoreRequest {
        what: entry.backup.id.to_string(),
        commit: Some(commit.to_commit().to_string()),
        no_migrate: false,
        destination,
        ..request
    })
}

/// A planned in-place restore.
pub struct Replacement<'a> {
    request: RestoreRequest,
    entry: Entry,
    commit: Oid,
    original: Original,
    workspace: &'a Workspace,
}

impl<'a> Replacement<'a> {
    /// Finds the backup, and the database or directory to replace. Nothing is changed.
    ///
    /// # Errors
    /// If the backup or the object to replace does not exist, if the backup does not lead to the
    /// commit, or if the request selects a part.
    pub fn new(request: RestoreRequest, workspace: &'a Workspace) -> Result<Self, Error> {
        let is_whole = match &request.destination {
            Destination::Database(database) => {
                database.selection().is_all() && database.from_database.is_none()
            }
            Destination::Directory(directory) => !directory.start,
        };
        if !is_whole {
            return Err(Refusal::NotWhole.into());
        }
        let (entry, commit) = locate_for(&request.query(), request.until(), workspace)?;
        let original = Original::of_request(&request, &entry, commit.to_commit(), workspace)?;
        Ok(Self { request: exact(request, &entry, commit, workspace)?, entry, commit, original, workspace })
    }

    /// Returns the database or data directory to replace.
    pub fn place(&self) -> ReplacedObject {
        self.original.place()
    }

    /// Returns the backup.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Plans the creation of the new object, and describes all steps. Nothing is changed.
    ///
    /// # Errors
    /// If the steps cannot be determined.
    pub fn describe(self) -> Result<(RestorePlan<'a>, Description), Error> {
        let place = self.place();
        let refusal = self.original.preflight().err();
        let plan = RestorePlan::new(beside(&self.request, &place), self.workspace)?;
        let mut description = plan.describe()?;
        let what = format!("rename {place} to {}, and give its name to the restored one", place.aside());
        description.steps.push(PlannedStep::new(what, Effect::Replaces));
        description.refusals.extend(refusal);
        Ok((plan, description))
    }

    /// Checks that the old object can be replaced now, and returns its identity.
    ///
    /// # Errors
    /// If an earlier in-place restore is unfinished, or if the old object is in use or missing.
    pub fn check(&self) -> Result<Identity, Error> {
        let place = self.place();
        let id = place.id();
        let earlier = journals(self.workspace)?.list()?.into_iter().find(|(other, ..)| *other == id);
        if let Some((_, earlier, _)) = earlier {
            return Err(Error::NotOver { what: earlier.place.to_string(), id });
        }
        self.original.preflight()?;
        let old = self.original.site().identity(Slot::InPlace)?;
        old.ok_or_else(|| Refusal::Gone { what: place.to_string() }.into())
    }

    /// Begins a journal. From then on the restore can be resumed and aborted.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn begin(self, old: Identity) -> Result<UnfinishedRestore<'a>, Error> {
        let request = serde_json::to_value(&self.request)
            .map_err(|error| Refusal::NotWritable { reason: error.to_string() })?;
        let (id, commit) = (self.entry.backup.id, self.commit.to_commit());
        let journal = Journal::new(id, commit, self.workspace.now(), self.place(), old, request);
        let open = journals(self.workspace)?.begin(journal)?;
        crash_point("recovery.in-place.begun");
        Ok(UnfinishedRestore {
            open,
            original: self.original,
            request: self.request,
            workspace: self.workspace,
        })
    }
}

/// An in-place restore with an open journal.
pub struct UnfinishedRestore<'a> {
    open: LockedJournal,
    original: Original,
    request: RestoreRequest,
    workspace: &'a Workspace,
}

/// The result of an in-place restore that has replaced the old object.
pub struct Replaced {
    /// The id of the restore, to finish or abort it.
    pub id: String,
    /// The database or directory that was replaced.
    pub place: ReplacedObject,
    /// The backup.
    pub backup: BackupId,
    /// The commit of the new object.
    pub commit: CommitId,
    /// The result of the creation; `None` if an earlier process created the new object.
    pub made: Option<RestoreOutcome>,
    /// The state of the restore.
    pub status: RestoreStatus,
    /// The result of recording the restore; `None` if an earlier process recorded it.
    pub recorded: Option<Result<(), Error>>,
}

impl<'a> UnfinishedRestore<'a> {
    /// Opens the restore with the given id, or the only unfinished one.
    ///
    /// # Errors
    /// If there is no such restore, if another process holds its lock, or if its request cannot be
    /// read.
    pub fn open(id: Option<&str>, disconnect: bool, workspace: &'a Workspace) -> Result<Self, Error> {
        let journals = journals(workspace)?;
        let id = match id {
            Some(id) => id.to_owned(),
            None => {
                let mut all = journals.list()?.into_iter();
                match (all.next(), all.next()) {
                    (Some((id, ..)), None) => id,
                    (None, _) => return Err(Refusal::NoUnfinished.into()),
                    _ => return Err(Refusal::SeveralUnfinished.into()),
                }
            }
        };
        let open = journals.open(&id)?;
        let mut request = request_of(&id, open.journal())?;
        match &mut request.destination {
            Destination::Database(database) => database.disconnect |= disconnect,
            Destination::Directory(_) if disconnect => return Err(Refusal::NoSessions { id }.into()),
            Destination::Directory(_) => {}
        }
        let from = request.from.iter().map(|text| places::place_of(text)).collect::<Result<_, _>>()?;
        workspace.read_also_from(from);
        let original = Original::of_journal(open.journal(), &request, workspace)?;
        Ok(Self { open, original, request, workspace })
    }

    /// Creates the new object if it is not complete, and exchanges the names.
    ///
    /// # Errors
    /// If the new object cannot be created. Then nothing is changed and nothing of the new object is
    /// left. If the exchange fails, the journal is kept, and the restore can be resumed.
    pub fn go_on(mut self, progress: &dyn Progress) -> Result<Replaced, Error> {
        let id = self.open.id();
        match self.open.journal().stage {
            Stage::Making | Stage::Ready | Stage::Replaced => {}
            Stage::Aborting => return Err(state(id, "is being undone", "abort")),
            Stage::Finishing => return Err(state(id, "is being finished", "finish")),
        }
        let mut made = None;
        if self.open.journal().stage == Stage::Making {
            match self.make(progress) {
                Ok(outcome) => made = Some(outcome),
                // The old object is unchanged. Everything of the new object has to be removed.
                Err(source) => {
                    return Err(match in_place::roll_back(self.open, self.original.site()) {
                        Ok(()) => source,
                        Err(_) => Error::LeftBehind { id, source: Box::new(source) },
                    });
                }
            }
        }
        in_place::replace(&mut self.open, self.original.site())
            .map_err(|source| Error::NotReplaced { id: id.clone(), source: Box::new(source) })?;
        let recorded = self.record().transpose();
        let journal = self.open.journal().clone();
        Ok(Replaced {
            place: journal.place.clone(),
            backup: journal.backup,
            commit: journal.commit.clone(),
            made,
            status: RestoreStatus::of(id.clone(), journal, false, &self.original),
            id,
            recorded,
        })
    }

    /// Creates the new object beside the old one.
    fn make(&mut self, progress: &dyn Progress) -> Result<RestoreOutcome, Error> {
        let place = self.open.journal().place.clone();
        in_place::clear(&self.open, self.original.site())?;
        if let Original::Directory(directory) = &self.original {
            directory.prepare()?;
        }
        let outcome = RestorePlan::new(beside(&self.request, &place), self.workspace)?.execute(progress)?;
        let schema = outcome.schema.clone().map(|schema| (schema.with, schema.difference));
        let proof = (outcome.proof.level.to_string(), outcome.proof.text.clone());
        self.open.update(|journal| {
            journal.schema = schema;
            journal.proof = Some(proof);
        })?;
        crash_point("recovery.in-place.made");
        if let Original::Directory(directory) = &self.original {
            directory.hand_over()?;
        }
        in_place::made(&mut self.open, self.original.site())?;
        Ok(outcome)
    }

    /// Records the restore with its backup, unless an earlier process has recorded it.
    fn record(&self) -> Result<Option<()>, Error> {
        let (journal, workspace) = (self.open.journal(), self.workspace);
        let entry = workspace.ledger()?.by_id(journal.backup)?;
        let id = journal.place.id();
        let is_this =
            |details: &Metadata| details.as_map().get("restore").and_then(Value::as_str) == Some(&id);
        if entry.backup.restores.iter().any(|one| one.at >= journal.begun_at && is_this(&one.details)) {
            return Ok(None);
        }
        let target = match &self.original {
            Original::Database(site) => location_of_database(&site.conninfo()),
            Original::Directory(site) => location_of_directory(site.path()),
        };
        let seconds = workspace.now().seconds_since(journal.begun_at);
        let schema = journal.schema.clone();
        let done = RestoreFacts {
            mode: RestoreMode::Disaster,
            target,
            commit: journal.commit.clone(),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            schema: schema.map(|(with, difference)| SchemaComparison { with, difference }),
            proof: journal
                .proof
                .clone()
                .and_then(|(level, text)| Some(Proof { level: level.parse().ok()?, text })),
            more: vec![("restore", id.into()), ("put_aside", journal.place.aside().into())],
        };
        record(&entry, done, workspace).map(Some)
    }

    /// Puts the old object back and removes the new one. Returns the target of the restore.
    ///
    /// # Errors
    /// If the restore is being finished, or if another object has one of the names.
    pub fn abort(self) -> Result<ReplacedObject, Error> {
        if self.open.journal().stage == Stage::Finishing {
            return Err(state(self.open.id(), "is being finished", "finish"));
        }
        let place = self.open.journal().place.clone();
        in_place::roll_back(self.open, self.original.site())?;
        Ok(place)
    }

    /// Removes the old object. Returns the target of the restore, and the tablespaces of the old
    /// object, which are kept.
    ///
    /// # Errors
    /// If the new object is not in place.
    pub fn finish(self) -> Result<(ReplacedObject, Vec<PathBuf>), Error> {
        if !matches!(self.open.journal().stage, Stage::Replaced | Stage::Finishing) {
            return Err(Refusal::NotInPlace { id: self.open.id() }.into());
        }
        let place = self.open.journal().place.clone();
        let tablespaces = match &self.original {
            Original::Directory(directory) => directory.tablespaces(Slot::Aside),
            Original::Database(_) => Vec::new(),
        };
        in_place::finish(self.open, self.original.site())?;
        Ok((place, tablespaces))
    }
}

fn state(id: String, state: &'static str, option: &'static str) -> Error {
    Refusal::State { id, state, option }.into()
}

fn request_of(id: &str, journal: &Journal) -> Result<RestoreRequest, Error> {
    let refuse = |reason: String| Error::from(Refusal::Request { id: id.to_owned(), reason });
    match journal.request.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {
            serde_json::from_value(journal.request.clone()).map_err(|error| refuse(error.to_string()))
        }
        _ => Err(refuse("another version of git-pggit began the restore".to_owned())),
    }
}

/// The state of an in-place restore.
pub struct RestoreStatus {
    /// The id of the restore.
    pub id: String,
    /// The journal of the restore.
    pub journal: Journal,
    /// True if a process holds the lock of the restore.
    pub is_busy: bool,
    /// The positions of both objects, or the error if they cannot be determined.
    pub positions: Result<RestorePositions, Error>,
}

/// The positions of the old and the new object.
pub struct RestorePositions {
    /// The object in place: `old`, `new`, `another` or `nothing`.
    pub in_place: &'static str,
    /// The position of the old object.
    pub old: Slot,
    /// The position of the new object.
    pub new: Slot,
}

impl RestoreStatus {
    fn of(id: String, journal: Journal, is_busy: bool, original: &Original) -> Self {
        let positions = RestorePositions::of(&journal, original);
        Self { id, journal, is_busy, positions }
    }

    /// Returns the states of all unfinished in-place restores.
    ///
    /// # Errors
    /// If the journals cannot be read.
    pub fn all(workspace: &Workspace) -> Result<Vec<Self>, Error> {
        let status = |(id, journal, is_busy): (String, Journal, bool)| {
            let original = request_of(&id, &journal)
                .and_then(|request| Original::of_journal(&journal, &request, workspace));
            let positions = original.and_then(|original| RestorePositions::of(&journal, &original));
            Self { id, journal, is_busy, positions }
        };
        Ok(journals(workspace)?.list()?.into_iter().map(status).collect())
    }
}

impl RestorePositions {
    fn of(journal: &Journal, original: &Original) -> Result<Self, Error> {
        let Positions { old, new } = in_place::stand(journal, original.site())?;
        let in_place = match original.site().identity(Slot::InPlace)? {
            Some(identity) if identity == journal.old => "old",
            Some(identity) if Some(identity) == journal.new => "new",
            Some(Identity::Inode(..) | Identity::Oid(_)) => "another",
            None => "nothing",
        };
        Ok(Self { in_place, old, new })
    }
}
