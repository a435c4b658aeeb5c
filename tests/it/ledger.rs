//! The ledger on real repositories.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use pggit::clock::{Clock as _, System};
use pggit::domain::{
    BackupId, BackupSelector, BackupType, Body, Completed, Event, Expired, Held, Line, Released, Status,
    Tagged, Tool,
};
use pggit::git::{self, Repository};
use pggit::ledger::{Entry, Error, Filter, Ledger, NewBackup, RecordChange};

/// A repository with its own identity, independent of the configuration of this machine.
pub struct Repo {
    dir: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Repo {
    pub fn init(args: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("temporary directory");
        let repo = Self { dir: temporary.path().to_owned(), _temporary: temporary };
        repo.git(&[&["init", "-q", "-b", "main"], args].concat());
        repo.git(&["config", "user.name", "Ada"]);
        repo.git(&["config", "user.email", "ada@example.com"]);
        repo
    }

    /// Makes a bare clone of `source`.
    pub fn bare_clone_of(source: &Repo) -> Self {
        Self::from_clone(&["--bare"], source, "Hub")
    }

    /// Makes a clone that belongs to `person`.
    pub fn clone_of(source: &Repo, person: &str) -> Self {
        Self::from_clone(&[], source, person)
    }

    fn from_clone(args: &[&str], source: &Repo, person: &str) -> Self {
        let temporary = tempfile::tempdir().expect("temporary directory");
        let dir = temporary.path().join("clone");
        let (from, to) = (source.dir.to_str().expect("utf8"), dir.to_str().expect("utf8"));
        git_in(temporary.path(), &[&["clone", "-q"], args, &[from, to]].concat());
        let repo = Self { dir, _temporary: temporary };
        repo.git(&["config", "user.name", person]);
        repo.git(&["config", "user.email", "person@example.com"]);
        repo
    }

    pub fn with_history(args: &[&str]) -> Self {
        let repo = Self::init(args);
        repo.commit("0001.sql", "create table a (id int);", "one");
        repo.commit("0002.sql", "create table b (id int);", "two");
        repo
    }

    pub fn commit(&self, file: &str, content: &str, message: &str) {
        std::fs::write(self.dir.join(file), content).expect("write");
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", message]);
    }

    pub fn git(&self, args: &[&str]) -> String {
        git_in(&self.dir, args)
    }

    pub fn open(&self) -> Repository {
        Repository::discover(&self.dir).expect("repository opens")
    }
}

pub fn run_git(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.current_dir(dir).args(args).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.output().expect("git starts")
}

pub fn git_in(dir: &Path, args: &[&str]) -> String {
    let out = run_git(dir, args);
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("utf8").trim_end().to_owned()
}

fn host() -> Line {
    Line::lossy("db1")
}

pub fn new_backup(repository: &Repository, name: &str) -> NewBackup {
    NewBackup {
        id: BackupId::new(System.now()),
        name: name.parse().unwrap(),
        database: "shop".parse().unwrap(),
        commit: repository.head().unwrap().to_commit(),
        branch: Some(Line::lossy("main")),
        kind: BackupType::Full,
        tool: Tool { name: Line::lossy("pg_dump"), version: None },
        depends_on: vec![],
        expires_at: None,
        tags: Default::default(),
        metadata: Default::default(),
    }
}

pub fn completed() -> Body {
    Body::from(Completed {
        attempt: None,
        location: Some("s3://bucket/x".parse().unwrap()),
        store_id: None,
        size_bytes: 1_288_490_189,
        stored_bytes: 1000,
        compression: None,
        encryption: None,
        digest: None,
        backup_type: None,
        depends_on: None,
        artifacts: vec![],
        started_at: None,
        completed_at: None,
        postgres: None,
        tool_version: Some(Line::lossy("15.18")),
        metadata: Default::default(),
    })
}

fn registered(ledger: &Ledger<'_>, name: &str) -> Entry {
    ledger.register(&new_backup(ledger.repository(), name), &[]).expect("registers")
}

fn complete(ledger: &Ledger<'_>, id: BackupId) -> Result<Entry, Error> {
    ledger.append(id, |_| {
        Ok(RecordChange { bodies: vec![completed()], schema: Some(b"create table a ();\n".to_vec()) })
    })
}

/// Registers and completes a backup, and checks its record and note, in any kind of repository.
fn life_of_a_backup(repository: &Repository, plain_git: &dyn Fn(&[&str]) -> String) {
    let host = host();
    let ledger = Ledger::new(repository, &System, &host);
    let entry = registered(&ledger, "nightly");
    assert_eq!(entry.backup.status, Status::InProgress);
    let entry = complete(&ledger, entry.backup.id).unwrap();
    assert_eq!(entry.backup.status, Status::Completed);

    let commit = repository.head().unwrap().to_string();
    let found = ledger.find(&"nightly".parse().unwrap(), &Filter::default()).unwrap();
    assert_eq!(found.backup, entry.backup);
    assert_eq!(ledger.schema(&found).unwrap().unwrap(), b"create table a ();\n");

    let id = entry.backup.id;
    let note = plain_git(&["log", "-1", "--format=%N", "--notes=backups", &commit]);
    assert!(
        note.starts_with(&format!("Backup {id}: completed nightly (shop, full, pg_dump 15.18, 1.2 GiB, ")),
        "{note}"
    );
    let audit =
        plain_git(&["log", "--first-parent", "--format=%s", &format!("{commit}..refs/backups/{commit}")]);
    assert_eq!(
        audit,
        "backup: completed nightly (full, pg_dump, 1.2 GiB)\nbackup: registered nightly (full, pg_dump)"
    );
    let record = plain_git(&["show", &format!("refs/backups/{commit}:.pggit/{id}.json")]);
    assert!(
        record.contains("\"status\": \"completed\"") && record.contains("\"kind\": \"registered\""),
        "{record}"
    );
    let changed = plain_git(&["diff", "--name-only", &commit, &format!("refs/backups/{commit}")]);
    assert_eq!(changed, format!(".pggit/{id}.json\n.pggit/{id}.sql"));
    plain_git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn ledger_in_an_ordinary_repository() {
    let repo = Repo::with_history(&[]);
    life_of_a_backup(&repo.open(), &|args| repo.git(args));
}

#[test]
fn ledger_in_a_sha256_repository() {
    let repo = Repo::with_history(&["--object-format=sha256"]);
    life_of_a_backup(&repo.open(), &|args| repo.git(args));
}

#[test]
fn ledger_in_a_bare_repository() {
    let source = Repo::with_history(&[]);
    let dir = tempfile::tempdir().unwrap();
    git_in(dir.path(), &["clone", "-q", "--bare", source.dir.to_str().unwrap(), "bare.git"]);
    let bare = dir.path().join("bare.git");
    git_in(&bare, &["config", "user.name", "Ada"]);
    git_in(&bare, &["config", "user.email", "ada@example.com"]);
    life_of_a_backup(&Repository::discover(&bare).unwrap(), &|args| git_in(&bare, args));
}

#[test]
fn ledger_in_a_linked_work_tree_and_a_sub_directory() {
    let repo = Repo::with_history(&[]);
    let dir = tempfile::tempdir().unwrap();
    let linked = dir.path().join("linked");
    repo.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap(), "HEAD~1"]);
    let below = linked.join("deep/er");
    std::fs::create_dir_all(&below).unwrap();
    life_of_a_backup(&Repository::discover(&below).unwrap(), &|args| git_in(&linked, args));
    // All worktrees share the ledger.
    let (repository, host) = (repo.open(), host());
    assert_eq!(Ledger::new(&repository, &System, &host).catalog().unwrap().entries.len(), 1);
}

#[test]
fn a_shallow_clone_has_a_ledger_and_says_what_it_has_not() {
    let source = Repo::with_history(&[]);
    let first = source.git(&["rev-parse", "HEAD~1"]);
    let dir = tempfile::tempdir().unwrap();
    git_in(dir.path(), &["clone", "-q", "--depth=1", &format!("file://{}", source.dir.display()), "shallow"]);
    let shallow = dir.path().join("shallow");
    git_in(&shallow, &["config", "user.name", "Ada"]);
    git_in(&shallow, &["config", "user.email", "ada@example.com"]);
    let repository = Repository::discover(&shallow).unwrap();
    life_of_a_backup(&repository, &|args| git_in(&shallow, args));
    let host = host();
    let mut new = new_backup(&repository, "x");
    new.commit = first.parse().unwrap();
    let error = Ledger::new(&repository, &System, &host).register(&new, &[]).unwrap_err();
    assert!(matches!(error, Error::Git(git::Error::Missing { shallow: true, .. })), "{error}");
}

#[test]
fn a_repository_without_commits_says_so() {
    let repo = Repo::init(&[]);
    let repository = repo.open();
    let error = repository.resolve_commit("HEAD").unwrap_err();
    assert_eq!(error.to_string(), "branch `main` has no commits yet");
    assert!(matches!(repository.branch_tip("main"), Err(git::Error::Unborn { .. })));
    let host = host();
    assert!(Ledger::new(&repository, &System, &host).catalog().unwrap().entries.is_empty());
}

#[test]
fn no_repository_and_foreign_repositories_are_refused_in_git_s_words() {
    let dir = tempfile::tempdir().unwrap();
    let error = Repository::discover(dir.path()).unwrap_err().to_string();
    assert!(error.contains("not a git repository"), "{error}");
    if !rustix::process::getuid().is_root() {
        return; // Only root can change the owner of a directory.
    }
    let repo = Repo::with_history(&[]);
    let nobody = 65534;
    for path in [repo.dir.clone(), repo.dir.join(".git")] {
        std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).unwrap();
    }
    let error = Repository::discover(&repo.dir).unwrap_err().to_string();
    assert!(error.contains("dubious ownership") && error.contains("safe.directory"), "{error}");
}

#[test]
fn hostile_and_unknown_revisions_are_refused() {
    let repo = Repo::with_history(&[]);
    let repository = repo.open();
    for bad in [
        "",
        "-rf",
        "--exec=x",
        "nope",
        "HEAD~99",
        "a\nb",
        "a\0b",
        "../../etc",
        "refs/heads/none",
        "HEAD:0001.sql",
    ] {
        let error = repository.resolve_commit(bad).unwrap_err();
        assert!(matches!(error, git::Error::UnknownRevision { .. }), "{bad:?}: {error:?}");
    }
    assert_eq!(repository.resolve_commit("main~1").unwrap().to_string(), repo.git(&["rev-parse", "HEAD~1"]));
    assert_eq!(repository.resolve_commit(":/one").unwrap().to_string(), repo.git(&["rev-parse", "HEAD~1"]));
    repo.git(&["tag", "-a", "-m", "x", "v1"]);
    assert_eq!(repository.resolve_commit("v1").unwrap(), repository.head().unwrap());
    let short = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    assert_eq!(repository.resolve_commit(&short).unwrap(), repository.head().unwrap());
}

#[test]
fn what_the_state_does_not_allow_is_refused_and_changes_nothing() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let id = registered(&ledger, "a").backup.id;
    complete(&ledger, id).unwrap();
    let refs = repo.git(&["for-each-ref"]);
    let refused = |body: Body, words: &str| {
        let error = ledger.append(id, |_| Ok(body.clone().into())).unwrap_err();
        assert!(matches!(&error, Error::Refused { .. }) && error.to_string().contains(words), "{error}");
    };
    refused(completed(), "cannot be completed: the backup is completed");
    let failure = pggit::domain::Failure { code: Line::lossy("x"), message: "y".into() };
    refused(
        pggit::domain::Failed { attempt: None, error: failure }.into(),
        "cannot be failed: the backup is completed",
    );
    assert_eq!(repo.git(&["for-each-ref"]), refs);
    for body in [
        Expired { reason: Line::lossy("old") }.into(),
        pggit::domain::Deleted { reason: Line::lossy("old") }.into(),
    ] {
        ledger.append(id, |_| Ok(Body::clone(&body).into())).unwrap();
    }
    let tag = Tagged { key: "pinned".parse().unwrap(), value: Line::default() };
    let error = ledger.append(id, |_| Ok(tag.clone().into())).unwrap_err();
    assert_eq!(error.to_string(), format!("backup {id} cannot be tagged: the backup is deleted"));
}

#[test]
fn a_release_lifts_only_the_holds_it_names() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let id = registered(&ledger, "a").backup.id;
    let hold = |reason: &str| ledger.append(id, |_| Ok(Held { reason: Line::lossy(reason) }.into())).unwrap();
    let first = hold("audit").backup.holds[0].id;
    hold("lawsuit");
    let released = Released { holds: vec![first], reason: Line::default() };
    let entry = ledger.append(id, |_| Ok(released.clone().into())).unwrap();
    assert_eq!(entry.backup.holds.len(), 1);
    assert_eq!(entry.backup.holds[0].reason.as_str(), "lawsuit");
}

#[test]
fn names_prefixes_and_ambiguity() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let (a, b) = (registered(&ledger, "twin").backup.id, registered(&ledger, "twin").backup.id);
    let find = |text: &str| ledger.find(&text.parse::<BackupSelector>().unwrap(), &Filter::default());
    // These selectors select only completed backups.
    for word in ["latest", "oldest"] {
        assert!(matches!(find(word), Err(Error::NoneCompleted { .. })));
    }
    complete(&ledger, a).unwrap();
    assert_eq!(find("latest").unwrap().backup.id, a);
    complete(&ledger, b).unwrap();
    assert_eq!(find("latest").unwrap().backup.id, b);
    assert_eq!(find("oldest").unwrap().backup.id, a);
    assert_eq!(find(&a.to_string()).unwrap().backup.id, a);
    assert_eq!(find(&a.to_string()[..35]).unwrap().backup.id, a);
    assert!(matches!(find("twin"), Err(Error::Ambiguous { candidates, .. }) if candidates.len() == 2));
    assert!(matches!(find(&a.to_string()[..6]), Err(Error::Ambiguous { .. })));
    assert!(matches!(find("none"), Err(Error::NotFound { .. })));
    assert!(matches!(find(&BackupId::new(System.now()).to_string()), Err(Error::NotFound { .. })));
}

#[test]
fn people_s_lines_in_a_note_survive_ours() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let id = registered(&ledger, "a").backup.id;
    repo.git(&[
        "notes",
        "--ref=backups",
        "append",
        "-m",
        "checked by hand\n\nBackup plan: see the wiki",
        "HEAD",
    ]);
    complete(&ledger, id).unwrap();
    let note = repo.git(&["notes", "--ref=backups", "show", "HEAD"]);
    let (ours, theirs) = note.split_once('\n').unwrap();
    assert!(ours.starts_with(&format!("Backup {id}: completed")), "{note}");
    assert_eq!(theirs, "\nchecked by hand\n\nBackup plan: see the wiki");
}

#[test]
fn a_damaged_record_is_named_and_the_others_are_still_read() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let (bad, good) = (registered(&ledger, "bad").backup.id, registered(&ledger, "good").backup.id);
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["switch", "-q", "--detach", &format!("refs/backups/{head}")]);
    repo.commit(&format!(".pggit/{bad}.json"), "{\"id\": \"half a rec", "damage");
    repo.git(&["update-ref", &format!("refs/backups/{head}"), "HEAD"]);
    repo.git(&["switch", "-q", "main"]);
    let catalog = ledger.catalog().unwrap();
    assert_eq!(catalog.entries.iter().map(|entry| entry.backup.id).collect::<Vec<_>>(), [good]);
    assert_eq!(catalog.damaged[0].file, format!(".pggit/{bad}.json"));
    assert!(matches!(complete(&ledger, bad), Err(Error::Damaged { .. })));
    assert!(matches!(
        catalog.find(&bad.to_string().parse().unwrap(), &Filter::default()),
        Err(Error::Damaged { .. })
    ));
    complete(&ledger, good).unwrap();
}

#[test]
fn a_rebased_away_commit_stays_as_long_as_its_backup() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let gone = repository.head().unwrap();
    registered(&ledger, "a");
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repo.commit("0002.sql", "create table c (id int);", "two, better");
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(repo.git(&["cat-file", "-t", &gone.to_string()]), "commit");
    assert_eq!(repo.open().summary(gone).unwrap().subject, "two");
    repo.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn without_an_identity_nothing_is_written() {
    let repo = Repo::with_history(&[]);
    repo.git(&["config", "--unset", "user.name"]);
    repo.git(&["config", "--unset", "user.email"]);
    // The configuration of this machine may contain an identity, and then the test is not possible.
    if run_git(&repo.dir, &["config", "user.name"]).status.success() {
        return;
    }
    let (repository, host) = (repo.open(), host());
    if let Err(error) = repository.identity() {
        assert!(matches!(error, git::Error::NoIdentity));
        let ledger = Ledger::new(&repository, &System, &host);
        assert!(ledger.register(&new_backup(&repository, "a"), &[]).is_err());
        assert_eq!(repo.git(&["for-each-ref", "refs/backups"]), "");
    }
}

#[test]
fn an_event_from_elsewhere_is_taken_once_and_checked() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let ledger = Ledger::new(&repository, &System, &host);
    let id = registered(&ledger, "a").backup.id;
    let at = System.now();
    let event = Event::new(
        pggit::domain::EventId::new(at),
        id,
        7,
        at,
        Line::lossy("Bob <b@example.com>"),
        Line::lossy("elsewhere"),
        Tagged { key: "seen".parse().unwrap(), value: Line::default() }.into(),
    );
    let first = ledger.append_event(&event).unwrap();
    assert!(first.backup.tags.contains_key(&"seen".parse().unwrap()));
    assert_eq!(ledger.append_event(&event).unwrap().tip, first.tip);
    let mut odd = event.to_value();
    odd["kind"] = "exploded".into();
    assert!(ledger.append_event(&Event::from_value(odd).unwrap()).is_err());
}

#[test]
fn two_who_complete_the_same_backup_leave_one_completion() {
    let repo = Repo::with_history(&[]);
    let (repository, host) = (repo.open(), host());
    let id = registered(&Ledger::new(&repository, &System, &host), "a").backup.id;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let one = || {
            let repository = repo.open();
            complete(&Ledger::new(&repository, &System, &host), id)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, vec![format!("backup {id} cannot be completed: the backup is completed"); 3]);
}

#[test]
fn writers_beside_gc_and_pack_refs_lose_nothing() {
    let repo = Repo::with_history(&[]);
    let host = host();
    let done = AtomicBool::new(false);
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    std::thread::scope(|scope| {
        for args in [&["gc", "-q", "--prune=now"][..], &["pack-refs", "--all", "--prune"]] {
            let (repo, done) = (&repo, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // They may fail on each other's locks, but must not damage anything.
                    let _ = run_git(&repo.dir, args);
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (repo, host) = (&repo, &host);
                scope.spawn(move || {
                    let repository = repo.open();
                    let ledger = Ledger::new(&repository, &System, host);
                    for n in 0..EACH {
                        registered(&ledger, &format!("w{writer}-{n}"));
                    }
                })
            })
            .collect();
        let ends: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok));
    });
    let repository = repo.open();
    let catalog = Ledger::new(&repository, &System, &host).catalog().unwrap();
    if catalog.entries.len() != WRITERS * EACH {
        let kept = std::env::temp_dir().join("lost-record");
        let _ = std::fs::remove_dir_all(&kept);
        assert!(Command::new("cp").arg("-a").arg(&repo.dir).arg(&kept).status().unwrap().success());
    }
    assert_eq!((catalog.entries.len(), catalog.damaged.len()), (WRITERS * EACH, 0));
    repo.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(repo.git(&["notes", "--ref=backups", "show", "HEAD"]).lines().count(), WRITERS * EACH);
}
