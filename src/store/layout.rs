//! The names of objects.
//!
//! ```text
//! config                                    the id and format of the store; written once
//! keys/<number>                             the secrets of the store, encrypted for recipients
//! packs/<2 digits>/<64 digits>              chunks; the name is the BLAKE3 of the content
//! artifacts/<lineage>/<id>/<revision>       a manifest; the highest revision counts
//! writers/<id>                              the session of an active writer
//! gc/<id>                                   packs that are pending deletion
//! wal/<system>/<name>                       a WAL file

use super::crypt::{Crypt, hex};

pub(crate) const CONFIG: &str = "config";
pub(crate) const KEYS: &str = "keys/";
pub(crate) const PACKS: &str = "packs/";
pub(crate) const ARTIFACTS: &str = "artifacts/";
pub(crate) const WRITERS: &str = "writers/";
pub(crate) const GC: &str = "gc/";
pub(crate) const WAL: &str = "wal/";

/// Returns the name of the keys object with this number.
pub(crate) fn keys(number: u32) -> String {
    format!("{KEYS}{number:08}")
}

/// Returns the number of a keys object; `None` if `name` is not one.
pub(crate) fn keys_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(KEYS)?.parse().ok()?;
    (keys(number) == name).then_some(number)
}

/// Returns the name of the object of a pack.
pub(crate) fn pack(id: &str) -> String {
    format!("{PACKS}{}/{id}", id.get(..2).unwrap_or_default())
}

/// Returns the prefix of the artifacts of a lineage. A harmless name is used directly; other names,
/// and all names in an encrypted store, are replaced by a digest.
pub(crate) fn lineage(crypt: &Crypt, name: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fine =
        (1..=64).contains(&name.len()) && name.chars().all(harmless) && !name.starts_with(['.', '-', '~']);
    if fine && crypt.key().is_none() {
        return format!("{ARTIFACTS}{name}/");
    }
    format!("{ARTIFACTS}~{}/", hex(&crypt.digest(name.as_bytes())[..16]))
}

/// Returns the prefix of the WAL files of a cluster. A system identifier is a number; other texts,
/// and all in an encrypted store, are replaced by a digest.
pub(crate) fn wal(crypt: &Crypt, system_identifier: &str) -> String {
    let fine = (1..=20).contains(&system_identifier.len())
        && system_identifier.bytes().all(|b| b.is_ascii_digit())
        && crypt.key().is_none();
    match fine {
        true => format!("{WAL}{system_identifier}/"),
        false => format!("{WAL}~{}/", hex(&crypt.digest(system_identifier.as_bytes())[..16])),
    }
}

/// A revision of an artifact, as its name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision {
    /// `artifacts/<lineage>/`
    pub(crate) lineage: String,
    pub(crate) id: String,
    pub(crate) number: u32,
}

impl Revision {
    /// Parses the name of an object; `None` if it is not a manifest.
    pub(crate) fn of_object(name: &str) -> Option<Self> {
        let (lineage, rest) = name.strip_prefix(ARTIFACTS)?.split_once('/')?;
        let (id, number) = rest.split_once('/')?;
        let number = number.parse().ok()?;
        let revision = Self { lineage: format!("{ARTIFACTS}{lineage}/"), id: id.to_owned(), number };
        (revision.object() == name && is_id(id)).then_some(revision)
    }

    /// Returns the name of the object.
    pub(crate) fn object(&self) -> String {
        format!("{}{}/{:08}", self.lineage, self.id, self.number)
    }

    /// Returns the prefix of all revisions of this artifact.
    pub(crate) fn prefix(&self) -> String {
        format!("{}{}/", self.lineage, self.id)
    }
}

/// Returns true if `id` can be the id of an artifact.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::crypt::Keys;

    #[test]
    fn names_of_revisions_survive_a_round_trip() {
        let revision = Revision { lineage: "artifacts/shop/".into(), id: "0190-a".into(), number: 12 };
        assert_eq!(revision.object(), "artifacts/shop/0190-a/00000012");
        assert_eq!(Revision::of_object(&revision.object()), Some(revision));
        for bad in [
            "artifacts/a/b",
            "artifacts/a/b/1",
            "artifacts/a/../00000001",
            "artifacts/a/B/00000001",
            "packs/x",
        ] {
            assert_eq!(Revision::of_object(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_of_keys_survive_a_round_trip() {
        assert_eq!(keys(12), "keys/00000012");
        assert_eq!(keys_number(&keys(12)), Some(12));
        for other in ["keys/12", "keys/0000001x", "keys/+0000001", "keys/00000012/x", "packs/00000012"] {
            assert_eq!(keys_number(other), None, "{other}");
        }
    }

    #[test]
    fn lineages_are_one_component_and_hidden_when_encrypted() {
        let plain = Crypt::default();
        assert_eq!(lineage(&plain, "shop"), "artifacts/shop/");
        let sealed = Crypt::from(Keys::new(&[[1; 32]]).unwrap());
        let odd = ["", "..", "a/b", "-rf", "é", "a b", "x\n", "~shop", &"x".repeat(65)];
        for (crypt, names) in [(&plain, &odd[..]), (&sealed, &["shop"][..])] {
            for name in names {
                let path = lineage(crypt, name);
                assert!(path.starts_with("artifacts/~") && path.len() == "artifacts/~/".len() + 32, "{path}");
            }
        }
    }
}
