//! Determines whether the migrations that this program runs lead from the commit of a backup to another
//! commit. Pure functions.

use std::collections::BTreeMap;

use super::MigrationConflict;
use super::pending::{is_migration, is_undo, pending};
use super::unsupported::{UnsupportedFile, UnsupportedReason};
use crate::git::EntryKind;
use crate::migrations::is_note;
use crate::tools::{Migration, undo_part};

/// All entries below a directory except directories, by relative path. `K` is the id of the content.
pub(super) type Listing<K> = BTreeMap<String, (EntryKind, K)>;

/// The differences between two commits.
#[derive(Debug)]
pub(super) struct MigrationDiff<'a, K> {
    /// The migrations directory.
    pub directory: &'a str,
    /// The files of the directory in the old commit; `None` if there is no such directory.
    pub old: Option<&'a Listing<K>>,
    /// The files of the directory in the new commit; `None` if there is no such directory.
    pub new: Option<&'a Listing<K>>,
    /// The other files that count as schema and differ.
    pub others: Vec<String>,
}

/// The path to the new commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// The migrations to run, in order.
    pub run: Vec<String>,
    /// Files that count as schema and differ, but are not examined.
    pub unseen: Vec<String>,
}

/// Determines the path from the old commit to the new one. Fails if a file differs and this program
/// cannot rule out that the file has to be run.
pub(super) fn judge<K: PartialEq>(between: MigrationDiff<'_, K>) -> Result<Judged, MigrationConflict> {
    let MigrationDiff { directory, old, new, others } = between;
    let unseen: Vec<String> = others.into_iter().filter(|path| !is_note(file_name(path))).collect();
    if !unseen.is_empty() && (old.is_none() || new.is_none()) {
        return Err(MigrationConflict::NoDirectory { directory: directory.to_owned(), differ: unseen });
    }
    let nothing = Listing::new();
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    let differ = |path: &&String| old.get(*path) != new.get(*path);
    let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).filter(differ).collect();
    let unfit: Vec<UnsupportedFile> = paths
        .into_iter()
        .filter_map(|path| {
            let sides = [old, new];
            let why = sides.iter().find_map(|side| why_unfit(path, side.get(path)?.0, side))?;
            Some(UnsupportedFile { path: format!("{directory}/{path}"), why })
        })
        .collect();
    if !unfit.is_empty() {
        return Err(MigrationConflict::UnsupportedFile(unfit));
    }
    Ok(Judged { run: pending(&runnable(old), &runnable(new))?, unseen })
}

/// Returns all migrations of a commit in order. Fails if the directory has a file that this program
/// does not run and cannot ignore.
pub(super) fn all_migrations<K: PartialEq>(
    directory: &str,
    listing: &Listing<K>,
) -> Result<Vec<String>, Vec<UnsupportedFile>> {
    let nothing = Listing::new();
    match judge(MigrationDiff { directory, old: Some(&nothing), new: Some(listing), others: Vec::new() }) {
        Ok(judged) => Ok(judged.run),
        Err(MigrationConflict::UnsupportedFile(unfit)) => Err(unfit),
        Err(_) => unreachable!("nothing was changed or removed since nothing was there"),
    }
}

/// Fails if a file has a part that undoes the rest of the file.
pub(super) fn one_direction(directory: &str, migrations: &[Migration]) -> Result<(), Vec<UnsupportedFile>> {
    let unfit = |one: &Migration| {
        let why = UnsupportedReason::UndoPart(undo_part(&one.sql)?);
        Some(UnsupportedFile { path: format!("{directory}/{}", one.name), why })
    };
    let unfit: Vec<UnsupportedFile> = migrations.iter().filter_map(unfit).collect();
    if unfit.is_empty() { Ok(()) } else { Err(unfit) }
}

/// Returns true if an entry of the migrations directory may have to be run, judging by its name.
pub(super) fn may_run(name: &str) -> bool {
    !is_note(name) && !is_undo(name)
}

/// Returns the files that are run, from a listing without unfit files.
fn runnable<K>(listing: &Listing<K>) -> BTreeMap<String, &K> {
    let files = listing.iter().filter(|(path, _)| !path.contains('/') && is_migration(path));
    files.map(|(path, (_, id))| (path.clone(), id)).collect()
}

/// Returns the reason why a file can be neither run nor ignored, if there is one.
fn why_unfit<K>(path: &str, kind: EntryKind, siblings: &Listing<K>) -> Option<UnsupportedReason> {
    let (name, lower) = (file_name(path), path.to_ascii_lowercase());
    match kind {
        EntryKind::Submodule => return Some(UnsupportedReason::Submodule),
        // A name that is not UTF-8 is converted with replacement characters and may not be unique.
        _ if path.contains('\u{fffd}') => return Some(UnsupportedReason::NotUtf8),
        _ if is_note(name) => return None,
        EntryKind::Symlink => return Some(UnsupportedReason::Symlink),
        EntryKind::File if path.contains('/') => return Some(UnsupportedReason::Below),
        EntryKind::File if is_undo(name) => return None,
        EntryKind::File if !name.ends_with(".sql") => return Some(UnsupportedReason::NotSql),
        EntryKind::File => {}
    }
    let stem = &lower[..lower.len() - ".sql".len()];
    if UNDO_WORDS.contains(&stem) || undoes_another(stem, siblings) {
        return Some(UnsupportedReason::Undoes);
    }
    let flyway = |prefix: char| {
        let rest = name.strip_prefix(prefix)?;
        let (version, _) = rest.split_once("__")?;
        Some(version)
    };
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if flyway('U').is_some_and(is_version) {
        return Some(UnsupportedReason::Undoes);
    }
    if flyway('R').is_some_and(str::is_empty) {
        return Some(UnsupportedReason::Repeatable);
    }
    if flyway('B').is_some_and(is_version) {
        return Some(UnsupportedReason::Baseline);
    }
    let event = ["before", "after"].iter().find_map(|prefix| name.strip_prefix(prefix));
    event
        .is_some_and(|event| event.starts_with(|c: char| c.is_ascii_uppercase()))
        .then_some(UnsupportedReason::Callback)
}

const UNDO_WORDS: [&str; 4] = ["down", "undo", "revert", "rollback"];

/// Returns true if a file undoes another one, such as `x-down.sql` beside `x-up.sql`.
fn undoes_another<K>(stem: &str, siblings: &Listing<K>) -> bool {
    let has = |name: &str| siblings.keys().any(|sibling| sibling.eq_ignore_ascii_case(name));
    UNDO_WORDS.iter().any(|word| {
        let Some(base) = stem.strip_suffix(word).filter(|base| base.ends_with(['.', '-', '_'])) else {
            return false;
        };
        let plain = format!("{}.sql", &base[..base.len() - 1]);
        let forward = ["up", "do", "deploy", "apply"].map(|word| format!("{base}{word}.sql"));
        has(&plain) || forward.iter().any(|name| has(name))
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[(&str, u32)]) -> Listing<u32> {
        names.iter().map(|(name, id)| ((*name).to_owned(), (EntryKind::File, *id))).collect()
    }

    fn judged(old: &[(&str, u32)], new: &[(&str, u32)]) -> Result<Vec<String>, MigrationConflict> {
        let (old, new) = (listing(old), listing(new));
        let between =
            MigrationDiff { directory: "migrations", old: Some(&old), new: Some(&new), others: Vec::new() };
        judge(between).map(|judged| judged.run)
    }

    /// Returns the reason why a new file cannot be run.
    fn why(name: &str) -> Option<UnsupportedReason> {
        match judged(&[], &[(name, 1)]) {
            Ok(_) => None,
            Err(MigrationConflict::UnsupportedFile(mut unfit)) => {
                assert_eq!(unfit[0].path, format!("migrations/{name}"));
                Some(unfit.remove(0).why)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn plain_files_and_pairs_go_on_and_notes_do_not_matter() {
        let old = [("1_a.up.sql", 1), ("1_a.down.sql", 2), ("README.md", 3), ("atlas.sum", 4)];
        let new = [
            ("1_a.up.sql", 1),
            ("1_a.down.sql", 9),
            ("README.md", 9),
            ("atlas.sum", 9),
            ("sub/.gitkeep", 9),
            ("10_c.up.sql", 5),
            ("2_b.up.sql", 6),
            ("2_b.DOWN.sql", 7),
            ("V3__under.sql", 8),
            ("Undo__x.sql", 8),
            ("after_all.sql", 8),
            ("Rename.sql", 8),
            ("break_down.sql", 8),
        ];
        let run = [
            "2_b.up.sql",
            "10_c.up.sql",
            "Rename.sql",
            "Undo__x.sql",
            "V3__under.sql",
            "after_all.sql",
            "break_down.sql",
        ];
        assert_eq!(judged(&old, &new).unwrap(), run);
        assert_eq!(judged(&new, &new), Ok(Vec::new()));
    }

    #[test]
    fn each_kind_of_file_that_is_not_run_is_named() {
        for (name, expected) in [
            ("2024_x/up.sql", UnsupportedReason::Below),
            ("2024_x/migration.sql", UnsupportedReason::Below),
            ("2024_x/down.sql", UnsupportedReason::Below),
            ("meta/_journal.json", UnsupportedReason::Below),
            ("down.sql", UnsupportedReason::Undoes),
            ("Undo.sql", UnsupportedReason::Undoes),
            ("U2__x.sql", UnsupportedReason::Undoes),
            ("U1.1__x.sql", UnsupportedReason::Undoes),
            ("R__view.sql", UnsupportedReason::Repeatable),
            ("B3__base.sql", UnsupportedReason::Baseline),
            ("afterMigrate.sql", UnsupportedReason::Callback),
            ("beforeEachMigrate__x.sql", UnsupportedReason::Callback),
            ("0002_x.rb", UnsupportedReason::NotSql),
            ("0002_x.py", UnsupportedReason::NotSql),
            ("x.SQL", UnsupportedReason::NotSql),
            ("migration_lock.toml", UnsupportedReason::NotSql),
            ("seed", UnsupportedReason::NotSql),
            ("\u{fffd}.sql", UnsupportedReason::NotUtf8),
        ] {
            assert_eq!(why(name), Some(expected), "{name}");
        }
        let pair = |undo: &str, forward: &str| judged(&[], &[(undo, 1), (forward, 2)]);
        for (undo, forward) in [
            ("1-down.sql", "1-up.sql"),
            ("1_down.sql", "1_up.sql"),
            ("1_x.rollback.sql", "1_x.sql"),
            ("1.revert.sql", "1.deploy.sql"),
        ] {
            assert!(
                matches!(pair(undo, forward), Err(MigrationConflict::UnsupportedFile(unfit)) if unfit[0].why == UnsupportedReason::Undoes)
            );
        }
        for (kind, expected) in [
            (EntryKind::Symlink, UnsupportedReason::Symlink),
            (EntryKind::Submodule, UnsupportedReason::Submodule),
        ] {
            let new = Listing::from([("1.sql".to_owned(), (kind, 1))]);
            assert_eq!(all_migrations("m", &new).unwrap_err()[0].why, expected);
        }
    }

    #[test]
    fn only_what_differs_counts() {
        let old = [("R__view.sql", 1), ("1.sql", 1), ("x.rb", 1), ("d/up.sql", 1)];
        let new = [old.as_slice(), &[("2.sql", 1)]].concat();
        assert_eq!(judged(&old, &new).unwrap(), ["2.sql"]);
        // A changed or removed file that is not a migration is refused too.
        for other in [new[1..].to_vec(), [&[("R__view.sql", 2)][..], &new[1..]].concat()] {
            assert!(
                matches!(judged(&old, &other), Err(MigrationConflict::UnsupportedFile(unfit)) if unfit.len() == 1)
            );
        }
        assert_eq!(judged(&[("1.sql", 1)], &[("1.sql", 2)]), Err(MigrationConflict::Changed("1.sql".into())));
        assert_eq!(judged(&[("1.sql", 1)], &[]), Err(MigrationConflict::Removed("1.sql".into())));
        // A file that was replaced by a symbolic link differs.
        let (old, link) =
            (listing(&[("1.sql", 1)]), Listing::from([("1.sql".to_owned(), (EntryKind::Symlink, 1))]));
        let between = MigrationDiff { directory: "m", old: Some(&old), new: Some(&link), others: Vec::new() };
        assert!(matches!(judge(between), Err(MigrationConflict::UnsupportedFile(_))));
        let unfit = all_migrations("m", &listing(&new)).unwrap_err();
        assert_eq!(unfit.len(), 3, "{unfit:?}");
    }

    #[test]
    fn a_directory_that_is_missing_leaves_the_other_files_of_the_schema() {
        let files = listing(&[("1.sql", 1)]);
        let others = || vec!["db/schema.sql".to_owned(), "db/migrations/README.md".to_owned()];
        let judged = |old, new, others| judge(MigrationDiff { directory: "m", old, new, others });
        for (old, new) in [(None, None), (None, Some(&files)), (Some(&files), None)] {
            let gap = judged(old, new, others()).unwrap_err();
            let expected = MigrationConflict::NoDirectory {
                directory: "m".into(),
                differ: vec!["db/schema.sql".to_owned()],
            };
            assert_eq!(gap, expected);
        }
        assert_eq!(judged(None, None, Vec::new()).unwrap().run, Vec::<String>::new());
        assert_eq!(judged(None, Some(&files), Vec::new()).unwrap().run, ["1.sql"]);
        let seen = judged(Some(&files), Some(&files), others()).unwrap();
        assert_eq!(seen, Judged { run: Vec::new(), unseen: vec!["db/schema.sql".to_owned()] });
    }

    #[test]
    fn a_file_of_two_directions_is_named_with_its_line() {
        let migration = |name: &str, sql: &str| Migration::of_file(name.into(), sql.into());
        let both = migration("2.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2;");
        let one = migration("1.sql", "select '\n-- migrate:down\n';");
        let unfit = one_direction("db", &[one.clone(), both]).unwrap_err();
        assert_eq!(unfit.len(), 1);
        let said = MigrationConflict::UnsupportedFile(unfit).to_string();
        let expected = "db/2.sql cannot be run: line 3 begins a part that undoes it ('-- migrate:down')";
        assert_eq!(said, expected);
        assert_eq!(one_direction("db", &[one]), Ok(()));
    }
}
