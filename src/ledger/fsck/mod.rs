//! Looking for everything that is not as `docs/format.md` says.
//!
//! [`Ledger::fsck`] changes nothing and reads all: every ref, every ledger
//! commit with each of its parents, every record, every note, the records
//! together, and on demand the signatures. [`Ledger::repair`] derives anew what
//! is derived, through the way of all writes; it adds commits and neither
//! touches nor drops an event. What a record says is judged without I/O
//! ([`record`], [`signers`], [`together`]).

mod chain;
mod finding;
mod notes;
mod record;
mod repair;
mod signers;
mod stand_ins;
mod together;

use std::collections::BTreeMap;

use crate::domain::{Backup, CommitId};
use crate::git::{Oid, Signature, TreeEntry, Verdict};

pub use finding::{Code, Finding, Severity};
pub(super) use record::{Facts, Loss};
pub use repair::Repaired;

use super::{Error, Ledger, layout};
use chain::{Added, Chain, Link};

/// What is to be looked at beside the content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thoroughness {
    /// Check the signature of every ledger commit.
    pub signatures: bool,
}

/// What was looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Refs that were looked at.
    pub refs: usize,
    /// Ledger commits that were looked at.
    pub commits: usize,
    /// Records that were read.
    pub records: usize,
}

impl Report {
    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// A record that could be read, and where.
struct Known {
    backup: Backup,
    reference: String,
}

/// A ledger commit with its ref.
struct Commit {
    reference: String,
    link: Link,
}

impl Ledger<'_> {
    /// Looks at everything.
    pub fn fsck(&self, thoroughness: Thoroughness) -> Result<Report, Error> {
        let mut report = Report::default();
        let (mut known, mut commits, mut tips) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, tip) in self.repository.refs_under(layout::REFS_PREFIX)? {
            report.refs += 1;
            match name.parse::<CommitId>() {
                Ok(commit) => {
                    self.look_at_ref(&commit, tip, &mut report, &mut known, &mut commits)?;
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
        report.findings.extend(together::look(&known));
        self.look_at_notes(&known, &tips, &mut report)?;
        self.look_at_tracking(&tips, &mut report)?;
        if thoroughness.signatures {
            self.look_at_signatures(&commits, &mut report)?;
        }
        report.findings.sort_by(|a, b| {
            (a.severity, &a.reference, &a.file, a.code).cmp(&(b.severity, &b.reference, &b.file, b.code))
        });
        Ok(report)
    }

    fn look_at_ref(
        &self,
        commit: &CommitId,
        tip: Oid,
        report: &mut Report,
        known: &mut Vec<Known>,
        commits: &mut Vec<Commit>,
    ) -> Result<(), Error> {
        let reference = layout::ref_name(commit);
        let chain = Chain::walk(self.repository, commit, tip)?;
        self.look_at_stand_ins(commit, &chain.stand_ins, report)?;
        report.findings.extend(chain.findings);
        commits.extend(chain.links.into_iter().map(|link| Commit { reference: reference.clone(), link }));
        let files = match self.repository.commit(tip).and_then(|data| self.repository.directory(data.tree)) {
            Ok(root) => match root.get(layout::DIRECTORY) {
                Some(entry) if entry.is_tree() => self.repository.directory(entry.id)?,
                _ => BTreeMap::new(),
            },
            // That the tip cannot be read was found in its chain.
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
                    let looked = record::look(id, commit, &bytes);
                    // What is no record at all was found in the chain.
                    let said = report.findings.iter().any(|finding| {
                        finding.code == Code::RecordUnreadable
                            && finding.reference == reference
                            && finding.file == path
                    });
                    let news = |(code, _): &(Code, String)| !(said && *code == Code::RecordUnreadable);
                    report.findings.extend(
                        looked
                            .findings
                            .into_iter()
                            .filter(news)
                            .map(|(code, message)| finding(code, &message)),
                    );
                    if let Some(folded) = looked.folded {
                        known.push(Known { backup: folded.backup, reference: reference.clone() });
                    }
                }
                (None, Some(record)) if is_recorded_schema(file, entry) => {
                    if !files.contains_key(&record) {
                        let message = "there is no record of this backup";
                        report.findings.push(finding(Code::SchemaWithoutRecord, message));
                    }
                }
                _ => report.findings.push(finding(Code::ForeignFile, "it is not of the ledger")),
            }
        }
        Ok(())
    }

    /// What remotes had when they were last seen is to be found here, too, once
    /// it was synchronised.
    fn look_at_tracking(&self, tips: &BTreeMap<CommitId, Oid>, report: &mut Report) -> Result<(), Error> {
        for (name, theirs) in self.repository.refs_under(layout::TRACKING_PREFIX)? {
            let Some((remote, commit)) = name.rsplit_once("/backups/") else { continue };
            let Ok(commit) = commit.parse::<CommitId>() else { continue };
            let whole = match tips.get(&commit) {
                // Where the history ends too early was found in the chain.
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

    fn look_at_signatures(&self, commits: &[Commit], report: &mut Report) -> Result<(), Error> {
        let ids: Vec<Oid> = commits.iter().map(|commit| commit.link.id).collect();
        let signatures = self.repository.signatures(&ids)?;
        for commit in commits {
            let signature = signatures.get(&commit.link.id);
            report.findings.extend(signers::look(&commit.reference, &commit.link, signature));
        }
        let unchecked = signatures.iter().find(|(_, signature)| signature.verdict == Verdict::Unchecked);
        let format = unchecked.map(|(id, _)| self.repository.signature_format(*id)).transpose()?.flatten();
        if format.as_deref() == Some("SSH SIGNATURE") && !self.repository.knows_signers()? {
            let message = "gpg.ssh.allowedSignersFile is not set, so that nobody's key is known";
            report.findings.push(Finding::new(Code::NoSigners, layout::REFS_PREFIX, message));
        }
        // Somebody who takes commits away leaves only signed ones behind; but
        // the notes were written together with what is missing now.
        for finding in &mut report.findings {
            if matches!(finding.code, Code::NoteStale | Code::NoteOrphan) {
                finding.severity = Severity::Error;
            }
        }
        Ok(())
    }

    /// The ledger commits of `commit` by the events that they added.
    pub fn commits_of_events(&self, commit: &CommitId) -> Result<BTreeMap<String, Oid>, Error> {
        let Some(tip) = self.repository.ref_tip(&layout::ref_name(commit))? else {
            return Ok(BTreeMap::new());
        };
        let chain = Chain::walk(self.repository, commit, tip)?;
        let added = |link: Link| link.added.into_iter().map(move |Added { id, .. }| (id, link.id));
        Ok(chain.links.into_iter().flat_map(added).collect())
    }

    /// The ledger commits of `commit` by the events that they added, with their
    /// signatures.
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
            // An event that was altered is worth what its last version is worth.
            events.extend(link.added.into_iter().map(|Added { id, .. }| (id, signature.clone())));
        }
        Ok(events)
    }
}

fn is_recorded_schema(file: &str, entry: &TreeEntry) -> bool {
    let stem = file.strip_suffix(".sql").unwrap_or_default();
    entry.is_file() && layout::record_of(&format!("{stem}.json")).is_some()
}
