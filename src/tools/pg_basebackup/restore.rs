//! The steps that make a data directory from base backups.

use std::path::{Path, PathBuf};

use super::label::{Mapped, moved, parse_map, write_map};
use super::{DIRECTORY, PgBasebackup, TREE, get};
use crate::process::Cmd;
use crate::tools::adapter::{Adapter as _, BackupRef, RestoreStep, Source, Target};
use crate::tools::programs::major_of;
use crate::tools::{Error, Program};

/// The maximum size in bytes of a `tablespace_map` that is read back.
const MAP_MAX: u64 = 1 << 20;

impl PgBasebackup {
    /// Returns the steps of a restore, in order. They use temporary directories next to the data
    /// directory, whose names begin with its name.
    pub(super) fn steps(&self, subject: &BackupRef<'_>, target: &Target) -> Result<Vec<RestoreStep>, Error> {
        let unsupported = |reason| Error::TargetUnsupported { tool: self.name().to_owned(), reason };
        // The server handles WAL replay and the recovery target.
        let Target::DataDirectory { path, tablespaces, .. } = target else {
            return Err(unsupported("is restored into a data directory, not into a database"));
        };
        let mapped = map_of(subject.source()?, tablespaces)?;
        let links = mapped.iter().map(|one| RestoreStep::Tablespace {
            link: path.join("pg_tblspc").join(one.oid.to_string()),
            directory: one.location.clone(),
        });
        let mut steps = Vec::new();
        if subject.chain.is_empty() {
            // The files of tablespaces are written through the links into their directories.
            steps.extend(links);
            steps.push(unpack(subject, path));
        } else {
            steps.extend(self.combine(subject, path)?);
            steps.extend(links);
        }
        steps.extend(
            ["standby.signal", "recovery.signal"].map(|name| RestoreStep::Remove { path: path.join(name) }),
        );
        if !mapped.is_empty() {
            let map = path.join("tablespace_map");
            steps.push(RestoreStep::Remove { path: map.clone() });
            steps.push(RestoreStep::Append { path: map, text: write_map(&mapped) });
        }
        Ok(steps)
    }

    /// Returns the steps that combine a backup chain.
    fn combine(&self, subject: &BackupRef<'_>, path: &Path) -> Result<Vec<RestoreStep>, Error> {
        let version = subject.backup.postgres.as_ref().and_then(|postgres| postgres.version.as_ref());
        let major = version.and_then(|version| major_of(version.as_str())).unwrap_or_default();
        let (program, _) = self.tools(major).find_exact(Program::PgCombinebackup)?;
        let (mut steps, mut pieces) = (Vec::new(), Vec::new());
        for (number, member) in subject.chain.iter().chain([subject]).enumerate() {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{number}"));
            let piece = path.with_file_name(name);
            steps.push(unpack(member, &piece));
            pieces.push(piece);
        }
        let cmd = Cmd::new(program).arg("--no-sync").arg("--output").arg(absolute(path)?);
        let cmd = pieces.iter().try_fold(cmd, |cmd, piece| Ok::<_, Error>(cmd.arg(absolute(piece)?)))?;
        steps.push(RestoreStep::Run {
            what: format!("combining {} backups", pieces.len()),
            cmd: Box::new(cmd),
        });
        steps.extend(pieces.into_iter().map(|path| RestoreStep::Remove { path }));
        Ok(steps)
    }
}

/// Returns the original directories of the tablespaces of a backup.
pub(super) fn places(source: &dyn Source) -> Result<Vec<PathBuf>, Error> {
    Ok(map_of(source, &[])?.into_iter().map(|one| one.location).collect())
}

/// Returns an absolute path, because a relative path may begin with a dash.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::directory(path, error))
}

fn unpack(subject: &BackupRef<'_>, into: &Path) -> RestoreStep {
    let tree = subject.backup.artifacts.iter().find(|artifact| artifact.name.as_str().starts_with(TREE));
    RestoreStep::Unpack {
        backup: subject.backup.id,
        artifact: DIRECTORY.to_owned(),
        into: into.to_owned(),
        tree: tree.map(|artifact| artifact.name.to_string()),
    }
}

/// Returns the tablespaces of a backup with their new directories.
fn map_of(source: &dyn Source, mapping: &[(PathBuf, PathBuf)]) -> Result<Vec<Mapped>, Error> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let reader = source.open(&format!("{DIRECTORY}/tablespace_map")).map_err(get)?;
    reader.take(MAP_MAX).read_to_end(&mut text).map_err(get)?;
    let mapped = parse_map(&text).ok_or_else(|| get(std::io::ErrorKind::InvalidData.into()))?;
    if let Some((unknown, _)) =
        mapping.iter().find(|(from, _)| mapped.iter().all(|one| one.location != *from))
    {
        return Err(Error::NoSuchTablespace { location: unknown.clone() });
    }
    Ok(mapped.into_iter().map(|one| Mapped { location: moved(&one.location, mapping), ..one }).collect())
}
