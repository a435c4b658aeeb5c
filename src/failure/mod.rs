//! The failure of a command: the message, the exit status and the advice.
//!
//! The other modules report the error without advice for the user. Their errors become a [`Failure`]
//! here and nowhere else.

use crate::terminal::OutputError;
use crate::terminal::message::{ErrorFields, ErrorMessage};

mod advice;
mod restores;

/// The result of a command, which decides its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The command succeeded.
    Done,
    /// The command answered a question with no.
    CheckFailed,
    /// A named object does not exist.
    NotFound,
    /// A short id or name matches several objects.
    Ambiguous,
    /// The state does not allow the operation.
    Conflict,
    /// A program that the command ran failed.
    ToolFailed,
    /// PostgreSQL is unreachable or refused the connection.
    DatabaseUnreachable,
    /// A destination is missing, read-only or full.
    Storage,
    /// A record or an artifact is corrupt.
    Corrupt,
    /// Another process holds a lock or another resource that the command needs.
    Busy,
    /// There is no git repository.
    NotARepository,
    /// A setting is missing or invalid.
    Configuration,
    /// An error without a code of its own.
    Fatal,
    /// The command line is invalid.
    Usage,
    /// There is no backup on which a program could run.
    Untestable,
    /// The user interrupted the command.
    Interrupted,
    /// The reader closed the pipe of the output.
    BrokenPipe,
}

/// A row of the table of all codes.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The code.
    pub code: Code,
    /// Its stable name, as `--json` shows it.
    pub name: &'static str,
    /// The exit status of the process.
    pub status: u8,
    /// The meaning of the code, for the documents.
    pub meaning: &'static str,
}

const fn row(code: Code, name: &'static str, status: u8, meaning: &'static str) -> Meaning {
    Meaning { code, name, status, meaning }
}

impl Code {
    /// The table of all codes, in the order of their exit status.
    pub const ALL: &'static [Meaning] = &[
        row(Self::Done, "done", 0, "The command succeeded."),
        row(
            Self::CheckFailed,
            "check-failed",
            1,
            "The answer to the question is no, or a restore with `--keep-going` has left out objects.",
        ),
        row(Self::NotFound, "not-found", 10, "A backup, commit or database of that name does not exist."),
        row(
            Self::Ambiguous,
            "ambiguous",
            11,
            "A name matches several objects, or none of several was chosen.",
        ),
        row(
            Self::Conflict,
            "conflict",
            12,
            "The state does not allow the operation, or the object exists already.",
        ),
        row(
            Self::ToolFailed,
            "tool-failed",
            13,
            "A program such as pg_dump or git failed; its own message is shown.",
        ),
        row(
            Self::DatabaseUnreachable,
            "database-unreachable",
            14,
            "PostgreSQL cannot be reached or refuses the connection.",
        ),
        row(Self::Storage, "storage", 15, "The destination is missing, read-only or full."),
        row(Self::Corrupt, "corrupt", 16, "A record or an artifact is damaged."),
        row(
            Self::Busy,
            "busy",
            17,
            "Another process holds a needed resource; the same command may succeed later.",
        ),
        row(
            Self::NotARepository,
            "not-a-repository",
            18,
            "The directory does not belong to a git repository.",
        ),
        row(Self::Configuration, "configuration", 19, "A setting is missing or invalid."),
        row(
            Self::Untestable,
            "untestable",
            125,
            "`git pggit with` has no backup for the commit, or none that leads to the commit, so the program was not run; `git bisect run` skips the commit.",
        ),
        row(
            Self::Fatal,
            "fatal",
            128,
            "Any other error that stopped the command, including errors in git-pggit itself.",
        ),
        row(Self::Usage, "usage", 129, "The command line is invalid."),
        row(
            Self::Interrupted,
            "interrupted",
            130,
            "The user interrupted the command, for example with Ctrl-C.",
        ),
        row(
            Self::BrokenPipe,
            "broken-pipe",
            141,
            "The reader of the output closed the pipe; no message is printed.",
        ),
    ];

    fn meaning(self) -> &'static Meaning {
        Self::ALL.iter().find(|row| row.code == self).expect("a test checks that every code has a row")
    }

    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        self.meaning().name
    }

    /// Returns the exit status.
    pub fn status(self) -> u8 {
        self.meaning().status
    }
}

/// Returns the reference of all exit codes in Markdown: `docs/exit-codes.md`.
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for row in Code::ALL {
        text.push_str(&format!("| {} | `{}` | {} |\n", row.status, row.name, row.meaning));
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from `src/failure/mod.rs`; `make doc` regenerates it. -->

# Exit codes

A command exits with one of these statuses. Statuses and names are stable; treat an unlisted status as a failure.

With `--json` a failure is one JSON object on standard error, in one line:

    {\"error\":{\"causes\":[],\"code\":\"not-found\",\"exit\":10,\"hints\":[],\"message\":\"...\"}}

`code` is the name below and `exit` the status. `message`, `causes` and `hints` are for people and may change. Lines
with a `warning` object instead of `error` may precede the error.

| status | name | meaning |
|---:|---|---|
";

/// The reason why a command ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    /// The exit status of a program that ran for the user; `None` for the status of the code.
    status: Option<u8>,
}

impl Failure {
    /// Returns a failure with this code and message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), hints: Vec::new(), status: None }
    }

    /// Returns a failure with the message of `error`, and the messages of its sources as causes.
    pub fn of(code: Code, error: &dyn std::error::Error) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// Returns the same failure with another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Adds a remedy for the user.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds an underlying error.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Returns a failure with the exit status of a program that ran for the user, as a shell reports
    /// it. The failure has no message.
    pub fn of_program(status: crate::process::Status) -> Self {
        use crate::process::Status::{Exited, Killed};
        let status = match status {
            Exited(code) => u8::try_from(code).unwrap_or(u8::MAX),
            Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        };
        Self { status: Some(status), ..Self::new(Code::CheckFailed, "") }
    }

    /// Returns the exit status of the process.
    pub fn status(&self) -> u8 {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// Returns the code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the error message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the underlying errors, the nearest first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Returns the remedies for the user.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns true if no message is printed: the reader closed the output, or a negative answer has no
    /// message.
    pub(super) fn is_silent(&self) -> bool {
        self.code == Code::BrokenPipe || (self.code == Code::CheckFailed && self.message.is_empty())
    }

    /// Returns the whole failure for machines.
    pub fn output(&self) -> ErrorMessage {
        ErrorMessage {
            error: ErrorFields {
                code: self.code.name().to_owned(),
                exit: self.code.status(),
                message: self.message.clone(),
                causes: self.causes.clone(),
                hints: self.hints.clone(),
            },
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        let broken = error.0.kind() == std::io::ErrorKind::BrokenPipe;
        Self::new(if broken { Code::BrokenPipe } else { Code::Fatal }, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_of_its_own() {
        for (at, row) in Code::ALL.iter().enumerate() {
            assert_eq!(row.code.status(), row.status);
            for other in &Code::ALL[..at] {
                assert!(
                    other.code != row.code && other.name != row.name && other.status < row.status,
                    "{row:?}"
                );
            }
        }
        // A variant behind this one would need a row.
        assert_eq!(Code::ALL.len(), Code::BrokenPipe as usize + 1);
    }

    #[test]
    fn failures_keep_the_errors_behind_them() {
        let error =
            crate::git::config::Error::Start(crate::process::Error::NotFound { program: "git".into() });
        let failure = Failure::from(error);
        assert_eq!(
            serde_json::to_value(failure.output()).unwrap().to_string(),
            r#"{"error":{"causes":["git: program not found"],"code":"tool-failed","exit":13,"hints":["install git, or add its directory to PATH"],"message":"cannot run git"}}"#
        );
    }
}
