//! The documents agree with the program: tables that are generated from those of the program, and commands
//! that are run. `make doc` rewrites them.

mod console;
mod likeness;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use self::stage::Stage;
use crate::sandbox::Sandbox;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn updating() -> bool {
    std::env::var_os("PGGIT_UPDATE_DOCS").is_some()
}

fn read(path: &str) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn write(path: &str, text: &str) {
    fs::write(root().join(path), text).expect("docs are writable");
}

#[track_caller]
fn check(path: &str, generated: &str) {
    if updating() {
        write(path, generated);
    }
    let written = read(path);
    let first = written.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        written == generated,
        "{path} is out of date from line {}: run `make doc`",
        first.map_or(1, |line| line + 1)
    );
}

#[test]
fn the_reference_of_the_configuration_is_that_of_the_program() {
    check("docs/config.md", &pggit::config::reference());
}

#[test]
fn the_table_of_exit_codes_is_that_of_the_program() {
    check("docs/exit-codes.md", &pggit::failure::reference());
}

#[test]
fn the_reference_of_json_is_that_of_the_program() {
    check("docs/json.md", &pggit::output::reference());
}

/// Runs every block of the reference, in order, in one sandbox.
#[test]
fn the_reference_of_the_commands_is_what_they_do() {
    let stage = Stage::new();
    let path = "docs/cli.md";
    let mut text = read(path);
    let mut differences = vec![];
    for step in console::steps(&text) {
        let output = stage.run(&step.command);
        if !likeness::alike(&step.output, &output) {
            differences.push((step, output));
        }
    }
    if updating() {
        // From the end, so that the positions of earlier steps stay valid.
        for (step, output) in differences.drain(..).rev() {
            text.replace_range(step.place, &output);
        }
        write(path, &text);
    }
    let told: Vec<_> = differences.iter().map(|(step, output)| console::difference(step, output)).collect();
    assert!(told.is_empty(), "{path} differs from the real output:\n{}\nrun `make doc`", told.join("\n"));
}

/// The reference has one section for every command, and no other.
#[test]
fn every_command_has_its_section() {
    let text = read("docs/cli.md");
    let written: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## `git pggit "))
        .filter_map(|line| line.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    let sandbox = Sandbox::new();
    let dir = sandbox.path().join("man");
    let _ = sandbox.pggit(["man".as_ref(), "--dir".as_ref(), dir.as_os_str()]).success();
    let pages: Vec<_> =
        fs::read_dir(&dir).expect("pages").map(|e| e.expect("page").file_name().into_string()).collect();
    let mut commands: Vec<_> = pages.into_iter().map(|page| page.expect("UTF-8")).collect();
    commands.sort();
    let missing: Vec<_> = commands
        .iter()
        .filter_map(|page| page.strip_prefix("git-pggit-")?.strip_suffix(".1"))
        // A command that only has subcommands has no section of its own.
        .filter(|name| !commands.iter().any(|page| page.starts_with(&format!("git-pggit-{name}-"))))
        .filter(|name| !written.iter().any(|section| section.replace(' ', "-") == *name))
        .collect();
    assert!(missing.is_empty(), "docs/cli.md has no section for {missing:?}");
}

/// Links between documents lead to existing files.
#[test]
fn every_link_leads_to_a_file() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name)).into();
    let docs = fs::read_dir(root().join("docs")).expect("docs/");
    documents.extend(
        docs.map(|entry| entry.expect("entry").path()).filter(|p| p.extension().is_some_and(|e| e == "md")),
    );
    let mut broken = vec![];
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            let here = document.parent().expect("in a directory");
            if !target.is_empty() && !target.contains("://") && !here.join(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}
