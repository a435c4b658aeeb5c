//! Files that root creates in directories of other users, who replace parts of the paths at the same time.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pggit::artifacts::restorer_of;
use pggit::domain::{Backup, RecoveryTarget};
use pggit::progress::Progress;
use pggit::recovery::{Archiving, CreatedDataDirectory, DataDirectory};
use pggit::store::{Access, Root};
use pggit::tools::Programs;

use crate::cluster::{Options, bin_dir, fresh_dir, give_to_owner, owner};
use crate::create::Shop;

/// Returns a database with ten rows in a tablespace that was removed, and a physical backup of it.
fn copied() -> (Shop, Backup, PathBuf) {
    let shop = Shop::on(Arc::new(Options::default().start()));
    let space = fresh_dir().join("space");
    fs::create_dir(&space).unwrap();
    give_to_owner(&space);
    shop.cluster.psql("postgres", &format!("create tablespace far location '{}'", space.display()));
    shop.cluster
        .psql(&shop.database, "create table distant tablespace far as select generate_series(1, 10) n");
    let plain = shop.sandbox.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let args = ["--tool", "pg_basebackup", "--json", "--output", plain.to_str().unwrap()];
    let made = shop.create(&args).success();
    shop.cluster.psql(&shop.database, "drop table distant");
    shop.cluster.psql("postgres", "drop tablespace far");
    (shop, serde_json::from_slice(&made.stdout).unwrap(), space)
}

/// Files that must not change, as in `/etc`.
struct Target(PathBuf);

impl Target {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pgx").tempdir_in("/tmp").unwrap().keep();
        for file in ["shadow", "PG_VERSION", "postgresql.auto.conf", "recovery.signal"] {
            fs::write(dir.join(file), "precious").unwrap();
        }
        fs::create_dir_all(dir.join("base/1")).unwrap();
        Self(dir)
    }

    fn all(&self) -> Vec<(PathBuf, u32, u32, u64)> {
        let all = walkdir::WalkDir::new(&self.0).sort_by_file_name().into_iter().map(Result::unwrap);
        let facts = |entry: walkdir::DirEntry| {
            let meta = entry.path().symlink_metadata().unwrap();
            (entry.into_path(), meta.uid(), meta.mode(), if meta.is_file() { meta.len() } else { 0 })
        };
        all.map(facts).collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An action of an attacker at the beginning of a stage.
struct Attack<'a> {
    at: &'static str,
    what: &'a (dyn Fn() + Sync),
    done: AtomicBool,
}

impl Progress for Attack<'_> {
    fn stage(&self, name: &str, _: Option<u64>) {
        if name.starts_with(self.at) && !self.done.swap(true, Ordering::SeqCst) {
            (self.what)();
        }
    }

    fn advance(&self, _: u64) {}
}

/// Replaces `path` by a symbolic link to `target` or, with `data`, by a directory in which `data` is
/// such a link.
fn swap(path: &Path, target: &Path, data: bool) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    fs::rename(path, aside).unwrap();
    if !data {
        return symlink(target, path).unwrap();
    }
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(target, path.join("data")).unwrap();
    give_to_owner(path);
}

/// Restores the backup during the attack.
fn restored(
    backup: &Backup,
    data: &Path,
    space: (&Path, &Path),
    attack: &Attack<'_>,
) -> Result<CreatedDataDirectory, pggit::recovery::Error> {
    let adapter = restorer_of(backup, &Programs::new(Some(bin_dir().to_owned()))).unwrap();
    // Plain files are in `<directory>/<database>/<backup>`.
    let location = backup.location.as_ref().unwrap().as_str().strip_prefix("file://").unwrap();
    let root = Root::Directory(Path::new(location).ancestors().nth(2).unwrap().to_owned());
    let access = Access { roots: vec![root], ..Access::default() };
    let restored = DataDirectory {
        members: &[(backup.clone(), access)],
        adapter: adapter.as_ref(),
        path: data.to_owned(),
        tablespaces: vec![(space.0.to_owned(), space.1.to_owned())],
        until: RecoveryTarget::Immediate,
        log: None,
        archiving: Archiving::Off,
        recovery: None,
        home: None,
        progress: attack,
    }
    .run();
    assert!(attack.done.load(Ordering::SeqCst), "there is no stage {}", attack.at);
    restored
}

#[test]
fn what_is_put_in_the_way_of_a_restore_is_neither_filled_nor_given_away() {
    // Other users have no privileges that could be misused.
    let Some((uid, _)) = owner() else { return };
    let (shop, backup, old) = copied();
    let target = Target::new();
    let before = target.all();
    for at in ["unpacking", "writing to disk"] {
        let (dir, new) = (fresh_dir(), fresh_dir().join("new"));
        let (data, partial) = (dir.join("data"), dir.join(".data.pggit-partial"));
        let what = || {
            swap(&partial, &target.0, true);
            swap(&new, &target.0, false);
        };
        let attack = Attack { at, what: &what, done: false.into() };
        restored(&backup, &data, (&old, &new), &attack).unwrap();
        assert_eq!(target.all(), before, "{at}");
        // All files are in the directory that was opened first, with the right owner.
        let aside = new.with_file_name("new.aside");
        for path in [&data, &data.join("PG_VERSION"), &data.join("base"), &aside] {
            assert_eq!(fs::metadata(path).unwrap().uid(), uid, "{at}: {}", path.display());
        }
        let link = fs::read_dir(data.join("pg_tblspc")).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::read_link(link).unwrap(), new, "{at}");
        fs::remove_file(&new).unwrap();
        fs::rename(aside, &new).unwrap();
        let cluster = Options::default().start_in(dir);
        assert_eq!(cluster.psql(&shop.database, "select sum(n) from distant"), "55", "{at}");
    }
}

#[test]
fn what_is_put_in_the_way_of_a_restore_that_fails_is_not_emptied() {
    if owner().is_none() {
        return;
    }
    let (_shop, backup, old) = copied();
    let target = Target::new();
    let before = target.all();
    let (dir, new) = (fresh_dir(), fresh_dir().join("new"));
    let (data, partial) = (dir.join("data"), dir.join(".data.pggit-partial"));
    // Just before the rename, another directory takes the final name.
    let what = || {
        swap(&partial, &target.0, true);
        swap(&new, &target.0, false);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("mine"), "x").unwrap();
    };
    let attack = Attack { at: "writing to disk", what: &what, done: false.into() };
    restored(&backup, &data, (&old, &new), &attack).unwrap_err();
    assert_eq!(target.all(), before);
}

#[test]
fn a_place_that_others_can_change_is_refused_for_a_tablespace() {
    if owner().is_none() {
        return;
    }
    let (_shop, backup, old) = copied();
    let open = fresh_dir().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let theirs = fresh_dir().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(65_534), Some(65_534)).unwrap();
    for (new, why) in [
        (open.join("new"), "is in a directory that another user can change"),
        (theirs, "belongs to another user"),
    ] {
        let dir = fresh_dir();
        let never = Attack { at: "verifying", what: &|| (), done: false.into() };
        let refused = restored(&backup, &dir.join("data"), (&old, &new), &never).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{why}");
    }
}
