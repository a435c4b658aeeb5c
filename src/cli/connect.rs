//! From the settings of a database to a connection: the one way for all commands.

use super::{Context, Failure};
use crate::config::DatabaseConfig;
use crate::pg::{Client, ConnInfo};

/// What the server's activity views call us.
const APPLICATION: &str = "git-pggit";

/// Where `database` is and as whom to connect. What its URL leaves out comes
/// from libpq's own variables and files. Warns about a password file that is
/// not used.
pub(crate) fn conninfo(context: &Context, database: &DatabaseConfig) -> Result<ConnInfo, Failure> {
    let url = database.url.as_ref().map_or("", |url| url.value.as_str());
    let info = ConnInfo::parse(url, &context.environment.iter().collect())?;
    info.notes().iter().for_each(|note| context.ui.warning(&note.to_string()));
    Ok(info)
}

/// Connects to `database`.
pub(crate) fn connect(context: &Context, database: &DatabaseConfig) -> Result<Client, Failure> {
    Ok(Client::connect(&conninfo(context, database)?, APPLICATION)?)
}
