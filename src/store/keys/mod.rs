//! Who can open an encrypted store.
//!
//! The secrets of a store are wrapped for each recipient with age, in the object
//! `keys/<number>` with the highest number. Every change is a new object that is
//! only created if nobody else has created it, and removes those before it:
//! whoever is no recipient any more finds nothing. docs/store-encryption.md says
//! what this protects and how it is read without this program.

mod document;
mod keyring;
mod recipient;
mod secrets;

use serde::Serialize;
use uuid::Uuid;

pub use document::{Action, Change, KeyEntry, RecipientKind};
pub use keyring::{Keyring, Passphrase, generate_identity};
pub use recipient::NewRecipient;

use self::document::{Document, RecipientEntry, Sealed};
use self::keyring::Opener;
use self::secrets::Secrets;
use super::bucket::Bucket;
use super::crypt::Crypt;
use super::store::{Access, StoreConfig, read_config};
use super::url::StoreUrl;
use super::{Error, Result, layout};
use crate::domain::Timestamp;
use crate::process::crash_point;

/// How often a change is tried while others change the same.
const ATTEMPTS: usize = 64;

/// Who changes something.
#[derive(Debug, Clone)]
pub struct Author {
    /// When.
    pub at: Timestamp,
    /// Who, as they call themselves.
    pub by: String,
    /// On which machine.
    pub host: String,
}

/// The recipients of a store, to be looked at and changed.
pub struct StoreKeys {
    bucket: Bucket,
    store: Uuid,
    keyring: Keyring,
}

/// Who can open a store, without what opens it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct KeysView {
    /// The number of the object that says so.
    pub number: u32,
    /// The keys, oldest first; the last one seals what is written now.
    pub keys: Vec<KeyEntry>,
    /// Who can open it.
    pub recipients: Vec<RecipientView>,
    /// All changes, oldest first.
    pub history: Vec<Change>,
    /// Objects from before a change that died; they open with the keys of their time.
    pub superseded: Vec<String>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RecipientView {
    /// How it proves to be one.
    pub kind: RecipientKind,
    /// The label of the recipient; null if it has none.
    pub label: Option<String>,
    /// Its public key.
    pub recipient: String,
    /// Since when, RFC 3339.
    pub created_at: String,
}

/// The newest keys object of a store, and the numbers of all that are there.
struct Newest {
    number: u32,
    numbers: Vec<u32>,
    sealed: Sealed,
}

impl StoreKeys {
    /// Those of the store at `url`; an error when it is not encrypted.
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

    /// What everybody can see who sees the store. No key is needed for it, and
    /// nothing of it is proved.
    pub fn view(&self) -> Result<KeysView> {
        let newest = newest(&self.bucket, self.store)?;
        let older = newest.numbers.iter().filter(|number| **number < newest.number);
        let superseded = older.map(|number| layout::keys(*number)).collect();
        Ok(view(newest.number, newest.sealed.document, superseded))
    }

    /// Lets a recipient open the store.
    pub fn add(&self, recipient: &NewRecipient, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let entry = recipient.entry(&secrets, author).ok_or_else(|| no_randomness(&self.bucket))?;
            let same = document.recipients.iter().find(|known| {
                known.recipient == entry.recipient || (known.label.is_some() && known.label == entry.label)
            });
            if let Some(known) = same {
                return Err(Error::RecipientKnown { recipient: name_of(known) });
            }
            document.history.push(Change::of(author, Action::Add, &entry));
            document.recipients.push(entry);
            Ok(secrets)
        })
    }

    /// Takes a recipient away, who is named by label, public key or the beginning
    /// of that. What it has unwrapped before, it may have kept.
    pub fn remove(&self, name: &str, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let at = find(&document.recipients, name)?;
            if document.recipients.len() == 1 {
                return Err(Error::LastRecipient { url: self.bucket.url().to_string() });
            }
            let entry = document.recipients.remove(at);
            document.history.push(Change::of(author, Action::Remove, &entry));
            Ok(secrets)
        })
    }

    /// Makes a new key that seals from now on. The others go on to read.
    pub fn rotate(&self, author: &Author) -> Result<KeysView> {
        self.change(|document, secrets| {
            let no_randomness = || no_randomness(&self.bucket);
            let secrets = secrets.rotated().ok_or_else(no_randomness)?;
            for entry in &mut document.recipients {
                let key = entry.recipient.parse().ok();
                entry.secrets = key.and_then(|key| secrets.wrap(&key)).ok_or_else(no_randomness)?;
            }
            let id = secrets.key_ids().pop().unwrap_or_default();
            document.history.push(Change::new(author, Action::Rotate).with_key(&id));
            document.keys.push(KeyEntry { id, created_at: author.at.to_string() });
            Ok(secrets)
        })
    }

    /// Changes what is there now, again and again until nobody else was faster.
    /// What a change that died has left is removed first, even if this one is
    /// refused then. `edit` adds to the history, by which the change is found again.
    fn change(&self, edit: impl Fn(&mut Document, Secrets) -> Result<Secrets>) -> Result<KeysView> {
        let (bucket, url) = (&self.bucket, self.bucket.url().to_string());
        let mut opener = Opener::new(&self.keyring)?;
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
                // Somebody was faster, and maybe somebody else after that.
                Err(Error::OtherObject { .. } | Error::NoObject { .. }) => false,
                other => other.map(|()| true)?,
            };
            crash_point("store.keys.created");
            let now = newest(bucket, self.store)?;
            if now.sealed.document.history.starts_with(&document.history) {
                // It counts; others may have built on it.
                sweep(bucket, now.number)?;
                return Ok(view(now.number, now.sealed.document, Vec::new()));
            }
            if created && next < now.number {
                // The name was free because whoever had it was faster twice and removed the object.
                bucket.delete(&layout::keys(next))?;
            }
        }
        Err(Error::KeysBusy { url })
    }
}

/// The first keys object of a store that gets its configuration next; its number.
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
        document.history.push(Change::of(author, Action::Add, &entry));
        document.recipients.push(entry);
    }
    let crypt = Crypt::from(secrets.keys().ok_or_else(no_randomness)?);
    let content = document.seal(&secrets).ok_or_else(no_randomness)?;
    for _ in 0..ATTEMPTS {
        // There may be one of somebody who died here, or who makes the same store now.
        let number = numbers_of(bucket)?.last().copied().unwrap_or(0) + 1;
        match bucket.put(&layout::keys(number), content.clone().into()) {
            Err(Error::OtherObject { .. } | Error::NoObject { .. }) => {}
            other => return other.map(|()| (crypt, number)),
        }
    }
    Err(Error::KeysBusy { url: bucket.url().to_string() })
}

/// What reads and writes the store, if one of the keys fits.
pub(super) fn unlock(bucket: &Bucket, config: &StoreConfig, keyring: &Keyring) -> Result<Crypt> {
    let mut opener = Opener::new(keyring)?;
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
            let sealed = Sealed::parse(bucket.uri(&name), &bytes)?;
            // Others are of somebody who wanted to make a store here and was not the first.
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

/// The numbers of all keys objects, in order. A directory is not listed at one
/// moment: one object may come and another go meanwhile, and both be missed.
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

/// Removes the objects before `number`, which counts.
fn sweep(bucket: &Bucket, number: u32) -> Result<()> {
    for older in numbers_of(bucket)?.into_iter().filter(|older| *older < number) {
        bucket.delete(&layout::keys(older))?;
        crash_point("store.keys.removed");
    }
    Ok(())
}

/// The place of the recipient that `name` means.
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

/// Nothing else can go wrong when something small is encrypted in memory.
fn no_randomness(bucket: &Bucket) -> Error {
    Error::Storage {
        action: "encrypt",
        object: bucket.url().to_string(),
        detail: "there is no randomness".to_owned(),
        transient: false,
    }
}

#[cfg(test)]
mod tests;
