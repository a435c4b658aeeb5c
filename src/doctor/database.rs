//! Checks one database: server, privileges of the role, client programs and destination of backups.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};

use super::finding::Findings;
use crate::config::{DatabaseConfig, Tool};
use crate::domain::human_bytes;
use crate::domain::{BackupType, Globals};
use crate::failure::Failure;
use crate::git::Position;
use crate::pg::{Client, Relations, ServerFacts, quote_ident};
use crate::process::shell_word;
use crate::store::Error as StoreError;
use crate::tools::{Program, Programs};
use crate::workspace::Workspace;
use crate::workspace::{connect, places, store};

/// The time for which the doctor retries requests to a store that fails. The user waits for its report.
const STORE_RETRY_TIME: Duration = Duration::from_secs(10);

pub(super) fn look(database: &DatabaseConfig, workspace: &Workspace, findings: &mut Findings) {
    match &database.url {
        Some(url) => findings.ok("url", url.value.to_string()),
        None => findings.ok("url", "not set: libpq's own variables and defaults apply"),
    }
    let facts = match connect::connect(workspace, database) {
        Ok(client) => server(&client, database, workspace, findings),
        Err(failure) => {
            findings.failure("server", failure);
            None
        }
    };
    programs(facts.as_ref(), database, workspace, findings);
    output(facts.as_ref(), database, workspace, findings);
}

/// Checks the server and returns its facts, or `None` if they cannot be read.
fn server(
    client: &Client,
    database: &DatabaseConfig,
    workspace: &Workspace,
    findings: &mut Findings,
) -> Option<ServerFacts> {
    let facts = match client.facts() {
        Ok(facts) => facts,
        Err(error) => {
            findings.failure("server", error);
            return None;
        }
    };
    let (user, target) = (client.conninfo().user(), client.target());
    let standby = if facts.in_recovery { " (a standby)" } else { "" };
    findings.ok("server", format!("PostgreSQL {}{standby} at {target}, as {user}", facts.version_text));
    mark(client, workspace, findings);
    if let Err(error) = privileges(client, &facts, database, findings) {
        findings.failure("privileges", error);
    }
    Some(facts)
}

fn mark(client: &Client, workspace: &Workspace, findings: &mut Findings) {
    const AGAIN: &str = "git pggit mark <commit>";
    let mark = match client.read_mark() {
        Ok(Some(mark)) => mark,
        Ok(None) => {
            findings
                .warning("mark", "no commit is recorded in the database: its backups belong to HEAD")
                .remedy(AGAIN);
            return;
        }
        Err(error) => {
            findings.failure("mark", error).remedy(AGAIN);
            return;
        }
    };
    let Ok(repository) = workspace.repository() else { return findings.ok("mark", mark) };
    match Position::of(repository, &mark) {
        Ok(Some(place)) => findings.ok("mark", format!("{mark} {}, {}", place.subject, place.describe())),
        Ok(None) => drop(
            findings
                .problem("mark", format!("{mark} is not a commit of this repository"))
                .remedy("fetch the commit: git fetch --all")
                .remedy(format!("or correct the mark: {AGAIN}")),
        ),
        Err(failure) => drop(findings.failure("mark", failure)),
    }
}

fn privileges(
    client: &Client,
    facts: &ServerFacts,
    database: &DatabaseConfig,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let schemas: Vec<&str> = database.dump.schemas.iter().map(String::as_str).collect();
    let may = client.privileges(&schemas)?;
    let user = quote_ident(client.conninfo().user());
    if may.may_mark {
        findings.ok("set mark", "the role may record the mark");
    } else {
        let finding = findings.warning("set mark", format!("{user} may not record the mark"));
        if facts.major >= 15 {
            finding.remedy(format!("GRANT SET ON PARAMETER \"pggit.commit\" TO {user}"));
            finding.remedy("and the role must own the database, or be a member of the owner");
        } else {
            finding.remedy("before PostgreSQL 15 only a superuser may: run 'git pggit mark' as a superuser");
        }
    }
    if may.unreadable.count == 0 {
        findings.ok("read", "the role may read all tables");
    } else {
        findings
            .problem("read", format!("{user} may not read {}", listed(&may.unreadable)))
            .remedy(format!("GRANT pg_read_all_data TO {user} (PostgreSQL 14 and later)"));
    }
    if may.filtered.count > 0 {
        findings
            .problem("row security", format!("{user} does not see all rows of {}", listed(&may.filtered)))
            .remedy(format!("ALTER ROLE {user} BYPASSRLS"));
    }
    match (database.dump.globals, facts.can_read_role_passwords) {
        (Globals::All, false) => {
            let remedy =
                format!("skip the passwords: git config pggit.{}.globals no-passwords", database.name);
            findings.problem("roles", format!("{user} may not read the passwords of roles")).remedy(remedy);
        }
        (Globals::All, true) => findings.ok("roles", "the role may read the passwords of roles"),
        _ => {}
    }
    match database.tool.value {
        Tool::PgBasebackup | Tool::Auto => copying(client, facts, database, findings),
        _ => Ok(()),
    }
}

/// Checks the requirements of a physical backup.
fn copying(
    client: &Client,
    facts: &ServerFacts,
    database: &DatabaseConfig,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (cluster, user) = (client.cluster_facts()?, quote_ident(client.conninfo().user()));
    if cluster.may_replicate {
        findings.ok("copy", "the role may make physical backups");
    } else {
        findings
            .problem("copy", format!("{user} may not make physical backups"))
            .remedy(format!("ALTER ROLE {user} REPLICATION"))
            .remedy("and add a line for the database \"replication\" to pg_hba.conf");
    }
    if database.backup_type.value != BackupType::Full && cluster.summarizes_wal != Some(true) {
        let finding = findings.problem(
            "incremental",
            format!("{} backups require PostgreSQL 17 and summarize_wal", database.backup_type.value),
        );
        match facts.major {
            17.. => finding.remedy("ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf()"),
            _ => finding.remedy(format!("git config pggit.{}.type full", database.name)),
        };
    }
    Ok(())
}

fn listed(relations: &Relations) -> String {
    let more = relations.count - relations.first.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", relations.first.join(", "))
}

/// Checks the client programs. Without a server the required version is unknown.
fn programs(
    facts: Option<&ServerFacts>,
    database: &DatabaseConfig,
    workspace: &Workspace,
    findings: &mut Findings,
) {
    let pgbin = workspace.config().and_then(|config| Ok(config.pgbin()?));
    // The check of the configuration has reported the invalid setting.
    let Ok(pgbin) = pgbin else { return };
    let tools = Programs::new(pgbin.map(|dir| dir.value)).for_server(facts.map_or(0, |facts| facts.major));
    let dumpall = (database.dump.globals != Globals::None).then_some(Program::PgDumpall);
    let copies = matches!(database.tool.value, Tool::PgBasebackup | Tool::Auto);
    let basebackup = copies.then_some(Program::PgBasebackup);
    let needed = [Some(Program::PgDump), Some(Program::PgRestore), dumpall, basebackup];
    for program in needed.into_iter().flatten() {
        match tools.find(program) {
            Ok((path, version)) => findings.ok(program.name(), format!("{version} ({})", path.display())),
            Err(error) => drop(findings.failure(program.name(), error)),
        }
    }
}

/// Checks the destination of backups: a directory of plain files, or a store.
fn output(
    facts: Option<&ServerFacts>,
    database: &DatabaseConfig,
    workspace: &Workspace,
    findings: &mut Findings,
) {
    let Some(output) = &database.output else {
        return match place(database, workspace) {
            Ok(text) => findings.ok("store", text),
            Err(failure) => drop(findings.failure("store", failure)),
        };
    };
    let dir = output.value.as_path();
    let shown = dir.display();
    match fs::metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            findings
                .problem("output", format!("{shown} does not exist"))
                .remedy(format!("mkdir -p {}", shell_word(&shown.to_string())));
        }
        Err(error) => drop(findings.problem("output", format!("{shown}: {error}"))),
        Ok(meta) if !meta.is_dir() => {
            findings.problem("output", format!("{shown} is not a directory"));
        }
        Ok(_) => match access(dir, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => match places::check_directory(workspace, dir, &database.name) {
                Ok(()) => space(facts, dir, findings),
                Err(failure) => drop(findings.failure("output", failure)),
            },
            Err(error) => {
                let error = std::io::Error::from(error);
                findings.problem("output", format!("{shown} cannot be written: {error}")).remedy(format!(
                    "choose another directory: git config pggit.{}.plainDir <dir>",
                    database.name
                ));
            }
        },
    }
}

/// Opens the store and returns its URL in words. Fails if the configured store does not exist.
fn place(database: &DatabaseConfig, workspace: &Workspace) -> Result<String, Failure> {
    let url = store::url(workspace, None, database.store.as_ref())?;
    let access = store::access(workspace, &url)?.retrying_for(STORE_RETRY_TIME);
    match places::open(workspace, &url, &access)? {
        Some(_) => Ok(url.to_string()),
        None if database.store.is_none() => Ok(format!("{url}, created by the first backup")),
        None => Err(StoreError::NoStore { url: url.to_string() }.into()),
    }
}

fn space(facts: Option<&ServerFacts>, dir: &Path, findings: &mut Findings) {
    let shown = dir.display();
    let Ok(stat) = statvfs(dir) else { return findings.ok("output", shown.to_string()) };
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let free = human_bytes(free_bytes);
    match facts.map(|facts| facts.database_size_bytes) {
        // A compressed dump is smaller, but its size cannot be predicted.
        Some(size) if free_bytes < size => drop(
            findings
                .warning("output", format!("{shown} has {free} free, the database is {}", human_bytes(size)))
                .remedy("make room, or choose another directory"),
        ),
        _ => findings.ok("output", format!("{shown}, {free} free")),
    }
}
