//! The nearest restorable commit of each tip of a branch.

use crate::git::{self, Oid, Repository};
use crate::report::{BackupIndex, History, ahead_of_one};

/// Returns the nearest restorable commit of each tip, and the number of commits of the tip that it
/// lacks. If a limited number of commits gives no answer, the whole history is walked once for all
/// remaining tips.
pub(super) fn nearest(
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
