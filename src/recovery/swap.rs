//! Exchange of a restored database and an existing one.

use crate::pg::{self, Client, ConnInfo, Properties};
use crate::process::crash_point;

use super::Error;

/// The maximum number of attempts to terminate sessions that reconnect. The server itself waits up to
/// 5 s for sessions that are about to exit (`CountOtherDBBackends`).
const ATTEMPTS: usize = 6;

/// Renames the database `restored` to `dbname`, and the one with that name to `aside`. Both happen
/// together or not at all. The restored database gets `properties` first, which no dump contains. If
/// this role may not set its mark, the reason is returned. With `disconnect`, sessions in either
/// database are ended. Otherwise, a session in one of them is an error, and neither is renamed.
pub fn swap_in(
    admin: &ConnInfo,
    dbname: &str,
    restored: &str,
    aside: &str,
    properties: &Properties,
    disconnect: bool,
) -> Result<Option<String>, Error> {
    let client = Client::connect(admin, "git-pggit")?;
    let not_marked = client.set_properties(restored, properties)?.map(|error| error.to_string());
    crash_point("recovery.swap.prepared");
    // Connections to the database are never forbidden for the exchange: after a crash of this process
    // they would stay forbidden.
    let attempts = if disconnect { ATTEMPTS } else { 1 };
    for left in (0..attempts).rev() {
        if disconnect {
            client.end_sessions(dbname)?;
        }
        match exchange(&client, dbname, restored, aside) {
            // A session has connected meanwhile.
            Err(pg::Error::DatabaseInUse { .. }) if left > 0 => {}
            other => {
                other?;
                break;
            }
        }
    }
    Ok(not_marked)
}

fn exchange(client: &Client, dbname: &str, restored: &str, aside: &str) -> Result<(), pg::Error> {
    client.execute("BEGIN")?;
    let renamed = client
        .rename_database(dbname, aside)
        .and_then(|()| client.rename_database(restored, dbname))
        .inspect(|()| crash_point("recovery.swap.renamed"))
        .and_then(|()| client.execute("COMMIT"));
    if renamed.is_err() {
        let _ = client.execute("ROLLBACK");
    }
    renamed
}
