//! The index gives the same results as a scan of all records, in every state.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pggit::backup::displayed_status;
use pggit::clock::System;
use pggit::domain::{BackupId, BackupSelector, Body, Expired, Held, Line, Tagged};
use pggit::git::Repository;
use pggit::ledger::{Filter, Ledger, RecordChange, TagFilter};
use proptest::prelude::*;

use crate::ledger::{Repo, completed, new_backup};
use crate::sandbox::Sandbox;

fn on<T>(repository: &Repository, work: impl FnOnce(&Ledger<'_>) -> T) -> T {
    let host = Line::lossy("db1");
    work(&Ledger::new(repository, &System, &host))
}

/// Compares the index and a scan: all fields of each row, and all damage.
#[track_caller]
fn assert_equal_to_scan(repo: &Repo) -> usize {
    let repository = repo.open();
    on(&repository, |ledger| {
        let (scan, index) = (ledger.catalog().unwrap(), ledger.overview().unwrap());
        assert_eq!(index.damaged, scan.damaged);
        let by_scan: Vec<String> = scan
            .entries
            .iter()
            .map(|entry| {
                let backup = &entry.backup;
                format!(
                    "{} {} {} {} {} {} {} {:?} {:?} {} {:?} {:?} {:?} {:?} {} {:?} {}",
                    backup.id,
                    backup.name,
                    backup.database,
                    backup.commit,
                    backup.kind,
                    backup.tool.name,
                    displayed_status(backup),
                    backup.size_bytes,
                    backup.stored_bytes,
                    backup.registered_at,
                    backup.started_at,
                    backup.completed_at,
                    backup.expires_at,
                    (backup.is_verified(), !backup.holds.is_empty()),
                    entry.tip,
                    backup.depends_on.iter().map(|it| it.id).collect::<Vec<BackupId>>(),
                    repository.summary((&backup.commit).into()).unwrap().subject,
                )
            })
            .collect();
        let by_index: Vec<String> = index
            .rows()
            .map(|row| {
                format!(
                    "{} {} {} {} {} {} {} {:?} {:?} {} {:?} {:?} {:?} {:?} {} {:?} {}",
                    row.id(),
                    row.name(),
                    row.database(),
                    row.commit(),
                    row.kind(),
                    row.tool(),
                    pggit::backup::displayed_row_status(&row),
                    row.size_bytes(),
                    row.stored_bytes(),
                    row.registered_at(),
                    row.started_at(),
                    row.completed_at(),
                    row.expires_at(),
                    (row.is_verified(), row.is_held()),
                    row.tip(),
                    row.needs().collect::<Vec<BackupId>>(),
                    row.subject().unwrap(),
                )
            })
            .collect();
        assert_eq!(by_index, by_scan);
        for entry in &scan.entries {
            let found = ledger.by_id(entry.backup.id).unwrap();
            assert_eq!((&found.backup, found.tip), (&entry.backup, entry.tip));
        }
        for filter in filters() {
            let by_scan: Vec<BackupId> = scan.select(&filter).iter().map(|entry| entry.backup.id).collect();
            let by_index: Vec<BackupId> = index.select(&filter).iter().map(pggit::ledger::Row::id).collect();
            assert_eq!(by_index, by_scan, "{filter:?}");
            for selector in ["latest", "oldest", "b1", "019", "0199", "none"] {
                let selector: BackupSelector = selector.parse().unwrap();
                let by_scan = scan.find(&selector, &filter).map(|entry| entry.backup.id);
                let by_index = index.find(&selector, &filter).map(|row| row.id());
                assert_eq!(format!("{by_index:?}"), format!("{by_scan:?}"), "{selector}");
            }
        }
        scan.entries.len()
    })
}

fn filters() -> Vec<Filter> {
    let tag = |value: Option<&str>| TagFilter { key: "k".parse().unwrap(), value: value.map(Line::lossy) };
    vec![
        Filter::default(),
        Filter { databases: vec!["shop".parse().unwrap()], ..Filter::default() },
        Filter { databases: vec!["other".parse().unwrap()], ..Filter::default() },
        Filter { statuses: vec!["completed".parse().unwrap()], ..Filter::default() },
        Filter { branches: vec![Line::lossy("main")], ..Filter::default() },
        Filter {
            names: vec!["b1".parse().unwrap()],
            tools: vec![Line::lossy("pg_dump")],
            ..Filter::default()
        },
        Filter { tags: vec![tag(None)], ..Filter::default() },
        Filter { tags: vec![tag(Some("v 1"))], ..Filter::default() },
    ]
}

/// Makes a repository with `commits` commits and a backup on each.
fn filled(args: &[&str], commits: usize) -> Repo {
    let repo = Repo::init(args);
    for number in 0..commits {
        repo.commit(&format!("{number}.sql"), "select 1;", &format!("migration {number} é"));
        register(&repo, number, number % 2 == 0);
    }
    repo
}

fn register(repo: &Repo, number: usize, complete: bool) -> BackupId {
    let repository = repo.open();
    let mut new = new_backup(&repository, &format!("b{number}"));
    new.tags = [("k".parse().unwrap(), Line::lossy("v 1"))].into_iter().take(number % 2).collect();
    let then = if complete { vec![completed()] } else { vec![] };
    on(&repository, |ledger| ledger.register(&new, &then).unwrap().backup.id)
}

fn index(repo: &Repo) -> PathBuf {
    repo.open().common_dir().join("pggit/index")
}

#[test]
fn the_index_is_written_and_used() {
    let repo = filled(&[], 3);
    assert_equal_to_scan(&repo);
    let written = fs::metadata(index(&repo)).expect("the index exists");
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
    // The content of the index is valid as long as the refs have not changed: objects are not read.
    let before = fs::read(index(&repo)).unwrap();
    assert_equal_to_scan(&repo);
    assert_eq!(fs::read(index(&repo)).unwrap(), before);
}

#[test]
fn changes_by_anybody_are_seen() {
    let repo = filled(&[], 20);
    assert_equal_to_scan(&repo);
    let check = |what: &str, expected: usize| assert_eq!(assert_equal_to_scan(&repo), expected, "{what}");
    register(&repo, 100, true);
    check("one more on the same commit", 21);
    repo.git(&["pack-refs", "--all"]);
    check("pack-refs", 21);
    let id = register(&repo, 101, false);
    check("loose over packed", 22);
    on(&repo.open(), |ledger| {
        ledger.append(id, |_| Ok(RecordChange::from(Held { reason: Line::lossy("audit") }))).unwrap()
    });
    check("append", 22);
    repo.git(&["gc", "-q", "--prune=now"]);
    check("gc", 22);
    let refs: Vec<String> = repo
        .git(&["for-each-ref", "--format=%(refname)", "refs/backups"])
        .lines()
        .map(str::to_owned)
        .collect();
    repo.git(&["update-ref", "-d", &refs[0]]);
    repo.git(&["update-ref", "-d", &refs[1]]);
    let left = assert_equal_to_scan(&repo);
    assert!(left < 22, "{left}");
    // Move the ref back by hand.
    let head = format!("refs/backups/{}", repo.git(&["rev-parse", "HEAD"]));
    if repo.git(&["for-each-ref", &head]).is_empty() {
        return;
    }
    repo.git(&["update-ref", &head, &format!("{head}~1")]);
    assert_equal_to_scan(&repo);
    repo.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&repo);
}

#[test]
fn refs_that_do_not_belong_there_are_named_every_time() {
    let repo = filled(&[], 3);
    let tree = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["update-ref", "refs/backups/not-a-commit", &tree]);
    repo.git(&["update-ref", "refs/backups/below/it", &tree]);
    repo.git(&["update-ref", &format!("refs/backups/{}", "a".repeat(64)), &tree]);
    for _ in 0..3 {
        assert_equal_to_scan(&repo);
    }
    repo.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&repo);
    assert_eq!(on(&repo.open(), |ledger| ledger.overview().unwrap().damaged.len()), 2);
}

/// Replaces the content of the record `id`.
fn damage(repo: &Repo, id: BackupId, content: &str) {
    let head = repo.git(&["rev-parse", "HEAD"]);
    let file = repo.open().common_dir().join("damage");
    fs::write(&file, content).unwrap();
    let blob = repo.git(&["hash-object", "-w", file.to_str().unwrap()]);
    repo.git(&["read-tree", "--index-output=.git/other", &format!("refs/backups/{head}")]);
    let with = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        let directory = repo.open().work_dir().unwrap().to_owned();
        let out = git.current_dir(&directory).env("GIT_INDEX_FILE", directory.join(".git/other")).args(args);
        let out = out.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},.pggit/{id}.json")]);
    let tree = with(&["write-tree"]);
    let commit = repo.git(&["commit-tree", "-m", "damage", "-p", &format!("refs/backups/{head}"), &tree]);
    repo.git(&["update-ref", &format!("refs/backups/{head}"), &commit]);
}

#[test]
fn damaged_records_are_named_every_time() {
    let repo = filled(&[], 5);
    assert_equal_to_scan(&repo);
    let (good, bad) = (register(&repo, 50, true), register(&repo, 51, true));
    damage(&repo, bad, "{ this is no record");
    for _ in 0..3 {
        assert_equal_to_scan(&repo);
        let error = on(&repo.open(), |ledger| ledger.by_id(bad).unwrap_err().to_string());
        assert!(error.contains("is damaged"), "{error}");
        on(&repo.open(), |ledger| ledger.by_id(good).unwrap());
        on(&repo.open(), |ledger| ledger.refresh_index().unwrap());
    }
    repo.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&repo);
}

#[test]
fn an_index_that_is_not_as_it_was_written_is_not_used() {
    let repo = filled(&[], 4);
    assert_equal_to_scan(&repo);
    let (path, good) = (index(&repo), fs::read(index(&repo)).unwrap());
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let rows = on(&repo.open(), |ledger| ledger.overview().unwrap().rows().len());
        assert_eq!(rows, 4, "{what}");
        assert_eq!(fs::read(&path).unwrap(), good, "{what}: it was rewritten");
    };
    for part in 0..20 {
        check(&good[..good.len() * part / 20], &format!("cut after {part}/20"));
    }
    check(&[&good[..], b"x"].concat(), "something more");
    check(b"garbage", "garbage");
    check(&vec![0; good.len()], "zeros");
    for version in [0_u32, 1, 3, u32::MAX] {
        let mut other = good.clone();
        other[8..12].copy_from_slice(&version.to_le_bytes());
        check(&other, &format!("version {version}"));
        // Another version writes a header with a valid checksum.
        let sum = blake3::hash(&other[..96]);
        other[96..128].copy_from_slice(sum.as_bytes());
        check(&other, &format!("version {version} with its checksum"));
    }
    // Bits at many offsets, and a different bit of the byte each time.
    for n in 0..200 {
        let at = n * 7919 % good.len();
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (n % 8);
        check(&flipped, &format!("a flipped bit at {at}"));
    }
    fs::remove_file(&path).unwrap();
    assert_equal_to_scan(&repo);
    // A lookup in the damaged index detects the damage.
    let ids: Vec<BackupId> =
        on(&repo.open(), |ledger| ledger.catalog().unwrap().entries.iter().map(|it| it.backup.id).collect());
    for n in 0..100 {
        let mut flipped = good.clone();
        let at = 128 + n * 7919 % (good.len() - 128);
        flipped[at] ^= 1 << (n % 8);
        fs::write(&path, &flipped).unwrap();
        for id in &ids {
            assert_eq!(on(&repo.open(), |ledger| ledger.by_id(*id).unwrap().backup.id), *id);
        }
    }
}

#[test]
fn the_index_of_another_repository_does_no_harm() {
    let (one, other, sha256) = (filled(&[], 3), filled(&[], 5), filled(&["--object-format=sha256"], 2));
    for repo in [&one, &other, &sha256] {
        assert_equal_to_scan(repo);
    }
    for (from, to) in [(&one, &other), (&other, &one), (&sha256, &one), (&one, &sha256)] {
        fs::copy(index(from), index(to)).unwrap();
        assert_equal_to_scan(to);
    }
}

#[test]
fn where_it_cannot_be_written_the_answers_are_right() {
    let repo = filled(&[], 3);
    // The directory cannot be created, not even by root: a file has its name.
    let directory = repo.open().common_dir().join("pggit");
    let _ = fs::remove_dir_all(&directory);
    fs::write(&directory, "in the way").unwrap();
    assert_equal_to_scan(&repo);
    assert!(!on(&repo.open(), |ledger| ledger.refresh_index().unwrap().written));
    fs::remove_file(&directory).unwrap();
    // The file cannot be created: a directory has its name.
    fs::create_dir_all(index(&repo)).unwrap();
    assert_equal_to_scan(&repo);
    let left = fs::read_dir(&directory).unwrap().count();
    assert_eq!(left, 1, "no partial file is left");
}

#[test]
fn readers_and_writers_at_once_see_whole_files() {
    let repo = filled(&[], 4);
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let repo = &repo;
            scope.spawn(move || {
                for round in 0..25 {
                    if (reader + round) % 3 == 0 {
                        let _ = fs::remove_file(index(repo));
                    }
                    let overview = on(&repo.open(), |ledger| ledger.overview().unwrap());
                    assert!(overview.damaged.is_empty() && overview.rows().len() >= 4);
                }
            });
        }
        for n in 0..10 {
            register(&repo, 100 + n, true);
        }
    });
    assert_eq!(assert_equal_to_scan(&repo), 14);
}

#[test]
fn a_sha256_repository_has_an_index() {
    let repo = filled(&["--object-format=sha256"], 5);
    assert_equal_to_scan(&repo);
    repo.git(&["pack-refs", "--all"]);
    register(&repo, 9, true);
    assert_eq!(assert_equal_to_scan(&repo), 6);
}

#[test]
fn many_changed_refs_are_read_side_by_side_and_then_known() {
    let repo = filled(&[], 2);
    let repository = repo.open();
    let old = repo.git(&["rev-parse", "HEAD"]);
    // Any commit can be a schema commit.
    let mut commits = String::new();
    for n in 0..80 {
        let message = format!("c{n}");
        commits.push_str(&repo.git(&["commit-tree", "-m", &message, "-p", &old, &format!("{old}^{{tree}}")]));
        commits.push('\n');
    }
    for commit in commits.lines() {
        let mut new = new_backup(&repository, "many");
        new.commit = commit.parse().unwrap();
        on(&repository, |ledger| ledger.register(&new, &[]).unwrap());
    }
    assert_eq!(assert_equal_to_scan(&repo), 82);
    assert_eq!(assert_equal_to_scan(&repo), 82);
    let refreshed = on(&repo.open(), |ledger| ledger.refresh_index().unwrap());
    assert_eq!((refreshed.backups, refreshed.stale), (82, 0));
}

/// Returns the path of the file that links the index to `packed-refs`.
fn noted(repo: &Repo) -> PathBuf {
    repo.open().common_dir().join("pggit/index.packed")
}

#[test]
fn packed_refs_that_are_known_are_not_read_one_by_one() {
    let repo = filled(&[], 6);
    repo.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&repo);
    let before = fs::read(noted(&repo)).expect("the file exists");
    let mode = fs::metadata(noted(&repo)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_equal_to_scan(&repo);
    assert_eq!(fs::read(noted(&repo)).unwrap(), before, "the file is up to date");
    // A loose ref takes precedence over the packed one until it is deleted.
    let name = format!("refs/backups/{}", repo.git(&["rev-parse", "HEAD"]));
    let packed = repo.git(&["rev-parse", &name]);
    register(&repo, 50, true);
    assert_eq!(assert_equal_to_scan(&repo), 7);
    fs::remove_file(repo.open().common_dir().join(&name)).unwrap();
    assert_eq!(repo.git(&["rev-parse", &name]), packed);
    assert_eq!(assert_equal_to_scan(&repo), 6);
    // The index has the newer value: it was written while the ref was loose.
    register(&repo, 51, true);
    on(&repo.open(), |ledger| ledger.refresh_index().unwrap());
    assert_eq!(assert_equal_to_scan(&repo), 7);
    fs::remove_file(repo.open().common_dir().join(&name)).unwrap();
    assert_eq!(assert_equal_to_scan(&repo), 6);
}

/// Changes `packed-refs` in place and keeps its modification time.
fn edit_packed_refs(repo: &Repo, edit: impl FnOnce(String) -> String) {
    let path = repo.open().common_dir().join("packed-refs");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let text = edit(fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
}

#[test]
fn packed_refs_edited_by_hand_are_seen_whatever_their_times_and_sizes_say() {
    let repo = filled(&[], 6);
    repo.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&repo);
    let tips = repo.git(&["for-each-ref", "--format=%(objectname)", "refs/backups"]);
    let tips: Vec<&str> = tips.lines().collect();
    // One ref has its previous value: the file has the same size and time.
    let older = repo.git(&["rev-parse", &format!("{}~1", tips[2])]);
    let before = fs::read_to_string(repo.open().common_dir().join("packed-refs")).unwrap();
    edit_packed_refs(&repo, |text| text.replace(tips[2], &older));
    assert_eq!(assert_equal_to_scan(&repo), 5);
    edit_packed_refs(&repo, |_| before);
    assert_eq!(assert_equal_to_scan(&repo), 6);
    // Two refs with exchanged values no longer belong to their commits.
    let swapped = |text: String| {
        text.replace(tips[0], "x").replace(tips[1], tips[0]).replace("x refs", &format!("{} refs", tips[1]))
    };
    edit_packed_refs(&repo, swapped);
    assert_equal_to_scan(&repo);
    // A line is missing, then the whole file.
    edit_packed_refs(&repo, |text| {
        text.lines().filter(|line| !line.starts_with(tips[3])).map(|line| format!("{line}\n")).collect()
    });
    assert_equal_to_scan(&repo);
    fs::remove_file(repo.open().common_dir().join("packed-refs")).unwrap();
    assert_eq!(assert_equal_to_scan(&repo), 0);
}

#[test]
fn a_note_on_packed_refs_that_is_not_as_it_was_written_is_not_used() {
    let repo = filled(&[], 4);
    repo.git(&["pack-refs", "--all"]);
    register(&repo, 9, true);
    assert_equal_to_scan(&repo);
    let (path, good) = (noted(&repo), fs::read(noted(&repo)).unwrap());
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let rows = on(&repo.open(), |ledger| ledger.overview().unwrap().rows().len());
        assert_eq!(rows, 5, "{what}");
        assert_eq!(fs::read(&path).unwrap(), good, "{what}: it was rewritten");
    };
    for cut in 0..good.len() {
        check(&good[..cut], &format!("cut after {cut}"));
    }
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        check(&flipped, &format!("a flipped bit at {at}"));
    }
    // The note of another repository, with a valid checksum.
    let other = filled(&[], 3);
    other.git(&["pack-refs", "--all"]);
    assert_equal_to_scan(&other);
    check(&fs::read(noted(&other)).unwrap(), "another repository");
    // If the file cannot be written, the results are still right.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(assert_equal_to_scan(&repo), 5);
}

#[test]
fn damage_under_packed_refs_is_named_every_time() {
    let repo = filled(&[], 4);
    let bad = register(&repo, 51, true);
    damage(&repo, bad, "{ this is no record");
    repo.git(&["pack-refs", "--all"]);
    for _ in 0..3 {
        assert_equal_to_scan(&repo);
        assert_eq!(on(&repo.open(), |ledger| ledger.overview().unwrap().damaged.len()), 1);
    }
    assert!(noted(&repo).exists());
}

#[derive(Debug, Clone)]
enum Step {
    Register(bool),
    Append(usize, u8),
    Commit,
    Pack,
    Delete(usize),
    Back(usize),
    Look,
    Lose,
    Refresh,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Register),
        4 => (any::<usize>(), 0_u8..4).prop_map(|(at, what)| Step::Append(at, what)),
        3 => Just(Step::Commit),
        1 => Just(Step::Pack),
        1 => any::<usize>().prop_map(Step::Delete),
        1 => any::<usize>().prop_map(Step::Back),
        2 => Just(Step::Look),
        1 => Just(Step::Lose),
        1 => Just(Step::Refresh),
    ];
    proptest::collection::vec(step, 5..25)
}

fn carry_out(repo: &Repo, number: usize, step: &Step) {
    let refs = repo.git(&["for-each-ref", "--format=%(refname)", "refs/backups"]);
    let refs: Vec<&str> = refs.lines().collect();
    let chosen = |at: usize| refs.get(at % refs.len().max(1)).copied();
    match step {
        Step::Register(complete) => drop(register(repo, number, *complete)),
        Step::Commit => repo.commit(&format!("{number}.sql"), "select 1;", "migration"),
        Step::Pack => drop(repo.git(&["pack-refs", "--all"])),
        Step::Delete(at) => drop(chosen(*at).map(|name| repo.git(&["update-ref", "-d", name]))),
        Step::Back(at) => {
            // The parent of the first commit does not exist.
            let parent = chosen(*at).map(|name| repo.git(&["log", "-1", "--format=%P", name]));
            if let (Some(name), Some(parent)) = (chosen(*at), parent.filter(|it| !it.is_empty())) {
                repo.git(&["update-ref", name, &parent]);
            }
        }
        Step::Look => drop(on(&repo.open(), |ledger| ledger.overview().unwrap())),
        Step::Lose => drop(fs::remove_file(index(repo))),
        Step::Refresh => drop(on(&repo.open(), |ledger| ledger.refresh_index().unwrap())),
        Step::Append(at, what) => on(&repo.open(), |ledger| {
            let entries = ledger.catalog().unwrap().entries;
            let Some(entry) = entries.get(at % entries.len().max(1)) else { return };
            let body: Body = match what {
                0 => completed(),
                1 => Tagged { key: "k".parse().unwrap(), value: Line::lossy("v 1") }.into(),
                2 => Held { reason: Line::lossy("audit") }.into(),
                _ => Expired { reason: Line::lossy("old") }.into(),
            };
            // Some states do not allow the event.
            let _ = ledger.append(entry.backup.id, |_| Ok(body.clone().into()));
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn index_and_scan_agree_whatever_happens(steps in steps()) {
        let repo = filled(&[], 2);
        for (number, step) in steps.iter().enumerate() {
            carry_out(&repo, number + 10, step);
            if number % 3 == 0 {
                assert_equal_to_scan(&repo);
            }
        }
        assert_equal_to_scan(&repo);
    }
}

#[test]
fn maintenance_says_what_it_did() {
    let sandbox = Sandbox::new();
    sandbox.commit("1.sql", "select 1;", "one");
    let register = ["backup", "register", "-d", "shop", "--tool", "x", "--size", "1"];
    let _ = sandbox.pggit(register).success();
    let auto = sandbox.pggit(["maintenance", "--auto"]).success();
    assert_eq!(auto.stderr_text(), "no maintenance is due\n");
    let done = sandbox.pggit(["maintenance"]).success();
    assert_eq!(
        done.stderr_text(),
        "packed 1 ref\nwrote the commit-graph\nupdated the index of 1 backup (1 ref read)\n"
    );
    assert!(!sandbox.git(["for-each-ref", "refs/backups"]).is_empty());
    let json = sandbox.pggit(["maintenance", "--json"]).success().json();
    assert_eq!(json["packed_refs"], 0);
    assert_eq!(json["index"], serde_json::json!({ "backups": 1, "stale_refs": 0, "written": false }));
    assert_eq!(sandbox.pggit(["backup", "list", "--ids"]).success().stdout_text().lines().count(), 1);
}

#[test]
fn maintenance_comes_by_itself_unless_git_s_is_turned_off() {
    let sandbox = Sandbox::new();
    let head = sandbox.commit("1.sql", "select 1;", "one");
    let register = ["backup", "register", "-d", "shop", "--tool", "x", "--size", "1"];
    let _ = sandbox.pggit(register).success();
    let loose = sandbox.repo().join(".git/refs/backups");
    for n in 0..600 {
        fs::write(loose.join(format!("{n:040x}")), format!("{head}\n")).unwrap();
    }
    sandbox.git(["config", "maintenance.auto", "false"]);
    let _ = sandbox.pggit(register).success();
    assert_eq!(fs::read_dir(&loose).unwrap().count(), 601);
    sandbox.git(["config", "--unset", "maintenance.auto"]);
    let _ = sandbox.pggit(register).success();
    assert_eq!(fs::read_dir(&loose).map_or(0, Iterator::count), 0);
    assert_eq!(sandbox.pggit(["backup", "list", "--ids"]).success().stdout_text().lines().count(), 3);
}
