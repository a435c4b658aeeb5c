//! The manual pages: their required content, and that `man` can read them.

use std::fs;
use std::path::PathBuf;

use crate::sandbox::Sandbox;

/// Returns all pages, by name.
fn pages(sandbox: &Sandbox) -> Vec<(PathBuf, String)> {
    let dir = sandbox.path().join("man");
    let _ = sandbox.pggit(["man".as_ref(), "--dir".as_ref(), dir.as_os_str()]).success();
    let files = fs::read_dir(dir).expect("pages").map(|entry| entry.expect("page").path());
    files.map(|file| (file.clone(), fs::read_to_string(file).expect("pages are UTF-8"))).collect()
}

fn titles(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|title| title.trim_matches('"')).collect()
}

#[test]
fn the_first_page_has_what_a_manual_page_has() {
    let sandbox = Sandbox::new();
    let page = sandbox.pggit(["man"]).success().stdout_text();
    let expected = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "OPTIONS",
        "GLOBAL OPTIONS",
        "CONFIGURATION",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
    ];
    assert_eq!(titles(&page), expected);
    for row in pggit::failure::Code::ALL {
        let row = format!("{} ({})", row.status, row.name).replace('-', "\\-");
        assert!(page.contains(&format!("\\fB{row}\\fR")), "no {row}");
    }
    for variable in pggit::config::KEYS.iter().filter_map(|key| key.environment) {
        assert!(page.contains(&format!("\\fB{variable}\\fR")), "no {variable}");
    }
    for command in ["init", "doctor", "mark", "config", "database add", "database check"] {
        assert!(page.contains(&format!(".TP\n\\fBgit pggit {command}\\fR\n")), "no {command}");
    }
    assert!(!page.contains("completions"), "hidden commands are not listed");
    assert_eq!(page, sandbox.pggit(["man"]).success().stdout_text(), "the same each time");
}

#[test]
fn every_page_is_well_formed() {
    let sandbox = Sandbox::new();
    for (file, page) in pages(&sandbox) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(page.starts_with(&format!(".TH {} 1 \" \" \"git-pggit ", name.to_uppercase())), "{page:.80}");
        assert!(page.contains(&format!(".SH NAME\n{} \\- ", name.replace('-', "\\-"))), "{page:.200}");
        let titles = titles(&page);
        assert_eq!(titles[..3], ["NAME", "SYNOPSIS", "DESCRIPTION"]);
        assert_eq!(titles.last(), Some(&"SEE ALSO"));
        assert!(!titles.contains(&"EXTRA"), "{name}");
        let macros = [".TH", ".SH", ".PP", ".TP", ".IP", ".RS", ".RE", ".nf", ".fi", ".br", ".ie", ".el"];
        for line in page.lines() {
            let control = line.starts_with(['.', '\'']);
            assert!(!control || macros.contains(&line.split(' ').next().unwrap()), "{name}: {line}");
        }
    }
}

#[test]
fn the_formatter_has_nothing_to_complain_about() {
    let sandbox = Sandbox::new();
    let pages = pages(&sandbox);
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&search_path).any(|dir| dir.join("groff").exists()) {
        eprintln!("groff is not installed: only the form of the pages was checked");
        return;
    }
    for (file, _) in pages {
        let mut groff = sandbox.command("groff");
        let output =
            sandbox.output(groff.args(["-man", "-Tutf8", "-ww", "-K", "utf-8"]).arg(&file)).success();
        assert_eq!(output.stderr_text(), "", "{}", file.display());
        // Text for pasting into a shell keeps its quotes and dashes.
        let shown = output.stdout_text();
        assert!(!shown.contains(['\u{2019}', '\u{2018}', '\u{2212}']), "{shown}");
    }
}
