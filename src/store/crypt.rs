//! The digests and the encryption of a store.
//!
//! In a store without encryption, names are plain BLAKE3 digests. In an encrypted store, digests
//! are keyed, so that a reader of the storage cannot test whether it has a known file, and all
//! content is encrypted except for the table of packs at the end of each pack.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// The id of an encryption key. It is not secret.
pub(crate) type KeyId = [u8; 4];
const NONCE: usize = 24;

/// The keys of one store.
#[derive(Clone)]
pub(crate) struct Keys {
    /// The key of digests. It is the same for the whole life of the store.
    naming: [u8; 32],
    seed: u64,
    current: KeyId,
    sealing: BTreeMap<KeyId, XChaCha20Poly1305>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Keys {
    /// Derives the keys from the secrets of the store, oldest first. The last one encrypts. `None`
    /// if there is no secret.
    pub(crate) fn new(secrets: &[[u8; 32]]) -> Option<Self> {
        let (first, last) = (secrets.first()?, secrets.last()?);
        let derive = |context, secret: &[u8; 32]| blake3::derive_key(context, secret);
        let sealing = secrets.iter().map(|secret| {
            let key = derive("git-pggit 2026 store sealing", secret);
            (key_id(secret), XChaCha20Poly1305::new(&key.into()))
        });
        let seed = derive("git-pggit 2026 store chunking", first);
        Some(Self {
            naming: derive("git-pggit 2026 store naming", first),
            seed: u64::from_le_bytes(seed[..8].try_into().ok()?),
            current: key_id(last),
            sealing: sealing.collect(),
        })
    }
}

/// Returns the public id of a secret.
pub(crate) fn key_id(secret: &[u8; 32]) -> KeyId {
    let [a, b, c, d, ..] = blake3::derive_key("git-pggit 2026 store key id", secret);
    [a, b, c, d]
}

/// The digests and the encryption of a store; none in a store without encryption.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crypt(Option<Keys>);

impl From<Keys> for Crypt {
    fn from(keys: Keys) -> Self {
        Self(Some(keys))
    }
}

impl Crypt {
    /// Returns the digest by which equal content is found.
    pub(crate) fn digest(&self, content: &[u8]) -> [u8; 32] {
        match &self.0 {
            None => *blake3::hash(content).as_bytes(),
            Some(keys) => *blake3::keyed_hash(&keys.naming, content).as_bytes(),
        }
    }

    /// Returns the seed of the chunker.
    pub(crate) fn seed(&self) -> u64 {
        self.0.as_ref().map_or(0, |keys| keys.seed)
    }

    /// Returns true if there is a key with this id, in hexadecimal.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|keys| keys.sealing.keys().any(|key| hex(key) == id))
    }

    /// Returns the id of the key that encrypts new content, in hexadecimal.
    pub(crate) fn key(&self) -> Option<String> {
        self.0.as_ref().map(|keys| hex(&keys.current))
    }

    /// Encrypts `content`. `place` is authenticated, and needed for decryption. `None` if the
    /// system has no random numbers.
    pub(crate) fn seal(&self, content: Vec<u8>, place: &str) -> Option<Vec<u8>> {
        let Some(keys) = &self.0 else { return Some(content) };
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: &content, aad: place.as_bytes() };
        let sealed = keys.sealing.get(&keys.current)?.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        Some([&keys.current[..], &nonce, &sealed].concat())
    }

    /// Decrypts content that was encrypted for `place`; `None` if it was changed or the key is
    /// unknown.
    pub(crate) fn open(&self, sealed: Vec<u8>, place: &str) -> Option<Vec<u8>> {
        let Some(keys) = &self.0 else { return Some(sealed) };
        let (id, rest) = sealed.split_first_chunk::<4>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        keys.sealing.get(id)?.decrypt(XNonce::from_slice(nonce), payload).ok()
    }
}

/// Returns lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses lower-case hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_opens_only_at_its_place() {
        let old = Crypt::from(Keys::new(&[[1; 32]]).unwrap());
        let rotated = Crypt::from(Keys::new(&[[1; 32], [2; 32]]).unwrap());
        let other = Crypt::from(Keys::new(&[[2; 32]]).unwrap());
        let sealed = old.seal(b"rows".to_vec(), "a").unwrap();
        assert_eq!(old.open(sealed.clone(), "a").unwrap(), b"rows");
        assert_eq!(rotated.open(sealed.clone(), "a").unwrap(), b"rows");
        assert_eq!(old.digest(b"x"), rotated.digest(b"x"), "names outlive a rotation");
        assert_ne!(old.digest(b"x"), other.digest(b"x"));
        assert_ne!(old.digest(b"x"), Crypt::default().digest(b"x"));
        assert!(old.open(sealed.clone(), "b").is_none());
        assert!(other.open(sealed.clone(), "a").is_none());
        let newer = rotated.seal(b"rows".to_vec(), "a").unwrap();
        assert!(old.open(newer.clone(), "a").is_none());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 4;
            assert!(old.open(flipped, "a").is_none(), "{at}");
            assert!(old.open(sealed[..at].to_vec(), "a").is_none(), "{at}");
        }
    }

    #[test]
    fn hex_digits_survive_a_round_trip() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some([0, 255, 16]));
        for bad in ["", "0", "0g", "0G", "FF", "000"] {
            assert_eq!(unhex::<1>(bad), None, "{bad}");
        }
    }
}
