//! New recipients of a store.

use age::x25519;
use serde_json::Map;

use super::Author;
use super::document::{RecipientEntry, RecipientKind};
use super::keyring::Passphrase;
use super::secrets::{Secrets, wrap_identity};
use crate::store::{Error, Result};

/// The default label of a passphrase.
const PASSPHRASE: &str = "passphrase";

/// A recipient that is to be added.
pub struct NewRecipient {
    kind: RecipientKind,
    label: Option<String>,
    key: x25519::Recipient,
    identity: Option<String>,
}

impl NewRecipient {
    /// Creates a recipient from the public key `text`, which is an `age1...`. Fails if it is not
    /// one, or if the label is invalid.
    pub fn public_key(text: &str, label: Option<&str>) -> Result<Self> {
        let key = text.parse().map_err(|_| {
            let start = text.get(..15).unwrap_or_default();
            if start.eq_ignore_ascii_case("AGE-SECRET-KEY-") {
                let reason = "that is a secret identity; a recipient is its public key";
                return Error::BadRecipient { recipient: format!("{start}…"), reason };
            }
            let reason = "expected an X25519 public key of age: age1 and 58 letters and digits";
            Error::BadRecipient { recipient: text.chars().take(80).collect(), reason }
        })?;
        Ok(Self { kind: RecipientKind::X25519, label: checked(label)?, key, identity: None })
    }

    /// Creates a recipient from a passphrase. The passphrase encrypts a new identity, so that a
    /// rotation does not need the passphrase. That takes about a second. Fails if the passphrase
    /// cannot be read, or if the label is invalid.
    pub fn passphrase(passphrase: &Passphrase, label: Option<&str>) -> Result<Self> {
        Self::passphrase_with_work(passphrase, label, None)
    }

    /// Like [`Self::passphrase`], with a lower work factor, for tests.
    pub(crate) fn passphrase_with_work(
        passphrase: &Passphrase,
        label: Option<&str>,
        work: Option<u8>,
    ) -> Result<Self> {
        let (identity, passphrase) = (x25519::Identity::generate(), passphrase.read()?);
        let wrapped = wrap_identity(&identity, &passphrase, work);
        let wrapped = wrapped.ok_or(Error::BadPassphrase { reason: "age cannot encrypt with it" })?;
        Ok(Self {
            kind: RecipientKind::Passphrase,
            label: checked(label.or(Some(PASSPHRASE)))?,
            key: identity.to_public(),
            identity: Some(wrapped),
        })
    }

    pub(super) fn entry(&self, secrets: &Secrets, author: &Author) -> Option<RecipientEntry> {
        Some(RecipientEntry {
            kind: self.kind,
            label: self.label.clone(),
            recipient: self.key.to_string(),
            created_at: author.at.to_string(),
            identity: self.identity.clone(),
            secrets: secrets.wrap(&self.key)?,
            other: Map::new(),
        })
    }
}

/// Refuses labels that are long or could be confused with public keys.
fn checked(label: Option<&str>) -> Result<Option<String>> {
    let Some(label) = label else { return Ok(None) };
    let plain = (1..=64).contains(&label.chars().count())
        && label.trim() == label
        && !label.chars().any(char::is_control)
        && !label.starts_with("age1");
    match plain {
        true => Ok(Some(label.to_owned())),
        false => Err(Error::BadRecipient {
            recipient: label.chars().take(80).collect(),
            reason: "a label has 1 to 64 characters, no space at its ends, and does not begin with age1",
        }),
    }
}
