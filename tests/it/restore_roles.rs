//! `git pggit backup restore --globals`: roles of a backup on another server.

use crate::cluster::Cluster;
use crate::restore_commit::History;

const ROLES: &str = "select string_agg(rolname || rolcanlogin, ',' order by rolname) from pg_roles \
                     where rolname !~ '^(pg_|postgres)'";

/// Makes a history on a server of its own, with roles, and a backup of it.
fn with_roles() -> History {
    let history = History::on(Cluster::start().into());
    history.sql(
        "create role app login password 'secret' connection limit 7; create role readers; create role \"o'dd\"; \
         grant readers to app; grant app to \"o'dd\"; alter role app set work_mem = '7MB'; \
         comment on role app is 'it''s; mine'; alter table orders owner to app; \
         grant select on orders to readers; create role \"no one\" superuser",
    );
    history.backup("first");
    history
}

#[test]
fn what_is_missing_is_made_and_what_is_there_stays() {
    let (history, other) = (with_roles(), Cluster::start());
    other.psql("postgres", "create role readers login password 'mine'");
    let password = "select rolpassword from pg_authid where rolname = ";
    let mine = other.psql("postgres", &format!("{password}'readers'"));
    let url = other.url("postgres");
    let restore = |args: &[&str]| history.restore("first", &[&["--maintenance-db", &url], args].concat());
    // Without the roles the restore fails.
    let said = restore(&[]).fails(13).stderr_text();
    assert!(said.contains("role \"app\" does not exist"), "{said}");
    let steps = restore(&["--globals", "--dry-run"]).success().stdout_text();
    assert!(steps.contains("1. create the roles of globals.sql that the server lacks"), "{steps}");
    assert_eq!(other.psql("postgres", ROLES), "readerstrue");

    let said = restore(&["--globals", "--json"]).success().json();
    assert_eq!(said["roles"]["made"], serde_json::json!(["app", "no one", "o'dd"]));
    assert_eq!(said["roles"]["kept"], serde_json::json!(["postgres", "readers"]));
    assert_eq!(said["schema_difference"], serde_json::Value::Null);
    assert_eq!(other.psql("postgres", ROLES), "apptrue,no onefalse,o'ddfalse,readerstrue");
    assert_eq!(other.psql("postgres", &format!("{password}'readers'")), mine);
    let app = format!("{password}'app'");
    assert_eq!(other.psql("postgres", &app), history.cluster.psql("postgres", &app));
    let facts = "select rolconnlimit, rolconfig, shobj_description(oid, 'pg_authid'), \
                 pg_has_role(oid, 'readers', 'member') from pg_roles where rolname = 'app'";
    assert_eq!(other.psql("postgres", facts), "7|{work_mem=7MB}|it's; mine|t");
    let owner = "select tableowner from pg_tables where tablename = 'orders'";
    assert_eq!(other.psql(&history.copy(), owner), "app");
    // The second restore creates no roles.
    other.psql("postgres", &format!("drop database \"{}\"", history.copy()));
    let said = restore(&["--globals"]).success().stderr_text();
    assert!(said.contains("created roles: none"), "{said}");
}

#[test]
fn an_existing_role_becomes_no_member_and_a_failure_leaves_no_role() {
    let (history, other) = (with_roles(), Cluster::start());
    other.psql("postgres", "create role \"o'dd\"");
    let url = other.url("postgres");
    history.commit("0002_wrong.sql", "create table wrong (id nonsense);");
    history.restore("HEAD", &["--maintenance-db", &url, "--globals"]).fails(13);
    assert_eq!(other.psql("postgres", ROLES), "o'ddfalse");
    let said = history.restore("first", &["--maintenance-db", &url, "--globals"]).success().stderr_text();
    assert!(said.contains("\"o'dd\" is no member of \"app\""), "{said}");
    let is_member = "select pg_has_role('o''dd', 'app', 'member')";
    assert_eq!(other.psql("postgres", is_member), "f");
    // A user without the privilege to create roles creates none.
    let third = Cluster::start();
    third.psql("postgres", "create role small login createdb");
    let small = third.url("postgres").replace("user=postgres", "user=small");
    history.restore("first", &["--maintenance-db", &small, "--globals"]).fails(14);
    assert_eq!(third.psql("postgres", ROLES), "smalltrue");
    // A backup without roles cannot restore any.
    history.sandbox.git(["config", "pggit.shop.globals", "false"]);
    history.backup("second");
    let url = third.url("postgres");
    let said = history.restore("second", &["--maintenance-db", &url, "--globals"]).fails(12).stderr_text();
    assert!(said.contains("it has no globals.sql"), "{said}");
}
