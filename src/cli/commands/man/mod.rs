//! `git pggit man`

mod page;
mod top;

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use crate::cli::{Cli, Context};
use crate::failure::{Code, Failure};
use page::Page;

/// The name of the program and of its top page.
const PROGRAM: &str = "git-pggit";

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
        return Ok(context.ui.raw(&page(&top, PROGRAM)?)?);
    };
    fs::create_dir_all(dir).map_err(|e| cannot_write(dir, &e))?;
    let written = write_all(&top, PROGRAM, dir)?;
    context.ui.status(&format!("wrote {written} manual pages to '{}'", dir.display()));
    Ok(())
}

/// Writes the page of `command` and those of its subcommands. Returns their number.
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
    let version = format!("git-pggit {}", env!("CARGO_PKG_VERSION"));
    let mut page = Page::new(name, &version);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page.section("NAME");
    page.paragraph(&format!("{name} - {about}"));
    page.section("SYNOPSIS");
    let usage = command.clone().render_usage().to_string();
    page.paragraph(&format!("`{}`", usage.trim_start_matches("Usage: ")));
    page.section("DESCRIPTION");
    match command.get_long_about().map(ToString::to_string) {
        // The first paragraph is already at the top of the page.
        Some(long) => long.split("\n\n").skip(1).for_each(|text| page.paragraph(text)),
        None => page.paragraph(&format!("{about}.")),
    }
    let is_top = name == PROGRAM;
    if is_top {
        top::description(&mut page);
        top::commands(&mut page, command);
    } else if command.has_subcommands() {
        page.section("COMMANDS");
        top::list(&mut page, command, command.get_bin_name().unwrap_or(name));
    }
    let mut options = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_options_section(&mut options).map_err(|e| Failure::of(Code::Fatal, &e))?;
    page.append(&options);
    if is_top {
        top::sections(&mut page);
    } else if let Some(help) = command.get_after_long_help() {
        page.help(&help.to_string());
    }
    page.section("SEE ALSO");
    page.paragraph(&see_also(command, name));
    Ok(page.into_bytes())
}

/// Returns the references to the pages of the subcommands, of the parent command, and of git and
/// PostgreSQL.
fn see_also(command: &clap::Command, name: &str) -> String {
    let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut pages: Vec<String> = below.map(|sub| format!("{name}-{}", sub.get_name())).collect();
    if name == PROGRAM {
        pages.extend(
            ["git-log", "git-notes", "git-config", "pg_dump", "pg_restore", "psql"].map(str::to_owned),
        );
    } else if let Some((above, _)) = name.rsplit_once('-') {
        pages.insert(0, above.to_owned());
    }
    pages.iter().map(|page| format!("`{page}`(1)")).collect::<Vec<_>>().join(", ")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Storage, format!("cannot write '{}'", path.display())).cause(error.to_string())
}
