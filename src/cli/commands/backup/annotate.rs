//! `git pggit backup annotate`

use std::ffi::OsString;

use serde_json::{Map, Value};

use crate::cli::Context;
use crate::domain::{Annotated, Metadata};
use crate::failure::{Code, Failure};
use crate::output::backup::{print_changed, title};

use super::document;
use super::select::One;

/// Add, replace or remove facts in the metadata of a backup
///
/// The values of KEY=VALUE are text; a document may contain any JSON, and 'null'
/// in it removes a fact. Facts whose name suggests a secret are refused: records
/// are shared and permanent.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,

    /// Facts to add or replace
    #[arg(value_name = "KEY=VALUE", required_unless_present_any = ["metadata", "remove"])]
    facts: Vec<String>,

    /// A file with a JSON object of facts, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: Option<OsString>,

    /// Remove this fact; may be given several times
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit backup annotate nightly rows=1288490 region=eu-central-1
    git pggit backup annotate nightly --remove region
    pg_controldata --version | jq -R '{controldata: .}' | git pggit backup annotate nightly --metadata -";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let annotated = Annotated { metadata: args.patch()?.into() };
    let found = args.one.find(context)?;
    let entry = context
        .ledger()?
        .append_at(&found.backup.commit, found.backup.id, |_| Ok(annotated.clone().into()))?;
    Ok(print_changed(&entry, &format!("annotated {}", title(&entry.backup)), &context.ui)?)
}

impl Args {
    fn patch(&self) -> Result<Metadata, Failure> {
        let Value::Object(mut patch) = Value::from(document::metadata(self.metadata.as_ref())?) else {
            return Ok(Metadata::default());
        };
        for fact in &self.facts {
            let (key, value) = fact.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                let shown: String = fact.chars().take(60).collect();
                Failure::new(Code::Usage, format!("'{shown}' is not of the form KEY=VALUE"))
            })?;
            patch.insert(key.to_owned(), value.into());
        }
        patch.extend(self.remove.iter().map(|key| (key.clone(), Value::Null)).collect::<Map<_, _>>());
        let metadata = Metadata::try_from(Value::Object(patch))?;
        if metadata.is_empty() {
            return Err(Failure::new(Code::Usage, "there are no facts to add"));
        }
        Ok(metadata)
    }
}
