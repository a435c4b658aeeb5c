//! The checks of `git pggit doctor` as text.

use super::DoctorOutput;
use crate::terminal::text::counted;
use crate::terminal::{OutputError, Render, Style, Ui};

impl Render for DoctorOutput {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        for check in &self.checks {
            let database = check.database.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            // The lines of a message such as git's own stay in its column.
            let message = check.message.trim_end().replace('\n', "\n           ");
            let status = format!("{:<7}", check.status);
            let rest = format!("  {database}{}: {message}", check.check);
            ui.spans(&[(style(&check.status), &status), (Style::Plain, &rest)])?;
            for remedy in &check.remedies {
                ui.line(format!("           -> {}", remedy.trim_end().replace('\n', "\n              ")))?;
            }
        }
        let count = |status: &str| self.checks.iter().filter(|check| check.status == status).count();
        let (problems, warnings) = (count("problem"), count("warning"));
        ui.line(format!("{}, {}", counted(problems, "problem"), counted(warnings, "warning")))
    }
}

fn style(status: &str) -> Style {
    match status {
        "ok" => Style::Good,
        "warning" => Style::Attention,
        _ => Style::Bad,
    }
}
