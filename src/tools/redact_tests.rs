//! Tests of [`super::redact_secrets`].

use proptest::prelude::*;

use super::{redact_commands, redact_secrets};

fn clean(sql: &str) -> String {
    String::from_utf8(redact_secrets(sql.as_bytes())).unwrap()
}

#[test]
fn options_with_secrets_are_masked() {
    for (sql, expected) in [
        (
            "CREATE USER MAPPING FOR bob SERVER s OPTIONS (\n    password 'hunter2',\n    \"user\" 'bob'\n);",
            "CREATE USER MAPPING FOR bob SERVER s OPTIONS (\n    password '***',\n    \"user\" 'bob'\n);",
        ),
        (
            "CREATE SERVER s OPTIONS (\"API Key\" 'hunter2', host 'h')",
            "CREATE SERVER s OPTIONS (\"API Key\" '***', host 'h')",
        ),
        (
            "ALTER SERVER s OPTIONS (SET password 'it''s; hunter2', ADD dbname 'a')",
            "ALTER SERVER s OPTIONS (SET password '***', ADD dbname 'a')",
        ),
        (
            r"CREATE SERVER s OPTIONS (PassWord E'a\'hunter2\\', token $$x$$)",
            r"CREATE SERVER s OPTIONS (PassWord '***', token '***')",
        ),
        (
            "OPTIONS(aws_secret_access_key 'hunter2',password '',key 'true')",
            "OPTIONS(aws_secret_access_key '***',password '***',key 'true')",
        ),
        ("OPTIONS /* ( */ (token -- '\n 'hunter2')", "OPTIONS /* ( */ (token -- '\n '***')"),
        ("OPTIONS (password 'hunter2\nhunter2')", "OPTIONS (password '***')"),
        ("OPTIONS (password 'hunter2", "OPTIONS (password '***'"),
    ] {
        assert_eq!(clean(sql), expected, "{sql}");
    }
}

#[test]
fn passwords_in_connection_strings_are_masked() {
    for (value, expected) in [
        (r#"password=""hunter2 host=h"#, "password=*** host=h"),
        ("host=h password=hunter2 dbname=d", "host=h password=*** dbname=d"),
        ("host=h password = ''hunter2 x'' dbname=d", "host=h password = *** dbname=d"),
        (r"password=''a\''hunter2'' host=h", "password=*** host=h"),
        (r"password=a\ hunter2&b host=h", "password=*** host=h"),
        ("postgresql://u:hunter2@h:5432/d?sslmode=require", "postgresql://u:***@h:5432/d?sslmode=require"),
        ("postgres://h/d?password=hunter2&sslmode=require", "postgres://h/d?password=***&sslmode=require"),
        ("postgres://u:hun@ter2@h/d", "postgres://u:***@h/d"),
        ("host=h passfile=/x sslpassword=hunter2", "host=h passfile=*** sslpassword=***"),
    ] {
        let connection = |value| format!("CREATE SUBSCRIPTION s CONNECTION '{value}' PUBLICATION p;");
        assert_eq!(clean(&connection(value)), connection(expected));
        let option = |value| format!("CREATE SERVER s OPTIONS (url '{value}');");
        assert_eq!(clean(&option(value)), option(expected));
    }
}

#[test]
fn everything_else_stays_as_it_is() {
    for sql in [
        "CREATE TABLE t (password text DEFAULT 'password=x', options text, key int);",
        "CREATE FUNCTION f() AS $_$ OPTIONS (password 'x') $_$;",
        "CREATE FUNCTION f() AS 'OPTIONS (password ''x'')';",
        "COMMENT ON TABLE t IS 'postgres://u:p@h/';",
        "CREATE VIEW v AS SELECT options('password', $1, 'x');",
        "CREATE SERVER s OPTIONS (host 'h', port '5432', keepalives '1'",
        "-- OPTIONS (password 'x')\n/* OPTIONS (password /* */ 'x') */",
        "SELECT \"OPTIONS (\" , 'unclosed",
        "OPTIONS (host 'a b', dbname 'd''e', x E'a\\'b'); SELECT password 'x'",
    ] {
        if sql.contains("keepalives") {
            assert_eq!(clean(sql).len(), sql.len());
        } else {
            assert_eq!(clean(sql), sql);
        }
    }
}

proptest! {
    #[test]
    fn no_password_survives_whatever_is_in_it(secret in "[a-z'\"\\\\;()$ \n]{0,12}[A-Z]{9}[a-z'\"\\\\;()$ \n]{0,12}") {
        let needle: String = secret.chars().filter(char::is_ascii_uppercase).collect();
        let literal = secret.replace('\'', "''");
        let escaped = secret.replace('\\', "\\\\").replace('\'', "\\'");
        let conninfo = format!("host=h password='{escaped}' dbname=d").replace('\'', "''");
        let sql = format!(
            "CREATE USER MAPPING FOR u SERVER s OPTIONS (password '{literal}', \"user\" 'visible');\n\
             CREATE SERVER s OPTIONS (token E'{escaped}', dbname 'visible');\n\
             CREATE SUBSCRIPTION s CONNECTION '{conninfo}' PUBLICATION visible;\n"
        );
        let out = clean(&sql);
        prop_assert!(!out.contains(&needle), "{}", out);
        prop_assert_eq!(out.matches("visible").count(), 3, "{}", out);
        prop_assert_eq!(clean(&out), out.clone());
    }

    #[test]
    fn no_input_breaks_it(sql in "(OPTIONS \\(|CONNECTION |password|'|\"|\\$|\\$a\\$|\\\\|E'|--|/\\*|\\*/|=|://|:|@|;|\\)| |\n|x|é){0,40}") {
        let once = redact_secrets(sql.as_bytes());
        prop_assert_eq!(redact_secrets(&once), once.clone());
    }

    #[test]
    fn no_bytes_break_it(sql in proptest::collection::vec(any::<u8>(), 0..300)) {
        redact_secrets(&sql);
    }
}

#[test]
fn what_a_program_quotes_is_clean() {
    let said = "pg_restore: while PROCESSING TOC:\npg_restore: error: it can't: ERROR:  role \"gone\" doesn't exist\n\
                Command was: CREATE USER MAPPING FOR gone SERVER far OPTIONS (\n    password 'geheim''s',\n    \"user\" 'u'\n);\n\n\
                pg_restore: error: can't: ERROR:  no\nCommand was: ALTER ROLE x WITH PASSWORD 'geheim';\n\
                pg_dump: detail: Query was: Command was: CREATE SUBSCRIPTION s CONNECTION 'host=h password=geheim' PUBLICATION p;";
    let clean = redact_commands(said);
    assert!(!clean.contains("geheim"), "{clean}");
    for kept in [
        "it can't: ERROR:  role \"gone\" doesn't exist\n",
        "\"user\" 'u'\n);\n\npg_restore: error: can't",
        "host=h",
    ] {
        assert!(clean.contains(kept), "{kept}: {clean}");
    }
    assert_eq!(redact_commands("no command ' here\n"), "no command ' here\n");
    // A line of a statement may begin like the name of a program.
    let said = "pg_restore: error: no\nCommand was: CREATE SERVER s OPTIONS (\n\
                pg_password 'geheim',\npg_dump: token 'geheim',\n  host 'h');\npg_restore: hint: 'kept'";
    let clean = redact_commands(said);
    assert!(!clean.contains("geheim") && clean.ends_with("pg_restore: hint: 'kept'"), "{clean}");
}
