//! `git pggit backup tag`

use crate::cli::Context;
use crate::domain::{Body, Line, Status, TagKey, Tagged};
use crate::failure::Failure;
use crate::ledger::RecordChange;
use crate::output::backup::{print_changed, title};

use super::select::{self, One};

/// Add tags to a backup
///
/// A tag has a key and may have a value; setting it again replaces the value.
/// Tags are found with 'git pggit backup list --tag'.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// The tags: letters, digits and '._/-' in the key, any text in the value
    #[arg(value_name = "KEY[=VALUE]", required = true)]
    tags: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup tag nightly pinned release=2.0
    git pggit backup tag latest 'ticket=OPS-112: before the migration'";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let tags: Vec<(TagKey, Line)> = args.tags.iter().map(|tag| select::tag(tag)).collect::<Result<_, _>>()?;
    let found = args.one.find(context)?;
    let entry = context.ledger()?.append_at(&found.backup.commit, found.backup.id, |entry| {
        // A tag that is already set needs no event. The ledger refuses tags of deleted backups.
        let backup = &entry.backup;
        let news = |(key, value): &&(TagKey, Line)| {
            backup.status == Status::Deleted || backup.tags.get(key) != Some(value)
        };
        let tagged =
            |(key, value): &(TagKey, Line)| Body::from(Tagged { key: key.clone(), value: value.clone() });
        Ok(RecordChange { bodies: tags.iter().filter(news).map(tagged).collect(), schema: None })
    })?;
    Ok(print_changed(
        &entry,
        &format!("tagged {}: {}", title(&entry.backup), entry.backup.tags_line()),
        &context.ui,
    )?)
}
