//! Two databases that change their names.

use std::path::PathBuf;

use super::super::advance::scratch_name;
use super::super::new_database::sweep;
use super::super::swap::swap_in;
use super::super::{Error, Plan};
use super::{Identity, Place, Site, Spot};
use crate::domain::CommitId;
use crate::pg::{Client, ConnInfo, NAME_BYTES_MAX, Template, check_name};

/// Endings of the names of the two.
const BESIDE: &str = "~restored";
const ASIDE: &str = "~before";

/// A database that is replaced.
pub struct DatabaseSite {
    admin: ConnInfo,
    client: Client,
    system_identifier: String,
    dbname: String,
    beside: String,
    aside: String,
    /// The commit that the new one is at.
    commit: CommitId,
    disconnect: bool,
}

impl DatabaseSite {
    /// The database `dbname` on the server of `admin`. With `disconnect`, sessions
    /// in it are ended when the names change.
    pub fn at(admin: &ConnInfo, dbname: &str, commit: CommitId, disconnect: bool) -> Result<Self, Error> {
        check_name(dbname)?;
        let client = Client::connect(admin, "git-pggit")?;
        let system_identifier = client.facts()?.system_identifier.ok_or_else(|| Error::Strange {
            what: "the server".to_owned(),
            stand: "does not say which cluster it is; that takes the right to call pg_control_system()",
        })?;
        let (beside, aside) = (with_ending(dbname, BESIDE), with_ending(dbname, ASIDE));
        let (admin, dbname) = (admin.clone(), dbname.to_owned());
        Ok(Self { admin, client, system_identifier, dbname, beside, aside, commit, disconnect })
    }

    /// What the journal is to say.
    pub fn place(&self) -> Place {
        Place::Database {
            server: self.admin.to_url(),
            system_identifier: self.system_identifier.clone(),
            dbname: self.dbname.clone(),
            beside: self.beside.clone(),
            aside: self.aside.clone(),
        }
    }

    /// Refuses when there is nothing to replace, something else has one of the
    /// names, or somebody is connected who may not be sent away.
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

    /// How the database in place is reached.
    pub fn conninfo(&self) -> ConnInfo {
        self.admin.with_dbname(&self.dbname)
    }

    /// The server's cluster.
    pub fn system_identifier(&self) -> &str {
        &self.system_identifier
    }

    fn name(&self, spot: Spot) -> Option<&str> {
        match spot {
            Spot::InPlace => Some(&self.dbname),
            Spot::Beside => Some(&self.beside),
            Spot::Aside => Some(&self.aside),
            Spot::Gone => None,
        }
    }
}

/// `name` with an ending, cut so that it is a name.
fn with_ending(name: &str, ending: &str) -> String {
    let mut cut = name.len().min(NAME_BYTES_MAX - ending.len());
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{ending}", &name[..cut])
}

impl Site for DatabaseSite {
    fn identity(&self, at: Spot) -> Result<Option<Identity>, Error> {
        let Some(name) = self.name(at) else { return Ok(None) };
        Ok(self.client.database_oid(name)?.map(Identity::Oid))
    }

    fn exchange(&self, other: Spot) -> Result<(), Error> {
        let Some(comes) = self.name(other) else { return Ok(()) };
        // The one that comes back has its properties already.
        let (goes_to, properties) = match other {
            Spot::Aside => (&self.beside, self.client.properties(comes)?),
            _ => (&self.aside, self.client.properties(&self.dbname)?.with_mark(self.commit.as_str())),
        };
        // A missing mark was reported when the new database was made.
        swap_in(&self.admin, &self.dbname, comes, goes_to, &properties, self.disconnect).map(drop)
    }

    fn shift(&self, from: Spot, to: Spot) -> Result<(), Error> {
        let (Some(from), Some(to)) = (self.name(from), self.name(to)) else { return Ok(()) };
        Ok(self.client.rename_database(from, to)?)
    }

    fn remove(&self, at: Spot, _: &[PathBuf]) -> Result<(), Error> {
        let Some(name) = self.name(at).filter(|_| at != Spot::InPlace) else { return Ok(()) };
        // What was restored and not taken is nobody's; what was there before may be looked at still.
        let force = self.disconnect || at == Spot::Beside;
        Ok(self.client.drop_database(name, force)?)
    }

    fn outside(&self, _: Spot) -> Vec<PathBuf> {
        Vec::new()
    }

    fn sweep(&self) -> Result<(), Error> {
        let names = [self.beside.clone(), scratch_name(&self.beside)];
        names.iter().try_for_each(|name| sweep(&self.admin, &Plan::new(name, "", None, Template::default())))
    }
}
