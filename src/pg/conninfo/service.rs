//! Service files: `[name]` sections of `keyword=value` lines.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Environment, Error, Result};
use super::options::{self, Spec};
use super::secret::Secret;

/// The directories of the system-wide file: that of the libpq of Debian, then that of a libpq built
/// from source.
const SYSTEM_DIRS: [&str; 2] = ["/etc/postgresql-common", "/usr/local/pgsql/etc"];

/// Returns the settings of `service`, from the file of the user or else of the system. Fails if no
/// file defines it.
pub(super) fn lookup(
    service: &str,
    file: Option<&Path>,
    env: &Environment,
) -> Result<Vec<(&'static Spec, Secret)>> {
    let own = env.home().map(|home| home.join(".pg_service.conf")).filter(|path| path.exists());
    for path in file.map(Path::to_owned).or(own).into_iter().chain(system_file(env)) {
        let bytes = fs::read(&path)
            .map_err(|error| Error::conninfo(format!("service file {}: {error}", path.display())))?;
        if let Some(settings) = section(&bytes, service, &path)? {
            return Ok(settings);
        }
    }
    Err(Error::conninfo(format!("service {service:?} is not defined")))
}

fn system_file(env: &Environment) -> Option<PathBuf> {
    let dirs = match env.get("PGSYSCONFDIR") {
        Some(dir) => vec![PathBuf::from(dir)],
        None => SYSTEM_DIRS.iter().map(PathBuf::from).collect(),
    };
    dirs.into_iter().map(|dir| dir.join("pg_service.conf")).find(|path| path.exists())
}

fn section(bytes: &[u8], service: &str, path: &Path) -> Result<Option<Vec<(&'static Spec, Secret)>>> {
    let bad = |line: usize| {
        Error::conninfo(format!("syntax error in service file {}, line {}", path.display(), line + 1))
    };
    let mut found: Option<Vec<(&Spec, Secret)>> = None;
    for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(header) = line.strip_prefix(b"[") {
            if found.is_some() {
                break;
            }
            let header = header.strip_prefix(service.as_bytes());
            found = header.filter(|tail| tail.starts_with(b"]")).map(|_| Vec::new());
        } else if let Some(settings) = &mut found {
            let line = std::str::from_utf8(line).map_err(|_| bad(at))?;
            let (keyword, value) = line.split_once('=').ok_or_else(|| bad(at))?;
            let spec = options::find(keyword).filter(|spec| !spec.keyword.starts_with("service"));
            settings.push((spec.ok_or_else(|| bad(at))?, Secret::new(value)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_one() {
        let file = b"# comment\n[other]\nhost=wrong\n[mine]\n  user=me \ndbname=a = b\n\n[third]\nrubbish\n";
        let found = section(file, "mine", Path::new("f")).unwrap().unwrap();
        let found: Vec<_> = found.iter().map(|(spec, value)| (spec.keyword, value.reveal())).collect();
        assert_eq!(found, [("user", "me"), ("dbname", "a = b")]);
        assert!(section(file, "absent", Path::new("f")).unwrap().is_none());
        assert!(section(file, "min", Path::new("f")).unwrap().is_none());
    }

    #[test]
    fn a_bad_line_is_named_but_not_shown() {
        for line in ["password", "nosuch=s3cret", "service=other"] {
            let error = section(format!("[a]\n{line}").as_bytes(), "a", Path::new("f")).unwrap_err();
            assert_eq!(
                error.to_string(),
                "invalid connection settings: syntax error in service file f, line 2"
            );
        }
    }
}
