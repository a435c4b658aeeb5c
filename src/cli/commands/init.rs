//! `git pggit init`

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::cli::output::repository::{DangerousRefspec, InitChange, InitOutput};
use crate::cli::{Code, Context, Failure};
use crate::config::{self, Reach};
use crate::git::config::{ConfigFile, ConfigWriter, Scope};
use crate::git::setup::{self, ConfigChange, LedgerRefs, SetupPlan, UnsafeRefspec};
use crate::ledger::{NOTES_REF, REFS_PREFIX};

/// Set the repository up, so that plain git shows and fetches backups
///
/// Makes 'git log' show the notes of backups, keeps them on commits that are
/// rewritten, and makes 'git fetch' bring the records of every remote into a
/// namespace of their own (refs/pggit/remotes/), where they cannot overwrite
/// those of this repository. Only the configuration of this repository is
/// changed, and settings of yours are kept. It may be run again at any time:
/// after a remote was added or renamed it must be.
///
/// 'git log --graph --all --oneline' shows the records as commits of their own,
/// without the names of their refs, which would repeat the commit in 40 digits;
/// '--decorate-refs=refs/backups/*' shows these, too.
///
/// With --repository the records are kept in another repository on this machine,
/// which is made if it is missing, and this one stays as it is. 'git pggit ledger
/// export' and 'import' move records that are here already.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only say what is missing; fails with 'negative' if anything is
    #[arg(long)]
    check: bool,

    /// Keep the records in this repository beside the schema history
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    repository: Option<PathBuf>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit init
    git pggit init --check
    git pggit init --repository ../shop-backups.git";

/// Below it are the copies of other clones' records and notes.
const TRACKING_PREFIX: &str = "refs/pggit/remotes/";

pub(super) const NAMES: LedgerRefs<'static> =
    LedgerRefs { records: REFS_PREFIX, notes: NOTES_REF, tracking: TRACKING_PREFIX };

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    if let Some(directory) = &args.repository {
        put_beside(directory, context)?;
    }
    let repository = context.ledger_repository()?;
    let config = context.ledger_git_config()?;
    let plan = setup::plan(&config, &NAMES);
    let directory = repository.missing_own_directory(&config);
    let path = directory.as_ref().map(|directory| directory.path.display().to_string());
    let changes = plan.steps.len() + usize::from(directory.is_some());
    if !args.check {
        if let Some(directory) = &directory {
            directory.create()?;
            context.ui.status(&format!("made {}", directory.path.display()));
        }
        for step in &plan.steps {
            step.apply(repository)?;
            context.ui.status(&done(step));
        }
    }
    if context.ui.wants_json() {
        context.ui.json(&output(&plan, path.as_deref(), !args.check))?;
    } else if args.check {
        path.iter().try_for_each(|path| context.ui.line(format!("missing: {path}")))?;
        plan.steps.iter().try_for_each(|step| context.ui.line(missing(step)))?;
    }
    warn(&plan, context);
    if changes == 0 {
        context.ui.status("already set up");
    }
    if context.config()?.databases().is_empty() {
        context
            .ui
            .hint("no database is configured; add one with 'git pggit database add <name> --url <url>'");
    }
    match args.check && changes > 0 {
        true => Err(Failure::new(Code::Negative, "")),
        false => Ok(()),
    }
}

/// Makes `directory` the repository of the records, and it itself if need be.
fn put_beside(directory: &Path, context: &Context) -> Result<(), Failure> {
    const KEY: &str = "pggit.repository";
    let schema = context.repository()?;
    let key = config::find(Reach::Global, "repository").expect("it is a key");
    context.config()?.check(key, "", directory.as_os_str())?;
    if directory.as_os_str().is_empty() {
        return Err(Failure::new(Code::Usage, "--repository needs a directory"));
    }
    // What is written counts from the top, what is typed from here.
    let at_top = context.cwd() == schema.top();
    let value: Cow<'_, Path> = match at_top || directory.starts_with("~") {
        true => directory.into(),
        false => context.cwd().join(directory).into(),
    };
    let place = context.place_beside(value.as_os_str())?;
    let is_new = std::fs::symlink_metadata(&place).is_err();
    if is_new {
        setup::create_bare_repository(&place, schema)?;
        context.ui.status(&format!("made {}", place.display()));
    }
    context.open_beside(&place)?;
    let known = context.git_config()?.last(KEY).and_then(|entry| entry.value.as_deref());
    if known != Some(value.as_os_str().as_encoded_bytes()) {
        ConfigWriter::new(schema, ConfigFile::Local).set(KEY, value.as_os_str())?;
        context.ui.status(&format!("set {KEY} = {}", value.display()));
    }
    context.choose_beside(&place)?;
    if schema.ref_tip(NOTES_REF)?.is_some() {
        context.ui.warning("the records that are in the repository of the schema history stay there");
        context.ui.hint("move them: git -c pggit.repository= pggit ledger export > records.jsonl");
        context.ui.hint("and then: git pggit ledger import records.jsonl");
    }
    Ok(())
}

fn done(step: &ConfigChange) -> String {
    match step {
        ConfigChange::Add { key, value } => format!("set {key} = {value}"),
        ConfigChange::Remove { key, value } => format!("removed {key} = {value}"),
    }
}

fn missing(step: &ConfigChange) -> String {
    match step {
        ConfigChange::Add { key, value } => format!("missing: {key} = {value}"),
        ConfigChange::Remove { key, value } => format!("outdated: {key} = {value}"),
    }
}

fn warn(plan: &SetupPlan, context: &Context) {
    for danger in &plan.unsafe_refspecs {
        context.ui.warning(&words_of(danger));
        if let Some(remedy) = remedy_of(danger) {
            context.ui.hint(&format!("take it out with: {remedy}"));
        }
    }
    for remote in &plan.unusable {
        context.ui.warning(&unusable(remote));
    }
}

/// What is said of a remote whose name git would not take today.
pub(super) fn unusable(remote: &str) -> String {
    format!("records of the remote '{remote}' are not fetched: its name cannot be a part of a ref")
}

/// Why a refspec is dangerous.
pub(super) fn words_of(danger: &UnsafeRefspec) -> String {
    let UnsafeRefspec { remote, refspec, .. } = danger;
    let how = if refspec.starts_with('+') { "overwrites" } else { "removes, with --prune," };
    format!(
        "'git fetch {remote}' {how} records and notes that were not pushed: remote.{remote}.fetch = {refspec}"
    )
}

/// The command that takes it out; none for what is set outside of all files.
pub(super) fn remedy_of(danger: &UnsafeRefspec) -> Option<String> {
    let scope = match danger.scope {
        Scope::Local => "--local",
        Scope::Global => "--global",
        Scope::System => "--system",
        Scope::Worktree => "--worktree",
        Scope::Blob | Scope::Command => return None,
    };
    let key = format!("remote.{}.fetch", danger.remote);
    let (key, value) = (quoted(&key), quoted(&danger.refspec));
    Some(format!("git config {scope} --fixed-value --unset-all {key} {value}"))
}

/// One word for a shell.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/+:@".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")).into(),
    }
}

fn output(plan: &SetupPlan, directory: Option<&str>, applied: bool) -> InitOutput {
    let step = |step: &ConfigChange| match step.clone() {
        ConfigChange::Add { key, value } => InitChange::Add { key, value },
        ConfigChange::Remove { key, value } => InitChange::Remove { key, value },
    };
    let directory = directory.map(|path| InitChange::Make { path: path.to_owned() });
    let danger = |danger: &UnsafeRefspec| DangerousRefspec {
        remote: danger.remote.clone(),
        refspec: danger.refspec.clone(),
        remedy: remedy_of(danger),
    };
    InitOutput {
        applied,
        changes: directory.into_iter().chain(plan.steps.iter().map(step)).collect(),
        dangerous_refspecs: plan.unsafe_refspecs.iter().map(danger).collect(),
    }
}
