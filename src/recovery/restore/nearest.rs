//! The coverage of branches: the nearest restorable commit of each tip.

use crate::git::{self, Branch as GitBranch, Oid, Repository};
use crate::report::{BackupIndex, Branch, History, ahead_of_one};

/// Returns the coverage of branches. Fails if the history cannot be read.
pub fn branch_coverage(
    branches: Vec<GitBranch>,
    records: &BackupIndex<Oid>,
    repository: &Repository,
) -> Result<Vec<Branch>, git::Error> {
    let tips: Vec<Oid> = branches.iter().map(|branch| branch.tip).collect();
    let nearest = nearest(&tips, records, repository)?;
    let one = |(branch, nearest): (GitBranch, Option<(Oid, usize)>)| {
        let tip = records.coverage(branch.tip).named(Oid::to_commit);
        let (nearest, commits_since) = nearest.unzip();
        Branch { branch: branch.name, tip, nearest: nearest.map(Oid::to_commit), commits_since }
    };
    Ok(branches.into_iter().zip(nearest).map(one).collect())
}

/// Returns the nearest restorable commit of each tip, and the number of commits of the tip that it
/// lacks. If a limited number of commits gives no answer, the whole history is walked once for all
/// remaining tips.
fn nearest(
    tips: &[Oid],
    records: &BackupIndex<Oid>,
    repository: &Repository,
) -> Result<Vec<Option<(Oid, usize)>>, git::Error> {
    /// The maximum number of commits that are walked for all tips together in the limited search.
    const FEW: usize = 1000;
    let good = |commit: &Oid| records.restorable(commit);
    let (mut found, mut far) = (Vec::with_capacity(tips.len()), Vec::new());
    for tip in tips {
        let mut near = good(tip).then_some((*tip, 0));
        // If one tip has no backup nearby, other tips usually have none either.
        if near.is_none() && far.is_empty() {
            let ahead = repository.ahead(*tip, FEW, |commit| good(&commit)).unwrap_or_default();
            near = ahead.and_then(|ahead| ahead_of_one(&ahead, good));
        }
        if near.is_none() {
            far.push(*tip);
        }
        found.push(near);
    }
    if far.is_empty() || !records.any_restorable() {
        return Ok(found);
    }
    let graph = repository.graph(&far)?;
    let mut walked = History::new(&graph).nearest(&far, good).into_iter();
    for near in found.iter_mut().filter(|near| near.is_none()) {
        *near = walked.next().flatten();
    }
    Ok(found)
}
