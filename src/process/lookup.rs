//! Finds a program.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the first executable file `name` in `dirs`, then in `path_env`, which has the format of
/// `PATH`. Relative and empty entries of `path_env` are skipped, because the current directory must
/// not decide which program runs. Returns `None` for a `name` with a slash.
pub fn find_program(name: &OsStr, dirs: &[PathBuf], path_env: Option<&OsStr>) -> Option<PathBuf> {
    if name.is_empty() || Path::new(name).file_name() != Some(name) {
        return None;
    }
    let from_path = path_env.into_iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute());
    dirs.iter().cloned().chain(from_path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Returns the `PATH` that child processes get.
#[expect(clippy::disallowed_methods, reason = "what children inherit is decided in this room")]
pub fn search_path() -> Option<OsString> {
    env::var_os("PATH")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_executable_files_in_absolute_directories_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        for (at, mode) in [(&first, 0o644), (&second, 0o755)] {
            fs::create_dir(at).unwrap();
            fs::write(at.join("tool"), "").unwrap();
            fs::set_permissions(at.join("tool"), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(first.join("sub")).unwrap();
        let dirs = [first.clone(), second.clone()];
        assert_eq!(find_program("tool".as_ref(), &dirs, None), Some(second.join("tool")));
        assert_eq!(find_program("tool".as_ref(), &[], Some(second.as_os_str())), Some(second.join("tool")));
        assert_eq!(find_program("sub".as_ref(), &dirs, None), None);
        for hostile in ["", ".", "..", "../2/tool", "/bin/sh", "tool/", "to\0ol"] {
            assert_eq!(find_program(hostile.as_ref(), &dirs, Some("/usr/bin".as_ref())), None, "{hostile:?}");
        }
        assert_eq!(find_program("Cargo.toml".as_ref(), &[], Some(":.:src".as_ref())), None);
    }
}
