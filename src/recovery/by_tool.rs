//! Restores that a tool makes by itself, out of its own repository.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::syncfs;

use super::data_directory::{AUTO_CONF, NO_ARCHIVE};
use super::execute::{append, remove, run};
use super::place::{Partial, check_links, check_mapped, check_outside, preflight, refuse};
use super::point::doubled;
use super::server::check_words;
use super::{Error, PlannedStep, Planted, Recovery};
use crate::domain::{Backup, RecoveryTarget, Status};
use crate::process::crash_point;
use crate::progress::Progress;
use crate::tools::Adapter;
use crate::tools::adapter::{Step, Subject, Target, empty_directory};

/// Runs the steps that the tool of `backup` has planned for the directory `path`.
/// Nothing is done to a directory that has anything in it; when a later step
/// fails, nothing is left of what was begun.
pub fn restore_by_tool(
    backup: &Backup,
    steps: Vec<Step>,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Duration, Error> {
    let begun = Instant::now();
    let mut ours = false;
    for step in steps {
        let done = match step {
            Step::RequireEmpty { path, owner } => empty_directory(&path, owner.as_ref()).map_err(Error::from),
            Step::Run { what, cmd } => run(&what, *cmd, progress),
            Step::Append { path, text } => append(&path, &text),
            _ => Err(Error::NotRestorable {
                backup: backup.id.to_string(),
                reason: "its bytes are not at hand".to_owned(),
            }),
        };
        if let Err(error) = done {
            if ours {
                let _ = remove(path);
            }
            return Err(error);
        }
        ours = true;
    }
    Ok(begun.elapsed())
}

/// A data directory that a tool makes out of its own repository.
pub struct ToolRestore<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// Its tool.
    pub adapter: &'a dyn Adapter,
    /// The directory, absolute.
    pub path: PathBuf,
    /// Where tablespaces go: from where they were, to where they shall be.
    pub tablespaces: Vec<(PathBuf, PathBuf)>,
    /// Up to where the log is replayed.
    pub until: RecoveryTarget,
    /// What is done with it before it gets its name.
    pub recovery: Option<&'a Recovery<'a>>,
    /// Whom to tell how far it is.
    pub progress: &'a dyn Progress,
}

impl ToolRestore<'_> {
    /// Makes it, beside its place first. When that fails, nothing is left of it.
    pub fn run(&self) -> Result<Planted, Error> {
        let begun = Instant::now();
        self.preflight()?;
        let places = self.places()?;
        let outside = self.outside(&places);
        check_mapped(places, &self.tablespaces, &self.path)?;
        check_outside(&outside, &self.path)?;
        let partial = Partial::make(&self.path)?;
        let data = partial.data();
        let steps = self.steps(&data)?;
        partial.remember(&outside)?;
        // The tool may run as somebody else, who has to get there.
        partial.open_up()?;
        crash_point("recovery.partial");
        restore_by_tool(self.backup, steps, &data, self.progress)?;
        let mapped: Vec<PathBuf> = self.tablespaces.iter().map(|(_, to)| to.clone()).collect();
        check_links(&data, &mapped)?;
        rewrite(&data, |text| text.extend_from_slice(NO_ARCHIVE))?;
        let synced = File::open(&data).and_then(|dir| Ok(syncfs(dir)?));
        synced.map_err(|error| Error::file("sync", &data, error))?;
        let recovered = self.recovery.map(|recovery| recovery.run(&partial)).transpose()?.flatten();
        if self.recovery.is_none_or(Recovery::keeps) {
            // Now and not before: a server that recovers it here fetches its log to here.
            name_the_place(&data, &self.path)?;
            partial.put(&self.path)?;
        }
        let bytes = self.backup.size_bytes.unwrap_or_default();
        Ok(Planted { bytes, duration: begun.elapsed(), tablespaces: outside, recovered })
    }

    /// What is going to be done, for people, and what stands against it now.
    pub fn describe(&self) -> Result<(Vec<PlannedStep>, Vec<Error>), Error> {
        let steps = self.steps(&self.path)?;
        let further = self.recovery.iter().flat_map(|recovery| recovery.steps());
        let places = self.places()?;
        let outside = check_outside(&self.outside(&places), &self.path);
        let refusals = [self.preflight(), check_mapped(places, &self.tablespaces, &self.path), outside];
        let refusals = refusals.into_iter().filter_map(Result::err).collect();
        Ok((steps.iter().map(PlannedStep::of_adapter).chain(further).collect(), refusals))
    }

    /// Where its tablespaces were.
    fn places(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(self.adapter.tablespaces(&self.subject())?)
    }

    /// Where they are going to be.
    fn outside(&self, places: &[PathBuf]) -> Vec<PathBuf> {
        let moved = |place: &PathBuf| {
            let mapped = self.tablespaces.iter().find(|(from, _)| from == place);
            mapped.map_or_else(|| place.clone(), |(_, to)| to.clone())
        };
        places.iter().map(moved).collect()
    }

    fn subject(&self) -> Subject<'_> {
        Subject { backup: self.backup, chain: &[], source: None }
    }

    fn preflight(&self) -> Result<(), Error> {
        if self.backup.status != Status::Completed {
            let reason = format!("it is {}", self.backup.status.as_str().replace('_', " "));
            return Err(Error::NotRestorable { backup: self.backup.id.to_string(), reason });
        }
        // It is going to be a part of a command that fetches the log.
        check_words(&self.path)?;
        if let Some(recovery) = self.recovery {
            recovery.check(&Partial::beside(&self.path))?;
        }
        preflight(&self.path, self.backup.size_bytes.unwrap_or_default()).map(drop)
    }

    fn steps(&self, path: &Path) -> Result<Vec<Step>, Error> {
        let target = Target::DataDirectory {
            path: path.to_owned(),
            tablespaces: self.tablespaces.clone(),
            until: self.until.clone(),
        };
        Ok(self.adapter.restore(&self.subject(), &target)?)
    }
}

/// Changes the settings that the server writes itself: whatever a tool wrote there,
/// a copy archives nothing, and names the place that it gets in the end.
fn rewrite(data: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
    let path = data.join(AUTO_CONF);
    let meta = match path.symlink_metadata() {
        Ok(meta) => Some(meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file("look at", &path, error)),
    };
    // We may be root, and whoever made this may not.
    if meta.as_ref().is_some_and(|meta| !meta.is_file() || meta.nlink() != 1) {
        return Err(refuse(&path, "is not a file of its own", ""));
    }
    let text = if meta.is_some() { fs::read(&path) } else { Ok(Vec::new()) };
    let mut text = text.map_err(|error| Error::file("read", &path, error))?;
    change(&mut text);
    fs::write(&path, text).map_err(|error| Error::file("write", &path, error))?;
    if meta.is_none() {
        let owner = fs::metadata(data).map_err(|error| Error::file("look at", data, error))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .and_then(|()| chown(&path, Some(owner.uid()), Some(owner.gid())))
            .map_err(|error| Error::file("chown", &path, error))?;
    }
    File::open(&path).and_then(|file| file.sync_all()).map_err(|error| Error::file("sync", &path, error))
}

/// Lets the settings that a tool has written for the directory at `data`, which is
/// going to be at `to`, name that.
pub(super) fn name_the_place(data: &Path, to: &Path) -> Result<(), Error> {
    rewrite(data, |text| *text = moved(text, data, to))
}

/// `text` with `to` in each place where `from` is, as it stands or in quotes.
fn moved(text: &[u8], from: &Path, to: &Path) -> Vec<u8> {
    let quoted = |path: &Path| doubled(path.as_os_str().as_bytes(), b"'");
    let plain = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let text = replaced(text, &quoted(from), &quoted(to));
    replaced(&text, &plain(from), &plain(to))
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(from.len().max(1)).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_moved_wherever_it_stands() {
        let (from, to) = (Path::new("/a/.it's.pggit-partial/data"), Path::new("/a/it's"));
        let text = b"x = '--pg1-path=/a/.it''s.pggit-partial/data %f'\n# /a/.it's.pggit-partial/data\n";
        let expected = "x = '--pg1-path=/a/it''s %f'\n# /a/it's\n";
        assert_eq!(String::from_utf8(moved(text, from, to)).unwrap(), expected);
        assert_eq!(moved(b"nothing", from, to), b"nothing");
    }
}
