//! Documents for commands, read from a file or standard input.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};

use crate::domain::{Metadata, human_bytes};
use crate::failure::{Code, Failure};

/// Reads the file `path`, or standard input for `-`. Fails if it has more than `most` bytes.
pub(super) fn read(path: &OsStr, what: &str, most: usize) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Code::Fatal, format!("cannot read {what} from '{}'", path.display()))
            .cause(error.to_string())
    };
    let source: Box<dyn Read> =
        if path == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(path).map_err(failed)?) };
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        let message = format!("{what} from '{}' is larger than {}", path.display(), human_bytes(most as u64));
        return Err(Failure::new(Code::Usage, message));
    }
    Ok(bytes)
}

/// Reads a JSON object of facts. Without a `path` there are none.
pub(super) fn metadata(path: Option<&OsString>) -> Result<Metadata, Failure> {
    let Some(path) = path else { return Ok(Metadata::default()) };
    Ok(Metadata::parse(&read(path, "metadata", Metadata::BYTES_MAX)?)?)
}
