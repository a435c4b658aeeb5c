//! The coverage of branches and of commits as text.

use super::words::{status_style, verified};
use super::{BranchCoverage, RangeCoverage, RangeTotals};
use crate::domain::{Timestamp, human_bytes};
use crate::git::{Oid, Repository};
use crate::ledger::{Overview, Row};
use crate::report::{BackupIndex, Coverage, State, Tally};
use crate::terminal::{OutputError, Style, Table, Ui};

impl BranchCoverage {
    /// Returns true if the tip of each branch can be restored.
    pub fn is_ok(&self) -> bool {
        self.branches.iter().all(|branch| branch.tip.state == State::Ok)
    }

    /// Prints the coverage as text, with subjects of commits. Fails if standard output cannot be
    /// written.
    pub fn print(&self, repository: &Repository, now: Timestamp, ui: &Ui) -> Result<(), OutputError> {
        ui.table(&self.table(repository, now))?;
        if self.branches.is_empty() {
            ui.hint("there are no branches yet");
        }
        for warning in &self.warnings {
            ui.warning(&format!("backup {}: {}", warning.backup, warning.message));
        }
        ui.line(totals(&self.totals))
    }

    fn table(&self, repository: &Repository, now: Timestamp) -> Table {
        let header = ["BRANCH", "TIP", "STATE", "BACKUPS", "VERIFIED", "NEAREST", "BEHIND", "MIGRATIONS"];
        let mut table = Table::new(header)
            .right(3)
            .right(6)
            .right(7)
            .whole(0)
            .paint(1, Style::of_id)
            .paint(2, status_style);
        for branch in &self.branches {
            let nearest = branch
                .nearest
                .as_ref()
                .map(|commit| format!("{} {}", commit.short(), repository.subject(commit.into())));
            table.row([
                branch.branch.clone(),
                branch.tip.commit.short().to_owned(),
                branch.tip.state.as_str().to_owned(),
                branch.tip.backups.to_string(),
                verified(branch.tip.verification, now),
                nearest.unwrap_or_else(|| "-".to_owned()),
                branch.commits_since.map_or_else(|| "-".to_owned(), |behind| behind.to_string()),
                branch.tip.migrations.map_or_else(|| "-".to_owned(), |migrations| migrations.to_string()),
            ]);
        }
        table
    }
}

impl From<Vec<Coverage<Oid>>> for RangeCoverage {
    fn from(commits: Vec<Coverage<Oid>>) -> Self {
        let totals = RangeTotals {
            commits: commits.len(),
            ok: commits.iter().filter(|commit| commit.state == State::Ok).count(),
            backups: commits.iter().map(|commit| commit.backups).sum(),
        };
        Self { commits: commits.into_iter().map(|it| it.named(Oid::to_commit)).collect(), totals }
    }
}

impl RangeCoverage {
    /// Returns true if each commit can be restored.
    pub fn is_ok(&self) -> bool {
        self.totals.ok == self.totals.commits
    }

    /// Prints the coverage as text. The subjects of commits come from `records` and `overview`, with a
    /// fallback to `repository`. Fails if standard output cannot be written.
    pub fn print(
        &self,
        records: &BackupIndex<Oid>,
        overview: &Overview,
        repository: &Repository,
        now: Timestamp,
        ui: &Ui,
    ) -> Result<(), OutputError> {
        let rows: Vec<Row<'_>> = overview.rows().collect();
        let header = ["COMMIT", "STATE", "BACKUPS", "VERIFIED", "SUBJECT"];
        let mut table = Table::new(header).right(2).paint(0, Style::of_id).paint(1, status_style);
        for it in &self.commits {
            let commit = Oid::from(&it.commit);
            table.cell(it.commit.short());
            table.cell(it.state.as_str());
            table.shown(it.backups);
            table.cell(&verified(it.verification, now));
            match records.of(&commit).find_map(|at| rows[at].subject()) {
                Some(subject) => table.cell(subject),
                None => table.cell(&repository.subject(commit)),
            }
        }
        ui.table(&table)?;
        let (ok, commits) = (self.totals.ok, self.totals.commits);
        ui.line(format!("{ok} of {commits} commit{} can be restored", if commits == 1 { "" } else { "s" }))
    }
}

/// Returns the numbers of backups in words: `12 backups: 10 completed, 2 failed; 1.2 GiB stored`.
fn totals(tally: &Tally) -> String {
    let plural = if tally.backups == 1 { "" } else { "s" };
    let by_status: Vec<String> = tally
        .by_status
        .iter()
        .map(|(status, count)| format!("{count} {}", status.replace('_', " ")))
        .collect();
    let all = format!("{} backup{plural}", tally.backups);
    if by_status.is_empty() {
        return all;
    }
    format!("{all}: {}; {} stored", by_status.join(", "), human_bytes(tally.stored_bytes))
}
