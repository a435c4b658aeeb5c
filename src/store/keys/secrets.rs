//! The secrets of a store, in plain only in memory, and the age files of them.

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{scrypt, x25519};

use crate::store::crypt::{Keys, hex, key_id, unhex};

/// What is written in front of the secrets, for whoever unwraps them by hand.
const TITLE: &str = "# secrets of a git-pggit store, oldest first";
/// The most work that a passphrase may cost, as a power of two: some ten
/// seconds. What comes from a storage must not keep us busy for hours.
const WORK_MAX: u8 = 22;

/// The secrets of one store, oldest first: the first one names, the last one
/// seals. There is at least one.
#[derive(Clone)]
pub(super) struct Secrets(Vec<[u8; 32]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.key_ids()).finish()
    }
}

impl Secrets {
    /// A first one; nothing when the system has no randomness.
    pub(super) fn generate() -> Option<Self> {
        Self(Vec::new()).rotated()
    }

    /// The same ones and a new one that seals from now on.
    pub(super) fn rotated(&self) -> Option<Self> {
        let mut secret = [0; 32];
        loop {
            getrandom::fill(&mut secret).ok()?;
            // Blobs name their key by four bytes.
            if !self.0.iter().any(|known| key_id(known) == key_id(&secret)) {
                break;
            }
        }
        let mut secrets = self.0.clone();
        secrets.push(secret);
        Some(Self(secrets))
    }

    /// What names and seals.
    pub(super) fn keys(&self) -> Option<Keys> {
        Keys::new(&self.0)
    }

    /// The public names of the keys, oldest first.
    pub(super) fn key_ids(&self) -> Vec<String> {
        self.0.iter().map(|secret| hex(&key_id(secret))).collect()
    }

    /// What only somebody can compute who has the newest secret.
    pub(super) fn mac(&self, content: &[u8]) -> Option<blake3::Hash> {
        let key = blake3::derive_key("git-pggit 2026 store keys object", self.0.last()?);
        Some(blake3::keyed_hash(&key, content))
    }

    fn to_text(&self) -> String {
        let lines = self.0.iter().map(|secret| hex(secret) + "\n");
        std::iter::once(format!("{TITLE}\n")).chain(lines).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let secrets: Vec<[u8; 32]> = lines.map(unhex).collect::<Option<_>>()?;
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// An age file of them that `recipient` can decrypt.
    pub(super) fn wrap(&self, recipient: &x25519::Recipient) -> Option<String> {
        age::encrypt_and_armor(recipient, self.to_text().as_bytes()).ok()
    }

    /// What `wrap` has wrapped.
    pub(super) fn unwrap(armored: &str, identity: &x25519::Identity) -> Option<Self> {
        let text = age::decrypt(identity, armored.as_bytes()).ok()?;
        Self::parse(std::str::from_utf8(&text).ok()?)
    }
}

/// An age file of `identity` that opens with `passphrase`. `work` is a power of
/// two; without it, opening takes about a second on this machine.
pub(super) fn wrap_identity(
    identity: &x25519::Identity,
    passphrase: &SecretString,
    work: Option<u8>,
) -> Option<String> {
    let mut recipient = scrypt::Recipient::new(passphrase.clone());
    if let Some(work) = work {
        recipient.set_work_factor(work);
    }
    let line = format!("{}\n", identity.to_string().expose_secret());
    age::encrypt_and_armor(&recipient, line.as_bytes()).ok()
}

/// What `wrap_identity` has wrapped.
pub(super) fn unwrap_identity(armored: &str, passphrase: &SecretString) -> Option<x25519::Identity> {
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_MAX);
    let text = age::decrypt(&identity, armored.as_bytes()).ok()?;
    std::str::from_utf8(&text).ok()?.trim_end().parse().ok()
}
