//! After every failure of every operation one of the two objects is in place, and the restore can be
//! finished or aborted.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::{BackupId, Timestamp};

const OLD: Identity = Identity::Oid(1);
const NEW: Identity = Identity::Oid(2);

/// Three names in memory. The operation with the number `fails_at` fails before or after its effect.
struct Names {
    at: RefCell<[Option<Identity>; 3]>,
    /// The kind of exchange: atomic with the third name, as for databases; atomic without the third
    /// name; or in two operations.
    way: u8,
    operations: Cell<usize>,
    fails_at: Cell<usize>,
    after: bool,
}

impl Names {
    fn index(spot: Slot) -> usize {
        [Slot::InPlace, Slot::Beside, Slot::Aside].iter().position(|it| *it == spot).expect("a name")
    }

    fn swap(&self, a: Slot, b: Slot) -> Result<(), Error> {
        let number = self.operations.replace(self.operations.get() + 1);
        let failed = || Err(Error::Strange { what: "it".to_owned(), stand: "failed" });
        if number == self.fails_at.get() && !self.after {
            return failed();
        }
        self.at.borrow_mut().swap(Self::index(a), Self::index(b));
        if number == self.fails_at.get() { failed() } else { Ok(()) }
    }
}

impl SwapTarget for Names {
    fn identity(&self, at: Slot) -> Result<Option<Identity>, Error> {
        Ok(self.at.borrow()[Self::index(at)])
    }

    fn exchange(&self, other: Slot) -> Result<(), Error> {
        let third = if other == Slot::Aside { Slot::Beside } else { Slot::Aside };
        match self.way {
            0 => {
                self.swap(Slot::InPlace, other)?;
                self.at.borrow_mut().swap(Self::index(other), Self::index(third));
                Ok(())
            }
            1 => self.swap(Slot::InPlace, other),
            _ => {
                self.swap(Slot::InPlace, third)?;
                self.swap(other, Slot::InPlace)
            }
        }
    }

    fn move_to(&self, from: Slot, to: Slot) -> Result<(), Error> {
        assert_eq!(self.identity(to).unwrap(), None);
        self.swap(from, to)
    }

    fn remove(&self, at: Slot, _: &[PathBuf]) -> Result<(), Error> {
        assert_ne!(at, Slot::InPlace);
        self.at.borrow_mut()[Self::index(at)] = None;
        Ok(())
    }

    fn outside(&self, _: Slot) -> Vec<PathBuf> {
        Vec::new()
    }

    fn sweep(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn journal(place: ReplacedObject, old: Identity) -> Journal {
    let at = Timestamp::from_unix(1_700_000_000).unwrap();
    Journal::new(BackupId::new(at), "a".repeat(40).parse().unwrap(), at, place, old, Value::Null)
}

fn directory(path: &str) -> ReplacedObject {
    let [path, beside, aside] = ["", "~b", "~a"].map(|end| PathBuf::from(format!("{path}{end}")));
    ReplacedObject::Directory { path, beside, aside }
}

/// Opens a journal that no other process uses. A child process of another test inherits the lock
/// until its `exec`.
fn reopened(journals: &Journals, id: &str) -> Result<LockedJournal, Error> {
    loop {
        match journals.open(id) {
            Err(Error::Busy { .. }) => std::thread::yield_now(),
            other => return other,
        }
    }
}

proptest! {
    #[test]
    fn either_end_can_be_reached_from_wherever_it_stopped(
        way in 0_u8..3, fails in proptest::collection::vec((0_usize..4, any::<bool>()), 0..4), back in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path().join("restores"));
        let names = Names {
            at: [Some(OLD), Some(NEW), None].into(), way,
            operations: 0.into(), fails_at: usize::MAX.into(), after: true,
        };
        let mut open = journals.begin(journal(directory("/d"), OLD)).unwrap();
        let id = open.id();
        made(&mut open, &names).unwrap();
        drop(open);
        for (fails_at, forth) in fails {
            names.operations.set(0);
            names.fails_at.set(fails_at);
            let Ok(mut open) = reopened(&journals, &id) else { break };
            let stage = open.journal().stage;
            let _ = match forth && stage != Stage::Aborting {
                true => replace(&mut open, &names),
                false => roll_back(open, &names),
            };
            let in_place = names.identity(Slot::InPlace).unwrap();
            prop_assert!(in_place.is_some() || way == 2, "nobody sees the place empty");
        }
        names.fails_at.set(usize::MAX);
        match reopened(&journals, &id) {
            Err(_) => prop_assert_eq!(*names.at.borrow(), [Some(OLD), None, None]),
            Ok(open) if back || open.journal().stage == Stage::Aborting => {
                roll_back(open, &names).unwrap();
                prop_assert_eq!(*names.at.borrow(), [Some(OLD), None, None]);
            }
            Ok(mut open) => {
                replace(&mut open, &names).unwrap();
                prop_assert_eq!(*names.at.borrow(), [Some(NEW), None, Some(OLD)]);
                finish(open, &names).unwrap();
                prop_assert_eq!(*names.at.borrow(), [Some(NEW), None, None]);
            }
        }
        prop_assert!(journals.list().unwrap().is_empty());
    }
}

#[test]
fn there_is_one_for_each_place_and_one_who_works_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::new(dir.path().join("restores"));
    assert!(journals.list().unwrap().is_empty());
    let open = journals.begin(journal(directory("/a"), OLD)).unwrap();
    let id = open.id();
    assert!(matches!(journals.begin(journal(directory("/a"), OLD)), Err(Error::Busy { .. })));
    assert!(matches!(journals.open(&id), Err(Error::Busy { .. })));
    assert!(journals.list().unwrap()[0].2);
    drop(open);
    assert!(!journals.list().unwrap()[0].2);
    assert!(matches!(journals.begin(journal(directory("/a"), OLD)), Err(Error::NotOver { .. })));
    drop(journals.begin(journal(directory("/b"), OLD)).unwrap());
    assert_eq!(journals.list().unwrap().len(), 2);
    for hostile in ["", "..", "../../x", "no", &"f".repeat(12)] {
        assert!(matches!(journals.open(hostile), Err(Error::NoRestore { .. })), "{hostile}");
    }
    fs::write(dir.path().join("restores").join(&id).join("journal.json"), "{").unwrap();
    assert!(matches!(journals.open(&id), Err(Error::File { .. })));
}

#[test]
fn two_directories_change_places_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    assert!(matches!(DirectorySite::at(&data), Err(Error::Directory { .. })), "no data directory");
    assert!(matches!(DirectorySite::at(&dir.path().join("none")), Err(Error::Directory { .. })));
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    let site = DirectorySite::at(&data).unwrap();
    fs::write(data.join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    assert!(matches!(site.preflight(), Err(Error::Directory { .. })), "a server runs");
    fs::remove_file(data.join("postmaster.pid")).unwrap();
    site.preflight().unwrap();
    site.prepare().unwrap();
    assert!(matches!(site.preflight(), Err(Error::Directory { .. })), "something is in the way");
    fs::write(site.beside().join("PG_VERSION"), "16\n").unwrap();
    site.hand_over().unwrap();
    let old = site.identity(Slot::InPlace).unwrap().unwrap();
    let journals = Journals::new(dir.path().join("restores"));
    let mut open = journals.begin(journal(site.place(), old)).unwrap();
    made(&mut open, &site).unwrap();
    replace(&mut open, &site).unwrap();
    let version = || fs::read_to_string(data.join("PG_VERSION")).unwrap();
    assert_eq!((version().as_str(), data.join("postmaster.pid").exists()), ("16\n", false));
    assert!(dir.path().join("data.pggit-old").is_dir());
    let stood = stand(open.journal(), &site).unwrap();
    assert_eq!((stood.old, stood.new), (Slot::Aside, Slot::InPlace));
    roll_back(open, &site).unwrap();
    assert_eq!((version().as_str(), data.join("postmaster.pid").exists()), ("15\n", false));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "data and journals");
    // A tablespace of the old data directory is kept, even if the new one links to it too. The target
    // of a link that was not requested is left alone.
    let [shared, own, strange] = ["shared", "own", "strange"].map(|name| dir.path().join(name));
    let site = site.with_mapped(vec![shared.clone(), own.clone()]);
    for (n, place) in [&shared, &own, &strange].into_iter().enumerate() {
        fs::create_dir_all(place.join("PG_16_1")).unwrap();
        fs::create_dir_all(site.beside().join("pg_tblspc")).unwrap();
        std::os::unix::fs::symlink(place, site.beside().join(format!("pg_tblspc/{n}"))).unwrap();
    }
    fs::create_dir(data.join("pg_tblspc")).unwrap();
    std::os::unix::fs::symlink(&shared, data.join("pg_tblspc/7")).unwrap();
    fs::write(own.join("note"), "of somebody").unwrap();
    let open = journals.begin(journal(site.place(), old)).unwrap();
    clear(&open, &site).unwrap();
    assert!(!site.beside().exists() && shared.join("PG_16_1").exists() && !own.join("PG_16_1").exists());
    assert!(own.join("note").exists() && strange.join("PG_16_1").exists());
    roll_back(open, &site).unwrap();
    // If neither object exists under any name, replacement and abort fail and change nothing.
    let mut open = journals.begin(journal(site.place(), Identity::Inode(1, 1))).unwrap();
    assert!(matches!(replace(&mut open, &site), Err(Error::Strange { .. })));
    assert!(matches!(roll_back(open, &site), Err(Error::Strange { .. })));
    assert!(data.is_dir());
}
