//! The checks of a restored database.

use std::time::Duration;

use serde_json::json;

use super::cluster::Cluster;
use super::restore_test::RestoreTest;
use super::verdict::Findings;
use super::{Error, excerpt};
use crate::artifacts::recorded_counts;
use crate::domain::DumpOptions;
use crate::pg::{self, Client, Table, TableSum, quote_ident};
use crate::process;
use crate::recovery::{IgnoreInDiff, diff_schemas};
use crate::tools::{self, DumpSpec, Program};

/// The maximum number of differing tables that a finding names.
const NAMED: usize = 10;
/// One assertion may take at most this fraction of the time limit of the verification (1/10).
const ASSERTION_SHARE: u32 = 10;

pub(super) struct Checks<'a> {
    pub(super) test: &'a RestoreTest<'a>,
    pub(super) cluster: &'a Cluster,
    pub(super) dbname: &'a str,
    /// True if owners and grants were restored.
    pub(super) roles: bool,
    /// True if the recorded and the restored data are from the same snapshot.
    pub(super) is_dump: bool,
}

impl Checks<'_> {
    pub(super) fn run(&self, findings: &mut Findings) -> Result<(), Error> {
        let stage = |name: &str| self.test.context.progress.stage(name, None);
        stage("comparing the schema");
        self.schema(findings)?;
        stage("counting rows");
        self.counts(findings)?;
        stage("asking");
        self.assertions(findings)?;
        stage("looking for damage");
        self.amcheck(findings)?;
        process::crash_point("verify.checked");
        Ok(())
    }

    /// Compares the schema of the restored database with the recorded one.
    fn schema(&self, findings: &mut Findings) -> Result<(), Error> {
        let test = self.test;
        let Some(recorded) = test.context.ledger.schema(test.entry)? else {
            findings.note("schema", "not recorded");
            return Ok(());
        };
        let client = self.cluster.connect(self.dbname)?;
        let mut spec = DumpSpec {
            deadline: Some(test.request.timeout),
            ..DumpSpec::of_schema(&client, true).map_err(|error| self.cluster.trouble(error.into()))?
        };
        spec.options.schemas = DumpOptions::recorded_schemas(&test.backup().metadata);
        let tools = test.context.programs.for_server(self.cluster.major());
        let (_, version) = tools.find(Program::PgDump).map_err(Error::of_tool)?;
        let restored =
            tools.schema_sql(&spec).map_err(|error| self.cluster.trouble(Error::of_tool(error)))?;
        let leniency = IgnoreInDiff { owners: !self.roles, privileges: !self.roles, tablespaces: false };
        let Some(difference) = diff_schemas(&recorded, &restored, leniency) else {
            findings.note("schema", "equal");
            return Ok(());
        };
        findings.note("schema", "differs");
        let message = format!("the schema differs from the recorded one: {}", first_lines(&difference));
        findings.note("schema_difference", difference);
        // Another version of pg_dump may write the same schema as different statements.
        let made_by = test.backup().tool.version.as_ref().map(crate::domain::Line::as_str);
        match made_by == Some(version.text.as_str()) {
            // The schema may have changed while the physical backup ran.
            true if !self.is_dump => findings.warning(message),
            true => findings.fatal(message),
            false => findings.warning(format!(
                "{message} (recorded with pg_dump {}, compared with {version})",
                made_by.unwrap_or("of another version")
            )),
        }
        Ok(())
    }

    /// Compares the rows of the tables with the recorded numbers and checksums.
    fn counts(&self, findings: &mut Findings) -> Result<(), Error> {
        let backup = self.test.backup();
        let schemas = DumpOptions::recorded_schemas(&backup.metadata);
        let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
        let client = self.cluster.connect(self.dbname)?;
        let trouble = |error: pg::Error| self.cluster.trouble(error.into());
        client.set_row_format().map_err(trouble)?;
        let there = client.tables(&schemas).map_err(trouble)?;
        findings.note("tables", there.len());
        let recorded = match recorded_counts(&backup.metadata) {
            None => {
                findings.note("counts", "not recorded");
                return Ok(());
            }
            Some(Err(why)) => {
                findings.warning(format!("rows were not counted: {why}"));
                return Ok(());
            }
            Some(Ok(recorded)) => recorded,
        };
        let (mut wrong, mut rows) = (Vec::new(), 0);
        for (table, expected) in &recorded.tables {
            if !there.contains(table) {
                wrong.push(format!("table {table} is missing"));
                continue;
            }
            match client.table_sum(table) {
                Ok(sum) => {
                    rows += sum.rows;
                    wrong.extend(rows_differ(table, expected, &sum, recorded.comparable));
                }
                // A limit of the scratch server says nothing about the backup.
                Err(error) if is_of_server(&error) => return Err(trouble(error)),
                Err(pg::Error::Query { message, .. }) => wrong.push(format!("table {table}: {message}")),
                Err(error) => return Err(trouble(error)),
            }
        }
        findings
            .note("counts", json!({ "tables": recorded.tables.len(), "rows": rows, "differ": wrong.len() }));
        if !recorded.comparable {
            findings.warning(
                "another version recorded the sums over rows with another method: only numbers of rows were compared",
            );
        }
        let more = wrong.len().saturating_sub(NAMED);
        wrong.iter().take(NAMED).for_each(|it| findings.fatal(excerpt::short(it)));
        if more > 0 {
            findings.fatal(format!("and {more} more tables differ"));
        }
        Ok(())
    }

    /// Runs the configured assertions, each of which must return true.
    fn assertions(&self, findings: &mut Findings) -> Result<(), Error> {
        let assertions = &self.test.request.assertions;
        if assertions.is_empty() {
            return Ok(());
        }
        let role = self.reader()?;
        let mut results = Vec::new();
        for sql in assertions {
            let limit = self.test.request.timeout / ASSERTION_SHARE;
            let answer = self.holds(&role, sql, limit);
            self.cluster.check()?;
            let shown = excerpt::short(sql);
            let result = match answer {
                Ok(Some(true)) => "true".to_owned(),
                Ok(Some(false)) => {
                    findings.fatal(format!("not true: {shown}"));
                    "false".to_owned()
                }
                Ok(None) => {
                    findings.fatal(format!("not a query that returns one row with one boolean: {shown}"));
                    "no question".to_owned()
                }
                // The message may quote data that a committed assertion has selected. The record is
                // shared, so it contains only the SQLSTATE code.
                Err(error) if error.sqlstate().is_some() && !is_of_server(&error) => {
                    let code = error.sqlstate().unwrap_or_default();
                    findings.fatal(format!("error (SQLSTATE {code}): {shown}"));
                    "error".to_owned()
                }
                Err(error) => return Err(error.into()),
            };
            results.push(json!({ "query": shown, "result": result }));
        }
        findings.note("assertions", results);
        Ok(())
    }

    /// Creates a role that may read every table and has no other privilege. Returns its name.
    fn reader(&self) -> Result<String, Error> {
        let name = format!("pggit_reader_{}", uuid::Uuid::new_v4().simple());
        let client = self.cluster.connect(self.dbname)?;
        let role = quote_ident(&name);
        let database = quote_ident(self.dbname);
        client.execute(&format!("CREATE ROLE {role} LOGIN BYPASSRLS"))?;
        // The server log is kept as evidence, so it must not contain these messages either.
        client.execute(&format!("ALTER ROLE {role} SET log_min_messages = 'panic'"))?;
        client.execute(&format!("GRANT CONNECT ON DATABASE {database} TO {role}"))?;
        if self.cluster.major() >= 14 {
            client.execute(&format!("GRANT pg_read_all_data TO {role}"))?;
            return Ok(name);
        }
        let schemas = client.query(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        )?;
        for schema in schemas.into_iter().flatten().flatten() {
            let schema = quote_ident(&schema);
            client.execute(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}"))?;
            client.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"))?;
        }
        Ok(name)
    }

    /// Runs an assertion on a separate connection, because a query can leave session state behind.
    fn holds(&self, role: &str, sql: &str, limit: Duration) -> Result<Option<bool>, pg::Error> {
        let info = self.cluster.as_role(role, self.dbname);
        let info = info.map_err(|error| pg::Error::Unexpected { detail: error.to_string() })?;
        let client = Client::connect(&info, "git-pggit")?;
        client.execute("SET search_path TO DEFAULT; BEGIN READ ONLY")?;
        client.execute(&format!(
            "SET LOCAL statement_timeout = {}",
            limit.as_millis().clamp(1, 2_000_000_000)
        ))?;
        client.is_true(sql)
    }

    /// Checks tables and indexes with pg_amcheck.
    fn amcheck(&self, findings: &mut Findings) -> Result<(), Error> {
        if self.cluster.major() < 14 {
            findings.note("amcheck", "not before PostgreSQL 14");
            return Ok(());
        }
        let tools = self.test.context.programs.for_server(self.cluster.major());
        let cmd = match tools.cmd(Program::PgAmcheck) {
            Ok(cmd) => cmd,
            Err(tools::Error::ProgramMissing { .. }) => {
                findings.note("amcheck", "not installed");
                findings.warning("pg_amcheck is not installed: indexes were not checked");
                return Ok(());
            }
            Err(error) => return Err(Error::of_tool(error)),
        };
        let connection = self.cluster.connection(self.dbname);
        let mut cmd = cmd.hide_env(tools::LIBPQ_VARIABLES).args(["--install-missing", "--no-password"]);
        if self.test.request.heapallindexed {
            cmd = cmd.arg("--heapallindexed");
        }
        let info = self.cluster.to(self.dbname);
        cmd = cmd.arg(format!("--host={}", info.host())).arg(format!("--port={}", info.port()));
        cmd = cmd
            .arg(format!("--username={}", info.user()))
            .arg(format!("--maintenance-db={}", connection.conninfo));
        cmd = cmd.arg(format!("--database={}", pattern(self.dbname)));
        let output =
            cmd.deadline(self.test.request.timeout).run_any().map_err(|e| self.cluster.trouble(e.into()))?;
        self.cluster.check()?;
        match output.exit.status {
            process::Status::Exited(0) => findings.note("amcheck", "passed"),
            process::Status::Exited(2) => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let Some(first) = excerpt::of_amcheck(&said) else {
                    return Err(Error::Unsuitable {
                        reason: format!("pg_amcheck: {}", excerpt::first_error(&said)),
                    });
                };
                findings.note("amcheck", "failed");
                findings.fatal(format!("pg_amcheck: {first}"));
            }
            _ => {
                findings.note("amcheck", "could not be run");
                findings.warning(format!("pg_amcheck: {}", excerpt::first_error(&output.exit.stderr)));
            }
        }
        Ok(())
    }
}

/// Returns true if the cause of an error is the state or a limit of the server, and not the data.
pub(super) fn is_of_server(error: &pg::Error) -> bool {
    let is_of_machine = |error: &pg::Error| matches!(error, pg::Error::Query { message, .. } if excerpt::is_of_machine(message));
    error.retry() || is_of_machine(error)
}

/// Returns the pattern of pg_amcheck that matches only this name.
fn pattern(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the difference between the rows of a table, if any. Checksums are compared only if they are
/// `comparable`.
fn rows_differ(table: &Table, expected: &TableSum, found: &TableSum, comparable: bool) -> Option<String> {
    if found.rows != expected.rows {
        return Some(format!("table {table} has {} rows, recorded were {}", found.rows, expected.rows));
    }
    (comparable && found.sum != expected.sum)
        .then(|| format!("table {table} has other rows than were recorded"))
}

/// Returns the first objects that differ, or else the first lines of `difference` that were added or removed.
fn first_lines(difference: &str) -> String {
    let objects: Vec<&str> =
        difference.lines().take_while(|line| !line.starts_with("--- ")).take(3).collect();
    if !objects.is_empty() {
        return excerpt::short(&objects.join(", "));
    }
    let statement = |line: &&str| {
        let text = line.trim_start_matches(['-', '+']).trim();
        line.starts_with(['-', '+'])
            && !line.starts_with("---")
            && !line.starts_with("+++")
            && !text.is_empty()
            && !text.starts_with("SET ")
    };
    excerpt::short(&difference.lines().filter(statement).take(3).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_difference_the_first_lines_are_told() {
        let text = "--- expected\n+++ restored\n@@ -1 +1 @@\n a\n-\n-SET x = 1;\n-  b\n+  c\n+d\n-e";
        assert_eq!(first_lines(text), "- b + c +d");
        let with_objects = format!("+ table public.t\n~ view public.v\n{text}");
        assert_eq!(first_lines(&with_objects), "+ table public.t, ~ view public.v");
    }

    #[test]
    fn tables_differ_in_number_or_content() {
        let table = Table { schema: "a".into(), name: "b\"c".into() };
        let sum = |rows, sum: &str| TableSum { rows, sum: sum.into() };
        assert_eq!(rows_differ(&table, &sum(1, "5"), &sum(1, "5"), true), None);
        for comparable in [true, false] {
            assert_eq!(
                rows_differ(&table, &sum(1, "5"), &sum(2, "5"), comparable).unwrap(),
                "table \"a\".\"b\"\"c\" has 2 rows, recorded were 1"
            );
        }
        assert!(rows_differ(&table, &sum(1, "5"), &sum(1, "6"), true).unwrap().contains("other rows"));
        assert_eq!(rows_differ(&table, &sum(1, "5"), &sum(1, "6"), false), None);
    }
}
