//! Rows of a table, read without calling functions of its owner.

use super::{Client, Result, Table, quote_ident};

impl Client {
    /// Reads columns of a table, as the output functions of their types write them. It uses `COPY`, which
    /// calls no function of the owner of the table (see [`Client::table_sum`]) and reads no view. Returns
    /// `None` if the table has more than `bytes_max` bytes in these columns.
    ///
    /// # Errors
    /// If the table has no such columns, is no ordinary table, or may not be read.
    pub fn copy_rows(
        &self,
        table: &Table,
        columns: &[&str],
        bytes_max: usize,
    ) -> Result<Option<Vec<Vec<Option<String>>>>> {
        let columns: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        self.copy_out(&format!("COPY {table} ({}) TO STDOUT", columns.join(", ")), |row| {
            bytes = bytes.saturating_add(row.len());
            if bytes <= bytes_max {
                rows.push(values(row));
            }
        })?;
        Ok((bytes <= bytes_max).then_some(rows))
    }
}

/// Splits a row in the text format of `COPY` into its values.
fn values(row: &[u8]) -> Vec<Option<String>> {
    let text = String::from_utf8_lossy(row.strip_suffix(b"\n").unwrap_or(row));
    text.split('\t').map(|value| (value != "\\N").then(|| unescaped(value))).collect()
}

fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('b')) => text.push('\u{8}'),
            ('\\', Some('f')) => text.push('\u{c}'),
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some('t')) => text.push('\t'),
            ('\\', Some('v')) => text.push('\u{b}'),
            ('\\', Some(other)) => text.push(other),
            (c, _) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_copy_are_split_and_unescaped() {
        let of = |row: &str| values(row.as_bytes());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("1\ta b\t\\N\tt\n"), [some("1"), some("a b"), None, some("t")]);
        assert_eq!(of("\\\\x00ff\t\\tx\\ny\\\\N\n"), [some("\\x00ff"), some("\tx\ny\\N")]);
        assert_eq!(of("\n"), [some("")]);
    }
}
