//! The source that tools read from: the stored bytes of a backup.

use std::io::{self, Read};

use crate::domain::Artifact;
use crate::progress::Progress;
use crate::store::StoredBackup;
use crate::tools;
use crate::tools::adapter::Source;

/// The bytes of a backup in a store or a directory.
pub struct StoreSource(pub StoredBackup);

impl Source for StoreSource {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names().map_err(io::Error::other)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        self.0.reader(name).map_err(io::Error::other)
    }

    fn verify(&self, artifact: &Artifact, progress: &dyn Progress) -> Result<Option<String>, tools::Error> {
        let verified = self.0.verify(artifact.name.as_str(), &artifact.digest.to_string(), progress);
        match verified {
            Ok(()) => Ok(None),
            Err(error) if error.is_damage() => Ok(Some(error.to_string())),
            Err(error) => Err(tools::Error::Place(io::Error::other(error))),
        }
    }
}
