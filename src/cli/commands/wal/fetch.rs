//! `git pggit wal fetch`

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::{Code, Context, Failure};
use crate::domain::{WalKind, WalName};
use crate::process::create_private;

use super::Place;
use super::spool::Spool;

/// Bring a file of the write-ahead log back from the store
///
/// For restore_command. PostgreSQL takes any exit status up to 125 for the end of
/// the log, and would go on with less than there is. So a file that the store does
/// not have ends with 10, and everything else that goes wrong with 128 or more: then
/// the recovery stops and says so.
///
///     restore_command = 'git-pggit wal fetch --store s3://bucket/prefix %f "%p"'
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The name of the file, as %f of restore_command
    #[arg(value_name = "NAME")]
    name: WalName,

    /// Where to put it, as %p of restore_command
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// How many segments that follow are fetched in the same go
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=64))]
    prefetch: u16,

    /// The cluster whose log it is, by its system identifier; by default that of the data directory
    #[arg(long, value_name = "ID")]
    system_identifier: Option<String>,

    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "\
EXAMPLES
    git-pggit wal fetch --store /srv/store %f \"%p\"
    git pggit wal fetch --system-identifier 7710420227913410699 00000002.history /tmp/00000002.history";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let fetched = fetch(args, context);
    fetched.map_err(|failure| match failure.code() {
        Code::NotFound => failure,
        code if code.status() < 126 => failure.with_code(Code::Fatal),
        _ => failure,
    })
}

fn fetch(args: &Args, context: &Context) -> Result<(), Failure> {
    let not_read = |failure: Failure| failure.with_code(Code::Fatal);
    let system = match &args.system_identifier {
        Some(system) => system.clone(),
        None => args.place.system_identifier(context).map_err(not_read)?,
    };
    let target = context.cwd().join(&args.path);
    let spool = Spool::open(context, &system, "fetched")?;
    if let Some(content) = spool.get(&args.name) {
        write(&target, &content)?;
        spool.remove(&args.name);
        return Ok(());
    }
    spool.forget_before(&args.name);
    // That there is no store is not that there is no file.
    let store = args.place.open(context).map_err(not_read)?;
    let archive = store.wal(&system);
    let Some(content) = archive.fetch(&args.name)? else {
        return Err(Failure::new(Code::NotFound, format!("{} is not in {}", args.name, store.url())));
    };
    write(&target, &content)?;
    if args.name.kind() == WalKind::Segment {
        let ahead = args.name.following(content.len() as u64).take(args.prefetch.into());
        let ahead: Vec<WalName> = ahead.collect();
        for (name, fetched) in ahead.iter().zip(archive.fetch_all(&ahead)) {
            // What went wrong with it will be said when it is asked for.
            if let Ok(Some(content)) = fetched {
                spool.put(name, &content);
            }
        }
    }
    Ok(())
}

/// Writes the file whole: PostgreSQL never sees a part of it.
fn write(target: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut partial = target.as_os_str().to_owned();
    partial.push(".pggit");
    let partial = PathBuf::from(partial);
    // Removes the file that a killed process has left. A symbolic link made by another user is
    // removed and not followed.
    let _ = fs::remove_file(&partial);
    let written = create_private(&partial)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, target));
    written.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::new(Code::Destination, format!("cannot write {}", target.display())).cause(error.to_string())
    })
}
