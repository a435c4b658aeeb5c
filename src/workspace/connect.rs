//! Converts the settings of a database into a connection, for all commands.

use super::{Error, Workspace};
use crate::config::DatabaseConfig;
use crate::pg::{Client, ConnInfo};

/// The application name in `pg_stat_activity`.
pub const APPLICATION: &str = "git-pggit";

/// Returns the connection to `database`. The variables and files of libpq supply the parts that its URL
/// omits. Warns about a password file that is not used. Fails if the connection string is invalid.
pub fn conninfo(workspace: &Workspace, database: &DatabaseConfig) -> Result<ConnInfo, Error> {
    resolve(workspace, database.url.as_ref().map_or("", |url| url.value.as_str()))
}

/// Parses a connection string of the command line, where every user of the machine can read it. Fails
/// if it contains a password or is invalid.
pub fn server(workspace: &Workspace, text: &str) -> Result<ConnInfo, Error> {
    let info = resolve(workspace, text)?;
    if info.has_password_in_source() {
        return Err(Error::PasswordInArguments);
    }
    Ok(info)
}

/// Connects to `database`. Fails if the connection string is invalid or the server cannot be reached.
pub fn connect(workspace: &Workspace, database: &DatabaseConfig) -> Result<Client, Error> {
    Ok(Client::connect(&conninfo(workspace, database)?, APPLICATION)?)
}

/// Completes a connection string as libpq does, with warnings about ignored parts. Fails if the string
/// is invalid.
pub fn resolve(workspace: &Workspace, text: &str) -> Result<ConnInfo, Error> {
    let info = ConnInfo::parse_given(text, &workspace.environment.iter().collect())?;
    info.warnings().iter().for_each(|warning| workspace.reporter.warning(&warning.to_string()));
    Ok(info)
}
