//! The identities and passphrases of a user.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519;

use super::document::SealedDocument;
use super::secrets::{Secrets, unwrap_identity};
use crate::domain::Timestamp;
use crate::process::Secret;
use crate::store::{Error, Result};

/// The maximum size of an identity or passphrase file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The sources of identities and passphrases. Files are read only when an encrypted store is
/// opened.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// A file with age identities.
    pub identity: Option<PathBuf>,
    /// A passphrase.
    pub passphrase: Option<Passphrase>,
}

/// The source of a passphrase.
#[derive(Debug, Clone)]
pub enum Passphrase {
    /// The passphrase itself.
    Given(Secret),
    /// The first line of a file.
    File(PathBuf),
}

impl Passphrase {
    pub(super) fn read(&self) -> Result<SecretString> {
        match self {
            Self::Given(secret) => {
                let text = secret.reveal().to_str().filter(|text| !text.is_empty());
                let refused = || Error::BadPassphrase { reason: "it is empty or not UTF-8" };
                Ok(SecretString::from(text.ok_or_else(refused)?.to_owned()))
            }
            Self::File(path) => {
                let text = read(path)?;
                match text.expose_secret().lines().next().unwrap_or_default() {
                    "" => {
                        Err(Error::KeyFile { path: path.clone(), detail: "its first line is empty".into() })
                    }
                    line => Ok(SecretString::from(line.to_owned())),
                }
            }
        }
    }
}

/// The content of a keyring.
pub(super) struct LoadedKeyring {
    identities: Vec<x25519::Identity>,
    passphrase: Option<SecretString>,
}

impl LoadedKeyring {
    pub(super) fn new(keyring: &Keyring) -> Result<Self> {
        let identities = keyring.identity.as_deref().map(identities).transpose()?.unwrap_or_default();
        let passphrase = keyring.passphrase.as_ref().map(Passphrase::read).transpose()?;
        Ok(Self { identities, passphrase })
    }

    /// Decrypts the secrets in `sealed`. An identity that a passphrase has decrypted is kept,
    /// because that takes a second. Fails if no identity and no passphrase opens the store.
    pub(super) fn open(&mut self, sealed: &SealedDocument, url: &str) -> Result<Secrets> {
        if let Some(secrets) = self.by_identity(sealed)? {
            return Ok(secrets);
        }
        if let Some(passphrase) = &self.passphrase {
            let wrapped = sealed.document.recipients.iter().filter_map(|entry| entry.identity.as_deref());
            for identity in wrapped {
                if let Some(identity) = unwrap_identity(identity, passphrase) {
                    self.identities.push(identity);
                    break;
                }
            }
            if let Some(secrets) = self.by_identity(sealed)? {
                return Ok(secrets);
            }
        }
        let given = self.passphrase.is_some() || !self.identities.is_empty();
        Err(Error::NoKey { url: url.to_owned(), given })
    }

    fn by_identity(&self, sealed: &SealedDocument) -> Result<Option<Secrets>> {
        for identity in &self.identities {
            let public = identity.to_public().to_string();
            let mut recipients = sealed.document.recipients.iter();
            let Some(entry) = recipients.find(|entry| entry.recipient == public) else { continue };
            let secrets = Secrets::unwrap(&entry.secrets, identity).ok_or_else(|| Error::Damaged {
                object: sealed.object.clone(),
                detail: format!("the secrets of {public} cannot be unwrapped"),
            })?;
            sealed.verify(&secrets)?;
            return Ok(Some(secrets));
        }
        Ok(None)
    }
}

/// Reads a file of identities, as `age-keygen` writes it. Fails if a line is not an identity or
/// there is none.
fn identities(path: &Path) -> Result<Vec<x25519::Identity>> {
    let refuse = |detail: String| Error::KeyFile { path: path.to_owned(), detail };
    let text = read(path)?;
    let text = text.expose_secret();
    if text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err(refuse("it is encrypted itself; only identities in plain text can be used".to_owned()));
    }
    let mut identities = Vec::new();
    for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line is not shown: it may be another secret.
        let identity = line.parse();
        identities.push(identity.map_err(|_| refuse(format!("line {at} is not an age identity")))?);
    }
    match identities.is_empty() {
        true => Err(refuse("there is no age identity in it".to_owned())),
        false => Ok(identities),
    }
}

fn read(path: &Path) -> Result<SecretString> {
    let refuse = |detail: String| Error::KeyFile { path: path.to_owned(), detail };
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    let size = file.map_err(|error| {
        refuse(match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        })
    })?;
    if size as u64 > FILE_MAX {
        return Err(refuse("it is larger than 1 MiB".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    Ok(SecretString::from(text))
}

/// Writes a new identity to a new file that only its owner can read, as `age-keygen` does. Returns
/// its public key. Fails if the file exists or cannot be written.
pub fn generate_identity(path: &Path, now: Timestamp) -> Result<String> {
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let text =
        format!("# created: {now}\n# public key: {public}\n{}\n", identity.to_string().expose_secret());
    let failed = |error| Error::io("write", path, error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        failed(error)
    })?;
    Ok(public)
}
