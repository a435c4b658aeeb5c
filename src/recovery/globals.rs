//! The roles that a dump needs. Roles in the `globals.sql` beside the dump are created if the server
//! lacks them. An existing role is unchanged, including its password, whatever the backup says.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::Error;
use crate::domain::Backup;
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::process::crash_point;
use crate::progress::Quiet;
use crate::store::StoredBackup;
use crate::tools::{GLOBALS, OfRole, Statement};

/// The maximum size of a globals script, in bytes.
const SCRIPT_MAX: u64 = 256 << 20;

/// The result of restoring roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// The roles that were created.
    pub made: Vec<String>,
    /// The roles that already existed.
    pub kept: Vec<String>,
    /// The memberships of existing roles that were left unchanged.
    pub left_out: Vec<String>,
}

/// The roles that a restore has created. They are dropped on drop unless they are kept.
pub(super) struct MadeRoles<'a> {
    admin: &'a ConnInfo,
    pub(super) roles: Roles,
    keep: bool,
}

impl<'a> MadeRoles<'a> {
    /// Creates the missing roles in one transaction. The role `ours` is left out, because it was
    /// created only for the extraction. Fails if a role cannot be created.
    pub(super) fn make(
        admin: &'a ConnInfo,
        backup: &Backup,
        script: &[u8],
        ours: Option<&str>,
    ) -> Result<Self, Error> {
        let client = Client::connect(admin, "git-pggit")?;
        let there = client.query("SELECT rolname FROM pg_catalog.pg_roles")?;
        let there: BTreeSet<String> = there.into_iter().flatten().flatten().collect();
        let all = Statement::all(script).map_err(|bad| Error::NotRestorable {
            backup: backup.id.to_string(),
            reason: format!("{GLOBALS}: {bad}"),
        })?;
        let (statements, roles) = choose(all.into_iter().filter(|one| !is_about(one, ours)), &there);
        client.execute("BEGIN")?;
        for statement in statements {
            let sql = statement.text().ok_or_else(|| Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: format!("{GLOBALS} is not UTF-8"),
            })?;
            client.execute(sql)?;
        }
        client.execute("COMMIT")?;
        crash_point("recovery.roles-made");
        Ok(Self { admin, roles, keep: false })
    }

    /// Keeps the roles.
    pub(super) fn keep(mut self) -> Roles {
        self.keep = true;
        std::mem::take(&mut self.roles)
    }
}

impl Drop for MadeRoles<'_> {
    fn drop(&mut self) {
        if self.keep || self.roles.made.is_empty() {
            return;
        }
        // The objects of these roles are already dropped. A role that owns other objects by now
        // cannot be dropped and is kept.
        let Ok(client) = Client::connect(self.admin, "git-pggit") else { return };
        for role in &self.roles.made {
            let _ = client.execute(&format!("DROP ROLE IF EXISTS {}", quote_ident(role)));
        }
    }
}

/// Returns the globals script, verified against its checksum.
pub(super) fn script(backup: &Backup, held: &StoredBackup) -> Result<Vec<u8>, Error> {
    let Some(artifact) = backup.artifacts.iter().find(|artifact| artifact.name.as_str() == GLOBALS) else {
        return Err(Error::NotRestorable {
            backup: backup.id.to_string(),
            reason: format!("it has no {GLOBALS}: roles were not backed up with it"),
        });
    };
    held.verify(GLOBALS, &artifact.digest.to_string(), &Quiet)?;
    let mut script = Vec::new();
    let read = held.reader(GLOBALS)?.take(SCRIPT_MAX).read_to_end(&mut script);
    read.map_err(|source| Error::File { action: "read", path: GLOBALS.into(), source })?;
    Ok(script)
}

fn is_about(statement: &Statement, role: Option<&str>) -> bool {
    match statement.of_role() {
        Some(OfRole::Create(name) | OfRole::Change(name)) => Some(name.as_str()) == role,
        Some(OfRole::Grant { role: granted, member }) => {
            [granted, member].iter().any(|it| Some(it.as_str()) == role)
        }
        None => false,
    }
}

/// Returns the statements that create the roles that are not `there`, in order.
fn choose(script: impl IntoIterator<Item = Statement>, there: &BTreeSet<String>) -> (Vec<Statement>, Roles) {
    let (mut chosen, mut roles) = (Vec::new(), Roles::default());
    for statement in script {
        match statement.of_role() {
            Some(OfRole::Create(name)) if there.contains(&name) => roles.kept.push(name),
            Some(OfRole::Create(name)) => {
                roles.made.push(name);
                chosen.push(statement);
            }
            Some(OfRole::Change(name)) if roles.made.contains(&name) => chosen.push(statement),
            // A new role may become a member of an existing role. An existing role does not become a
            // member of a new role.
            Some(OfRole::Grant { member, .. }) if roles.made.contains(&member) => {
                chosen.push(statement.without_grantor());
            }
            Some(OfRole::Grant { role, member }) if roles.made.contains(&role) => {
                roles.left_out.push(format!(
                    "{} is no member of {}",
                    quote_ident(&member),
                    quote_ident(&role)
                ));
            }
            // Settings of the script, tablespaces, and statements about existing roles are left out.
            _ => {}
        }
    }
    (chosen, roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_touched() {
        let script = "SET x = 1; CREATE ROLE old; ALTER ROLE old WITH SUPERUSER PASSWORD 'x'; CREATE ROLE new; \
                      ALTER ROLE new WITH LOGIN PASSWORD 'SCRAM;y'; COMMENT ON ROLE old IS 'no'; \
                      GRANT old TO new GRANTED BY postgres; GRANT new TO old; GRANT old TO other; \
                      CREATE TABLESPACE t OWNER old LOCATION '/srv'; DROP ROLE old;";
        let there = BTreeSet::from(["old".to_owned(), "other".to_owned()]);
        let (chosen, roles) = choose(Statement::all(script.as_bytes()).unwrap(), &there);
        let chosen: Vec<_> = chosen.iter().map(|one| one.text().unwrap()).collect();
        assert_eq!(
            chosen,
            ["CREATE ROLE new", "ALTER ROLE new WITH LOGIN PASSWORD 'SCRAM;y'", "GRANT old TO new"]
        );
        assert_eq!((&roles.made[..], &roles.kept[..]), (&["new".to_owned()][..], &["old".to_owned()][..]));
        assert_eq!(roles.left_out, ["\"old\" is no member of \"new\""]);
    }
}
