//! Collects the findings of a verification for its verdict. Pure.

use serde_json::{Value, json};

use crate::domain::{Metadata, VerificationKind, VerificationStatus, VerifiedEvent};
use crate::tools::adapter::{IntegrityFinding, Report};

/// The maximum number of reasons in a record.
const REASONS_MAX: usize = 50;

/// The findings until now, and the evidence.
#[derive(Debug, Default)]
pub(super) struct Findings {
    findings: Vec<IntegrityFinding>,
    evidence: Vec<(String, Value)>,
}

impl Findings {
    pub(super) fn fatal(&mut self, message: impl Into<String>) {
        self.findings.push(IntegrityFinding::fatal(message));
    }

    pub(super) fn warning(&mut self, message: impl Into<String>) {
        self.findings.push(IntegrityFinding::warning(message));
    }

    pub(super) fn note(&mut self, fact: &str, value: impl Into<Value>) {
        self.evidence.push((fact.to_owned(), value.into()));
    }

    /// Adds the findings of an adapter; `whose` is put before each message.
    pub(super) fn take(&mut self, report: Report, whose: Option<&str>) {
        let said = |finding: IntegrityFinding| match whose {
            Some(whose) => IntegrityFinding { message: format!("{whose}: {}", finding.message), ..finding },
            None => finding,
        };
        self.findings.extend(report.findings.into_iter().map(said));
        if whose.is_none() {
            self.evidence
                .extend(report.evidence.as_map().iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.fatal)
    }

    pub(super) fn status(&self) -> VerificationStatus {
        match (self.is_fatal(), self.findings.is_empty()) {
            (true, _) => VerificationStatus::Failed,
            (false, false) => VerificationStatus::Warning,
            (false, true) => VerificationStatus::Passed,
        }
    }

    /// Returns the event of the verdict. The fatal findings come first.
    pub(super) fn event(mut self, kind: VerificationKind) -> VerifiedEvent {
        let status = self.status();
        self.findings.sort_by_key(|finding| !finding.fatal);
        let more = self.findings.len().saturating_sub(REASONS_MAX);
        let mut reasons: Vec<String> =
            self.findings.into_iter().take(REASONS_MAX).map(|it| it.message).collect();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        let mut details = Metadata::default();
        if !reasons.is_empty() {
            add(&mut details, "reasons", &json!(reasons), || {
                let hidden = |reason: String| match Metadata::try_from(json!({ "reason": reason })) {
                    Ok(_) => reason,
                    Err(_) => "a finding that looks like a secret".to_owned(),
                };
                json!(reasons.iter().cloned().map(hidden).collect::<Vec<_>>())
            });
        }
        for (key, value) in self.evidence {
            add(&mut details, &key, &value, || "left out: it looks like a secret".into());
        }
        VerifiedEvent { verification: kind, status, details }
    }
}

/// Adds a fact, or `instead` if a record must not contain it.
fn add(details: &mut Metadata, key: &str, value: &Value, instead: impl FnOnce() -> Value) {
    match Metadata::try_from(json!({ key: value })) {
        Ok(_) => details.insert(key, value.clone()),
        Err(_) => details.insert(key, instead()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let mut findings = Findings::default();
        assert_eq!(findings.status(), VerificationStatus::Passed);
        findings.warning("a look");
        assert_eq!(findings.status(), VerificationStatus::Warning);
        findings.fatal("broken");
        findings.note("tables", 3);
        let event = findings.event(VerificationKind::Checksum);
        assert_eq!(event.status, VerificationStatus::Failed);
        assert_eq!(Value::from(event.details), json!({ "reasons": ["broken", "a look"], "tables": 3 }));
    }

    #[test]
    fn there_is_an_end_to_reasons_and_no_secret_in_them() {
        let mut findings = Findings::default();
        findings.fatal("see postgres://ada:hunter2@db/shop");
        findings.note("log_tail", "to postgres://ada:hunter2@db/shop");
        (0..100).for_each(|n| findings.warning(format!("{n}")));
        let details = Value::from(findings.event(VerificationKind::Checksum).details);
        assert!(!details.to_string().contains("hunter2"), "{details}");
        assert_eq!(details["reasons"].as_array().unwrap().len(), REASONS_MAX + 1);
        assert_eq!(details["reasons"][REASONS_MAX], "and 51 more");
    }
}
