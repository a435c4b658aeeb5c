//! `git pggit backup verify`

use std::time::Duration;

use crate::artifacts;
use crate::cli::after_change::after_change;
use crate::cli::from_option::FromOption;
use crate::cli::restores::watch_signals;
use crate::cli::{Context, logging};
use crate::domain::{VerificationKind, VerificationStatus, parse_positive_duration, time_or_span_before};
use crate::failure::{Code, Failure};
use crate::output::backup::{DueVerifications, VerificationResult, VerificationResults, title};
use crate::report::Verifications;
use crate::terminal::bar;
use crate::tools::Programs;
use crate::verify::{self, VerificationRun, WantedVerification};

use super::select;

/// Verify backups, and record the verdict
///
/// There are three kinds. 'checksum' compares the data with its checksums. 'integrity'
/// also checks that all parts of the backup chain exist, and that the tool can read
/// them. 'restore-test' restores the backup into a private scratch cluster, and
/// compares the content with the record: schema, rows, your assertions.
///
/// The verdict is 'passed', 'warning' or 'failed'. A verification that cannot be made
/// is an error without a verdict.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["backup", "latest", "due", "all", "report"])))]
pub(crate) struct Args {
    /// The backup: an id or the beginning of one, a name, 'latest' or 'oldest'
    #[arg(value_name = "BACKUP")]
    backup: Option<String>,

    /// The newest completed backup
    #[arg(long)]
    latest: bool,

    /// All backups that are due by pggit.<database>.verify
    #[arg(long)]
    due: bool,

    /// All completed backups
    #[arg(long)]
    all: bool,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// The kind of verification: checksum, integrity or restore-test
    #[arg(short, long, value_name = "KIND", value_parser = kind, conflicts_with = "due")]
    kind: Option<VerificationKind>,

    /// Verify even if there is a verdict within --window
    #[arg(long)]
    force: bool,

    /// The maximum age of a verdict to reuse
    #[arg(long, value_name = "SPAN", value_parser = parse_positive_duration, default_value = "1d", conflicts_with_all = ["force", "due"])]
    window: Duration,

    /// In a restore test, check that every row is in every index
    #[arg(long)]
    heapallindexed: bool,

    /// The time limit of one verification; by default pggit.<database>.verifyTimeout
    #[arg(long, value_name = "SPAN", value_parser = parse_positive_duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    from: FromOption,

    /// With --due: only list the due verifications
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print a report of recorded verifications, for auditors
    #[arg(long, conflicts_with_all = ["force", "heapallindexed", "timeout", "from"])]
    report: bool,

    /// With --report: the format: md or json
    #[arg(long, value_name = "FORMAT", value_parser = ["md", "json"])]
    format: Option<String>,

    /// With --report: the start time: RFC 3339, a date, or a span such as 30d before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

const EXAMPLES: &str = "\
The command exits with 1 if a verdict is 'failed', so that a pipeline fails.

EXAMPLES
    git pggit backup verify latest --kind restore-test
    git pggit backup verify --all --kind checksum --window 7d
    git pggit config pggit.shop.verify 'restore-test every 7d' && git pggit backup verify --due
    git pggit backup verify --report --since 90d > restore-tests.md";

fn kind(text: &str) -> Result<VerificationKind, String> {
    let words: Vec<&str> = VerificationKind::ALL.iter().map(|kind| kind.word()).collect();
    VerificationKind::of_word(text).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    logging::begin_with_warnings(context);
    if args.report {
        return report(args, context);
    }
    check(args)?;
    args.from.apply(context)?;
    let wanted = wanted(args, context)?;
    if args.dry_run {
        let due = wanted.iter().map(Into::into).collect();
        return Ok(context.ui.result(&DueVerifications { due })?);
    }
    if wanted.is_empty() {
        context.ui.hint(if args.due { "nothing is due" } else { "there is no completed backup" });
    }
    watch_signals()?;
    let (mut verdicts, mut failed, mut error, mut recorded) = (Vec::new(), Vec::new(), None, false);
    for wanted in wanted {
        match one(&wanted, args, context) {
            Ok(verdict) => {
                let result = VerificationResult::from(&verdict);
                if !context.ui.wants_json() {
                    result.print(&context.ui)?;
                }
                if verdict.verification.status == VerificationStatus::Failed {
                    failed.push(title(&verdict.entry.backup));
                }
                recorded |= !verdict.reused;
                verdicts.push(result);
            }
            Err(failure) => {
                let failure = failure.hint(format!("no verdict about {}", title(&wanted.entry.backup)));
                let ends = failure.code() == Code::Interrupted;
                // An error about one backup does not prevent the verification of the others.
                if let Some(earlier) = error.replace(failure) {
                    context.ui.failure(&earlier.output());
                }
                if ends {
                    break;
                }
            }
        }
    }
    if context.ui.wants_json() {
        context.ui.json(&VerificationResults { verifications: verdicts })?;
    }
    if recorded {
        after_change(context);
    }
    if let Some(failure) = error {
        return Err(failure);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(Code::CheckFailed, "verification failed");
    Err(failed.into_iter().fold(failure, Failure::cause))
}

/// Fails if an option lacks its companion option. clap cannot check this for a companion that is one of
/// several exclusive options.
fn check(args: &Args) -> Result<(), Failure> {
    for (given, with, needs) in [
        (args.since.is_some(), "--since", "--report"),
        (args.format.is_some(), "--format", "--report"),
        (args.dry_run && !args.due, "--dry-run", "--due"),
    ] {
        if given {
            return Err(Failure::new(Code::Usage, format!("{with} requires {needs}")));
        }
    }
    if args.dry_run && !args.from.is_empty() {
        return Err(Failure::new(Code::Usage, "--from cannot be used with --dry-run, which reads no data"));
    }
    Ok(())
}

fn wanted(args: &Args, context: &Context) -> Result<Vec<WantedVerification>, Failure> {
    let kind = args.kind.unwrap_or(VerificationKind::IntegrityCheck);
    let want = |entry| WantedVerification { entry, kind, reason: None };
    if let Some(backup) = &args.backup {
        return Ok(vec![want(select::find_completed(backup, args.database.as_deref(), context)?)]);
    }
    let databases = select::databases(args.database.as_deref())?;
    let entries = verify::completed_backups(databases, args.latest, context)?;
    match args.due {
        true => Ok(verify::due_verifications(entries, context)?),
        false => Ok(entries.into_iter().map(want).collect()),
    }
}

fn one(wanted: &WantedVerification, args: &Args, context: &Context) -> Result<VerificationRun, Failure> {
    if artifacts::restorer_of(&wanted.entry.backup, &Programs::new(None)).is_none() {
        args.from.refuse(&wanted.entry.backup)?;
    }
    let options = verify::Options {
        // A due verification runs although there may be a verdict within the window.
        window: (!args.force && !args.due).then_some(args.window),
        heapallindexed: args.heapallindexed,
        timeout: args.timeout,
    };
    let progress = bar::progress(&context.ui);
    let verdict =
        verify::verify_configured(context, &wanted.entry.backup, wanted.kind, &options, progress.as_ref());
    drop(progress);
    Ok(verdict?)
}

fn report(args: &Args, context: &Context) -> Result<(), Failure> {
    let since = args.since.as_ref().map(|text| time_or_span_before(text, context.now())).transpose()?;
    let databases = select::databases(args.database.as_deref())?;
    let all = verify::recorded_verifications(databases, args.kind, context)?;
    let report = Verifications::new(context.now(), since, all);
    if context.ui.wants_json() || args.format.as_deref() == Some("json") {
        return Ok(context.ui.json(&report)?);
    }
    Ok(context.ui.raw(report.to_markdown().as_bytes())?)
}
