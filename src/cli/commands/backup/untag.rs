//! `git pggit backup untag`

use crate::cli::Context;
use crate::domain::{Body, TagKey, Untagged};
use crate::failure::{Code, Failure};
use crate::ledger::RecordChange;
use crate::output::backup::{print_changed, title};

use super::select::One;

/// Remove tags from a backup
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The keys of the tags
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup untag nightly pinned release";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let keys: Vec<TagKey> = args.keys.iter().map(|key| key.parse()).collect::<Result<_, _>>()?;
    let found = args.one.find(context)?;
    if let Some(missing) = keys.iter().find(|key| !found.backup.tags.contains_key(key)) {
        let failure =
            Failure::new(Code::NotFound, format!("backup {} has no tag '{missing}'", found.backup.id));
        return Err(match found.backup.tags_line().as_str() {
            "" => failure.hint("the backup has no tags"),
            tags => failure.hint(format!("the backup has {tags}")),
        });
    }
    let untagged = |key: &TagKey| Body::from(Untagged { key: key.clone() });
    let bodies: Vec<Body> = keys.iter().map(untagged).collect();
    let entry = context.ledger()?.append_at(&found.backup.commit, found.backup.id, |_| {
        Ok(RecordChange { bodies: bodies.clone(), schema: None })
    })?;
    Ok(print_changed(
        &entry,
        &format!("untagged {}: {}", title(&entry.backup), args.keys.join(",")),
        &context.ui,
    )?)
}
