//! The recipients and keys of a store as a table.

use crate::store::KeysView;
use crate::terminal::{OutputError, Render, Table, Ui};

impl Render for KeysView {
    fn render(&self, ui: &Ui) -> Result<(), OutputError> {
        let day = |time: &str| time.get(..10).unwrap_or(time).to_owned();
        let mut table = Table::new(["KIND", "LABEL", "SINCE", "NAME"]).whole(3);
        for recipient in &self.recipients {
            table.row([
                recipient.kind.as_str().to_owned(),
                recipient.label.clone().unwrap_or_else(|| "-".to_owned()),
                day(&recipient.created_at),
                recipient.recipient.clone(),
            ]);
        }
        for (at, key) in self.keys.iter().enumerate() {
            let label = if at + 1 == self.keys.len() { "encrypts" } else { "decrypts" };
            table.row(["key".to_owned(), label.to_owned(), day(&key.created_at), key.id.clone()]);
        }
        ui.table(&table)?;
        if !self.superseded.is_empty() {
            ui.warning("a change of the keys was not finished: the superseded keys still open the store");
            ui.hint("repeat the change to finish it");
        }
        Ok(())
    }
}
