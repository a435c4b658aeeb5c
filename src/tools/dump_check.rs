//! Checks if a stream can be a complete dump.

use super::{Error, Format, Program};

/// The number of bytes of the end that are kept. They contain the last lines of pg_dump and the
/// lines around them.
const TAIL: usize = 4096;
const HEAD: usize = 512;
/// The second to last line of a plain dump. Newer versions write `\unrestrict` after it.
const PLAIN_TRAILER: &[u8] = b"\n-- PostgreSQL database dump complete\n";
const GLOBALS_TRAILER: &[u8] = b"\n-- PostgreSQL database cluster dump complete\n";
/// The first five bytes of an archive in the custom format, and of the table
/// of contents in the directory and tar formats.
pub(super) const ARCHIVE_MAGIC: &[u8] = b"PGDMP";
const TAR_BLOCK: u64 = 512;

/// Keeps the parts of a stream that are needed to check its completeness.
#[derive(Debug, Default)]
pub(super) struct DumpValidator {
    head: Vec<u8>,
    tail: Vec<u8>,
    bytes: u64,
}

impl DumpValidator {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        if bytes.len() >= TAIL {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - TAIL..]);
        } else {
            let surplus = (self.tail.len() + bytes.len()).saturating_sub(TAIL);
            self.tail.drain(..surplus);
            self.tail.extend_from_slice(bytes);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Checks a dump of one database that `program` made or is to read. Fails if it is empty or
    /// truncated.
    pub(super) fn finish(&self, format: Format, program: Program) -> Result<(), Error> {
        let missing = match format {
            Format::Custom if !self.head.starts_with(ARCHIVE_MAGIC) => "the archive has no header",
            Format::Tar if !self.head.starts_with(b"toc.dat\0") => "the archive has no table of contents",
            Format::Tar if !self.ends_as_tar() => "the archive has no end",
            Format::Plain if !self.ends_with_line(PLAIN_TRAILER) => "the script has no end",
            _ => return self.non_empty(program),
        };
        self.non_empty(program)?;
        Err(Error::Truncated { program, reason: missing })
    }

    /// Checks a dump of roles and tablespaces. Fails if it is empty or truncated.
    pub(super) fn judge_globals(&self, program: Program) -> Result<(), Error> {
        self.non_empty(program)?;
        if self.ends_with_line(GLOBALS_TRAILER) {
            return Ok(());
        }
        Err(Error::Truncated { program, reason: "the script has no end" })
    }

    fn non_empty(&self, program: Program) -> Result<(), Error> {
        if self.bytes == 0 { Err(Error::Empty { program }) } else { Ok(()) }
    }

    fn ends_as_tar(&self) -> bool {
        let zeros = self.tail.iter().rev().take_while(|b| **b == 0).count() as u64;
        self.bytes.is_multiple_of(TAR_BLOCK) && zeros >= 2 * TAR_BLOCK
    }

    /// Returns true if the tail contains `line`, followed only by comments and `\unrestrict`.
    fn ends_with_line(&self, line: &[u8]) -> bool {
        let Some(at) = self.tail.windows(line.len()).rposition(|window| window == line) else { return false };
        self.tail[at + line.len()..]
            .split(|b| *b == b'\n')
            .all(|rest| rest.is_empty() || rest.starts_with(b"--") || rest.starts_with(b"\\unrestrict "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finish(format: Format, bytes: &[u8]) -> Result<(), Error> {
        let mut validator = DumpValidator::default();
        validator.feed(bytes);
        validator.finish(format, Program::PgDump)
    }

    fn tar() -> Vec<u8> {
        let mut tar = vec![0; 3 * 512];
        tar[..8].copy_from_slice(b"toc.dat\0");
        tar
    }

    const PLAIN: &[u8] = b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

    #[test]
    fn whole_dumps_are_accepted() {
        assert!(finish(Format::Custom, b"PGDMP\x01\x0e").is_ok());
        assert!(finish(Format::Tar, &tar()).is_ok());
        assert!(finish(Format::Plain, PLAIN).is_ok());
        assert!(finish(Format::Plain, &[PLAIN, b"\\unrestrict Abc123\n\n"].concat()).is_ok());
    }

    #[test]
    fn nothing_and_not_all_are_told_apart() {
        for format in [Format::Custom, Format::Tar, Format::Plain] {
            assert!(matches!(finish(format, b""), Err(Error::Empty { .. })));
            assert!(matches!(finish(format, b"PGDM"), Err(Error::Truncated { .. })));
        }
        assert!(finish(Format::Tar, &tar()[..1024]).is_err());
        assert!(finish(Format::Plain, &PLAIN[..PLAIN.len() - 20]).is_err());
        assert!(finish(Format::Plain, &[PLAIN, b"COPY t FROM stdin;\n"].concat()).is_err());
    }

    proptest! {
        #[test]
        fn the_size_of_the_pieces_does_not_matter(size in 1_usize..9000, len in 0_usize..20_000) {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let (mut whole, mut pieces) = (DumpValidator::default(), DumpValidator::default());
            whole.feed(&bytes);
            bytes.chunks(size).for_each(|piece| pieces.feed(piece));
            prop_assert_eq!(&whole.head, &pieces.head);
            prop_assert_eq!(&whole.tail, &pieces.tail);
            prop_assert_eq!(whole.bytes, pieces.bytes);
        }
    }
}
