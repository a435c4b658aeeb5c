//! A server on a data directory of ours that stays when we go: for a look at a
//! copy of a cluster, by those who may read its files.
//!
//! It has a socket in a private directory and listens nowhere else, archives
//! nothing, loads nothing and follows nobody, whatever the files say that came
//! with the copy. What it needs is in `pggit-clone/` of the data directory.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::Path;
use std::time::Duration;

use super::binaries::find_server_program;
use super::settings::private_restored;
use super::{Ground, conninfo};
use crate::process::{Cmd, OsUser, Stdout, crash_point};
use crate::recovery::execute::remove;
use crate::recovery::place::refuse;
use crate::recovery::{Error, Recovered};
use crate::tools::{LIBPQ_VARIABLES, Program, Programs};

/// The directory of its files, its log and its socket.
const PLACE: &str = "pggit-clone";
/// The end of a start after a clean stop; then something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that was started and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// How to connect to it.
    pub url: String,
    /// What stops it, to be run as the user whom it runs as.
    pub stop: Vec<String>,
    /// That user, when it is not us.
    pub user: Option<String>,
}

/// Refuses a directory on which [`start_clone`] could not start a server.
pub fn check_clone(data: &Path) -> Result<(), Error> {
    check_words(data)?;
    if !Ground::is_short_enough(&data.join(PLACE)) {
        const HINT: &str = "name a directory with a shorter path, or do without --start";
        return Err(refuse(data, "has too long a path for the socket of a server", HINT));
    }
    Ok(())
}

/// `pg_ctl` hands what it gets to a shell, and tools write it into commands for one.
pub(in crate::recovery) fn check_words(path: &Path) -> Result<(), Error> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.,+=:@-".contains(byte);
    if path.as_os_str().as_bytes().iter().all(is_plain) {
        return Ok(());
    }
    const HINT: &str = "name one of letters, digits and '/_.,+=:@-'";
    Err(refuse(path, "is not given to a shell", HINT))
}

/// Puts what the server needs into `data`. It is made where nobody else comes, in
/// `aside`: whose the data are may not be trusted by us.
pub(in crate::recovery) fn prepare_clone(data: &Path, aside: &Path) -> Result<(), Error> {
    let (meta, place) = (fs::metadata(data), aside.join(PLACE));
    let failed = |error| Error::file("make", &place, error);
    let meta = meta.map_err(failed)?;
    DirBuilder::new().mode(0o700).create(&place).map_err(failed)?;
    Ground::write_files(&place).map_err(failed)?;
    for entry in fs::read_dir(&place).map_err(failed)? {
        chown(entry.map_err(failed)?.path(), Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    }
    chown(&place, Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    // A copy of a copy has one.
    remove(&data.join(PLACE))?;
    fs::rename(&place, data.join(PLACE)).map_err(failed)
}

/// Starts a server on `data`, which was stopped in order and has what
/// [`prepare_clone`] makes; the URL leads to `dbname`.
pub fn start_clone(
    data: &Path,
    recovered: &Recovered,
    dbname: &str,
    programs: &Programs,
) -> Result<Started, Error> {
    check_clone(data)?;
    let meta = fs::metadata(data).map_err(|error| Error::file("look at", data, error))?;
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
        // It may be about to start.
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
    Ok(Started {
        url: conninfo(&place, superuser)?.with_dbname(dbname).to_url(),
        stop: stop.to_vec(),
        user: user.map(|user| user.name.to_string_lossy().into_owned()),
    })
}

/// The options of the server, as a shell reads them. The command line goes before what any
/// file says.
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
