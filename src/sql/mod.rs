//! The schema `pggit` in PostgreSQL, as `.sql` files, and its installer.
//!
//! Each file is one step that is made once, in a transaction of its own, and
//! never changed after it was released. Who installs at the same time waits.

use crate::pg::{Client, Error, quote_ident};

/// The steps, the first one is version 1.
const STEPS: &[&str] = &[include_str!("0001_queue.sql"), include_str!("0002_claim_keys.sql")];

/// Only one installs at a time.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7308895158)";

const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS pggit";

const LEDGER: &str = "\
    REVOKE ALL ON SCHEMA pggit FROM PUBLIC; \
    CREATE TABLE IF NOT EXISTS pggit.schema_version (version integer PRIMARY KEY, \
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now())";

/// What a role may do with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See jobs.
    Read,
    /// Also put jobs into it.
    Enqueue,
    /// Also take jobs, and cancel, retry, pause, resume and clean.
    Work,
}

impl Right {
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

/// The newest version this program knows.
pub fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("there are few steps")
}

/// The version that is installed; 0 when there is nothing.
pub fn installed(client: &Client) -> Result<u32, Error> {
    let exists = "SELECT pg_catalog.to_regclass('pggit.schema_version') IS NOT NULL";
    if first(client, exists)?.as_deref() != Some("t") {
        return Ok(0);
    }
    let version = first(client, "SELECT COALESCE(pg_catalog.max(version), 0) FROM pggit.schema_version")?;
    Ok(version.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Finds a relation, function, type or operator in the schema, or the schema itself, that is owned
/// neither by the current role nor by a superuser. Objects of others may contain code that would
/// run with the rights of this role.
const FOREIGN: &str = "WITH schema AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = 'pggit'), \
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
/// if it has a trigger. Called before any of it is used. Reads only the catalogs.
fn refuse_foreign(client: &Client) -> Result<(), Error> {
    for sql in [FOREIGN, TRIGGERS] {
        if let Some([Some(what), Some(owner)]) =
            client.query(sql)?.into_iter().next().and_then(|row| <[_; 2]>::try_from(row).ok())
        {
            return Err(Error::OwnedByOther { what, owner });
        }
    }
    Ok(())
}

/// Fails if the role is a superuser and would call functions of other roles. Roles with fewer
/// rights may use an installation of another role.
pub fn refuse_escalation(client: &Client) -> Result<(), Error> {
    match first(client, "SELECT current_setting('is_superuser')")?.as_deref() {
        Some("on") => refuse_foreign(client),
        _ => Ok(()),
    }
}

/// Brings the schema to the newest version. Returns what it was before.
pub fn install(client: &Client) -> Result<u32, Error> {
    refuse_foreign(client)?;
    let before = installed(client)?;
    loop {
        // Another role may have created the schema just before.
        let ours = client.execute(&format!("BEGIN; {LOCK}; {SCHEMA}")).and_then(|()| refuse_foreign(client));
        if let Err(error) = ours {
            let _ = client.execute("ROLLBACK");
            return Err(error);
        }
        client.execute(LEDGER)?;
        let done = installed(client)?;
        let Some(step) = STEPS.get(done as usize) else { break client.execute("COMMIT")? };
        let version = done + 1;
        let made = client.execute(step).and_then(|()| {
            client.execute(&format!("INSERT INTO pggit.schema_version VALUES ({version}); COMMIT"))
        });
        if let Err(error) = made {
            // The connection may be what has failed.
            let _ = client.execute("ROLLBACK");
            return Err(error);
        }
    }
    Ok(before)
}

/// Lets a role do that, and nothing else.
pub fn grant(client: &Client, role: &str, right: Right) -> Result<(), Error> {
    let role = quote_ident(role);
    let mut sql = format!(
        "BEGIN; GRANT USAGE ON SCHEMA pggit TO {role}; GRANT SELECT ON pggit.schema_version, pggit.jobs, \
         pggit.backup_jobs TO {role}; GRANT EXECUTE ON FUNCTION pggit.job_json(pggit.jobs) TO {role};"
    );
    for function in right.functions() {
        sql.push_str(&format!(" GRANT EXECUTE ON FUNCTION pggit.{function} TO {role};"));
    }
    sql.push_str(" COMMIT");
    client.execute(&sql).inspect_err(|_| drop(client.execute("ROLLBACK")))
}

fn first(client: &Client, sql: &str) -> Result<Option<String>, Error> {
    Ok(client.query(sql)?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}
