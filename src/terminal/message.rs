//! Errors, warnings and log lines: one JSON object in each line of standard error.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Timestamp;

/// The command failed. It is the last line.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorMessage {
    /// The error.
    pub error: ErrorFields,
}

/// Why a command failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorFields {
    /// The name of the [exit code](exit-codes.md).
    pub code: String,
    /// The status of the [exit code](exit-codes.md).
    pub exit: u8,
    /// The error, in one sentence for people; the words may change.
    pub message: String,
    /// The errors behind it, the nearest first; the words may change.
    pub causes: Vec<String>,
    /// Remedies; the words may change.
    pub hints: Vec<String>,
}

/// Something does not stop the work and deserves a look. The command goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WarningMessage {
    /// The warning.
    pub warning: WarningFields,
}

/// A warning of a command.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WarningFields {
    /// The warning, in one sentence for people; the words may change.
    pub message: String,
}

/// A line of the log. `pggit.logLevel` says how much is logged.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogLine {
    /// When it was logged.
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

/// The level of a line of the log.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Level {
    /// The work failed.
    Error,
    /// Something deserves a look.
    Warn,
    /// The work goes as usual.
    Info,
    /// For developers.
    Debug,
    /// For developers, everything.
    Trace,
}
