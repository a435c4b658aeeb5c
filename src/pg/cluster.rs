//! Facts about a cluster that a physical backup needs.

use super::{Client, Error, Result};

/// Facts about a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// The tablespaces outside of the data directory, by oid, with their paths.
    pub tablespaces: Vec<(u32, String)>,
    /// The size of all databases that the role may connect to, in bytes.
    pub size_bytes: u64,
    /// True if the role may make physical backups (`REPLICATION` or superuser).
    pub may_replicate: bool,
    /// The setting `summarize_wal`; `None` before PostgreSQL 17.
    pub summarizes_wal: Option<bool>,
}

const TABLESPACES: &str = "SELECT t.oid, pg_catalog.pg_tablespace_location(t.oid) \
    FROM pg_catalog.pg_tablespace AS t \
    WHERE pg_catalog.pg_tablespace_location(t.oid) OPERATOR(pg_catalog.~~) '/%' ORDER BY t.oid";

const FACTS: &str = "SELECT \
    (SELECT pg_catalog.sum(pg_catalog.pg_database_size(d.oid)) FROM pg_catalog.pg_database AS d \
     WHERE pg_catalog.has_database_privilege(d.oid, 'connect')), \
    (SELECT r.rolsuper OR r.rolreplication FROM pg_catalog.pg_roles AS r \
     WHERE r.rolname OPERATOR(pg_catalog.=) current_user), \
    pg_catalog.current_setting('summarize_wal', true)";

impl Client {
    /// Reads the facts about the cluster. Fails if a query fails.
    pub fn cluster_facts(&self) -> Result<ClusterFacts> {
        let unexpected = || Error::unexpected("facts of the cluster");
        let tablespaces = self.query(TABLESPACES)?.into_iter().map(|row| match row.as_slice() {
            [Some(oid), Some(location)] => Ok((oid.parse().map_err(|_| unexpected())?, location.clone())),
            _ => Err(unexpected()),
        });
        let tablespaces = tablespaces.collect::<Result<_>>()?;
        let rows = self.query(FACTS)?;
        let Some([size, replicates, summarizes]) = rows.first().map(Vec::as_slice) else {
            return Err(unexpected());
        };
        Ok(ClusterFacts {
            tablespaces,
            size_bytes: size.as_deref().and_then(|size| size.parse().ok()).unwrap_or_default(),
            may_replicate: replicates.as_deref() == Some("t"),
            summarizes_wal: summarizes.as_deref().map(|value| value == "on"),
        })
    }
}
