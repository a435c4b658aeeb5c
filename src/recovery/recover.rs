//! Bringing a restored data directory to the commit that is wanted, before it gets
//! its name: a private server recovers it, the migrations run in the one database
//! that they are for, and the server is stopped in order.

use std::fs;
use std::path::Path;

use super::place::{Partial, refuse};
use super::server::{Ground, Origin, PrivateServer, ServerBinaries, prepare_clone};
use super::{Advance, Effect, Error, PlannedStep};
use crate::pg::{Client, quote_ident, quote_literal};
use crate::process::{OsUser, crash_point};
use crate::tools::major_of;

/// Where the socket is meanwhile, beside the data.
const SOCKET: &str = "server";

/// What is done with a cluster that is back.
pub struct Recovery<'a> {
    /// The database that goes on, and how. What is called `dbname` there is its name.
    pub advance: Advance<'a>,
    /// Who owns what migrations make, when that role may do it: else the owner of
    /// the database does.
    pub role: String,
    /// Whether the database is at that commit: at a moment of the log nobody knows.
    pub mark: bool,
    /// Whether [`start_clone`](super::start_clone) is to start a server on it then.
    pub start: bool,
    /// Instead of all that: what is taken out of the cluster, which is then thrown
    /// away.
    take: Option<Take<'a>>,
}

/// Takes something out of a cluster.
type Take<'a> = &'a dyn Fn(&PrivateServer) -> Result<(), Error>;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// In what the schema is not as it should be, when that was allowed.
    pub difference: Option<String>,
    /// What the schema was compared with.
    pub compared_with: Option<String>,
    /// A superuser who may log in, if there is one.
    pub superuser: Option<String>,
    /// As whom the migrations ran.
    pub role: String,
    /// The server of this cluster.
    pub server: ServerBinaries,
}

impl<'a> Recovery<'a> {
    /// What is done with a cluster that stays.
    pub fn new(advance: Advance<'a>, role: &str) -> Self {
        let mark = advance.is_proved();
        Self { advance, role: role.to_owned(), mark, start: false, take: None }
    }

    /// Lets `take` take something out of a cluster that is thrown away.
    pub(super) fn to_take(advance: Advance<'a>, take: Take<'a>) -> Self {
        Self { take: Some(take), ..Self::new(advance, "") }
    }

    /// Whether the directory gets its name.
    pub(super) fn keeps(&self) -> bool {
        self.take.is_none()
    }

    /// Refuses what cannot end well, before anything is copied into `partial`.
    pub(super) fn check(&self, partial: &Path) -> Result<(), Error> {
        self.advance.check()?;
        if !Ground::is_short_enough(&partial.join(SOCKET)) {
            const HINT: &str = "restore into a directory with a shorter path, and move it then";
            return Err(refuse(partial, "has too long a path for the socket of a server", HINT));
        }
        let version = self.advance.backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref());
        match version.and_then(|version| major_of(version.as_str())) {
            Some(major) => ServerBinaries::find(&self.advance.programs, major).map(drop),
            None => Ok(()),
        }
    }

    /// The steps, for people.
    pub(super) fn steps(&self) -> Vec<PlannedStep> {
        let makes = |what: String| PlannedStep::new(what, Effect::Makes);
        let mut steps = vec![makes("recover it with a private server".to_owned())];
        let (names, database) = (self.advance.names(), quote_ident(self.advance.dbname));
        if !names.is_empty() {
            steps.push(makes(format!("run {} in {database}", names.join(", "))));
        }
        if let Some(source) = self.advance.expected.source() {
            let what = format!("compare the schema of {database} with {source}");
            steps.push(PlannedStep::new(what, Effect::Reads));
        }
        if self.mark {
            steps.push(makes(format!("mark {database} with commit {}", self.advance.commit())));
        }
        steps.push(makes("stop the server".to_owned()));
        if self.start {
            steps.push(makes("start a server on it that stays".to_owned()));
        }
        steps
    }

    /// Does it with what is being made there.
    pub(super) fn run(&self, partial: &Partial) -> Result<Option<Recovered>, Error> {
        let major = major_in(&partial.data())?;
        let binaries = ServerBinaries::find(&self.advance.programs, major)?;
        let ground = ground(partial)?;
        self.advance.progress.stage("recovering", None);
        if let Some(take) = self.take {
            let server = PrivateServer::start(&ground, &binaries, Origin::Taken, None)?;
            return take(&server).map(|()| None).map_err(|error| server.trouble(error));
        }
        let server = PrivateServer::start(&ground, &binaries, Origin::Kept, None)?;
        let done = self.go_on(&server, &binaries).map_err(|error| server.trouble(error))?;
        self.advance.progress.stage("stopping the server", None);
        server.leave()?;
        crash_point("recovery.server-stopped");
        if self.start {
            prepare_clone(&partial.data(), &partial.held().path())?;
        }
        Ok(Some(done))
    }

    fn go_on(&self, server: &PrivateServer, binaries: &ServerBinaries) -> Result<Recovered, Error> {
        let major = binaries.version.major;
        let (advance, client) = (&self.advance, server.connect("template1")?);
        if !client.database_exists(advance.dbname)? {
            return Err(Error::NotRestorable {
                backup: advance.backup.id.to_string(),
                reason: format!("there is no database {} in it", quote_ident(advance.dbname)),
            });
        }
        let superuser = superuser(&client, server.admin())?;
        let role = self.role(&client, server)?;
        let target = server.as_role(&role, advance.dbname)?;
        advance.migrate(&target)?;
        crash_point("recovery.migrated");
        let lent = Lent::to(&client, &role)?;
        let difference = advance.prove(&server.to(advance.dbname), &target, major);
        lent.take_back()?;
        let difference = difference?;
        if self.mark {
            client.set_mark(advance.dbname, advance.commit().as_str())?;
        }
        crash_point("recovery.proved");
        Ok(Recovered {
            difference,
            compared_with: advance.expected.source(),
            superuser,
            role,
            server: binaries.clone(),
        })
    }

    /// As whom migrations run: as whom they always do, when that role may make
    /// something in the database; else its owner, else a superuser.
    fn role(&self, client: &Client, server: &PrivateServer) -> Result<String, Error> {
        let (dbname, wanted) = (quote_literal(self.advance.dbname), quote_literal(&self.role));
        let sql = format!(
            "SELECT r.rolname FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d \
             WHERE d.datname = {dbname} AND r.rolcanlogin AND r.rolname <> {} AND (r.rolsuper \
             OR r.oid = d.datdba OR r.rolname = {wanted} AND pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER')) \
             ORDER BY r.rolname = {wanted} DESC, r.oid = d.datdba DESC, r.oid LIMIT 1",
            quote_literal(server.admin())
        );
        let found = client.query(&sql)?.into_iter().flatten().flatten().next();
        found.ok_or_else(|| Error::NotRestorable {
            backup: self.advance.backup.id.to_string(),
            reason: "neither the owner of the database nor a superuser of it may log in".to_owned(),
        })
    }
}

/// A superuser who may log in and is not `ours`.
fn superuser(client: &Client, ours: &str) -> Result<Option<String>, Error> {
    let sql = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND rolsuper AND rolname <> {} \
         ORDER BY oid LIMIT 1",
        quote_literal(ours)
    );
    Ok(client.query(&sql)?.into_iter().flatten().flatten().next())
}

/// A role that may make databases for a while.
struct Lent<'a> {
    client: &'a Client,
    role: Option<String>,
}

impl<'a> Lent<'a> {
    fn to(client: &'a Client, role: &str) -> Result<Self, Error> {
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {} AND NOT rolcreatedb AND NOT rolsuper",
            quote_literal(role)
        );
        let role = (!client.query(&sql)?.is_empty()).then(|| quote_ident(role));
        if let Some(role) = &role {
            client.execute(&format!("ALTER ROLE {role} CREATEDB"))?;
        }
        Ok(Self { client, role })
    }

    fn take_back(self) -> Result<(), Error> {
        match self.role {
            Some(role) => Ok(self.client.execute(&format!("ALTER ROLE {role} NOCREATEDB"))?),
            None => Ok(()),
        }
    }
}

/// The major version of what is there.
fn major_in(data: &Path) -> Result<u32, Error> {
    let path = data.join("PG_VERSION");
    let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    major_of(text.trim()).ok_or_else(|| refuse(data, "is not of a version of PostgreSQL", ""))
}

/// Returns the place in which the server runs. Its user is the owner of the data, who can pass through
/// our directory to the data and nothing else. The server uses paths, this process uses open
/// directories.
fn ground(partial: &Partial) -> Result<Ground, Error> {
    let (data, held) = (partial.named_data(), partial.held());
    let meta = fs::metadata(partial.data()).map_err(|error| Error::file("look at", &data, error))?;
    let user = OsUser::we_are_root().then(|| OsUser::owner_of(&meta));
    if user.as_ref().is_some_and(|user| user.uid == 0) {
        const HINT: &str =
            "let the tool restore as who runs PostgreSQL: git config pggit.<database>.toolUser postgres";
        return Err(refuse(&data, "belongs to root, and PostgreSQL does not run as root", HINT));
    }
    let home = held.make(SOCKET.as_ref());
    let given = home.and_then(|home| user.as_ref().map_or(Ok(()), |user| home.give((user.uid, user.gid))));
    given.map_err(|error| Error::file("make", &partial.dir.join(SOCKET), error))?;
    Ground::write_files(&held.path()).map_err(|error| Error::file("write into", &partial.dir, error))?;
    partial.open_up()?;
    let (home, files) = (partial.dir.join(SOCKET), partial.dir.clone());
    Ok(Ground { data, home, files, user, prefix: Ground::prefix(false) })
}
