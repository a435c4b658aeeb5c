//! The change sets of Liquibase's changelogs in formatted SQL, in the order in which a root changelog includes them.

use std::collections::BTreeSet;

use quick_xml::XmlVersion;
use quick_xml::events::Event;

use super::files::{Files, join, relative_to};
use super::layout::{Layout, Read, is_formatted_sql};
use super::layout_files::{LayoutFile, Named, below, file_name, is_skipped, read_text};
use super::migration::Kind;

/// Formatted SQL has one migration for each change set. Other changelogs may only include files. The tool
/// records the path of a file as it was given to the tool, which may begin elsewhere, so only the name of the
/// file is compared.
pub(super) fn liquibase(layout: &Layout, files: &Files, read: Read<'_>, named: &mut Named) {
    let (mut scripts, mut roots) = (Vec::new(), Vec::new());
    for entry in below(layout, files).into_iter().filter(|entry| !is_skipped(entry.relative)) {
        match read_text(entry.path, read) {
            Ok(text) if is_formatted_sql(&text) => scripts.push((entry, text)),
            Ok(text) => match includes(&text) {
                Some(included) => roots.push((entry, included)),
                None => named.problem(entry.path, "only change sets in formatted SQL are read"),
            },
            Err(reason) => named.problem(entry.path, reason),
        }
    }
    let order = match roots.as_slice() {
        // The order of the names, as `includeAll` has it.
        [] => scripts,
        [(root, included)] => match ordered(root, included, scripts) {
            Ok(order) => order,
            Err(reason) => return named.problem(root.path, reason),
        },
        [_, (second, _), ..] => return named.problem(second.path, "it is a second root changelog"),
    };
    for (entry, text) in &order {
        add_change_sets(entry, text, named);
    }
}

fn add_change_sets(entry: &LayoutFile<'_>, text: &str, named: &mut Named) {
    let mut is_empty = true;
    for id in text.lines().filter_map(change_set) {
        is_empty = false;
        match id.split_once(':') {
            Some((author, id)) => {
                let name = format!("{author}:{id}");
                let version = format!("{name}:{}", file_name(entry.path));
                named.add(entry.path, entry.file, &version, &name, Kind::Versioned);
            }
            None => named.problem(entry.path, format!("the change set '{id}' has no author")),
        }
    }
    if is_empty {
        named.problem(entry.path, "it has no change set");
    }
}

/// Returns the author and the id of a change set that begins with the line.
fn change_set(line: &str) -> Option<&str> {
    let words = line.trim().strip_prefix("--")?.trim_start();
    let (word, rest) = words.split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("changeset").then(|| rest.split_whitespace().next().unwrap_or_default())
}

/// A file or directory that a changelog includes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Include {
    path: String,
    /// True if all files below the path are included.
    is_all: bool,
    /// True if the path begins in the directory of the changelog.
    is_relative: bool,
}

/// Returns the includes of a changelog that has nothing else; `None` if it has, or is not understood.
fn includes(text: &str) -> Option<Vec<Include>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('<') { xml_includes(text) } else { yaml_includes(text) }
}

/// Sets an attribute of an include. Returns `None` if it is not understood, or decides whether the file is
/// included.
fn set(include: &mut Include, name: &str, value: &str) -> Option<()> {
    match name {
        "file" | "path" => include.path = value.to_owned(),
        "relativeToChangelogFile" => include.is_relative = value.parse().ok()?,
        "errorIfMissingOrEmpty" => {}
        _ => return None,
    }
    Some(())
}

/// Reads the elements of a changelog in XML.
fn xml_includes(text: &str) -> Option<Vec<Include>> {
    let mut found = Vec::new();
    let mut has_begun = false;
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => match element.name().as_ref() {
                b"databaseChangeLog" if !has_begun => {
                    has_begun = true;
                    let names: Result<Vec<_>, _> =
                        element.attributes().map(|it| it.map(|it| it.key.as_ref().to_vec())).collect();
                    if !names.ok()?.iter().all(|name| name.starts_with(b"xmlns") || name.starts_with(b"xsi:"))
                    {
                        return None;
                    }
                }
                name @ (b"include" | b"includeAll") if has_begun => {
                    let mut include = Include { is_all: name == b"includeAll", ..Include::default() };
                    for attribute in element.attributes() {
                        let attribute = attribute.ok()?;
                        let value = attribute.normalized_value(XmlVersion::default()).ok()?;
                        set(&mut include, std::str::from_utf8(attribute.key.as_ref()).ok()?, &value)?;
                    }
                    found.push(include);
                }
                _ => return None,
            },
            Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Event::End(_) | Event::Comment(_) | Event::Decl(_) => {}
            Event::Eof => return has_begun.then_some(found),
            _ => return None,
        }
    }
}

/// Reads a changelog in YAML, line by line: a list of includes, each with its attributes below it.
fn yaml_includes(text: &str) -> Option<Vec<Include>> {
    let mut found: Vec<Include> = Vec::new();
    let mut has_begun = false;
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        match line.strip_prefix("- ").map_or(line, str::trim_start) {
            "databaseChangeLog:" if !has_begun => has_begun = true,
            "include:" if has_begun => found.push(Include::default()),
            "includeAll:" if has_begun => found.push(Include { is_all: true, ..Include::default() }),
            attribute => {
                let (name, value) = attribute.split_once(':')?;
                set(found.last_mut()?, name.trim(), value.trim().trim_matches(['"', '\'']))?;
            }
        }
    }
    has_begun.then_some(found)
}

type Changelog<'a> = (LayoutFile<'a>, String);

/// Sorts the changelogs as the root includes them. Those that it does not include are left out.
///
/// # Errors
/// If an included file is not found, or several files fit: the reason.
fn ordered<'a>(
    root: &LayoutFile<'_>,
    included: &[Include],
    mut scripts: Vec<Changelog<'a>>,
) -> Result<Vec<Changelog<'a>>, String> {
    let directory = root.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut order = Vec::new();
    for Include { path, is_all, is_relative } in included {
        let path = path.trim_start_matches("classpath:").trim_start_matches("./").trim_matches('/');
        if path.is_empty() || path.contains("..") {
            return Err(format!("the path '{path}' that it includes is not read"));
        }
        let full = join(directory, path);
        let fits = |known: &str| match (is_relative, is_all) {
            (true, false) => known == full,
            (true, true) => relative_to(&full, known).is_some(),
            // It begins in a directory that the configuration of Liquibase names.
            (false, false) => known == path || known.ends_with(&format!("/{path}")),
            (false, true) => known.starts_with(&format!("{path}/")) || known.contains(&format!("/{path}/")),
        };
        let (found, rest): (Vec<_>, Vec<_>) = scripts.into_iter().partition(|(entry, _)| fits(entry.path));
        scripts = rest;
        let roots: BTreeSet<&str> =
            found.iter().map(|(entry, _)| entry.path.split(path).next().unwrap_or_default()).collect();
        match found.len() {
            0 if !is_all => return Err(format!("it includes {path}, which is not found")),
            count if (count > 1 && !is_all) || roots.len() > 1 => {
                return Err(format!("several files fit {path}, which it includes"));
            }
            _ => order.extend(found),
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::super::{MigrationHistory, Tool};
    use super::*;
    use crate::git::EntryKind;

    const ONE: &str =
        "--liquibase formatted sql\n--changeset ada:1\nselect 1;\n--changeset ada:2\nselect 2;\n";
    const TWO: &str = "--liquibase formatted sql\n--changeset ada:3\nselect 3;\n";

    fn history(root: Option<(&str, &str)>) -> MigrationHistory {
        let mut all = vec![("db/a/1.sql", ONE), ("db/b/2.sql", TWO)];
        all.extend(root);
        let files: Files = all.iter().map(|(path, _)| ((*path).to_owned(), EntryKind::File)).collect();
        let read = |path: &str| {
            let found = all.iter().find(|(known, _)| *known == path);
            Ok(found.map(|(_, text)| text.as_bytes().to_vec()).unwrap_or_default())
        };
        let layout = Layout { tool: Tool::Liquibase, directory: "db".into(), evidence: String::new() };
        MigrationHistory::of(&[layout], &files, &read).unwrap()
    }

    fn names(history: &MigrationHistory) -> Vec<&str> {
        assert_eq!(history.problems, []);
        history.migrations.iter().map(|migration| migration.name.as_str()).collect()
    }

    #[test]
    fn change_sets_are_in_the_order_of_the_root_changelog() {
        assert_eq!(names(&history(None)), ["ada:1", "ada:2", "ada:3"]);
        let yaml = "# root\ndatabaseChangeLog:\n  - include:\n      file: b/2.sql\n      relativeToChangelogFile: true\n  - includeAll:\n      path: db/a\n";
        assert_eq!(names(&history(Some(("db/root.yaml", yaml)))), ["ada:3", "ada:1", "ada:2"]);
        let xml = "<?xml version=\"1.0\"?>\n<!-- <sql/> --><databaseChangeLog xmlns=\"x\">\n<include file=\"b/2.sql\" relativeToChangelogFile=\"true\"/>\n</databaseChangeLog>\n";
        // A file that is not included is no migration.
        assert_eq!(names(&history(Some(("db/root.xml", xml)))), ["ada:3"]);
        let quotes = "<databaseChangeLog><include file = 'b/2.sql' relativeToChangelogFile = 'true'></include><includeAll path='db/&#97;'/></databaseChangeLog>";
        assert_eq!(names(&history(Some(("db/root.xml", quotes)))), ["ada:3", "ada:1", "ada:2"]);
    }

    #[test]
    fn a_changelog_with_something_else_is_a_problem() {
        for text in [
            "<databaseChangeLog><changeSet id=\"1\" author=\"a\"/></databaseChangeLog>",
            "<databaseChangeLog><include file=\"b/2.sql\" context=\"test\"/></databaseChangeLog>",
            "<databaseChangeLog><include file=\"b/2.sql\" relativeToChangelogFile=\"yes\"/></databaseChangeLog>",
            "<databaseChangeLog><includeAll path=\"db/a\" minDepth=\"2\"/></databaseChangeLog>",
            "<databaseChangeLog logicalFilePath=\"x\"><include file=\"b/2.sql\"/></databaseChangeLog>",
            "<databaseChangeLog><include file=\"&name;\"/></databaseChangeLog>",
            "<databaseChangeLog><include file=\"b/2.sql\"></databaseChangeLog>",
            "<!-- nothing -->",
            "databaseChangeLog:\n  - include:\n      file: b/2.sql\n      relativeToChangelogFile: yes\n",
            "databaseChangeLog:\n  - changeSet:\n      id: 1\n",
            "databaseChangeLog:\n  - include:\n      file: missing.sql\n",
            "databaseChangeLog:\n  - include:\n      file: ../2.sql\n",
            "databaseChangeLog:\n  - property:\n      name: x\n",
            "{\"databaseChangeLog\": []}",
        ] {
            let found = history(Some(("db/root.txt", text)));
            assert_eq!(found.problems.len(), 1, "{text}: {:?}", found.problems);
        }
    }
}
