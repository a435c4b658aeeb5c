//! The schema `pggit` in PostgreSQL: its migrations, as `.sql` files, and their installer.
//!
//! Each migration runs once, in its own transaction. It is never changed after its release. Concurrent
//! installations wait for each other.

use crate::pg::{Client, Error, quote_ident};

/// The migrations. The first one installs version 1.
const MIGRATIONS: &[&str] = &[include_str!("0001_queue.sql"), include_str!("0002_claim_keys.sql")];

/// The lock that serialises concurrent installations.
const INSTALL_LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7308895158)";

const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS pggit";

const VERSION_TABLE: &str = "\
    REVOKE ALL ON SCHEMA pggit FROM PUBLIC; \
    CREATE TABLE IF NOT EXISTS pggit.schema_version (version integer PRIMARY KEY, \
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now())";

/// The privileges of a role on the queue. Each includes the previous ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePrivilege {
    /// Read jobs.
    Read,
    /// Enqueue jobs.
    Enqueue,
    /// Claim, cancel, retry, pause, resume and clean jobs.
    Work,
}

impl QueuePrivilege {
    fn functions(self) -> &'static [&'static str] {
        const ALL: &[&str] = &[
            "enqueue(uuid, text, text, uuid, text, jsonb, smallint, text, integer, bigint, bigint, text)",
            "claim_with_key(text, jsonb, bigint)",
            "heartbeat(uuid, bigint)",
            "end_attempt(uuid, bigint, text, jsonb, text, boolean, boolean)",
            "end_and_claim(uuid, bigint, text, jsonb, text, boolean, boolean, text, jsonb, bigint)",
            "lose(uuid, bigint)",
            "take_untold(uuid, jsonb, jsonb)",
            "told(uuid, bigint)",
            "command(text, uuid)",
            "clean(double precision)",
        ];
        match self {
            Self::Read => &[],
            Self::Enqueue => &ALL[..1],
            Self::Work => ALL,
        }
    }
}

/// Returns the newest version, which this program needs.
pub fn newest_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Returns the installed version; 0 if there is no schema. Fails if the query fails.
pub fn installed_version(client: &Client) -> Result<u32, Error> {
    let exists = "SELECT pg_catalog.to_regclass('pggit.schema_version') IS NOT NULL";
    if first(client, exists)?.as_deref() != Some("t") {
        return Ok(0);
    }
    let version = first(client, "SELECT COALESCE(pg_catalog.max(version), 0) FROM pggit.schema_version")?;
    Ok(version.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Finds a relation, function, type or operator in the schema, or the schema itself, that is owned
/// neither by the current role nor by a superuser. Objects of other roles may contain code that would
/// run with the privileges of this role.
const FOREIGN_OBJECTS: &str = "WITH schema AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = 'pggit'), \
    found AS (SELECT 1 AS rank, 'schema pggit' AS what, nspowner AS owner FROM schema \
    UNION ALL SELECT 2, 'relation pggit.' || quote_ident(relname), relowner FROM pg_class \
    WHERE relnamespace = (SELECT oid FROM schema) \
    UNION ALL SELECT 3, 'function pggit.' || quote_ident(proname), proowner FROM pg_proc \
    WHERE pronamespace = (SELECT oid FROM schema) \
    UNION ALL SELECT 4, 'type pggit.' || quote_ident(typname), typowner FROM pg_type \
    WHERE typnamespace = (SELECT oid FROM schema) \
    UNION ALL SELECT 5, 'operator pggit.' || oprname, oprowner FROM pg_operator \
    WHERE oprnamespace = (SELECT oid FROM schema)) \
    SELECT found.what, role.rolname FROM found JOIN pg_roles AS role ON role.oid = found.owner \
    WHERE NOT role.rolsuper AND role.rolname <> current_user ORDER BY rank, what LIMIT 1";

/// Finds triggers on relations in the schema. This program creates none.
const TRIGGERS: &str = "SELECT 'trigger ' || quote_ident(t.tgname) || ' on pggit.' || quote_ident(c.relname), \
    role.rolname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid \
    JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_proc AS p ON p.oid = t.tgfoid \
    JOIN pg_roles AS role ON role.oid = p.proowner \
    WHERE n.nspname = 'pggit' AND NOT t.tgisinternal ORDER BY 1 LIMIT 1";

/// Fails if the schema `pggit` or an object in it is owned by another role that is not a superuser, or
/// if it has a trigger. Called before any object of the schema is used. Reads only the catalogs.
fn refuse_foreign(client: &Client) -> Result<(), Error> {
    for sql in [FOREIGN_OBJECTS, TRIGGERS] {
        if let Some([Some(what), Some(owner)]) =
            client.query(sql)?.into_iter().next().and_then(|row| <[_; 2]>::try_from(row).ok())
        {
            return Err(Error::OwnedByOther { what, owner });
        }
    }
    Ok(())
}

/// Fails if the role is a superuser and would call functions of other roles. Roles with fewer
/// privileges may use an installation of another role.
pub fn refuse_escalation(client: &Client) -> Result<(), Error> {
    match first(client, "SELECT current_setting('is_superuser')")?.as_deref() {
        Some("on") => refuse_foreign(client),
        _ => Ok(()),
    }
}

/// Migrates the schema to the newest version. Returns the version before. Fails if a migration fails, or
/// if the schema has objects of other roles.
pub fn install(client: &Client) -> Result<u32, Error> {
    refuse_foreign(client)?;
    let before = installed_version(client)?;
    loop {
        // Another role may have created the schema just before.
        let ours =
            client.execute(&format!("BEGIN; {INSTALL_LOCK}; {SCHEMA}")).and_then(|()| refuse_foreign(client));
        if let Err(error) = ours {
            let _ = client.execute("ROLLBACK");
            return Err(error);
        }
        client.execute(VERSION_TABLE)?;
        let done = installed_version(client)?;
        let Some(migration) = MIGRATIONS.get(done as usize) else { break client.execute("COMMIT")? };
        let version = done + 1;
        let made = client.execute(migration).and_then(|()| {
            client.execute(&format!("INSERT INTO pggit.schema_version VALUES ({version}); COMMIT"))
        });
        if let Err(error) = made {
            // The connection itself may have failed.
            let _ = client.execute("ROLLBACK");
            return Err(error);
        }
    }
    Ok(before)
}

/// Grants these privileges to a role. Fails if the role does not exist.
pub fn grant(client: &Client, role: &str, privilege: QueuePrivilege) -> Result<(), Error> {
    let role = quote_ident(role);
    let mut sql = format!(
        "BEGIN; GRANT USAGE ON SCHEMA pggit TO {role}; GRANT SELECT ON pggit.schema_version, pggit.jobs, \
         pggit.backup_jobs TO {role}; GRANT EXECUTE ON FUNCTION pggit.job_json(pggit.jobs) TO {role};"
    );
    for function in privilege.functions() {
        sql.push_str(&format!(" GRANT EXECUTE ON FUNCTION pggit.{function} TO {role};"));
    }
    sql.push_str(" COMMIT");
    client.execute(&sql).inspect_err(|_| drop(client.execute("ROLLBACK")))
}

fn first(client: &Client, sql: &str) -> Result<Option<String>, Error> {
    Ok(client.query(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}
