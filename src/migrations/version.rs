//! The order of versions.

use std::cmp::Ordering;

use super::tool::Tool;

/// Compares two versions or names of files: digits by their value, the text between them as it is.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (runs(a), runs(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match compare_runs(x, y) {
                Ordering::Equal => {}
                order => return order,
            },
        }
    }
}

/// Splits a text into runs of digits and runs of other characters.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digits = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}

fn compare_runs(a: &str, b: &str) -> Ordering {
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    match (is_number(a), is_number(b)) {
        (true, true) => {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        }
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}

/// Returns a version in the form in which two spellings of the same number are equal: without leading
/// zeros.
pub(super) fn normal_version(version: &str) -> String {
    let normal = |run: &str| match run.starts_with(|c: char| c.is_ascii_digit()) {
        true => match run.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        },
        false => run.to_owned(),
    };
    runs(version).map(normal).collect()
}

/// Returns the form of a version in which the tool compares it.
pub(super) fn key_version(tool: Tool, version: &str) -> String {
    match tool {
        // diesel removes dashes; the others that have numbers compare them by value.
        Tool::Diesel => version.replace('-', ""),
        Tool::Flyway => flyway_version(version),
        Tool::Sqlx
        | Tool::Refinery
        | Tool::Goose
        | Tool::GolangMigrate
        | Tool::Tern
        | Tool::Ecto
        | Tool::Rails => normal_version(version),
        _ => version.to_owned(),
    }
}

/// Returns a Flyway version with dots, and without leading zeros and trailing `.0`.
fn flyway_version(version: &str) -> String {
    let dotted = normal_version(&version.replace('_', "."));
    let mut trimmed = dotted.as_str();
    while let Some(shorter) = trimmed.strip_suffix(".0") {
        trimmed = shorter;
    }
    trimmed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_value() {
        let mut versions = vec!["10", "2", "1.10", "1.2", "1", "0003", "20240101000000"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["1", "1.2", "1.10", "2", "0003", "10", "20240101000000"]);
        assert_eq!(normal_version("0003.010"), "3.10");
        assert_eq!(normal_version("000"), "0");
        assert_eq!(compare_versions("01", "1"), "01".cmp("1"));
    }
}
