//! Errors of connections and servers.

/// An error of the room `pg`. In texts of a server or library, all known passwords are replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection string, service file or environment is invalid.
    #[error("invalid connection settings: {reason}")]
    BadConnInfo {
        /// The reason, without values.
        reason: String,
    },
    /// The server is unreachable.
    #[error("cannot reach the server at {target}: {detail}")]
    Unreachable {
        /// Host or socket directory, and port.
        target: String,
        /// The error of the operating system.
        detail: String,
    },
    /// The server refused the authentication.
    #[error("authentication failed for user \"{user}\": {detail}")]
    AuthFailed {
        /// The role.
        user: String,
        /// The message of the server.
        detail: String,
    },
    /// The database does not exist.
    #[error("database \"{dbname}\" does not exist")]
    DatabaseMissing {
        /// Its name.
        dbname: String,
    },
    /// A database with this name exists.
    #[error("database \"{dbname}\" already exists")]
    DatabaseExists {
        /// Its name.
        dbname: String,
    },
    /// Other sessions are connected to a database that must have none.
    #[error("database \"{dbname}\" is in use: {detail}")]
    DatabaseInUse {
        /// Its name.
        dbname: String,
        /// The message of the server.
        detail: String,
    },
    /// The server has no free connection slot.
    #[error("the server has no free connection: {detail}")]
    TooManyConnections {
        /// The message of the server.
        detail: String,
    },
    /// The server is starting up, shutting down or recovering.
    #[error("the server does not accept connections yet: {detail}")]
    Starting {
        /// The message of the server.
        detail: String,
    },
    /// Permission is denied.
    #[error("permission denied for {what}: {detail}")]
    PermissionDenied {
        /// The object or action.
        what: String,
        /// The message of the server.
        detail: String,
    },
    /// TLS failed.
    #[error("TLS: {detail}")]
    Tls {
        /// The reason.
        detail: String,
    },
    /// The connection broke while it was in use.
    #[error("the connection to {target} was lost: {detail}")]
    ConnectionLost {
        /// Host or socket directory, and port.
        target: String,
        /// The last message of the server, or the error of the operating system.
        detail: String,
    },
    /// The server refused a statement.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Query {
        /// The five-character SQLSTATE code.
        sqlstate: String,
        /// The message of the server.
        message: String,
        /// The hint of the server.
        hint: Option<String>,
        /// The detail of the server.
        detail: Option<String>,
    },
    /// The text cannot be the name of a database.
    #[error("{name:?} is not a usable database name: {reason}")]
    BadName {
        /// The text.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// An object is owned by another role.
    #[error("{what} belongs to role \"{owner}\"")]
    OwnedByOther {
        /// The object.
        what: String,
        /// The owner.
        owner: String,
    },
    /// The commit recorded in the database is not a full commit id.
    #[error("the commit recorded in database \"{dbname}\" is not a full commit id: {value:?}")]
    BadMark {
        /// The database.
        dbname: String,
        /// The value.
        value: String,
    },
    /// The response of the server is unlike that of any known version.
    #[error("unexpected answer from the server: {detail}")]
    Unexpected {
        /// The unexpected or missing part.
        detail: String,
    },
}

impl Error {
    /// Returns true if a retry may succeed.
    pub fn retry(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TooManyConnections { .. }
            | Self::Starting { .. }
            | Self::ConnectionLost { .. }
            | Self::DatabaseInUse { .. } => true,
            // Serialization failures and deadlocks; lock timeouts; resources; operator intervention.
            Self::Query { sqlstate, .. } => {
                ["40", "55P03", "53", "57P"].iter().any(|class| sqlstate.starts_with(class))
            }
            _ => false,
        }
    }

    /// The SQLSTATE code, if the server refused a statement.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Query { sqlstate, .. } => Some(sqlstate),
            Self::PermissionDenied { .. } => Some("42501"),
            _ => None,
        }
    }

    pub(super) fn conninfo(reason: impl Into<String>) -> Self {
        Self::BadConnInfo { reason: reason.into() }
    }

    pub(super) fn unexpected(detail: impl Into<String>) -> Self {
        Self::Unexpected { detail: detail.into() }
    }
}
