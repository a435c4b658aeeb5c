//! Completed and due verifications as text.

use std::time::Duration;

use serde_json::Value;

use super::{DueVerification, DueVerifications, VerificationResult};
use crate::terminal::text::{human_duration, utc_time};
use crate::terminal::{OutputError, Render, Ui};
use crate::verify::{VerificationRun, WantedVerification};

impl From<&VerificationRun> for VerificationResult {
    fn from(verdict: &VerificationRun) -> Self {
        let (backup, it) = (&verdict.entry.backup, &verdict.verification);
        Self {
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
}

impl VerificationResult {
    /// Prints the verdict as text: `passed: restore-test of nightly of shop (0193...), 4.2 s`. Fails if
    /// standard output cannot be written.
    pub fn print(&self, ui: &Ui) -> Result<(), OutputError> {
        let duration_s = self.details.as_map().get("duration_s").and_then(Value::as_f64);
        let when = match (self.reused, duration_s) {
            (true, _) => format!(", at {}", utc_time(self.at)),
            (false, None) => String::new(),
            (false, Some(seconds)) => {
                format!(", {}", human_duration(Duration::from_secs_f64(seconds.max(0.0))))
            }
        };
        let Self { status, kind, name, database, backup, .. } = self;
        ui.line(format!("{status}: {} of {name} of {database} ({backup}){when}", kind.word()))?;
        self.reasons.iter().try_for_each(|reason| ui.line(format!("  {reason}")))
    }
}

impl From<&WantedVerification> for DueVerification {
    fn from(it: &WantedVerification) -> Self {
        let backup = &it.entry.backup;
        Self {
            backup: backup.id,
            name: backup.name.clone(),
            database: backup.database.clone(),
            kind: it.kind,
            reason: it.reason.clone(),
        }
    }
}

impl Render for DueVerifications {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        if self.due.is_empty() {
            ui.hint("nothing is due");
        }
        for DueVerification { backup, name, database, kind, reason } in &self.due {
            let reason = reason.as_deref().unwrap_or_default();
            ui.line(format!("{} of {name} of {database} ({backup}): {reason}", kind.word()))?;
        }
        Ok(())
    }
}
