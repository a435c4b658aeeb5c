//! Digests of stored bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, text_newtype};

/// A digest with its algorithm. This program stores `blake3:<hex>`. `sha256:` and `sha512:` are
/// accepted for backups of other tools.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Algorithm {
    Blake3,
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [(Self, &'static str, usize); 3] =
        [(Self::Blake3, "blake3", 64), (Self::Sha256, "sha256", 64), (Self::Sha512, "sha512", 128)];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(algorithm, ..)| *algorithm == self).map_or("", |(_, name, _)| name)
    }
}

impl Digest {
    /// Returns the BLAKE3 digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::blake3(blake3::hash(content).as_bytes())
    }

    /// Returns the first half of the BLAKE3 digest of `content` as a number.
    pub fn number_of(content: &[u8]) -> u128 {
        let digest = blake3::hash(content);
        let half = digest.as_bytes().iter().take(16);
        half.fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    /// Returns the BLAKE3 digest with these bytes.
    pub fn blake3(bytes: &[u8; 32]) -> Self {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { algorithm: Algorithm::Blake3, hex }
    }

    /// Returns the hex digits without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |reason| Invalid::new("digest", text, reason);
        let (name, hex) = text.split_once(':').ok_or_else(|| refuse("expected `<algorithm>:<hex>`"))?;
        let (algorithm, _, digits) = Algorithm::ALL
            .into_iter()
            .find(|(_, known, _)| *known == name)
            .ok_or_else(|| refuse("the algorithm is not one of blake3, sha256, sha512"))?;
        if hex.len() != digits || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refuse("the hex digits are not of the algorithm's length and in lower case"));
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

text_newtype!(Digest);
