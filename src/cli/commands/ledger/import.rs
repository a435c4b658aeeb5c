//! `git pggit ledger import`

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::failure::{Code, Failure};
use crate::ledger::transfer::ImportOptions;
use crate::output::repository::ImportedLedger;
use crate::process::{create_private, private_directories};

/// Import records from an export
///
/// Every line is checked before the first record is written. Records that are in
/// both are merged as by 'git pggit sync'; known events change nothing. Backups of
/// schema commits that are not in this repository are refused, skipped with
/// --skip-missing, or imported with --allow-missing-commits.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The export; by default or with '-' standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    file: OsString,

    /// Only check, and print the changes that would be made
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Skip backups whose schema commit is not in this repository
    #[arg(long)]
    skip_missing: bool,

    /// Also import backups whose schema commit is not in this repository
    #[arg(long, conflicts_with = "skip_missing")]
    allow_missing_commits: bool,
}

const EXAMPLES: &str = "\
EXAMPLES
    git pggit ledger import ledger.jsonl --dry-run
    git pggit ledger import ledger.jsonl";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let ledger = context.ledger()?;
    let spooled = spooled(&args.file, &ledger.repository().common_dir())
        .map_err(|error| unreadable(&args.file, &error))?;
    let path = spooled.as_ref().map_or(Path::new(&args.file), |spool| &spool.0);
    File::open(path).map_err(|error| unreadable(&args.file, &error))?;
    let options = ImportOptions {
        dry_run: args.dry_run,
        skip_missing: args.skip_missing,
        names_only: args.allow_missing_commits,
    };
    let imported = ledger.import(|| File::open(path).map(BufReader::new), options)?;
    if !imported.skipped.is_empty() {
        let message = format!("skipped {} backups whose schema commit is not here", imported.skipped.len());
        context.ui.warning(&message);
    }
    if context.ui.wants_json() {
        return Ok(context.ui.json(&ImportedLedger::of(imported, args.dry_run))?);
    }
    context.ui.status(&format!(
        "{} {} new and {} changed backups ({} events); {} were known",
        if args.dry_run { "would import" } else { "imported" },
        imported.new.len(),
        imported.changed.len(),
        imported.events,
        imported.unchanged,
    ));
    Ok(())
}

fn unreadable(file: &OsStr, error: &io::Error) -> Failure {
    Failure::new(Code::Fatal, format!("cannot read '{}'", file.display())).cause(error.to_string())
}

/// A temporary copy of an input that can be read only once. Dropping the value removes the file.
struct Spool(PathBuf);

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies standard input or a pipe into a temporary file, because the import reads its input twice.
fn spooled(file: &OsStr, git_dir: &Path) -> io::Result<Option<Spool>> {
    let stdin = file == "-";
    if !stdin && fs::metadata(file)?.is_file() {
        return Ok(None);
    }
    let directory = git_dir.join("pggit");
    private_directories(&directory)?;
    let spool = Spool(directory.join(format!("import-{}", uuid::Uuid::now_v7())));
    let mut copy = create_private(&spool.0)?;
    if stdin {
        io::copy(&mut io::stdin().lock(), &mut copy)?;
    } else {
        io::copy(&mut File::open(file)?, &mut copy)?;
    }
    Ok(Some(spool))
}
