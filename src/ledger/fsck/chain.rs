//! Checks the chain of ledger commits of one schema commit, from its root to its tip.
//!
//! Every ledger commit is compared with each of its parents: it may only add events, and nothing else
//! may change.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::domain::CommitId;
use crate::git::{self, Directory, Oid, Repository};

use super::record::{EventLoss, StoredEvents};
use super::{Code, Finding};
use crate::ledger::layout;
use crate::ledger::root::is_placeholder;

/// Maximum number of paths of a changed schema that are named.
const PATHS_SHOWN: usize = 5;
/// Maximum number of parsed versions of records in the cache.
const REMEMBERED: usize = 64;

/// An event that a ledger commit added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) file: String,
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) by: String,
}

/// One ledger commit.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: Oid,
    pub(super) added: Vec<Added>,
}

/// The tree of a commit, split into the files of the schema and those of the ledger.
struct Content {
    schema: Directory,
    records: Directory,
}

/// The check of one chain.
pub(super) struct Chain<'a> {
    repository: &'a Repository,
    reference: String,
    schema_commit: Oid,
    contents: BTreeMap<Oid, Rc<Content>>,
    remembered: BTreeMap<Oid, Rc<Result<StoredEvents, String>>>,
    reported: BTreeSet<Oid>,
    /// The placeholders for the schema commit, if it is in another repository.
    pub(super) placeholders: Vec<Oid>,
    /// True if a ledger commit has the schema commit itself as its parent.
    continues: bool,
    pub(super) findings: Vec<Finding>,
    pub(super) links: Vec<Link>,
}

impl<'a> Chain<'a> {
    /// Checks all ledger commits between `commit` and `tip`. Fails if a tree cannot be compared.
    pub(super) fn walk(repository: &'a Repository, commit: &CommitId, tip: Oid) -> Result<Self, git::Error> {
        let mut chain = Self {
            repository,
            reference: layout::ref_name(commit),
            schema_commit: Oid::from(commit),
            contents: BTreeMap::new(),
            remembered: BTreeMap::new(),
            reported: BTreeSet::new(),
            placeholders: Vec::new(),
            continues: false,
            findings: Vec::new(),
            links: Vec::new(),
        };
        let order = chain.order(commit, tip);
        let base = chain.base();
        let mut children = BTreeMap::<Oid, usize>::new();
        for parent in order.iter().flat_map(|(_, parents)| parents) {
            *children.entry(*parent).or_default() += 1;
        }
        for (id, parents) in order {
            chain.check(id, &parents, base.as_deref())?;
            // A tree is kept until its last child has been compared with it.
            for parent in parents {
                let left = children.entry(parent).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    chain.contents.remove(&parent);
                }
            }
        }
        Ok(chain)
    }

    fn found(&mut self, code: Code, message: impl Into<String>) -> &mut Finding {
        self.findings.push(Finding::new(code, &self.reference, message));
        self.findings.last_mut().expect("one was just added")
    }

    /// Returns the ledger commits, parents before their children, each with its parents that are ledger
    /// commits.
    fn order(&mut self, commit: &CommitId, tip: Oid) -> Vec<(Oid, Vec<Oid>)> {
        let trailer = format!("Schema-Commit: {commit}");
        let (mut order, mut known) = (Vec::new(), BTreeMap::<Oid, Option<Vec<Oid>>>::new());
        let mut stack = vec![(tip, false)];
        while let Some((id, children_first)) = stack.pop() {
            if children_first {
                if let Some(Some(parents)) = known.get(&id) {
                    let is_ledger = |parent: &Oid| matches!(known.get(parent), Some(Some(_)));
                    order.push((id, parents.iter().copied().filter(is_ledger).collect()));
                }
                continue;
            }
            self.continues |= id == self.schema_commit;
            if known.contains_key(&id) || id == self.schema_commit {
                continue;
            }
            let parents = match self.repository.commit(id) {
                Ok(data) if is_placeholder(self.repository, &data, commit) => {
                    self.placeholders.push(id);
                    None
                }
                Ok(data) if data.message.lines().any(|line| line == trailer) => Some(data.parents),
                Ok(data) => {
                    let message =
                        format!("{id} ({}) is not a ledger commit of {}", data.subject, commit.short());
                    self.found(Code::ChainBroken, message).commit = Some(id);
                    None
                }
                Err(error) => {
                    self.unreadable(id, &error);
                    None
                }
            };
            if parents.as_ref().is_some_and(Vec::is_empty) {
                let message = format!("the history of {id} does not lead to the schema commit");
                self.found(Code::ChainBroken, message).commit = Some(id);
            }
            stack.push((id, true));
            stack.extend(parents.iter().flatten().map(|parent| (*parent, false)));
            known.insert(id, parents);
        }
        order
    }

    fn unreadable(&mut self, id: Oid, error: &git::Error) {
        let code = match error {
            git::Error::Missing { shallow: true, .. } => Code::Shallow,
            _ => Code::ObjectMissing,
        };
        self.found(code, error.to_string()).commit = Some(id);
    }

    /// Returns the tree of the schema commit or of its placeholder.
    fn base(&mut self) -> Option<Rc<Content>> {
        if !self.continues {
            let placeholders: Vec<_> =
                self.placeholders.clone().into_iter().filter_map(|id| self.content(id).ok()).collect();
            // A placeholder that was written without the schema commit has no files.
            let whole = placeholders.iter().find(|content| !content.schema.is_empty());
            if let Some(content) = whole.or(placeholders.first()) {
                return Some(Rc::clone(content));
            }
        }
        match self.content(self.schema_commit) {
            Ok(content) => Some(content),
            Err(error) => {
                let shallow = matches!(error, git::Error::Missing { shallow: true, .. });
                let code = if shallow { Code::Shallow } else { Code::SchemaCommitMissing };
                self.found(code, error.to_string());
                None
            }
        }
    }

    fn content(&mut self, id: Oid) -> Result<Rc<Content>, git::Error> {
        if let Some(content) = self.contents.get(&id) {
            return Ok(Rc::clone(content));
        }
        let mut schema = self.repository.directory(self.repository.commit(id)?.tree)?;
        let records = match schema.remove(layout::DIRECTORY) {
            Some(entry) if entry.is_tree() => self.repository.directory(entry.id)?,
            _ => Directory::new(),
        };
        let content = Rc::new(Content { schema, records });
        self.contents.insert(id, Rc::clone(&content));
        Ok(content)
    }

    fn check(&mut self, id: Oid, parents: &[Oid], base: Option<&Content>) -> Result<(), git::Error> {
        let content = match self.content(id) {
            Ok(content) => content,
            Err(error) => {
                self.unreadable(id, &error);
                return Ok(());
            }
        };
        let before: Vec<Rc<Content>> =
            parents.iter().filter_map(|parent| self.contents.get(parent).map(Rc::clone)).collect();
        if let Some(base) = base
            && content.schema != base.schema
            && (!content.schema.is_empty() || self.placeholders.is_empty())
            && before.iter().all(|parent| parent.schema != content.schema)
        {
            let paths = self.repository.differing_paths(&base.schema, &content.schema, PATHS_SHOWN)?;
            self.found(Code::SchemaChanged, format!("the commit changes the schema: {}", paths.join(", ")))
                .commit = Some(id);
        }
        let mut added = Vec::new();
        for (file, entry) in &content.records {
            if before.iter().any(|parent| parent.records.get(file) == Some(entry))
                || layout::record_of(file).is_none()
            {
                continue;
            }
            let facts = self.facts(entry.id);
            match facts.as_ref() {
                Ok(facts) => self.new_version(id, file, facts, &before, &mut added),
                Err(reason) if self.reported.insert(entry.id) => {
                    self.findings.push(
                        Finding::new(Code::RecordUnreadable, &self.reference, reason).file(path(file)).at(id),
                    );
                }
                Err(_) => {}
            }
        }
        self.losses(id, &content, &before);
        self.links.push(Link { id, added });
        Ok(())
    }

    /// Collects the events of `file` that none of the parents has, and reports ids that two events share.
    fn new_version(
        &mut self,
        id: Oid,
        file: &str,
        facts: &StoredEvents,
        before: &[Rc<Content>],
        added: &mut Vec<Added>,
    ) {
        let old: Vec<_> = before
            .iter()
            .filter_map(|parent| parent.records.get(file))
            .map(|entry| self.facts(entry.id))
            .collect();
        for (event, written) in &facts.0 {
            let known = |fact| {
                old.iter()
                    .filter_map(|facts| facts.as_ref().as_ref().ok())
                    .any(|facts| facts.0.get(event).is_some_and(|known| known.contains(fact)))
            };
            for fact in written.iter().filter(|fact| !known(fact)) {
                added.push(Added {
                    file: path(file),
                    id: event.clone(),
                    kind: fact.kind.clone(),
                    by: fact.by.clone(),
                });
            }
        }
        let twice: Vec<&String> = facts.duplicate_ids().collect();
        let news = |event: &&&String| {
            !old.iter()
                .filter_map(|facts| facts.as_ref().as_ref().ok())
                .any(|facts| facts.duplicate_ids().any(|known| known == **event))
        };
        for event in twice.iter().filter(news) {
            let message = format!("two different events have the id {event}");
            self.findings
                .push(Finding::new(Code::EventTwice, &self.reference, message).file(path(file)).at(id));
        }
    }

    /// Reports the events that a parent has and this commit lacks.
    fn losses(&mut self, id: Oid, content: &Content, before: &[Rc<Content>]) {
        let mut found = BTreeSet::new();
        for parent in before {
            for (file, entry) in &parent.records {
                let now = content.records.get(file);
                if now == Some(entry) || layout::record_of(file).is_none() {
                    continue;
                }
                let Ok(old) = self.facts(entry.id).as_ref().clone() else { continue };
                let Some(now) = now else {
                    let message = format!("the record was removed, with {} events", old.0.len());
                    found.insert((path(file), Code::EventRemoved, message));
                    continue;
                };
                let Ok(new) = self.facts(now.id).as_ref().clone() else { continue };
                for loss in old.lost_in(&new) {
                    found.insert(match loss {
                        EventLoss::Removed(event) => {
                            (path(file), Code::EventRemoved, format!("event {event} was removed"))
                        }
                        EventLoss::Altered(event) => {
                            (path(file), Code::EventAltered, format!("event {event} was altered"))
                        }
                    });
                }
            }
        }
        for (file, code, message) in found {
            self.findings.push(Finding::new(code, &self.reference, message).file(file).at(id));
        }
    }

    fn facts(&mut self, blob: Oid) -> Rc<Result<StoredEvents, String>> {
        if let Some(known) = self.remembered.get(&blob) {
            return Rc::clone(known);
        }
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        let bytes = self.repository.blob(blob).map_err(|error| error.to_string());
        let facts = Rc::new(bytes.and_then(|bytes| StoredEvents::parse(&bytes)));
        self.remembered.insert(blob, Rc::clone(&facts));
        facts
    }
}

fn path(file: &str) -> String {
    format!("{}/{file}", layout::DIRECTORY)
}
