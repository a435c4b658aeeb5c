//! Tables without borders, aligned in columns.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Style;
use super::text::sanitised_line;

/// Number of spaces between two columns.
const GAP: usize = 2;
/// The mark in place of text that was cut off.
const CUT: &str = "...";

/// Returns the style of a cell with this text.
type Paint = fn(&str) -> Style;

/// The end of a cell in the text of all cells in bytes, and its width in columns of the terminal.
#[derive(Debug, Clone, Copy)]
struct Cell {
    end: usize,
    width: u32,
}

/// A table under construction. One string has the text of all cells, because there may be hundreds of
/// thousands of rows.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<&'static str>,
    text: String,
    cells: Vec<Cell>,
    /// The width of the widest cell of each column, including the title.
    widths: Vec<usize>,
    right: Vec<usize>,
    whole: Vec<usize>,
    paints: Vec<(usize, Paint)>,
}

impl Table {
    /// Returns an empty table with these column titles.
    pub fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self {
            header: header.to_vec(),
            text: String::new(),
            cells: Vec::new(),
            widths: header.iter().map(|title| title.len()).collect(),
            right: Vec::new(),
            whole: Vec::new(),
            paints: Vec::new(),
        }
    }

    /// Aligns column `index` to the right, for numbers.
    #[must_use]
    pub fn right(mut self, index: usize) -> Self {
        self.right.push(index);
        self
    }

    /// Prevents any shortening of column `index`, however narrow the terminal is.
    #[must_use]
    pub fn whole(mut self, index: usize) -> Self {
        self.whole.push(index);
        self
    }

    /// Prints the cells of column `index` in the style that `style` returns, and never shortens them.
    #[must_use]
    pub fn paint(mut self, index: usize, style: Paint) -> Self {
        self.paints.push((index, style));
        self.whole(index)
    }

    /// Adds a row, with one cell per column.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        debug_assert_eq!(N, self.header.len(), "a row has one cell per column");
        cells.into_iter().for_each(|cell| self.cell(&cell.into()));
    }

    /// Adds the rows of another table with the same columns.
    pub fn append(&mut self, other: &Self) {
        let before = self.text.len();
        self.text.push_str(&other.text);
        self.cells.extend(other.cells.iter().map(|cell| Cell { end: before + cell.end, ..*cell }));
        self.widths.iter_mut().zip(&other.widths).for_each(|(width, other)| *width = *other.max(width));
    }

    /// Adds the next cell. Callers must add one cell per column.
    pub fn cell(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.end_cell(start);
    }

    /// Adds the next cell from a value that can be displayed.
    pub fn shown(&mut self, value: impl Display) {
        let start = self.text.len();
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
        self.end_cell(start);
    }

    /// Ends the cell that begins at `start`. Its text becomes safe for the table and the terminal.
    fn end_cell(&mut self, start: usize) {
        let text = &self.text[start..];
        let width = if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            text.len()
        } else {
            let safe = sanitised_line(text).into_owned();
            self.text.truncate(start);
            self.text.push_str(&safe);
            safe.width()
        };
        let widest = &mut self.widths[self.cells.len() % self.header.len()];
        *widest = width.max(*widest);
        self.cells.push(Cell { end: self.text.len(), width: u32::try_from(width).unwrap_or(u32::MAX) });
    }

    /// Returns true if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Writes the lines, cut to `width` if there is one. A table without rows has no lines. Fails if
    /// `out` fails.
    pub(super) fn print(&self, width: Option<u16>, color: bool, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let widths = self.arranged(width);
        let mut line = String::new();
        let header = self.header.iter().map(|title| (*title, title.len()));
        self.line(header, &widths, |_, _| Style::Plain, false, &mut line);
        writeln!(out, "{}", Style::Bold.paint(&line, color))?;
        let styles: Vec<Option<Paint>> = (0..widths.len())
            .map(|at| self.paints.iter().find(|(painted, _)| *painted == at).map(|(_, paint)| *paint))
            .collect();
        let style = |at: usize, text: &str| styles[at].map_or(Style::Plain, |paint| paint(text));
        let mut start = 0;
        for row in self.cells.chunks(widths.len()) {
            line.clear();
            let cells = row.iter().map(|cell| {
                let text = &self.text[start..cell.end];
                start = cell.end;
                (text, cell.width as usize)
            });
            self.line(cells, &widths, style, color, &mut line);
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    /// Appends one line; each cell comes with its width.
    fn line<'t>(
        &self,
        cells: impl Iterator<Item = (&'t str, usize)>,
        widths: &[usize],
        style: impl Fn(usize, &str) -> Style,
        color: bool,
        line: &mut String,
    ) {
        // Number of pending spaces, written before the next text so that no line ends with a space.
        let mut owed = 0;
        for (at, (text, width)) in cells.enumerate() {
            let room = widths[at];
            let cut;
            let (text, width) = if width > room {
                cut = shortened(text, room);
                (cut.as_str(), cut.width())
            } else {
                (text, width)
            };
            let spare = room - width;
            let (before, after) = if self.right.contains(&at) { (spare, 0) } else { (0, spare) };
            if text.is_empty() {
                owed += spare + GAP;
                continue;
            }
            spaces(owed + before, line);
            match style(at, text) {
                Style::Plain => line.push_str(text),
                style => line.push_str(&style.paint(text, color)),
            }
            owed = after + GAP;
        }
        line.truncate(line.trim_end_matches(' ').len());
    }

    /// Returns the width of each column. The widest column that may be cut is shortened first.
    fn arranged(&self, width: Option<u16>) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(width) = width else { return widths };
        let room = usize::from(width).saturating_sub(GAP * (widths.len() - 1));
        let cuttable: Vec<usize> = (0..widths.len()).filter(|at| !self.whole.contains(at)).collect();
        let mut excess = widths.iter().sum::<usize>().saturating_sub(room);
        while excess > 0 {
            let widest = cuttable.iter().copied().max_by_key(|at| (widths[*at], *at));
            let Some(widest) = widest.filter(|at| widths[*at] > CUT.len() + 1) else { break };
            // One round shortens a column to the width of the next narrower one, so that wide tables
            // need few rounds.
            let next = cuttable.iter().map(|at| widths[*at]).filter(|it| *it < widths[widest]).max();
            let least = next.unwrap_or(0).max(CUT.len() + 1).min(widths[widest] - 1);
            let alike = cuttable.iter().filter(|at| widths[**at] == widths[widest]).count();
            let less = (widths[widest] - least).min(excess.div_ceil(alike));
            widths[widest] -= less;
            excess -= less.min(excess);
        }
        widths
    }
}

/// Returns the beginning of a text with a mark of the cut, at most `room` wide.
fn shortened(text: &str, room: usize) -> String {
    let (mut short, mut left) = (String::new(), room.saturating_sub(CUT.len()));
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        short.push(c);
    }
    short.push_str(&CUT[..CUT.len().min(room)]);
    short
}

fn spaces(mut count: usize, line: &mut String) {
    const SPACES: &str = "                                                                ";
    while count > 0 {
        let some = count.min(SPACES.len());
        line.push_str(&SPACES[..some]);
        count -= some;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["ID", "SIZE", "NAME"]).right(1).whole(0);
        table.row(["0198", "1.2 GiB", "nightly"]);
        table.row(["0199", "3 B", "a\nb\x1b[2J"]);
        table
    }

    fn lines(table: &Table, width: Option<u16>, color: bool) -> Vec<String> {
        let mut out = Vec::new();
        table.print(width, color, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_aligned_and_cells_cannot_break_them() {
        let expected = ["ID       SIZE  NAME", "0198  1.2 GiB  nightly", "0199      3 B  a\\nb\\x1b[2J"];
        assert_eq!(lines(&table(), None, false), expected);
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        let lines = lines(&table(), Some(20), false);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:#?}");
        assert!(lines[1].starts_with("0198 "), "{lines:#?}");
    }

    #[test]
    fn what_is_widest_is_cut_first_and_wide_characters_count_twice() {
        let mut table = Table::new(["A", "B", "C"]).whole(0);
        table.row(["0123456789", "short", "a very long subject of a commit"]);
        table.row(["x", "", "größe 象象象象象象象象象象象"]);
        let found = lines(&table, Some(35), false);
        assert_eq!(
            found,
            [
                "A           B      C",
                "0123456789  short  a very long s...",
                "x                  größe 象象象..."
            ]
        );
        // The column that may not be cut keeps its text on any terminal, and the others keep a few
        // characters.
        assert_eq!(lines(&table, Some(1), false)[1], "0123456789  s...  a...");
    }

    #[test]
    fn painted_cells_take_no_more_room() {
        let mut table = Table::new(["A", "STATUS", "B"]).paint(1, |_| Style::Good);
        table.row(["x", "ok", "y"]);
        table.row(["x", "completed", "\x1b[0m"]);
        assert_eq!(
            lines(&table, None, false),
            ["A  STATUS     B", "x  ok         y", "x  completed  \\x1b[0m"]
        );
        assert_eq!(lines(&table, None, true)[1], "x  \x1b[32mok\x1b[m         y");
    }

    #[test]
    fn cells_one_by_one_are_a_row_as_well() {
        let mut table = Table::new(["A", "B"]).right(1);
        table.cell("x");
        table.shown(12);
        table.row(["y", ""]);
        assert_eq!(lines(&table, None, false), ["A   B", "x  12", "y"]);
        let mut other = Table::new(["A", "B"]);
        other.row(["longer", "z"]);
        table.append(&other);
        assert_eq!(lines(&table, None, false), ["A        B", "x       12", "y", "longer   z"]);
    }

    #[test]
    fn an_empty_table_is_silent() {
        assert!(lines(&Table::new(["A"]), None, false).is_empty());
    }
}
