//! The range that a WAL archive covers. Pure functions.

use serde::Serialize;

use crate::domain::{Lsn, WalKind, WalName};

/// A range of WAL segments of one timeline without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ArchivedRange {
    /// The timeline.
    pub timeline: u32,
    /// The first segment.
    pub first: WalName,
    /// The last one.
    pub last: WalName,
    /// Number of segments.
    pub segments: u64,
    /// True if segments of this timeline are missing before it.
    pub gap_before: bool,
    /// The number of the first segment.
    #[serde(skip)]
    from: u64,
}

/// The range over which a backup can be recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WalCoverage {
    /// True if its own WAL is complete, so that recovery can reach consistency.
    pub consistent: bool,
    /// The LSN up to which its timeline is whole, as a number.
    pub until: u64,
}

/// Returns the ranges of all timelines. `size` is the size of a WAL segment in bytes.
pub fn wal_ranges(names: &[WalName], size: u64) -> Vec<ArchivedRange> {
    let mut segments: Vec<(u32, u64, &WalName)> = names
        .iter()
        .filter(|name| name.kind() == WalKind::Segment)
        .filter_map(|name| Some((name.timeline(), name.number(size)?, name)))
        .collect();
    segments.sort();
    segments.dedup();
    let mut runs: Vec<ArchivedRange> = Vec::new();
    for (timeline, number, name) in segments {
        match runs.last_mut().filter(|run| run.timeline == timeline) {
            Some(run) if run.from + run.segments == number => {
                run.last = name.clone();
                run.segments += 1;
            }
            same => {
                let gap_before = same.is_some();
                let (first, last) = (name.clone(), name.clone());
                runs.push(ArchivedRange { timeline, first, last, segments: 1, gap_before, from: number });
            }
        }
    }
    runs
}

/// Returns the recoverable range of a backup on its own timeline. The backup has the given
/// `timeline`, begins at `start` and ends at `stop`.
pub fn wal_coverage(runs: &[ArchivedRange], timeline: u32, start: Lsn, stop: Lsn, size: u64) -> WalCoverage {
    let segment = |lsn: Lsn| u64::from(lsn) / size.max(1);
    let of_start = runs.iter().find(|run| {
        run.timeline == timeline && (run.from..run.from + run.segments).contains(&segment(start))
    });
    let until = of_start.map_or(0, |run| (run.from + run.segments) * size);
    WalCoverage { consistent: until >= u64::from(stop), until }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 16 << 20;

    fn names(texts: &[&str]) -> Vec<WalName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn gaps_are_seen_within_a_timeline_and_not_between_two() {
        let runs = wal_ranges(
            &names(&[
                "000000010000000000000001",
                "000000010000000000000002",
                "000000010000000000000002.00000028.backup",
                "000000010000000000000004",
                "00000002.history",
                "000000020000000000000004",
            ]),
            SIZE,
        );
        let shown: Vec<_> = runs.iter().map(|run| (run.timeline, run.segments, run.gap_before)).collect();
        assert_eq!(shown, [(1, 2, false), (1, 1, true), (2, 1, false)]);
        let lsn = |text: &str| text.parse::<Lsn>().unwrap();
        let reached = |start: &str, stop: &str| wal_coverage(&runs, 1, lsn(start), lsn(stop), SIZE);
        assert_eq!(reached("0/2000028", "0/2000100"), WalCoverage { consistent: true, until: 3 * SIZE });
        assert!(!reached("0/2000028", "0/3000100").consistent);
        assert!(!reached("0/3000028", "0/3000100").consistent);
    }
}
