//! Fetches the WAL that a backup needs, from its start to its end, from the archive of a tool.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::adapter::{CataloguedFacts, IntegrityFinding, Report};
use super::external::PATIENCE;
use super::{Error, ExternalError};
use crate::domain::{WalKind, WalName};

/// The valid sizes of a WAL segment in bytes.
const SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;

/// Returns the time limit of one of several steps that have a common deadline.
pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), PATIENCE)
}

/// Fetches each segment into `pg_wal` of `data`. `fetch` writes one segment to a path, or returns a
/// description of its defect. Fails if the catalogue does not have the range of segments, or if
/// `fetch` fails.
pub(super) fn bring(
    tool: &'static str,
    facts: &CataloguedFacts,
    data: &Path,
    fetch: impl Fn(&WalName, &Path) -> Result<Result<(), String>, Error>,
) -> Result<Report, Error> {
    let named = |key: &str| facts.metadata.as_map().get(key)?.as_str()?.parse::<WalName>().ok();
    let range = named("wal_start").zip(named("wal_stop")).filter(|(first, last)| {
        [first, last].iter().all(|name| name.kind() == WalKind::Segment)
            && first.timeline() == last.timeline()
    });
    let Some((first, last)) = range else {
        let message = "the catalogue does not list the WAL segments that the backup needs".to_owned();
        return Err(Error::tool(tool, ExternalError::Unsupported(message)));
    };
    let (mut report, mut segments, mut next) = (Report::default(), 0_u64, Some(first));
    while let Some(segment) = next.take() {
        let path = data.join("pg_wal").join(segment.as_str());
        if let Err(wrong) = fetch(&segment, &path)? {
            let message = format!("WAL segment {segment}, which the backup needs, {wrong}");
            report.findings.push(IntegrityFinding::fatal(message));
            return Ok(report);
        }
        segments += 1;
        // The size of all segments is known only from the first fetched one.
        let size = fs::metadata(&path).map_err(|error| Error::directory(&path, error))?.len();
        if !SIZES.contains(&size) || !size.is_power_of_two() {
            let message = format!("WAL segment {segment}, which the backup needs, has {size} bytes");
            report.findings.push(IntegrityFinding::fatal(message));
            return Ok(report);
        }
        if segment.number(size) < last.number(size) {
            next = segment.following(size).next();
        }
    }
    report.evidence.insert("log_segments", segments);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::domain::Metadata;

    /// Returns the fetched segments and the result.
    fn brought(range: [&str; 2], size: u64, missing: &str) -> (Vec<String>, Result<Report, Error>) {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("pg_wal")).unwrap();
        let mut metadata = Metadata::default();
        metadata.insert("wal_start", range[0]);
        metadata.insert("wal_stop", range[1]);
        let facts = CataloguedFacts { metadata, ..CataloguedFacts::default() };
        let fetched = RefCell::new(Vec::new());
        let report = bring("x", &facts, data.path(), |segment, path| {
            fetched.borrow_mut().push(segment.to_string());
            if segment.as_str() == missing {
                return Ok(Err("is gone".to_owned()));
            }
            fs::File::create(path).unwrap().set_len(size).unwrap();
            Ok(Ok(()))
        });
        (fetched.into_inner(), report)
    }

    #[test]
    fn the_range_is_fetched_whatever_the_size_of_a_segment_is() {
        let range = ["0000000100000000000000FE", "000000010000000100000001"];
        let (fetched, report) = brought(range, 16 << 20, "");
        assert_eq!(fetched.len(), 4, "{fetched:?}");
        assert_eq!(report.unwrap().evidence.as_map()["log_segments"], 4);
        let range = ["000000020000000100000003", "000000020000000200000000"];
        assert_eq!(brought(range, 1 << 30, "").0, range);
        let one = ["000000010000000000000002"; 2];
        assert_eq!(brought(one, 1 << 20, "").0, [one[0]]);
    }

    #[test]
    fn what_is_missing_or_odd_is_found_and_what_makes_no_sense_is_refused() {
        let range = ["000000010000000000000002", "000000010000000000000004"];
        let (fetched, report) = brought(range, 16 << 20, "000000010000000000000003");
        assert_eq!(fetched.len(), 2);
        let expected = "WAL segment 000000010000000000000003, which the backup needs, is gone";
        assert_eq!(report.unwrap().findings, [IntegrityFinding::fatal(expected)]);
        let (_, odd) = brought(range, 12345, "");
        assert!(odd.unwrap().is_fatal());
        for range in [["x", "y"], ["000000010000000000000002", "000000020000000000000004"]] {
            assert!(brought(range, 16 << 20, "").1.is_err(), "{range:?}");
        }
    }
}
