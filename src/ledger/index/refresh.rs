//! Bringing the index up to date with the refs.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use crate::domain::CommitId;
use crate::git::{Oid, Repository, Tips};
use crate::ledger::catalog::{places_at, read};
use crate::ledger::{Damage, Error, Ledger, layout};

use super::light::{Light, RefRows};
use super::overview::Overview;
use super::row::Row;
use super::segment::Segment;

/// So many refs are read anew again and again before the file is written anew,
/// because that costs more the more backups there are.
const STALE_MOST: usize = 64;
/// Refs that are worth a second thread.
const WORTH_A_THREAD: usize = 64;
const THREADS: usize = 2;

/// What bringing the index up to date came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refreshed {
    /// The backups in it.
    pub backups: usize,
    /// How many refs had changed since it was written.
    pub stale: usize,
    /// Whether it was written anew.
    pub written: bool,
}

/// What was read from one ref.
#[derive(Default)]
struct Reading {
    /// What goes into the index; nothing where a name is not that of a commit
    /// of this repository.
    rows: Option<RefRows>,
    /// Something is wrong with the ref itself.
    whole: Option<Damage>,
    /// Something is wrong with records.
    damaged: Vec<Damage>,
}

impl Reading {
    fn is_sound(&self) -> bool {
        self.whole.is_none() && self.damaged.is_empty()
    }
}

impl Ledger<'_> {
    pub(super) fn index_path(&self) -> PathBuf {
        self.directory().join("index")
    }

    fn directory(&self) -> PathBuf {
        self.repository.common_dir().join("pggit")
    }

    /// All backups at a glance, from the index as far as it is up to date.
    pub fn overview(&self) -> Result<Overview, Error> {
        self.load(STALE_MOST).map(|(overview, _)| overview)
    }

    /// Brings the index up to date, and takes away what writers that were
    /// killed have left.
    pub fn refresh_index(&self) -> Result<Refreshed, Error> {
        for entry in fs::read_dir(self.directory()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("index.") && name.ends_with(".tmp")) {
                let _ = fs::remove_file(entry.path());
            }
        }
        self.load(0).map(|(_, refreshed)| refreshed)
    }

    fn load(&self, stale_most: usize) -> Result<(Overview, Refreshed), Error> {
        let (path, oid) = (self.index_path(), self.repository.oid_len());
        let (tips, file) = std::thread::scope(|scope| {
            let file = scope.spawn(|| Segment::open(read_file(&path).ok()?, oid));
            (self.repository.tips_under(layout::REFS_PREFIX), file.join().ok().flatten())
        });
        let tips = tips?;
        let found = file.is_some();
        let base = file.unwrap_or_else(|| Segment::encode(&[], oid));
        let (kept, changed) = compare(&base, &tips);
        let mut readings =
            spread(self.repository, &changed, |repository, (name, tip)| read_ref(repository, name, *tip));
        let gone = kept.iter().filter(|kept| !**kept).count();
        let sound = readings.iter().filter(|it| it.rows.is_some() && it.is_sound()).count();
        // A ref that has changed is gone and new.
        let stale = gone.max(sound);
        let mut damaged: Vec<Damage> = readings.iter_mut().filter_map(|it| it.whole.take()).collect();
        damaged.extend(readings.iter_mut().flat_map(|it| std::mem::take(&mut it.damaged)));
        let worth = stale > stale_most.min(base.shape().refs / 16) || (!found && !tips.is_empty());
        let cached = worth.then(|| cacheable(&base, &kept, &readings, &changed, &damaged));
        let mut fresh: Vec<RefRows> = readings.into_iter().filter_map(|it| it.rows).collect();
        fresh.sort_by_key(|it| it.commit);
        let written = cached.is_some_and(|refs| {
            let whole = Segment::encode(&refs, oid);
            replace(&self.directory(), &path, whole.bytes()).is_ok()
        });
        let fresh = Segment::encode(&fresh, oid);
        let order = order(&base, &kept, &fresh);
        let refreshed = Refreshed { backups: order.len(), stale, written };
        Ok((Overview { segments: [base, fresh], order, damaged }, refreshed))
    }
}

/// Which refs of the index are as they were, and which refs have to be read.
fn compare<'t>(base: &Segment, tips: &'t Tips) -> (Vec<bool>, Vec<(&'t str, Oid)>) {
    let mut kept = vec![false; base.shape().refs];
    let (mut changed, mut at, mut hex) = (Vec::new(), 0, String::new());
    for (name, tip) in tips.iter() {
        let mut found = false;
        while at < kept.len() {
            write_hex(base.commit(at), &mut hex);
            match hex.as_str().cmp(name) {
                Ordering::Less => at += 1,
                Ordering::Equal => {
                    found = base.tip(at) == tip.as_bytes();
                    kept[at] = found;
                    at += 1;
                    break;
                }
                Ordering::Greater => break,
            }
        }
        if !found {
            changed.push((name, tip));
        }
    }
    (kept, changed)
}

fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.clear();
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The rows of both segments by age.
fn order(base: &Segment, kept: &[bool], fresh: &Segment) -> Vec<(u8, u32)> {
    let rows = |segment: &Segment| 0..segment.shape().rows as u32;
    let row = |(segment, at): (u8, u32)| {
        let segment = if segment == 0 { base } else { fresh };
        Row { segment, bytes: segment.row(at as usize) }
    };
    let mut order = Vec::with_capacity(base.shape().rows + fresh.shape().rows);
    let mut newer = rows(fresh).map(|at| (1, at)).peekable();
    for old in rows(base).map(|at| (0, at)) {
        if !kept.get(row(old).at_ref()).copied().unwrap_or(false) {
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

/// What the index is to contain: all refs without damage.
fn cacheable(
    base: &Segment,
    kept: &[bool],
    readings: &[Reading],
    changed: &[(&str, Oid)],
    damaged: &[Damage],
) -> Vec<RefRows> {
    let ill: std::collections::HashSet<&str> =
        damaged.iter().filter_map(|it| it.reference.strip_prefix(layout::REFS_PREFIX)).collect();
    let sound = readings.iter().zip(changed).filter(|(_, (name, _))| !ill.contains(name));
    let mut refs: Vec<RefRows> = sound.filter_map(|(it, _)| it.rows.clone()).collect();
    let mut old: Vec<RefRows> = (0..kept.len()).filter_map(|at| empty(base, at)).collect();
    if old.len() == kept.len() {
        for at in 0..base.shape().rows {
            let row = Row { segment: base, bytes: base.row(at) };
            old[row.at_ref()].rows.push(Light::from(row));
        }
        refs.extend(old.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(it, _)| it));
    }
    refs.sort_by_key(|it| it.commit);
    refs
}

fn empty(base: &Segment, at: usize) -> Option<RefRows> {
    let (commit, tip) = (Oid::from_bytes(base.commit(at))?, Oid::from_bytes(base.tip(at))?);
    Some(RefRows { commit, tip, subject: base.subject(at).map(str::to_owned), rows: Vec::new() })
}

/// Does something with each of `items`, side by side where they are many, and
/// returns what came of it in their order.
pub(super) fn spread<T: Sync, R: Send>(
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

fn read_ref(repository: &Repository, name: &str, tip: Oid) -> Reading {
    let reference = format!("{}{name}", layout::REFS_PREFIX);
    let places = match name.parse::<CommitId>() {
        Ok(commit) => places_at(repository, &commit, tip)
            .map(|places| (commit, places))
            .map_err(|error| error.to_string()),
        Err(invalid) => Err(invalid.to_string()),
    };
    let (commit, places) = match places {
        Ok(found) => found,
        Err(reason) => {
            let whole = Some(Damage { reference, file: String::new(), reason });
            return Reading { whole, ..Reading::default() };
        }
    };
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for place in places {
        match read(repository, &place) {
            Ok(entry) => rows.push(Light::from(&entry.backup)),
            Err(reason) => damaged.push(Damage {
                reference: reference.clone(),
                file: layout::record_path(place.id),
                reason,
            }),
        }
    }
    let commit = Oid::from(&commit);
    if commit.as_bytes().len() != repository.oid_len() {
        return Reading { damaged, ..Reading::default() };
    }
    let subject = repository.summary(commit).ok().map(|summary| summary.subject);
    Reading { rows: Some(RefRows { commit, tip, subject, rows }), whole: None, damaged }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// Puts `bytes` at `path`; whoever reads sees the old or the new, whole.
fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
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
