//! Restore tests of physical backups.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{Tested, flip, packs};
use crate::cluster::{Options, versions};
use crate::create::{Shop, names};

/// Makes a shop with a cluster of its own, which is small.
fn tested() -> Tested {
    tested_on(Options::default())
}

fn tested_on(options: Options) -> Tested {
    let shop = Shop::with_store();
    // The settings of the source must not be used by the scratch cluster.
    let cluster = options.setting("archive_mode=on").setting("archive_command=false").start();
    cluster.psql("postgres", "create database shop");
    cluster.psql("shop", "create table orders (id int primary key, note text)");
    cluster.psql("shop", "insert into orders select g, md5(g::text) from generate_series(1, 1000) g");
    cluster.psql("postgres", "alter system set shared_preload_libraries = 'nonsense'");
    cluster.psql("postgres", "alter system set listen_addresses = '*'");
    cluster.psql("postgres", "alter system set archive_command = 'touch /nonsense'");
    shop.sandbox.git(["config", "pggit.shop.url", &cluster.url("shop")]);
    shop.sandbox.git(["config", "pggit.shop.tool", "pg_basebackup"]);
    Tested::of(Shop { cluster: Arc::new(cluster), database: "shop".into(), ..shop })
}

#[test]
fn a_copy_of_a_cluster_is_recovered_and_asked() {
    let tested = tested();
    tested.config("pggit.shop.assertion", "select count(*) = 1000 from orders");
    tested.back_up(&["--name", "copy"]);
    for kind in ["checksum", "integrity"] {
        let output = tested.verify(&["copy", "--kind", kind]).success();
        assert!(output.stdout_text().starts_with(&format!("passed: {kind}")), "{}", output.snapshot());
    }
    let (status, verdict) = tested.restore_test(&["--heapallindexed"]);
    let details = &verdict["details"];
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!((&details["schema"], &details["amcheck"]), (&json!("equal"), &json!("passed")), "{verdict:#}");
    assert!(
        details["log_tail"].as_str().unwrap().contains("consistent recovery state reached"),
        "{verdict:#}"
    );
    assert!(details["rto_s"].as_f64().is_some());
    tested.assert_clean();
    packs(&tested).iter().for_each(|pack| flip(pack));
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (1, &json!("failed")), "{verdict:#}");
    tested.assert_clean();
}

/// Adds a table of ten rows in a tablespace. Returns the directory of the tablespace.
fn with_tablespace(tested: &Tested) -> PathBuf {
    let cluster = &tested.shop.cluster;
    let place = cluster.dir().join("space");
    fs::create_dir(&place).unwrap();
    let data = fs::metadata(cluster.dir().join("data")).unwrap();
    chown(&place, Some(data.uid()), Some(data.gid())).unwrap();
    cluster.psql("postgres", &format!("create tablespace far location '{}'", place.display()));
    cluster.psql("shop", "create table distant tablespace far as select * from generate_series(1, 10)");
    place
}

#[test]
fn a_chain_is_put_together_and_recovered() {
    let tested = tested_on(Options::default().major(17).setting("summarize_wal=on"));
    let (cluster, place) = (&tested.shop.cluster, with_tablespace(&tested));
    tested.shop.sandbox.git(["config", "pggit.pgBinDir", versions().to_str().unwrap()]);
    let full = tested.back_up(&[]);
    cluster.psql("shop", "insert into orders values (1001, 'first')");
    let first = tested.back_up(&["--type", "incremental"]);
    cluster.psql("shop", "insert into distant values (11)");
    cluster.psql("shop", "delete from orders where id <= 500");
    tested.back_up(&["--type", "incremental"]);
    let last = tested.shop.records().pop().unwrap();
    assert_eq!(last["depends_on"][0]["id"], json!(first), "{last:#}");
    cluster.psql("shop", "drop table distant");
    cluster.psql("postgres", "drop tablespace far");
    tested.config("pggit.shop.assertion", "select count(*) = 501 from orders");
    tested.config("pggit.shop.assertion", "select count(*) = 11 from distant");
    let (status, verdict) = tested.restore_test(&["--heapallindexed"]);
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!(names(&place), [""; 0]);
    // Each backup of the chain has its own data.
    let of_full = tested.verify(&[&full, "--kind", "restore-test"]).fails(1);
    assert!(of_full.stdout_text().contains("not true: select count(*) = 501"), "{}", of_full.snapshot());
    packs(&tested).iter().for_each(|pack| flip(pack));
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (1, &json!("failed")), "{verdict:#}");
    tested.assert_clean();
}

#[test]
fn neither_its_tablespaces_nor_its_superuser_are_taken_for_granted() {
    let tested = tested();
    let (cluster, place) = (&tested.shop.cluster, with_tablespace(&tested));
    cluster.psql("postgres", "create role boss superuser login");
    let url = cluster.url("shop").replace("user=postgres", "user=boss");
    tested.shop.sandbox.git(["config", "pggit.shop.url", &url]);
    let rename = |from: &str, to: &str| {
        let mut psql = crate::cluster::client("psql");
        let info = cluster.conninfo("shop").replace("user=postgres", "user=boss");
        let done =
            psql.args(["-XAtq", "-d", &info, "-c", &format!("alter role {from} rename to {to}")]).status();
        assert!(done.unwrap().success());
    };
    rename("postgres", "somebody");
    let created = tested.shop.create(&[]);
    rename("somebody", "postgres");
    created.success();
    tested.config("pggit.shop.assertion", "select count(*) = 10 from distant");
    // The original tablespace was dropped: its directory is empty, and no file may be restored into it.
    cluster.psql("shop", "drop table distant");
    cluster.psql("postgres", "drop tablespace far");
    let (status, verdict) = tested.restore_test(&[]);
    assert_eq!((status, &verdict["status"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!(names(&place), [""; 0]);
    tested.assert_clean();
}
