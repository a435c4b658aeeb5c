//! `git pggit wal push`

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::output::repository::PushedWal;
use crate::cli::{Code, Context, Failure};
use crate::domain::{Digest, WalKind, WalName};
use crate::store::Pushed;

use super::spool::Spool;
use super::{Place, name_of};

/// Keep a file of the write-ahead log in the store
///
/// For archive_command. It ends with 0 only when the file is durable in the store.
/// Doing it twice is fine; a file that is there with other content is refused, and
/// stays. Files that wait behind it are kept in the same go, several at a time, so
/// that the calls for them end at once.
///
///     archive_command = 'git-pggit wal push --store s3://bucket/prefix %p'
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The file, as %p of archive_command
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// How many files that wait are kept in the same go
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,

    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "\
EXAMPLES
    git-pggit wal push --store /srv/store %p
    git pggit wal push --pgdata /var/lib/postgresql/17/main pg_wal/000000010000000000000003";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (name, path) = (name_of(&args.path)?, context.cwd().join(&args.path));
    let content = read(&path)?;
    let system = args.place.system_identifier(context)?;
    let spool = Spool::open(context, &system, "pushed")?;
    let digest = digest(&content);
    if spool.get(&name).is_some_and(|left| left == digest) {
        spool.remove(&name);
        return Ok(());
    }
    let store = args.place.open(context)?;
    let mut files = vec![(name.clone(), content)];
    if name.kind() == WalKind::Segment {
        files.extend(waiting(&path, &name, usize::from(args.batch) - 1));
    }
    let mut pushed = store.wal(&system).push_all(&files).into_iter();
    let first = pushed.next().expect("there is one answer for each file")?;
    for ((other, content), pushed) in files[1..].iter().zip(pushed) {
        // What went wrong with it will be said when it is its turn.
        if pushed.is_ok() {
            spool.put(other, &self::digest(content));
        }
    }
    if context.ui.wants_json() {
        context.ui.json(&PushedWal {
            name,
            system_identifier: system,
            new: first == Pushed::New,
            batch: files.len(),
        })?;
    }
    Ok(())
}

fn digest(content: &[u8]) -> Vec<u8> {
    Digest::of(content).to_string().into_bytes()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::new(Code::NotFound, format!("{}: cannot be read", path.display())).cause(error.to_string())
    })
}

/// Segments that PostgreSQL has marked as ready, in their order, after `name`.
fn waiting(path: &Path, name: &WalName, most: usize) -> Vec<(WalName, Vec<u8>)> {
    let Some(directory) = path.parent() else { return Vec::new() };
    let entries = fs::read_dir(directory.join("archive_status")).into_iter().flatten().flatten();
    let ready = entries.filter_map(|entry| {
        let ready: WalName = entry.file_name().to_str()?.strip_suffix(".ready")?.parse().ok()?;
        (ready.kind() == WalKind::Segment && ready > *name).then_some(ready)
    });
    let mut ready: Vec<WalName> = ready.collect();
    ready.sort();
    ready.truncate(most);
    let content = |name: WalName| Some((name.clone(), fs::read(directory.join(name.as_str())).ok()?));
    ready.into_iter().filter_map(content).collect()
}
