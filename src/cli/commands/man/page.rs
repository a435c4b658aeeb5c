//! A manual page under construction, in the language of `man`.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// One page. Texts are taken as they are, with words between backquotes in bold.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins with the header line. There is no date in it, so that the same
    /// program always writes the same page.
    pub(super) fn new(name: &str, version: &str) -> Self {
        let title = Roff::new()
            .control("TH", [&*name.to_uppercase(), "1", " ", version, "git-pggit manual"])
            .to_roff();
        Self(title)
    }

    /// Adds what was written elsewhere.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(bytes));
    }

    /// Begins a section.
    pub(super) fn section(&mut self, title: &str) {
        self.control("SH", &[title]);
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.gap();
        self.text(inlines(text));
    }

    /// An entry of a list: what it is, and what is said about it.
    pub(super) fn item(&mut self, tag: &str, text: &str) {
        self.control("TP", &[]);
        self.text(vec![bold(tag)]);
        self.text(inlines(text));
    }

    /// Lines that stay as they are.
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

    /// What stands below the help of a command: paragraphs, titles in capitals,
    /// and indented lines that stay as they are.
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

    /// A title makes a gap of its own.
    fn gap(&mut self) {
        if !self.0.lines().next_back().is_some_and(|line| line.starts_with(".SH")) {
            self.control("PP", &[]);
        }
    }

    fn control(&mut self, name: &str, args: &[&str]) {
        self.0.push_str(&Roff::new().control(name, args.iter().copied()).to_roff());
    }

    fn text(&mut self, inlines: Vec<Inline>) {
        // As they are, quotes become curly, and examples cannot be pasted.
        self.0.push_str(&Roff::new().text(inlines).to_roff().replace('\'', r"\(aq"));
    }
}

/// Words between backquotes are what is typed, and shown in bold.
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
