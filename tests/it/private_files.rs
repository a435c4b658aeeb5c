//! Stored and downloaded files are accessible only to their owner, whatever the umask is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use walkdir::WalkDir;

use crate::create::Shop;
use crate::sandbox::Output;

/// Runs the program with umask 0.
fn openly(shop: &Shop, args: &[&str]) -> Output {
    let mut command = shop.sandbox.command("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_git-pggit")]);
    shop.sandbox.output(command.args(args))
}

fn assert_private(root: &Path) {
    for entry in WalkDir::new(root).into_iter().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let expected = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{:o} {}", mode, entry.path().display());
    }
}

#[test]
fn files_of_stores_and_staging_are_private() {
    let shop = Shop::with_store();
    let plain = shop.sandbox.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let copy = shop.sandbox.path().join("copy");
    openly(&shop, &["backup", "create", "--format", "directory"]).success();
    openly(&shop, &["backup", "create", "--format", "directory", "--output", plain.to_str().unwrap()])
        .success();
    openly(&shop, &["store", "copy", copy.to_str().unwrap()]).success();
    let ours = shop.sandbox.repo().join(".git/pggit");
    for root in [ours.join("store"), ours.join("staging"), plain.join("shop"), copy] {
        assert_private(&root);
    }
}

#[test]
fn a_download_is_private_and_follows_no_link() {
    let shop = Shop::with_store();
    shop.create(&[]).success();
    let id = shop.only_record()["id"].as_str().unwrap().to_owned();
    let directory = shop.sandbox.path().join("downloads");
    fs::create_dir(&directory).unwrap();
    let (precious, path) = (shop.sandbox.path().join("precious"), directory.join("x"));
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, directory.join("x.partial")).unwrap();
    symlink(&precious, &path).unwrap();
    for args in [&["store", "get", &id][..], &["ledger", "export"]] {
        openly(&shop, &[args, &["--output", path.to_str().unwrap()]].concat()).success();
        let meta = path.symlink_metadata().unwrap();
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o600);
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing else is left");
    }
}
