//! Settings of a database (`ALTER DATABASE ... SET`). No dump of the database contains them, and
//! they influence the effect of migrations.

use super::{Client, Result, quote_ident, quote_literal};
use crate::domain::Setting;

/// Settings that do not influence the result of a statement or may be invalid on another server.
/// Settings with a dot belong to extensions and users and are left out too, because they may be
/// secrets.
const LEFT_OUT: [&str; 9] = [
    "application_name",
    "client_encoding",
    "client_min_messages",
    "default_transaction_read_only",
    "dynamic_library_path",
    "lc_messages",
    "local_preload_libraries",
    "session_preload_libraries",
    "temp_tablespaces",
];

/// Settings of resources and diagnostics that an ordinary role cannot set, or that cannot be set
/// within a session.
const RESTRICTED: [&str; 19] = [
    "backtrace_functions",
    "commit_delay",
    "compute_query_id",
    "debug_discard_caches",
    "extension_destdir",
    "ignore_checksum_failure",
    "ignore_system_indexes",
    "jit_debugging_support",
    "jit_dump_bitcode",
    "jit_profiling_support",
    "max_stack_depth",
    "post_auth_delay",
    "temp_file_limit",
    "update_process_title",
    "wal_compression",
    "wal_consistency_checking",
    "wal_init_zero",
    "wal_recycle",
    "zero_damaged_pages",
];

fn influences_migrations(name: &str) -> bool {
    let is_about_logs = ["log_", "track_"].iter().any(|start| name.starts_with(start));
    let is_left_out = LEFT_OUT.contains(&name) || RESTRICTED.contains(&name);
    !name.contains('.') && !name.contains("timeout") && !is_about_logs && !is_left_out
}

impl Client {
    /// Returns the settings of a database that may influence migrations.
    pub fn database_settings(&self, dbname: &str) -> Result<Vec<Setting>> {
        let sql = format!(
            "SELECT r.rolname, pg_catalog.split_part(c, '=', 1), \
             pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) FROM pg_catalog.pg_db_role_setting s \
             JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase \
             LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole, \
             pg_catalog.unnest(s.setconfig) c WHERE d.datname OPERATOR(pg_catalog.=) {} ORDER BY 1 NULLS FIRST, 2",
            quote_literal(dbname)
        );
        let rows = self.query_for(&sql, "the settings of the database")?.into_iter();
        let settings = rows.filter_map(|row| match <[_; 3]>::try_from(row) {
            Ok([role, Some(name), Some(value)]) => Some(Setting { role, name, value }),
            _ => None,
        });
        Ok(settings.filter(|setting| influences_migrations(&setting.name)).collect())
    }

    /// Sets one of these settings in a database, for all roles or for one.
    pub fn set_in_database(&self, dbname: &str, setting: &Setting) -> Result<()> {
        let (place, value) = (place_of(dbname, setting), quote_literal(&setting.value));
        let name = quote_ident(&setting.name);
        // FROM CURRENT writes lists correctly, for which the value is set for the transaction. All
        // of it is one transaction. `role` is set directly, so that the session does not have to
        // become that role.
        self.execute(&match setting.name.as_str() {
            "role" => format!("ALTER {place} SET {name} TO {value}"),
            other => format!(
                "SELECT pg_catalog.set_config({}, {value}, true); ALTER {place} SET {name} FROM CURRENT",
                quote_literal(other)
            ),
        })
    }

    /// Removes one of these settings from a database, unless its value has changed.
    pub fn reset_in_database(&self, dbname: &str, setting: &Setting) -> Result<()> {
        match self.database_settings(dbname)?.contains(setting) {
            true => {
                let place = place_of(dbname, setting);
                self.execute(&format!("ALTER {place} RESET {}", quote_ident(&setting.name)))
            }
            false => Ok(()),
        }
    }
}

fn place_of(dbname: &str, setting: &Setting) -> String {
    let database = format!("DATABASE {}", quote_ident(dbname));
    match &setting.role {
        Some(role) => format!("ROLE {} IN {database}", quote_ident(role)),
        None => database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_secrets_and_irrelevant_settings_are_left_out() {
        for kept in ["search_path", "TimeZone", "session_replication_role", "role"] {
            assert!(influences_migrations(kept), "{kept}");
        }
        for out in [
            "pggit.commit",
            "app.jwt_secret",
            "statement_timeout",
            "log_statement",
            "lc_messages",
            "temp_file_limit",
        ] {
            assert!(!influences_migrations(out), "{out}");
        }
    }
}
