//! Updates the index from the refs.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use crate::domain::CommitId;
use crate::git::{Oid, Repository, Tips};
use crate::ledger::catalog::{read, record_locations_at};
use crate::ledger::{Damage, Error, Ledger, layout};

use super::overview::Overview;
use super::owned_row::{OwnedRow, RefRows};
use super::packed::{self, Differences, Digest};
use super::row::Row;
use super::segment::Segment;

/// Maximum number of stale refs that are read each time without rewriting the file. The cost of rewriting grows
/// with the number of backups.
const STALE_MOST: usize = 64;
/// The number of refs from which a second thread pays.
const WORTH_A_THREAD: usize = 64;
const THREADS: usize = 2;

/// The result of an update of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRefresh {
    /// The number of backups in the ledger.
    pub backups: usize,
    /// The number of refs that had changed since the index was written.
    pub stale: usize,
    /// True if the index was rewritten.
    pub written: bool,
}

/// The content of one ref.
#[derive(Default)]
struct RefReading {
    /// The rows for the index; `None` if the name of the ref is no object id of this repository.
    rows: Option<RefRows>,
    /// The damage of the ref itself.
    whole: Option<Damage>,
    /// The damaged records.
    damaged: Vec<Damage>,
}

impl RefReading {
    fn is_sound(&self) -> bool {
        self.whole.is_none() && self.damaged.is_empty()
    }
}

impl Ledger<'_> {
    pub(super) fn index_path(&self) -> PathBuf {
        self.directory().join("index")
    }

    fn packed_path(&self) -> PathBuf {
        self.directory().join("index.packed")
    }

    fn directory(&self) -> PathBuf {
        self.repository.common_dir().join("pggit")
    }

    /// Returns the rows of all backups, from the index as far as it is up to date. Fails if the refs
    /// cannot be read.
    pub fn overview(&self) -> Result<Overview, Error> {
        self.load(STALE_MOST).map(|(overview, _)| overview)
    }

    /// Updates the index, and removes the temporary files of killed writers. Fails if the refs cannot
    /// be read.
    pub fn refresh_index(&self) -> Result<IndexRefresh, Error> {
        for entry in fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("index.") && name.ends_with(".tmp")) {
                let _ = fs::remove_file(entry.path());
            }
        }
        self.load(0).map(|(_, refreshed)| refreshed)
    }

    fn load(&self, stale_most: usize) -> Result<(Overview, IndexRefresh), Error> {
        let oid = self.repository.oid_len();
        let IndexState { base, kept, changed, tips } = self.view()?;
        let found = base.is_some();
        let base = base.unwrap_or_else(|| Segment::encode(&[], oid));
        let mut readings = map_parallel(self.repository, &changed, |repository, (name, tip)| {
            read_ref(repository, name, *tip)
        });
        let gone = kept.iter().filter(|kept| !**kept).count();
        let sound = readings.iter().filter(|it| it.rows.is_some() && it.is_sound()).count();
        // A changed ref counts in both: its old tip is gone, and its new tip is read.
        let stale = gone.max(sound);
        let mut damaged: Vec<Damage> = readings.iter_mut().filter_map(|it| it.whole.take()).collect();
        damaged.extend(readings.iter_mut().flat_map(|it| std::mem::take(&mut it.damaged)));
        let rewrite = stale > stale_most.min(base.shape().refs / 16) || (!found && !changed.is_empty());
        let damaged_refs: HashSet<&str> =
            damaged.iter().filter_map(|it| it.reference.strip_prefix(layout::REFS_PREFIX)).collect();
        let (mut cached, mut fresh) = (Vec::new(), Vec::new());
        for (reading, (name, _)) in readings.into_iter().zip(&changed) {
            let rows =
                if rewrite && !damaged_refs.contains(name.as_str()) { &mut cached } else { &mut fresh };
            rows.extend(reading.rows);
        }
        drop(changed);
        let (base, kept) =
            if rewrite { (rebuilt(&base, &kept, cached, oid), Vec::new()) } else { (base, kept) };
        let written = rewrite && self.replace(&self.index_path(), base.bytes()).is_ok();
        if let Some((tips, digest)) = tips.filter(|_| written || (found && !rewrite)) {
            self.store_differences(&base, &tips, &digest);
        }
        fresh.sort_by_key(|it| it.commit);
        let fresh = Segment::encode(&fresh, oid);
        let order = order(&base, &kept, &fresh);
        let refreshed = IndexRefresh { backups: order.len(), stale, written };
        Ok((Overview { segments: [base, fresh], order, damaged }, refreshed))
    }

    /// Reads the index and the refs in parallel, and compares them.
    fn view(&self) -> Result<IndexState, Error> {
        let (path, oid) = (self.index_path(), self.repository.oid_len());
        std::thread::scope(|scope| {
            let file = scope.spawn(|| Segment::load(&path, oid));
            // Loose refs first: a ref that is packed meanwhile is then seen twice and not missed.
            let loose = self.repository.loose_under(layout::REFS_PREFIX);
            let digest = packed::digest(self.repository);
            let base = file.join().ok().flatten();
            if let (Some(loose), Some(digest), Some(index)) = (loose, digest, &base)
                && let Some(known) = packed::read(&self.packed_path(), index, &digest)
            {
                let mut tips = known;
                tips.extend(loose.into_iter().map(|(name, tip)| (name, Some(tip))));
                let (kept, changed) = apply(index, tips);
                return Ok(IndexState { base, kept, changed, tips: None });
            }
            let mut hasher = blake3::Hasher::new();
            let tips = self.repository.tips_under(layout::REFS_PREFIX, |bytes| {
                hasher.update(bytes);
            })?;
            let (kept, changed) = match &base {
                Some(index) => compare(index, &tips),
                None => (Vec::new(), tips.iter().map(|(name, tip)| (name.to_owned(), tip)).collect()),
            };
            Ok(IndexState { base, kept, changed, tips: Some((tips, *hasher.finalize().as_bytes())) })
        })
    }

    /// Stores the differences between the index and `packed-refs`. If that fails, the next run reads the
    /// refs one by one again.
    fn store_differences(&self, index: &Segment, tips: &Tips, digest: &Digest) {
        let noted = packed::differences(index, tips).map(|found| packed::encode(index, digest, &found));
        if let Some(bytes) = noted.filter(|bytes| !bytes.is_empty()) {
            let _ = self.replace(&self.packed_path(), &bytes);
        }
    }

    /// Replaces the file `path` by an atomic rename: a reader sees the old or the new content.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let directory = self.directory();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let temporary = directory.join(format!("index.{}.tmp", uuid::Uuid::now_v7()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// The comparison of the index with the refs.
struct IndexState {
    /// The index, if it is valid.
    base: Option<Segment>,
    /// For each ref of the index: true if its tip is unchanged.
    kept: Vec<bool>,
    /// The new and changed refs.
    changed: Vec<(String, Oid)>,
    /// All refs and the digest of `packed-refs`, if they had to be read.
    tips: Option<(Tips, Digest)>,
}

/// Returns for each ref of the index if it is unchanged, and the new and changed refs. `tips` has all
/// refs that may differ from the index.
fn apply(base: &Segment, tips: Differences) -> (Vec<bool>, Vec<(String, Oid)>) {
    let mut kept = vec![true; base.shape().refs];
    let mut changed = Vec::new();
    for (name, tip) in tips {
        let at = Oid::from_hex(&name).and_then(|commit| base.find_ref(commit.as_bytes()));
        if let Some(at) = at {
            kept[at] = tip.is_some_and(|tip| base.tip(at) == tip.as_bytes());
        }
        if let Some(tip) = tip.filter(|_| at.is_none_or(|at| !kept[at])) {
            changed.push((name, tip));
        }
    }
    (kept, changed)
}

/// Returns the same as [`apply`]. `tips` has all refs.
fn compare(base: &Segment, tips: &Tips) -> (Vec<bool>, Vec<(String, Oid)>) {
    let mut kept = vec![false; base.shape().refs];
    let (mut changed, mut at) = (Vec::new(), 0);
    for (name, tip) in tips.iter() {
        let mut found = false;
        // A ref whose name is no object id is never in the index and is read every time.
        if let Some(commit) = Oid::from_hex(name) {
            while at < kept.len() && base.commit(at) < commit.as_bytes() {
                at += 1;
            }
            if at < kept.len() && base.commit(at) == commit.as_bytes() {
                found = base.tip(at) == tip.as_bytes();
                kept[at] = found;
                at += 1;
            }
        }
        if !found {
            changed.push((name.to_owned(), tip));
        }
    }
    (kept, changed)
}

/// Returns the rows of both segments in the order of their registration. An empty `kept` selects all
/// rows of `base`.
fn order(base: &Segment, kept: &[bool], fresh: &Segment) -> Vec<(u8, u32)> {
    let rows = |segment: &Segment| 0..segment.shape().rows as u32;
    let row = |(segment, at): (u8, u32)| {
        let segment = if segment == 0 { base } else { fresh };
        Row { segment, bytes: segment.row(at as usize) }
    };
    let mut order = Vec::with_capacity(base.shape().rows + fresh.shape().rows);
    let mut newer = rows(fresh).map(|at| (1, at)).peekable();
    for old in rows(base).map(|at| (0, at)) {
        if !kept.is_empty() && !kept.get(row(old).at_ref()).copied().unwrap_or(false) {
            continue;
        }
        while let Some(new) = newer.next_if(|new| row(*new).age() < row(old).age()) {
            order.push(new);
        }
        order.push(old);
    }
    order.extend(newer);
    order
}

/// Returns the new index: the unchanged refs of `base`, and `refs`.
fn rebuilt(base: &Segment, kept: &[bool], mut refs: Vec<RefRows>, oid: usize) -> Segment {
    let mut old: Vec<RefRows> = (0..kept.len()).filter_map(|at| empty(base, at)).collect();
    if old.len() == kept.len() {
        for at in 0..base.shape().rows {
            let row = Row { segment: base, bytes: base.row(at) };
            old[row.at_ref()].rows.push(OwnedRow::from(row));
        }
        refs.extend(old.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(it, _)| it));
    }
    refs.sort_by_key(|it| it.commit);
    Segment::encode(&refs, oid)
}

fn empty(base: &Segment, at: usize) -> Option<RefRows> {
    let (commit, tip) = (Oid::from_bytes(base.commit(at))?, Oid::from_bytes(base.tip(at))?);
    Some(RefRows { commit, tip, subject: base.subject(at).map(str::to_owned), rows: Vec::new() })
}

/// Calls `one` with each of `items`, in parallel if they are many, and returns the results in the order
/// of `items`.
pub(super) fn map_parallel<T: Sync, R: Send>(
    repository: &Repository,
    items: &[T],
    one: impl Fn(&Repository, &T) -> R + Sync,
) -> Vec<R> {
    if items.len() < WORTH_A_THREAD {
        return items.iter().map(|item| one(repository, item)).collect();
    }
    std::thread::scope(|scope| {
        let one = &one;
        let start = |part| {
            let repository = repository.for_thread();
            scope.spawn(move || Vec::from_iter(<[T]>::iter(part).map(|item| one(&repository, item))))
        };
        let parts: Vec<_> = items.chunks(items.len().div_ceil(THREADS)).map(start).collect();
        let joined = |part: ScopedJoinHandle<'_, Vec<R>>| match part.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        parts.into_iter().flat_map(joined).collect()
    })
}

fn read_ref(repository: &Repository, name: &str, tip: Oid) -> RefReading {
    let reference = format!("{}{name}", layout::REFS_PREFIX);
    let places = match name.parse::<CommitId>() {
        Ok(commit) => record_locations_at(repository, &commit, tip)
            .map(|places| (commit, places))
            .map_err(|error| error.to_string()),
        Err(invalid) => Err(invalid.to_string()),
    };
    let (commit, places) = match places {
        Ok(found) => found,
        Err(reason) => {
            let whole = Some(Damage { reference, file: String::new(), reason });
            return RefReading { whole, ..RefReading::default() };
        }
    };
    let (mut rows, mut damaged) = (Vec::with_capacity(places.len()), Vec::new());
    for place in places {
        match read(repository, &place) {
            Ok(entry) => rows.push(OwnedRow::of(&entry, place.blob)),
            Err(reason) => damaged.push(Damage {
                reference: reference.clone(),
                file: layout::record_path(place.id),
                reason,
            }),
        }
    }
    let commit = Oid::from(&commit);
    if commit.as_bytes().len() != repository.oid_len() {
        return RefReading { damaged, ..RefReading::default() };
    }
    let subject = repository.summary(commit).ok().map(|summary| summary.subject);
    RefReading { rows: Some(RefRows { commit, tip, subject, rows }), whole: None, damaged }
}
