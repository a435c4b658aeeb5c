//! The content of notifications.

use serde_json::{Map, Value, json};

use crate::config::Occasion;
use crate::domain::{DatabaseName, Failure, Line, Timestamp, human_bytes};

/// A notification about the backups of a database. Unknown and irrelevant fields are `None`.
#[derive(Debug, Clone)]
pub struct Message {
    /// The id. A message that is sent again, because its delivery is unknown, has the same id.
    pub id: String,
    /// The event.
    pub occasion: Occasion,
    /// The database.
    pub database: DatabaseName,
    /// The time of the event.
    pub at: Timestamp,
    /// The id of the backup.
    pub backup: Option<String>,
    /// The id of the job.
    pub job: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The tool of the backup.
    pub tool: Option<Line>,
    /// The number of attempts.
    pub attempts: Option<u32>,
    /// The size of the backup, in bytes.
    pub size_bytes: Option<u64>,
    /// The duration, in seconds.
    pub duration_s: Option<f64>,
    /// The scheduled time of a missed backup.
    pub slot: Option<Timestamp>,
    /// The error.
    pub error: Option<Failure>,
}

/// The maximum length of an error in a message, in characters.
const ERROR_CHARS_MAX: usize = 1000;

impl Message {
    /// Creates a message without optional fields.
    pub fn new(occasion: Occasion, database: DatabaseName, at: Timestamp) -> Self {
        Self {
            id: format!("{}-{database}-{at}", occasion.as_str()),
            occasion,
            database,
            at,
            backup: None,
            job: None,
            commit: None,
            tool: None,
            attempts: None,
            size_bytes: None,
            duration_s: None,
            slot: None,
            error: None,
        }
    }

    /// Returns the text for a chat.
    pub fn text(&self, host: &Line) -> String {
        let database = &self.database;
        let mut text = match self.occasion {
            Occasion::Success => format!("backup of {database} completed"),
            Occasion::Failure => format!("backup of {database} FAILED permanently"),
            Occasion::Recovered => format!("backup of {database} works again"),
            Occasion::Missed => format!("backup of {database} is MISSING"),
            Occasion::Verification => format!("a backup of {database} CANNOT be relied on"),
        };
        let mut add = |part: String| text.push_str(&part);
        if let Some(slot) = self.slot {
            add(format!(": it was scheduled for {slot}"));
        }
        if let Some(size) = self.size_bytes {
            add(format!(": {}", human_bytes(size)));
        }
        if let Some(seconds) = self.duration_s {
            add(format!(" in {seconds:.1} s"));
        }
        if let (Some(attempts @ 2..), Occasion::Failure) = (self.attempts, self.occasion) {
            add(format!(" after {attempts} attempts"));
        }
        if let Some(error) = &self.error {
            add(format!(": {}", error.message.chars().take(ERROR_CHARS_MAX).collect::<String>()));
        }
        add(format!(" ({host})"));
        text
    }

    /// Returns all fields as JSON. Chats show the field `text`.
    pub fn to_json(&self, host: &Line) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        put("text", self.text(host).into());
        put("id", self.id.as_str().into());
        put("event", self.occasion.as_str().into());
        put("database", self.database.as_str().into());
        put("at", self.at.to_string().into());
        put("host", host.as_str().into());
        put("backup", json!(self.backup));
        put("job", json!(self.job));
        put("commit", json!(self.commit));
        put("tool", json!(self.tool));
        put("attempts", json!(self.attempts));
        put("size_bytes", json!(self.size_bytes));
        put("duration_s", json!(self.duration_s));
        put("planned_for", json!(self.slot));
        put(
            "error",
            json!(self.error.as_ref().map(|error| json!({
                "code": error.code,
                "message": error.message.chars().take(ERROR_CHARS_MAX).collect::<String>(),
            }))),
        );
        Value::Object(fields)
    }
}
