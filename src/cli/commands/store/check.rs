//! `git pggit store check`

use super::known::Known;
use super::{StoreOption, of};
use crate::cli::bar::progress;
use crate::cli::output::store::{DamagedObject, HitArtifact, HitFile, ObjectError, StoreCheck};
use crate::cli::ui::Style;
use crate::cli::{Code, Context, Failure};
use crate::domain::human_bytes;
use crate::store::{
    Access, AffectedArtifact, CheckOptions, CheckReport, Finding, Portion, RepairReport, Store, StoreUrl,
};
use crate::workspace::store;

/// Check that what is in the store is what was written
///
/// Reads the manifest of every artifact, and looks whether every pack that it
/// names is there with its size, and whether every artifact that a record names
/// is there. With --read-data the content of the packs is compared with their
/// names. When something is wrong, the artifacts that may need it are really
/// read: what is named as damaged is damaged, and nothing else.
///
/// Fails with 'negative' if anything is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreOption,

    /// Read the packs, too: all, or about so many percent of them, others every day
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100%",
        value_parser = portion)]
    read_data: Option<Portion>,

    /// Replace what is damaged by what is in this copy of the store
    #[arg(long, value_name = "URL")]
    repair_from: Option<String>,
}

const EXAMPLES: &str = "\
Packs are in 101 slices by their names; PERCENT of them are read, beginning
behind those of the day before. Regular checks get to every pack: daily ones with
10% in ten days.

EXAMPLES
    git pggit store check
    git pggit store check --read-data=10%
    git pggit store check --read-data --repair-from s3://copy/shop";

fn portion(text: &str) -> Result<Portion, String> {
    match text.trim_end_matches('%').parse() {
        Ok(100) => Ok(Portion::All),
        Ok(percent @ 1..=99) => Ok(Portion::Percent(percent)),
        _ => Err("expected a number of percent from 1% to 100%".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    // What is in a cache says nothing about the store.
    let fresh = |url: &StoreUrl| -> Result<Store, Failure> {
        Ok(Store::open(url, &Access { cache: None, ..store::access(context, url)? })?)
    };
    let store = fresh(&store::general_url(context, args.store.url())?)?;
    let known = Known::load(context)?;
    let options = CheckOptions { read: args.read_data, expected: known.expected(&store.url().join("")) };
    let bar = progress(&context.ui);
    let mut checked = store.check(&options, context.now(), bar.as_ref())?;
    let mut repaired = RepairReport::default();
    if let Some(url) = &args.repair_from {
        let copy = fresh(&store::url(context, Some(url), None)?)?;
        while !checked.is_sound() {
            let round = store.repair(&checked, &copy, bar.as_ref())?;
            let stuck = round.objects.is_empty();
            repaired.objects.extend(round.objects);
            repaired.failed = round.failed;
            if stuck {
                break;
            }
            // A manifest that is whole again may name packs that are not. Files that were
            // open are those that were damaged.
            let store = fresh(store.url())?;
            checked = store.check(&options, context.now(), bar.as_ref())?;
        }
    }
    drop(bar);
    match context.ui.wants_json() {
        true => context.ui.json(&output(&checked, &repaired, &known))?,
        false => print(&checked, &repaired, &known, args, context)?,
    }
    if checked.is_sound() { Ok(()) } else { Err(Failure::new(Code::Negative, "")) }
}

fn print(
    checked: &CheckReport,
    repaired: &RepairReport,
    known: &Known,
    args: &Args,
    context: &Context,
) -> Result<(), Failure> {
    let ui = &context.ui;
    for object in &repaired.objects {
        ui.status(&format!("repaired {object}"));
    }
    for finding in &checked.findings {
        let rest = format!("  {}: {} [{}]", finding.object, finding.detail, finding.code);
        ui.spans(&[(Style::Bad, "damaged"), (Style::Plain, &rest)])?;
    }
    for (object, error) in &repaired.failed {
        ui.line(format!("cannot be repaired: {object}: {error}"))?;
    }
    for hit in &checked.affected {
        let name = known.name(&hit.location, &hit.id).map(|name| format!(" ({name})")).unwrap_or_default();
        ui.spans(&[(Style::Bad, "hit    "), (Style::Plain, &format!("  {}{name}: {}", hit.id, files(hit)))])?;
    }
    bystanders(checked, context)?;
    let read = match checked.read.count {
        0 => String::new(),
        count => format!(", read {} of {}", human_bytes(checked.read.bytes), of(count, "pack")),
    };
    ui.line(format!(
        "checked {} and {}{read}: {}, {} hit",
        of(checked.artifacts, "artifact"),
        of(checked.packs, "pack"),
        of(checked.findings.len(), "damaged object"),
        of(checked.affected.len(), "artifact"),
    ))?;
    if !checked.is_sound() && args.repair_from.is_none() {
        ui.hint("'git pggit store check --repair-from <url>' replaces what is damaged, if there is a copy");
        ui.hint("otherwise make a new backup, and remove what cannot be read with 'git pggit store rm'");
    }
    Ok(())
}

fn bystanders(checked: &CheckReport, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    match checked.garbage {
        Some(garbage) if garbage.count > 0 => ui.line(format!(
            "garbage: {} ({}); 'git pggit store gc' removes it",
            of(garbage.count, "pack"),
            human_bytes(garbage.bytes)
        ))?,
        _ => {}
    }
    for writer in &checked.writers {
        let state = if writer.expired { "died while writing" } else { "writes" };
        ui.line(format!("somebody {state}: {}, last seen {}", writer.writer, writer.last_heartbeat))?;
    }
    if checked.markers > 0 {
        ui.line(format!("{} not finished", of(checked.markers, "collection of garbage")))?;
    }
    Ok(())
}

fn files(hit: &AffectedArtifact) -> String {
    match hit.files.is_empty() {
        true => "all of it".to_owned(),
        false => hit.files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn output(checked: &CheckReport, repaired: &RepairReport, known: &Known) -> StoreCheck {
    let damaged = |finding: &Finding| DamagedObject {
        object: finding.object.clone(),
        code: finding.code.to_owned(),
        detail: finding.detail.clone(),
    };
    let hit = |hit: &AffectedArtifact| HitArtifact {
        id: hit.id.clone(),
        database: hit.lineage.clone(),
        location: hit.location.clone(),
        backup: known.name(&hit.location, &hit.id),
        files: hit.files.iter().cloned().map(|(name, error)| HitFile { name, error }).collect(),
    };
    let failed = repaired.failed.iter();
    StoreCheck {
        sound: checked.is_sound(),
        artifacts: checked.artifacts,
        packs: checked.packs,
        read: checked.read.into(),
        wal_files_read: checked.wal.count,
        damaged: checked.findings.iter().map(damaged).collect(),
        hit: checked.affected.iter().map(hit).collect(),
        repaired: repaired.objects.clone(),
        not_repaired: failed
            .map(|(object, error)| ObjectError { object: object.clone(), error: error.to_string() })
            .collect(),
        garbage: checked.garbage.map(Into::into),
        writers: checked.writers.iter().map(Into::into).collect(),
        unfinished_collections: checked.markers,
    }
}
