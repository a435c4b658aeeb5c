//! The options of the command line for the facts about a complete backup.

use crate::cli::Context;
use crate::domain::{
    Completed, Encryption, Invalid, Line, Metadata, Postgres, Timestamp, time_or_span_before,
};
use crate::failure::{Code, Failure};

/// Facts about the complete backup
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Facts about the complete backup")]
pub(super) struct CompletionArgs {
    /// The stored size in bytes; by default the size of the content
    #[arg(long, value_name = "BYTES")]
    stored_size: Option<u64>,

    /// The location: a URI such as s3://bucket/path, without credentials
    #[arg(long, value_name = "URI")]
    location: Option<String>,

    /// The compression method, such as zstd:3, gzip or none
    #[arg(long, value_name = "METHOD")]
    compression: Option<String>,

    /// The name of the encryption key or recipient; never the key itself
    #[arg(long, value_name = "KEY-ID")]
    encryption_key: Option<String>,

    /// The digest of the content: blake3:<hex>, sha256:<hex> or sha512:<hex>
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,

    /// The start time: RFC 3339, a date, or a span such as 90m before now
    #[arg(long, value_name = "TIME")]
    started_at: Option<String>,

    /// The completion time; by default now
    #[arg(long, value_name = "TIME")]
    completed_at: Option<String>,

    /// The version of the server
    #[arg(long, value_name = "VERSION")]
    postgres_version: Option<String>,

    /// The system identifier of the cluster
    #[arg(long, value_name = "NUMBER")]
    system_identifier: Option<String>,

    /// The timeline of the cluster
    #[arg(long, value_name = "N")]
    timeline: Option<u32>,

    /// The start LSN of the backup, such as 16/B374D848
    #[arg(long, value_name = "LSN")]
    start_lsn: Option<String>,

    /// The stop LSN of the backup, where recovery becomes consistent
    #[arg(long, value_name = "LSN")]
    stop_lsn: Option<String>,
}

impl CompletionArgs {
    /// Returns the event that completes a backup of `size_bytes`.
    pub(super) fn completed(
        &self,
        size_bytes: u64,
        metadata: Metadata,
        context: &Context,
    ) -> Result<Completed, Failure> {
        let moment = |text: &String| time_or_span_before(text, context.now());
        let started_at = self.started_at.as_ref().map(moment).transpose()?;
        let completed_at = self.completed_at.as_ref().map(moment).transpose()?;
        in_order(started_at, completed_at.unwrap_or_else(|| context.now()))?;
        let key = word(self.encryption_key.as_deref(), "encryption key")?;
        Ok(Completed {
            attempt: None,
            location: self.location.as_ref().map(|text| text.parse()).transpose()?,
            store_id: None,
            size_bytes,
            stored_bytes: self.stored_size.unwrap_or(size_bytes),
            compression: word(self.compression.as_deref(), "compression")?,
            encryption: key.map(|key_id| Encryption { key_id }),
            digest: self.digest.as_ref().map(|text| text.parse()).transpose()?,
            backup_type: None,
            depends_on: None,
            artifacts: Vec::new(),
            started_at,
            completed_at,
            postgres: self.postgres()?,
            tool_version: None,
            metadata,
        })
    }

    fn postgres(&self) -> Result<Option<Postgres>, Invalid> {
        let digits =
            |text: &String| !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(text) = self.system_identifier.as_ref().filter(|text| !digits(text)) {
            return Err(Invalid::new("system identifier", text, "expected a number of up to 20 digits"));
        }
        let postgres = Postgres {
            version: word(self.postgres_version.as_deref(), "PostgreSQL version")?,
            system_identifier: self.system_identifier.as_deref().map(Line::lossy),
            timeline: self.timeline,
            start_lsn: self.start_lsn.as_ref().map(|text| text.parse()).transpose()?,
            stop_lsn: self.stop_lsn.as_ref().map(|text| text.parse()).transpose()?,
            ..Postgres::default()
        };
        Ok((postgres != Postgres::default()).then_some(postgres))
    }
}

/// Parses one line of text. Fails if it is empty.
pub(super) fn word(text: Option<&str>, what: &'static str) -> Result<Option<Line>, Invalid> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<Line>() {
        Ok(line) if !line.as_str().is_empty() => Ok(Some(line)),
        Ok(_) => Err(Invalid::new(what, text, "it is empty")),
        Err(invalid) => Err(Invalid { what, ..invalid }),
    }
}

fn in_order(started: Option<Timestamp>, completed: Timestamp) -> Result<(), Failure> {
    match started {
        Some(started) if started > completed => Err(Failure::new(
            Code::Usage,
            format!("the completion time {completed} is before the start time {started}"),
        )),
        _ => Ok(()),
    }
}
