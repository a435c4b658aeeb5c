//! Errors, warnings and log lines: one JSON object in each line of standard error.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Timestamp;

/// The error of a failed command. It is the last line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorMessage {
    /// The error.
    pub error: ErrorFields,
}

/// The reason why a command failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorFields {
    /// The name of the [exit code](exit-codes.md).
    pub code: String,
    /// The status of the [exit code](exit-codes.md).
    pub exit: u8,
    /// The error, in one sentence for people; the text may change.
    pub message: String,
    /// The errors that caused it, the nearest first; the text may change.
    pub causes: Vec<String>,
    /// Remedies; the text may change.
    pub hints: Vec<String>,
}

/// A warning about a problem that does not stop the command.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WarningMessage {
    /// The warning.
    pub warning: WarningFields,
}

/// A warning of a command.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WarningFields {
    /// The warning, in one sentence for people; the text may change.
    pub message: String,
}

/// A log line. `pggit.logLevel` is the lowest level that is logged.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogLine {
    /// The time at which the line was logged.
    pub timestamp: Timestamp,
    /// The level of the line.
    pub level: Level,
    /// The event, in words; absent if the line has only fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Further fields, such as `job` or `error`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The level of a log line.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Level {
    /// The work failed.
    Error,
    /// A problem that does not stop the work.
    Warn,
    /// An ordinary event.
    Info,
    /// A detail for developers.
    Debug,
    /// A fine detail for developers.
    Trace,
}
