//! The commands in a document: each line that begins with `$ ` in a block marked `console`, the
//! continuation lines with `> `, and the output below.

use std::ops::Range;

use super::likeness::shape;

/// A command and its output in the document.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the document that the command is on, from 1.
    pub line: usize,
    /// The input of the shell.
    pub command: String,
    /// The output in the document.
    pub output: String,
    /// The position of the output in the document, in bytes.
    pub place: Range<usize>,
}

/// Returns all commands of `document`, in order.
pub fn steps(document: &str) -> Vec<Step> {
    let (mut steps, mut inside, mut at) = (Vec::<Step>::new(), false, 0);
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let (start, end) = (at, at + line.len());
        at = end;
        let text = line.trim_end_matches('\n');
        if text.starts_with("```") {
            inside = text == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(command) = text.strip_prefix("$ ") {
            let (line, command) = (number + 1, command.to_owned());
            steps.push(Step { line, command, output: String::new(), place: end..end });
            continue;
        }
        let step =
            steps.last_mut().unwrap_or_else(|| panic!("line {}: output without a command", number + 1));
        match text.strip_prefix("> ").filter(|_| step.output.is_empty()) {
            Some(more) => {
                step.command = format!("{}\n{more}", step.command);
                step.place = end..end;
            }
            None => {
                assert_eq!(step.place.end, start, "line {}: output without a command", number + 1);
                step.output.push_str(line);
                step.place.end = end;
            }
        }
    }
    steps
}

/// Returns a message for an `output` that differs from `step`, without irrelevant differences.
pub fn difference(step: &Step, output: &str) -> String {
    let (written, real) = (shape(&step.output), shape(output));
    let diff = similar::TextDiff::from_lines(written.as_str(), real.as_str());
    format!("line {}: $ {}\n{}", step.line, step.command, diff.unified_diff().header("written", "real"))
}

#[test]
fn commands_and_outputs_are_found() {
    let text = "# x\n```console\n$ a \\\n> b\none\n> two\n\n$ c\n```\n```sh\n$ not this\n```\n```console\n$ d\n```\n";
    let steps = steps(text);
    let seen: Vec<_> = steps.iter().map(|s| (s.line, s.command.as_str(), s.output.as_str())).collect();
    assert_eq!(seen, [(3, "a \\\nb", "one\n> two\n\n"), (8, "c", ""), (14, "d", "")]);
    assert!(steps.iter().all(|step| text[step.place.clone()] == step.output));
}
