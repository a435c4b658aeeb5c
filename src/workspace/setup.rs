//! Settings of plain git for the ledger of a workspace, and the choice of its repository.

use std::borrow::Cow;
use std::path::Path;

use super::{Error, Workspace};
use crate::config::{self, KeyScope};
use crate::git::config::{ConfigFile, ConfigWriter, Scope};
use crate::git::setup::{self, LedgerRefs, UnsafeRefspec};
use crate::ledger::{NOTES_REF, REFS_PREFIX};
use crate::process::shell_word;

/// Prefix of the remote-tracking refs of records and notes.
const TRACKING_PREFIX: &str = "refs/pggit/remotes/";

/// The refs of the ledger.
pub const NAMES: LedgerRefs<'static> =
    LedgerRefs { records: REFS_PREFIX, notes: NOTES_REF, tracking: TRACKING_PREFIX };

/// Keeps the records in the repository `directory` from now on, and creates it if it does not exist.
/// Fails if the repository cannot hold the records or the setting cannot be written.
pub fn keep_records_in(directory: &Path, workspace: &Workspace) -> Result<(), Error> {
    const KEY: &str = "pggit.repository";
    let schema = workspace.repository()?;
    let key = config::find(KeyScope::Global, "repository").expect("it is a key");
    workspace.config()?.check(key, "", directory.as_os_str())?;
    if directory.as_os_str().is_empty() {
        return Err(Error::NoDirectory);
    }
    // A configured path is relative to the top of the work tree, a typed path to the working directory.
    let at_top = workspace.cwd() == schema.top();
    let value: Cow<'_, Path> = match at_top || directory.starts_with("~") {
        true => directory.into(),
        false => workspace.cwd().join(directory).into(),
    };
    let place = workspace.place_beside(value.as_os_str())?;
    let is_new = std::fs::symlink_metadata(&place).is_err();
    if is_new {
        setup::create_bare_repository(&place, schema)?;
        workspace.reporter.status(&format!("made {}", place.display()));
    }
    workspace.open_beside(&place)?;
    let known = workspace.git_config()?.last(KEY).and_then(|entry| entry.value.as_deref());
    if known != Some(value.as_os_str().as_encoded_bytes()) {
        ConfigWriter::new(schema, ConfigFile::Local).set(KEY, value.as_os_str())?;
        workspace.reporter.status(&format!("set {KEY} = {}", value.display()));
    }
    workspace.choose_beside(&place)?;
    if schema.ref_tip(NOTES_REF)?.is_some() {
        workspace.reporter.warning("the records that are in the repository of the schema history stay there");
        workspace.reporter.hint("move them: git -c pggit.repository= pggit ledger export > records.jsonl");
        workspace.reporter.hint("and then: git pggit ledger import records.jsonl");
    }
    Ok(())
}

/// Returns the warning for a remote whose name git does not accept any more.
pub fn unusable_remote(remote: &str) -> String {
    format!("records of the remote '{remote}' are not fetched: its name cannot be a part of a ref")
}

/// Returns the description of a dangerous refspec.
pub fn danger_text(danger: &UnsafeRefspec) -> String {
    let UnsafeRefspec { remote, refspec, .. } = danger;
    let how = if refspec.starts_with('+') { "overwrites" } else { "removes, with --prune," };
    format!(
        "'git fetch {remote}' {how} records and notes that were not pushed: remote.{remote}.fetch = {refspec}"
    )
}

/// Returns the command that removes a dangerous refspec, or `None` if no file sets it.
pub fn remedy(danger: &UnsafeRefspec) -> Option<String> {
    let scope = match danger.scope {
        Scope::Local => "--local",
        Scope::Global => "--global",
        Scope::System => "--system",
        Scope::Worktree => "--worktree",
        Scope::Blob | Scope::Command => return None,
    };
    let key = format!("remote.{}.fetch", danger.remote);
    let (key, value) = (shell_word(&key), shell_word(&danger.refspec));
    Some(format!("git config {scope} --fixed-value --unset-all {key} {value}"))
}
