//! `git pggit backup restore --mode disaster`, and what becomes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::restore::{How, Unfinished, Wanted, carry_out, resolve};
use super::restore_cluster::mapping;
use super::view;
use crate::cli::recover::{Done, Then, admin_of, journals, place_of_database, place_of_directory, recorded};
use crate::cli::ui::Table;
use crate::cli::{Code, Context, Failure};
use crate::domain::{CommitId, Metadata, RestoreMode};
use crate::ledger::Entry;
use crate::process::crash_point;
use crate::recovery::in_place::{
    self, DatabaseSite, DirectorySite, Identity, Journal, Open, Place, Site, Spot, Stage,
};
use crate::recovery::{Effect, Error, PlannedStep};
use crate::workspace::connect;

/// What is replaced.
enum Which {
    Database(Box<DatabaseSite>),
    Directory(DirectorySite),
}

impl Which {
    /// What `wanted` is about.
    fn of(wanted: &Wanted, entry: &Entry, commit: CommitId, context: &Context) -> Result<Self, Failure> {
        if let Some(to) = &wanted.to {
            let site = DirectorySite::at(&context.cwd().join(to))?;
            return Ok(Self::Directory(site.with_mapped(mapped(wanted, context)?)));
        }
        let admin = admin_of(entry, wanted.database.as_deref(), wanted.server.as_deref(), context)?;
        let dbname = match &wanted.into {
            Some(into) => into.clone(),
            None => {
                let name = wanted.database.as_deref().unwrap_or(entry.backup.database.as_str());
                let known = context.config()?.selected(Some(name))?;
                connect::conninfo(context, &known)?.dbname().to_owned()
            }
        };
        Ok(Self::Database(Box::new(DatabaseSite::at(&admin, &dbname, commit, wanted.disconnect)?)))
    }

    /// What a journal is about. `wanted` is what was asked for then.
    fn of_journal(journal: &Journal, wanted: &Wanted, context: &Context) -> Result<Self, Failure> {
        match &journal.place {
            Place::Directory { path, beside, aside } => {
                let site = DirectorySite::of(path, beside, aside);
                Ok(Self::Directory(site.with_mapped(mapped(wanted, context)?)))
            }
            Place::Database { dbname, system_identifier, .. } => {
                let entry = context.ledger()?.by_id(journal.backup)?;
                let admin = admin_of(&entry, wanted.database.as_deref(), wanted.server.as_deref(), context)?;
                let site = DatabaseSite::at(&admin, dbname, journal.commit.clone(), wanted.disconnect)?;
                if site.system_identifier() != system_identifier {
                    let message = format!("{} is another cluster now", admin.to_url());
                    return Err(Failure::new(Code::Conflict, message)
                        .hint(format!("the restore was into cluster {system_identifier}")));
                }
                Ok(Self::Database(Box::new(site)))
            }
        }
    }

    fn site(&self) -> &dyn Site {
        match self {
            Self::Database(site) => site.as_ref(),
            Self::Directory(site) => site,
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::Database(site) => site.place(),
            Self::Directory(site) => site.place(),
        }
    }

    fn preflight(&self) -> Result<(), Error> {
        match self {
            Self::Database(site) => site.preflight(),
            Self::Directory(site) => site.preflight(),
        }
    }
}

/// Returns the directories that the user has named for tablespaces.
fn mapped(wanted: &Wanted, context: &Context) -> Result<Vec<std::path::PathBuf>, Failure> {
    wanted.tablespace_mapping.iter().map(|text| Ok(mapping(text, context)?.1)).collect()
}

/// What makes the new one, beside the old one.
fn beside(wanted: &Wanted, place: &Place) -> Wanted {
    let mut beside = wanted.clone();
    match place {
        Place::Database { beside: name, .. } => beside.into = Some(name.clone()),
        Place::Directory { beside: path, .. } => beside.to = Some(path.clone()),
    }
    beside
}

/// Shows what would be done.
pub(super) fn show(wanted: &Wanted, context: &Context) -> Result<(), Failure> {
    let (entry, commit) = resolve(wanted, context)?;
    let which = Which::of(wanted, &entry, commit.to_commit(), context)?;
    let place = which.place();
    let what = format!("put {place} aside as {}, and the new one in its place", place.aside());
    let then = Then {
        steps: vec![PlannedStep::new(what, Effect::Replaces)],
        refusals: which.preflight().err().into_iter().collect(),
    };
    carry_out(&beside(&wanted.exact(&entry, commit, context)?, &place), How::Show(then), context).map(drop)
}

/// Replaces what is there.
pub(super) fn run(wanted: &Wanted, force: bool, context: &Context) -> Result<(), Failure> {
    let (entry, commit) = resolve(wanted, context)?;
    let which = Which::of(wanted, &entry, commit.to_commit(), context)?;
    let place = which.place();
    if !force {
        return Err(Failure::new(Code::Usage, format!("--mode disaster replaces {place}"))
            .hint("--force says that you mean it; 'git pggit backup plan' shows what it does"));
    }
    let id = place.id();
    if let Some((_, earlier, _)) = journals(context)?.list()?.into_iter().find(|(other, ..)| *other == id) {
        return Err(Error::NotOver { what: earlier.place.to_string(), id }.into());
    }
    which.preflight()?;
    let old = which.site().identity(Spot::InPlace)?.ok_or_else(|| gone(&place))?;
    confirm(&place, &entry, context)?;
    let exact = wanted.exact(&entry, commit, context)?;
    let request = serde_json::to_value(&exact).map_err(|error| Failure::of(Code::Fatal, &error))?;
    let journal = Journal::new(entry.backup.id, commit.to_commit(), context.now(), place, old, request);
    let open = journals(context)?.begin(journal)?;
    crash_point("recovery.in-place.begun");
    go_on(open, &which, &exact, context)
}

fn gone(place: &Place) -> Failure {
    Failure::new(Code::NotFound, format!("{place} is not there any more"))
}

/// On a terminal, somebody has to type what is to be replaced.
fn confirm(place: &Place, entry: &Entry, context: &Context) -> Result<(), Failure> {
    let word = match place {
        Place::Database { dbname, .. } => dbname.clone(),
        Place::Directory { path, .. } => path.display().to_string(),
    };
    let (name, id, aside) = (&entry.backup.name, entry.backup.id, place.aside());
    let question = format!(
        "backup {name} ({id}) is going to take the place of {place}, which becomes {aside}\ntype {word} to go on: "
    );
    match context.ui.typed(&question)? {
        Some(answer) if answer != word => Err(Failure::new(Code::Negative, "nothing was done")),
        _ => Ok(()),
    }
}

/// Brings it to where the new one is in place.
fn go_on(mut open: Open, which: &Which, request: &Wanted, context: &Context) -> Result<(), Failure> {
    let (id, place) = (open.id(), open.journal().place.clone());
    if open.journal().stage == Stage::Making
        && let Err(failure) = make(&mut open, which, request, context)
    {
        // Nothing was changed yet, and nothing of it is to stay.
        return Err(match in_place::put_back(open, which.site()) {
            Ok(()) => failure,
            Err(_) => {
                failure.hint(format!("'git pggit backup restore --abort {id}' removes what is left of it"))
            }
        });
    }
    in_place::replace(&mut open, which.site()).map_err(|error| {
        Failure::from(error).hint(format!(
            "what was restored is complete: '--resume {id}' puts it in place, '--abort {id}' removes it"
        ))
    })?;
    let journal = open.journal();
    record(journal, which, context);
    if context.ui.wants_json() {
        return Ok(context.ui.json(&as_json(&id, journal, false, Ok(Standing::of(journal, which)?)))?);
    }
    let aside = place.aside();
    context.ui.status(&format!(
        "{place} is now backup {} at commit {}",
        journal.backup,
        journal.commit.short()
    ));
    context.ui.status(&format!("what was there before is {aside}"));
    if let Which::Directory(_) = which {
        context.ui.hint("start its server and look at it");
    }
    context.ui.hint(&format!("'git pggit backup restore --finish {id}' removes the old one"));
    context.ui.hint(&format!("'git pggit backup restore --abort {id}' puts it back"));
    Ok(())
}

/// Records it with its backup, once it is in place.
fn record(journal: &Journal, which: &Which, context: &Context) {
    let entry = match context.ledger().and_then(|ledger| Ok(ledger.by_id(journal.backup)?)) {
        Ok(entry) => entry,
        Err(error) => {
            context.ui.warning(&format!("the restore is not recorded in the ledger: {error}"));
            return;
        }
    };
    let id = journal.place.id();
    let is_this = |details: &Metadata| details.as_map().get("restore").and_then(Value::as_str) == Some(&id);
    // It died between this and its end.
    if entry.backup.restores.iter().any(|one| one.at >= journal.begun_at && is_this(&one.details)) {
        return;
    }
    let target = match which {
        Which::Database(site) => place_of_database(&site.conninfo()),
        Which::Directory(site) => place_of_directory(site.path()),
    };
    let seconds = context.now().seconds_since(journal.begun_at);
    let done = Done {
        mode: RestoreMode::Disaster,
        target,
        commit: journal.commit.clone(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        schema: journal.schema.clone(),
        more: vec![("restore", id.into()), ("put_aside", journal.place.aside().into())],
    };
    recorded(&entry, done, context);
}

/// Makes the new one.
fn make(open: &mut Open, which: &Which, request: &Wanted, context: &Context) -> Result<(), Failure> {
    let (site, place) = (which.site(), open.journal().place.clone());
    in_place::clear(open, site)?;
    if let Which::Directory(directory) = which {
        directory.prepare()?;
    }
    let schema = carry_out(&beside(request, &place), How::Part, context)?;
    open.advance(|journal| journal.schema = schema)?;
    crash_point("recovery.in-place.made");
    if let Which::Directory(directory) = which {
        directory.hand_over()?;
    }
    Ok(in_place::made(open, site)?)
}

/// Whether it was about a restore that is not over.
pub(super) fn settle(asked: &Unfinished, disconnect: bool, context: &Context) -> Result<bool, Failure> {
    let done = match asked {
        Unfinished { list: true, .. } => list(context),
        Unfinished { resume: Some(id), .. } => {
            let (open, which, request) = take_up(id.as_deref(), disconnect, context)?;
            match open.journal().stage {
                Stage::Making | Stage::Ready | Stage::Replaced => go_on(open, &which, &request, context),
                Stage::Aborting => Err(too_late(&open, "is being undone", "--abort")),
                Stage::Finishing => Err(too_late(&open, "is being finished", "--finish")),
            }
        }
        Unfinished { abort: Some(id), .. } => abort(id.as_deref(), disconnect, context),
        Unfinished { finish: Some(id), .. } => finish(id.as_deref(), disconnect, context),
        _ => return Ok(false),
    };
    done.map(|()| true)
}

fn too_late(open: &Open, state: &str, way: &str) -> Failure {
    let id = open.id();
    Failure::new(Code::Conflict, format!("restore {id} {state}"))
        .hint(format!("'git pggit backup restore {way} {id}' is the way to its end"))
}

fn abort(id: Option<&str>, disconnect: bool, context: &Context) -> Result<(), Failure> {
    let (open, which, _) = take_up(id, disconnect, context)?;
    if open.journal().stage == Stage::Finishing {
        return Err(too_late(&open, "is being finished", "--finish"));
    }
    let place = open.journal().place.clone();
    in_place::put_back(open, which.site())?;
    over(&place, "is as it was before; nothing is left of the restore", context)
}

fn finish(id: Option<&str>, disconnect: bool, context: &Context) -> Result<(), Failure> {
    let (open, which, _) = take_up(id, disconnect, context)?;
    if !matches!(open.journal().stage, Stage::Replaced | Stage::Finishing) {
        return Err(Failure::new(Code::Conflict, format!("restore {} is not in place", open.id()))
            .hint("'--resume' puts it there, '--abort' ends it"));
    }
    let place = open.journal().place.clone();
    let left = match &which {
        Which::Directory(directory) => directory.tablespaces(Spot::Aside),
        Which::Database(_) => Vec::new(),
    };
    in_place::finish(open, which.site())?;
    for tablespace in left {
        context.ui.hint(&format!("its tablespace {} is still there", tablespace.display()));
    }
    over(&place, "is what was restored; what was there before is removed", context)
}

fn over(place: &Place, what: &str, context: &Context) -> Result<(), Failure> {
    if context.ui.wants_json() {
        return Ok(context.ui.json(&json!({ "place": place }))?);
    }
    context.ui.status(&format!("{place} {what}"));
    Ok(())
}

/// One that is not over: the one of that id, or the only one.
fn take_up(id: Option<&str>, disconnect: bool, context: &Context) -> Result<(Open, Which, Wanted), Failure> {
    let journals = journals(context)?;
    let id = match id {
        Some(id) => id.to_owned(),
        None => {
            let mut all = journals.list()?.into_iter();
            match (all.next(), all.next()) {
                (Some((id, ..)), None) => id,
                (None, _) => {
                    return Err(Failure::new(Code::NotFound, "there is no restore that is not over"));
                }
                _ => {
                    return Err(Failure::new(Code::Ambiguous, "several restores are not over; name one")
                        .hint("'git pggit backup restore --list' shows them"));
                }
            }
        }
    };
    let open = journals.open(&id)?;
    let mut request: Wanted = serde_json::from_value(open.journal().request.clone())
        .map_err(|error| Failure::of(Code::Damaged, &error))?;
    request.disconnect |= disconnect;
    request.from.apply(context)?;
    let which = Which::of_journal(open.journal(), &request, context)?;
    if disconnect && matches!(which, Which::Directory(_)) {
        let message = format!("--disconnect means nothing with restore {id}");
        return Err(Failure::new(Code::Usage, message)
            .hint("it is into a data directory: stop the server on it, if there is one"));
    }
    Ok((open, which, request))
}

/// Which of the two is in place, and what else there is.
struct Standing {
    in_place: &'static str,
    old: Spot,
    new: Spot,
}

impl Standing {
    fn of(journal: &Journal, which: &Which) -> Result<Self, Failure> {
        let in_place::Stand { old, new } = in_place::stand(journal, which.site())?;
        let in_place = match which.site().identity(Spot::InPlace)? {
            Some(identity) if identity == journal.old => "old",
            Some(identity) if Some(identity) == journal.new => "new",
            Some(Identity::Inode(..) | Identity::Oid(_)) => "another",
            None => "nothing",
        };
        Ok(Self { in_place, old, new })
    }
}

fn as_json(id: &str, journal: &Journal, is_busy: bool, standing: Result<Standing, Failure>) -> Value {
    let mut value = json!({
        "id": id,
        "backup": journal.backup,
        "commit": journal.commit,
        "begun_at": journal.begun_at,
        "place": journal.place,
        "stage": journal.stage,
        "busy": is_busy,
    });
    match standing {
        Ok(Standing { in_place, old, new }) => {
            value["in_place"] = in_place.into();
            value["old"] = json!(old);
            value["new"] = json!(new);
        }
        Err(failure) => value["error"] = failure.message().into(),
    }
    value
}

fn list(context: &Context) -> Result<(), Failure> {
    let standing = |journal: &Journal| {
        let request: Wanted = serde_json::from_value(journal.request.clone())
            .map_err(|error| Failure::of(Code::Damaged, &error))?;
        Standing::of(journal, &Which::of_journal(journal, &request, context)?)
    };
    let all = journals(context)?.list()?;
    if context.ui.wants_json() {
        let all: Vec<Value> =
            all.iter().map(|(id, journal, busy)| as_json(id, journal, *busy, standing(journal))).collect();
        return Ok(context.ui.json(&json!({ "restores": all }))?);
    }
    let mut table = Table::new(["ID", "PLACE", "BEGUN", "COMMIT", "IN PLACE", "STATE"]);
    for (id, journal, is_busy) in &all {
        table.cell(id);
        table.cell(&journal.place.to_string());
        table.cell(&view::time(journal.begun_at));
        table.cell(journal.commit.short());
        table.cell(&match standing(journal) {
            Ok(standing) => standing.in_place.to_owned(),
            Err(failure) => format!("? {}", failure.message()),
        });
        table.cell(match (is_busy, journal.stage) {
            (true, _) => "at work",
            (_, Stage::Making) => "interrupted while it was made",
            (_, Stage::Ready) => "interrupted before it was in place",
            (_, Stage::Replaced) => "in place",
            (_, Stage::Aborting) => "interrupted while it was undone",
            (_, Stage::Finishing) => "interrupted while the old one was removed",
        });
    }
    Ok(context.ui.table(&table)?)
}
