//! Backups as plain files: complete or not visible, and readable without git-pggit.
#![expect(clippy::unwrap_used, reason = "functions of tests")]

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tmpfs::Tmpfs;
use pggit::domain::Compression;
use pggit::process::Cmd;
use pggit::progress::{Counter, Quiet};
use pggit::store::Error;
use pggit::store::plain::{FileKind, FileSummary, FileUri, PendingDirectory, Stored, remove, sweep_partials};
use pggit::tools::{Connection, DumpSpec, Format, Kind, Programs};

use crate::cluster::Cluster;

const ID: &str = "0190b0c2-1111-7000-8000-000000000001";

fn write(draft: &PendingDirectory, name: &str, compression: Compression, content: &[u8]) -> FileSummary {
    let mut writer = draft.file(name, compression).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// Returns data that compresses only partly.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 60) as u8 + b'a'
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn backup(root: &Path, content: &[u8]) -> (FileUri, FileSummary) {
    let draft = PendingDirectory::create(root, "shop", ID).unwrap();
    let summary = write(&draft, "dump.custom", Compression::Zstd(3), content);
    (draft.publish().unwrap(), summary)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Returns all paths below `root`.
fn tree(root: &Path) -> Vec<String> {
    let out = Cmd::new("find").arg(root).args(["-mindepth", "1", "-printf", "%P\n"]).run().unwrap().stdout;
    let mut paths: Vec<String> = String::from_utf8(out).unwrap().lines().map(ToOwned::to_owned).collect();
    paths.sort();
    paths
}

#[test]
fn what_is_written_is_what_is_read() {
    let root = tempfile::tempdir().unwrap();
    let content = noise(9_000_000);
    let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
    let dump = write(&draft, "dump.plain.sql", Compression::Zstd(1), &content);
    let raw = write(&draft, "record.json", Compression::None, b"{}\n");
    let empty = write(&draft, "globals.sql", Compression::Zstd(3), b"");
    assert!(!root.path().join("shop").join(ID).exists(), "not visible before it is complete");
    let uri = draft.publish().unwrap();

    assert_eq!(uri, FileUri::from_path(&root.path().join("shop").join(ID)).unwrap());
    assert_eq!((dump.name.as_str(), dump.content_bytes), ("dump.plain.sql.zst", 9_000_000));
    assert_eq!(dump.digest, format!("blake3:{}", blake3::hash(&content).to_hex()));
    assert_eq!((raw.name.as_str(), raw.content_bytes, raw.stored_bytes), ("record.json", 3, 3));
    let stored = Stored::open(&uri.to_path()).unwrap();
    let files = stored.files().unwrap();
    let seen: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.kind, f.stored_bytes)).collect();
    assert_eq!(
        seen,
        [
            ("dump.plain.sql.zst", FileKind::Zstd, dump.stored_bytes),
            ("globals.sql.zst", FileKind::Zstd, empty.stored_bytes),
            ("record.json", FileKind::Raw, 3),
        ]
    );
    for summary in [&dump, &raw, &empty] {
        let counter = Counter::default();
        stored.verify(&summary.name, &summary.digest, &counter).unwrap();
        assert_eq!(counter.bytes(), summary.content_bytes);
        assert_eq!(mode(&stored.path(&summary.name).unwrap()), 0o600);
    }
    assert_eq!(mode(&uri.to_path()), 0o700);
    let mut read = Vec::new();
    stored.reader(&dump.name).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == content);
    let by_zstd = Cmd::new("zstd").args(["-dc", "--"]).arg(stored.path(&dump.name).unwrap()).run().unwrap();
    assert!(by_zstd.stdout == content, "zstd reads it");
}

#[test]
fn a_real_dump_is_readable_without_us() {
    let cluster = Cluster::shared();
    let root = tempfile::tempdir().unwrap();
    let tools = Programs::new(None).for_server(15);
    let conninfo = format!("host={} user=postgres dbname=template1", cluster.dir().display());
    let connection = Connection { conninfo, ..Connection::default() };
    let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
    let mut writer = draft.file("dump.custom", Compression::Zstd(3)).unwrap();
    let dumped =
        tools.dump_to(&DumpSpec::new(connection.clone(), Format::Custom), &mut writer, &Quiet).unwrap();
    let custom = writer.finish().unwrap();
    assert_eq!(custom.content_bytes, dumped.bytes);
    let dir = draft.adopt_directory("dump.directory").unwrap();
    let dumped = tools.dump_directory(&DumpSpec::new(connection, Format::Directory), &dir, false).unwrap();
    let directory = draft.seal_directory("dump.directory").unwrap();
    assert_eq!(directory.content_bytes, dumped.bytes);
    let stored = Stored::open(&draft.publish().unwrap().to_path()).unwrap();
    stored.verify(&directory.name, &directory.digest, &Quiet).unwrap();
    let script = "zstd -dc -- \"$0\" | pg_restore --list && pg_restore --list \"$1\"";
    let paths = [stored.path(&custom.name).unwrap(), stored.path(&directory.name).unwrap()];
    let listed = Cmd::new("sh").args(["-ec", script]).args(paths).run().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().matches("Archive created").count(), 2);
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
    write(&draft, "dump.custom", Compression::Zstd(3), b"x");
    let dir = draft.adopt_directory("dump.directory").unwrap();
    fs::write(dir.join("toc.dat"), "x").unwrap();
    assert_eq!(sweep_partials(root.path()).unwrap(), [] as [PathBuf; 0], "its owner is alive");
    assert!(
        matches!(PendingDirectory::create(root.path(), "shop", ID), Err(Error::Exists { .. })),
        "one draft at a time"
    );
    drop(draft);
    assert_eq!(tree(root.path()), [] as [&str; 0]);
    let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
    let unfinished = draft.file("dump.custom", Compression::Zstd(3)).unwrap();
    drop(unfinished);
    assert!(matches!(draft.publish(), Err(Error::Unfinished { count: 1, .. })));
    assert_eq!(tree(root.path()), [] as [&str; 0]);
}

#[test]
fn nothing_is_ever_overwritten() {
    let root = tempfile::tempdir().unwrap();
    backup(root.path(), b"first");
    assert!(matches!(PendingDirectory::create(root.path(), "shop", ID), Err(Error::Exists { .. })));
    let other = PendingDirectory::create(root.path(), "shop", "other").unwrap();
    write(&other, "a", Compression::None, b"x");
    for taken in ["a", "owner.json"] {
        assert!(matches!(other.file(taken, Compression::None), Err(Error::Exists { .. })), "{taken}");
    }
    // Even an empty directory that another process creates meanwhile is not replaced.
    fs::create_dir(root.path().join("shop/other")).unwrap();
    assert!(matches!(other.publish(), Err(Error::Exists { .. })));
}

#[test]
fn names_cannot_lead_out_of_the_store() {
    let root = tempfile::tempdir().unwrap();
    let long = "x".repeat(10_000);
    for bad in ["", ".", "..", "../x", "a/b", "/etc", "-rf", ".git", "a\nb", "a\0b", &long] {
        assert!(
            matches!(PendingDirectory::create(root.path(), bad, ID), Err(Error::UnsafeName { .. })),
            "{bad:?}"
        );
        assert!(
            matches!(PendingDirectory::create(root.path(), "shop", bad), Err(Error::UnsafeName { .. })),
            "{bad:?}"
        );
    }
    assert_eq!(tree(root.path()), [] as [&str; 0]);
    let (uri, _) = backup(root.path(), b"x");
    let stored = Stored::open(&uri.to_path()).unwrap();
    symlink("/etc/passwd", uri.to_path().join("link")).unwrap();
    for bad in ["../x", "..", "/etc/passwd"] {
        assert!(matches!(stored.reader(bad), Err(Error::UnsafeName { .. })), "{bad:?}");
    }
    assert!(matches!(stored.reader("link"), Err(Error::Unexpected { .. })));
}

#[test]
fn an_unusable_root_is_told_in_clear_words() {
    let dir = tempfile::tempdir().unwrap();
    let missing = PendingDirectory::create(&dir.path().join("no"), "shop", ID).unwrap_err();
    // The directory may be mounted later, so the error is transient.
    assert!(matches!(missing, Error::RootMissing { .. }) && missing.retry(), "{missing}");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(PendingDirectory::create(&file, "shop", ID), Err(Error::NotADirectory { .. })));
    fs::write(dir.path().join("shop"), "").unwrap();
    assert!(matches!(PendingDirectory::create(dir.path(), "shop", ID), Err(Error::NotADirectory { .. })));
    let odd = dir.path().join(OsStr::from_bytes(b"n\xffn utf8\n"));
    fs::create_dir(&odd).unwrap();
    let (uri, summary) = backup(&odd, b"content");
    Stored::open(&uri.to_path()).unwrap().verify(&summary.name, &summary.digest, &Quiet).unwrap();
    assert!(uri.as_str().contains("n%FFn%20utf8%0A"), "{uri}");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let Some(disk) = Tmpfs::mount("size=1m") else { return };
    let root = disk.path();
    for compression in [Compression::None, Compression::Zstd(1)] {
        let draft = PendingDirectory::create(root, "shop", ID).unwrap();
        let mut writer = draft.file("dump", compression).unwrap();
        let content = noise(50_000_000);
        let kind = match writer.write_all(&content) {
            Err(error) => error.kind(),
            Ok(()) => match writer.finish().unwrap_err() {
                Error::Full { .. } => io::ErrorKind::StorageFull,
                other => panic!("{other}"),
            },
        };
        assert_eq!(kind, io::ErrorKind::StorageFull);
        assert!(matches!(draft.publish(), Err(Error::Unfinished { .. })));
        assert_eq!(tree(root), [] as [&str; 0]);
    }
    // The same through pg_dump: a script that never stops.
    let bin = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\n[ $1 = --version ] && echo 'pg_dump (PostgreSQL) 15.18' && exit\nprintf PGDMP\nexec cat /dev/urandom\n";
    fs::write(bin.path().join("pg_dump"), script).unwrap();
    fs::set_permissions(bin.path().join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let draft = PendingDirectory::create(root, "shop", ID).unwrap();
    let mut writer = draft.file("dump.custom", Compression::Zstd(3)).unwrap();
    let tools = Programs::new(Some(bin.path().into())).for_server(15);
    let spec = DumpSpec::new(Connection::default(), Format::Custom);
    let error = tools.dump_to(&spec, &mut writer, &Quiet).unwrap_err();
    assert_eq!(error.kind(), Kind::DiskFull, "{error}");
    drop((writer, draft));
    assert_eq!(tree(root), [] as [&str; 0]);
}

#[test]
fn a_disk_full_of_inodes_or_read_only_refuses_the_draft() {
    let Some(disk) = Tmpfs::mount("nr_inodes=2") else { return };
    assert!(matches!(PendingDirectory::create(disk.path(), "shop", ID), Err(Error::Full { .. })));
    let Some(disk) = Tmpfs::mount("ro") else { return };
    let error = PendingDirectory::create(disk.path(), "shop", ID).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
}

#[test]
fn every_damage_is_found_and_named() {
    let content = noise(3_000_000);
    let damaged = |harm: &dyn Fn(&Path)| {
        let root = tempfile::tempdir().unwrap();
        let (uri, summary) = backup(root.path(), &content);
        harm(&uri.to_path().join(&summary.name));
        let stored = Stored::open(&uri.to_path()).unwrap();
        stored.verify(&summary.name, &summary.digest, &Quiet).unwrap_err()
    };
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        damaged(&|path| {
            let mut bytes = fs::read(path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        })
    };
    assert!(matches!(damaged(&|path| fs::remove_file(path).unwrap()), Error::Missing { .. }));
    for keep in [0, 1, 3, 5, 100, 500_000] {
        let error = change(&|bytes| bytes.truncate(keep));
        assert!(matches!(error, Error::Truncated { .. }), "{keep}: {error}");
    }
    let error = change(&|bytes| bytes.truncate(bytes.len() - 1));
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    for at in [0, 5, 1000, 700_000] {
        let error = change(&|bytes| bytes[at] ^= 0x10);
        assert!(matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }), "{at}: {error}");
    }
    let error = change(&|bytes| bytes.extend_from_slice(b"more"));
    assert!(matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }), "{error}");
    let error = change(&|bytes| *bytes = zstd::encode_all(&b"another"[..], 3).unwrap());
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let error = change(&|bytes| bytes.extend(zstd::encode_all(&b"more"[..], 3).unwrap()));
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

#[test]
fn a_directory_is_sealed_file_by_file() {
    let sealed = |harm: &dyn Fn(&Path)| {
        let root = tempfile::tempdir().unwrap();
        let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
        let dir = draft.adopt_directory("dump.directory").unwrap();
        fs::write(dir.join("toc.dat"), "PGDMP").unwrap();
        fs::write(dir.join("b\\s\nx"), "odd").unwrap();
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/1.dat"), "one").unwrap();
        let summary = draft.seal_directory("dump.directory").unwrap();
        assert_eq!((summary.name.as_str(), summary.content_bytes), ("dump.directory", 11));
        let home = draft.publish().unwrap().to_path();
        let list = fs::read_to_string(home.join("dump.directory.b3sums")).unwrap();
        let hex = |text: &str| blake3::hash(text.as_bytes()).to_hex();
        let expected = format!(
            "\\{}  dump.directory/b\\\\s\\nx\n{}  dump.directory/sub/1.dat\n{}  dump.directory/toc.dat\n",
            hex("odd"),
            hex("one"),
            hex("PGDMP")
        );
        assert_eq!(list, expected);
        harm(&home);
        let stored = Stored::open(&home).unwrap();
        assert_eq!(stored.files().unwrap()[0].kind, FileKind::Directory);
        stored.verify("dump.directory", &summary.digest, &Quiet)
    };
    sealed(&|_| {}).unwrap();
    let toc = |home: &Path| home.join("dump.directory/toc.dat");
    let harm = |harm: &dyn Fn(&Path)| sealed(harm).unwrap_err();
    assert!(matches!(harm(&|home| fs::remove_file(toc(home)).unwrap()), Error::Missing { .. }));
    assert!(matches!(harm(&|home| fs::write(toc(home), "PGDMQ").unwrap()), Error::Mismatch { .. }));
    assert!(matches!(
        harm(&|home| fs::write(home.join("dump.directory/x"), "").unwrap()),
        Error::Unexpected { .. }
    ));
    let list = |home: &Path| home.join("dump.directory.b3sums");
    assert!(matches!(harm(&|home| fs::remove_file(list(home)).unwrap()), Error::Missing { .. }));
    assert!(matches!(harm(&|home| fs::write(list(home), "").unwrap()), Error::Mismatch { .. }));
}

#[test]
fn a_link_in_an_adopted_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let draft = PendingDirectory::create(root.path(), "shop", ID).unwrap();
    let dir = draft.adopt_directory("d").unwrap();
    symlink("/etc/passwd", dir.join("toc.dat")).unwrap();
    assert!(matches!(draft.seal_directory("d"), Err(Error::Unexpected { .. })));
    assert!(matches!(draft.publish(), Err(Error::Unfinished { .. })));
}

#[test]
fn only_backups_of_this_store_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let (uri, _) = backup(root.path(), b"x");
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(outside.path().join("a/b")).unwrap();
    symlink(outside.path().join("a"), root.path().join("linked")).unwrap();
    let store = root.path().to_str().unwrap();
    let shop = format!("{store}/shop");
    for bad in [
        outside.path().join("a/b").to_str().unwrap(),
        store,
        &shop,
        "/",
        &format!("{shop}/{ID}/dump.custom.zst"),
        &format!("{store}/linked/b"),
        &format!("{shop}/.hidden"),
        &format!("{shop}/missing"),
    ] {
        let location = FileUri::from_path(Path::new(bad)).unwrap();
        assert!(remove(root.path(), &location).is_err(), "{bad}");
    }
    assert!(outside.path().join("a/b").exists() && uri.to_path().exists());
    remove(root.path(), &uri).unwrap();
    assert_eq!(tree(root.path()), ["linked"]);
}

/// Makes a backup in a separate process, which is killed at `point`.
fn crash_at(point: &str, root: &Path) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["store_plain::backup_role", "--exact", "--ignored", "--test-threads=1"]);
    command.env("PGGIT_CRASH_AT", point).env("PGGIT_TEST_ROOT", root);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
#[ignore = "a role that another test plays in a process of its own"]
fn backup_role() {
    backup(Path::new(&std::env::var_os("PGGIT_TEST_ROOT").unwrap()), &noise(100_000));
}

#[test]
fn a_crash_leaves_a_whole_backup_or_something_to_sweep() {
    for point in ["store.draft-created", "store.mid-write", "store.written"] {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(crash_at(point, root.path()).signal(), Some(9), "{point}");
        let partial = root.path().join("shop").join(format!(".{ID}.partial"));
        assert!(partial.exists() && !root.path().join("shop").join(ID).exists(), "{point}");
        assert_eq!(sweep_partials(root.path()).unwrap(), [partial], "{point}");
        assert_eq!(tree(root.path()), [] as [&str; 0], "{point}");
        backup(root.path(), b"the same again");
    }
    let root = tempfile::tempdir().unwrap();
    assert_eq!(crash_at("store.published", root.path()).signal(), Some(9));
    let stored = Stored::open(&root.path().join("shop").join(ID)).unwrap();
    let digest = format!("blake3:{}", blake3::hash(&noise(100_000)).to_hex());
    stored.verify("dump.custom.zst", &digest, &Quiet).unwrap();
    assert_eq!(stored.files().unwrap().len(), 1, "internal files are not listed");
    assert_eq!(sweep_partials(root.path()).unwrap(), [] as [PathBuf; 0]);
    assert!(crash_at("nowhere", root.path()).code().is_some());
}

#[test]
fn the_sweep_takes_only_what_is_surely_dead() {
    let root = tempfile::tempdir().unwrap();
    let draft = |name: &str, owner: Option<&str>| {
        let dir = root.path().join("shop").join(name);
        fs::create_dir_all(&dir).unwrap();
        if let Some(owner) = owner {
            fs::write(dir.join("owner.json"), owner).unwrap();
        }
        dir
    };
    let elsewhere = r#"{"host":"elsewhere.example","boot_id":"x","pid":1,"started_ticks":1}"#;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let dead = format!(r#"{{"host":{:?},"boot_id":"x","pid":1,"started_ticks":1}}"#, host.trim());
    draft(".a.partial", Some(elsewhere));
    draft(".b.partial", Some("garbage"));
    fs::write(draft(".c.partial", None).join("data"), "not ours?").unwrap();
    draft("visible.partial", Some(&dead));
    symlink("/", root.path().join("shop/.link.partial")).unwrap();
    let mut gone = [draft(".d.partial", Some(&dead)), draft(".e.partial", None), draft(".f.removed", None)];
    gone.sort();
    assert_eq!(sweep_partials(root.path()).unwrap(), gone);
    assert_eq!(tree(root.path()).len(), 10);
    assert!(matches!(sweep_partials(&root.path().join("no")), Err(Error::Missing { .. })));
}

#[test]
fn many_writers_and_sweepers_do_not_disturb_each_other() {
    let root = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let root = root.path();
            scope.spawn(move || {
                for n in 0..10 {
                    let draft = PendingDirectory::create(root, "shop", &format!("{writer}-{n}")).unwrap();
                    write(&draft, "a", Compression::None, b"x");
                    if n % 2 == 0 {
                        draft.publish().unwrap();
                    }
                }
            });
            scope.spawn(move || (0..50).for_each(|_| drop(sweep_partials(root))));
        }
    });
    assert_eq!(fs::read_dir(root.path().join("shop")).unwrap().count(), 20);
}
