//! Synchronises the ledger with remotes.
//!
//! The ledger of the remote is fetched into tracking refs and never over the local refs. Each
//! ledger ref is then reconciled on its own: fast-forwarded, kept, or merged by the union of its
//! events. The result is pushed, never by force. If another clone has pushed first, all of it is
//! repeated. A ref is skipped and reported if the remote has rewritten its history or falsified its
//! records ([`super::accept`]): the ledger can be trusted only if events are never removed or changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{BackupId, CommitId, Record};
use crate::git::{
    NewCommit, NewNote, Notes, Oid, PushOutcome, RefDeletion, RefUpdate, Transaction, TreeChange, Writer,
};
use crate::process::crash_point;

use super::{Error, Ledger, layout, note};

/// Maximum number of attempts if other clones push at the same time.
const ROUNDS: usize = 10;
/// Maximum number of refs per transaction.
const BATCH_REFS: usize = 2_000;
/// Maximum number of refs per push. They are arguments of git, and every system allows at least some
/// hundreds of KiB of arguments.
const PUSH_REFS_MAX: usize = 2_000;
/// Maximum number of refs that are pushed by name rather than by pattern.
const NAMED_REFS_MAX: usize = 64;
/// Maximum number of changed refs that are fetched by name rather than by pattern.
const CHANGED_REFS_MAX: usize = 1_000;

/// The options of a synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncOptions {
    /// True to integrate the records of the remote.
    pub fetch: bool,
    /// True to push the local records.
    pub push: bool,
    /// True to only report the changes. The tracking refs are updated nevertheless.
    pub dry_run: bool,
    /// The time limit of each transfer, without prompts for passwords. `None` allows prompts and sets no
    /// limit.
    pub unattended: Option<Duration>,
}

/// A ref that the synchronisation skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRef {
    /// The name of the local ref.
    pub reference: String,
    /// The reason.
    pub reason: String,
    /// True if the remote has rewritten the history of the ref.
    pub rewritten: bool,
    /// True if the ref of the remote removes or alters events, or has implausible ones.
    pub refused: bool,
}

/// The result of a synchronisation. The commits are schema commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// The commits whose ledger ref was fast-forwarded to that of the remote.
    pub fetched: BTreeSet<CommitId>,
    /// The commits whose records were changed on both sides and merged.
    pub merged: BTreeSet<CommitId>,
    /// The commits whose ledger ref was pushed.
    pub pushed: BTreeSet<CommitId>,
    /// The refs that were skipped.
    pub skipped: Vec<SkippedRef>,
}

impl SyncReport {
    /// Returns true if both sides were equal already.
    pub fn is_nothing(&self) -> bool {
        self.fetched.is_empty() && self.merged.is_empty() && self.pushed.is_empty() && self.skipped.is_empty()
    }
}

/// The ledger refs of one repository, by schema commit.
type Tips = BTreeMap<CommitId, Oid>;

/// The names of the tracking refs of a remote.
struct Tracking {
    backups: String,
    notes: String,
}

impl Tracking {
    fn of(remote: &str) -> Self {
        let base = format!("{}{remote}", layout::TRACKING_PREFIX);
        Self { backups: format!("{base}/backups/"), notes: format!("{base}/notes") }
    }
}

impl Ledger<'_> {
    /// Synchronises this ledger with that of `remote`. Fails if the transfer fails, or if other clones
    /// keep pushing at the same time.
    pub fn sync(&self, remote: &str, options: SyncOptions) -> Result<SyncReport, Error> {
        let tracking = Tracking::of(remote);
        let mut synced = SyncReport::default();
        for _ in 0..ROUNDS {
            let before = self.tips(&tracking.backups)?;
            self.fetch(remote, &tracking, &before, options)?;
            crash_point("sync.fetched");
            // An object database that was opened before the fetch does not find the new packs.
            let repository = self.repository.reopened()?;
            let ledger = Ledger { repository: &repository, ..*self };
            synced.skipped = ledger.rewritten(remote, &tracking, &before)?;
            if options.fetch {
                ledger.integrate(&tracking, &before, options, &mut synced)?;
            }
            if !options.push || ledger.push(remote, &tracking, options, &mut synced)? {
                return Ok(synced);
            }
        }
        Err(Error::Busy { attempts: ROUNDS, last: format!("other clones keep pushing to `{remote}`") })
    }

    /// Updates the tracking refs.
    fn fetch(
        &self,
        remote: &str,
        tracking: &Tracking,
        before: &Tips,
        options: SyncOptions,
    ) -> Result<(), Error> {
        let (backups, notes) = (&tracking.backups, &tracking.notes);
        let everything = [
            format!("+{}*:{backups}*", layout::REFS_PREFIX),
            // A pattern, because a missing ref that is named is an error.
            format!("+{}*:{notes}*", layout::NOTES_REF),
        ];
        let changed_refs = self.changed_refs(remote, tracking, before, options)?;
        if let Some(changed_refs) = &changed_refs
            && (changed_refs.is_empty()
                || self.repository.fetch(remote, changed_refs, options.unattended).is_ok())
        {
            return Ok(());
        }
        // This also covers refs that were deleted after they were listed.
        Ok(self.repository.fetch(remote, &everything, options.unattended)?)
    }

    /// Returns the refspecs of the changed refs, if they are few: git needs long to find out that most
    /// refs are unchanged. `None` if everything must be fetched.
    fn changed_refs(
        &self,
        remote: &str,
        tracking: &Tracking,
        before: &Tips,
        options: SyncOptions,
    ) -> Result<Option<Vec<String>>, Error> {
        if before.is_empty() {
            return Ok(None);
        }
        let pattern = format!("{}*", layout::REFS_PREFIX);
        let patterns = [pattern.as_str(), layout::NOTES_REF];
        let (mut seen, mut notes) = (0, self.repository.ref_tip(&tracking.notes)?);
        let mut changed_refs = Vec::new();
        for (name, tip) in self.repository.refs_of(remote, &patterns, options.unattended)? {
            let commit = name.strip_prefix(layout::REFS_PREFIX).and_then(|it| it.parse::<CommitId>().ok());
            if let Some(commit) = commit {
                let old = before.get(&commit);
                seen += usize::from(old.is_some());
                if old != Some(&tip) {
                    changed_refs.push(format!("+{name}:{}{commit}", tracking.backups));
                }
            } else if name == layout::NOTES_REF && notes.take() != Some(tip) {
                changed_refs.push(format!("+{name}:{}", tracking.notes));
            }
        }
        // A full fetch prunes the tracking refs of refs that were deleted on the remote.
        let gone = seen < before.len() || notes.is_some();
        Ok((!gone && changed_refs.len() <= CHANGED_REFS_MAX).then_some(changed_refs))
    }

    /// Resets the tracking refs whose history was rewritten on the remote, and returns these refs.
    fn rewritten(&self, remote: &str, tracking: &Tracking, before: &Tips) -> Result<Vec<SkippedRef>, Error> {
        let mut rewritten = Vec::new();
        for (commit, new) in self.tips(&tracking.backups)? {
            let Some(old) = before.get(&commit).copied().filter(|old| *old != new) else { continue };
            if !self.repository.contains(new, old, Oid::from(&commit))? && !self.refuses(&commit, old)? {
                let name = format!("{}{commit}", tracking.backups);
                self.repository.update_refs(&Transaction {
                    updates: vec![RefUpdate { name: name.clone(), old: Some(new), new: old }],
                    reason: "sync: history was rewritten".to_owned(),
                    ..Transaction::default()
                })?;
                let reason = format!("`{remote}` has rewritten its history: {new} does not continue {old}");
                let reference = layout::ref_name(&commit);
                rewritten.push(SkippedRef { reference, reason, rewritten: true, refused: false });
            }
        }
        Ok(rewritten)
    }

    /// Returns true if the tip `theirs` of a remote is not accepted. A remote that goes back from such a
    /// tip was repaired and has not rewritten its history. A plain `git fetch` can have moved the tracking
    /// ref to it.
    fn refuses(&self, commit: &CommitId, theirs: Oid) -> Result<bool, Error> {
        let ours = self.repository.ref_tip(&layout::ref_name(commit))?;
        match self.accept(commit, ours, theirs) {
            Err(Error::RemoteRejected { .. }) => Ok(true),
            Err(error) => Err(error),
            Ok(()) => Ok(false),
        }
    }

    fn tips(&self, prefix: &str) -> Result<Tips, Error> {
        let refs = self.repository.tips_under(prefix, |_| {})?;
        Ok(refs.iter().filter_map(|(name, tip)| Some((name.parse().ok()?, tip))).collect())
    }

    /// Integrates the fetched refs into the local refs.
    fn integrate(
        &self,
        tracking: &Tracking,
        before: &Tips,
        options: SyncOptions,
        synced: &mut SyncReport,
    ) -> Result<(), Error> {
        let (ours, theirs) = (self.tips(layout::REFS_PREFIX)?, self.tips(&tracking.backups)?);
        let skip: BTreeSet<&str> = synced.skipped.iter().map(|left| left.reference.as_str()).collect();
        let differing: Vec<(&CommitId, Oid)> = theirs
            .iter()
            .filter(|(commit, theirs)| {
                ours.get(commit) != Some(theirs) && !skip.contains(layout::ref_name(commit).as_str())
            })
            .map(|(commit, theirs)| (commit, *theirs))
            .collect();
        let mut skipped = Vec::new();
        let mut changed = BTreeSet::new();
        for batch in differing.chunks(BATCH_REFS) {
            let (mut updates, mut writer) = (Vec::new(), self.repository.writer());
            for (commit, theirs) in batch {
                let tips = (ours.get(*commit).copied(), *theirs);
                match self.reconcile(&mut writer, commit, tips, options, synced) {
                    Ok(Some(update)) => {
                        changed.insert((*commit).clone());
                        updates.push(update);
                    }
                    Ok(None) => {}
                    Err(error) if error.retry() => return Err(error),
                    Err(error) => {
                        let refused = matches!(error, Error::RemoteRejected { .. });
                        if refused {
                            self.forget(tracking, commit, *theirs, before.get(*commit).copied())?;
                        }
                        skipped.push(SkippedRef {
                            reference: layout::ref_name(commit),
                            reason: error.to_string(),
                            rewritten: false,
                            refused,
                        });
                    }
                }
            }
            if !options.dry_run {
                publish(&writer, updates)?;
            }
        }
        synced.skipped.extend(skipped);
        if options.dry_run { Ok(()) } else { self.merge_notes(tracking, &changed) }
    }

    /// Resets a tracking ref to its value before `theirs`, so that the remote may go back to that
    /// value too.
    fn forget(
        &self,
        tracking: &Tracking,
        commit: &CommitId,
        theirs: Oid,
        before: Option<Oid>,
    ) -> Result<(), Error> {
        let name = format!("{}{commit}", tracking.backups);
        let (mut updates, mut deletions) = (Vec::new(), Vec::new());
        match before {
            Some(before) if before == theirs => return Ok(()),
            Some(new) => updates.push(RefUpdate { name, old: Some(theirs), new }),
            None => deletions.push(RefDeletion { name, old: theirs }),
        }
        let reason = "sync: not accepted".to_owned();
        Ok(self.repository.update_refs(&Transaction { updates, deletions, reason })?)
    }

    /// Returns the update of the local ref of `commit`, if it needs one. Fails if the ref of the remote
    /// is not accepted.
    fn reconcile(
        &self,
        writer: &mut Writer<'_>,
        commit: &CommitId,
        (ours, theirs): (Option<Oid>, Oid),
        options: SyncOptions,
        synced: &mut SyncReport,
    ) -> Result<Option<RefUpdate>, Error> {
        let (name, end) = (layout::ref_name(commit), Oid::from(commit));
        let contains = |tip, wanted| self.repository.contains(tip, wanted, end);
        if !self.belongs(theirs, commit)? {
            let reason = format!("`{name}` of the remote does not belong to its commit");
            return Err(Error::Event(crate::domain::EventError::Head(reason)));
        }
        if let Some(ours) = ours
            && contains(ours, theirs)?
        {
            return Ok(None);
        }
        self.accept(commit, ours, theirs)?;
        let Some(ours) = ours else {
            synced.fetched.insert(commit.clone());
            return Ok(Some(RefUpdate { name, old: None, new: theirs }));
        };
        if contains(theirs, ours)? {
            synced.fetched.insert(commit.clone());
            return Ok(Some(RefUpdate { name, old: Some(ours), new: theirs }));
        }
        synced.merged.insert(commit.clone());
        if options.dry_run {
            return Ok(None);
        }
        let new = self.merge(writer, commit, ours, theirs)?;
        Ok(Some(RefUpdate { name, old: Some(ours), new }))
    }

    /// Writes the merge of two tips of one ref: the union of the events of each record. The tree does not
    /// depend on which tip is the local one.
    fn merge(
        &self,
        writer: &mut Writer<'_>,
        commit: &CommitId,
        ours: Oid,
        theirs: Oid,
    ) -> Result<Oid, Error> {
        let identity = self.schema_repository().identity()?;
        let (mut records, mut schemas) =
            (BTreeMap::<BackupId, Record>::new(), BTreeMap::<String, Oid>::new());
        for tip in [ours, theirs] {
            for (file, blob) in self.repository.files_at(tip, layout::DIRECTORY)? {
                match layout::record_of(&file) {
                    Some(id) => {
                        let record = self.parse(id, commit, &self.repository.blob(blob)?)?;
                        let union = match records.get(&id) {
                            Some(known) => known.union(&record)?,
                            None => record,
                        };
                        records.insert(id, union);
                    }
                    None => {
                        let blob = schemas.get(&file).map_or(blob, |known| blob.min(*known));
                        schemas.insert(file, blob);
                    }
                }
            }
        }
        let mut changes = vec![TreeChange::Remove(layout::DIRECTORY.to_owned())];
        for (id, record) in &records {
            changes.push(TreeChange::File(layout::record_path(*id), writer.blob(&record.to_bytes()?)?));
        }
        let other =
            |(file, blob): (String, Oid)| TreeChange::File(format!("{}/{file}", layout::DIRECTORY), blob);
        changes.extend(schemas.into_iter().map(other));
        let base = self.schema_tree(writer, commit, &[ours, theirs])?;
        let tree = writer.tree(base, &changes)?;
        let message = format!("backup: merged {} records\n\nSchema-Commit: {commit}\n", records.len());
        let new = NewCommit { tree, parents: &[ours, theirs], message: &message, identity: &identity };
        Ok(writer.commit(&new)?)
    }

    fn parse(&self, id: BackupId, commit: &CommitId, bytes: &[u8]) -> Result<Record, Error> {
        let damaged =
            |reason: String| Error::Damaged { backup: id.to_string(), commit: commit.clone(), reason };
        Record::parse(bytes).map_err(|error| damaged(error.to_string()))
    }

    /// Regenerates the notes of the changed commits, and merges the text that people wrote into the notes
    /// of the remote.
    fn merge_notes(&self, tracking: &Tracking, changed: &BTreeSet<CommitId>) -> Result<(), Error> {
        self.retry_on_conflict(|| {
            let theirs = self.repository.ref_tip(&tracking.notes)?;
            let mut notes = Notes::open(self.repository, layout::NOTES_REF)?;
            let known = match (notes.tip(), theirs) {
                (Some(ours), Some(theirs)) => self.repository.is_ancestor(theirs, ours)?,
                (_, None) => true,
                (None, Some(_)) => false,
            };
            let differences =
                if known { Vec::new() } else { self.repository.notes_differences(notes.tip(), theirs)? };
            let mut texts: BTreeMap<CommitId, String> =
                changed.iter().map(|commit| (commit.clone(), String::new())).collect();
            for difference in differences {
                let text =
                    difference.theirs.map(|blob| self.repository.blob(blob)).transpose()?.unwrap_or_default();
                texts.insert(difference.commit.to_commit(), String::from_utf8_lossy(&text).into_owned());
            }
            if texts.is_empty() && known {
                return Ok(());
            }
            let identity = self.schema_repository().identity()?;
            let mut writer = self.repository.writer();
            for (commit, theirs) in &texts {
                let ours = notes.get(Oid::from(commit))?.unwrap_or_default();
                let entries = self.at_commit(commit)?.entries;
                let backups = entries.iter().map(|entry| &entry.backup);
                let text = note::merged(&String::from_utf8_lossy(&ours), theirs, backups);
                if text.as_bytes() != ours {
                    notes.stage(&mut writer, Oid::from(commit), text.as_bytes())?;
                }
            }
            // Fast-forward if possible. Otherwise two clones would merge each other's merges forever.
            if let Some(theirs) = theirs.filter(|_| !known)
                && let Some(update) = notes.forward(&writer, theirs)?
            {
                return publish(&writer, vec![update]);
            }
            let merged: Vec<Oid> = theirs.filter(|_| !known).into_iter().collect();
            let new = NewNote { message: "notes: merged\n", identity: &identity };
            let update = notes.publish(&mut writer, &merged, &new)?;
            publish(&writer, vec![update])
        })
    }

    /// Pushes the refs that the remote lacks. Returns false if another clone has pushed first.
    fn push(
        &self,
        remote: &str,
        tracking: &Tracking,
        options: SyncOptions,
        synced: &mut SyncReport,
    ) -> Result<bool, Error> {
        let (ours, theirs) = (self.tips(layout::REFS_PREFIX)?, self.tips(&tracking.backups)?);
        let skip: BTreeSet<String> = synced.skipped.iter().map(|left| left.reference.clone()).collect();
        let mut wanted: Vec<(String, String, Oid)> = ours
            .iter()
            .filter(|(commit, tip)| theirs.get(commit) != Some(tip))
            .map(|(commit, tip)| (layout::ref_name(commit), format!("{}{commit}", tracking.backups), *tip))
            .filter(|(name, ..)| !skip.contains(name))
            .collect();
        if let Some(tip) = self.repository.ref_tip(layout::NOTES_REF)?
            && self.repository.ref_tip(&tracking.notes)? != Some(tip)
        {
            wanted.push((layout::NOTES_REF.to_owned(), tracking.notes.clone(), tip));
        }
        let commits =
            wanted.iter().filter_map(|(name, ..)| name.strip_prefix(layout::REFS_PREFIX)?.parse().ok());
        if options.dry_run {
            synced.pushed.extend(commits);
            return Ok(true);
        }
        if wanted.len() > NAMED_REFS_MAX
            && let Some(refspecs) = self.all_but(&skip, &wanted)?
        {
            return self.push_these(remote, tracking, &refspecs, &wanted, options, synced);
        }
        let mut done = true;
        for batch in wanted.chunks(PUSH_REFS_MAX) {
            let refspecs: Vec<String> = batch.iter().map(|(name, _, tip)| format!("{tip}:{name}")).collect();
            done &= self.push_these(remote, tracking, &refspecs, batch, options, synced)?;
        }
        Ok(done)
    }

    /// Returns refspecs that match all ledger refs except `skip` by a pattern. git compares each named
    /// ref with all refs, and finds the matches of a pattern at once. `None` if there are too many
    /// exceptions.
    fn all_but(
        &self,
        skip: &BTreeSet<String>,
        wanted: &[(String, String, Oid)],
    ) -> Result<Option<Vec<String>>, Error> {
        let all = self.repository.tips_under(layout::REFS_PREFIX, |_| {})?;
        let foreign = all.iter().map(|(name, _)| name).filter(|name| name.parse::<CommitId>().is_err());
        let foreign = foreign.map(|name| format!("{}{name}", layout::REFS_PREFIX));
        let except: Vec<String> =
            foreign.chain(skip.iter().cloned()).take(NAMED_REFS_MAX + 1).map(|it| format!("^{it}")).collect();
        let notes = wanted.iter().map(|(name, ..)| name).filter(|name| *name == layout::NOTES_REF);
        let chosen = [format!("{0}*:{0}*", layout::REFS_PREFIX)].into_iter();
        let chosen = chosen.chain(notes.map(|notes| format!("{notes}:{notes}")));
        Ok((except.len() <= NAMED_REFS_MAX).then(|| chosen.chain(except).collect()))
    }

    /// Pushes `refspecs`, which match the refs of `batch`. Returns false if another clone has pushed
    /// first.
    fn push_these(
        &self,
        remote: &str,
        tracking: &Tracking,
        refspecs: &[String],
        batch: &[(String, String, Oid)],
        options: SyncOptions,
        synced: &mut SyncReport,
    ) -> Result<bool, Error> {
        let pushed = self.repository.push(remote, refspecs, options.unattended)?;
        crash_point("sync.pushed");
        let outcomes: BTreeMap<&str, &PushOutcome> =
            pushed.iter().map(|one| (one.name.as_str(), &one.outcome)).collect();
        // A few refs are checked up one by one.
        let all = batch.len() > NAMED_REFS_MAX;
        let (ours, known) = match all {
            true => (self.tips(layout::REFS_PREFIX)?, self.tips(&tracking.backups)?),
            false => (Tips::new(), Tips::new()),
        };
        let (mut updates, mut done) = (Vec::new(), true);
        for (name, remembered, tip) in batch {
            match outcomes.get(name.as_str()) {
                Some(PushOutcome::Accepted) => {
                    let commit: Option<CommitId> =
                        name.strip_prefix(layout::REFS_PREFIX).and_then(|commit| commit.parse().ok());
                    // The push has already moved the tracking ref if a fetch refspec covers it.
                    let old = match &commit {
                        Some(commit) if all => known.get(commit).copied(),
                        _ => self.repository.ref_tip(remembered)?,
                    };
                    // If the ref has moved since, its newer tip may have been pushed. The next fetch
                    // finds that out. A tracking ref never goes back to an older tip.
                    let now = match &commit {
                        Some(commit) if all => ours.get(commit).copied(),
                        _ => self.repository.ref_tip(name)?,
                    };
                    synced.pushed.extend(commit);
                    if old != Some(*tip) && now == Some(*tip) {
                        updates.push(RefUpdate { name: remembered.clone(), old, new: *tip });
                    }
                }
                Some(PushOutcome::Refused(reason)) => synced.skipped.push(SkippedRef {
                    reference: name.clone(),
                    reason: format!("`{remote}` rejected it: {reason}"),
                    rewritten: false,
                    refused: false,
                }),
                Some(PushOutcome::Behind) | None => done = false,
            }
        }
        // Tracking refs are a cache. Losing them only makes the next run slower.
        let _ = publish(&self.repository.writer(), updates);
        Ok(done)
    }
}

/// Makes the written objects durable and moves the refs.
fn publish(writer: &Writer<'_>, updates: Vec<RefUpdate>) -> Result<(), Error> {
    if updates.is_empty() {
        return Ok(());
    }
    writer.sync()?;
    writer.move_refs(&Transaction { updates, reason: "sync".to_owned(), ..Transaction::default() })?;
    crash_point("sync.refs-moved");
    Ok(writer.finish()?)
}
