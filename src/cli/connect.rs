//! From the settings of a database to a connection: the one way for all commands.

use super::{Code, Context, Failure};
use crate::config::DatabaseConfig;
use crate::pg::{Client, ConnInfo};

/// What the server's activity views call us.
pub(crate) const APPLICATION: &str = "git-pggit";

/// Where `database` is and as whom to connect. What its URL leaves out comes
/// from libpq's own variables and files. Warns about a password file that is
/// not used.
pub(crate) fn conninfo(context: &Context, database: &DatabaseConfig) -> Result<ConnInfo, Failure> {
    resolve(context, database.url.as_ref().map_or("", |url| url.value.as_str()))
}

/// The connection that somebody wrote on the command line, where every user of
/// the machine can read it.
pub(crate) fn server(context: &Context, text: &str) -> Result<ConnInfo, Failure> {
    let info = resolve(context, text)?;
    if info.has_password_in_source() {
        return Err(Failure::new(Code::Usage, "a password does not belong on the command line")
            .hint("put it into ~/.pgpass, a service file or PGPASSWORD"));
    }
    Ok(info)
}

/// Connects to `database`.
pub(crate) fn connect(context: &Context, database: &DatabaseConfig) -> Result<Client, Failure> {
    Ok(Client::connect(&conninfo(context, database)?, APPLICATION)?)
}

/// Completes a connection as libpq does, with a warning about what is not used.
pub(super) fn resolve(context: &Context, text: &str) -> Result<ConnInfo, Failure> {
    let info = ConnInfo::parse(text, &context.environment.iter().collect())?;
    info.notes().iter().for_each(|note| context.ui.warning(&note.to_string()));
    Ok(info)
}
