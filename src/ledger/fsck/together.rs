//! What the records say together. Pure, but for the question whether a process
//! of this machine lives.

use std::collections::BTreeMap;

use crate::domain::{BackupId, DependencyProblem, Status, check_graph};

use super::{Code, Finding, Known};
use crate::ledger::{is_interrupted, layout};

pub(super) fn look(known: &[Known]) -> Vec<Finding> {
    let mut findings = twice(known);
    findings.extend(dependencies(known));
    findings.extend(locations(known));
    findings.extend(known.iter().filter(|one| is_interrupted(&one.backup)).map(|one| {
        about(Code::Interrupted, one, "it is in progress, and the process that worked on it is dead")
    }));
    findings
}

fn about(code: Code, one: &Known, message: impl Into<String>) -> Finding {
    Finding::new(code, &one.reference, message).file(layout::record_path(one.backup.id))
}

fn twice(known: &[Known]) -> Vec<Finding> {
    let mut first = BTreeMap::<BackupId, &Known>::new();
    let mut findings = Vec::new();
    for one in known {
        match first.get(&one.backup.id) {
            Some(other) => {
                let message = format!("there is a record of it in {}, too", other.reference);
                findings.push(about(Code::BackupTwice, one, message));
            }
            None => drop(first.insert(one.backup.id, one)),
        }
    }
    findings
}

fn dependencies(known: &[Known]) -> Vec<Finding> {
    let by_id: BTreeMap<BackupId, &Known> = known.iter().map(|one| (one.backup.id, one)).collect();
    let finding = |problem| {
        let (code, backup, message) = match problem {
            DependencyProblem::Missing { backup, needs } => (
                Code::DependencyMissing,
                backup,
                format!("it needs backup {needs}, of which there is no record"),
            ),
            DependencyProblem::Unusable { backup, needs, status } => (
                Code::DependencyUnusable,
                backup,
                format!("it needs backup {needs}, which is {}", status.as_str().replace('_', " ")),
            ),
            DependencyProblem::Cycle { backup } => {
                (Code::DependencyCycle, backup, "it needs itself".to_owned())
            }
        };
        by_id.get(&backup).map(|one| about(code, one, message))
    };
    check_graph(known.iter().map(|one| &one.backup)).into_iter().filter_map(finding).collect()
}

fn locations(known: &[Known]) -> Vec<Finding> {
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
