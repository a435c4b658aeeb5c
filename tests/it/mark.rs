//! `git pggit mark` and `git pggit database check` on real databases.

use std::sync::Arc;

use crate::cluster::{Cluster, Options, bin_dir};
use crate::sandbox::Sandbox;

/// Makes a repository with two commits and the database `main` on the shared cluster.
fn marked_world() -> (Sandbox, Arc<Cluster>, String) {
    let cluster = Cluster::shared();
    let dbname = cluster.create_database("mark");
    let mut sandbox = Sandbox::new();
    sandbox.set("PGGIT_PGBIN", bin_dir());
    sandbox.commit("0001.sql", "create table a ();", "first table");
    sandbox.commit("0002.sql", "create table b ();", "second table");
    sandbox.git(["config", "pggit.main.url", &cluster.url(&dbname)]);
    (sandbox, cluster, dbname)
}

/// Returns the settings in the catalog.
fn settings(cluster: &Cluster, dbname: &str) -> String {
    let sql = "select setconfig from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase \
               where datname = current_database()";
    cluster.psql(dbname, sql)
}

#[test]
fn head_or_any_revision_is_recorded_in_full_shown_and_removed() {
    let (sandbox, cluster, dbname) = marked_world();
    let (head, first) = (sandbox.git(["rev-parse", "HEAD"]), sandbox.git(["rev-parse", "HEAD~1"]));
    assert_eq!(
        sandbox.pggit(["mark", "--show"]).snapshot(),
        "[stderr]\nerror: no mark in database 'main'\n\
         hint: record the commit with 'git pggit mark <commit>'\n[exit 1]\n"
    );
    assert_eq!(
        sandbox.pggit(["mark", "--show", "--json"]).fails(1).json()["commit"],
        serde_json::Value::Null
    );
    assert_eq!(
        sandbox.pggit(["mark"]).success().stderr_text(),
        format!("marked database 'main' with {} second table\n", &head[..10])
    );
    assert_eq!(settings(&cluster, &dbname), format!("{{pggit.commit={head}}}"));
    assert_eq!(
        sandbox.pggit(["mark", "--show"]).success().stdout_text(),
        format!("{head} second table\nthis is HEAD\n")
    );
    let json = sandbox.pggit(["mark", "main~1", "--json"]).success().json();
    assert_eq!(json, serde_json::json!({ "database": "main", "commit": first, "previous": head }));
    assert_eq!(
        sandbox.pggit(["mark", "--show", "--database", "main"]).success().stdout_text(),
        format!("{first} first table\n1 commit behind HEAD\n")
    );
    assert_eq!(
        sandbox.pggit(["mark", "--clear"]).snapshot(),
        "[stderr]\nremoved the mark of database 'main' (was [COMMIT1])\n[exit 0]\n"
    );
    assert_eq!(settings(&cluster, &dbname), "");
    let _ = sandbox.pggit(["mark", "--clear"]).success();
}

#[test]
fn the_place_of_a_mark_in_the_history_is_told() {
    let (sandbox, cluster, dbname) = marked_world();
    let _ = sandbox.pggit(["mark"]).success();
    sandbox.git(["checkout", "-q", "-b", "side", "HEAD~1"]);
    let shown = |sandbox: &Sandbox| sandbox.pggit(["mark", "--show"]).success().stdout_text();
    assert!(shown(&sandbox).ends_with("\n1 commit ahead of HEAD\n"));
    sandbox.commit("0003.sql", "", "aside");
    sandbox.commit("0004.sql", "", "further aside");
    assert!(shown(&sandbox).ends_with("\n2 commits behind and 1 commit ahead of HEAD\n"));
    let json = sandbox.pggit(["mark", "--show", "--json"]).success().json();
    assert_eq!((&json["behind"], &json["ahead"], &json["known"]), (&2.into(), &1.into(), &true.into()));
    // A commit of another repository, and no repository at all.
    let foreign = "1234567890abcdef1234567890abcdef12345678";
    cluster.psql(&dbname, &format!("alter database {dbname} set pggit.commit = '{foreign}'"));
    assert_eq!(shown(&sandbox), format!("{foreign}\nnot in this repository\n"));
    assert_eq!(sandbox.pggit(["mark", "--show", "--json"]).success().json()["known"], false);
    let mut outside = Sandbox::without_repository();
    outside.set("PGGIT_DATABASE", "main");
    outside.set("PGGIT_DATABASE_URL", cluster.url(&dbname));
    assert_eq!(shown(&outside), format!("{foreign}\nnot in this repository\n"));
}

#[test]
fn what_cannot_be_marked_is_refused_before_anything_is_written() {
    let (sandbox, cluster, dbname) = marked_world();
    for (args, status) in [
        (&["mark", "nosuch"][..], 10),
        (&["mark", ""], 10),
        (&["mark", "HEAD:0001.sql"], 10),
        (&["mark", "--", "-x"], 10),
        (&["mark", "a\nb"], 10),
        (&["mark", "-x"], 129),
        (&["mark", "HEAD", "--show"], 129),
        (&["mark", "--show", "--clear"], 129),
        (&["mark", "--database", "nosuch"], 10),
        (&["mark", "--database", "../x"], 129),
    ] {
        let _ = sandbox.pggit(args).fails(status);
    }
    assert_eq!(settings(&cluster, &dbname), "");
    // An invalid value that another program wrote is reported and can be replaced.
    cluster.psql(&dbname, &format!("alter database {dbname} set pggit.commit = 'v1.0'"));
    let output = sandbox.pggit(["mark", "--show"]).fails(129);
    assert!(output.stderr_text().contains("is not a full commit id: \"v1.0\""), "{}", output.snapshot());
    let _ = sandbox.pggit(["mark"]).success();
    let _ = sandbox.pggit(["mark", "--show"]).success();
    let empty = Sandbox::new();
    let _ = empty.pggit(["mark"]).fails(10);
    let _ = Sandbox::without_repository().pggit(["mark"]).fails(18);
}

#[test]
fn a_role_without_the_permission_is_told_the_grant() {
    let (sandbox, cluster, dbname) = marked_world();
    cluster.psql(
        "postgres",
        &format!("create role \"{dbname}_r\" login; alter database {dbname} owner to \"{dbname}_r\""),
    );
    let url = cluster.url(&dbname).replace("user=postgres", &format!("user={dbname}_r"));
    sandbox.git(["config", "pggit.main.url", &url]);
    let output = sandbox.pggit(["mark"]).fails(14).stderr_text();
    assert!(output.contains("GRANT SET ON PARAMETER \"pggit.commit\""), "{output}");
    // Before PostgreSQL 15 nobody can grant it.
    if cluster.psql("postgres", "select current_setting('server_version_num')::int >= 150000") == "t" {
        cluster.psql("postgres", &format!("grant set on parameter pggit.commit to \"{dbname}_r\""));
        let _ = sandbox.pggit(["mark"]).success();
    }
}

#[test]
fn check_shows_the_server_and_the_programs() {
    let (sandbox, _cluster, dbname) = marked_world();
    let _ = sandbox.pggit(["mark"]).success();
    let text = sandbox.pggit(["database", "check"]).success().stdout_text();
    for part in [
        &format!("{dbname} on /"),
        "PostgreSQL 1",
        " MiB",
        "postgres, a superuser",
        "pg_dumpall",
        "/pg_restore)",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let json = sandbox.pggit(["database", "check", "main", "--json"]).success().json();
    assert_eq!(json["mark"], sandbox.git(["rev-parse", "HEAD"]));
    assert_eq!((&json["dbname"], &json["user"]), (&dbname.as_str().into(), &"postgres".into()));
    assert!(json["size_bytes"].as_u64().unwrap() > 1_000_000, "{json:#}");
    assert_eq!(json["programs"].as_array().unwrap().len(), 3);
}

#[test]
fn check_fails_by_what_is_wrong() {
    let (mut sandbox, cluster, _dbname) = marked_world();
    let _ = sandbox.pggit(["database", "check", "nosuch"]).fails(10);
    sandbox.git(["config", "pggit.main.url", &cluster.url("no_such_database")]);
    let _ = sandbox.pggit(["database", "check"]).fails(14);
    sandbox.git(["config", "pggit.main.url", "host=/nonexistent port=1"]);
    let _ = sandbox.pggit(["database", "check"]).fails(14);
    sandbox.git(["config", "pggit.main.url", &cluster.url("postgres")]);
    let empty = sandbox.path().join("no-programs");
    std::fs::create_dir(&empty).unwrap();
    sandbox.set("PGGIT_PGBIN", empty);
    let output = sandbox.pggit(["database", "check"]).fails(13);
    assert!(output.stdout_text().contains("pg_dump not found"), "{}", output.snapshot());
}

#[test]
fn passwords_are_taken_as_libpq_takes_them_and_never_shown() {
    let cluster = Options::default().tcp().start();
    cluster.psql("postgres", "create role backup login superuser password 's3cret-s3cret'");
    let mut sandbox = Sandbox::new();
    sandbox.commit("a", "", "one");
    let url = format!("postgresql://backup@127.0.0.1:{}/postgres", cluster.port());
    sandbox.git(["config", "pggit.main.url", &url]);
    sandbox.set("PGPASSWORD", "wr0ng-wr0ng");
    let output = sandbox.pggit(["mark"]).fails(14).snapshot();
    assert!(output.contains("authentication failed") && !output.contains("wr0ng-wr0ng"), "{output}");
    sandbox.set("PGPASSWORD", "");
    let passfile = sandbox.home().join(".pgpass");
    std::fs::write(&passfile, "*:*:*:*:s3cret-s3cret\n").unwrap();
    let mode = |mode| {
        std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(0o644);
    let output = sandbox.pggit(["mark"]).fails(14).snapshot();
    assert!(output.contains("warning: password file [SANDBOX]/home/.pgpass is ignored"), "{output}");
    mode(0o600);
    let mut command = sandbox.pggit_command();
    let output = sandbox.output(command.args(["mark"]).env_remove("PGPASSWORD")).success().snapshot();
    assert!(!output.contains("s3cret"), "{output}");
}
