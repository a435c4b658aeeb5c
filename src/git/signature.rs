//! Checks signatures of commits with git.

use std::collections::BTreeMap;

use super::{Error, Oid, Repository};

/// The validity of a signature, as in `%G?` of `git log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// Valid, with a trusted key.
    Good,
    /// Valid, with an unknown key.
    Unknown,
    /// Valid, but the signature or its key has expired.
    Expired,
    /// Valid, but the key was revoked.
    Revoked,
    /// The signature does not match the commit.
    Bad,
    /// The signature cannot be checked: the key or a program is missing.
    Unchecked,
    /// There is no signature.
    Missing,
}

impl SignatureVerdict {
    fn of(letter: &str) -> Self {
        match letter {
            "G" => Self::Good,
            "U" => Self::Unknown,
            "X" | "Y" => Self::Expired,
            "R" => Self::Revoked,
            "B" => Self::Bad,
            "N" => Self::Missing,
            _ => Self::Unchecked,
        }
    }

    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Bad => "bad",
            Self::Unchecked => "unchecked",
            Self::Missing => "unsigned",
        }
    }
}

/// The signature of a commit as git has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The validity.
    pub verdict: SignatureVerdict,
    /// The signer: a principal of ssh, or a user id of OpenPGP; empty if the key is unknown.
    pub signer: String,
    /// The fingerprint of the key.
    pub key: String,
}

/// The number of commits per `git log`.
const BATCH: usize = 5_000;

impl Repository {
    /// Lets git check the signatures of `commits` against the keys that its configuration trusts
    /// (`gpg.ssh.allowedSignersFile`, the OpenPGP keyring). Fails if git fails or a commit is missing.
    pub fn signatures(&self, commits: &[Oid]) -> Result<BTreeMap<Oid, Signature>, Error> {
        let mut found = BTreeMap::new();
        for batch in commits.chunks(BATCH) {
            let names: String = batch.iter().map(|id| format!("{id}\n")).collect();
            let args = [
                "--no-walk=unsorted",
                "--no-show-signature",
                "--no-color",
                "--no-notes",
                "-s",
                "--format=%H%x00%G?%x00%GS%x00%GF",
                "--stdin",
            ];
            let answer = self.git("log", args, names.into_bytes())?;
            if !answer.exit.status.is_success() {
                let detail = answer.exit.stderr.trim().trim_start_matches("fatal: ").to_owned();
                return Err(Error::Program { command: "log".to_owned(), detail });
            }
            found.extend(String::from_utf8_lossy(&answer.stdout).lines().filter_map(read));
        }
        // Without a file of trusted keys, git reports a signed commit as unsigned.
        for (id, signature) in &mut found {
            if signature.verdict == SignatureVerdict::Missing && self.signature_format(*id)?.is_some() {
                signature.verdict = SignatureVerdict::Unchecked;
            }
        }
        Ok(found)
    }

    /// Returns the format of the signature of commit `id`, which is the text after `BEGIN`, such as `SSH
    /// SIGNATURE`; `None` if it is not signed. Fails if the commit is missing.
    pub fn signature_format(&self, id: Oid) -> Result<Option<String>, Error> {
        let (_, bytes) = self.find(id)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut headers = text.lines().take_while(|line| !line.is_empty());
        let format = headers
            .find_map(|line| line.strip_prefix("gpgsig")?.split_once("-----BEGIN ")?.1.strip_suffix("-----"));
        Ok(format.map(str::to_owned))
    }
}

fn read(line: &str) -> Option<(Oid, Signature)> {
    let mut fields = line.split('\0');
    let id = gix::ObjectId::from_hex(fields.next()?.as_bytes()).ok()?;
    let verdict = SignatureVerdict::of(fields.next()?);
    let mut text = || fields.next().unwrap_or_default().to_owned();
    Some((Oid(id), Signature { verdict, signer: text(), key: text() }))
}
