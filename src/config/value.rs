//! The parsers of values. They are pure functions from a text to a value. The caller adds the key and
//! the origin to an error.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::url::InvalidUrl;
use crate::domain::{Globals, Invalid, Occasion, parse_positive_duration, plain_name};
use crate::git::InvalidPattern;
use crate::migrations::Tool as MigrationTool;
use crate::schedule::Schedule;

/// A location that the user has configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPlace {
    /// An absolute directory or a URL.
    pub place: String,
    /// The id of the store at that location.
    pub store_id: Option<String>,
}

impl FromStr for Globals {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "no-passwords" {
            return Ok(Self::NoPasswords);
        }
        Ok(if boolean(text).ok_or(())? { Self::All } else { Self::None })
    }
}

/// Parses a boolean in git's syntax.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => number.parse::<i64>().ok().map(|n| n != 0),
    }
}

/// Parses a duration above 0.
pub(super) fn duration(text: &str) -> Result<Duration, Refused> {
    parse_positive_duration(text).map_err(|_| Refused::Form)
}

/// Parses a data rate, in KiB per second.
pub fn rate(text: &str) -> Option<u32> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "k" => 1,
        "M" => 1024,
        _ => return None,
    };
    let number: u32 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    // The range that pg_basebackup accepts.
    number.checked_mul(unit).filter(|rate| (32..=1024 * 1024).contains(rate))
}

/// Parses a size, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let shift = match unit {
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(1 << shift)
}

/// Parses a number of jobs.
pub(super) fn jobs(text: &str) -> Option<u16> {
    text.parse().ok().filter(|n| (1..=256).contains(n))
}

/// Parses the number of a repository.
pub(super) fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| (1..=256).contains(number))
}

/// Parses a program and its arguments.
pub(super) fn command(text: &str) -> Option<Vec<String>> {
    let words = shlex::split(text).filter(|_| !text.contains('\0'))?;
    let program = words.first()?;
    (program.starts_with('/') || plain_name(program).is_some()).then_some(words)
}

/// Parses the name of a schema: any identifier that PostgreSQL allows.
pub(super) fn schema(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

/// Parses the name of a user.
pub(super) fn user(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-$@\\".contains(c);
    let good = !text.is_empty() && text.len() <= 256 && text.chars().all(plain) && !text.starts_with('-');
    (good && text != "root").then(|| text.to_owned())
}

/// Parses a query, as far as that is possible without a server.
pub(super) fn query(text: &str) -> Option<String> {
    const MOST: usize = 64 << 10;
    (!text.trim().is_empty() && !text.contains('\0') && text.len() <= MOST).then(|| text.to_owned())
}

/// Parses a directory inside of a repository, as git writes it in trees.
pub(super) fn tree_path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let part = |part: &str| !matches!(part, "" | "." | ".." | ".git");
    (path.split('/').all(part) && !path.chars().any(char::is_control)).then(|| path.to_owned())
}

/// Parses the name of a migration tool; `auto` is `None`.
pub(super) fn migration_tool(text: &str) -> Option<Option<MigrationTool>> {
    match text {
        "auto" => Some(None),
        name => name.parse().ok().map(Some),
    }
}

/// Parses a path of the repository in which a `*` stands for any text without a slash.
pub(super) fn tree_pattern(text: &str) -> Option<String> {
    tree_path(text).filter(|path| !path.contains(['?', '[', '\\', '!']))
}

/// Parses the location of a store. Only the scheme and the absence of credentials are checked here.
pub(super) fn store(text: &str) -> Option<String> {
    let known = ["/", "file:///", "s3://", "az://", "gs://"].iter().any(|start| text.starts_with(start));
    let plain = !text.contains(['@', '?', '#']) && !text.chars().any(char::is_control);
    (known && plain).then(|| text.to_owned())
}

/// Returns true if a text can be the name of a store: `pggit.store.<name>.url`.
pub fn is_store_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(allowed)
}

/// Parses the location of a store, or its name.
pub(super) fn store_or_name(text: &str) -> Option<String> {
    if is_store_name(text) { Some(text.to_owned()) } else { store(text) }
}

/// Parses the location of a store or of plain files. The text may end with a space and the id of the
/// store.
pub(super) fn place(text: &str) -> Option<KnownPlace> {
    let id = text.rsplit_once(' ').filter(|(_, id)| id.len() == 36 && uuid::Uuid::try_parse(id).is_ok());
    let (place, store_id) = id.map_or((text, None), |(place, id)| (place, Some(id.to_owned())));
    Some(KnownPlace { place: store(place)?, store_id })
}

/// Parses an absolute path; `~/` stands for `home`.
pub(super) fn directory(text: &OsStr, home: Option<&OsStr>) -> Option<PathBuf> {
    let bytes = text.as_bytes();
    if bytes.contains(&0) {
        return None;
    }
    let below_home = if bytes == b"~" { Some(&b""[..]) } else { bytes.strip_prefix(b"~/") };
    match below_home {
        Some(rest) => Some(PathBuf::from(home?).join(OsStr::from_bytes(rest))),
        None => Some(PathBuf::from(OsString::from(text))).filter(|path| path.is_absolute()),
    }
}

/// Parses the directory of a repository, which may be relative to the top of another. A text that
/// begins with a dash is refused, because it was meant to be an option. `Some(None)` means no
/// directory.
pub(super) fn repository(text: &OsStr, home: Option<&OsStr>) -> Option<Option<PathBuf>> {
    let bytes = text.as_bytes();
    match bytes.first() {
        None => Some(None),
        Some(b'-') => None,
        Some(b'~' | b'/') => directory(text, home).map(Some),
        Some(_) => (!bytes.contains(&0)).then(|| Some(text.into())),
    }
}

/// Parses a schedule. It does not check that the tools exist.
pub(super) fn schedule(text: &str) -> Result<Schedule, Refused> {
    text.parse().map_err(|invalid: Invalid| Refused::Because(invalid.reason))
}

/// Parses patterns.
pub(super) fn patterns<T: FromStr<Err = InvalidPattern>>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|invalid: InvalidPattern| Refused::Because(invalid.to_string()))
}

/// Parses the address of a webhook. Errors must not repeat it.
pub(super) fn hook(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && !host.is_empty() && !host.contains('@')).then(|| text.to_owned())
}

/// Parses occasions for notifications.
pub(super) fn occasions(text: &str) -> Option<BTreeSet<Occasion>> {
    let all = Occasion::ALL.iter().copied();
    let words = text.split_ascii_whitespace();
    let read = words.map(|word| match word {
        "all" => Some(Occasion::ALL.to_vec()),
        word => Some(vec![all.clone().find(|occasion| occasion.as_str() == word)?]),
    });
    Some(read.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Parses the setting for signed commits, which the room `git` interprets.
pub(super) fn signing(text: &str) -> Option<String> {
    (text == "require" || boolean(text).is_some()).then(|| text.to_owned())
}

/// Parses the setting for pushing new records at once.
pub(super) fn on_write(text: &str) -> Option<bool> {
    match text {
        "on-write" => Some(true),
        "never" => Some(false),
        _ => None,
    }
}

/// Parses a log level.
pub(super) fn log_level(text: &str) -> Option<String> {
    matches!(text, "error" | "warn" | "info" | "debug" | "trace").then(|| text.to_owned())
}

/// The reason why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The specific reason.
    Because(String),
    /// The value does not have the expected form.
    Form,
    /// The value is not a connection. It must not be repeated.
    Url(InvalidUrl),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Compression;

    #[test]
    fn amounts_have_units() {
        for (text, kib) in [("32k", 32), ("100M", 102_400), ("1024M", 1_048_576)] {
            assert_eq!(rate(text), Some(kib));
        }
        for text in ["", "k", "31k", "1025M", "100", "1G", "-1k", "9999999999M", "1\u{e9}"] {
            assert_eq!(rate(text), None, "{text:?}");
        }
        assert_eq!((size("1kB"), size("100GB"), size("0MB")), (Some(1024), Some(100 << 30), Some(0)));
        for text in ["", "B", "GB", "1gb", "1.5GB", "-1GB", "99999999999TB", "1\u{e9}"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn commands_are_words_and_no_lines_for_a_shell() {
        let words = |text: &str| command(text).map(|words| words.join("|"));
        assert_eq!(
            words("/usr/bin/wal-g 'backup push' $HOME; rm"),
            Some("/usr/bin/wal-g|backup push|$HOME;|rm".into())
        );
        assert_eq!(words("wal-g"), Some("wal-g".into()));
        for text in ["", "   ", "./x", "../x", "'x", "-x", "a/b", "x\0y"] {
            assert_eq!(words(text), None, "{text:?}");
        }
    }

    #[test]
    fn levels_are_those_of_zstd() {
        assert_eq!("none".parse(), Ok(Compression::None));
        assert_eq!("-7".parse(), Ok(Compression::Zstd(-7)));
        assert_eq!("22".parse(), Ok(Compression::Zstd(22)));
        for text in ["-8", "23", "fast", "", "3.5"] {
            assert!(text.parse::<Compression>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn directories_are_absolute_or_below_home() {
        let home = Some(OsStr::new("/home/me"));
        assert_eq!(directory(OsStr::new("~/b"), home), Some("/home/me/b".into()));
        assert_eq!(directory(OsStr::new("~"), home), Some("/home/me/".into()));
        assert_eq!(directory(OsStr::new("/b\u{e9}"), None), Some("/b\u{e9}".into()));
        assert_eq!(directory(OsStr::from_bytes(b"/b\xff"), None), Some(OsStr::from_bytes(b"/b\xff").into()));
        for text in ["", "b", "../b", "~other/b", "-b"] {
            assert_eq!(directory(OsStr::new(text), home), None, "{text:?}");
        }
        assert_eq!(directory(OsStr::new("~/b"), None), None);
    }

    #[test]
    fn repositories_may_be_relative_and_are_no_options() {
        let read = |text: &str| repository(OsStr::new(text), Some(OsStr::new("/home/me")));
        assert_eq!(read("../meta"), Some(Some("../meta".into())));
        assert_eq!(read("~/meta"), Some(Some("/home/me/meta".into())));
        assert_eq!(read("/srv/meta"), Some(Some("/srv/meta".into())));
        assert_eq!(read(""), Some(None));
        for text in ["-meta", "--upload-pack=x", "~other/meta", "a\0b"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
