//! `git pggit ledger rebuild`

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::transfer::{ImportOptions, ImportReport};
use crate::output::repository::{ImportedLedger, RebuiltLedger};
use crate::process::create_private;
use crate::store::{BackupDestination, private_directory};
use crate::workspace::{places, store};

/// Rebuild records from the artifacts of a store
///
/// Each artifact contains the record of its backup as of its completion. Later
/// events, such as tags, holds and verifications, are only in the ledger: 'git pggit
/// sync' fetches them from a clone. Known records are not changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store: a directory or a URL; by default the configured one
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "", required = true)]
    from_store: String,

    /// Only check, and print the changes that would be made
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Skip backups whose schema commit is not in this repository
    #[arg(long)]
    skip_missing: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit ledger rebuild --from-store --dry-run
    git pggit ledger rebuild --from-store=s3://backups/shop";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let named = Some(args.from_store.as_str()).filter(|url| !url.is_empty());
    let store = store::open(context, named)?;
    let (mut events, mut without) = (Vec::new(), 0);
    let recorded = store.read_listed(&store.list()?, |_, manifest| {
        match manifest.record.as_ref().and_then(|record| record.get("events")) {
            Some(Value::Array(own)) if !own.is_empty() => Some(own.clone()),
            _ => None,
        }
    })?;
    for own in recorded {
        match own {
            Some(own) => events.push(own),
            None => without += 1,
        }
    }
    if without > 0 {
        context.ui.warning(&format!("{without} artifacts have no record: they were stored by hand"));
    }
    let spool = Spool::write(context, &events)?;
    let options =
        ImportOptions { dry_run: args.dry_run, skip_missing: args.skip_missing, ..ImportOptions::default() };
    let imported = context.ledger()?.import(|| File::open(&spool.0).map(BufReader::new), options)?;
    if named.is_some() && !args.dry_run {
        // The imported records name locations in this store.
        places::remember(context, &BackupDestination::Store { store, staging: store::staging(context)? })?;
    }
    let ImportReport { new, changed, unchanged, skipped, .. } = &imported;
    if !skipped.is_empty() {
        let message = format!("skipped {} backups whose schema commit is not here", skipped.len());
        context.ui.warning(&message);
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&RebuiltLedger {
            imported: ImportedLedger::of(imported, args.dry_run),
            without_record: without,
        })?);
    }
    let did = if args.dry_run { "would record" } else { "recorded" };
    let text =
        format!("{did} {} new and {} changed backups; {unchanged} were known", new.len(), changed.len());
    context.ui.status(&text);
    Ok(())
}

/// A temporary export of the records of artifacts. Dropping the value removes the file.
struct Spool(PathBuf);

impl Spool {
    fn write(context: &Context, backups: &[Vec<Value>]) -> Result<Self, Failure> {
        let staging = store::staging(context)?;
        private_directory(&staging)?;
        let spool = Self(staging.join(format!("rebuild-{}", uuid::Uuid::now_v7())));
        let written = create_private(&spool.0).and_then(|file| {
            let mut file = BufWriter::new(file);
            let header = json!({ "kind": "pggit-ledger", "format": 1, "backups": backups.len() });
            writeln!(file, "{header}")?;
            backups.iter().flatten().try_for_each(|event| writeln!(file, "{event}"))?;
            file.flush()
        });
        written.map_err(|error| {
            Failure::new(Code::Storage, format!("cannot write '{}'", spool.0.display()))
                .cause(error.to_string())
        })?;
        Ok(spool)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
