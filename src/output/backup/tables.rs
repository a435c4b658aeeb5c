//! The tables of backups and of candidates for a restore.

use super::words::{status_style, verified, verified_style};
use crate::backup::displayed_row_status;
use crate::domain::{ShortIds, Timestamp, human_bytes};
use crate::git::Repository;
use crate::ledger::Row;
use crate::recovery::Candidate;
use crate::terminal::text::{relative_time, utc_time};
use crate::terminal::{Style, Table};

/// Returns the table of backups, one row each. Two threads build large tables.
pub fn backup_table(rows: &[Row<'_>], ids: &ShortIds, repository: &Repository, now: Timestamp) -> Table {
    const WORTH_A_THREAD: usize = 4096;
    if rows.len() < WORTH_A_THREAD {
        return part(rows, ids, repository, now);
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    let other = repository.for_thread();
    let (mut table, rest) = std::thread::scope(|scope| {
        let rest = scope.spawn(move || part(second, ids, &other, now));
        (part(first, ids, repository, now), rest.join())
    });
    match rest {
        Ok(rest) => table.append(&rest),
        Err(panic) => std::panic::resume_unwind(panic),
    }
    table
}

fn part(rows: &[Row<'_>], ids: &ShortIds, repository: &Repository, now: Timestamp) -> Table {
    let header = [
        "ID", "NAME", "DATABASE", "COMMIT", "TYPE", "TOOL", "STATUS", "SIZE", "STORED", "AGE", "VERIFIED",
        "FLAGS",
    ];
    let mut table = Table::new(header)
        .right(7)
        .right(8)
        .paint(0, Style::of_id)
        .paint(6, status_style)
        .paint(10, verified_style);
    for row in rows {
        let commit = row.commit_oid();
        table.cell(&ids.of(row.id()));
        table.cell(row.name());
        table.cell(row.database());
        match row.subject() {
            Some(subject) => table.shown(format_args!("{} {subject}", commit.short())),
            None => table.shown(format_args!("{} {}", commit.short(), repository.subject(commit))),
        }
        table.cell(row.kind().as_str());
        table.cell(row.tool());
        table.cell(displayed_row_status(row));
        for bytes in [row.size_bytes(), row.stored_bytes()] {
            table.cell(&bytes.map_or_else(|| "-".to_owned(), human_bytes));
        }
        table.cell(&relative_time(row.completed_at().unwrap_or_else(|| row.registered_at()), now));
        table.cell(&verified(row.verified(), now));
        table.cell(if row.is_held() { "held" } else { "" });
    }
    table
}

/// Returns the table of candidates for a restore, one row each.
pub fn candidate_table(candidates: &[Candidate], ids: &ShortIds) -> Table {
    let header = ["ID", "NAME", "COMMIT", "TYPE", "TOOL", "COMPLETED", "VERIFIED", "REASON"];
    let mut table = Table::new(header).paint(0, Style::of_id).paint(2, Style::of_id);
    for candidate in candidates {
        table.cell(&ids.of(candidate.backup));
        table.cell(&candidate.name);
        table.cell(candidate.commit.short());
        table.cell(candidate.kind.as_str());
        table.cell(&candidate.tool);
        table.cell(&candidate.completed_at.map(utc_time).unwrap_or_default());
        table.cell(if candidate.verified { "yes" } else { "-" });
        table.cell(&candidate.reason());
    }
    table
}
