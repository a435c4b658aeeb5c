//! The result of a check of the ledger as text, with a remedy for each finding.

use super::{FsckFinding, FsckOutput, RepairedLedger};
use crate::ledger::fsck::{Code, Finding, LedgerRepair, Report, Severity};
use crate::terminal::text::counted;
use crate::terminal::{OutputError, Style, Ui};

impl FsckOutput {
    /// Describes the result of a check after repairs.
    pub fn new(report: &Report, repaired: &LedgerRepair) -> Self {
        Self {
            ok: report.count(Severity::Error) == 0,
            findings: report.findings.iter().map(Into::into).collect(),
            refs: report.refs,
            commits: report.commits,
            records: report.records,
            repaired: RepairedLedger {
                records: repaired.records.iter().copied().collect(),
                notes: repaired.notes.iter().cloned().collect(),
            },
        }
    }
}

impl From<&Finding> for FsckFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str().to_owned(),
            severity: finding.severity.as_str().to_owned(),
            reference: finding.reference.clone(),
            file: finding.file.clone(),
            commit: finding.commit.map(|commit| commit.to_string()),
            message: finding.message.clone(),
            remedy: remedy(finding),
        }
    }
}

/// Prints the result of a check after repairs as text. Fails if standard output cannot be written.
pub fn print_fsck(report: &Report, repaired: &LedgerRepair, ui: &Ui) -> Result<(), OutputError> {
    for id in &repaired.records {
        ui.status(&format!("repaired the record of backup {id}"));
    }
    for commit in &repaired.notes {
        ui.status(&format!("repaired the note on commit {}", commit.short()));
    }
    for finding in &report.findings {
        let severity = format!("{:<7}", finding.severity.as_str());
        let rest = format!("  {}: {} [{}]", finding.place(), finding.message, finding.code.as_str());
        ui.spans(&[(style(finding.severity), &severity), (Style::Plain, &rest)])?;
        ui.line(format!("           -> {}", remedy(finding)))?;
    }
    ui.status(&format!(
        "checked {} records in {} commits of {} refs: {}, {}, {}",
        report.records,
        report.commits,
        report.refs,
        counted(report.count(Severity::Error), "error"),
        counted(report.count(Severity::Warning), "warning"),
        counted(report.count(Severity::Notice), "notice"),
    ));
    Ok(())
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => Style::Bad,
        Severity::Warning => Style::Attention,
        Severity::Notice => Style::Dim,
    }
}

/// Returns the advice for a finding.
fn remedy(finding: &Finding) -> String {
    let reference = &finding.reference;
    let at = finding.commit.map(|commit| commit.to_string()).unwrap_or_else(|| reference.clone());
    match finding.code {
        Code::RefName => format!("remove it with 'git update-ref -d {reference}' if nothing in it is needed"),
        Code::ObjectMissing | Code::SchemaCommitMissing => {
            "'git fsck' lists all missing objects; fetch them from a clone that has them".to_owned()
        }
        Code::SchemaCommitUnknown => {
            "run 'git pggit fsck' in a clone with the commit, with pggit.repository set to this one"
                .to_owned()
        }
        Code::Shallow => "'git fetch --unshallow' fetches the rest".to_owned(),
        Code::ChainBroken | Code::SchemaChanged => format!(
            "find out who did it: 'git log {reference}'; 'git pggit sync' fetches intact history from a remote that has it"
        ),
        Code::Behind => {
            format!("'git pggit sync' imports them; if that was done before, {reference} was rewritten")
        }
        Code::ForeignFile => format!("find out who added it: 'git log {reference} -- {}'", finding.file),
        Code::SchemaWithoutRecord => {
            format!("'git log -p {reference} -- .pggit' shows the removal of its record")
        }
        Code::RecordUnreadable | Code::RecordMisplaced | Code::EventTwice | Code::EventMalformed => {
            format!("'git log -p {reference} -- {}' shows earlier versions", finding.file)
        }
        Code::EventRemoved | Code::EventAltered => {
            format!(
                "'git show {at} -- {}' shows who did it; 'git pggit ledger import' restores events",
                finding.file
            )
        }
        Code::RecordStale | Code::NoteStale | Code::NoteOrphan => {
            "check that no history is missing, then run 'git pggit fsck --repair'".to_owned()
        }
        Code::EventIgnored => "nothing to do: another clone did the same at the same time".to_owned(),
        Code::EventUnknown => "use a newer git-pggit, which supports it".to_owned(),
        Code::NoteForeign => "nothing to do, if the note was written on purpose".to_owned(),
        Code::DependencyMissing => "'git pggit sync' fetches its record if another clone has it".to_owned(),
        Code::DependencyUnusable | Code::DependencyCycle => "make a new full backup".to_owned(),
        Code::BackupTwice => "find out which one is correct: 'git pggit backup log' shows both".to_owned(),
        Code::SizesMissing => "complete the backup again with its sizes".to_owned(),
        Code::LocationTwice => "find out if one backup has overwritten the other".to_owned(),
        Code::Interrupted => "record it as failed: 'git pggit backup fail --interrupted <id>'".to_owned(),
        Code::CommitAssumed => {
            "nothing to do, if it is correct; 'git pggit mark' records the commit for the next backup"
                .to_owned()
        }
        Code::MarkDiffers | Code::MigrationsDiffer | Code::MigrationsUnknown => {
            "'git pggit backup show' has the details; a restore compares schemas, not records".to_owned()
        }
        Code::SchemasDiffer => "'git pggit backup diff' shows the difference".to_owned(),
        Code::NoSigners => {
            "list the team's keys in a file and set gpg.ssh.allowedSignersFile to it".to_owned()
        }
        Code::Unsigned | Code::ActorUnproven => {
            format!(
                "'git show --show-signature {at}'; sign with 'git config pggit.sign true', see docs/trust.md"
            )
        }
        Code::SignatureBad => {
            format!("the commit was tampered with: compare 'git show {at}' with another clone")
        }
        Code::SignerUnknown | Code::SignatureExpired => {
            "if the key is good, add it to the allowed signers or the keyring; see docs/trust.md".to_owned()
        }
        Code::SignerDiffers => "the commit was imported, or its author is false: ask the signer".to_owned(),
    }
}
