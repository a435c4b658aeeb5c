//! Chooses the backup that an incremental or differential one builds on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Error;
use super::create::{BackupContext, BackupRequest};
use crate::domain::{Backup, BackupId, BackupType, ChainError, Line, Status, dependency_chain};
use crate::ledger::{Filter, Ledger, Row};
use crate::pg::ServerFacts;
use crate::tools::adapter::BackupBase;

/// The number of newest records that are read first. Older ones are read only if the tool cannot
/// build on any of these.
const CANDIDATES_AT_FIRST: usize = 16;

/// Chooses the parent of a backup of the requested type. Returns the type with its parent, and the
/// backups that it depends on, the full backup first. The parent is the newest backup that the tool
/// can build on. A backup whose dependencies form a cycle is never chosen.
///
/// # Errors
/// Fails if a record cannot be read, or if the tool does not make backups of this type.
pub(super) fn choose_base(
    context: &BackupContext<'_>,
    request: &BackupRequest,
    facts: &ServerFacts,
) -> Result<(BackupBase, Vec<Backup>), Error> {
    if request.kind == BackupType::Full {
        return Ok((context.adapter.choose_base(request.kind, facts, &[])?, Vec::new()));
    }
    let filter = Filter {
        databases: vec![request.database.name.clone()],
        statuses: vec![Status::Completed],
        tools: vec![Line::lossy(context.adapter.name())],
        ..Filter::default()
    };
    let overview = context.ledger.overview()?;
    let mut rows = overview.select(&filter);
    rows.sort_by_key(|row| Reverse((row.completed_at(), row.id())));
    let mut candidates = Candidates { ledger: &context.ledger, rows: &rows, read: BTreeMap::new() };
    let mut count = CANDIDATES_AT_FIRST;
    loop {
        let newest: Vec<BackupId> = rows.iter().take(count).map(Row::id).collect();
        let known = candidates.with_chains(&newest)?;
        let known: Vec<&Backup> = known.iter().collect();
        let basis = context.adapter.choose_base(request.kind, facts, &known)?;
        let parent = basis.parent.as_ref().map(|parent| parent.id);
        let is_newest = parent.is_some_and(|parent| newest.contains(&parent));
        if is_newest || count >= rows.len() {
            let chain = parent.map(|parent| candidates.chain_of(parent)).transpose()?.flatten();
            return Ok((basis, chain.unwrap_or_default()));
        }
        count = count.saturating_mul(8);
    }
}

/// The records among which the parent is chosen. Each is read only when it is needed, because a
/// ledger may have a hundred thousand of them.
struct Candidates<'a> {
    ledger: &'a Ledger<'a>,
    rows: &'a [Row<'a>],
    read: BTreeMap<BackupId, Backup>,
}

impl Candidates<'_> {
    /// Returns the backup, if it is one of the candidates.
    fn get(&mut self, id: BackupId) -> Result<Option<Backup>, Error> {
        if let Some(backup) = self.read.get(&id) {
            return Ok(Some(backup.clone()));
        }
        let Some(row) = self.rows.iter().find(|row| row.id() == id) else { return Ok(None) };
        let backup = self.ledger.entry(row)?.backup;
        self.read.insert(id, backup.clone());
        Ok(Some(backup))
    }

    /// Returns the backup `id` and those that it depends on, the full backup first, or `None` if
    /// they form a cycle. The chain ends at a backup that is not a candidate: the tool decides
    /// whether that is enough.
    fn chain_of(&mut self, id: BackupId) -> Result<Option<Vec<Backup>>, Error> {
        let Some(backup) = self.get(id)? else { return Ok(None) };
        let mut chain = vec![backup.clone()];
        let walked = dependency_chain(backup.id, backup.parent(), |id| {
            let member = self.get(id)?;
            chain.extend(member.clone());
            Ok(member.map(|member| ((), member.parent())))
        });
        match walked {
            Ok(_) | Err(ChainError::Missing(_)) => {}
            Err(ChainError::Cycle(_)) => return Ok(None),
            Err(ChainError::Lookup(error)) => return Err(error),
        }
        chain.reverse();
        Ok(Some(chain))
    }

    /// Returns the backups of `newest` that are not part of a cycle, in that order, followed by the
    /// other members of their chains.
    fn with_chains(&mut self, newest: &[BackupId]) -> Result<Vec<Backup>, Error> {
        let (mut usable, mut needed) = (Vec::new(), BTreeMap::new());
        for id in newest {
            let Some(mut chain) = self.chain_of(*id)? else { continue };
            usable.extend(chain.pop());
            needed.extend(chain.into_iter().map(|member| (member.id, member)));
        }
        needed.retain(|id, _| !newest.contains(id));
        usable.extend(needed.into_values().rev());
        Ok(usable)
    }
}
