//! Finds the client programs of PostgreSQL. Several versions may be installed side by side.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::process::{Cmd, find_program, search_path};

/// The parent directory of Debian's directories for each major version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";
/// The time limit of `--version`.
const VERSION_DEADLINE: Duration = Duration::from_secs(30);

/// A client program of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The program that dumps one database.
    PgDump,
    /// The program that dumps roles and tablespaces, which belong to no database.
    PgDumpall,
    /// The program that restores archives.
    PgRestore,
    /// The program that receives WAL.
    PgReceivewal,
    /// The program that makes a base backup of a cluster.
    PgBasebackup,
    /// The program that combines a backup chain.
    PgCombinebackup,
    /// The program that creates a data directory.
    Initdb,
    /// The server program.
    Postgres,
    /// The program that starts and stops servers.
    PgCtl,
    /// The program that checks tables and indexes for corruption.
    PgAmcheck,
}

impl Program {
    /// Returns the file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgDump => "pg_dump",
            Self::PgDumpall => "pg_dumpall",
            Self::PgRestore => "pg_restore",
            Self::PgReceivewal => "pg_receivewal",
            Self::PgBasebackup => "pg_basebackup",
            Self::PgCombinebackup => "pg_combinebackup",
            Self::Initdb => "initdb",
            Self::Postgres => "postgres",
            Self::PgCtl => "pg_ctl",
            Self::PgAmcheck => "pg_amcheck",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolVersion {
    /// The major version: 15 for `15.18`, 17 for `17beta1`.
    pub major: u32,
    /// The complete version: `15.18`.
    pub text: String,
}

impl fmt::Display for ToolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the version in an output such as `pg_dump (PostgreSQL) 15.18 (Debian ...)`, or `None` if
/// there is none.
pub fn parse_version(answer: &[u8]) -> Option<ToolVersion> {
    let line = std::str::from_utf8(answer.split(|b| *b == b'\n').next()?).ok()?;
    let (program, rest) = line.split_once(" (PostgreSQL) ")?;
    let text = rest.split_ascii_whitespace().next()?;
    let plausible = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let major = major_of(text)?;
    (plausible && !program.contains(' ')).then(|| ToolVersion { major, text: text.to_owned() })
}

/// Returns the major version: 15 for `15.18`.
pub fn major_of(version: &str) -> Option<u32> {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    version[..digits].parse().ok()
}

/// The directories of the client programs.
#[derive(Debug, Clone)]
pub struct Programs {
    bin_dir: Option<PathBuf>,
    debian_root: PathBuf,
    path: Option<OsString>,
}

impl Programs {
    /// Uses only the programs in `bin_dir`. Without it, uses the best installed programs for the
    /// server. `bin_dir` may also contain a directory for each major version, as Debian's does.
    pub fn new(bin_dir: Option<PathBuf>) -> Self {
        Self { bin_dir, debian_root: DEBIAN_ROOT.into(), path: search_path() }
    }

    /// Finds `program` for a server of version `server_major`. The configured directory is the only
    /// one to search, if there is one. Otherwise the order is: the same version, the next newer
    /// version, `PATH`. Fails if the program is missing.
    pub fn locate(&self, program: Program, server_major: u32) -> Result<PathBuf, Error> {
        let (dirs, path) = match &self.bin_dir {
            Some(dir) => (explicit_dirs(dir, server_major), None),
            None => (suitable(versions_in(&self.debian_root), server_major), self.path.as_deref()),
        };
        find_program(program.name().as_ref(), &dirs, path)
            .ok_or(Error::ProgramMissing { program, searched: dirs })
    }

    /// Returns the version of the program at `path`. Fails if it cannot be run or its output is not
    /// understood.
    pub fn version(&self, path: &Path) -> Result<ToolVersion, Error> {
        let cmd = Cmd::new(path).arg("--version").deadline(VERSION_DEADLINE);
        let answer = cmd.stdout_limit(64 * 1024).run().map_err(Error::Process)?.stdout;
        parse_version(&answer).ok_or_else(|| Error::VersionUnknown {
            path: path.to_owned(),
            answer: String::from_utf8_lossy(&answer).trim().chars().take(80).collect(),
        })
    }

    /// Returns the programs for a server of version `server_major`.
    pub fn for_server(&self, server_major: u32) -> PgTools {
        PgTools { programs: self.clone(), server_major }
    }
}

/// Returns the directories to search if `dir` is configured: `dir` itself, or those of its version
/// directories that suit the server. If all versions are too old, returns the newest one, so that
/// the error names it.
fn explicit_dirs(dir: &Path, server_major: u32) -> Vec<PathBuf> {
    let versions = versions_in(dir);
    match versions.last().cloned() {
        None => vec![dir.to_owned()],
        Some((newest, dir)) if newest < server_major => vec![dir],
        Some(_) => suitable(versions, server_major),
    }
}

/// Returns the directories of the versions that support the server, best first.
fn suitable(versions: Vec<(u32, PathBuf)>, server_major: u32) -> Vec<PathBuf> {
    versions.into_iter().filter(|(major, _)| *major >= server_major).map(|(_, dir)| dir).collect()
}

/// Returns the versions with a directory below `root`, oldest first.
fn versions_in(root: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let bin = entry.path().join("bin");
        Some((entry.file_name().to_str()?.parse().ok()?, bin)).filter(|(_, bin)| bin.is_dir())
    });
    let mut found: Vec<(u32, PathBuf)> = versions.collect();
    found.sort();
    found
}

/// The programs for one server.
#[derive(Debug, Clone)]
pub struct PgTools {
    programs: Programs,
    server_major: u32,
}

impl PgTools {
    /// Finds `program`. Fails if it is missing or older than the server.
    pub fn find(&self, program: Program) -> Result<(PathBuf, ToolVersion), Error> {
        let path = self.programs.locate(program, self.server_major)?;
        let version = self.programs.version(&path)?;
        if version.major < self.server_major {
            return Err(Error::ServerNewer { server: self.server_major, tool: version, tool_path: path });
        }
        Ok((path, version))
    }

    /// Finds `program` in the same major version as the server, which work on a data directory
    /// requires. Fails if it is missing or of another major version.
    pub fn find_exact(&self, program: Program) -> Result<(PathBuf, ToolVersion), Error> {
        let (path, version) = self.find(program)?;
        if version.major != self.server_major {
            return Err(Error::OtherMajor { needed: self.server_major, tool: version, tool_path: path });
        }
        Ok((path, version))
    }

    /// Returns a command that runs `program`. Fails as [`PgTools::find`] does.
    pub fn cmd(&self, program: Program) -> Result<Cmd, Error> {
        Ok(Cmd::new(self.find(program)?.0).tied())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_read() {
        for (answer, major, text) in [
            (&b"pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"[..], 15, "15.18"),
            (b"psql (PostgreSQL) 17beta1\n", 17, "17beta1"),
            (b"pg_restore (PostgreSQL) 9.6.24\nmore", 9, "9.6.24"),
            (b"pg_dump (PostgreSQL) 19devel", 19, "19devel"),
        ] {
            assert_eq!(parse_version(answer), Some(ToolVersion { major, text: text.into() }));
        }
        for garbage in [
            &b""[..],
            b"\n",
            b"15.18",
            b"pg_dump (PostgreSQL) ",
            b"pg_dump (PostgreSQL) x",
            b"\xff\xfe",
            b"pg_dump (PostgreSQL) 99999999999.1",
            b"sh: 1: pg_dump (PostgreSQL) 15",
            b"pg_dump (EnterpriseDB) 15.1",
        ] {
            assert_eq!(parse_version(garbage), None, "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_parser(answer in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_version(&answer);
        }
    }

    #[test]
    fn the_server_s_own_version_is_preferred_then_the_next_newer() {
        let root = tempfile::tempdir().unwrap();
        for version in ["13", "15", "17", "16", "junk"] {
            let bin = root.path().join("debian").join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("pg_dump"), "").unwrap();
            fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = root.path().join("debian/13/bin").into_os_string();
        let programs = Programs { bin_dir: None, debian_root: root.path().join("debian"), path: Some(path) };
        let found = |server| programs.locate(Program::PgDump, server).unwrap();
        assert!(found(15).ends_with("15/bin/pg_dump"));
        assert!(found(14).ends_with("15/bin/pg_dump"));
        assert!(found(16).ends_with("16/bin/pg_dump"));
        assert!(found(18).ends_with("13/bin/pg_dump"), "PATH is the last resort");
        let missing = programs.locate(Program::PgCtl, 15).unwrap_err();
        assert_eq!(missing.to_string(), "pg_ctl not found");
        let explicit = Programs { bin_dir: Some(root.path().into()), ..programs };
        assert!(explicit.locate(Program::PgDump, 15).is_err(), "an explicit directory is the only one");
    }

    #[test]
    fn a_directory_that_is_named_may_have_versions_in_it() {
        let root = tempfile::tempdir().unwrap();
        let bin = |version: &str| root.path().join(version).join("bin");
        for version in ["15", "17", "share"] {
            fs::create_dir_all(bin(version)).unwrap();
        }
        assert_eq!(explicit_dirs(root.path(), 15), [bin("15"), bin("17")]);
        assert_eq!(explicit_dirs(root.path(), 16), [bin("17")]);
        // All versions are too old, so the error names the newest one.
        assert_eq!(explicit_dirs(root.path(), 18), [bin("17")]);
        assert_eq!(explicit_dirs(&bin("15"), 18), [bin("15")]);
        assert_eq!(explicit_dirs(Path::new("/nonexistent"), 18), [Path::new("/nonexistent")]);
    }
}
