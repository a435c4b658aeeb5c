//! `git pggit backup restore --table --back-into`: rows of a backup go back into the live table.

use serde_json::json;

use crate::restore_commit::History;

/// A database with customers and their orders, and a backup of it.
fn shop() -> History {
    let history = History::new();
    history.sql(
        "create table customers (id int generated always as identity primary key, name text not null, \
         note json, upper_name text generated always as (upper(name)) stored); \
         insert into customers (name, note) select 'c' || g, '{\"n\": 1}' from generate_series(1, 20) g; \
         create table items (id int references customers, line int, what text, primary key (id, line)); \
         insert into items select g, l, 'x' from generate_series(1, 20) g, generate_series(1, 3) l",
    );
    history.backup("nightly");
    history
}

fn back(history: &History, table: &str, more: &[&str]) -> crate::sandbox::Output {
    let args = ["backup", "restore", "nightly", "--table", table, "--back-into", "shop", "--json"];
    history.pggit(&[&args, more].concat())
}

/// The databases on the server that were made for a restore.
fn left(history: &History) -> String {
    let like = format!("select datname from pg_database where datname like '{}~%'", history.database);
    history.cluster.psql("postgres", &like)
}

#[test]
fn missing_rows_come_back_and_newer_ones_stay() {
    let history = shop();
    history.sql("delete from items where id > 15; delete from customers where id > 15");
    history.sql(
        "update customers set name = 'newer' where id = 3; insert into customers (name) values ('later')",
    );
    let dry = back(&history, "customers", &["--dry-run"]).success().json();
    assert_eq!(
        (&dry["rows"], &dry["missing"], &dry["differing"]),
        (&json!(20), &json!(5), &json!(1)),
        "{dry}"
    );
    assert_eq!(dry["missing_keys"], json!(["(16)", "(17)", "(18)", "(19)", "(20)"]));
    assert_eq!((&dry["differing_keys"], &dry["inserted"]), (&json!(["(3)"]), &json!(0)));
    assert_eq!(history.sql("select count(*) from customers"), "16");
    let done = back(&history, "customers", &[]).success().json();
    assert_eq!((&done["inserted"], &done["updated"], &done["key"]), (&json!(5), &json!(0), &json!(["id"])));
    assert_eq!(
        history.sql("select name, upper_name from customers where id in (3, 16, 21) order by id"),
        "newer|NEWER\nc16|C16\nlater|LATER"
    );
    // The details of the customers, by a key of two columns, only of one.
    let items = back(&history, "public.items", &["--where", "id = 17"]).success().json();
    assert_eq!((&items["rows"], &items["inserted"]), (&json!(3), &json!(3)));
    assert_eq!(history.sql("select count(*) from items"), "48");
    // Again, nothing is missing.
    assert_eq!(back(&history, "customers", &[]).success().json()["inserted"], 0);
    let overwritten = back(&history, "customers", &["--overwrite"]).success().json();
    assert_eq!((&overwritten["updated"], &overwritten["differing"]), (&json!(1), &json!(1)));
    assert_eq!(history.sql("select name from customers where id = 3"), "c3");
    assert_eq!(left(&history), "");
    let log = history.pggit(&["backup", "log", "--json"]).success().stdout_text();
    assert!(log.contains("rows of table public.customers"), "{log}");
}

#[test]
fn what_cannot_be_put_back_changes_nothing() {
    let history = shop();
    history.sql("delete from items; delete from customers where id > 10");
    let refused = |table: &str, more: &[&str]| back(&history, table, more).fails(12).stderr_text();
    // A constraint of the live table.
    let said = history.pggit(&["backup", "restore", "nightly", "--table", "items", "--back-into", "shop"]);
    assert_ne!(said.status, 0);
    assert!(said.stderr_text().contains("violates foreign key constraint"), "{}", said.stderr_text());
    assert_eq!(history.sql("select count(*) from items"), "0");
    assert!(back(&history, "absent", &[]).fails(10).stderr_text().contains("no table absent in the backup"));
    history.sql("alter table customers alter column note type text");
    let said = refused("customers", &[]);
    assert!(said.contains("column note has the type json in the backup and text now"), "{said}");
    history.sql("alter table customers drop constraint customers_pkey cascade");
    history.sql("alter table customers alter column note type json using note::json");
    assert!(refused("customers", &[]).contains("no primary key"));
    assert_eq!(history.sql("select count(*) from customers"), "10");
    assert_eq!(left(&history), "");
}

#[test]
fn a_trigger_that_changes_what_is_written_is_refused() {
    let history = shop();
    history.sql("delete from items where id = 1");
    history.sql(
        "create function skip() returns trigger language plpgsql as 'begin return null; end'; \
         create trigger skip before insert on items for each row execute function skip()",
    );
    let said = back(&history, "items", &[]).fails(12).stderr_text();
    assert!(said.contains("0 of 3 rows were inserted"), "{said}");
}

#[test]
fn options_without_a_meaning_are_refused() {
    let history = History::new();
    for (args, words) in [
        (&["--back-into", "shop"][..], "--back-into requires one --table"),
        (&["--back-into", "shop", "--table", "a", "--table", "b"], "--back-into requires one --table"),
        (&["--back-into", "shop", "--table", "a", "--into", "x"], "--into cannot be used with --back-into"),
        (&["--back-into", "shop", "--table", "a", "--globals"], "--globals cannot be used with --back-into"),
        (&["--into", "x", "--where", "true"], "--back-into"),
    ] {
        let args = [&["backup", "restore", "HEAD"], args].concat();
        let said = history.pggit(&args).fails(129).stderr_text();
        assert!(said.contains(words), "{said}");
    }
}
