//! The guarantees of a restore test.

use serde_json::json;

use super::Tested;

/// Fills a database with objects that are difficult to restore.
fn furnish(tested: &Tested) {
    let shop = &tested.shop;
    let role = format!("{}_owner", shop.database);
    let sql = format!(
        r#"create role "{role}" login password 'hunter2-role';
        create schema "we""ird; drop table x; --";
        create table "we""ird; drop table x; --"."Tab
le'" (id int, "r" text, at timestamptz default now());
        insert into "we""ird; drop table x; --"."Tab
le'" select g, repeat('é', g) from generate_series(1, 50) g;
        create table "http://u:p@h" (a int);
        create table my_password (a int); insert into my_password values (7);
        create table empty ();
        create table parts (k int, v money) partition by list (k);
        create table parts_1 partition of parts for values in (1);
        insert into parts values (1, 12.5);
        create unlogged table scratchpad (a int);
        create materialized view totals as select count(*) from orders;
        create index on orders (note);
        alter table orders owner to "{role}";
        grant select on parts to "{role}" with grant option;
        create extension postgres_fdw;
        create server far foreign data wrapper postgres_fdw options (host 'nowhere.example');
        create user mapping for "{role}" server far options (user 'u', password 'hunter2-mapping');"#
    );
    let mut psql = crate::cluster::client("psql");
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(shop.cluster.conninfo(&shop.database))
        .args(["-c", &sql]);
    let out = psql.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn every_format_is_restored_and_compared() {
    let mut tested = Tested::new();
    furnish(&tested);
    tested.config("pggit.shop.recordRowCounts", "true");
    tested.config("pggit.shop.assertion", "select count(*) = 1000 from orders");
    for format in ["custom", "directory", "tar", "plain"] {
        tested.back_up(&["--format", format, "--name", format]);
    }
    let record = tested.shop.records().pop().unwrap();
    let counted = record["metadata"]["row_counts"].clone();
    assert_eq!(counted["left_out"], json!(1), "a name like a URL with a password is in no record: {counted}");
    let orders = counted["tables"].as_array().unwrap().iter().find(|it| it[1] == "orders").unwrap();
    assert_eq!(orders[2], json!(1000));
    // The environment variables of libpq and the language do not affect the scratch cluster.
    for (name, value) in [
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGPORT", "1"),
        ("PGOPTIONS", "-c nonsense=1"),
        ("PGUSER", "nobody"),
        ("PGTZ", "Asia/Tokyo"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
    ] {
        tested.shop.sandbox.set(name, value);
    }
    tested.shop.sandbox.git(["config", "pggit.shop.url", "host=/nowhere dbname=x"]);
    let output = tested.verify(&["--all", "--kind", "restore-test", "--json"]);
    let document = output.json();
    let verdicts = document["verifications"].as_array().unwrap();
    assert_eq!(verdicts.len(), 4, "{}", output.snapshot());
    for verdict in verdicts {
        let details = &verdict["details"];
        assert_eq!(verdict["status"], json!("passed"), "{verdict:#}");
        assert_eq!(
            (&details["schema"], &details["amcheck"]),
            (&json!("equal"), &json!("passed")),
            "{verdict:#}"
        );
        assert_eq!(details["counts"]["differ"], json!(0), "{verdict:#}");
        assert_eq!(details["assertions"][0]["result"], json!("true"));
        for seconds in ["rto_s", "rpo_s", "duration_s"] {
            assert!(details[seconds].as_f64().is_some(), "{verdict:#}");
        }
    }
    assert_eq!(output.status, 0);
    let written = format!("{:?}", tested.shop.records());
    assert!(!written.contains("hunter2") && !output.snapshot().contains("hunter2"));
    tested.assert_clean();
}

#[test]
fn assertions_are_asked_by_somebody_who_may_only_read() {
    let tested = Tested::new();
    let proof = tested.shop.sandbox.path().join("proof");
    let program = format!("copy (select 1) to program 'touch {}'", proof.display());
    let cases: &[(&str, &str)] = &[
        ("select count(*) = 1000 from orders", "true"),
        ("select count(*) = 1000 from public.orders;", "true"),
        ("select true where exists (select from orders)", "true"),
        ("select count(*) = 999 from orders", "false"),
        ("select null::boolean", "false"),
        ("select 1", "no question"),
        ("select true, true", "no question"),
        ("select true from generate_series(1, 3)", "no question"),
        ("select true from generate_series(1, 1000000000)", "error"),
        ("select true where false", "no question"),
        ("commit", "no question"),
        ("select $1::boolean", "no question"),
        ("select nonsense", "error"),
        ("select (select note from orders where id = 7)::int > 0", "error"),
        ("select true; commit; drop table orders", "error"),
        ("with gone as (delete from orders returning 1) select count(*) > 0 from gone", "error"),
        ("select set_config('transaction_read_only', 'off', false) is not null", "error"),
        ("select lo_import('/etc/passwd') > 0", "error"),
        ("select pg_read_file('/etc/passwd') is not null", "error"),
        ("select set_config('role', 'postgres', false) is not null", "error"),
        ("select pg_sleep(100) is null", "error"),
        (&program, "no question"),
    ];
    let mut committed = String::from("[pggit \"shop\"]\n");
    for (sql, _) in cases {
        committed += &format!("\tassertion = \"{sql}\"\n");
    }
    tested.shop.sandbox.commit(".pggitconfig", committed, "assertions");
    tested.back_up(&[]);
    let (status, verdict) = tested.restore_test(&["--timeout", "30s"]);
    assert_eq!((status, &verdict["status"]), (1, &json!("failed")), "{verdict:#}");
    let results = verdict["details"]["assertions"].as_array().unwrap();
    let results: Vec<_> = results.iter().map(|it| it["result"].as_str().unwrap()).collect();
    let expected: Vec<_> = cases.iter().map(|(_, result)| *result).collect();
    assert_eq!(results, expected, "{verdict:#}");
    assert!(!proof.exists());
    let reasons = verdict["reasons"].to_string();
    for words in [
        "not true: select count(*) = 999 from orders",
        "error (SQLSTATE 25006): with gone as",
        "error (SQLSTATE 42501): select pg_read_file",
        "error (SQLSTATE 22P02): select (select note",
    ] {
        assert!(reasons.contains(words), "{words}: {reasons}");
    }
    // The record is shared, so it does not contain data of the database.
    assert!(!verdict.to_string().contains("8f14e45fceea167a5a36dedd4bea2543"), "{verdict:#}");
    tested.assert_clean();
}

#[test]
fn what_is_not_what_was_recorded_is_found() {
    let tested = Tested::new();
    tested.config("pggit.shop.recordRowCounts", "true");
    for (script, words) in [
        (
            "exec $real \"$@\" --exclude-table=orders",
            &[
                "table \"public\".\"orders\" is missing",
                "the schema differs from the recorded one: - constraint public.orders orders_pkey, - table public.orders",
            ][..],
        ),
        ("exec $real \"$@\" --exclude-table-data=orders", &["has 0 rows, recorded were 1000"]),
    ] {
        let whole = "case \"$*\" in *--schema-only*) exec $real \"$@\";; esac\n";
        tested.with_program("pg_dump", &format!("{whole}{script}"));
        tested.back_up(&[]);
        let (status, verdict) = tested.restore_test(&[]);
        assert_eq!((status, &verdict["status"]), (1, &json!("failed")), "{verdict:#}");
        for words in words {
            assert!(
                verdict["reasons"].to_string().replace("\\\"", "\"").contains(words),
                "{words}: {verdict:#}"
            );
        }
    }
    // The number of rows is the same, their content is not.
    let sed = "$real \"$@\" | sed 's/^7\\t.*/7\\tseven/'";
    tested
        .with_program("pg_dump", &format!("case \"$*\" in *--schema-only*) exec $real \"$@\";; esac\n{sed}"));
    tested.back_up(&["--format", "plain"]);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!(status, 1, "{verdict:#}");
    assert!(verdict["reasons"].to_string().contains("has other rows than were recorded"), "{verdict:#}");
}

#[test]
fn without_roles_in_the_backup_others_stand_in() {
    let tested = Tested::new();
    furnish(&tested);
    tested.config("pggit.shop.globals", "false");
    tested.back_up(&["--format", "plain"]);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("warning")), "{verdict:#}");
    assert_eq!(verdict["details"]["schema"], json!("equal"), "{verdict:#}");
    tested.config("pggit.shop.recordSchema", "false");
    tested.back_up(&[]);
    let known = tested.verifications().len();
    let output = tested.verify(&["--latest", "--kind", "restore-test"]).fails(13);
    assert!(output.stderr_text().contains("roles are not in the backup"), "{}", output.snapshot());
    assert_eq!(tested.verifications().len(), known, "a machine with the roles can restore it");
    let role = format!("{}_owner", tested.shop.database);
    tested.shop.cluster.psql(&tested.shop.database, &format!("drop user mapping for \"{role}\" server far"));
    tested.back_up(&[]);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("warning")), "{verdict:#}");
    assert!(verdict["reasons"][0].as_str().unwrap().contains("without owners and grants"), "{verdict:#}");
}

#[test]
fn tablespaces_are_made_inside_of_the_scratch_cluster() {
    let tested = Tested::new();
    let shop = &tested.shop;
    let place = shop.cluster.dir().join(format!("space-{}", shop.database));
    std::fs::create_dir(&place).unwrap();
    let data = std::fs::metadata(shop.cluster.dir().join("data")).unwrap();
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&data), std::os::unix::fs::MetadataExt::gid(&data));
    std::os::unix::fs::chown(&place, Some(uid), Some(gid)).unwrap();
    let name = format!("{}_space", shop.database);
    shop.cluster.psql("postgres", &format!("create tablespace \"{name}\" location '{}'", place.display()));
    shop.cluster.psql(&shop.database, &format!("create table far (a int) tablespace \"{name}\""));
    tested.back_up(&[]);
    let before = crate::create::names(&place);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!(crate::create::names(&place), before, "nothing was done where the source is");
    shop.cluster.psql(&shop.database, "drop table far");
    shop.cluster.psql("postgres", &format!("drop tablespace \"{name}\""));
}

#[test]
fn sums_of_another_kind_are_not_compared() {
    let tested = Tested::new();
    tested.config("pggit.shop.recordRowCounts", "true");
    tested.back_up(&["--name", "old"]);
    let annotate = |counts: serde_json::Value| {
        let file = tested.shop.sandbox.path().join("facts");
        std::fs::write(&file, json!({ "row_counts": counts }).to_string()).unwrap();
        tested.shop.pggit(&["backup", "annotate", "old", "--metadata", file.to_str().unwrap()]).success();
    };
    // The format of the checksums of earlier versions.
    annotate(json!({ "tables": [["public", "orders", 1000, "-12345678901234567890"]] }));
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("warning")), "{verdict:#}");
    assert!(verdict["reasons"].to_string().contains("only numbers of rows were compared"), "{verdict:#}");
    annotate(json!({ "tables": [["public", "orders", 999, "-12345678901234567890"]] }));
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (1, &json!("failed")), "{verdict:#}");
}

#[test]
fn roles_that_only_policies_and_mappings_name_are_made() {
    let tested = Tested::new();
    let (shop, role) = (&tested.shop, format!("{}_policy", tested.shop.database));
    let sql = format!(
        "create role \"{role}\"; create role \"{role} too\"; alter table orders enable row level security; \
         create policy p on orders to \"{role}\", \"{role} too\" using (true)"
    );
    for sql in sql.split("; ") {
        shop.cluster.psql(&shop.database, sql);
    }
    tested.config("pggit.shop.globals", "false");
    tested.back_up(&[]);
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["details"]["schema"]), (0, &json!("equal")), "{verdict:#}");
}
