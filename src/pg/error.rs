//! What can go wrong between us and a server.

/// A failure of this room. Texts that come from a server or a library have had
/// every known password replaced before they get here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection string, service file or environment makes no sense.
    #[error("invalid connection settings: {reason}")]
    BadConnInfo {
        /// What is wrong; never repeats a value.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach the server at {target}: {detail}")]
    Unreachable {
        /// Host or socket directory, and port.
        target: String,
        /// The words of the operating system.
        detail: String,
    },
    /// The server does not let this user in.
    #[error("authentication failed for user \"{user}\": {detail}")]
    AuthFailed {
        /// The role.
        user: String,
        /// The server's words.
        detail: String,
    },
    /// There is no such database.
    #[error("database \"{dbname}\" does not exist")]
    DatabaseMissing {
        /// Its name.
        dbname: String,
    },
    /// The name is taken.
    #[error("database \"{dbname}\" already exists")]
    DatabaseExists {
        /// Its name.
        dbname: String,
    },
    /// Others are connected to a database that must be idle.
    #[error("database \"{dbname}\" is in use: {detail}")]
    DatabaseInUse {
        /// Its name.
        dbname: String,
        /// The server's words.
        detail: String,
    },
    /// The server has no free connection slot.
    #[error("the server has no free connection: {detail}")]
    TooManyConnections {
        /// The server's words.
        detail: String,
    },
    /// The server is starting up, shutting down or recovering.
    #[error("the server does not accept connections yet: {detail}")]
    Starting {
        /// The server's words.
        detail: String,
    },
    /// The role may not do this.
    #[error("permission denied for {what}: {detail}")]
    PermissionDenied {
        /// The object or action.
        what: String,
        /// The server's words.
        detail: String,
    },
    /// The encrypted connection could not be made.
    #[error("TLS: {detail}")]
    Tls {
        /// What failed.
        detail: String,
    },
    /// The connection broke while it was in use.
    #[error("the connection to {target} was lost: {detail}")]
    ConnectionLost {
        /// Host or socket directory, and port.
        target: String,
        /// The server's last words, when there are any.
        detail: String,
    },
    /// The server refused a statement.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Query {
        /// Five characters of the SQL standard.
        sqlstate: String,
        /// The server's words.
        message: String,
        /// The server's advice.
        hint: Option<String>,
        /// More of the server's words.
        detail: Option<String>,
    },
    /// The text cannot name a database.
    #[error("{name:?} is not a usable database name: {reason}")]
    BadName {
        /// The text.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// An object is owned by another role.
    #[error("{what} belongs to role \"{owner}\"")]
    Foreign {
        /// The object.
        what: String,
        /// The owner.
        owner: String,
    },
    /// A mark that is not a full commit id.
    #[error("the mark of database \"{dbname}\" is not a full commit id: {value:?}")]
    BadMark {
        /// The database.
        dbname: String,
        /// What stands there, or was to be written there.
        value: String,
    },
    /// The server answered in a way that no known version does.
    #[error("unexpected answer from the server: {detail}")]
    Unexpected {
        /// What was expected.
        detail: String,
    },
}

impl Error {
    /// May the same request succeed a little later with nothing changed by us?
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
