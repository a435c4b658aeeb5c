//! `git pggit backup log`

use crate::cli::Context;
use crate::failure::Failure;
use crate::ledger::EventSignatures;
use crate::output::backup::{EventLog, LoggedEvent, add_event, event_table};
use crate::terminal::JsonElement;

use super::select::{Many, short_ids};

/// Show the events of backups, newest first
///
/// Shows the events of all backups that match the filters, or of one backup.
/// 'git log refs/backups/<commit>' shows the same facts for one commit.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only this backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    backup: Option<String>,

    /// The maximum number of events
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Show the verdict on the signature of the commit that added each event
    #[arg(long)]
    show_signature: bool,

    #[command(flatten)]
    many: Many,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup log --limit 20
    git pggit backup log nightly
    git pggit backup log --database shop --json";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let overview = context.overview()?;
    let rows = match &args.backup {
        Some(backup) => vec![overview.find(&backup.parse()?, &args.many.filter(context)?)?],
        None => args.many.select(&overview, context)?,
    };
    let limit = args.limit.unwrap_or(usize::MAX);
    let ledger = context.ledger()?;
    let mut signatures = args.show_signature.then(|| EventSignatures::new(ledger));
    if context.ui.wants_json() {
        let mut list = context.ui.json_list::<EventLog>();
        ledger.newest_events(rows, limit, |event| {
            let signature = signatures.as_mut().map(|all| all.of(&event)).transpose()?.flatten();
            Ok::<_, Failure>(list.element(&JsonElement::new(&LoggedEvent::new(&event, signature))?)?)
        })?;
        return Ok(list.end()?);
    }
    let ids = short_ids(&overview);
    let mut table = event_table(signatures.is_some());
    ledger.newest_events(rows, limit, |event| {
        let signature = signatures.as_mut().map(|all| all.of(&event)).transpose()?;
        let verdict = signature.map(|signature| signature.map_or("unsigned", |it| it.verdict.as_str()));
        add_event(&mut table, &event, &ids, verdict);
        Ok::<_, Failure>(())
    })?;
    if table.is_empty() {
        context.ui.hint("there are no events");
        return Ok(());
    }
    context.table(&table)
}
