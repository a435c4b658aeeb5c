//! How commands reach servers.

use super::{Code, Context, Failure};
use crate::config::DatabaseConfig;
use crate::pg::{ConnInfo, Environment};

/// The connection to a configured database, by libpq's rules.
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

fn resolve(context: &Context, text: &str) -> Result<ConnInfo, Failure> {
    let environment: Environment = context.environment.iter().collect();
    let info = ConnInfo::parse(text, &environment)?;
    info.notes().iter().for_each(|note| context.ui.warning(&note.to_string()));
    Ok(info)
}
