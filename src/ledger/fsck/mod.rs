//! Checks the whole ledger against `docs/format.md`.
//!
//! [`Ledger::fsck`] reads everything and changes nothing: every ref, every ledger commit with each of
//! its parents, every record, every note, the relations between records, and on request the
//! signatures. [`Ledger::repair`] regenerates derived data like every other write: it adds commits,
//! and neither changes nor removes an event. The checks of records need no I/O ([`record`],
//! [`signers`], [`cross_record`]).

mod chain;
mod cross_record;
mod finding;
mod notes;
mod placeholders;
mod record;
mod repair;
mod signers;

use std::collections::BTreeMap;

use crate::domain::{Backup, CommitId};
use crate::git::{Oid, Signature, SignatureVerdict, TreeEntry};

pub use finding::{Code, Finding, Severity};
pub(super) use record::{EventLoss, StoredEvents};
pub use repair::LedgerRepair;

use super::{Error, Ledger, layout};
use chain::{Added, Chain, Link};

/// The optional checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsckOptions {
    /// True to check the signature of every ledger commit.
    pub signatures: bool,
}

/// The result of [`Ledger::fsck`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings, the most severe first.
    pub findings: Vec<Finding>,
    /// The number of refs that were checked.
    pub refs: usize,
    /// The number of ledger commits that were checked.
    pub commits: usize,
    /// The number of records that were read.
    pub records: usize,
}

impl Report {
    /// Returns the number of findings of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// A readable record, with the ref that has it.
struct RecordAt {
    backup: Backup,
    reference: String,
    /// The blob of the recorded schema, if there is one.
    schema: Option<Oid>,
}

/// A ledger commit with its ref.
struct Commit {
    reference: String,
    link: Link,
}

impl Ledger<'_> {
    /// Checks everything. Fails if a ref, or an object that other checks need, cannot be read.
    pub fn fsck(&self, options: FsckOptions) -> Result<Report, Error> {
        let mut report = Report::default();
        let (mut known, mut commits, mut tips) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, tip) in self.repository.refs_under(layout::REFS_PREFIX)? {
            report.refs += 1;
            match name.parse::<CommitId>() {
                Ok(commit) => {
                    self.check_ref(&commit, tip, &mut report, &mut known, &mut commits)?;
                    tips.insert(commit, tip);
                }
                Err(invalid) => report.findings.push(Finding::new(
                    Code::RefName,
                    &format!("{}{name}", layout::REFS_PREFIX),
                    invalid.to_string(),
                )),
            }
        }
        (report.records, report.commits) = (known.len(), commits.len());
        report.findings.extend(cross_record::check(&known));
        self.check_notes(&known, &tips, &mut report)?;
        self.check_tracking(&tips, &mut report)?;
        if options.signatures {
            self.check_signatures(&commits, &mut report)?;
        }
        report.findings.sort_by(|a, b| {
            (a.severity, &a.reference, &a.file, a.code).cmp(&(b.severity, &b.reference, &b.file, b.code))
        });
        Ok(report)
    }

    fn check_ref(
        &self,
        commit: &CommitId,
        tip: Oid,
        report: &mut Report,
        known: &mut Vec<RecordAt>,
        commits: &mut Vec<Commit>,
    ) -> Result<(), Error> {
        let reference = layout::ref_name(commit);
        let chain = Chain::walk(self.repository, commit, tip)?;
        self.check_placeholders(commit, &chain.placeholders, report)?;
        report.findings.extend(chain.findings);
        commits.extend(chain.links.into_iter().map(|link| Commit { reference: reference.clone(), link }));
        let files = match self.repository.commit(tip).and_then(|data| self.repository.directory(data.tree)) {
            Ok(root) => match root.get(layout::DIRECTORY) {
                Some(entry) if entry.is_tree() => self.repository.directory(entry.id)?,
                _ => BTreeMap::new(),
            },
            // The check of the chain has reported the unreadable tip.
            Err(_) => return Ok(()),
        };
        for (file, entry) in &files {
            let path = format!("{}/{file}", layout::DIRECTORY);
            let finding =
                |code, message: &str| Finding::new(code, &reference, message).file(path.clone()).at(tip);
            let sibling = file.strip_suffix(".sql").map(|stem| format!("{stem}.json"));
            match (layout::record_of(file), sibling) {
                (Some(id), _) if entry.is_file() => {
                    let Ok(bytes) = self.repository.blob(entry.id) else { continue };
                    let checked = record::check(id, commit, &bytes);
                    // The check of the chain has reported files that are no records.
                    let said = report.findings.iter().any(|finding| {
                        finding.code == Code::RecordUnreadable
                            && finding.reference == reference
                            && finding.file == path
                    });
                    let news = |(code, _): &(Code, String)| !(said && *code == Code::RecordUnreadable);
                    report.findings.extend(
                        checked
                            .findings
                            .into_iter()
                            .filter(news)
                            .map(|(code, message)| finding(code, &message)),
                    );
                    if let Some(folded) = checked.folded {
                        let schema = files.get(&format!("{id}.sql")).map(|entry| entry.id);
                        known.push(RecordAt { backup: folded.backup, reference: reference.clone(), schema });
                    }
                }
                (None, Some(record)) if is_recorded_schema(file, entry) => {
                    if !files.contains_key(&record) {
                        let message = "there is no record of this backup";
                        report.findings.push(finding(Code::SchemaWithoutRecord, message));
                    }
                }
                _ => {
                    report
                        .findings
                        .push(finding(Code::ForeignFile, "the file does not belong to the ledger"));
                }
            }
        }
        Ok(())
    }

    /// Checks that the local refs contain the tracking refs: after a synchronisation they do.
    fn check_tracking(&self, tips: &BTreeMap<CommitId, Oid>, report: &mut Report) -> Result<(), Error> {
        for (name, theirs) in self.repository.refs_under(layout::TRACKING_PREFIX)? {
            let Some((remote, commit)) = name.rsplit_once("/backups/") else { continue };
            let Ok(commit) = commit.parse::<CommitId>() else { continue };
            let whole = match tips.get(&commit) {
                // The check of the chain has reported a history that ends too early.
                Some(ours) => self.repository.contains(*ours, theirs, Oid::from(&commit)).unwrap_or(true),
                None => false,
            };
            if !whole {
                let message = format!("`{remote}` has ledger commits that are not here");
                let reference = layout::ref_name(&commit);
                report.findings.push(Finding::new(Code::Behind, &reference, message).at(theirs));
            }
        }
        Ok(())
    }

    fn check_signatures(&self, commits: &[Commit], report: &mut Report) -> Result<(), Error> {
        let ids: Vec<Oid> = commits.iter().map(|commit| commit.link.id).collect();
        let signatures = self.repository.signatures(&ids)?;
        for commit in commits {
            let signature = signatures.get(&commit.link.id);
            report.findings.extend(signers::check(&commit.reference, &commit.link, signature));
        }
        let unchecked =
            signatures.iter().find(|(_, signature)| signature.verdict == SignatureVerdict::Unchecked);
        let format = unchecked.map(|(id, _)| self.repository.signature_format(*id)).transpose()?.flatten();
        if format.as_deref() == Some("SSH SIGNATURE") && !self.repository.has_allowed_signers()? {
            let message = "gpg.ssh.allowedSignersFile is not set, so no key is trusted";
            report.findings.push(Finding::new(Code::NoSigners, layout::REFS_PREFIX, message));
        }
        // After an attacker has removed commits, all remaining ones may be signed. But the notes still
        // list the records of the missing commits.
        for finding in &mut report.findings {
            if matches!(finding.code, Code::NoteStale | Code::NoteOrphan) {
                finding.severity = Severity::Error;
            }
        }
        Ok(())
    }

    /// Returns for each event of `commit` the ledger commit that added it. Fails if a ref or object
    /// cannot be read.
    pub fn commits_of_events(&self, commit: &CommitId) -> Result<BTreeMap<String, Oid>, Error> {
        let Some(tip) = self.repository.ref_tip(&layout::ref_name(commit))? else {
            return Ok(BTreeMap::new());
        };
        let chain = Chain::walk(self.repository, commit, tip)?;
        let added = |link: Link| link.added.into_iter().map(move |Added { id, .. }| (id, link.id));
        Ok(chain.links.into_iter().flat_map(added).collect())
    }

    /// Returns for each event of `commit` the signature of the ledger commit that added it. Fails if a
    /// ref or object cannot be read, or if git cannot check signatures.
    pub fn signatures_of_events(&self, commit: &CommitId) -> Result<BTreeMap<String, Signature>, Error> {
        let Some(tip) = self.repository.ref_tip(&layout::ref_name(commit))? else {
            return Ok(BTreeMap::new());
        };
        let chain = Chain::walk(self.repository, commit, tip)?;
        let ids: Vec<Oid> = chain.links.iter().map(|link| link.id).collect();
        let signatures = self.repository.signatures(&ids)?;
        let mut events = BTreeMap::new();
        for link in chain.links {
            let Some(signature) = signatures.get(&link.id) else { continue };
            // An event that was altered has the signature of its last version.
            events.extend(link.added.into_iter().map(|Added { id, .. }| (id, signature.clone())));
        }
        Ok(events)
    }
}

fn is_recorded_schema(file: &str, entry: &TreeEntry) -> bool {
    let stem = file.strip_suffix(".sql").unwrap_or_default();
    entry.is_file() && layout::record_of(&format!("{stem}.json")).is_some()
}
