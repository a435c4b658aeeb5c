//! The roles that a dump needs: what is in the `globals.sql` beside it and not on
//! the server is made there. A role that is there stays as it is, with its
//! password, whatever the backup says of it.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::Error;
use crate::domain::Backup;
use crate::pg::{Client, ConnInfo, quote_ident};
use crate::process::crash_point;
use crate::progress::Quiet;
use crate::store::StoredBackup;
use crate::tools::{GLOBALS, OfRole, Statement};

/// The largest script of roles and tablespaces.
const SCRIPT_MAX: u64 = 256 << 20;

/// What became of the roles of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Those that were made.
    pub made: Vec<String>,
    /// Those that were there.
    pub kept: Vec<String>,
    /// Memberships of roles that were there: they are as they were.
    pub left_out: Vec<String>,
}

/// The roles that were made for a restore. Unless it comes to its end, they go.
pub(super) struct MadeRoles<'a> {
    admin: &'a ConnInfo,
    pub(super) roles: Roles,
    keep: bool,
}

impl<'a> MadeRoles<'a> {
    /// Makes those that are missing, all or none; but not `ours`, which was only made
    /// to look.
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

    /// They stay.
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
        // What they own is gone already; a role that got something else meanwhile stays.
        let Ok(client) = Client::connect(self.admin, "git-pggit") else { return };
        for role in &self.roles.made {
            let _ = client.execute(&format!("DROP ROLE IF EXISTS {}", quote_ident(role)));
        }
    }
}

/// The script, proved.
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

/// The statements that make what is not `there`, in their order.
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
            // Who is new may get what is old, and not the other way round.
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
            // Settings of the script, tablespaces, and what is there.
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
