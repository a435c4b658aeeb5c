//! Finds and runs the program of a tool with a repository of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{Error, ExternalError};
use crate::domain::Timestamp;
use crate::process::{self, Cmd, OsUser, find_program, search_path};

/// The time limit of a catalogue query. A local query is fast; a repository in object storage takes
/// longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// The time limit of `--version`.
pub(super) const VERSION_DEADLINE: Duration = Duration::from_secs(60);

/// A program and the user that runs it.
#[derive(Debug, Clone, Default)]
pub struct External {
    /// The path; `None` to search `PATH`.
    pub program: Option<PathBuf>,
    /// The operating system user that runs the program.
    pub user: Option<String>,
}

impl External {
    /// Returns the path of the program of `tool`. Fails if it is missing.
    pub(super) fn find(&self, tool: &str) -> Result<PathBuf, Error> {
        let found = match &self.program {
            Some(path) => path.is_file().then(|| path.clone()),
            None => find_program(tool.as_ref(), &[], search_path().as_deref()),
        };
        found.ok_or_else(|| Error::tool(tool, ExternalError::Missing))
    }

    /// Returns a command that runs the program as its user. Fails if the program or the user is
    /// missing.
    pub(super) fn cmd(&self, tool: &str) -> Result<Cmd, Error> {
        let cmd = Cmd::new(self.find(tool)?).tied();
        match self.user(tool)? {
            Some(user) => Ok(cmd.as_user(&user)),
            None => Ok(cmd),
        }
    }

    /// Returns the configured user, or `None` if there is none. Fails if the user does not exist.
    /// Fails also if it is another user than the current one and the current one is not root.
    pub(super) fn user(&self, tool: &str) -> Result<Option<OsUser>, Error> {
        let Some(name) = &self.user else { return Ok(None) };
        match OsUser::named(name.as_ref()) {
            None => Err(Error::tool(tool, ExternalError::NoUser(name.clone()))),
            Some(user) if user.is_us() || OsUser::we_are_root() => Ok(Some(user)),
            Some(_) => Err(Error::tool(tool, ExternalError::NotRoot(name.clone()))),
        }
    }

    /// Returns true if the program would run as root.
    pub(super) fn is_root(&self) -> bool {
        self.user.as_deref().map_or_else(OsUser::we_are_root, |user| user == "root")
    }
}

/// Returns the error of `tool`. `sort` classifies its exit status and message.
pub(super) fn failure(
    tool: &str,
    error: process::Error,
    sort: impl FnOnce(process::Status, String) -> ExternalError,
) -> Error {
    match error {
        process::Error::Failed { status, stderr, .. } => {
            Error::tool(tool, sort(status, stderr.trim().to_owned()))
        }
        other => Error::Process(other),
    }
}

/// Returns the version `15.18` for PostgreSQL's version number 150018.
pub(super) fn version_text(number: u64) -> String {
    match number / 10_000 {
        0..=9 => format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100),
        major => format!("{major}.{}", number % 10_000),
    }
}

/// Returns the numbers of a version for comparison: `2.59.1dev` is 2, 59, 1.
pub(super) fn numbers(version: &str) -> Vec<u32> {
    let digits = |part: &str| {
        let end = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..end].parse().ok()
    };
    version.split('.').map_while(digits).collect()
}

/// Returns true if `text` can be neither an option nor a path. Names of stanzas, servers and
/// backups fulfil this.
pub(super) fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    !text.is_empty() && text.len() <= 200 && !text.starts_with(['-', '.']) && text.bytes().all(allowed)
}

/// Returns a time in the format of `recovery_target_time`.
pub(super) fn recovery_time(time: &Timestamp) -> String {
    time.as_datetime().format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// Returns an option with a value that need not be UTF-8.
pub(super) fn option(name: &str, value: impl Into<OsString>) -> OsString {
    let mut option = OsString::from(name);
    option.push(value.into());
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (text, expected) in
            [("2.45", &[2, 45][..]), ("2.59.1dev", &[2, 59, 1]), ("3.4.0", &[3, 4, 0]), ("x", &[]), ("", &[])]
        {
            assert_eq!(numbers(text), expected, "{text}");
        }
        assert!(numbers("2.9") < numbers("2.45") && numbers("2.59") < numbers("2.59.1"));
        assert_eq!((version_text(150_018), version_text(90_624)), ("15.18".into(), "9.6.24".into()));
    }

    #[test]
    fn words_are_no_options_and_no_paths() {
        for good in ["main", "20261121-010904F_20261121-010912D", "pg15.x", "20261121T011041"] {
            assert!(is_word(good), "{good}");
        }
        for bad in ["", "-x", "--stanza", "../x", ".", "a/b", "a b", "a\nb", "a\0", "é", "$(x)"] {
            assert!(!is_word(bad), "{bad:?}");
        }
    }
}
