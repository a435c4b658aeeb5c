//! The secrets of a store: in plain text in memory only, elsewhere in age files.

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{scrypt, x25519};

use crate::store::crypt::{Keys, hex, key_id, unhex};

/// The comment before the secrets, for users who decrypt them with age.
const TITLE: &str = "# secrets of a git-pggit store, oldest first";
/// The maximum work factor of scrypt, as a power of two: about ten seconds. An object of the
/// storage must not occupy this process for hours.
const WORK_MAX: u8 = 22;

/// The secrets of one store, oldest first. The first one is the key of digests, the last one
/// encrypts. There is at least one.
#[derive(Clone)]
pub(super) struct Secrets(Vec<[u8; 32]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.key_ids()).finish()
    }
}

impl Secrets {
    /// Creates the first secret. `None` if the system has no random numbers.
    pub(super) fn generate() -> Option<Self> {
        Self(Vec::new()).rotated()
    }

    /// Returns these secrets and a new one, which encrypts from now on. `None` if the system has no
    /// random numbers.
    pub(super) fn rotated(&self) -> Option<Self> {
        let mut secret = [0; 32];
        loop {
            getrandom::fill(&mut secret).ok()?;
            // Blobs name their key by four bytes, which must be unique.
            if !self.0.iter().any(|known| key_id(known) == key_id(&secret)) {
                break;
            }
        }
        let mut secrets = self.0.clone();
        secrets.push(secret);
        Some(Self(secrets))
    }

    /// Derives the keys.
    pub(super) fn keys(&self) -> Option<Keys> {
        Keys::new(&self.0)
    }

    /// Returns the ids of the keys, oldest first.
    pub(super) fn key_ids(&self) -> Vec<String> {
        self.0.iter().map(|secret| hex(&key_id(secret))).collect()
    }

    /// Returns the MAC of `content` by the newest secret.
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

    /// Returns an age file with the secrets for `recipient`. `None` if encryption fails.
    pub(super) fn wrap(&self, recipient: &x25519::Recipient) -> Option<String> {
        age::encrypt_and_armor(recipient, self.to_text().as_bytes()).ok()
    }

    /// Decrypts the result of `wrap`. `None` if `identity` is not its recipient.
    pub(super) fn unwrap(armored: &str, identity: &x25519::Identity) -> Option<Self> {
        let text = age::decrypt(identity, armored.as_bytes()).ok()?;
        Self::parse(std::str::from_utf8(&text).ok()?)
    }
}

/// Returns an age file with `identity`, encrypted with `passphrase`. `work` is a power of two;
/// without it, decryption takes about a second on this machine.
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

/// Decrypts the result of `wrap_identity`. `None` if the passphrase is wrong.
pub(super) fn unwrap_identity(armored: &str, passphrase: &SecretString) -> Option<x25519::Identity> {
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(WORK_MAX);
    let text = age::decrypt(&identity, armored.as_bytes()).ok()?;
    std::str::from_utf8(&text).ok()?.trim_end().parse().ok()
}
