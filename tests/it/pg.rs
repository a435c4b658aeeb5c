//! The room `pg` against real servers.

use super::cluster::{Cluster, Options, Tls};

#[test]
fn cluster_smoke() {
    let c = Cluster::shared();
    let d = c.create_database("smoke");
    assert_eq!(c.psql(&d, "select current_database()"), d);
    let t = Options::default().tls(Tls::Signed).setting("work_mem=8MB").start();
    assert_eq!(t.psql("postgres", "show work_mem"), "8MB");
    let t = Options::default().tls(Tls::SelfSigned).start();
    assert_eq!(t.psql("postgres", "show ssl"), "on");
}
