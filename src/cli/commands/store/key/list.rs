//! `git pggit store key list`

use super::StoreOption;
use crate::cli::Context;
use crate::failure::Failure;
use crate::terminal::Table;

/// List who can open the store, and its keys
///
/// Needs no key, because it shows what everybody can see who sees the store.
/// With --json it also shows every change: what, when, by whom and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let view = args.store.keys(context)?.0.view()?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&view)?);
    }
    let day = |time: &str| time.get(..10).unwrap_or(time).to_owned();
    let mut table = Table::new(["KIND", "LABEL", "SINCE", "NAME"]).whole(3);
    for recipient in view.recipients {
        table.row([
            recipient.kind.as_str().to_owned(),
            recipient.label.unwrap_or_else(|| "-".to_owned()),
            day(&recipient.created_at),
            recipient.recipient,
        ]);
    }
    let count = view.keys.len();
    for (at, key) in view.keys.into_iter().enumerate() {
        let label = if at + 1 == count { "seals" } else { "reads" };
        table.row(["key".to_owned(), label.to_owned(), day(&key.created_at), key.id]);
    }
    context.ui.table(&table)?;
    if !view.superseded.is_empty() {
        context
            .ui
            .warning("a change of the keys was not finished, and what opened the store before it still does");
        context.ui.hint("the next change removes that: make the same one again");
    }
    Ok(())
}
