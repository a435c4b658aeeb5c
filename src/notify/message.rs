//! What is said.

use serde_json::{Map, Value, json};

use crate::config::Occasion;
use crate::domain::{DatabaseName, Failure, Line, Timestamp, human_bytes};

/// One thing that is said about the backups of one database. What is not known
/// or does not matter is left out.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id: what is said again because it is not known whether it arrived
    /// has the same one.
    pub id: String,
    /// What it is about.
    pub occasion: Occasion,
    /// The database.
    pub database: DatabaseName,
    /// When it happened.
    pub at: Timestamp,
    /// The backup.
    pub backup: Option<String>,
    /// The job.
    pub job: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The tool.
    pub tool: Option<Line>,
    /// How many attempts were made.
    pub attempts: Option<u32>,
    /// How large the backup is.
    pub size_bytes: Option<u64>,
    /// How long it took.
    pub duration_s: Option<f64>,
    /// The time on the schedule at which something should have happened.
    pub slot: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<Failure>,
}

/// How much of an error fits into a message.
const ERROR_CHARS_MAX: usize = 1000;

impl Message {
    /// One that says no more than what it is about.
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

    /// In words, for a chat.
    pub fn text(&self, host: &Line) -> String {
        let database = &self.database;
        let mut text = match self.occasion {
            Occasion::Success => format!("backup of {database} completed"),
            Occasion::Failure => format!("backup of {database} FAILED for good"),
            Occasion::Recovered => format!("backup of {database} works again"),
            Occasion::Missed => format!("backup of {database} is MISSING"),
            Occasion::Verification => format!("a backup of {database} CANNOT be relied on"),
        };
        let mut add = |part: String| text.push_str(&part);
        if let Some(slot) = self.slot {
            add(format!(": it was planned for {slot}"));
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

    /// The whole of it. `text` is what chats look for.
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
