//! The findings of checks.

use crate::domain::DatabaseName;
use crate::failure::Failure;
use crate::output::repository::{DoctorCheck, DoctorOutput};

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// The check found no problem.
    Ok,
    /// The finding deserves a look, and prevents no backup.
    Warning,
    /// The finding prevents backups, or makes them incomplete.
    Problem,
}

impl CheckStatus {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// A check and its result.
#[derive(Debug)]
pub struct Diagnosis {
    verdict: CheckStatus,
    database: Option<DatabaseName>,
    check: &'static str,
    message: String,
    remedies: Vec<String>,
}

impl Diagnosis {
    /// Adds a remedy: a command, or advice.
    pub fn remedy(&mut self, text: impl Into<String>) -> &mut Self {
        self.remedies.push(text.into());
        self
    }
}

/// The checks that were made, in order.
#[derive(Debug, Default)]
pub struct Findings {
    all: Vec<Diagnosis>,
    about: Option<DatabaseName>,
}

impl Findings {
    /// Sets the database of the following checks.
    pub fn about(&mut self, database: Option<DatabaseName>) {
        self.about = database;
    }

    /// Adds a check that found no problem.
    pub fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(CheckStatus::Ok, check, message.into());
    }

    /// Adds a warning.
    pub fn warning(&mut self, check: &'static str, message: impl Into<String>) -> &mut Diagnosis {
        self.add(CheckStatus::Warning, check, message.into())
    }

    /// Adds a problem.
    pub fn problem(&mut self, check: &'static str, message: impl Into<String>) -> &mut Diagnosis {
        self.add(CheckStatus::Problem, check, message.into())
    }

    /// Adds an error with its advice as a problem.
    pub fn failure(&mut self, check: &'static str, failure: impl Into<Failure>) -> &mut Diagnosis {
        let failure: Failure = failure.into();
        let causes = failure.causes().iter().map(|cause| format!(": {cause}"));
        let message = failure.message().to_owned() + &causes.collect::<String>();
        let finding = self.problem(check, message);
        failure.hints().iter().fold(finding, |finding, hint| finding.remedy(hint))
    }

    fn add(&mut self, verdict: CheckStatus, check: &'static str, message: String) -> &mut Diagnosis {
        let database = self.about.clone();
        self.all.push(Diagnosis { verdict, database, check, message, remedies: Vec::new() });
        self.all.last_mut().expect("one was just added")
    }

    /// Returns the number of checks with this verdict.
    pub fn count(&self, verdict: CheckStatus) -> usize {
        self.all.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// Returns the checks as a result.
    pub fn output(&self) -> DoctorOutput {
        let row = |finding: &Diagnosis| DoctorCheck {
            check: finding.check.to_owned(),
            database: finding.database.clone(),
            status: finding.verdict.word().to_owned(),
            message: finding.message.clone(),
            remedies: finding.remedies.clone(),
        };
        let ok = self.count(CheckStatus::Problem) == 0;
        DoctorOutput { ok, checks: self.all.iter().map(row).collect() }
    }
}
