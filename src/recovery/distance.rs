//! Distances of commits from a newer commit, computed from a part of the history. Pure functions.

use std::collections::HashMap;
use std::hash::Hash;

/// The maximum number of commits that are measured in one call.
pub(super) const MEASURED_MAX: usize = u64::BITS as usize;

/// Returns for each of `olds` the number of commits in `graph` that are neither that commit nor in
/// its history. The graph contains the known part of the history of a newer commit, with the parents
/// of each commit. An element is `None` if the unknown part might change the number.
pub(super) fn distances<C: Copy + Eq + Hash>(graph: &[(C, Vec<C>)], olds: &[C]) -> Vec<Option<usize>> {
    let place: HashMap<C, usize> = graph.iter().enumerate().map(|(at, (commit, _))| (*commit, at)).collect();
    let parents = |at: usize| graph[at].1.iter().filter_map(|parent| place.get(parent).copied());
    // Bit n of a commit is set if the commit is the n-th of `olds` or is in its history.
    let mut seen_by = vec![0_u64; graph.len()];
    for (bit, old) in olds.iter().enumerate().take(MEASURED_MAX) {
        if let Some(at) = place.get(old) {
            seen_by[*at] |= 1 << bit;
        }
    }
    let mut children = vec![0_usize; graph.len()];
    (0..graph.len()).flat_map(parents).for_each(|parent| children[parent] += 1);
    let mut open: Vec<usize> = (0..graph.len()).filter(|at| children[*at] == 0).collect();
    while let Some(at) = open.pop() {
        for parent in parents(at) {
            seen_by[parent] |= seen_by[at];
            children[parent] -= 1;
            if children[parent] == 0 {
                open.push(parent);
            }
        }
    }
    let goes_on = |at: &usize| parents(*at).count() < graph[*at].1.len();
    let edge = (0..graph.len()).filter(goes_on).fold(u64::MAX, |all, at| all & seen_by[at]);
    let measure = |(bit, old): (usize, &C)| {
        let is_decided = bit < MEASURED_MAX && place.contains_key(old) && edge & 1 << bit != 0;
        is_decided.then(|| seen_by.iter().filter(|seen| *seen & 1 << bit == 0).count())
    };
    olds.iter().enumerate().map(measure).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn history(graph: &[(usize, Vec<usize>)], of: usize) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::new(), vec![of]);
        while let Some(commit) = open.pop() {
            if found.insert(commit) {
                open.extend(graph.iter().filter(|(it, _)| *it == commit).flat_map(|(_, parents)| parents));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn what_is_decided_is_right(
            parents in proptest::collection::vec(proptest::collection::vec(1_usize..6, 1..3), 1..40),
            seen in 1_usize..40,
        ) {
            // Commit 0 is the oldest. Each other commit has one or two slightly older parents.
            let whole: Vec<(usize, Vec<usize>)> = (0..=parents.len())
                .rev()
                .map(|n| match n {
                    0 => (0, Vec::new()),
                    n => (n, parents[n - 1].iter().map(|back| n.saturating_sub(*back)).collect::<BTreeSet<_>>().into_iter().collect()),
                })
                .collect();
            let newest = parents.len();
            let all = history(&whole, newest);
            let graph: Vec<_> = whole.iter().filter(|(it, _)| all.contains(it)).take(seen).cloned().collect();
            let olds: Vec<usize> = graph.iter().map(|(it, _)| *it).collect();
            for (old, distance) in olds.iter().zip(distances(&graph, &olds)) {
                let exact = all.difference(&history(&whole, *old)).count();
                prop_assert!(distance.is_none_or(|distance| distance == exact), "{old}: {distance:?}, not {exact}");
                if graph.len() == all.len() {
                    prop_assert_eq!(distance, Some(exact));
                }
            }
        }
    }

    #[test]
    fn a_line_is_measured_without_its_end() {
        let graph = [(9, vec![8]), (8, vec![7]), (7, vec![6])];
        assert_eq!(distances(&graph, &[9, 8, 7, 6]), [Some(0), Some(1), Some(2), None]);
    }
}
