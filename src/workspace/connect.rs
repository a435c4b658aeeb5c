//! From the settings of a database to a connection: the one way for all commands.

use super::{Error, Workspace};
use crate::config::DatabaseConfig;
use crate::pg::{Client, ConnInfo};

/// The application name in the activity views of the server.
pub const APPLICATION: &str = "git-pggit";

/// The connection to `database`. Parts that its URL leaves out come
/// from libpq's own variables and files. Warns about a password file that is
/// not used.
pub fn conninfo(workspace: &Workspace, database: &DatabaseConfig) -> Result<ConnInfo, Error> {
    resolve(workspace, database.url.as_ref().map_or("", |url| url.value.as_str()))
}

/// The connection that somebody wrote on the command line, where every user of
/// the machine can read it.
pub fn server(workspace: &Workspace, text: &str) -> Result<ConnInfo, Error> {
    let info = resolve(workspace, text)?;
    if info.has_password_in_source() {
        return Err(Error::PasswordInArguments);
    }
    Ok(info)
}

/// Connects to `database`.
pub fn connect(workspace: &Workspace, database: &DatabaseConfig) -> Result<Client, Error> {
    Ok(Client::connect(&conninfo(workspace, database)?, APPLICATION)?)
}

/// Completes a connection as libpq does, with a warning about what is not used.
pub fn resolve(workspace: &Workspace, text: &str) -> Result<ConnInfo, Error> {
    let info = ConnInfo::parse(text, &workspace.environment.iter().collect())?;
    info.warnings().iter().for_each(|warning| workspace.reporter.warning(&warning.to_string()));
    Ok(info)
}
