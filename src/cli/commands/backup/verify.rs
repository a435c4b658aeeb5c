//! `git pggit backup verify`

use std::time::Duration;

use serde_json::Value;

use crate::artifacts;
use crate::cli::from_option::FromOption;
use crate::cli::restores::watch_signals;
use crate::cli::{Context, logging};
use crate::domain::{
    Backup, BackupId, DatabaseName, Status, VerificationKind, VerificationStatus, VerifyPolicy,
    parse_positive_duration,
};
use crate::failure::{Code, Failure};
use crate::ledger::{Entry, Filter, Row};
use crate::output::backup::{DueVerification, DueVerifications, VerificationResult, VerificationResults};
use crate::report::{Tested, Verifications};
use crate::terminal::bar;
use crate::terminal::text::human_duration;
use crate::tools::Programs;
use crate::verify::{self, Due, Verdict};

use super::{select, view};

/// Verify backups, and record the verdict
///
/// There are three kinds. 'checksum' proves that the bytes are those that were
/// written. 'integrity' proves beside that that all parts are there, also of the
/// backups that are needed, and that the tool can read them. 'restore-test'
/// restores the backup into a scratch cluster that nobody else can reach, and
/// compares what is in it with what was recorded: schema, rows, your assertions.
///
/// The verdict is 'passed', 'warning' or 'failed'. What keeps a verification from
/// being made is an error, and no verdict.
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

    /// All that pggit.<database>.verify wants to be verified now
    #[arg(long)]
    due: bool,

    /// All completed backups
    #[arg(long)]
    all: bool,

    /// Only backups of this database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,

    /// How: checksum, integrity or restore-test
    #[arg(short, long, value_name = "KIND", value_parser = kind, conflicts_with = "due")]
    kind: Option<VerificationKind>,

    /// Even if it was verified not long ago
    #[arg(long)]
    force: bool,

    /// How old a verdict may be to be good enough
    #[arg(long, value_name = "SPAN", value_parser = parse_positive_duration, default_value = "1d", conflicts_with_all = ["force", "due"])]
    window: Duration,

    /// In a restore test, look for every row in every index
    #[arg(long)]
    heapallindexed: bool,

    /// How long one of them may take, instead of pggit.<database>.verifyTimeout
    #[arg(long, value_name = "SPAN", value_parser = parse_positive_duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    from: FromOption,

    /// With --due: show what is due and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print what was verified until now, for auditors
    #[arg(long, conflicts_with_all = ["force", "heapallindexed", "timeout", "from"])]
    report: bool,

    /// With --report: md or json
    #[arg(long, value_name = "FORMAT", value_parser = ["md", "json"])]
    format: Option<String>,

    /// With --report: since this time: RFC 3339, a date, or a span such as 30d before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

const EXAMPLES: &str = "\
A verdict 'failed' ends the command with 1, and so that of a pipeline.

EXAMPLES
    git pggit backup verify latest --kind restore-test
    git pggit backup verify --all --kind checksum --window 7d
    git pggit config pggit.shop.verify 'restore-test every 7d' && git pggit backup verify --due
    git pggit backup verify --report --since 90d > restore-tests.md";

fn kind(text: &str) -> Result<VerificationKind, String> {
    let words: Vec<&str> = VerificationKind::ALL.iter().map(|kind| kind.word()).collect();
    VerificationKind::of_word(text).ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// One verification that is to be made.
struct Wanted {
    entry: Entry,
    kind: VerificationKind,
    reason: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    logging::begin_with_warnings(context);
    if args.report {
        return report(args, context);
    }
    // Of what belongs together with one of several that exclude each other the parser knows nothing.
    for (given, with, needs) in [
        (args.since.is_some(), "--since", "--report"),
        (args.format.is_some(), "--format", "--report"),
        (args.dry_run && !args.due, "--dry-run", "--due"),
    ] {
        if given {
            return Err(Failure::new(Code::Usage, format!("{with} goes with {needs}")));
        }
    }
    if args.dry_run && !args.from.is_empty() {
        return Err(Failure::new(Code::Usage, "--from does not go with --dry-run, which reads no bytes"));
    }
    args.from.apply(context)?;
    let wanted = wanted(args, context)?;
    if args.dry_run {
        return show_due(&wanted, context);
    }
    if wanted.is_empty() {
        context.ui.hint(if args.due { "nothing is due" } else { "there is no completed backup" });
    }
    watch_signals()?;
    let (mut verdicts, mut failed, mut error, mut recorded) = (Vec::new(), Vec::new(), None, false);
    for wanted in wanted {
        match one(&wanted, args, context) {
            Ok(verdict) => {
                if !context.ui.wants_json() {
                    say(&verdict, context)?;
                }
                if verdict.verification.status == VerificationStatus::Failed {
                    failed.push(view::title(&verdict.entry.backup));
                }
                recorded |= !verdict.reused;
                verdicts.push(output(&verdict));
            }
            Err(failure) => {
                let failure = failure.hint(format!("no verdict about {}", view::title(&wanted.entry.backup)));
                let ends = failure.code() == Code::Interrupted;
                // The others can be verified all the same.
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
        crate::cli::commands::sync::on_write(context);
        crate::cli::commands::maintenance::by_the_way(context);
    }
    if let Some(failure) = error {
        return Err(failure);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(Code::Negative, "verification failed");
    Err(failed.into_iter().fold(failure, Failure::cause))
}

fn wanted(args: &Args, context: &Context) -> Result<Vec<Wanted>, Failure> {
    let kind = args.kind.unwrap_or(VerificationKind::IntegrityCheck);
    let want = |entry| Wanted { entry, kind, reason: None };
    if let Some(backup) = &args.backup {
        return Ok(vec![want(select::find(backup, args.database.as_deref(), context)?)]);
    }
    let (ledger, overview) = (context.ledger()?, context.overview()?);
    let filter = Filter {
        databases: select::databases(args.database.as_deref())?,
        statuses: vec![Status::Completed],
        ..Filter::default()
    };
    let mut rows = overview.select(&filter);
    rows.sort_by_key(|row| std::cmp::Reverse((row.completed_at(), row.id())));
    if args.latest {
        rows.truncate(1);
    }
    let mut entries = Vec::new();
    let read = |row: &Row<'_>| Ok::<_, Failure>(ledger.entry(row)?);
    for row in &rows {
        entries.push(read(row)?);
    }
    if !args.due {
        return Ok(entries.into_iter().map(want).collect());
    }
    due(entries, context)
}

/// What policy wants, the newest completed backup first.
fn due(entries: Vec<Entry>, context: &Context) -> Result<Vec<Wanted>, Failure> {
    let config = context.config()?;
    let mut databases: Vec<DatabaseName> =
        entries.iter().map(|entry| entry.backup.database.clone()).collect();
    databases.sort();
    databases.dedup();
    let mut due: Vec<Due> = Vec::new();
    for database in &databases {
        let policies: Vec<VerifyPolicy> =
            config.database(database)?.verify.into_iter().map(|policy| policy.value).collect();
        let backups: Vec<&Backup> =
            entries.iter().map(|entry| &entry.backup).filter(|backup| backup.database == *database).collect();
        due.extend(verify::due(&policies, &backups, context.now()));
    }
    let mut wanted = Vec::new();
    for entry in entries {
        let here = |due: &&Due| due.backup == entry.backup.id;
        wanted.extend(due.iter().filter(here).map(|due| Wanted {
            entry: entry.clone(),
            kind: due.kind,
            reason: Some(due.reason.clone()),
        }));
    }
    Ok(wanted)
}

fn show_due(wanted: &[Wanted], context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        let due = |it: &Wanted| DueVerification {
            backup: it.entry.backup.id,
            name: it.entry.backup.name.clone(),
            database: it.entry.backup.database.clone(),
            kind: it.kind,
            reason: it.reason.clone(),
        };
        return Ok(context.ui.json(&DueVerifications { due: wanted.iter().map(due).collect() })?);
    }
    if wanted.is_empty() {
        context.ui.hint("nothing is due");
    }
    for it in wanted {
        let reason = it.reason.as_deref().unwrap_or_default();
        context.ui.line(format!("{} of {}: {reason}", it.kind.word(), view::title(&it.entry.backup)))?;
    }
    Ok(())
}

fn one(wanted: &Wanted, args: &Args, context: &Context) -> Result<Verdict, Failure> {
    if artifacts::restorer_of(&wanted.entry.backup, &Programs::new(None)).is_none() {
        args.from.refuse(&wanted.entry.backup)?;
    }
    let options = verify::Options {
        // What is due is due although something newer than a day may be there.
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

/// `passed: restore-test of nightly of shop (0193...), 4.2 s`
fn say(verdict: &Verdict, context: &Context) -> Result<(), Failure> {
    let it = &verdict.verification;
    let when = match verdict.reused {
        true => format!(", at {}", view::time(it.at)),
        false => it
            .details
            .as_map()
            .get("duration_s")
            .and_then(Value::as_f64)
            .map_or_else(String::new, |seconds| {
                format!(", {}", human_duration(Duration::from_secs_f64(seconds.max(0.0))))
            }),
    };
    let title = view::title(&verdict.entry.backup);
    context.ui.line(format!("{}: {} of {title}{when}", it.status, it.kind.word()))?;
    for reason in verdict.reasons() {
        context.ui.line(format!("  {reason}"))?;
    }
    Ok(())
}

fn output(verdict: &Verdict) -> VerificationResult {
    let (backup, it) = (&verdict.entry.backup, &verdict.verification);
    VerificationResult {
        backup: backup.id,
        name: backup.name.clone(),
        database: backup.database.clone(),
        commit: backup.commit.clone(),
        kind: it.kind,
        status: it.status,
        reasons: verdict.reasons().into_iter().map(str::to_owned).collect(),
        reused: verdict.reused,
        at: it.at,
        by: it.by.clone(),
        event: it.id,
        details: it.details.clone(),
    }
}

fn report(args: &Args, context: &Context) -> Result<(), Failure> {
    let since = args.since.as_ref().map(|text| select::moment(text, context.now())).transpose()?;
    let (ledger, overview) = (context.ledger()?, context.overview()?);
    let filter = Filter { databases: select::databases(args.database.as_deref())?, ..Filter::default() };
    let mut all = Vec::new();
    for row in overview.select(&filter) {
        let (id, commit) = (row.id(), row.commit());
        let Entry { backup, .. } = ledger.entry(&row)?;
        let here = backup.verifications.iter().filter(|it| args.kind.is_none_or(|kind| it.kind == kind));
        let here: Vec<_> = here.cloned().collect();
        if here.is_empty() {
            continue;
        }
        let commits = ledger.commits_of_events(&commit)?;
        all.extend(here.into_iter().map(|verification| tested(id, &backup, verification, &commits)));
    }
    let report = Verifications::new(context.now(), since, all);
    if context.ui.wants_json() || args.format.as_deref() == Some("json") {
        return Ok(context.ui.json(&report)?);
    }
    Ok(context.ui.raw(report.to_markdown().as_bytes())?)
}

fn tested(
    id: BackupId,
    backup: &Backup,
    verification: crate::domain::Verification,
    commits: &std::collections::BTreeMap<String, crate::git::Oid>,
) -> Tested {
    Tested {
        backup: id,
        name: backup.name.clone(),
        database: backup.database.clone(),
        schema_commit: backup.commit.clone(),
        tool: backup.tool.name.clone(),
        completed_at: backup.completed_at,
        evidence_commit: commits.get(&verification.id.to_string()).map(ToString::to_string),
        verification,
    }
}
