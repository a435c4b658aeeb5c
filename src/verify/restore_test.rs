//! Restores a backup into a scratch cluster and checks the restored database.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::checks::{Checks, is_of_server};
use super::cluster::{Binaries, Cluster};
use super::run::seconds;
use super::scratch::Scratch;
use super::verdict::Findings;
use super::{Error, VerifyContext, VerifyRequest, excerpt};
use crate::domain::{Backup, Timestamp};
use crate::ledger::Entry;
use crate::pg::{self, quote_ident};
use crate::process::{self, crash_point};
use crate::recovery::{DataOrigin, Limit, template};
use crate::tools::adapter::{BackupRef, RestoreStep, Target};
use crate::tools::{
    self, Format, GLOBALS, Kind, LoadOptions, Program, Statement, load_file, load_script, load_stream,
    major_of,
};

/// Disk space for an empty cluster and its temporary files, in bytes.
const CLUSTER_BYTES: u64 = 96 << 20;
/// The maximum size of the script of roles and tablespaces, in bytes.
const GLOBALS_MAX: u64 = 256 << 20;
/// The name of the restored database if its own name is in use or unknown.
const RESTORED: &str = "pggit_restored";

/// One restore test.
pub(super) struct RestoreTest<'a> {
    pub(super) context: &'a VerifyContext<'a>,
    pub(super) request: &'a VerifyRequest,
    pub(super) entry: &'a Entry,
    pub(super) subject: &'a BackupRef<'a>,
}

impl RestoreTest<'_> {
    pub(super) fn run(&self, findings: &mut Findings) -> Result<(), Error> {
        let limit = Limit::new(self.request.timeout);
        let binaries = Binaries::find(&self.context.programs, self.major()?)?;
        let is_dump = self.is_dump()?;
        let scratch = Scratch::make(&self.context.scratch)?;
        findings.note("server_version", binaries.version().text.clone());
        self.note_age(findings);
        let begun = Instant::now();
        let cluster = if is_dump {
            self.has_room(&scratch)?;
            self.context.progress.stage("starting a scratch cluster", None);
            Cluster::initdb(&scratch, &binaries, &limit)?;
            Cluster::start(&scratch, &binaries, DataOrigin::Initdb, limit)?
        } else {
            match self.recovered(&scratch, &binaries, limit, findings)? {
                Some(cluster) => cluster,
                None => return Ok(()),
            }
        };
        let restored = match is_dump {
            true => self.restored(&scratch, &cluster, findings),
            false => self.there(&cluster, findings),
        };
        let done = restored.and_then(|restored| {
            let Some((dbname, roles)) = restored else { return Ok(()) };
            crash_point("verify.restored");
            findings.note("rto_s", seconds(begun.elapsed()));
            let checks = Checks { test: self, cluster: &cluster, dbname: &dbname, roles, is_dump };
            checks.run(findings)
        });
        let done = done.map_err(|error| cluster.trouble(error));
        // A stopped server invalidates the verdict.
        let failure = done.and_then(|()| cluster.check()).err();
        let has_crashed = cluster.has_crashed();
        let failure = match failure {
            Some(error) if !has_crashed => return Err(error),
            other => other,
        };
        let log = cluster.stop();
        if let Some(error) = limit_of(&log).or(failure) {
            return Err(error);
        }
        if has_crashed {
            findings.fatal("the scratch cluster crashed");
        }
        findings.note("log_tail", excerpt::log_tail(&log));
        Ok(())
    }

    /// Returns the backed-up database in the restored physical backup, with true for its owners and
    /// grants. The record of an imported backup does not name the database; then the request names it,
    /// or it is `postgres`. Returns `None` and adds a finding if there is no such database.
    fn there(&self, cluster: &Cluster, findings: &mut Findings) -> Result<Option<(String, bool)>, Error> {
        let recorded = self.backup().postgres.as_ref().and_then(|postgres| postgres.dbname.clone());
        let known = recorded.or_else(|| self.request.dbname.clone());
        let dbname = known.unwrap_or_else(|| "postgres".to_owned());
        if cluster.connect("template1")?.database_exists(&dbname)? {
            return Ok(Some((dbname, true)));
        }
        findings.fatal(format!("there is no database {} in it", quote_ident(&dbname)));
        Ok(None)
    }

    /// Returns the major version of the server that was backed up. Fails if the record has no version.
    pub(super) fn major(&self) -> Result<u32, Error> {
        let backup = self.subject.backup;
        let version = backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref());
        version.and_then(|version| major_of(version.as_str())).ok_or_else(|| Error::NotVerifiable {
            backup: backup.id,
            reason: "its record has no version of PostgreSQL".to_owned(),
        })
    }

    /// Fails if there is not enough disk space for the restore.
    pub(super) fn has_room(&self, scratch: &Scratch) -> Result<(), Error> {
        let backup = self.subject.backup;
        let size = backup.postgres.as_ref().and_then(|postgres| postgres.size_bytes);
        let needed = size.or(backup.size_bytes).unwrap_or_default().saturating_add(CLUSTER_BYTES);
        let free = scratch.free_bytes()?;
        if free < needed {
            return Err(Error::NoRoom { path: self.context.scratch.directory.clone(), needed, free });
        }
        Ok(())
    }

    /// Adds the age of the data as evidence. This is the data loss if the backup were needed now (RPO).
    fn note_age(&self, findings: &mut Findings) {
        let backup = self.subject.backup;
        let of: Option<Timestamp> = backup.started_at.or(backup.completed_at);
        if let Some(of) = of {
            findings.note("data_of", of.to_string());
            findings.note("rpo_s", self.context.clock.now().seconds_since(of));
        }
    }

    /// Restores the dump into a database of the scratch cluster. Returns the name of the database, and
    /// true if owners and grants were restored. Returns `None` if the restore failed because of the
    /// backup; the findings have the reason.
    fn restored(
        &self,
        scratch: &Scratch,
        cluster: &Cluster,
        findings: &mut Findings,
    ) -> Result<Option<(String, bool)>, Error> {
        let dbname = self.make_database(cluster)?;
        let roles = self.make_roles(cluster, findings)?;
        let target = Target::Database {
            connection: cluster.connection(&dbname),
            server_major: cluster.major(),
            options: LoadOptions { no_owner: !roles, no_privileges: !roles, ..LoadOptions::default() },
        };
        self.context.progress.stage("restoring", self.subject.backup.size_bytes);
        for step in self.context.adapter.restore(self.subject, &target).map_err(Error::of_tool)? {
            let loaded = match step {
                RestoreStep::Load { artifact, format, cmd, .. } => {
                    self.load(scratch, &artifact, format, cmd.deadline(self.request.timeout))
                }
                RestoreStep::Script { artifact, connection, .. } => self.load_script(&artifact, &connection),
                _ => {
                    let reason =
                        format!("a restore step of {} is not supported", self.context.adapter.name());
                    return Err(Error::Unsuitable { reason });
                }
            };
            if let Err(error) = loaded {
                // The restore may succeed in a cluster that has the roles.
                if let (false, tools::Error::Failed { stderr, .. }) = (roles, &error)
                    && excerpt::lacks_role(stderr)
                {
                    let reason = format!("roles are not in the backup: {}", excerpt::first_error(stderr));
                    return Err(Error::Unsuitable { reason });
                }
                if complaint_of(&error).is_some_and(|complaint| complaint.contains("type money"))
                    && let Some(locale) = self.lacked_monetary(cluster, &dbname)?
                {
                    return Err(lacks_monetary(locale));
                }
                return self.judge(cluster, error, findings).map(|()| None);
            }
        }
        if let Some(locale) = self.lacked_monetary(cluster, &dbname)?
            && !cluster.connect(&dbname)?.reads_money(locale)?
        {
            return Err(lacks_monetary(locale));
        }
        Ok(Some((dbname, roles)))
    }

    /// Returns the locale of amounts of type money in the dump, if the scratch database uses another
    /// one.
    fn lacked_monetary(&self, cluster: &Cluster, dbname: &str) -> Result<Option<&str>, Error> {
        let postgres = self.subject.backup.postgres.as_ref();
        let Some(written) = postgres.and_then(|postgres| postgres.lc_monetary.as_ref()) else {
            return Ok(None);
        };
        let facts = cluster.connect(dbname)?.facts().map_err(|error| cluster.trouble(error.into()))?;
        Ok(Some(written.as_str()).filter(|written| *written != facts.lc_monetary))
    }

    fn load(
        &self,
        scratch: &Scratch,
        artifact: &str,
        format: Format,
        cmd: process::Cmd,
    ) -> Result<(), tools::Error> {
        let (source, progress) = (self.subject.source()?, self.context.progress);
        if format != Format::Directory {
            let mut input = source.open(artifact).map_err(tools::Error::Place)?;
            return load_stream(scratch.as_user(cmd), format, &mut input, progress).map(drop);
        }
        let directory = scratch.file("dump");
        self.unpack(artifact, &directory)?;
        load_file(cmd, &directory)
    }

    fn load_script(&self, artifact: &str, connection: &tools::Connection) -> Result<(), tools::Error> {
        let mut input = self.subject.source()?.open(artifact).map_err(tools::Error::Place)?;
        let limit = Some(self.request.timeout);
        let options = (LoadOptions::default(), limit);
        load_script(connection, artifact, &mut input, options, self.context.progress).map(drop)
    }

    /// Writes the files of a dump in directory format into the directory `into`.
    fn unpack(&self, artifact: &str, into: &std::path::Path) -> Result<(), tools::Error> {
        let source = self.subject.source()?;
        let place = tools::Error::Place;
        for name in source.names().map_err(place)? {
            let Some(relative) = name.strip_prefix(artifact).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
            if relative.is_empty() || !PathBuf::from(relative).components().all(plain) {
                return Err(place(std::io::ErrorKind::InvalidData.into()));
            }
            let path = into.join(relative);
            path.parent().map_or(Ok(()), process::private_directories).map_err(place)?;
            let mut file = process::create_private(&path).map_err(place)?;
            std::io::copy(&mut source.open(&name).map_err(place)?, &mut file).map_err(place)?;
        }
        Ok(())
    }

    /// Judges a failed restore. Adds a finding if the backup is the cause. Otherwise fails with the
    /// error of the restore.
    fn judge(&self, cluster: &Cluster, error: tools::Error, findings: &mut Findings) -> Result<(), Error> {
        cluster.check()?;
        let error_kind = error.kind();
        match Error::of_tool(error) {
            Error::Store(error) if error.is_damage() => findings.fatal(error.to_string()),
            Error::Tools(error @ (tools::Error::Truncated { .. } | tools::Error::Empty { .. })) => {
                findings.fatal(error.to_string());
            }
            Error::Tools(error @ tools::Error::Script { .. }) => {
                findings.fatal(format!("it cannot be restored: {error}"));
            }
            // The statement is left out, because findings are recorded.
            Error::Tools(tools::Error::Statement { ref script, line, ref refusal, .. })
                if !matches!(error_kind, Kind::DiskFull | Kind::Busy | Kind::ServerUnreachable) =>
            {
                let complaint = excerpt::short(&refusal.message);
                if excerpt::is_of_machine(&complaint) {
                    return Err(Error::Unsuitable { reason: complaint });
                }
                findings.fatal(format!("it cannot be restored: {script}:{line}: ERROR: {complaint}"));
            }
            Error::Tools(tools::Error::Failed { kind, program, status, stderr }) => {
                let complaint = excerpt::first_error(&stderr);
                match kind {
                    Kind::DiskFull | Kind::Busy | Kind::ServerUnreachable => {
                        return Err(Error::Tools(tools::Error::Failed {
                            kind,
                            program,
                            status,
                            stderr: complaint,
                        }));
                    }
                    _ if excerpt::is_of_machine(&complaint) => {
                        return Err(Error::Unsuitable { reason: complaint });
                    }
                    _ => findings.fatal(format!("it cannot be restored: {complaint}")),
                }
            }
            other => return Err(other),
        }
        Ok(())
    }

    /// Creates an empty database with the encoding and locale of the backed-up one. Returns its name.
    /// Fails if this machine lacks the locale.
    fn make_database(&self, cluster: &Cluster) -> Result<String, Error> {
        let client = cluster.connect("postgres")?;
        let postgres = self.subject.backup.postgres.clone().unwrap_or_default();
        let mut dbname = postgres.dbname.clone().unwrap_or_else(|| RESTORED.to_owned());
        if client.database_exists(&dbname)? {
            dbname = RESTORED.to_owned();
        }
        match client.create_database(&dbname, &template(&postgres)) {
            Ok(()) => Ok(dbname),
            Err(pg::Error::Query { message, .. }) if excerpt::is_of_machine(&message) => {
                Err(Error::Unsuitable { reason: message })
            }
            Err(error) => Err(cluster.trouble(error.into())),
        }
    }

    /// Creates the roles that own objects of the dump, so that owners and grants can be restored. The
    /// roles are those of `globals.sql`, or else those that the recorded schema names. Returns true if
    /// the roles exist.
    fn make_roles(&self, cluster: &Cluster, findings: &mut Findings) -> Result<bool, Error> {
        let client = cluster.connect("postgres")?;
        let backup = self.subject.backup;
        // Plain files may be compressed, and then have another suffix.
        let mut names = backup.artifacts.iter().map(|artifact| artifact.name.as_str());
        if let Some(name) = names.find(|name| name.strip_suffix(".zst").unwrap_or(name) == GLOBALS) {
            let script = match self.globals(name) {
                Ok(script) => script,
                Err(error) => {
                    self.judge(cluster, error, findings)?;
                    return Ok(false);
                }
            };
            // Older servers lack the setting; then the tablespaces of the dump fail below.
            let _ = client.execute("SET allow_in_place_tablespaces = on");
            let (mut done, mut refused) = (0_u64, Vec::new());
            let statements = match Statement::all(&script) {
                Ok(statements) => statements,
                Err(bad) => {
                    findings.fatal(format!("{GLOBALS}: {bad}"));
                    return Ok(false);
                }
            };
            for statement in statements.into_iter().map(Statement::in_place) {
                let role = statement.makes_role();
                match statement.text().map(|sql| client.execute(sql)) {
                    Some(Ok(())) => done += 1,
                    Some(Err(error)) if is_expected(&error, role.as_deref()) => {}
                    Some(Err(error)) if is_of_server(&error) => return Err(cluster.trouble(error.into())),
                    Some(Err(error)) => refused.push(excerpt::short(&error.to_string())),
                    None => refused.push("a statement that is not UTF-8".to_owned()),
                }
                cluster.check()?;
            }
            findings.note("globals", json!({ "statements": done, "refused": refused.len() }));
            if let Some(first) = refused.first() {
                let more = match refused.len() {
                    1 => String::new(),
                    n => format!(" (and {} more)", n - 1),
                };
                findings.warning(format!("{GLOBALS}: {first}{more}"));
            }
            return Ok(true);
        }
        let schema = self.context.ledger.schema(self.entry)?;
        let Some(schema) = schema else {
            findings.warning("roles are not in the backup: restored without owners and grants");
            return Ok(false);
        };
        let statements = match Statement::all(&schema) {
            Ok(statements) => statements,
            Err(bad) => {
                findings.warning(format!("the recorded schema: {bad}; restored without owners and grants"));
                return Ok(false);
            }
        };
        let mut roles: Vec<String> = statements.iter().flat_map(Statement::roles).collect();
        roles.sort();
        roles.dedup();
        for role in &roles {
            // Some roles exist already, and others belong to PostgreSQL.
            let _ = client.execute(&format!("CREATE ROLE {}", quote_ident(role)));
        }
        findings.warning("roles are not in the backup: restored with roles of the same names");
        Ok(true)
    }

    fn globals(&self, name: &str) -> Result<Vec<u8>, tools::Error> {
        let mut script = Vec::new();
        let source = self.subject.source()?.open(name).map_err(tools::Error::Place)?;
        source.take(GLOBALS_MAX).read_to_end(&mut script).map_err(tools::Error::Place)?;
        Ok(script)
    }

    pub(super) fn backup(&self) -> &Backup {
        self.subject.backup
    }
}

/// Returns the limit of the machine that has ended a server or one of its processes, by the server log.
fn limit_of(log: &str) -> Option<Error> {
    if excerpt::was_killed(log) {
        let reason = "a process of the scratch cluster was killed, possibly because memory is short";
        return Some(Error::Unsuitable { reason: reason.to_owned() });
    }
    let fatal = log.lines().find(|line| line.contains("PANIC:") && excerpt::is_of_machine(line))?;
    let stderr = excerpt::short(&fatal[fatal.find("PANIC:")?..]);
    let (program, kind) = (Program::Postgres, tools::classify(&stderr));
    Some(Error::Tools(tools::Error::Failed { program, kind, status: process::Status::Exited(1), stderr }))
}

/// Returns what the server said about a restore that it refused.
fn complaint_of(error: &tools::Error) -> Option<&str> {
    match error {
        tools::Error::Failed { stderr, .. } => Some(stderr),
        tools::Error::Statement { refusal, .. } => Some(&refusal.message),
        _ => None,
    }
}

fn lacks_monetary(locale: &str) -> Error {
    Error::Unsuitable {
        reason: format!(
            "its amounts of type money are written as in locale \"{locale}\", which is not installed"
        ),
    }
}

/// Returns true if the scratch cluster must refuse the statement. Examples are the existing superuser,
/// settings of databases that are not restored, and grants of the old superuser.
fn is_expected(error: &pg::Error, makes_role: Option<&str>) -> bool {
    match error {
        pg::Error::Query { sqlstate, .. } => match sqlstate.as_str() {
            "42710" => makes_role == Some("postgres"),
            "3D000" => true,
            _ => false,
        },
        pg::Error::DatabaseMissing { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::Refusal;

    #[test]
    fn the_complaint_of_the_server_is_found_however_the_dump_is_restored() {
        let complaint = "invalid input syntax for type money: \"12,50\"".to_owned();
        let refusal = Refusal {
            sqlstate: "22P02".to_owned(),
            message: complaint.clone(),
            detail: None,
            hint: None,
            place: None,
            position: None,
        };
        let of_script = tools::Error::Statement {
            script: "dump.sql".to_owned(),
            line: 7,
            statement: "COPY public.t (m) FROM stdin".to_owned(),
            refusal: Box::new(refusal),
        };
        assert_eq!(complaint_of(&of_script), Some(complaint.as_str()));
        assert_eq!(complaint_of(&tools::Error::Place(std::io::ErrorKind::NotFound.into())), None);
    }
}
