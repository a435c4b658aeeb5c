//! The difference between two schemas by object. Pure functions over outputs of `pg_dump --schema-only`.

use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of objects that are named.
const NAMED_MAX: usize = 20;

/// An object of a schema: its type, such as `table`, and its name with the schema.
type Name = (String, String);

/// Returns one line for each object that differs: `+ table public.follow`, `- view public.v`,
/// `~ column public.users.bio: text -> character varying(80)`. Lines for which `is_ignored` returns true do
/// not count.
pub(super) fn summary(expected: &str, actual: &str, is_ignored: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (old, new) = (objects(expected, is_ignored), objects(actual, is_ignored));
    let names: BTreeSet<&Name> = old.keys().chain(new.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        let shown = format!("{} {}", name.0, name.1);
        match (old.get(name), new.get(name)) {
            (None, _) => lines.push(format!("+ {shown}")),
            (Some(_), None) => lines.push(format!("- {shown}")),
            (Some(old), Some(new)) if old != new => lines.extend(changes(name, old, new)),
            (Some(_), Some(_)) => {}
        }
    }
    let more = lines.len().saturating_sub(NAMED_MAX);
    lines.truncate(NAMED_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Returns the statements of each object. pg_dump begins each with a comment of three lines, of which the
/// second is `-- Name: users; Type: TABLE; Schema: public; Owner: ada`.
fn objects<'a>(schema: &'a str, is_ignored: &dyn Fn(&str) -> bool) -> BTreeMap<Name, Vec<&'a str>> {
    let mut objects: BTreeMap<Name, Vec<&str>> = BTreeMap::new();
    let mut at: Option<Name> = None;
    for line in schema.split('\n') {
        if let Some(name) = named(line) {
            at = Some(name);
        } else if let Some(name) = &at
            && !line.is_empty()
            && line != "--"
            && !is_ignored(line)
        {
            objects.entry(name.clone()).or_default().push(line);
        }
    }
    objects
}

fn named(line: &str) -> Option<Name> {
    let rest = line.strip_prefix("-- Name: ")?;
    let (name, rest) = rest.split_once("; Type: ")?;
    let (kind, rest) = rest.split_once("; Schema: ")?;
    let schema = rest.split_once(';').map_or(rest, |(schema, _)| schema);
    let name = if schema == "-" { name.to_owned() } else { format!("{schema}.{name}") };
    Some((kind.to_lowercase(), name))
}

/// Returns the changes of an object that both schemas have.
fn changes((kind, name): &Name, old: &[&str], new: &[&str]) -> Vec<String> {
    let whole = |what: &str| vec![format!("~ {kind} {name}{what}")];
    let without_line_ends =
        |lines: &[&str]| lines.iter().map(|line| line.replace('\r', "")).collect::<Vec<_>>();
    if without_line_ends(old) == without_line_ends(new) {
        return whole(": line ends");
    }
    let is_owner = |line: &&&str| line.starts_with("ALTER ") && line.contains(" OWNER TO ");
    if old.iter().filter(|line| !is_owner(line)).eq(new.iter().filter(|line| !is_owner(line))) {
        return whole(": owner");
    }
    let (before, after) = (columns(old), columns(new));
    let mut lines = Vec::new();
    for (column, definition) in &before {
        match after.iter().find(|(other, _)| other == column) {
            None => lines.push(format!("- column {name}.{column}")),
            Some((_, other)) if other != definition => {
                lines.push(format!("~ column {name}.{column}: {definition} -> {other}"));
            }
            Some(_) => {}
        }
    }
    let is_new = |(column, _): &&(&str, &str)| !before.iter().any(|(other, _)| other == column);
    let added = after.iter().filter(is_new);
    lines.extend(added.map(|(column, definition)| format!("+ column {name}.{column}: {definition}")));
    if lines.is_empty() && before != after {
        lines.extend(whole(": order of columns"));
    }
    if lines.is_empty() || !others(old).eq(others(new)) {
        lines.extend(whole(""));
    }
    lines
}

/// Returns the statements of an object without the columns of a table.
fn others<'a>(statements: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let columns = body(statements);
    statements.iter().copied().filter(move |line| !(columns.contains(line) && column(line).is_some()))
}

/// Returns the columns of a table with their definitions, in order; none for other objects.
fn columns<'a>(statements: &'a [&'a str]) -> Vec<(&'a str, &'a str)> {
    body(statements).iter().filter_map(|line| column(line)).collect()
}

/// Returns the lines between the parentheses of a table.
fn body<'a>(statements: &'a [&'a str]) -> &'a [&'a str] {
    let is_begin = |line: &&str| line.starts_with("CREATE ") && line.ends_with('(');
    let Some(begin) = statements.iter().position(is_begin) else { return &[] };
    let body = &statements[begin + 1..];
    let end = body.iter().position(|line| !line.starts_with(' ')).unwrap_or(body.len());
    &body[..end]
}

/// Returns the name and the definition of a column; `None` if the line is a constraint.
fn column(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_end_matches(',');
    let end = match line.strip_prefix('"') {
        Some(rest) => rest.find('"')? + 2,
        None => line.find(' ')?,
    };
    let (name, definition) = line.split_at_checked(end)?;
    (name != "CONSTRAINT").then_some((name, definition.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, kind: &str, sql: &str) -> String {
        format!("--\n-- Name: {name}; Type: {kind}; Schema: public; Owner: ada\n--\n\n{sql}\n\n")
    }

    fn table(name: &str, columns: &str) -> String {
        object(
            name,
            "TABLE",
            &format!("CREATE TABLE public.{name} (\n    {}\n);", columns.replace(", ", ",\n    ")),
        )
    }

    fn between(old: &str, new: &str) -> Vec<String> {
        summary(old, new, &|_| false)
    }

    #[test]
    fn objects_and_columns_are_named() {
        let old =
            table("users", "id integer NOT NULL, bio text, \"odd name\" text") + &object("v", "VIEW", "a");
        let new = table("users", "id integer NOT NULL, bio character varying(80), born date")
            + &table("follow", "a integer")
            + &object("v", "VIEW", "b");
        let expected = [
            "+ table public.follow",
            "~ column public.users.bio: text -> character varying(80)",
            "- column public.users.\"odd name\"",
            "+ column public.users.born: date",
            "~ view public.v",
        ];
        assert_eq!(between(&old, &new), expected);
        assert_eq!(between(&new, &old).len(), 5);
        assert_eq!(between(&old, &old), [""; 0]);
    }

    #[test]
    fn order_owners_and_line_ends_are_named_as_such() {
        let (ab, ba) = (table("t", "a integer, b text"), table("t", "b text, a integer"));
        assert_eq!(between(&ab, &ba), ["~ table public.t: order of columns"]);
        let owned =
            |owner: &str| table("t", "a integer") + &format!("ALTER TABLE public.t OWNER TO {owner};\n");
        assert_eq!(between(&owned("ada"), &owned("eve")), ["~ table public.t: owner"]);
        assert_eq!(summary(&owned("ada"), &owned("eve"), &|line| line.contains(" OWNER TO ")), [""; 0]);
        let (unix, dos) = (object("f()", "FUNCTION", "x\ny"), object("f()", "FUNCTION", "x\r\ny"));
        assert_eq!(between(&unix, &dos), ["~ function public.f(): line ends"]);
        let primary = table("t", "a integer, CONSTRAINT c CHECK ((a > 0))");
        let other = table("t", "a integer, CONSTRAINT c CHECK ((a > 1))");
        assert_eq!(between(&primary, &other), ["~ table public.t"]);
        // A difference beside the columns is not hidden by them.
        let more = table("t", "a bigint, CONSTRAINT c CHECK ((a > 1))");
        let both = ["~ column public.t.a: integer -> bigint", "~ table public.t"];
        assert_eq!(between(&primary, &more), both);
    }

    #[test]
    fn many_differences_are_counted_and_odd_input_is_taken() {
        let many: String = (0..30).map(|n| table(&format!("t{n}"), "a integer")).collect();
        let lines = between("", &many);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (NAMED_MAX + 1, "and 10 more"));
        for odd in ["-- Name: ", "-- Name: x; Type: TABLE; Schema: -", "--\n--\n", "\u{0}"] {
            between(odd, &table("t", "\" integer, , \"x"));
        }
    }
}
