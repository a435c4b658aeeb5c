//! Documents that are generated from tables of the program are equal to them.
//! `PGGIT_UPDATE_DOCS=1 cargo test --test docs` writes them again.
#![allow(clippy::disallowed_methods, missing_docs)]

use std::fs;
use std::path::Path;

#[track_caller]
fn check(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("PGGIT_UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().expect("a document is in a directory")).expect("docs are writable");
        fs::write(&file, generated).expect("docs are writable");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let first = written.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        written == generated,
        "{path} is out of date from line {}: run `PGGIT_UPDATE_DOCS=1 cargo test --test docs`",
        first.map_or(1, |line| line + 1)
    );
}

#[test]
fn the_reference_of_the_configuration_is_that_of_the_program() {
    check("docs/config.md", &pggit::config::reference());
}

#[test]
fn the_table_of_exit_codes_is_that_of_the_program() {
    check("docs/exit-codes.md", &pggit::cli::error::reference());
}
