//! Tables without borders, aligned in columns.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row};

use unicode_width::UnicodeWidthStr as _;

use super::Style;
use super::text::sanitised_line;

/// Characters that take no room stand before and after a painted cell while
/// the columns are measured: one of these for each style, then the end.
const STYLES: [Style; 7] =
    [Style::Plain, Style::Bold, Style::Id, Style::Good, Style::Attention, Style::Bad, Style::Dim];
const FIRST_MARK: u32 = 0xE0041;
const END_MARK: char = '\u{e007f}';

fn mark(style: Style) -> char {
    let at = STYLES.iter().position(|known| *known == style).unwrap_or(0);
    char::from_u32(FIRST_MARK + at as u32).unwrap_or(END_MARK)
}

fn is_mark(c: char) -> bool {
    ('\u{e0000}'..=END_MARK).contains(&c)
}

/// How much room a text takes.
fn shown(text: &str) -> usize {
    let text = text.trim_matches(is_mark);
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Says how a cell with this text looks.
type Paint = fn(&str) -> Style;

/// A table under construction.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
    whole: Vec<usize>,
    paints: Vec<(usize, Paint)>,
}

impl Table {
    /// A table with these column titles.
    pub fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
            right: Vec::new(),
            whole: Vec::new(),
            paints: Vec::new(),
        }
    }

    /// Writes the numbers of column `index` flush right.
    #[must_use]
    pub fn right(mut self, index: usize) -> Self {
        self.right.push(index);
        self
    }

    /// Never shortens column `index`, however narrow the terminal.
    #[must_use]
    pub fn whole(mut self, index: usize) -> Self {
        self.whole.push(index);
        self
    }

    /// Paints the cells of column `index` in the style that `style` gives them,
    /// and never shortens them.
    #[must_use]
    pub fn paint(mut self, index: usize, style: Paint) -> Self {
        self.paints.push((index, style));
        self.whole(index)
    }

    /// Adds a row, with one cell per column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.header.len(), "a row has one cell per column");
        self.rows.push(cells.into());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines of the table, cut to `width` if there is one. Without rows
    /// there are no lines.
    pub(super) fn lines(&self, width: Option<u16>) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        if width.is_none() {
            return self.unbounded();
        }
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_header(self.header.clone());
        for row in &self.rows {
            let mut cells = Row::from(row.iter().enumerate().map(|(at, cell)| self.cell(at, cell)));
            cells.max_height(1);
            table.add_row(cells);
        }
        match width {
            Some(width) => {
                // One more, as the padding after the last column is cut off below.
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.saturating_add(1))
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if self.whole.contains(&index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Table {
    /// All lines, as wide as they are: nothing has to be arranged.
    fn unbounded(&self) -> Vec<String> {
        let head = self.header.iter().map(|title| (*title).to_owned()).collect();
        let cells =
            |row: &Vec<String>| row.iter().enumerate().map(|(at, cell)| self.cell(at, cell)).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let mut widths = vec![0; self.header.len()];
        for row in &rows {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = shown(cell).max(*width));
        }
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let room = width - shown(cell);
                let (before, after) = if self.right.contains(&at) { (room, 2) } else { (0, room + 2) };
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', after));
            }
            line.truncate(line.trim_end().len());
            line
        };
        rows.iter().map(line).collect()
    }

    /// The text of a cell, between its marks if it is painted.
    fn cell(&self, column: usize, text: &str) -> String {
        let text = sanitised_line(text).replace(is_mark, "");
        match self.paints.iter().find(|(painted, _)| *painted == column) {
            Some((_, style)) => format!("{}{text}{END_MARK}", mark(style(&text))),
            None => text,
        }
    }

    /// A line of [`Table::lines`] with its marks replaced.
    pub(super) fn painted(&self, line: &str, color: bool) -> String {
        if self.paints.is_empty() {
            return line.to_owned();
        }
        let (mut painted, mut rest) = (String::with_capacity(line.len()), line);
        while let Some(at) = rest.find(is_mark) {
            painted.push_str(&rest[..at]);
            let first = rest[at..].chars().next().unwrap_or(END_MARK);
            let inside = &rest[at + first.len_utf8()..];
            let end = inside.find(END_MARK).unwrap_or(inside.len());
            let style = STYLES.get((u32::from(first) - FIRST_MARK) as usize).copied().unwrap_or(Style::Plain);
            painted.push_str(&style.paint(&inside[..end], color));
            rest = inside[end..].strip_prefix(END_MARK).unwrap_or("");
        }
        painted.push_str(rest);
        painted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["ID", "SIZE", "NAME"]).right(1).whole(0);
        table.row(["0198".into(), "1.2 GiB".into(), "nightly".into()]);
        table.row(["0199".into(), "3 B".into(), "a\nb\x1b[2J".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_cells_cannot_break_them() {
        let expected = ["ID       SIZE  NAME", "0198  1.2 GiB  nightly", "0199      3 B  a\\nb\\x1b[2J"];
        assert_eq!(table().lines(None), expected);
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        let lines = table().lines(Some(20));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:#?}");
        assert!(lines[1].starts_with("0198 "), "{lines:#?}");
    }

    #[test]
    fn painted_cells_take_no_more_room() {
        let mut table = Table::new(["A", "STATUS", "B"]).paint(1, |_| Style::Good);
        table.row(["x\u{e0041}".into(), "ok".into(), "y".into()]);
        table.row(["x".into(), "completed".into(), "\x1b[0m".into()]);
        let lines =
            |color| table.lines(None).iter().map(|line| table.painted(line, color)).collect::<Vec<_>>();
        assert_eq!(lines(false), ["A  STATUS     B", "x  ok         y", "x  completed  \\x1b[0m"]);
        assert_eq!(lines(true)[1], "x  \x1b[32mok\x1b[m         y");
    }

    #[test]
    fn an_empty_table_is_silent() {
        assert!(Table::new(["A"]).lines(None).is_empty());
    }
}
