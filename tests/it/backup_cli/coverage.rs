//! Coverage by migrations and by databases.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

fn backed_up(sandbox: &Sandbox, database: &str) {
    let name = format!("{database}-backup");
    let args = ["backup", "register", "-d", database, "--tool=pg_dump", "--size=1", "--name", &name];
    sandbox.pggit(args).success();
}

/// The state of the tip of main, the commit of the backup to restore from, and the number of migrations.
fn tip(sandbox: &Sandbox) -> (String, Value, Value) {
    let json = sandbox.pggit(["backup", "coverage", "--json"]).success().json();
    let tip = &json["branches"][0]["tip"];
    (tip["state"].as_str().unwrap().to_owned(), tip["restorable_at"].clone(), tip["migrations"].clone())
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    let json = sandbox.pggit(["backup", "coverage", "--commits", "HEAD", "--json"]).success().json();
    let commits = json["commits"].as_array().unwrap().iter();
    commits.map(|commit| commit["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_tip_is_covered_by_an_older_commit_as_far_as_its_migrations_lead() {
    let sandbox = Sandbox::new();
    let first = sandbox.commit("migrations/1.sql", "create table a ();", "a");
    backed_up(&sandbox, "shop");
    assert_eq!(tip(&sandbox), ("ok".to_owned(), json!(first), json!(0)));
    // A commit that changes no migration is covered like its parent.
    sandbox.commit("README.md", "tables", "a readme");
    assert_eq!(tip(&sandbox), ("ok".to_owned(), json!(first), json!(0)));
    sandbox.pggit(["backup", "coverage", "--exit-code"]).success();
    sandbox.commit("migrations/2.sql", "create table b ();", "b");
    assert_eq!(tip(&sandbox), ("reachable".to_owned(), json!(first), json!(1)));
    sandbox.pggit(["backup", "coverage", "--exit-code"]).fails(1);
    assert_eq!(states(&sandbox), ["reachable", "ok", "ok"]);
    // A commit outside of the range counts, too.
    let json = sandbox.pggit(["backup", "coverage", "--commits", "HEAD~1..HEAD", "--json"]).success().json();
    assert_eq!(json["commits"][0]["state"], "reachable");
    let text = sandbox.pggit(["backup", "coverage"]).success().stdout_text();
    assert!(text.contains("MIGRATIONS") && text.contains("reachable"), "{text}");
    // A migration that was changed after the backup leads nowhere.
    sandbox.commit("migrations/1.sql", "create table a (id int);", "a has an id");
    assert_eq!(tip(&sandbox), ("no_backup".to_owned(), Value::Null, Value::Null));
    // The nearest backup does not lead there, and another one does.
    backed_up(&sandbox, "shop");
    sandbox.commit("migrations/1.sql", "create table a ();", "a has no id");
    sandbox.commit("migrations/3.sql", "create table c ();", "c");
    assert_eq!(tip(&sandbox), ("reachable".to_owned(), json!(first), json!(2)));
    assert_eq!(states(&sandbox)[..2], ["reachable", "reachable"]);
}

#[test]
fn a_tip_whose_schema_cannot_be_known_is_unproven() {
    let sandbox = Sandbox::new();
    sandbox.commit("migrations/view.rb", "class View; end", "a view");
    let first = sandbox.commit("migrations/1_a.sql", "create table a ();", "a");
    backed_up(&sandbox, "shop");
    // Without a recorded schema not even a commit without new migrations can be proved.
    sandbox.commit("README.md", "tables", "a readme");
    assert_eq!(tip(&sandbox), ("unproven".to_owned(), json!(first), Value::Null));
    assert_eq!(states(&sandbox), ["unproven", "ok", "no_backup"]);
    sandbox.pggit(["backup", "coverage", "--commits", "HEAD~1..HEAD", "--exit-code"]).fails(1);
    sandbox.commit("migrations/2_b.sql", "create table b ();", "b");
    assert_eq!(tip(&sandbox), ("unproven".to_owned(), json!(first), Value::Null));
}

#[test]
fn of_several_databases_the_one_that_is_covered_worst_counts() {
    let sandbox = Sandbox::new();
    sandbox.commit("migrations/1.sql", "create table a ();", "a");
    sandbox.git(["config", "pggit.shop.url", "postgresql:///shop"]);
    sandbox.git(["config", "pggit.crm.url", "postgresql:///crm"]);
    backed_up(&sandbox, "shop");
    let coverage = |args: &[&str]| {
        sandbox.pggit([&["backup", "coverage", "--json"], args].concat()).success().json()["branches"][0]
            .clone()
    };
    let both = coverage(&[]);
    assert_eq!((&both["tip"]["state"], &both["database"]), (&json!("no_backup"), &json!("crm")));
    assert_eq!(coverage(&["-d", "shop"])["tip"]["state"], "ok");
    assert_eq!(states(&sandbox), ["no_backup"]);
    backed_up(&sandbox, "crm");
    assert_eq!(coverage(&[])["tip"]["state"], "ok");
    assert_eq!(states(&sandbox), ["ok"]);
}
