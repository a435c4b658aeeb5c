//! `pggit.<database>.migrateCommand`: a program of the user migrates a restored database to the target
//! commit.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::restore_commit::History;

const ITEMS: &str = "create table items (id int primary key);";

/// A program that keeps its history in a table, with the checksums of the files, as Flyway does.
const RUNNER: &str = r#"#!/bin/sh
set -eu
[ "$1 $2" = "-locations=filesystem:migrations migrate" ] || exit 64
[ "$FLYWAY_URL" = "jdbc:postgresql://$PGHOST:$PGPORT/$PGDATABASE" ] && [ "$FLYWAY_USER" = "$PGUSER" ] || exit 65
q() { psql --no-psqlrc -qtA --set=ON_ERROR_STOP=1 "$@"; }
q -c 'create table if not exists flyway_schema_history (script text primary key, checksum text not null)'
for file in migrations/*.sql; do
    name=${file##*/} sum=$(sha256sum "$file" | cut -d ' ' -f 1)
    known=$(echo "select checksum from flyway_schema_history where script = :'name'" | q -v name="$name")
    [ -n "$known" ] && [ "$known" != "$sum" ] && { echo "Migration checksum mismatch for $name" >&2; exit 1; }
    [ -n "$known" ] || { cat "$file"; echo "insert into flyway_schema_history values (:'name', :'sum');"; } |
        q -1 -v name="$name" -v sum="$sum"
done
"#;

/// A program with the arguments and the history table of sqlx-cli.
const SQLX: &str = r#"#!/bin/sh
set -eu
[ "$*" = "migrate run --source migrations" ] || exit 64
q() { psql --no-psqlrc -qtA --set=ON_ERROR_STOP=1 "$DATABASE_URL" "$@"; }
q -c 'create table if not exists _sqlx_migrations (version bigint primary key, description text not null,
    installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null)'
for file in migrations/*.sql; do
    name=${file##*/} version=$(echo "${file##*/}" | sed 's/^0*//; s/_.*//')
    [ -n "$(q -c "select 1 from _sqlx_migrations where version = $version")" ] && continue
    { cat "$file"; echo "insert into _sqlx_migrations values ($version, :'name', now(), true, sha384(:'name'), 0);"; } |
        q -1 -v name="$name"
done
"#;

impl History {
    fn set_migrate(&self, command: &str) {
        self.sandbox.git(["config", "pggit.shop.migrateCommand", command]);
    }

    /// Writes a program outside of the repository.
    fn program(&self, name: &str, text: &str) -> PathBuf {
        let dir = self.sandbox.path().join("bin");
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn add_to_path(&mut self) {
        let path = std::env::var("PATH").unwrap();
        self.sandbox.set("PATH", format!("{}:{path}", self.sandbox.path().join("bin").display()));
    }

    fn sql_of_copy(&self, sql: &str) -> String {
        self.cluster.psql(&self.copy(), sql)
    }

    fn drop_copy(&self) {
        self.cluster.psql("postgres", &format!("drop database {}", self.copy()));
    }

    /// Asserts that no files and no administrative data of a worktree are left.
    #[track_caller]
    fn assert_no_worktree_is_left(&self) {
        let git = self.sandbox.repo().join(".git");
        let left = fs::read_dir(git.join("pggit/worktrees")).map_or(0, Iterator::count);
        let list = self.sandbox.git(["worktree", "list", "--porcelain"]);
        assert_eq!((left, list.matches("worktree ").count()), (0, 1), "{list}");
    }
}

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name)
}

#[test]
fn new_files_are_run_with_psql_by_the_recipe() {
    let history = History::new();
    history.set_migrate(example("migrate-psql.sh").to_str().unwrap());
    history.backup("first");
    history.commit("0002_it's; \\! touch pwned $(touch pwned).sql", ITEMS);
    history.commit("0003_more.sql", "insert into items select generate_series(1, 7);");
    let planned = history.restore("HEAD", &["--dry-run"]).success().stdout_text();
    assert!(planned.contains("migrate-psql.sh' in a worktree of "), "{planned}");
    let restored = history.restore("HEAD", &["--json"]).success().json();
    let with = restored["schema_compared_with"].as_str().unwrap().to_owned();
    assert!(with.contains("migrate-psql.sh' creates in an empty database"), "{with}");
    assert_eq!(history.sql_of_copy("select count(*) from orders"), "100");
    assert_eq!(history.sql_of_copy("select count(*) from items"), "7");
    assert!(!history.sandbox.repo().join("pwned").exists());
    history.assert_no_worktree_is_left();

    // A commit that needs no migration is reached without the program.
    history.drop_copy();
    history.set_migrate("/nonexistent");
    history.restore("HEAD~2", &[]).success();
    history.drop_copy();
    history.restore("HEAD", &["--no-migrate"]).success();
}

#[test]
fn a_tool_with_a_history_of_its_own_decides_what_is_to_be_run() {
    for (name, program, command) in [
        ("flyway", RUNNER, example("migrate-flyway.sh").display().to_string()),
        ("sqlx", SQLX, "sqlx migrate run --source migrations".to_owned()),
    ] {
        let mut history = History::new();
        history.program(name, program);
        history.add_to_path();
        history.set_migrate(&command);
        history.sql("drop table orders");
        let live = |history: &History| {
            // The same program migrates the source.
            let mut cmd = history.sandbox.pggit_command();
            let cmd = cmd.args(["backup", "guard", "--disconnect", "--"]);
            let cmd = match name {
                "sqlx" => cmd.args(["sqlx", "migrate", "run", "--source", "migrations"]),
                _ => cmd.arg(&command),
            };
            let _ = history.sandbox.output(cmd).success();
        };
        live(&history);
        history.backup("first");
        history.commit("0002_items.sql", ITEMS);
        history.commit("0003_more.sql", "insert into items select generate_series(1, 7);");
        history.restore("HEAD", &[]).success();
        assert_eq!(history.sql_of_copy("select count(*) from items"), "7", "{name}");
        history.drop_copy();

        // The recorded schema of a backup is also the result of the program.
        live(&history);
        history.backup("second");
        let restored = history.restore("HEAD", &["--json"]).success().json();
        assert!(restored["schema_compared_with"].as_str().unwrap().contains("recorded"), "{restored}");
        history.drop_copy();

        // The first file was changed meanwhile: the program decides if that is an error.
        history.sandbox.commit(
            "migrations/0001_orders.sql",
            "create table orders (id int primary key, note text); -- !",
            "comment",
        );
        history.commit("0004_last.sql", "alter table items add note text;");
        match name {
            "flyway" => {
                let text = history.restore("HEAD", &[]).fails(13).stderr_text();
                let said = "error: Migration checksum mismatch for 0001_orders.sql\n";
                assert!(
                    text.contains("migrate-flyway.sh': exit status 1\n") && text.contains(said),
                    "{text}"
                );
                assert_eq!(history.copies(), "");
            }
            _ => drop(history.restore("HEAD", &[]).success()),
        }
        history.assert_no_worktree_is_left();
    }
}

#[test]
fn it_sees_the_copy_and_nothing_that_leads_elsewhere() {
    let mut history = History::new();
    let seen = history.sandbox.path().join("seen");
    let spy = format!(
        "#!/bin/sh\n{{ pwd; env; git rev-parse HEAD; ls; }} >{}\nmkdir dir; touch dir/file; chmod 500 dir\n",
        seen.display()
    );
    history.set_migrate(history.program("spy", &spy).to_str().unwrap());
    for hook in ["post-checkout", "post-index-change"] {
        let path = history.sandbox.repo().join(".git/hooks").join(hook);
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", history.sandbox.path().join("hooked").display()))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    history.backup("first");
    let _ = fs::remove_file(history.sandbox.path().join("hooked"));
    let from = history.sandbox.git(["rev-parse", "HEAD"]);
    std::os::unix::fs::symlink("/etc", history.sandbox.repo().join("link")).unwrap();
    history.sandbox.git(["add", "link"]);
    let to = history.sandbox.commit("README.md", "text", "words only");
    let _ = fs::remove_file(history.sandbox.path().join("hooked"));
    for (name, value) in [
        ("PGPASSWORD", "s3cret"),
        ("FLYWAY_URL", "jdbc:postgresql://production/shop"),
        ("PGGIT_DATABASE_URL", "postgresql://production/shop"),
        ("PGSERVICEFILE", "/nonexistent"),
    ] {
        if name != "PGGIT_DATABASE_URL" {
            history.sandbox.set(name, value);
        }
    }
    history.restore("HEAD", &["--allow-schema-difference"]).success();
    let text = fs::read_to_string(&seen).unwrap();
    let has = |line: &str| text.lines().any(|it| it == line);
    // The last run was that in the empty database.
    assert!(
        has(&format!("PGDATABASE={}~schema~pggit", history.copy())) && !text.contains("PGGIT_FROM_COMMIT"),
        "{text}"
    );
    assert!(
        has(&format!("PGGIT_COMMIT={to}")) && has(&to) && has("README.md") && has("PGGIT_DATABASE=shop"),
        "{text}"
    );
    assert!(!text.contains("production") && !text.lines().any(|it| it.starts_with("GIT_")), "{text}");
    let url = text.lines().find(|it| it.starts_with("DATABASE_URL=")).unwrap();
    assert!(has("PGPASSWORD=s3cret") && !url.contains("s3cret"), "{text}");
    assert!(!history.sandbox.path().join("hooked").exists());
    history.assert_no_worktree_is_left();

    // The output of the program is shown without the secret.
    history.drop_copy();
    let fail = "#!/bin/sh\necho out $PGPASSWORD $PGGIT_FROM_COMMIT; echo err >&2; exit 3\n";
    history.set_migrate(history.program("fail", fail).to_str().unwrap());
    let text = history.restore("HEAD", &[]).fails(13).stderr_text();
    let said = format!("exit status 3\nerror: out *** {from}\nerror: err\n");
    assert!(text.contains(&said) && !text.contains("s3cret") && !text.contains("because"), "{text}");
    assert_eq!(history.copies(), "");
    history.assert_no_worktree_is_left();
}

#[test]
fn one_that_does_not_end_is_ended_and_one_that_is_not_there_is_said() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.sql", ITEMS);
    history.sandbox.git(["config", "pggit.shop.migrateTimeout", "1s"]);
    history.set_migrate("sleep 600");
    let text = history.restore("HEAD", &[]).fails(13).stderr_text();
    assert!(text.contains("'sleep 600': sleep: timed out after 1 s"), "{text}");
    history.set_migrate("no-such-program --x");
    let text = history.restore("HEAD", &[]).fails(13).stderr_text();
    assert!(text.contains("no-such-program: program not found"), "{text}");
    assert_eq!(history.copies(), "");
    history.assert_no_worktree_is_left();
}

#[test]
fn the_worktree_of_a_process_that_died_is_removed_by_the_next() {
    let history = History::new();
    history.backup("first");
    history.commit("0002_items.sql", ITEMS);
    history.set_migrate(example("migrate-psql.sh").to_str().unwrap());
    let parent = history.sandbox.repo().join(".git/pggit/worktrees");
    for point in ["git.worktree.owned", "git.worktree.made", "recovery.migrated"] {
        let mut command = history.sandbox.pggit_command();
        command.args(["backup", "restore", "HEAD", "--into", &history.copy()]).env("PGGIT_CRASH_AT", point);
        assert_ne!(history.sandbox.output(&mut command).status, 0);
        let left = fs::read_dir(&parent).unwrap().count();
        assert_eq!(left, usize::from(point != "recovery.migrated"), "{point}");
    }
    fs::create_dir(parent.join("empty")).unwrap();
    history.restore("HEAD", &[]).success();
    history.assert_no_worktree_is_left();
}

#[test]
fn it_only_goes_forward_and_a_clone_cannot_choose_it() {
    let history = History::new();
    let root = history.sandbox.git(["rev-parse", "HEAD"]);
    history.migrate("0002_items.sql", ITEMS);
    history.backup("newer");
    history.set_migrate("true");
    let text = history.restore("newer", &["--commit", &root]).fails(12).stderr_text();
    assert!(text.contains("is not in the history of"), "{text}");

    history.sandbox.git(["config", "--unset", "pggit.shop.migrateCommand"]);
    let evil = history.sandbox.path().join("evil");
    let committed = format!("[pggit \"shop\"]\nmigrateCommand = touch {}\n", evil.display());
    history.sandbox.commit(".pggitconfig", committed, "configure");
    let output = history.restore("HEAD", &[]).success();
    assert!(output.stderr_text().contains("pggit.shop.migrateCommand"), "{}", output.snapshot());
    assert!(!evil.exists());
}

#[test]
fn a_program_that_cannot_fill_an_empty_database_migrates_without_a_proof() {
    let history = History::new();
    history.backup("one");
    history.migrate("0002_items.sql", ITEMS);
    // It needs the tables that the backup has.
    let text = "#!/bin/sh\nexec psql -qX1 --set=ON_ERROR_STOP=1 -c 'select 1 from orders limit 1' -f migrations/0002_items.sql\n";
    let program = history.program("only-the-rest", text);
    history.set_migrate(program.to_str().unwrap());
    let said = history.restore("HEAD", &[]).fails(12).stderr_text();
    assert!(said.contains("--allow-unproved"), "{said}");
    let said = history.restore("HEAD", &["--allow-unproved"]).success().stderr_text();
    assert!(said.contains("warning: NOT PROVED: the schema of commit"), "{said}");
    assert_eq!(history.sql_of_copy("select count(*) from items"), "0");
    assert_eq!(history.sql_of_copy("select coalesce(current_setting('pggit.commit', true), '')"), "");
}
