//! The index with random and damaged bytes: for every content of the file, the results are those of git.
//! The tests do not depend on the layout of the file.
//!
//! `make fuzz` runs this for longer; `PROPTEST_CASES` is the number of inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use pggit::clock::System;
use pggit::domain::{BackupId, BackupSelector, Body, Held, Line};
use pggit::git::Repository;
use pggit::ledger::{Filter, Ledger};
use proptest::prelude::*;

use crate::ledger::{Repo, completed, new_backup};

/// A ledger, index files as the program wrote them, and the expected results.
struct Fixture {
    repo: Repo,
    index: PathBuf,
    /// Index files: of this ledger now, of this ledger earlier, of another ledger.
    written: Vec<Vec<u8>>,
    truth: Vec<String>,
    ids: Vec<BackupId>,
}

static FIXTURE: LazyLock<Mutex<Fixture>> = LazyLock::new(|| Mutex::new(Fixture::new()));

fn on<T>(repository: &Repository, work: impl FnOnce(&Ledger<'_>) -> T) -> T {
    let host = Line::lossy("db1");
    work(&Ledger::new(repository, &System, &host))
}

fn fill(repo: &Repo, names: &[&str]) {
    let repository = repo.open();
    on(&repository, |ledger| {
        for name in names {
            let new = new_backup(&repository, name);
            let then: Vec<Body> = if name.len() > 2 { vec![completed()] } else { Vec::new() };
            ledger.register(&new, &then).expect("registers");
        }
        let _ = ledger.refresh_index().expect("refreshes");
    });
}

fn index_of(repo: &Repo) -> PathBuf {
    repo.open().common_dir().join("pggit/index")
}

impl Fixture {
    fn new() -> Self {
        let (repo, other) = (Repo::with_history(&[]), Repo::with_history(&[]));
        fill(&other, &["x", "other", "yet another"]);
        fill(&repo, &["a", "nightly", "with \u{e9}"]);
        let index = index_of(&repo);
        let earlier = fs::read(&index).expect("an index was written");
        repo.commit("0003.sql", "create table c (id int);", "three");
        fill(&repo, &["b", "weekly", "a rather long name for a backup"]);
        repo.commit("0004.sql", "create table d (id int);", "four");
        fill(&repo, &["c", "d", "monthly"]);
        let repository = repo.open();
        let (truth, ids) = on(&repository, |ledger| {
            let first = ledger.catalog().expect("reads").entries[0].backup.id;
            ledger.append(first, |_| Ok(Held { reason: Line::lossy("audit") }.into())).expect("holds");
            let _ = ledger.refresh_index().expect("refreshes");
            let catalog = ledger.catalog().expect("reads");
            assert!(catalog.damaged.is_empty());
            let entries = catalog.entries.iter().map(|entry| {
                let it = &entry.backup;
                let sizes = (it.size_bytes, it.stored_bytes, !it.holds.is_empty());
                format!(
                    "{} {} {} {} {:?} {sizes:?} {}",
                    it.id,
                    it.commit,
                    it.name,
                    it.status.as_str(),
                    it.kind,
                    it.registered_at
                )
            });
            (entries.collect(), catalog.entries.iter().map(|entry| entry.backup.id).collect())
        });
        let now = fs::read(&index).expect("an index was written");
        let written = vec![now, earlier, fs::read(index_of(&other)).expect("an index was written")];
        Self { repo, index, written, truth, ids }
    }

    /// Reads the ledger in every way that uses the index.
    fn check(&self, bytes: &[u8]) {
        fs::write(&self.index, bytes).expect("the index is writable");
        let repository = self.repo.open();
        on(&repository, |ledger| {
            // A lookup by id searches the file without reading all of it.
            for id in &self.ids {
                assert_eq!(ledger.by_id(*id).expect("is found").backup.id, *id);
            }
            let absent: BackupId = "01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5".parse().expect("an id");
            assert!(ledger.by_id(absent).is_err());
            fs::write(&self.index, bytes).expect("the index is writable");
            // Once from these bytes, once from the rewritten file.
            for _ in 0..2 {
                let overview = ledger.overview().expect("reads");
                let rows: Vec<String> = overview
                    .rows()
                    .map(|it| {
                        let sizes = (it.size_bytes(), it.stored_bytes(), it.is_held());
                        format!(
                            "{} {} {} {} {:?} {sizes:?} {}",
                            it.id(),
                            it.commit(),
                            it.name(),
                            it.status().as_str(),
                            it.kind(),
                            it.registered_at()
                        )
                    })
                    .collect();
                assert_eq!(rows, self.truth);
                let weekly: BackupSelector = "weekly".parse().expect("a name");
                assert_eq!(overview.find(&weekly, &Filter::default()).expect("is found").name(), "weekly");
            }
        });
        assert!(len(&self.index) <= self.written[0].len() * 2 + bytes.len(), "the index has grown");
    }
}

fn len(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |meta| meta.len() as usize)
}

/// One change of a file. Positions are fractions of its length.
#[derive(Debug, Clone)]
enum Damage {
    Flip(u16, u8),
    Fill(u16, u8, u8),
    Number(u16, u64),
    Cut(u16),
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Move(u16, u16, u8),
    Append(Vec<u8>),
    /// The second half is that of another index.
    Graft(u16, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let some = || proptest::collection::vec(any::<u8>(), 0..64);
    let number = prop_oneof![
        Just(u64::MAX),
        Just(0),
        Just(u64::from(u32::MAX)),
        Just(1 << 62),
        Just(i64::MAX as u64),
        any::<u64>()
    ];
    prop_oneof![
        4 => (any::<u16>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<u16>(), any::<u8>(), any::<u8>()).prop_map(|(at, len, byte)| Damage::Fill(at, len, byte)),
        3 => (any::<u16>(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => any::<u16>().prop_map(Damage::Cut),
        1 => (any::<u16>(), some()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(at, len)| Damage::Remove(at, len)),
        1 => (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(from, to, len)| Damage::Move(from, to, len)),
        1 => some().prop_map(Damage::Append),
        1 => (any::<u16>(), 0_usize..3).prop_map(|(at, other)| Damage::Graft(at, other)),
    ]
}

fn place(bytes: &[u8], at: u16) -> usize {
    bytes.len() * usize::from(at) / (usize::from(u16::MAX) + 1)
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage, written: &[Vec<u8>]) {
    let region = |bytes: &[u8], at: u16, len: usize| {
        let start = place(bytes, at);
        start..(start + len).min(bytes.len())
    };
    match damage {
        Damage::Flip(at, bit) => {
            let at = place(bytes, *at);
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
        }
        Damage::Fill(at, len, byte) => {
            let region = region(bytes, *at, usize::from(*len));
            bytes[region].fill(*byte);
        }
        Damage::Number(at, number) => {
            // Most numbers are at offsets that are multiples of four.
            let region = region(bytes, *at, 0).start & !3;
            for (byte, new) in bytes.iter_mut().skip(region).zip(number.to_le_bytes()) {
                *byte = new;
            }
        }
        Damage::Cut(at) => bytes.truncate(place(bytes, *at)),
        Damage::Insert(at, new) => {
            let at = place(bytes, *at);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Remove(at, len) => {
            let region = region(bytes, *at, usize::from(*len));
            bytes.drain(region);
        }
        Damage::Move(from, to, len) => {
            let copied = bytes[region(bytes, *from, usize::from(*len))].to_vec();
            let to = place(bytes, *to);
            for (byte, new) in bytes.iter_mut().skip(to).zip(copied) {
                *byte = new;
            }
        }
        Damage::Append(new) => bytes.extend(new),
        Damage::Graft(at, other) => {
            let other = &written[*other];
            bytes.truncate(place(bytes, *at));
            let from = place(other, *at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

proptest! {
    // Each input is read a dozen times.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_index_never_gives_a_wrong_answer(
        base in 0_usize..3,
        damages in proptest::collection::vec(damage(), 0..4),
    ) {
        let fixture = FIXTURE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bytes = fixture.written[base].clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage, &fixture.written));
        fixture.check(&bytes);
    }

    #[test]
    fn random_bytes_are_no_index(
        head in 0_usize..80,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let fixture = FIXTURE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Some inputs begin with a valid header, so that the rest is read.
        let head = fixture.written[0].iter().take(head).copied();
        fixture.check(&head.chain(bytes).collect::<Vec<u8>>());
    }
}
