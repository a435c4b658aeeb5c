//! The numbers of rows of the tables. They are recorded with a dump, and restore tests compare them.

use serde_json::{Value, json};

use crate::domain::Metadata;
use crate::pg::{self, Client, ConnInfo, Table, TableSum};

/// The key of the row counts in the metadata.
pub const ROW_COUNTS: &str = "row_counts";
/// The version of the checksums that are recorded and compared. Records of earlier versions of this
/// program do not have the field and use another checksum.
const SUMS: u64 = 2;
/// The maximum number of tables in a record. It is limited because every command reads records.
const TABLES_MAX: usize = 5_000;
const BYTES_MAX: usize = 512 << 10;

/// Returns the row counts and checksums of the tables in `snapshot`, as the value to record. An error
/// is also recorded, because it does not make the dump worse.
pub fn row_counts(server: &ConnInfo, snapshot: &str, schemas: &[&str]) -> Value {
    let counted = count(server, snapshot, schemas).map(|(sums, left_out)| {
        let mut value = json!({ "tables": sums, "sums": SUMS });
        if left_out > 0 {
            value["left_out"] = left_out.into();
        }
        value
    });
    counted.unwrap_or_else(|error| {
        let value = json!({ "error": error.to_string() });
        // The message of the server may quote text that must not be recorded.
        if is_harmless(&value) { value } else { json!({ "error": "the tables could not be read" }) }
    })
}

fn count(server: &ConnInfo, snapshot: &str, schemas: &[&str]) -> Result<(Vec<Value>, usize), pg::Error> {
    let client = Client::connect(server, "git-pggit")?;
    client.set_row_format()?;
    client.begin_in_snapshot(snapshot)?;
    let (mut sums, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for table in client.tables(schemas)? {
        let room = sums.len() < TABLES_MAX && bytes < BYTES_MAX;
        let named = json!([table.schema, table.name]);
        if !room || !is_harmless(&json!({ "table": named })) {
            left_out += 1;
            continue;
        }
        let TableSum { rows, sum } = client.table_sum(&table)?;
        let one = json!([table.schema, table.name, rows, sum]);
        bytes += one.to_string().len();
        sums.push(one);
    }
    Ok((sums, left_out))
}

/// Returns true if a record may contain the value. The name of a table may look like a URL with a
/// password.
fn is_harmless(value: &Value) -> bool {
    Metadata::try_from(value.clone()).is_ok()
}

/// The tables that were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The tables, each with its number of rows and its checksum.
    pub tables: Vec<(Table, TableSum)>,
    /// True if the checksums have the same format as those of [`Client::table_sum`]. Otherwise only the
    /// numbers of rows can be compared.
    pub comparable: bool,
}

/// Returns the counted tables from the metadata of a backup, or `None` if the tables were not counted.
/// The inner error says why the counts are missing or unreadable.
pub fn recorded_counts(metadata: &Metadata) -> Option<Result<Counted, String>> {
    let recorded = metadata.as_map().get(ROW_COUNTS)?;
    if let Some(error) = recorded.get("error").and_then(Value::as_str) {
        return Some(Err(error.to_owned()));
    }
    let one = |entry: &Value| {
        let text = |at: usize| entry.get(at).and_then(Value::as_str).map(str::to_owned);
        let table = Table { schema: text(0)?, name: text(1)? };
        Some((table, TableSum { rows: entry.get(2)?.as_u64()?, sum: text(3)? }))
    };
    let tables = recorded.get("tables").and_then(Value::as_array);
    let tables: Option<Vec<_>> = tables.and_then(|tables| tables.iter().map(one).collect());
    let comparable = recorded.get("sums").and_then(Value::as_u64) == Some(SUMS);
    Some(
        tables
            .map(|tables| Counted { tables, comparable })
            .ok_or_else(|| "the recorded row counts are invalid".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_again_and_nonsense_is_not() {
        let read = |value: Value| {
            let mut metadata = Metadata::default();
            metadata.insert(ROW_COUNTS, value);
            recorded_counts(&metadata)
        };
        let table = Table { schema: "public".into(), name: "a\"b".into() };
        let sum = TableSum { rows: 3, sum: "-12345678901234567890".into() };
        let tables = json!([["public", "a\"b", 3, "-12345678901234567890"]]);
        let counted =
            |comparable| Some(Ok(Counted { tables: vec![(table.clone(), sum.clone())], comparable }));
        assert_eq!(read(json!({ "tables": tables, "sums": 2 })), counted(true));
        // Checksums of earlier and of later versions.
        assert_eq!(read(json!({ "tables": tables })), counted(false));
        assert_eq!(read(json!({ "tables": tables, "sums": 3 })), counted(false));
        assert_eq!(read(json!({ "error": "no" })), Some(Err("no".into())));
        for bad in
            [json!(1), json!({}), json!({ "tables": [[1]] }), json!({ "tables": [["a", "b", -1, "0"]] })]
        {
            assert!(read(bad).unwrap().is_err());
        }
        assert_eq!(recorded_counts(&Metadata::default()), None);
    }
}
