//! `git pggit man`

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use crate::cli::{Cli, Code, Context, Failure};

/// Print the manual page, or write all pages into a directory
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write git-pggit.1 and one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut top = Cli::command();
    top.build();
    let Some(dir) = &args.dir else {
        return Ok(context.ui.raw(&page(&top, "git-pggit")?)?);
    };
    fs::create_dir_all(dir).map_err(|e| cannot_write(dir, &e))?;
    let written = write_all(&top, "git-pggit", dir)?;
    context.ui.status(&format!("wrote {written} manual pages to '{}'", dir.display()));
    Ok(())
}

/// Writes the page of `command` and those of its commands; returns their number.
fn write_all(command: &clap::Command, name: &str, dir: &Path) -> Result<usize, Failure> {
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).map_err(|e| cannot_write(&path, &e))?;
    let mut written = 1;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        written += write_all(sub, &format!("{name}-{}", sub.get_name()), dir)?;
    }
    Ok(written)
}

fn page(command: &clap::Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let version = format!("git-pggit {}", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone().display_name(name.to_owned()))
        .title(name.to_uppercase())
        .section("1")
        .source(version)
        .manual("git-pggit manual")
        .render(&mut page)
        .map_err(|e| Failure::of(Code::Fatal, &e))?;
    Ok(page)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Destination, format!("cannot write '{}'", path.display())).cause(error.to_string())
}
