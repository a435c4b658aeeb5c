//! The report of verifications, for audits. Pure.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::domain::{
    BackupId, BackupName, CommitId, DatabaseName, Line, Timestamp, Verification, VerificationKind,
    VerificationStatus,
};

/// A verification, with its backup.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Tested {
    /// The id of the backup.
    pub backup: BackupId,
    /// The name of the backup.
    pub name: BackupName,
    /// The database.
    pub database: DatabaseName,
    /// The schema commit.
    pub schema_commit: CommitId,
    /// The tool that made the backup.
    pub tool: Line,
    /// The time of the completion of the backup; null if it is not recorded.
    pub completed_at: Option<Timestamp>,
    /// The verification.
    pub verification: Verification,
    /// The commit of the ledger that recorded the verification; null if it is not found.
    pub evidence_commit: Option<String>,
}

/// The verifications since a time, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Verifications {
    /// The time of the report.
    pub at: Timestamp,
    /// The time since which verifications are included; null for all.
    pub since: Option<Timestamp>,
    /// The verifications.
    pub verifications: Vec<Tested>,
}

impl Verifications {
    /// Selects and sorts verifications.
    pub fn new(at: Timestamp, since: Option<Timestamp>, mut all: Vec<Tested>) -> Self {
        all.retain(|tested| since.is_none_or(|since| tested.verification.at >= since));
        all.sort_by_key(|tested| std::cmp::Reverse((tested.verification.at, tested.verification.id)));
        Self { at, since, verifications: all }
    }

    fn count(&self, kind: VerificationKind, status: VerificationStatus) -> usize {
        let such = |it: &&Tested| it.verification.kind == kind && it.verification.status == status;
        self.verifications.iter().filter(such).count()
    }

    /// Returns the report as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Verifications of backups\n\nMade at {}", day_and_time(self.at));
        match self.since {
            Some(since) => _ = writeln!(text, ", of all since {}.", day_and_time(since)),
            None => text.push_str(", of all that are recorded.\n"),
        }
        text.push_str("\n| kind | passed | warning | failed |\n|---|---:|---:|---:|\n");
        for kind in VerificationKind::ALL.iter().rev() {
            let count = |status| self.count(*kind, status);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                kind.word(),
                count(VerificationStatus::Passed),
                count(VerificationStatus::Warning),
                count(VerificationStatus::Failed)
            );
        }
        for tested in &self.verifications {
            text.push('\n');
            text.push_str(&section(tested));
        }
        text
    }
}

fn section(tested: &Tested) -> String {
    let verification = &tested.verification;
    let fact = |key: &str| verification.details.as_map().get(key);
    let mut text = format!(
        "## {} of {} at {}: {}\n\n",
        verification.kind.word(),
        cell(tested.name.as_str()),
        day_and_time(verification.at),
        verification.status
    );
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "- {what}: {value}");
    };
    line(
        "backup",
        format!(
            "`{}` of database {}, made by {}",
            tested.backup,
            cell(tested.database.as_str()),
            cell(tested.tool.as_str())
        ),
    );
    line("schema commit", format!("`{}`", tested.schema_commit));
    if let Some(at) = tested.completed_at {
        line("completed", day_and_time(at));
    }
    line("verified by", cell(verification.by.as_str()));
    if let Some(seconds) = fact("duration_s").and_then(Value::as_f64) {
        line("took", format!("{seconds} s"));
    }
    if let Some(seconds) = fact("rto_s").and_then(Value::as_f64) {
        line("restored in (demonstrated RTO)", format!("{seconds} s"));
    }
    if let Some(seconds) = fact("rpo_s").and_then(Value::as_i64) {
        line("age of the data (RPO)", format!("{seconds} s"));
    }
    if let Some(version) = fact("server_version").and_then(Value::as_str) {
        line("restored with", format!("PostgreSQL {}", cell(version)));
    }
    for (key, what) in [("schema", "schema"), ("amcheck", "pg_amcheck")] {
        if let Some(said) = fact(key).and_then(Value::as_str) {
            line(what, cell(said));
        }
    }
    if let Some(counts) = fact("counts").filter(|counts| counts.is_object()) {
        let number = |key: &str| counts.get(key).and_then(Value::as_u64).unwrap_or_default();
        line(
            "rows",
            format!(
                "{} in {} tables, {} of which differ",
                number("rows"),
                number("tables"),
                number("differ")
            ),
        );
    }
    if let Some(assertions) = fact("assertions").and_then(Value::as_array) {
        let held = assertions.iter().filter(|it| it["result"] == "true").count();
        line("assertions", format!("{held} of {} true", assertions.len()));
    }
    for reason in fact("reasons").and_then(Value::as_array).into_iter().flatten() {
        line("found", cell(reason.as_str().unwrap_or_default()));
    }
    if let Some(commit) = &tested.evidence_commit {
        line("evidence", format!("ledger commit `{commit}`"));
    }
    text
}

fn day_and_time(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Escapes text for Markdown.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tested(kind: &str, status: &str, at: &str) -> Tested {
        let id = "0193f1a2-0000-7000-8000-000000000001";
        let verification = json!({
            "id": id, "kind": kind, "status": status, "at": at, "by": "Ada <ada@example.com>",
            "details": { "duration_s": 4.5, "rto_s": 3.25, "rpo_s": 90, "reasons": ["a | `b`\n# c"],
                         "counts": { "rows": 5, "tables": 2, "differ": 0 },
                         "assertions": [{ "query": "q", "result": "true" }, { "query": "r", "result": "false" }] },
        });
        Tested {
            backup: id.parse().unwrap(),
            name: "nightly".parse().unwrap(),
            database: "shop".parse().unwrap(),
            schema_commit: "a".repeat(40).parse().unwrap(),
            tool: Line::lossy("pg_dump"),
            completed_at: Some("2026-11-20T00:00:00Z".parse().unwrap()),
            verification: serde_json::from_value(verification).unwrap(),
            evidence_commit: Some("b".repeat(40)),
        }
    }

    #[test]
    fn verifications_are_sorted_newest_first_and_old_ones_left_out() {
        let all = vec![
            tested("checksum", "passed", "2026-11-01T00:00:00Z"),
            tested("restore_test", "failed", "2026-11-03T00:00:00Z"),
            tested("restore_test", "passed", "2026-11-05T00:00:00Z"),
        ];
        let at = "2026-11-21T00:00:00Z".parse().unwrap();
        let report = Verifications::new(at, Some("2026-11-02T00:00:00Z".parse().unwrap()), all);
        let text = report.to_markdown();
        assert!(
            text.contains(
                "| restore-test | 1 | 0 | 1 |\n| integrity | 0 | 0 | 0 |\n| checksum | 0 | 0 | 0 |"
            ),
            "{text}"
        );
        let (passed, failed) = (text.find(": passed").unwrap(), text.find(": failed").unwrap());
        assert!(passed < failed && !text.contains("2026-11-01"), "{text}");
        for line in [
            "- restored in (demonstrated RTO): 3.25 s\n",
            "- age of the data (RPO): 90 s\n",
            "- rows: 5 in 2 tables, 0 of which differ\n",
            "- assertions: 1 of 2 true\n",
            "- found: a \\| \\`b\\` \\# c\n",
            "- verified by: Ada \\<ada@example.com\\>\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
