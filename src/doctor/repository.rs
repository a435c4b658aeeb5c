//! git, the repository and the configuration.

use std::path::Path;

use super::finding::Findings;
use crate::git::health::{self, OLDEST_GIT};
use crate::git::setup::plan;
use crate::git::{Error as GitError, Repository};
use crate::ledger::NOTES_REF;
use crate::process::{find_program, search_path, shell_word};
use crate::recovery::restore::replace::journals;
use crate::terminal::text::relative_time;
use crate::workspace::Workspace;
use crate::workspace::places;
use crate::workspace::setup;

/// Age in seconds above which a lock is stale: git holds one for moments.
const LOCK_AGE_MAX_S: i64 = 10 * 60;

pub(super) fn look(workspace: &Workspace, findings: &mut Findings) {
    program(findings);
    match workspace.repository() {
        Ok(repository) => {
            findings.ok("repository", repository.git_dir().display().to_string());
            head(repository, findings);
            identity(repository, findings);
            records(repository, workspace, findings);
            bytes(workspace, findings);
            restores(workspace, findings);
        }
        Err(failure) => drop(findings.failure("repository", failure)),
    }
    configuration(workspace, findings);
    decompressor(findings);
}

fn program(findings: &mut Findings) {
    match health::version() {
        Ok(version) if version.number >= OLDEST_GIT => findings.ok("git", version.text),
        Ok(version) => {
            let (major, minor) = OLDEST_GIT;
            let message = format!("{} is older than {major}.{minor}", version.text);
            findings.problem("git", message).remedy("install a newer git");
        }
        Err(error) => drop(findings.failure("git", error)),
    }
}

fn head(repository: &Repository, findings: &mut Findings) {
    match repository.head() {
        Ok(_) if repository.is_shallow() => {
            findings
                .warning("history", "this clone is shallow: records on commits outside of it are not visible")
                .remedy("git fetch --unshallow");
        }
        Ok(_) => findings.ok("history", "complete"),
        Err(error @ GitError::Unborn { .. }) => {
            findings.warning("history", error.to_string()).remedy("a backup belongs to a commit: git commit");
        }
        Err(error) => drop(findings.failure("history", error)),
    }
}

fn identity(repository: &Repository, findings: &mut Findings) {
    match repository.identity() {
        Ok(identity) => findings.ok("identity", identity.to_line()),
        Err(error) => drop(findings.failure("identity", error)),
    }
}

/// Checks that the stores and directories named by records exist.
fn bytes(workspace: &Workspace, findings: &mut Findings) {
    let standing = workspace
        .ledger()
        .and_then(|ledger| Ok(ledger.overview()?))
        .and_then(|overview| places::data_availability(workspace, &overview));
    let standing = match standing {
        Ok(standing) => standing,
        Err(failure) => {
            findings.failure("backups", failure);
            return;
        }
    };
    for gone in &standing.gone {
        findings.problem("backups", gone.to_string()).remedy("mount it, or restore it");
    }
    if let Some((count, home)) = &standing.elsewhere {
        let message = format!("{count} are outside of the configured stores and directories, such as {home}");
        findings
            .warning("backups", message)
            .remedy("if you trust the location: git config --add pggit.place <place>");
    }
}

/// Reports in-place restores that are not finished.
fn restores(workspace: &Workspace, findings: &mut Findings) {
    let unfinished = journals(workspace).and_then(|journals| journals.list());
    match unfinished {
        Ok(unfinished) => {
            for (_, journal, _) in unfinished.into_iter().filter(|(.., is_busy)| !is_busy) {
                let since = relative_time(journal.begun_at, workspace.now());
                findings
                    .warning(
                        "restore",
                        format!("the restore into {}, begun {since}, is unfinished", journal.place),
                    )
                    .remedy("git pggit backup restore list");
            }
        }
        Err(failure) => drop(findings.failure("restore", failure)),
    }
}

/// Checks the repository of the ledger, which may differ from that of the schema history.
fn records(schema: &Repository, workspace: &Workspace, findings: &mut Findings) {
    let beside = match workspace.beside() {
        Ok(beside) => beside,
        Err(failure) => {
            findings.failure("records", failure);
            return;
        }
    };
    if let Some(beside) = beside {
        findings.ok("records", format!("kept in {}", beside.git_dir().display()));
        if beside.is_shallow() {
            findings
                .warning("records", "their repository is shallow, and other clones refuse pushes from it")
                .remedy(format!("git -C {} fetch --unshallow", quoted(&beside.top())));
        }
        if schema.ref_tip(NOTES_REF).is_ok_and(|tip| tip.is_some()) {
            findings
                .warning("records", "there are further records in the repository of the schema history")
                .remedy("git -c pggit.repository= pggit ledger export > records.jsonl")
                .remedy("and then: git pggit ledger import records.jsonl");
        }
        locks(schema, workspace, findings);
    }
    let repository = beside.unwrap_or(schema);
    set_up(repository, workspace, findings);
    locks(repository, workspace, findings);
}

/// Checks the settings that `git pggit init` adds, and the dangers that it can only report.
fn set_up(repository: &Repository, workspace: &Workspace, findings: &mut Findings) {
    let config = match workspace.ledger_git_config() {
        Ok(config) => config,
        Err(failure) => {
            findings.failure("setup", failure);
            return;
        }
    };
    let plan = plan(&config, &setup::NAMES);
    let directory = repository.missing_own_directory(&config);
    match plan.steps.len() + usize::from(directory.is_some()) {
        0 => findings.ok("setup", "plain git shows and fetches backups"),
        count => {
            let message = format!(
                "{count} {} for plain git",
                if count == 1 { "setting is missing" } else { "settings are missing" }
            );
            findings.warning("setup", message).remedy("git pggit init");
        }
    }
    for danger in &plan.unsafe_refspecs {
        let finding = findings.problem("refspec", setup::danger_text(danger));
        if let Some(remedy) = setup::remedy(danger) {
            finding.remedy(remedy);
        }
    }
    for remote in &plan.unusable {
        findings
            .warning("remote", setup::unusable_remote(remote))
            .remedy("rename it with 'git remote rename'");
    }
}

fn locks(repository: &Repository, workspace: &Workspace, findings: &mut Findings) {
    let now = workspace.now();
    let mut stale = 0;
    for lock in repository.locks() {
        if now.seconds_since(lock.made_at) <= LOCK_AGE_MAX_S {
            continue;
        }
        stale += 1;
        let message = format!("{} was created {}", lock.path.display(), relative_time(lock.made_at, now));
        findings
            .problem("lock", message)
            .remedy(format!("if no git is running, the lock is stale: rm {}", quoted(&lock.path)));
    }
    if stale == 0 {
        findings.ok("locks", "no stale lock");
    }
    if let Some(file) = repository.stale_gc_pid() {
        findings
            .warning("gc", format!("{} names a process that has exited", file.display()))
            .remedy(format!("a 'git gc' was killed: rm {}, then git gc", quoted(&file)));
    }
}

fn quoted(path: &Path) -> String {
    shell_word(&path.display().to_string()).into_owned()
}

fn configuration(workspace: &Workspace, findings: &mut Findings) {
    let config = match workspace.config() {
        Ok(config) => config,
        Err(failure) => {
            findings.failure("configuration", failure);
            return;
        }
    };
    let problems = config.problems();
    if problems.is_empty() && config.warnings().is_empty() {
        findings.ok("configuration", "all settings are valid");
    }
    for warning in config.warnings() {
        findings
            .warning("configuration", warning.to_string())
            .remedy("'git pggit config --list-keys' shows all keys");
    }
    for problem in problems {
        findings.failure("configuration", problem);
    }
}

fn decompressor(findings: &mut Findings) {
    match find_program("zstd".as_ref(), &[], search_path().as_deref()) {
        Some(path) => findings.ok("zstd", path.display().to_string()),
        None => drop(
            findings
                .warning("zstd", "not found: only needed to read backup files without git-pggit")
                .remedy("install the package zstd"),
        ),
    }
}
