//! Checks across records. Pure, except for the check that a process of this host is alive.

use std::collections::BTreeMap;

use crate::domain::{BackupId, DatabaseName, DependencyProblem, Status, check_graph};
use crate::migrations::{CommitWarning, Doubt, schemas_differ};

use super::{Code, Finding, RecordAt};
use crate::ledger::{is_interrupted, layout};

pub(super) fn check(known: &[RecordAt]) -> Vec<Finding> {
    let mut findings = duplicates(known);
    findings.extend(dependencies(known));
    findings.extend(locations(known));
    findings.extend(commits(known));
    findings.extend(schemas(known));
    findings.extend(
        known.iter().filter(|one| is_interrupted(&one.backup)).map(|one| {
            about(Code::Interrupted, one, "the backup is in progress, but its process has exited")
        }),
    );
    findings
}

fn about(code: Code, one: &RecordAt, message: impl Into<String>) -> Finding {
    Finding::new(code, &one.reference, message).file(layout::record_path(one.backup.id))
}

fn duplicates(known: &[RecordAt]) -> Vec<Finding> {
    let mut first = BTreeMap::<BackupId, &RecordAt>::new();
    let mut findings = Vec::new();
    for one in known {
        match first.get(&one.backup.id) {
            Some(other) => {
                let message = format!("{} has a record of the same backup", other.reference);
                findings.push(about(Code::BackupTwice, one, message));
            }
            None => drop(first.insert(one.backup.id, one)),
        }
    }
    findings
}

fn dependencies(known: &[RecordAt]) -> Vec<Finding> {
    let by_id: BTreeMap<BackupId, &RecordAt> = known.iter().map(|one| (one.backup.id, one)).collect();
    let finding = |problem| {
        let (code, backup, message) = match problem {
            DependencyProblem::Missing { backup, needs } => (
                Code::DependencyMissing,
                backup,
                format!("the backup needs backup {needs}, which has no record"),
            ),
            DependencyProblem::Unusable { backup, needs, status } => (
                Code::DependencyUnusable,
                backup,
                format!("the backup needs backup {needs}, which is {}", status.as_str().replace('_', " ")),
            ),
            DependencyProblem::Cycle { backup } => {
                (Code::DependencyCycle, backup, "the backup needs itself".to_owned())
            }
        };
        by_id.get(&backup).map(|one| about(code, one, message))
    };
    check_graph(known.iter().map(|one| &one.backup)).into_iter().filter_map(finding).collect()
}

fn locations(known: &[RecordAt]) -> Vec<Finding> {
    let mut first = BTreeMap::new();
    let mut findings = Vec::new();
    for one in known.iter().filter(|one| one.backup.status == Status::Completed) {
        let Some(location) = one.backup.location.as_ref().map(ToString::to_string) else { continue };
        match first.get(&location) {
            Some(other) if *other != one.backup.id => {
                let message = format!("backup {other} has the same location");
                findings.push(about(Code::LocationTwice, one, message));
            }
            _ => drop(first.insert(location, one.backup.id)),
        }
    }
    findings
}

/// Returns the reasons to doubt the commits of completed backups.
fn commits(known: &[RecordAt]) -> Vec<Finding> {
    let code = |doubt| match doubt {
        Doubt::Assumed => Code::CommitAssumed,
        Doubt::MarkDiffers => Code::MarkDiffers,
        Doubt::MigrationsDiffer => Code::MigrationsDiffer,
        Doubt::MigrationsUnknown => Code::MigrationsUnknown,
        Doubt::SchemasDiffer => Code::SchemasDiffer,
    };
    let of = |one: &RecordAt| -> Vec<Finding> {
        let warnings = CommitWarning::of(&one.backup.commit, &one.backup.metadata).into_iter();
        warnings.map(|warning| about(code(warning.doubt), one, warning.message)).collect()
    };
    known.iter().filter(|one| one.backup.status == Status::Completed).flat_map(of).collect()
}

/// Returns the backups whose recorded schema differs from that of an earlier backup of the same database
/// and commit.
fn schemas(known: &[RecordAt]) -> Vec<Finding> {
    let mut first: BTreeMap<(&str, &DatabaseName), &RecordAt> = BTreeMap::new();
    let mut findings = Vec::new();
    let with_schema = |one: &&RecordAt| one.backup.status == Status::Completed && one.schema.is_some();
    for one in known.iter().filter(with_schema) {
        let other = first.entry((&one.reference, &one.backup.database)).or_insert(one);
        if other.schema != one.schema {
            findings.push(about(Code::SchemasDiffer, one, schemas_differ(other.backup.id)));
        }
    }
    findings
}
