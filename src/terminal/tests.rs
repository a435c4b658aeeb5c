//! Tests of the text on each output, with and without a terminal.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::message::ErrorFields;
use super::*;

const TERMINAL: Terminal = Terminal { stdout: true, stderr: true, width: Some(40) };

fn ui(terminal: Terminal, wishes: OutputOptions, variables: &[(&str, &str)]) -> (Ui, Captured, Captured) {
    Ui::captured(terminal, wishes, &variables.iter().copied().collect())
}

/// A result.
#[derive(Serialize, JsonSchema)]
struct Named {
    name: String,
}

impl Output for Named {}

fn error(code: &str, exit: u8, message: &str, causes: &[&str], hints: &[&str]) -> ErrorMessage {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let error = ErrorFields {
        code: code.to_owned(),
        exit,
        message: message.to_owned(),
        causes: all(causes),
        hints: all(hints),
    };
    ErrorMessage { error }
}

#[test]
fn data_cannot_control_a_terminal_but_reaches_a_pipe_as_it_is() {
    let hostile = "name\x1b[2J\u{9b}31m";
    let (terminal, out, err) =
        ui(TERMINAL, OutputOptions { color: Some(ColorChoice::Never), ..OutputOptions::default() }, &[]);
    terminal.line(hostile).unwrap();
    terminal.json(&Named { name: hostile.to_owned() }).unwrap();
    terminal.warning(hostile);
    assert!(!(out.text() + &err.text()).contains(['\x1b', '\u{9b}']), "{}{}", out.text(), err.text());
    let (pipe, out, err) = ui(Terminal::default(), OutputOptions::default(), &[]);
    pipe.line(hostile).unwrap();
    pipe.warning(hostile);
    assert_eq!(out.text(), format!("{hostile}\n"));
    assert_eq!(err.text(), "warning: name\\x1b[2J\\u{9b}31m\n");
}

#[test]
fn colours_are_for_terminals() {
    let (terminal, out, err) = ui(TERMINAL, OutputOptions::default(), &[]);
    terminal.spans(&[(Style::Good, "ok"), (Style::Plain, " \x1b[1m")]).unwrap();
    terminal.failure(&error("fatal", 128, "no", &[], &["do"]));
    assert_eq!(out.text(), "\x1b[32mok\x1b[m \\x1b[1m\n");
    assert_eq!(err.text(), "\x1b[1;31merror: \x1b[mno\n\x1b[33mhint: \x1b[mdo\n");
    let (terminal, out, _) = ui(TERMINAL, OutputOptions::default(), &[("NO_COLOR", "1")]);
    terminal.spans(&[(Style::Good, "ok")]).unwrap();
    terminal.configure_color(Some("always"));
    terminal.spans(&[(Style::Good, "ok")]).unwrap();
    assert_eq!(out.text(), "ok\n\x1b[32mok\x1b[m\n");
}

#[test]
fn quiet_says_only_what_matters() {
    let (quiet, out, err) =
        ui(Terminal::default(), OutputOptions { quiet: true, ..OutputOptions::default() }, &[]);
    quiet.status("working");
    quiet.hint("do");
    quiet.warning("careful");
    quiet.line("result").unwrap();
    assert_eq!((out.text().as_str(), err.text().as_str()), ("result\n", "warning: careful\n"));
}

#[test]
fn json_is_all_that_machines_get() {
    let (json, out, err) =
        ui(Terminal::default(), OutputOptions { json: true, ..OutputOptions::default() }, &[]);
    json.status("working");
    json.hint("do");
    json.warning("careful");
    json.failure(&error("not-found", 10, "no 'x'", &["why"], &["do"]));
    let lines: Vec<serde_json::Value> =
        err.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let error =
        json!({ "code": "not-found", "exit": 10, "message": "no 'x'", "hints": ["do"], "causes": ["why"] });
    assert_eq!(lines, [json!({ "warning": { "message": "careful" } }), json!({ "error": error })]);
    assert_eq!(out.text(), "");
}

#[test]
fn messages_of_several_lines_have_a_prefix_on_each() {
    let (ui, _, err) = ui(Terminal::default(), OutputOptions::default(), &[]);
    ui.hint("one\ntwo");
    assert_eq!(err.text(), "hint: one\nhint: two\n");
}

#[test]
fn tables_are_cut_on_a_terminal_only() {
    let mut table = Table::new(["A", "B"]);
    table.row(["x".repeat(30), "y".repeat(30)]);
    let (terminal, out, _) =
        ui(TERMINAL, OutputOptions { color: Some(ColorChoice::Never), ..OutputOptions::default() }, &[]);
    terminal.table(&table).unwrap();
    assert!(out.text().lines().all(|line| line.chars().count() <= 40), "{}", out.text());
    let (pipe, out, _) = ui(Terminal::default(), OutputOptions::default(), &[]);
    pipe.table(&table).unwrap();
    assert!(out.text().contains(&"y".repeat(30)));
}
