//! Tables without borders, aligned in columns.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row};

use super::text::sanitised_line;

/// A table under construction.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
    whole: Vec<usize>,
}

impl Table {
    /// A table with these column titles.
    pub fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), right: Vec::new(), whole: Vec::new() }
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
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_header(self.header.clone());
        for row in &self.rows {
            let mut cells = Row::from(row.iter().map(|cell| sanitised_line(cell).into_owned()));
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
    fn an_empty_table_is_silent() {
        assert!(Table::new(["A"]).lines(None).is_empty());
    }
}
