//! Finds the nearest commit of a history with a property, for many tips at once. Pure.
//!
//! "Nearest" is the ancestor that lacks the fewest commits of the tip, as counted by `git rev-list
//! --count <ancestor>..<tip>`. All commits of an ancestor are commits of the tip, so it is the
//! ancestor with the most commits of its own. The work takes a few passes over the history, each
//! for up to 64 commits at once (one bit each), whatever the number of branches.

use std::hash::Hash;

use foldhash::{HashMap, HashMapExt as _, HashSet};

/// The number of commits in one pass, one bit each.
const AT_ONCE: usize = 64;

/// A history: commits with their parents. Parents that are not in it (in a shallow clone) are left
/// out.
#[derive(Debug, Clone)]
pub struct History<K> {
    /// Children are before their parents.
    commits: Vec<K>,
    parents: Vec<Vec<usize>>,
    places: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash> History<K> {
    /// Creates a history from commits in any order.
    pub fn new(graph: &[(K, Vec<K>)]) -> Self {
        let at: HashMap<K, usize> = graph.iter().enumerate().map(|(n, (commit, _))| (*commit, n)).collect();
        let known = |n: usize| graph[n].1.iter().filter_map(|parent| at.get(parent).copied());
        let mut children = vec![0_usize; graph.len()];
        (0..graph.len()).flat_map(known).for_each(|parent| children[parent] += 1);
        let mut ready: Vec<usize> = (0..graph.len()).filter(|n| children[*n] == 0).collect();
        let mut order = Vec::with_capacity(graph.len());
        while let Some(n) = ready.pop() {
            order.push(n);
            for parent in known(n) {
                children[parent] -= 1;
                if children[parent] == 0 {
                    ready.push(parent);
                }
            }
        }
        let commits: Vec<K> = order.iter().map(|n| graph[*n].0).collect();
        let places: HashMap<K, usize> = commits.iter().enumerate().map(|(n, commit)| (*commit, n)).collect();
        let parents = order
            .iter()
            .map(|n| graph[*n].1.iter().filter_map(|parent| places.get(parent).copied()).collect());
        Self { parents: parents.collect(), commits, places }
    }

    /// Returns for each tip its nearest commit that is `good`, and the number of commits of the tip
    /// that this commit lacks.
    pub fn nearest(&self, tips: &[K], good: impl Fn(&K) -> bool) -> Vec<Option<(K, usize)>> {
        let good: Vec<bool> = self.commits.iter().map(good).collect();
        let candidates = self.candidates(tips, &good);
        // A good tip is its own nearest commit, so nothing is counted.
        let is_good = |tip: &K| self.places.get(tip).is_some_and(|place| good[*place]);
        let behind = tips.iter().zip(&candidates).filter(|(tip, found)| !is_good(tip) && !found.is_empty());
        let mut counted: Vec<usize> = behind
            .flat_map(|(tip, found)| found.iter().copied().chain(self.places.get(tip).copied()))
            .collect();
        counted.sort_unstable();
        counted.dedup();
        let sizes: HashMap<usize, usize> = counted.iter().copied().zip(self.sizes(&counted)).collect();
        let one = |(tip, found): (&K, &Vec<usize>)| {
            if is_good(tip) {
                return Some((*tip, 0));
            }
            let size = |place: &usize| sizes.get(place).copied().unwrap_or(0);
            // Of two equally near commits, the first one in the order.
            let best = found.iter().copied().max_by_key(|place| (size(place), std::cmp::Reverse(*place)))?;
            Some((self.commits[best], size(self.places.get(tip)?).saturating_sub(size(&best))))
        };
        tips.iter().zip(&candidates).map(one).collect()
    }

    /// Returns for each tip the good commits that it reaches without passing another good one.
    /// Others are farther away.
    fn candidates(&self, tips: &[K], good: &[bool]) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); tips.len()];
        if !good.contains(&true) {
            return found;
        }
        for (chunk, tips) in tips.chunks(AT_ONCE).enumerate() {
            let starts = tips.iter().enumerate().filter_map(|(bit, tip)| Some((*self.places.get(tip)?, bit)));
            self.spread(starts, |place, bits| {
                if good[place] {
                    each_bit(bits, |bit| found[chunk * AT_ONCE + bit].push(place));
                }
                !good[place]
            });
        }
        found
    }

    /// Returns the number of commits that each of `places` reaches, including itself.
    fn sizes(&self, places: &[usize]) -> Vec<usize> {
        let mut sizes = vec![0; places.len()];
        for (chunk, places) in places.chunks(AT_ONCE).enumerate() {
            // Few sets of bits are different: they change at branching points.
            let mut groups: HashMap<u64, usize> = HashMap::new();
            let mut run = (0_u64, 0_usize);
            self.spread(places.iter().copied().zip(0..), |_, bits| {
                if run.0 != bits {
                    *groups.entry(run.0).or_default() += run.1;
                    run = (bits, 0);
                }
                run.1 += 1;
                true
            });
            *groups.entry(run.0).or_default() += run.1;
            for (bits, count) in groups {
                each_bit(bits, |bit| sizes[chunk * AT_ONCE + bit] += count);
            }
        }
        sizes
    }

    /// Propagates bits from commits to their parents. `visit` sees each commit with bits once, with
    /// all its bits, and returns whether they are propagated to its parents.
    fn spread(
        &self,
        starts: impl IntoIterator<Item = (usize, usize)>,
        mut visit: impl FnMut(usize, u64) -> bool,
    ) {
        let mut bits = vec![0_u64; self.commits.len()];
        for (place, bit) in starts {
            bits[place] |= 1 << bit;
        }
        for place in 0..bits.len() {
            let here = bits[place];
            if here != 0 && visit(place, here) {
                self.parents[place].iter().for_each(|parent| bits[*parent] |= here);
            }
        }
    }
}

/// Returns the nearest commit that is `good`, and the number of commits of a tip that it lacks. The
/// only input is `ahead`: the commits of the tip that it reaches without passing a good one, with
/// their parents. Returns `None` if that is not enough.
///
/// It is enough if all paths end at the same good commit. Then no commit of `ahead` is an ancestor
/// of it, because the paths of that commit would also have to end there.
pub fn ahead_of_one<K: Copy + Eq + Hash>(
    ahead: &[(K, Vec<K>)],
    good: impl Fn(&K) -> bool,
) -> Option<(K, usize)> {
    let known: HashSet<K> = ahead.iter().map(|(commit, _)| *commit).collect();
    let mut nearest = None;
    for (_, parents) in ahead {
        if parents.is_empty() {
            return None;
        }
        for parent in parents.iter().filter(|parent| !known.contains(*parent)) {
            if !good(parent) || nearest.is_some_and(|other| other != *parent) {
                return None;
            }
            nearest = Some(*parent);
        }
    }
    nearest.map(|commit| (commit, ahead.len()))
}

fn each_bit(mut bits: u64, mut visit: impl FnMut(usize)) {
    while bits != 0 {
        visit(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{History, ahead_of_one};

    /// A slow and simple implementation of the definition.
    fn slow(graph: &[(u32, Vec<u32>)], tip: u32, good: &BTreeSet<u32>) -> Option<usize> {
        let reach = |start: u32| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
            while let Some(commit) = next.pop() {
                if seen.insert(commit) {
                    next.extend(
                        graph.iter().filter(|(known, _)| *known == commit).flat_map(|(_, parents)| parents),
                    );
                }
            }
            seen
        };
        let all = reach(tip);
        all.intersection(good).map(|near| all.difference(&reach(*near)).count()).min()
    }

    /// Each commit has parents among the earlier ones.
    fn graphs() -> impl Strategy<Value = Vec<(u32, Vec<u32>)>> {
        proptest::collection::vec(any::<[u8; 3]>(), 1..24).prop_map(|choices| {
            let parents = |n: u32, [a, b, kind]: [u8; 3]| match (n, kind % 4) {
                (0, _) => vec![],
                (_, 3) => BTreeSet::from([u32::from(a) % n, u32::from(b) % n]).into_iter().collect(),
                _ => vec![n - 1 - u32::from(a) % n.min(3)],
            };
            (0_u32..).zip(choices).map(|(n, choice)| (n, parents(n, choice))).collect()
        })
    }

    proptest! {
        #[test]
        fn the_result_equals_the_definition(graph in graphs(), good in proptest::collection::btree_set(0_u32..24, 0..5)) {
            let tips: Vec<u32> = graph.iter().map(|(commit, _)| *commit).collect();
            let nearest = History::new(&graph).nearest(&tips, |commit| good.contains(commit));
            for (tip, found) in tips.iter().zip(nearest) {
                prop_assert_eq!(found.map(|(_, behind)| behind), slow(&graph, *tip, &good), "tip {}", tip);
            }
        }
    }

    /// The commits of `tip` that are not ancestors of a good one.
    fn ahead(graph: &[(u32, Vec<u32>)], tip: u32, good: &BTreeSet<u32>) -> Vec<(u32, Vec<u32>)> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![tip]);
        while let Some(commit) = next.pop() {
            if !good.contains(&commit) && seen.insert(commit) {
                next.extend(&graph[commit as usize].1);
            }
        }
        seen.into_iter().map(|commit| graph[commit as usize].clone()).collect()
    }

    proptest! {
        #[test]
        fn commits_ahead_of_one_good_commit_give_the_same_result(graph in graphs(), good in proptest::collection::btree_set(0_u32..24, 0..9)) {
            for (tip, _) in graph.iter().filter(|(tip, _)| !good.contains(tip)) {
                if let Some((commit, behind)) = ahead_of_one(&ahead(&graph, *tip, &good), |it| good.contains(it)) {
                    prop_assert!(good.contains(&commit));
                    prop_assert_eq!(Some(behind), slow(&graph, *tip, &good), "tip {}", tip);
                }
            }
        }
    }

    #[test]
    fn commits_ahead_give_no_result_at_a_root_or_with_two_good_commits() {
        let line = [(3, vec![2]), (2, vec![1])];
        assert_eq!(ahead_of_one(&line, |it| *it == 1), Some((1, 2)));
        assert_eq!(ahead_of_one(&line, |_| false), None);
        assert_eq!(ahead_of_one(&[(2, vec![1]), (1, vec![])], |_| false), None);
        assert_eq!(ahead_of_one(&[(3, vec![2, 1])], |_| true), None);
        assert_eq!(ahead_of_one::<u32>(&[], |_| true), None);
    }

    #[test]
    fn many_branches_over_one_history_take_few_passes() {
        const LENGTH: u32 = 20_000;
        let mut graph: Vec<(u32, Vec<u32>)> =
            (0..LENGTH).map(|n| (n, n.checked_sub(1).into_iter().collect())).collect();
        graph.extend((0..500).map(|n| (LENGTH + n, vec![LENGTH - 1 - n])));
        let tips: Vec<u32> = (LENGTH..LENGTH + 500).collect();
        let nearest = History::new(&graph).nearest(&tips, |commit| *commit == 0);
        assert_eq!(nearest[0], Some((0, LENGTH as usize)));
        assert_eq!(nearest[499], Some((0, LENGTH as usize - 499)));
        assert_eq!(History::new(&graph).nearest(&tips, |_| false), vec![None; 500]);
    }

    #[test]
    fn a_shallow_history_has_fewer_commits() {
        let history = History::new(&[(2, vec![1]), (3, vec![2])]);
        assert_eq!(history.nearest(&[3, 9], |commit| *commit == 2), [Some((2, 1)), None]);
    }
}
