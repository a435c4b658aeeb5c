//! How many rows each table has, recorded with a dump for restore tests to
//! compare.

use serde_json::{Value, json};

use crate::domain::Metadata;
use crate::pg::{self, Client, ConnInfo, Sum, Table};

/// The fact of the metadata that has them.
pub const ROW_COUNTS: &str = "row_counts";
/// The version of the checksums that are recorded and compared. Records of earlier versions of this
/// program do not have the field and use another checksum.
const SUMS: u64 = 2;
/// Records are read by every command, so there is an end to what they hold.
const TABLES_MAX: usize = 5_000;
const BYTES_MAX: usize = 512 << 10;

/// What is recorded of the tables that are there in `snapshot`. That it could
/// not be had is recorded too: it does not make the dump worse.
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
        // The server's words may quote what must not be recorded.
        if is_harmless(&value) { value } else { json!({ "error": "the tables could not be read" }) }
    })
}

fn count(server: &ConnInfo, snapshot: &str, schemas: &[&str]) -> Result<(Vec<Value>, usize), pg::Error> {
    let client = Client::connect(server, "git-pggit")?;
    client.write_rows_alike()?;
    client.begin_in_snapshot(snapshot)?;
    let (mut sums, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for table in client.tables(schemas)? {
        let room = sums.len() < TABLES_MAX && bytes < BYTES_MAX;
        let named = json!([table.schema, table.name]);
        if !room || !is_harmless(&json!({ "table": named })) {
            left_out += 1;
            continue;
        }
        let Sum { rows, sum } = client.sum_of(&table)?;
        let one = json!([table.schema, table.name, rows, sum]);
        bytes += one.to_string().len();
        sums.push(one);
    }
    Ok((sums, left_out))
}

/// May it stand in a record? A table may be called like a URL with a password.
fn is_harmless(value: &Value) -> bool {
    Metadata::try_from(value.clone()).is_ok()
}

/// The tables that were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The tables, each with what was found in it.
    pub tables: Vec<(Table, Sum)>,
    /// True if the checksums have the same format as those of [`Client::sum_of`]. Otherwise only the
    /// numbers of rows can be compared.
    pub comparable: bool,
}

/// The tables that were counted, from the metadata of a backup. `Err` says why
/// there are none although there should be.
pub fn recorded_counts(metadata: &Metadata) -> Option<Result<Counted, String>> {
    let recorded = metadata.as_map().get(ROW_COUNTS)?;
    if let Some(error) = recorded.get("error").and_then(Value::as_str) {
        return Some(Err(error.to_owned()));
    }
    let one = |entry: &Value| {
        let text = |at: usize| entry.get(at).and_then(Value::as_str).map(str::to_owned);
        let table = Table { schema: text(0)?, name: text(1)? };
        Some((table, Sum { rows: entry.get(2)?.as_u64()?, sum: text(3)? }))
    };
    let tables = recorded.get("tables").and_then(Value::as_array);
    let tables: Option<Vec<_>> = tables.and_then(|tables| tables.iter().map(one).collect());
    let comparable = recorded.get("sums").and_then(Value::as_u64) == Some(SUMS);
    Some(
        tables
            .map(|tables| Counted { tables, comparable })
            .ok_or_else(|| "they are not understood".to_owned()),
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
        let sum = Sum { rows: 3, sum: "-12345678901234567890".into() };
        let tables = json!([["public", "a\"b", 3, "-12345678901234567890"]]);
        let counted =
            |comparable| Some(Ok(Counted { tables: vec![(table.clone(), sum.clone())], comparable }));
        assert_eq!(read(json!({ "tables": tables, "sums": 2 })), counted(true));
        // Sums of earlier versions, and of later ones.
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
