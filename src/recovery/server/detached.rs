//! A server on a restored data directory that keeps running when this process exits. It serves to
//! inspect a restored physical backup. Only users who may read its files can reach it.
//!
//! The server has a socket in a private directory and listens on no other address. It archives
//! nothing, loads no library and follows no primary server, whatever the restored files say. Its own
//! files are in `pggit-clone/` of the data directory.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::Path;
use std::time::Duration;

use super::binaries::find_server_program;
use super::settings::private_restored;
use super::{ServerEnv, conninfo};
use crate::process::{Cmd, OsUser, Stdout, crash_point};
use crate::recovery::execute::remove;
use crate::recovery::staging::refuse;
use crate::recovery::{Error, RecoveredCluster};
use crate::tools::{LIBPQ_VARIABLES, Program, Programs};

/// The directory of the server's own files, its server log and its socket.
const PLACE: &str = "pggit-clone";
/// The time limit for a start after a clean shutdown.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that was started and keeps running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedServer {
    /// The connection URL.
    pub url: String,
    /// The command that stops the server. It has to run as `user`.
    pub stop: Vec<String>,
    /// The user of the server, if it is not the current user.
    pub user: Option<String>,
}

/// Fails if [`start_clone`] could not start a server on the directory.
pub fn check_clone(data: &Path) -> Result<(), Error> {
    check_words(data)?;
    if !ServerEnv::is_short_enough(&data.join(PLACE)) {
        const HINT: &str = "name a directory with a shorter path, or do without --start";
        return Err(refuse(data, "has too long a path for the socket of a server", HINT));
    }
    Ok(())
}

/// Fails if a path has characters with a meaning in a shell. `pg_ctl` passes its arguments to a
/// shell, and backup tools write the path into shell commands.
pub(in crate::recovery) fn check_words(path: &Path) -> Result<(), Error> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.,+=:@-".contains(byte);
    if path.as_os_str().as_bytes().iter().all(is_plain) {
        return Ok(());
    }
    const HINT: &str = "name one of letters, digits and '/_.,+=:@-'";
    Err(refuse(path, "has characters that must not be passed to a shell", HINT))
}

/// Puts the server's own files into `data`. They are created in the private directory `aside` first,
/// because this process may not trust the owner of the data.
pub(in crate::recovery) fn prepare_clone(data: &Path, aside: &Path) -> Result<(), Error> {
    let (meta, place) = (fs::metadata(data), aside.join(PLACE));
    let failed = |error| Error::file("create", &place, error);
    let meta = meta.map_err(failed)?;
    DirBuilder::new().mode(0o700).create(&place).map_err(failed)?;
    ServerEnv::write_files(&place).map_err(failed)?;
    for entry in fs::read_dir(&place).map_err(failed)? {
        chown(entry.map_err(failed)?.path(), Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    }
    chown(&place, Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    // A backup of an earlier clone contains such a directory.
    remove(&data.join(PLACE))?;
    fs::rename(&place, data.join(PLACE)).map_err(failed)
}

/// Starts a server on `data`. The cluster was shut down cleanly and has the files of
/// [`prepare_clone`]. The URL in the result names `dbname`. Fails if the server does not start within
/// the time limit.
pub fn start_clone(
    data: &Path,
    recovered: &RecoveredCluster,
    dbname: &str,
    programs: &Programs,
) -> Result<DetachedServer, Error> {
    check_clone(data)?;
    let meta = fs::metadata(data).map_err(|error| Error::file("access", data, error))?;
    let user = OsUser::we_are_root().then(|| OsUser::owner_of(&meta));
    let major = recovered.server.version.major;
    let (pg_ctl, _) = find_server_program(programs, Program::PgCtl, major)?;
    check_words(&pg_ctl)?;
    let as_user = |cmd: Cmd| match &user {
        Some(user) => cmd.as_user(user).cwd("/").stdout(Stdout::Null),
        None => cmd.cwd("/").stdout(Stdout::Null),
    };
    let (place, patience) = (data.join(PLACE), PATIENCE.as_secs().to_string());
    let log = place.join("server.log");
    let cmd = as_user(Cmd::new(&pg_ctl).hide_env(LIBPQ_VARIABLES)).arg("-D").arg(data).arg("-l").arg(&log);
    if let Err(error) = cmd.args(["-w", "-t", &patience, "-o", &options(&place, major), "start"]).run() {
        // The server may still be starting.
        let stop = as_user(Cmd::new(&pg_ctl).survives_interrupt()).args(["-m", "immediate", "-D"]);
        let _ = stop.arg(data).arg("stop").run();
        let said = fs::read_to_string(&log).unwrap_or_default();
        return Err(match error.into() {
            Error::Process(_) if !said.trim().is_empty() => Error::ServerNotStarted { log: said },
            other => other,
        });
    }
    crash_point("recovery.clone-started");
    let stop = [pg_ctl.display().to_string(), "-D".into(), data.display().to_string(), "stop".into()];
    let superuser = recovered.superuser.as_deref().unwrap_or(&recovered.role);
    Ok(DetachedServer {
        url: conninfo(&place, superuser)?.with_dbname(dbname).to_url(),
        stop: stop.to_vec(),
        user: user.map(|user| user.name.to_string_lossy().into_owned()),
    })
}

/// Returns the options of the server, quoted for a shell. Options on the command line override all
/// files.
fn options(place: &Path, major: u32) -> String {
    let path = |name: &str| place.join(name).display().to_string();
    let places = [
        ("config_file", path("server.conf")),
        ("hba_file", path("hba.conf")),
        ("ident_file", path("ident.conf")),
        ("unix_socket_directories", place.display().to_string()),
    ];
    let quoted = |value: &str| if value.is_empty() { "''".to_owned() } else { value.to_owned() };
    let private = private_restored(major).map(|(name, value)| (name, quoted(value)));
    let all = places.into_iter().chain(private).map(|(name, value)| format!("-c {name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_as_private_as_the_server_that_recovered_it() {
        for major in [14, 15, 18] {
            let options = options(Path::new("/data/pggit-clone"), major);
            let words: Vec<&str> = options.split(' ').collect();
            assert!(words.contains(&"primary_slot_name=''") && words.contains(&"listen_addresses=''"));
            assert_eq!(words.contains(&"archive_library=''"), major >= 15, "{options}");
            for (name, value) in private_restored(major) {
                let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric());
                assert!(is_plain, "a shell reads {name}={value}");
                let value = if value.is_empty() { "''" } else { value };
                assert!(words.contains(&&*format!("{name}={value}")), "{name}: {options}");
            }
        }
    }
}
