//! Comparison of the schema of a restored database with the expected schema.

use similar::TextDiff;

use super::schema_objects::summary;
use crate::tools::LoadOptions;

/// The maximum number of lines of a schema difference that are shown.
const LINES_MAX: usize = 200;

/// The parts of two schemas that may differ, because the restore left them out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IgnoreInDiff {
    /// True if owners may differ.
    pub owners: bool,
    /// True if privileges may differ.
    pub privileges: bool,
    /// True if tablespaces may differ.
    pub tablespaces: bool,
}

impl IgnoreInDiff {
    /// Returns the parts that a load with these options leaves out.
    pub fn of(options: LoadOptions) -> Self {
        Self {
            owners: options.no_owner,
            privileges: options.no_privileges,
            tablespaces: options.no_tablespaces,
        }
    }

    /// Returns true if the line is a statement that may differ.
    pub(super) fn includes(self, line: &str) -> bool {
        let owner = line.starts_with("ALTER ") && line.contains(" OWNER TO ") && line.ends_with(';');
        let privilege =
            ["GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES "].iter().any(|word| line.starts_with(word));
        // pg_dump sets the tablespace of the following objects, and of no other ones.
        let tablespace = line.starts_with("SET default_tablespace = ") && line.ends_with(';');
        (self.owners && owner) || (self.privileges && privilege) || (self.tablespaces && tablespace)
    }
}

/// Returns the difference between two schemas; `None` if they are equal. It begins with one line for each
/// object that differs, and continues in the format of `diff -u`. Both inputs are normalized outputs of
/// `pg_dump --schema-only`.
pub fn diff_schemas(expected: &[u8], actual: &[u8], leniency: IgnoreInDiff) -> Option<String> {
    let lenient = leniency != IgnoreInDiff::default();
    let side = |schema: &[u8]| match lenient {
        true => comparable(&String::from_utf8_lossy(schema), leniency),
        false => String::from_utf8_lossy(schema).into_owned(),
    };
    if expected == actual {
        return None;
    }
    let (old, new) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
    let mut summary = summary(&old, &new, &|line| leniency.includes(line));
    let (expected, actual) = (side(expected), side(actual));
    if expected == actual {
        return None;
    }
    let diff = TextDiff::from_lines(&expected, &actual);
    let text = diff.unified_diff().context_radius(3).header("expected", "restored").to_string();
    let mut lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    if text.lines().nth(LINES_MAX).is_some() {
        lines.push("...");
    }
    summary.push(lines.join("\n"));
    Some(summary.join("\n"))
}

/// Returns the statements of a schema without the parts that may differ. SQL comments name owners
/// too, so they are removed.
fn comparable(schema: &str, leniency: IgnoreInDiff) -> String {
    let is_kept = |line: &&str| !line.is_empty() && !line.starts_with("--") && !leniency.includes(line);
    let kept = schema.lines().filter(is_kept);
    kept.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "--\n-- Name: t; Type: TABLE; Schema: public; Owner: ada\n--\n\nCREATE TABLE public.t (\n    a integer\n);\n\n\nALTER TABLE public.t OWNER TO ada;\n\nGRANT SELECT ON TABLE public.t TO bob;\n";

    #[test]
    fn equal_is_equal_and_a_difference_is_shown() {
        assert_eq!(diff_schemas(A.as_bytes(), A.as_bytes(), IgnoreInDiff::default()), None);
        let b = A.replace("a integer", "a bigint");
        let shown = diff_schemas(A.as_bytes(), b.as_bytes(), IgnoreInDiff::default()).unwrap();
        assert!(shown.contains("-    a integer\n+    a bigint"), "{shown}");
        assert!(shown.starts_with("~ column public.t.a: integer -> bigint\n--- expected\n"), "{shown}");
    }

    #[test]
    fn what_was_left_out_need_not_be_there() {
        let b = A.replace("ada", "eve").replace("GRANT SELECT ON TABLE public.t TO bob;\n", "");
        let both = IgnoreInDiff { owners: true, privileges: true, tablespaces: false };
        assert_eq!(diff_schemas(A.as_bytes(), b.as_bytes(), both), None);
        let owners = IgnoreInDiff { owners: true, ..IgnoreInDiff::default() };
        assert!(diff_schemas(A.as_bytes(), b.as_bytes(), owners).unwrap().contains("-GRANT SELECT"));
        assert!(diff_schemas(A.as_bytes(), b.as_bytes(), IgnoreInDiff::default()).is_some());
    }

    #[test]
    fn tablespaces_are_ignored_only_on_request() {
        let spaced = A.replace("Owner: ada", "Owner: ada; Tablespace: fast");
        let spaced = spaced.replace("CREATE", "SET default_tablespace = fast;\n\nCREATE");
        let ignored = IgnoreInDiff { tablespaces: true, ..IgnoreInDiff::default() };
        assert_eq!(diff_schemas(spaced.as_bytes(), A.as_bytes(), ignored), None);
        assert!(diff_schemas(spaced.as_bytes(), A.as_bytes(), IgnoreInDiff::default()).is_some());
        let other = A.replace("a integer", "a bigint");
        assert!(diff_schemas(spaced.as_bytes(), other.as_bytes(), ignored).is_some());
    }

    #[test]
    fn a_long_difference_is_cut() {
        let b: String = (0..1000).map(|n| format!("CREATE TABLE t{n} ();\n")).collect();
        let shown = diff_schemas(b"", b.as_bytes(), IgnoreInDiff::default()).unwrap();
        assert_eq!(shown.lines().count(), LINES_MAX + 1);
    }
}
