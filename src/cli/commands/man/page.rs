//! A manual page under construction, in the roff language.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A manual page. Texts are literal, except that words between backquotes are bold.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Returns a page with its header line. The header has no date, so that the same program always
    /// generates the same page.
    pub(super) fn new(name: &str, version: &str) -> Self {
        let title = Roff::new()
            .control("TH", [&*name.to_uppercase(), "1", " ", version, "git-pggit manual"])
            .to_roff();
        Self(title)
    }

    /// Adds roff text from another generator.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(bytes));
    }

    /// Begins a section.
    pub(super) fn section(&mut self, title: &str) {
        self.control("SH", &[title]);
    }

    /// Adds a paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.gap();
        self.text(inlines(text));
    }

    /// Adds an entry of a list: a term and its description.
    pub(super) fn item(&mut self, tag: &str, text: &str) {
        self.control("TP", &[]);
        self.text(vec![bold(tag)]);
        self.text(inlines(text));
    }

    /// Adds literal lines.
    pub(super) fn verbatim<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.gap();
        self.control("RS", &["4"]);
        self.control("nf", &[]);
        for line in lines {
            self.text(vec![roman(line)]);
        }
        self.control("fi", &[]);
        self.control("RE", &[]);
    }

    /// Adds the text below the help of a command: paragraphs, titles in capitals, and indented literal
    /// lines.
    pub(super) fn help(&mut self, text: &str) {
        let is_title =
            |line: &str| !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        for block in text.split("\n\n") {
            let mut lines = block.lines().peekable();
            if let Some(title) = lines.next_if(|line| is_title(line)) {
                self.section(title);
            }
            let (indented, plain): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("    "));
            if !plain.is_empty() {
                self.paragraph(&plain.join(" "));
            }
            if !indented.is_empty() {
                self.verbatim(indented.iter().map(|line| &line[4..]));
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// Begins a paragraph. After a title this is not needed.
    fn gap(&mut self) {
        if !self.0.lines().next_back().is_some_and(|line| line.starts_with(".SH")) {
            self.control("PP", &[]);
        }
    }

    fn control(&mut self, name: &str, args: &[&str]) {
        self.0.push_str(&Roff::new().control(name, args.iter().copied()).to_roff());
    }

    fn text(&mut self, inlines: Vec<Inline>) {
        // man would show plain quotes as curly ones, and examples could not be pasted.
        self.0.push_str(&Roff::new().text(inlines).to_roff().replace('\'', r"\(aq"));
    }
}

/// Splits a text into plain and bold pieces: words between backquotes are bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_becomes_sections_paragraphs_and_verbatim_lines() {
        let mut page = Page::default();
        page.help("The default\nis `main`.\n\nEXAMPLES\n    .git x\n    'it' - \\\n\nEnd.");
        let lines: Vec<&str> = page.0.lines().collect();
        let expected = [
            ".PP",
            "The default is \\fBmain\\fR.",
            ".SH EXAMPLES",
            ".RS 4",
            ".nf",
            "\\&.git x",
            "\\&\\(aqit\\(aq \\- \\\\",
            ".fi",
            ".RE",
            ".PP",
            "End.",
        ];
        assert_eq!(lines, expected, "{}", page.0);
    }
}
