//! `git pggit store init`

use serde_json::json;

use crate::cli::{Context, Failure, store};
use crate::store::Store;

/// Make a store
///
/// A store in the git directory is made by the first backup; others are made on
/// purpose, so that a typing error in a URL does not start a second one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store: a directory or a URL; by default the configured one
    #[arg(value_name = "URL")]
    url: Option<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit store init /var/backups/store
    git config pggit.store s3://backups/shop && git pggit store init";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let url = store::general_url(context, args.url.as_deref())?;
    let store = Store::init(&url, &store::access(context, &url)?, context.now())?;
    if context.ui.wants_json() {
        return Ok(context.ui.json(&json!({ "url": url.to_string(), "config": store.config() }))?);
    }
    context.ui.status(&format!("made an empty store in {url}"));
    Ok(())
}
