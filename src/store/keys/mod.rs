//! The keys and recipients of an encrypted store.
//!
//! The secrets of a store are encrypted for each recipient with age, in the object `keys/<number>`
//! with the highest number. Each change creates the object with the next number, which fails if
//! another process has created it, and removes the objects before it, so that a removed recipient
//! finds no object for them. docs/store-encryption.md describes the protection, and the decryption
//! without this program.

mod document;
mod keyring;
mod recipient;
mod secrets;

use serde::Serialize;
use uuid::Uuid;

pub use document::{Action, KeyChange, KeyEntry, RecipientKind};
pub use keyring::{Keyring, Passphrase, generate_identity};
pub use recipient::NewRecipient;

use self::document::{Document, RecipientEntry, SealedDocument};
use self::keyring::LoadedKeyring;
use self::secrets::Secrets;
use super::bucket::Bucket;
use super::crypt::Crypt;
use super::store::{Access, StoreConfig, read_config};
use super::url::StoreUrl;
use super::{Error, Result, layout};
use crate::domain::Timestamp;
use crate::process::crash_point;

/// The maximum number of attempts at a change while other processes make changes.
const ATTEMPTS: usize = 64;

/// The author of a change.
#[derive(Debug, Clone)]
pub struct Author {
    /// The time.
    pub at: Timestamp,
    /// The name of the author.
    pub by: String,
    /// The machine.
    pub host: String,
}

/// Shows and changes the recipients of a store.
pub struct StoreKeys {
    bucket: Bucket,
    store: Uuid,
    keyring: Keyring,
}

/// The recipients of a store, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct KeysView {
    /// The number of the keys object.
    pub number: u32,
    /// The keys, oldest first; the last one encrypts new content.
    pub keys: Vec<KeyEntry>,
    /// The recipients.
    pub recipients: Vec<RecipientView>,
    /// All changes, oldest first.
    pub history: Vec<KeyChange>,
    /// Older keys objects that a crashed change has left; their recipients can still decrypt the
    /// keys of that time.
    pub superseded: Vec<String>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RecipientView {
    /// The secret with which it opens the store.
    pub kind: RecipientKind,
    /// The label of the recipient; null if it has none.
    pub label: Option<String>,
    /// Its public key.
    pub recipient: String,
    /// The time of its addition, RFC 3339.
    pub created_at: String,
}

/// The newest keys object of a store, and the numbers of all keys objects.
struct Newest {
    number: u32,
    numbers: Vec<u32>,
    sealed: SealedDocument,
}

impl StoreKeys {
    /// Opens the keys of the store at `url`. Fails if there is no store or it is not encrypted.
    pub fn open(url: &StoreUrl, access: &Access) -> Result<Self> {
        let bucket = Bucket::open(url, &access.cloud)?;
        let Some(bytes) = bucket.find(layout::CONFIG)? else {
            return Err(Error::NoStore { url: url.to_string() });
        };
        let config = read_config(&bucket, &bytes)?;
        if !config.encrypted {
            return Err(Error::NotEncrypted { url: url.to_string() });
        }
        Ok(Self { bucket, store: config.id, keyring: access.keyring.clone() })
    }

    /// Returns the public part of the keys. It needs no key and is not authenticated. Fails if the
    /// keys object cannot be read.
    pub fn view(&self) -> Result<KeysView> {
        let newest = newest(&self.bucket, self.store)?;
        let older = newest.numbers.iter().filter(|number| **number < newest.number);
        let superseded = older.map(|number| layout::keys(*number)).collect();
        Ok(view(newest.number, newest.sealed.document, superseded))
    }

    /// Adds a recipient. Fails if it exists, its label is in use, or the keyring does not open the
    /// store.
    pub fn add(&self, recipient: &NewRecipient, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let entry = recipient.entry(&secrets, author).ok_or_else(|| no_randomness(&self.bucket))?;
            let same = document.recipients.iter().find(|known| {
                known.recipient == entry.recipient || (known.label.is_some() && known.label == entry.label)
            });
            if let Some(known) = same {
                return Err(Error::RecipientKnown { recipient: name_of(known) });
            }
            document.history.push(KeyChange::of(author, Action::Add, &entry));
            document.recipients.push(entry);
            Ok(secrets)
        })
    }

    /// Removes a recipient, given by label, public key or the beginning of the public key. The
    /// recipient may have kept the secrets that it has decrypted before. Fails if there is no such
    /// recipient, several match, or it is the last one.
    pub fn remove(&self, name: &str, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let at = find(&document.recipients, name)?;
            if document.recipients.len() == 1 {
                return Err(Error::LastRecipient { url: self.bucket.url().to_string() });
            }
            let entry = document.recipients.remove(at);
            document.history.push(KeyChange::of(author, Action::Remove, &entry));
            Ok(secrets)
        })
    }

    /// Creates a new key, which encrypts from now on. The older keys still decrypt. Fails if the
    /// keyring does not open the store.
    pub fn rotate(&self, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let no_randomness = || no_randomness(&self.bucket);
            let secrets = secrets.rotated().ok_or_else(no_randomness)?;
            for entry in &mut document.recipients {
                let key = entry.recipient.parse().ok();
                entry.secrets = key.and_then(|key| secrets.wrap(&key)).ok_or_else(no_randomness)?;
            }
            let id = secrets.key_ids().pop().unwrap_or_default();
            document.history.push(KeyChange::new(author, Action::Rotate).with_key(&id));
            document.keys.push(KeyEntry { id, created_at: author.at.to_string() });
            Ok(secrets)
        })
    }

    /// Applies `edit` to the newest document, and repeats that while other processes are faster.
    /// Objects that a crashed change has left are removed first, even if `edit` fails. `edit` must
    /// add to the history, by which the change is recognized.
    fn change(&self, edit: impl Fn(&mut Document, Secrets) -> Result<Secrets>) -> Result<KeysView> {
        let (bucket, url) = (&self.bucket, self.bucket.url().to_string());
        let mut opener = LoadedKeyring::new(&self.keyring)?;
        for _ in 0..ATTEMPTS {
            let Newest { number, numbers, sealed } = newest(bucket, self.store)?;
            let secrets = opener.open(&sealed, &url)?;
            sweep(bucket, number)?;
            let mut document = sealed.document;
            let secrets = edit(&mut document, secrets)?;
            let content = document.seal(&secrets).ok_or_else(|| no_randomness(bucket))?;
            let next = numbers.last().copied().unwrap_or(number) + 1;
            crash_point("store.keys.wrapped");
            let created = match bucket.put(&layout::keys(next), content.into()) {
                // Another process was faster, and a third one may have removed its object.
                Err(Error::OtherObject { .. } | Error::NoObject { .. }) => false,
                other => other.map(|()| true)?,
            };
            crash_point("store.keys.created");
            let now = newest(bucket, self.store)?;
            if now.sealed.document.history.starts_with(&document.history) {
                // The change is in the newest document, perhaps with later changes.
                sweep(bucket, now.number)?;
                return Ok(view(now.number, now.sealed.document, Vec::new()));
            }
            if created && next < now.number {
                // The number was free because two later changes had removed the object of that
                // number.
                bucket.delete(&layout::keys(next))?;
            }
        }
        Err(Error::KeysBusy { url })
    }
}

/// Writes the first keys object of a store whose configuration is written next. Returns its number.
/// Fails if a recipient is given twice.
pub(super) fn begin(
    bucket: &Bucket,
    store: Uuid,
    recipients: &[NewRecipient],
    author: &Author,
) -> Result<(Crypt, u32)> {
    let no_randomness = || no_randomness(bucket);
    let secrets = Secrets::generate().ok_or_else(no_randomness)?;
    let mut document = Document::new(store, &secrets, author);
    for recipient in recipients {
        let entry = recipient.entry(&secrets, author).ok_or_else(no_randomness)?;
        if document.recipients.iter().any(|known| known.recipient == entry.recipient) {
            return Err(Error::RecipientKnown { recipient: name_of(&entry) });
        }
        document.history.push(KeyChange::of(author, Action::Add, &entry));
        document.recipients.push(entry);
    }
    let crypt = Crypt::from(secrets.keys().ok_or_else(no_randomness)?);
    let content = document.seal(&secrets).ok_or_else(no_randomness)?;
    for _ in 0..ATTEMPTS {
        // The object of a crashed or concurrent creation may exist.
        let number = numbers_of(bucket)?.last().copied().unwrap_or(0) + 1;
        match bucket.put(&layout::keys(number), content.clone().into()) {
            Err(Error::OtherObject { .. } | Error::NoObject { .. }) => {}
            other => return other.map(|()| (crypt, number)),
        }
    }
    Err(Error::KeysBusy { url: bucket.url().to_string() })
}

/// Opens the keys of a store. Fails if the keyring does not open them.
pub(super) fn unlock(bucket: &Bucket, config: &StoreConfig, keyring: &Keyring) -> Result<Crypt> {
    let mut opener = LoadedKeyring::new(keyring)?;
    let newest = newest(bucket, config.id)?;
    let secrets = opener.open(&newest.sealed, &bucket.url().to_string())?;
    Ok(secrets.keys().ok_or_else(|| no_randomness(bucket))?.into())
}

fn newest(bucket: &Bucket, store: Uuid) -> Result<Newest> {
    let mut numbers = Vec::new();
    for _ in 0..ATTEMPTS {
        numbers = numbers_of(bucket)?;
        let mut replaced = false;
        for number in numbers.iter().rev().copied() {
            let name = layout::keys(number);
            let Some(bytes) = bucket.find(&name)? else {
                replaced = true;
                break;
            };
            let sealed = SealedDocument::parse(bucket.uri(&name), &bytes)?;
            // Objects of other stores come from a creation that was not the first.
            if sealed.document.store == store {
                return Ok(Newest { number, numbers, sealed });
            }
        }
        if !replaced {
            break;
        }
    }
    match numbers.is_empty() {
        true => Err(Error::Damaged {
            object: bucket.uri(layout::KEYS),
            detail: "the keys of the store are missing".to_owned(),
        }),
        false => Err(Error::KeysBusy { url: bucket.url().to_string() }),
    }
}

/// Returns the numbers of all keys objects, in order. The listing of a directory is not atomic: it
/// may miss a new object as well as the one that it replaces. Therefore it is repeated until it is
/// stable.
fn numbers_of(bucket: &Bucket) -> Result<Vec<u32>> {
    let list = || -> Result<Vec<u32>> {
        let objects = bucket.list(layout::KEYS)?;
        Ok(objects.iter().filter_map(|object| layout::keys_number(&object.name)).collect())
    };
    let mut before = list()?;
    for _ in 0..ATTEMPTS {
        let now = list()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(Error::KeysBusy { url: bucket.url().to_string() })
}

/// Removes the keys objects before `number`, which is the current one.
fn sweep(bucket: &Bucket, number: u32) -> Result<()> {
    for older in numbers_of(bucket)?.into_iter().filter(|older| *older < number) {
        bucket.delete(&layout::keys(older))?;
        crash_point("store.keys.removed");
    }
    Ok(())
}

/// Returns the index of the recipient with this label, public key or beginning of a public key.
fn find(recipients: &[RecipientEntry], name: &str) -> Result<usize> {
    let named = |entry: &RecipientEntry| entry.label.as_deref() == Some(name) || entry.recipient == name;
    if let Some(at) = recipients.iter().position(named) {
        return Ok(at);
    }
    let begins = |entry: &RecipientEntry| name.len() > "age1".len() && entry.recipient.starts_with(name);
    let mut found = recipients.iter().enumerate().filter(|(_, entry)| begins(entry));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (Some(_), Some(_)) => Err(Error::RecipientAmbiguous { recipient: name.to_owned() }),
        (None, _) => Err(Error::RecipientUnknown { recipient: name.chars().take(80).collect() }),
    }
}

fn name_of(entry: &RecipientEntry) -> String {
    entry.label.clone().unwrap_or_else(|| entry.recipient.clone())
}

fn view(number: u32, document: Document, superseded: Vec<String>) -> KeysView {
    let recipients = document.recipients.into_iter().map(|entry| RecipientView {
        kind: entry.kind,
        label: entry.label,
        recipient: entry.recipient,
        created_at: entry.created_at,
    });
    KeysView {
        number,
        keys: document.keys,
        recipients: recipients.collect(),
        history: document.history,
        superseded,
    }
}

/// The only reason for a failure of encryption in memory.
fn no_randomness(bucket: &Bucket) -> Error {
    Error::Storage {
        action: "encrypt",
        object: bucket.url().to_string(),
        detail: "the system has no random numbers".to_owned(),
        transient: false,
    }
}

#[cfg(test)]
mod tests;
