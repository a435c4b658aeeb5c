//! What was found, and how it is shown.

use crate::cli::Failure;
use crate::cli::output::repository::DoctorCheck;
use crate::cli::ui::{OutputError, Style, Ui};
use crate::domain::DatabaseName;

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Warning,
    Problem,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => Style::Good,
            Self::Warning => Style::Attention,
            Self::Problem => Style::Bad,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Finding {
    verdict: Verdict,
    database: Option<DatabaseName>,
    check: &'static str,
    message: String,
    remedies: Vec<String>,
}

impl Finding {
    /// Adds what helps: a command, or advice.
    pub(super) fn remedy(&mut self, text: impl Into<String>) -> &mut Self {
        self.remedies.push(text.into());
        self
    }
}

/// Everything that was looked at, in order.
#[derive(Debug, Default)]
pub(super) struct Findings {
    all: Vec<Finding>,
    about: Option<DatabaseName>,
}

impl Findings {
    /// What follows is about this database.
    pub(super) fn about(&mut self, database: Option<DatabaseName>) {
        self.about = database;
    }

    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(Verdict::Ok, check, message.into());
    }

    pub(super) fn warning(&mut self, check: &'static str, message: impl Into<String>) -> &mut Finding {
        self.add(Verdict::Warning, check, message.into())
    }

    pub(super) fn problem(&mut self, check: &'static str, message: impl Into<String>) -> &mut Finding {
        self.add(Verdict::Problem, check, message.into())
    }

    /// A failure with its advice.
    pub(super) fn failure(&mut self, check: &'static str, failure: impl Into<Failure>) -> &mut Finding {
        let failure: Failure = failure.into();
        let causes = failure.causes().iter().map(|cause| format!(": {cause}"));
        let message = failure.message().to_owned() + &causes.collect::<String>();
        let finding = self.problem(check, message);
        failure.hints().iter().fold(finding, |finding, hint| finding.remedy(hint))
    }

    fn add(&mut self, verdict: Verdict, check: &'static str, message: String) -> &mut Finding {
        let database = self.about.clone();
        self.all.push(Finding { verdict, database, check, message, remedies: Vec::new() });
        self.all.last_mut().expect("one was just added")
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.all.iter().filter(|finding| finding.verdict == verdict).count()
    }

    pub(super) fn print(&self, ui: &Ui) -> Result<(), OutputError> {
        for finding in &self.all {
            let database = finding.database.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            // A message of several lines, such as git's own, stays in its column.
            let message = finding.message.trim_end().replace('\n', "\n           ");
            let verdict = format!("{:<7}", finding.verdict.word());
            let rest = format!("  {database}{}: {message}", finding.check);
            ui.spans(&[(finding.verdict.style(), &verdict), (Style::Plain, &rest)])?;
            for remedy in &finding.remedies {
                ui.line(format!("           -> {}", remedy.trim_end().replace('\n', "\n              ")))?;
            }
        }
        let (problems, warnings) = (self.count(Verdict::Problem), self.count(Verdict::Warning));
        let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        ui.line(format!("{}, {}", count(problems, "problem"), count(warnings, "warning")))
    }

    pub(super) fn output(&self) -> Vec<DoctorCheck> {
        let row = |finding: &Finding| DoctorCheck {
            check: finding.check.to_owned(),
            database: finding.database.clone(),
            status: finding.verdict.word().to_owned(),
            message: finding.message.clone(),
            remedies: finding.remedies.clone(),
        };
        self.all.iter().map(row).collect()
    }
}
