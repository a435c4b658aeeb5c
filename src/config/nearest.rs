//! "Did you mean": the most similar name to a misspelt one.

/// Returns the candidate that is most similar to `given`, if it is similar enough.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&given, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_likely_names_are_offered() {
        let names = ["compressionLevel", "output", "database", "url"];
        assert_eq!(nearest("compresionlevel", names), Some("compressionLevel"));
        assert_eq!(nearest("ouput", names), Some("output"));
        assert_eq!(nearest("zzz", names), None);
        assert_eq!(nearest("", names), None);
    }
}
