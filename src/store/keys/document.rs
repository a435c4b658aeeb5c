//! The content of a keys object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Author;
use super::secrets::Secrets;
use crate::domain::to_canonical_json;
use crate::store::{Error, Result};

/// The version of the format. Later versions are refused.
const FORMAT: u64 = 1;
/// The member with the message authentication code, which only the owner of a key can compute.
const MAC: &str = "mac";

/// The keys and recipients of a store, and all changes of them. Unknown members are preserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    format: u64,
    /// The id of the store.
    pub(super) store: Uuid,
    /// The keys, oldest first. The last one encrypts new content.
    pub(super) keys: Vec<KeyEntry>,
    pub(super) recipients: Vec<RecipientEntry>,
    /// All changes, oldest first. Entries are never removed.
    pub(super) history: Vec<KeyChange>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// The id of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyEntry {
    /// Eight hex digits, as in the records of backups.
    pub id: String,
    /// The time of its creation, RFC 3339.
    pub created_at: String,
}

/// The secret with which a recipient opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecipientKind {
    /// An age identity.
    X25519,
    /// A passphrase.
    Passphrase,
}

impl RecipientKind {
    /// Returns the name in options and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::Passphrase => "passphrase",
        }
    }
}

/// A recipient: the owner of a secret that opens the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RecipientEntry {
    pub(super) kind: RecipientKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) label: Option<String>,
    /// The public key, `age1...`. For a passphrase, that of `identity`.
    pub(super) recipient: String,
    pub(super) created_at: String,
    /// An age file with the identity of `recipient`, encrypted with the passphrase.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) identity: Option<String>,
    /// An age file with the secrets of the store, encrypted for `recipient`.
    pub(super) secrets: String,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

impl RecipientEntry {
    pub(super) fn is_sound(&self) -> bool {
        self.recipient.parse::<age::x25519::Recipient>().is_ok()
            && (self.kind == RecipientKind::Passphrase) == self.identity.is_some()
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The store was created.
    Init,
    /// A recipient was added.
    Add,
    /// A recipient was removed.
    Remove,
    /// A new key was created, which encrypts from now on.
    Rotate,
}

/// A change of keys or recipients, and its author.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyChange {
    /// The time of the change, RFC 3339.
    pub at: String,
    /// The author of the change, by their own name.
    pub by: String,
    /// The machine on which the change was made.
    pub host: String,
    /// The change.
    pub action: Action,
    /// The recipient that was added or removed; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipient: Option<String>,
    /// The label of the recipient; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// The id of the key that was created; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl KeyChange {
    pub(super) fn new(author: &Author, action: Action) -> Self {
        Self {
            at: author.at.to_string(),
            by: author.by.clone(),
            host: author.host.clone(),
            action,
            recipient: None,
            label: None,
            key: None,
            other: Map::new(),
        }
    }

    pub(super) fn of(author: &Author, action: Action, entry: &RecipientEntry) -> Self {
        let recipient = Some(entry.recipient.clone());
        Self { recipient, label: entry.label.clone(), ..Self::new(author, action) }
    }

    pub(super) fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}

impl Document {
    /// Creates a document without recipients for the key of `secrets`.
    pub(super) fn new(store: Uuid, secrets: &Secrets, author: &Author) -> Self {
        let created_at = author.at.to_string();
        let keys: Vec<KeyEntry> =
            secrets.key_ids().into_iter().map(|id| KeyEntry { id, created_at: created_at.clone() }).collect();
        let init = KeyChange::new(author, Action::Init);
        let history = keys.iter().map(|key| init.clone().with_key(&key.id)).collect();
        Self { format: FORMAT, store, keys, recipients: Vec::new(), history, other: Map::new() }
    }

    /// Encodes the document, with a MAC by the newest of `secrets`. `None` if it cannot be encoded.
    pub(super) fn seal(&self, secrets: &Secrets) -> Option<Vec<u8>> {
        let mut value = serde_json::to_value(self).ok()?;
        let mac = secrets.mac(&to_canonical_json(&value))?;
        value.as_object_mut()?.insert(MAC.to_owned(), Value::String(mac.to_hex().to_string()));
        Some(to_canonical_json(&value))
    }
}

/// A keys object that was read. Its MAC is not verified yet.
#[derive(Debug)]
pub(super) struct SealedDocument {
    pub(super) document: Document,
    /// Its URI.
    pub(super) object: String,
    mac: Option<blake3::Hash>,
    content: Vec<u8>,
}

impl SealedDocument {
    pub(super) fn parse(object: String, bytes: &[u8]) -> Result<Self> {
        let damaged = |detail: String| Error::Damaged { object: object.clone(), detail };
        let mut value: Value =
            serde_json::from_slice(bytes).map_err(|_| damaged("it is not JSON".to_owned()))?;
        let format = value.get("format").and_then(Value::as_u64).unwrap_or_default();
        if format > FORMAT {
            return Err(Error::Newer { object, format });
        }
        let mac = value.as_object_mut().and_then(|members| members.remove(MAC));
        let mac = mac.as_ref().and_then(Value::as_str).and_then(|hex| blake3::Hash::from_hex(hex).ok());
        let content = to_canonical_json(&value);
        let document: Document = serde_json::from_value(value)
            .map_err(|error| damaged(format!("it is not a list of recipients: {error}")))?;
        let sound = !document.keys.is_empty()
            && !document.recipients.is_empty()
            && document.recipients.iter().all(RecipientEntry::is_sound);
        if !sound {
            return Err(damaged("it is inconsistent".to_owned()));
        }
        Ok(Self { document, object, mac, content })
    }

    /// Fails if `secrets` are not the keys of this document, or if the document was changed without
    /// a key.
    pub(super) fn verify(&self, secrets: &Secrets) -> Result<()> {
        let damaged =
            |detail: &str| Error::Damaged { object: self.object.clone(), detail: detail.to_owned() };
        if !secrets.key_ids().iter().eq(self.document.keys.iter().map(|key| &key.id)) {
            return Err(damaged("the keys of a recipient are not those of the store"));
        }
        // The comparison of hashes takes constant time.
        match (self.mac, secrets.mac(&self.content)) {
            (Some(written), Some(computed)) if written == computed => Ok(()),
            _ => Err(damaged("its MAC is wrong: it was changed without a key")),
        }
    }
}
