//! Classifies the error messages of the PostgreSQL programs.

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server is unreachable or the connection was lost.
    ServerUnreachable,
    /// The server reports that it is starting, that it has no free connection, or that a lock is
    /// held.
    Busy,
    /// The server rejects the authentication of the user.
    AuthFailed,
    /// The database does not exist.
    DatabaseMissing,
    /// The user is connected but lacks a privilege.
    PermissionDenied,
    /// The server is newer than the program.
    ServerNewer,
    /// The disk is full.
    DiskFull,
    /// Any other failure.
    Other,
}

impl Kind {
    /// Returns true if a retry may succeed.
    pub fn retry(self) -> bool {
        matches!(self, Self::ServerUnreachable | Self::Busy | Self::DiskFull)
    }
}

/// The phrases in order of precedence: the first match decides, so more specific phrases come
/// first.
const PHRASES: &[(&str, Kind)] = &[
    ("because of server version mismatch", Kind::ServerNewer),
    ("No space left on device", Kind::DiskFull),
    ("could not extend file", Kind::DiskFull),
    ("Disk quota exceeded", Kind::DiskFull),
    ("out of shared memory", Kind::Busy),
    ("could not fork new process for connection", Kind::Busy),
    ("the database system is ", Kind::Busy),
    ("sorry, too many clients already", Kind::Busy),
    ("too many connections for ", Kind::Busy),
    ("remaining connection slots are reserved", Kind::Busy),
    ("due to lock timeout", Kind::Busy),
    ("deadlock detected", Kind::Busy),
    ("authentication failed", Kind::AuthFailed),
    ("no password supplied", Kind::AuthFailed),
    ("no pg_hba.conf entry", Kind::AuthFailed),
    ("pg_hba.conf rejects", Kind::AuthFailed),
    ("FATAL:  role \"\" does not exist", Kind::AuthFailed),
    ("is not permitted to log in", Kind::AuthFailed),
    ("certificate verify failed", Kind::AuthFailed),
    ("FATAL:  database \"\" does not exist", Kind::DatabaseMissing),
    ("is not currently accepting connections", Kind::DatabaseMissing),
    ("permission denied ", Kind::PermissionDenied),
    ("must be owner of ", Kind::PermissionDenied),
    ("must be superuser", Kind::PermissionDenied),
    ("would be affected by row-level security policy", Kind::PermissionDenied),
    ("server closed the connection unexpectedly", Kind::ServerUnreachable),
    ("terminating connection due to ", Kind::ServerUnreachable),
    ("could not translate host name", Kind::ServerUnreachable),
    ("Connection refused", Kind::ServerUnreachable),
    ("Is the server running", Kind::ServerUnreachable),
    ("timeout expired", Kind::ServerUnreachable),
    ("Connection timed out", Kind::ServerUnreachable),
    ("Connection reset by peer", Kind::ServerUnreachable),
    ("could not receive data from server", Kind::ServerUnreachable),
    ("could not send data to server", Kind::ServerUnreachable),
    ("No route to host", Kind::ServerUnreachable),
    ("Network is unreachable", Kind::ServerUnreachable),
    ("no connection to the server", Kind::ServerUnreachable),
];

/// Classifies the standard error of a program that ran in the C locale. Names in double quotes are
/// ignored, because a table may be called "Connection refused".
pub fn classify(stderr: &str) -> Kind {
    let words = without_quoted(stderr);
    PHRASES.iter().find(|(phrase, _)| words.contains(phrase)).map_or(Kind::Other, |(_, kind)| *kind)
}

/// Returns the kind of an error with this SQLSTATE.
pub(super) fn of_sqlstate(sqlstate: &str) -> Kind {
    match sqlstate {
        "53100" => Kind::DiskFull,
        "42501" => Kind::PermissionDenied,
        "55P03" => Kind::Busy,
        _ if sqlstate.starts_with("57P") => Kind::ServerUnreachable,
        _ if ["40", "53"].iter().any(|class| sqlstate.starts_with(class)) => Kind::Busy,
        _ => Kind::Other,
    }
}

/// Empties double quotes, line by line. An unclosed quote ends with its line, so that it cannot
/// hide the lines that follow.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        for (at, part) in line.split('"').enumerate() {
            if at > 0 {
                out.push('"');
            }
            if at % 2 == 0 {
                out.push_str(part);
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &[(&str, Kind)] = &[
        (
            "pg_dump: error: connection to server on socket \"/tmp/x/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the server running locally and accepting connections on that socket?\n",
            Kind::ServerUnreachable,
        ),
        (
            "pg_dump: error: connection to server at \"localhost\" (127.0.0.1), port 1 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
            Kind::ServerUnreachable,
        ),
        (
            "pg_dump: error: connection to server on socket \"/tmp/s\" failed: FATAL:  database \"nope\" does not exist\n",
            Kind::DatabaseMissing,
        ),
        ("connection to server failed: FATAL:  role \"x\" does not exist", Kind::AuthFailed),
        ("FATAL:  password authentication failed for user \"bob\"", Kind::AuthFailed),
        (
            "connection to server at \"h\", port 5432 failed: fe_sendauth: no password supplied",
            Kind::AuthFailed,
        ),
        ("FATAL:  the database system is starting up", Kind::Busy),
        ("FATAL:  sorry, too many clients already", Kind::Busy),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\npg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE",
            Kind::Busy,
        ),
        ("pg_dump: error: query failed: ERROR:  permission denied for table secret", Kind::PermissionDenied),
        (
            "pg_dump: error: server version: 16.1; pg_dump version: 15.18\npg_dump: error: aborting because of server version mismatch",
            Kind::ServerNewer,
        ),
        ("ERROR:  could not extend file \"base/1/2\": No space left on device", Kind::DiskFull),
        (
            "pg_dump: error: query failed: ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
            Kind::Busy,
        ),
        ("pg_restore: error: relation \"Connection refused\" already exists", Kind::Other),
        ("pg_restore: error: relation \"permission denied for x\" already exists", Kind::Other),
        ("", Kind::Other),
    ];

    #[test]
    fn what_the_programs_say_is_understood() {
        for (said, kind) in SAID {
            assert_eq!(classify(said), *kind, "{said}");
        }
    }

    #[test]
    fn what_the_server_says_is_understood() {
        for (sqlstate, kind) in [
            ("53100", Kind::DiskFull),
            ("53200", Kind::Busy),
            ("40P01", Kind::Busy),
            ("57P01", Kind::ServerUnreachable),
            ("57014", Kind::Other),
            ("42501", Kind::PermissionDenied),
            ("42P01", Kind::Other),
        ] {
            assert_eq!(of_sqlstate(sqlstate), kind, "{sqlstate}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let again: Vec<_> = SAID.iter().filter(|(_, kind)| kind.retry()).map(|(said, _)| said).collect();
        assert_eq!(again.len(), 7, "{again:?}");
        let passes = |kind: &Kind| matches!(kind, Kind::ServerUnreachable | Kind::Busy | Kind::DiskFull);
        assert!(SAID.iter().all(|(_, kind)| kind.retry() == passes(kind)));
    }

    proptest! {
        #[test]
        fn names_decide_nothing(name in "[^\"\n]*") {
            let said = format!("pg_dump: error: no matching schemas were found for pattern \"{name}\"");
            prop_assert_eq!(classify(&said), Kind::Other);
        }
    }
}
