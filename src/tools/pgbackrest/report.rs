//! The output of `pgbackrest verify --output=text`.
//!
//! The exit status is 0 even if damage was found. Damage is reported only in this text, and no
//! version guarantees its format. So everything that is not understood counts as damage.

use std::collections::BTreeMap;

use crate::tools::ExternalError;

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The status of the stanza: `ok`, `error`.
    pub status: String,
    /// Each backup with its status and the numbers of damaged files.
    pub backups: BTreeMap<String, VerifyResult>,
    /// Each WAL archive with the numbers of damaged files.
    pub archives: BTreeMap<String, VerifyResult>,
    /// All other lines.
    pub further: Vec<String>,
}

/// The result for one backup or archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyResult {
    /// `valid`, `invalid`, ...; empty for archives.
    pub status: String,
    /// The number of checked files.
    pub checked: u64,
    /// The number of valid files.
    pub valid: u64,
    /// The numbers that are not 0, such as `checksum invalid: 1`.
    pub wrong: Vec<String>,
}

impl VerifyResult {
    /// Returns true if all files are valid.
    pub fn is_good(&self) -> bool {
        matches!(self.status.as_str(), "" | "valid") && self.checked == self.valid && self.wrong.is_empty()
    }

    /// Returns a description of the defects.
    pub fn words(&self) -> String {
        let mut words = self.wrong.clone();
        if words.is_empty() && self.checked != self.valid {
            words.push(format!(
                "{} of {} files are not valid",
                self.checked - self.valid.min(self.checked),
                self.checked
            ));
        }
        if words.is_empty() {
            words.push(format!("status {}", self.status));
        }
        words.join(", ")
    }
}

/// Parses the report about `stanza`. Fails if the text is not understood.
pub fn parse(text: &[u8], stanza: &str) -> Result<Report, ExternalError> {
    enum At {
        Top,
        Backup(String),
        Archive(String),
    }
    let refuse = || ExternalError::answer("'verify --output=text'", text);
    let lines = std::str::from_utf8(text).map_err(|_| refuse())?.lines();
    let (mut report, mut at, mut named) = (Report::default(), At::Top, false);
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("stanza: ") {
            named = named || name == stanza;
        } else if let Some(rest) = line.strip_prefix("backup: ") {
            let (label, part) = heading(rest);
            report.backups.insert(label.clone(), part);
            at = At::Backup(label);
        } else if let Some(rest) = line.strip_prefix("archiveId: ") {
            let (id, part) = heading(rest);
            report.archives.insert(id.clone(), part);
            at = At::Archive(id);
        } else if let (At::Top, Some(status)) = (&at, line.strip_prefix("status: ")) {
            status.clone_into(&mut report.status);
        } else {
            let part = match &at {
                At::Backup(label) => report.backups.get_mut(label),
                At::Archive(id) => report.archives.get_mut(id),
                At::Top => None,
            };
            match part {
                Some(part) => part.wrong.extend(counts(line)),
                None => report.further.push(line.to_owned()),
            }
        }
    }
    if !named || report.status.is_empty() {
        return Err(refuse());
    }
    Ok(report)
}

/// Parses `20261121-010928F, status: invalid, total files checked: 964, total valid files: 963`.
fn heading(text: &str) -> (String, VerifyResult) {
    let mut fields = text.split(", ");
    let (name, mut part) = (fields.next().unwrap_or_default().to_owned(), VerifyResult::default());
    for field in fields {
        let (key, value) = field.split_once(": ").unwrap_or((field, ""));
        match key {
            "status" => value.clone_into(&mut part.status),
            _ if key.contains("valid") => part.valid = value.parse().unwrap_or(0),
            _ if key.contains("checked") => part.checked = value.parse().unwrap_or(u64::MAX),
            _ => part.wrong.push(field.to_owned()),
        }
    }
    (name, part)
}

/// Returns the counts in `missing: 0, checksum invalid: 1` that are not 0.
fn counts(line: &str) -> Vec<String> {
    let fields = line.split(", ").filter(|field| !field.ends_with(": 0"));
    fields.map(str::to_owned).collect()
}
