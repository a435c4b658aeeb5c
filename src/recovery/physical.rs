//! Recovery of a restored data directory before it gets its name. A private server recovers the
//! cluster. The migrations run in one database of the cluster. The server is then shut down cleanly.

use std::fs;
use std::path::Path;

use super::server::{DataOrigin, PrivateServer, ServerBinaries, ServerEnv, prepare_clone};
use super::staging::{StagingDir, refuse};
use super::{Effect, Error, PlannedStep, PostRestore};
use crate::pg::{Client, quote_ident, quote_literal};
use crate::process::{OsUser, crash_point};
use crate::tools::major_of;

/// The directory of the socket during the recovery, beside the data.
const SOCKET: &str = "server";

/// The work on a restored cluster.
pub struct ClusterRecovery<'a> {
    /// The database, and the steps after its restore. Its `dbname` is the name in the cluster.
    pub post_restore: PostRestore<'a>,
    /// The owner of objects that migrations create, if this role may create objects. Otherwise it is
    /// the owner of the database.
    pub role: String,
    /// True if the database is marked with the commit. After a point-in-time recovery the commit is
    /// unknown.
    pub mark: bool,
    /// True if [`start_clone`](super::start_clone) starts a server on the directory afterwards.
    pub start: bool,
    /// Extracts objects from the cluster instead of all steps above. The cluster is then discarded.
    take: Option<Take<'a>>,
}

/// Extracts objects from a cluster.
type Take<'a> = &'a dyn Fn(&PrivateServer) -> Result<(), Error>;

/// The result of a recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredCluster {
    /// The schema difference, if there is one and a difference was allowed.
    pub difference: Option<String>,
    /// The source of the expected schema, if the schema was compared.
    pub compared_with: Option<String>,
    /// A superuser that may log in, if there is one.
    pub superuser: Option<String>,
    /// The role that ran the migrations.
    pub role: String,
    /// The server programs for this cluster.
    pub server: ServerBinaries,
}

impl<'a> ClusterRecovery<'a> {
    /// Returns the recovery of a cluster that is kept.
    pub fn new(post_restore: PostRestore<'a>, role: &str) -> Self {
        let mark = post_restore.is_proved();
        Self { post_restore, role: role.to_owned(), mark, start: false, take: None }
    }

    /// Returns the recovery of a cluster that is discarded after `take` has extracted objects from
    /// it.
    pub(super) fn to_take(post_restore: PostRestore<'a>, take: Take<'a>) -> Self {
        Self { take: Some(take), ..Self::new(post_restore, "") }
    }

    /// Returns true if the directory gets its final name.
    pub(super) fn keeps(&self) -> bool {
        self.take.is_none()
    }

    /// Fails if the recovery cannot succeed. Callers check this before they copy anything into
    /// `partial`.
    pub(super) fn check(&self, partial: &Path) -> Result<(), Error> {
        self.post_restore.check()?;
        if !ServerEnv::is_short_enough(&partial.join(SOCKET)) {
            const HINT: &str = "restore into a directory with a shorter path, and move it afterwards";
            return Err(refuse(partial, "has too long a path for the socket of a server", HINT));
        }
        let version =
            self.post_restore.backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref());
        match version.and_then(|version| major_of(version.as_str())) {
            Some(major) => ServerBinaries::find(&self.post_restore.programs, major).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the steps, described for people.
    pub(super) fn steps(&self) -> Vec<PlannedStep> {
        let makes = |what: String| PlannedStep::new(what, Effect::Makes);
        let mut steps = vec![makes("recover it with a private server".to_owned())];
        let (names, database) = (self.post_restore.names(), quote_ident(self.post_restore.dbname));
        if !names.is_empty() {
            steps.push(makes(format!("run {} in {database}", names.join(", "))));
        }
        if let Some(source) = self.post_restore.expected.source() {
            let what = format!("compare the schema of {database} with {source}");
            steps.push(PlannedStep::new(what, Effect::Reads));
        }
        if self.mark {
            steps.push(makes(format!("mark {database} with commit {}", self.post_restore.commit())));
        }
        steps.push(makes("stop the server".to_owned()));
        if self.start {
            steps.push(makes("start a server on it that keeps running".to_owned()));
        }
        steps
    }

    /// Recovers the cluster in `partial`. Returns `None` if the cluster is discarded afterwards.
    pub(super) fn run(&self, partial: &StagingDir) -> Result<Option<RecoveredCluster>, Error> {
        let major = major_in(&partial.data())?;
        let binaries = ServerBinaries::find(&self.post_restore.programs, major)?;
        let server_env = server_env(partial)?;
        self.post_restore.progress.stage("recovering", None);
        if let Some(take) = self.take {
            let server = PrivateServer::start(&server_env, &binaries, DataOrigin::ScratchWithWal, None)?;
            return take(&server).map(|()| None).map_err(|error| server.trouble(error));
        }
        let server = PrivateServer::start(&server_env, &binaries, DataOrigin::Permanent, None)?;
        let done = self.go_on(&server, &binaries).map_err(|error| server.trouble(error))?;
        self.post_restore.progress.stage("stopping the server", None);
        server.leave()?;
        crash_point("recovery.server-stopped");
        if self.start {
            prepare_clone(&partial.data(), &partial.held().path())?;
        }
        Ok(Some(done))
    }

    fn go_on(&self, server: &PrivateServer, binaries: &ServerBinaries) -> Result<RecoveredCluster, Error> {
        let major = binaries.version.major;
        let (post_restore, client) = (&self.post_restore, server.connect("template1")?);
        if !client.database_exists(post_restore.dbname)? {
            return Err(Error::NotRestorable {
                backup: post_restore.backup.id.to_string(),
                reason: format!("there is no database {} in it", quote_ident(post_restore.dbname)),
            });
        }
        let superuser = superuser(&client, server.admin())?;
        let role = self.role(&client, server)?;
        let target = server.as_role(&role, post_restore.dbname)?;
        post_restore.migrate(&target)?;
        crash_point("recovery.migrated");
        let lent = CreateDbGrant::to(&client, &role)?;
        let difference = post_restore.prove(&server.to(post_restore.dbname), &target, major);
        lent.take_back()?;
        let difference = difference?;
        if self.mark {
            client.set_mark(post_restore.dbname, post_restore.commit().as_str())?;
        }
        crash_point("recovery.proved");
        Ok(RecoveredCluster {
            difference,
            compared_with: post_restore.expected.source(),
            superuser,
            role,
            server: binaries.clone(),
        })
    }

    /// Returns the role that runs the migrations. It is the configured role if that may create
    /// objects in the database, else the owner of the database, else a superuser.
    fn role(&self, client: &Client, server: &PrivateServer) -> Result<String, Error> {
        let (dbname, wanted) = (quote_literal(self.post_restore.dbname), quote_literal(&self.role));
        let sql = format!(
            "SELECT r.rolname FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d \
             WHERE d.datname = {dbname} AND r.rolcanlogin AND r.rolname <> {} AND (r.rolsuper \
             OR r.oid = d.datdba OR r.rolname = {wanted} AND pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER')) \
             ORDER BY r.rolname = {wanted} DESC, r.oid = d.datdba DESC, r.oid LIMIT 1",
            quote_literal(server.admin())
        );
        let found = client.query(&sql)?.into_iter().flatten().flatten().next();
        found.ok_or_else(|| Error::NotRestorable {
            backup: self.post_restore.backup.id.to_string(),
            reason: "neither the owner of the database nor a superuser of it may log in".to_owned(),
        })
    }
}

/// Returns a superuser that may log in and is not `ours`.
fn superuser(client: &Client, ours: &str) -> Result<Option<String>, Error> {
    let sql = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND rolsuper AND rolname <> {} \
         ORDER BY oid LIMIT 1",
        quote_literal(ours)
    );
    Ok(client.query(&sql)?.into_iter().flatten().flatten().next())
}

/// A role that temporarily may create databases.
struct CreateDbGrant<'a> {
    client: &'a Client,
    role: Option<String>,
}

impl<'a> CreateDbGrant<'a> {
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

/// Returns the major version of the cluster in `data`.
fn major_in(data: &Path) -> Result<u32, Error> {
    let path = data.join("PG_VERSION");
    let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    major_of(text.trim()).ok_or_else(|| refuse(data, "has no valid PG_VERSION", ""))
}

/// Returns the place in which the server runs. Its user is the owner of the data, who can pass through
/// our directory to the data and nothing else. The server uses paths, this process uses open
/// directories.
fn server_env(partial: &StagingDir) -> Result<ServerEnv, Error> {
    let (data, held) = (partial.named_data(), partial.held());
    let meta = fs::metadata(partial.data()).map_err(|error| Error::file("access", &data, error))?;
    let user = OsUser::we_are_root().then(|| OsUser::owner_of(&meta));
    if user.as_ref().is_some_and(|user| user.uid == 0) {
        const HINT: &str =
            "let the tool restore as the user of PostgreSQL: git config pggit.<database>.toolUser postgres";
        return Err(refuse(&data, "belongs to root, and PostgreSQL does not run as root", HINT));
    }
    let home = held.make(SOCKET.as_ref());
    let given = home.and_then(|home| user.as_ref().map_or(Ok(()), |user| home.give((user.uid, user.gid))));
    given.map_err(|error| Error::file("create", &partial.dir.join(SOCKET), error))?;
    ServerEnv::write_files(&held.path()).map_err(|error| Error::file("write into", &partial.dir, error))?;
    partial.open_up()?;
    let (home, files) = (partial.dir.join(SOCKET), partial.dir.clone());
    Ok(ServerEnv { data, home, files, user, wrapper: ServerEnv::wrapper(false) })
}
