//! Completed restores, as JSON and as text.

use std::path::PathBuf;

use super::{ProofOutput, RestoredDatabase, RestoredDirectory, RestoredRoles, StartedServer};
use crate::domain::{RecoveryTarget, human_bytes};
use crate::recovery::restore::{CreatedDatabase, CreatedDirectory, Proof, RestoreOutcome, Target};
use crate::recovery::{Archiving, DetachedServer, MigrationPlan};
use crate::terminal::{OutputError, Ui};

impl RestoredDatabase {
    /// Describes a restore into a database.
    pub fn new(target: &Target, outcome: &RestoreOutcome, made: &CreatedDatabase) -> Self {
        let backup = &target.entry.backup;
        Self {
            backup: backup.id,
            commit: target.commit.to_commit(),
            backup_commit: backup.commit.clone(),
            database: made.info.dbname().to_owned(),
            size_bytes: outcome.bytes,
            duration_s: outcome.duration.as_secs_f64(),
            proof: (&outcome.proof).into(),
            schema_compared_with: outcome.schema.as_ref().map(|schema| schema.with.clone()),
            schema_difference: outcome.schema.as_ref().and_then(|schema| schema.difference.clone()),
            left_out: made.left_out.iter().map(ToString::to_string).collect(),
            not_set: made.not_set.clone(),
            not_marked: made.not_marked.clone(),
            roles: made.roles.as_ref().map(|roles| RestoredRoles {
                made: roles.made.clone(),
                kept: roles.kept.clone(),
                left_out: roles.left_out.clone(),
            }),
        }
    }
}

impl RestoredDirectory {
    /// Describes a restore into a data directory.
    pub fn new(target: &Target, outcome: &RestoreOutcome, made: &CreatedDirectory) -> Self {
        let backup = &target.entry.backup;
        let started = made.server.as_ref().and_then(|server| server.as_ref().ok());
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        Self {
            backup: backup.id,
            commit: target.commit.to_commit(),
            backup_commit: backup.commit.clone(),
            backups: made.members.clone(),
            directory: text(&made.path),
            tablespaces: made.tablespaces.iter().map(text).collect(),
            archive_mode: if made.archiving == Archiving::Off { "off" } else { "preserve" }.to_owned(),
            size_bytes: outcome.bytes,
            until: made.until.clone(),
            recovered: made.is_recovered,
            proof: (&outcome.proof).into(),
            schema_compared_with: outcome.schema.as_ref().map(|schema| schema.with.clone()),
            schema_difference: outcome.schema.as_ref().and_then(|schema| schema.difference.clone()),
            server: started.map(|started| StartedServer {
                url: started.url.clone(),
                stop: started.stop.clone(),
                user: started.user.clone(),
            }),
            duration_s: outcome.duration.as_secs_f64(),
        }
    }
}

impl From<&Proof> for ProofOutput {
    fn from(proof: &Proof) -> Self {
        Self { level: proof.level, text: proof.text.clone() }
    }
}

/// Prints a restore into a database as text.
pub fn print_database(target: &Target, outcome: &RestoreOutcome, made: &CreatedDatabase, ui: &Ui) {
    if let Some(roles) = &made.roles {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        ui.status(&format!("created roles: {}", list(&roles.made)));
        ui.status(&format!("existing roles: {}", list(&roles.kept)));
        roles.left_out.iter().for_each(|what| ui.warning(what));
    }
    for what in &made.not_set {
        ui.warning(&format!("not set: {what}"));
    }
    for what in &made.left_out {
        ui.warning(&format!("left out: {what}"));
    }
    let (size, backup, dbname) = (human_bytes(outcome.bytes), &target.entry.backup, made.info.dbname());
    let (name, short) = (&backup.name, backup.commit.short());
    ui.status(&format!("restored backup {name} ({size}, commit {short}) into database {dbname}"));
    print_arrival(target, outcome, ui);
}

/// Prints a restore into a data directory as text. Fails if standard output cannot be written.
pub fn print_directory(
    target: &Target,
    outcome: &RestoreOutcome,
    made: &CreatedDirectory,
    ui: &Ui,
) -> Result<(), OutputError> {
    let backup = &target.entry.backup;
    let (size, name, short) = (human_bytes(outcome.bytes), &backup.name, backup.commit.short());
    let path = made.path.display();
    ui.status(&format!("restored backup {name} ({size}, commit {short}) into data directory {path}"));
    print_arrival(target, outcome, ui);
    if let Some(version) = backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref()) {
        let major = version.as_str().split('.').next().unwrap_or_default();
        ui.status(&format!("the directory requires a server of PostgreSQL {major}"));
    }
    if !made.is_recovered && made.until != RecoveryTarget::Immediate {
        ui.status(&format!("a server that is started on it replays WAL up to {}", made.until));
    }
    match made.archiving {
        Archiving::Off => ui.status("archive_mode is off in its postgresql.auto.conf"),
        Archiving::Preserve if made.is_recovered => {
            ui.warning("the WAL of the migrations is not archived: make a backup when the server runs");
        }
        Archiving::Preserve => {}
    }
    let Some(Ok(DetachedServer { url, stop, user })) = &made.server else { return Ok(()) };
    let who = user.as_ref().map_or(String::new(), |user| format!(", as user {user}"));
    ui.status(&format!("a server is running on it; stop it{who}: {}", stop.join(" ")));
    ui.line(url)
}

/// Prints the migration of the database to its commit.
fn print_arrival(target: &Target, outcome: &RestoreOutcome, ui: &Ui) {
    if let Some(forward) = &target.forward {
        ui.status(&arrival(forward, outcome.proof.is_some()));
    }
}

/// Describes the migration of a database from the commit of its backup to another one. If no migration
/// ran, only an equal schema shows that the database is at the commit.
fn arrival(forward: &MigrationPlan, is_equal: bool) -> String {
    let commit = forward.commit.short();
    match &forward.way {
        way if way.count() == Some(0) && is_equal => {
            format!("the database is at commit {commit}, too: no migration differs between the two commits")
        }
        way if way.count() == Some(0) => {
            format!("no migration was run: no migration differs between its commit and {commit}")
        }
        _ => format!("migrated it to commit {commit}"),
    }
}
