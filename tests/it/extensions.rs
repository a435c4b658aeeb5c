//! Repositories with extensions that the gix library does not support.

use std::fs;

use crate::sandbox::Sandbox;

/// Writes the configuration of a repository with one extension.
fn write_config(sandbox: &Sandbox, version: u32, extension: &str) {
    let text = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tbare = false\n[extensions]\n\t{extension}\n"
    );
    fs::write(sandbox.repo().join(".git/config"), text).unwrap();
}

#[test]
fn a_reftable_is_refused_by_every_command() {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "first");
    let other = sandbox.path().join("reftable");
    sandbox.git(["init", "-q", "--ref-format=reftable", other.to_str().unwrap()]);
    for args in [
        &["backup", "list"][..],
        &["backup", "coverage"],
        &["backup", "create"],
        &["backup", "restore", "latest", "--into", "x"],
        &["doctor"],
        &["fsck"],
        &["init"],
        &["ledger", "export"],
        &["queue", "list"],
        &["store", "list"],
        &["sync"],
    ] {
        let mut command = sandbox.pggit_command();
        let said = sandbox.output(command.args(args).current_dir(&other)).fails(12).stderr_text();
        assert!(
            said.contains("repository extension `refstorage = reftable` is not supported"),
            "{args:?}: {said}"
        );
        assert!(said.contains("git refs migrate --ref-format=files"), "{args:?}: {said}");
    }
    // The repository of the records is checked in the same way.
    let other = other.to_str().unwrap();
    let said = sandbox.pggit(["init", "--repository", other]).fails(12).stderr_text();
    assert!(said.contains("refstorage = reftable"), "{said}");
    sandbox.git(["config", "pggit.repository", other]);
    let said = sandbox.pggit(["backup", "list"]).fails(12).stderr_text();
    assert!(said.contains("refstorage = reftable") && said.contains("pggit.repository is set"), "{said}");
}

#[test]
fn an_extension_that_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "first");
    for (version, extension) in [
        (1, "foo = bar"),
        (1, "compatObjectFormat = sha256"),
        (0, "compatObjectFormat = sha256"),
        (1, "partialClone = origin"),
        (0, "partialClone = origin"),
        (0, "refStorage = reftable"),
    ] {
        write_config(&sandbox, version, extension);
        let said = sandbox.pggit(["backup", "list"]).fails(12).stderr_text();
        assert!(said.contains(&format!("`{extension}` is not supported")), "{version} {extension}: {said}");
    }
    for (version, extension) in [
        (0, "foo = bar"),
        (1, "noop"),
        (1, "objectFormat = sha1"),
        (1, "preciousObjects = true"),
        (1, "refStorage = files"),
        (1, "relativeWorktrees = true"),
        (1, "worktreeConfig = true"),
    ] {
        write_config(&sandbox, version, extension);
        sandbox.pggit(["backup", "list"]).success();
    }
}

#[test]
fn a_partial_clone_is_refused_until_it_is_complete() {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1", "first");
    sandbox.git(["config", "uploadpack.allowFilter", "true"]);
    let clone = sandbox.path().join("clone");
    let url = format!("file://{}", sandbox.repo().display());
    sandbox.git(["clone", "-q", "--filter=blob:none", &url, clone.to_str().unwrap()]);
    let list = || sandbox.output(sandbox.pggit_command().args(["backup", "list"]).current_dir(&clone));
    let said = list().fails(12).stderr_text();
    assert!(said.contains("`partialClone = origin` is not supported"), "{said}");
    let git = |args: &[&str]| sandbox.git([&["-C", clone.to_str().unwrap()], args].concat());
    git(&["fetch", "-q", "--refetch", "--no-filter", "origin"]);
    git(&["config", "--unset", "remote.origin.promisor"]);
    list().success();
}
