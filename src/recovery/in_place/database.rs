//! Exchange of the names of two databases.

use std::path::PathBuf;

use super::super::new_database::sweep;
use super::super::post_restore::scratch_name;
use super::super::swap::swap_in;
use super::super::{Error, Plan};
use super::{Identity, ReplacedObject, Slot, SwapTarget};
use crate::domain::CommitId;
use crate::pg::{Client, ConnInfo, NAME_BYTES_MAX, Template, check_name};

/// Suffixes of the temporary names.
const BESIDE: &str = "~restored";
const ASIDE: &str = "~before";

/// A database to be replaced.
pub struct DatabaseSite {
    admin: ConnInfo,
    client: Client,
    system_identifier: String,
    dbname: String,
    beside: String,
    aside: String,
    /// The commit of the new database.
    commit: CommitId,
    disconnect: bool,
}

impl DatabaseSite {
    /// Returns the database `dbname` on the server of `admin`. With `disconnect`, its sessions are
    /// terminated when the names are exchanged. Fails if the server cannot be reached.
    pub fn at(admin: &ConnInfo, dbname: &str, commit: CommitId, disconnect: bool) -> Result<Self, Error> {
        check_name(dbname)?;
        let client = Client::connect(admin, "git-pggit")?;
        let system_identifier = client.facts()?.system_identifier.ok_or_else(|| Error::Strange {
            what: "the server".to_owned(),
            stand: "does not report its system identifier, which requires the right to execute pg_control_system()",
        })?;
        let (beside, aside) = (with_ending(dbname, BESIDE), with_ending(dbname, ASIDE));
        let (admin, dbname) = (admin.clone(), dbname.to_owned());
        Ok(Self { admin, client, system_identifier, dbname, beside, aside, commit, disconnect })
    }

    /// Returns the target for the journal.
    pub fn place(&self) -> ReplacedObject {
        ReplacedObject::Database {
            server: self.admin.to_url(),
            system_identifier: self.system_identifier.clone(),
            dbname: self.dbname.clone(),
            beside: self.beside.clone(),
            aside: self.aside.clone(),
        }
    }

    /// Fails if the database does not exist, if another database has one of the names, or if sessions
    /// are connected that may not be terminated.
    pub fn preflight(&self) -> Result<(), Error> {
        if !self.client.database_exists(&self.dbname)? {
            return Err(Error::NothingThere { dbname: self.dbname.clone() });
        }
        for name in [&self.beside, &self.aside] {
            if self.client.database_exists(name)? {
                return Err(Error::TargetExists { dbname: name.clone() });
            }
        }
        if self.disconnect {
            return Ok(());
        }
        match self.client.lasting_connections_to(&self.dbname)? {
            0 => Ok(()),
            sessions => Err(Error::InUse { dbname: self.dbname.clone(), sessions }),
        }
    }

    /// Returns the connection to the database in place.
    pub fn conninfo(&self) -> ConnInfo {
        self.admin.with_dbname(&self.dbname)
    }

    /// Returns the system identifier of the server's cluster.
    pub fn system_identifier(&self) -> &str {
        &self.system_identifier
    }

    fn name(&self, spot: Slot) -> Option<&str> {
        match spot {
            Slot::InPlace => Some(&self.dbname),
            Slot::Beside => Some(&self.beside),
            Slot::Aside => Some(&self.aside),
            Slot::Gone => None,
        }
    }
}

/// Returns `name` with a suffix. The name is truncated to the maximum length of a PostgreSQL name.
fn with_ending(name: &str, ending: &str) -> String {
    let mut cut = name.len().min(NAME_BYTES_MAX - ending.len());
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{ending}", &name[..cut])
}

impl SwapTarget for DatabaseSite {
    fn identity(&self, at: Slot) -> Result<Option<Identity>, Error> {
        let Some(name) = self.name(at) else { return Ok(None) };
        Ok(self.client.database_oid(name)?.map(Identity::Oid))
    }

    fn exchange(&self, other: Slot) -> Result<(), Error> {
        let Some(comes) = self.name(other) else { return Ok(()) };
        // A database that is put back already has its properties.
        let (goes_to, properties) = match other {
            Slot::Aside => (&self.beside, self.client.properties(comes)?),
            _ => (&self.aside, self.client.properties(&self.dbname)?.with_mark(self.commit.as_str())),
        };
        // A missing mark was reported when the new database was created.
        swap_in(&self.admin, &self.dbname, comes, goes_to, &properties, self.disconnect).map(drop)
    }

    fn move_to(&self, from: Slot, to: Slot) -> Result<(), Error> {
        let (Some(from), Some(to)) = (self.name(from), self.name(to)) else { return Ok(()) };
        Ok(self.client.rename_database(from, to)?)
    }

    fn remove(&self, at: Slot, _: &[PathBuf]) -> Result<(), Error> {
        let Some(name) = self.name(at).filter(|_| at != Slot::InPlace) else { return Ok(()) };
        // A restored database that was never in place has no users. The original database may still
        // be in use.
        let force = self.disconnect || at == Slot::Beside;
        Ok(self.client.drop_database(name, force)?)
    }

    fn outside(&self, _: Slot) -> Vec<PathBuf> {
        Vec::new()
    }

    fn sweep(&self) -> Result<(), Error> {
        let names = [self.beside.clone(), scratch_name(&self.beside)];
        names.iter().try_for_each(|name| sweep(&self.admin, &Plan::new(name, "", None, Template::default())))
    }
}
