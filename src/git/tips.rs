//! Reads all refs below a prefix quickly, from the files of git.
//!
//! git stores refs as single files ("loose") and in one sorted file ("packed"). A loose ref overrides a
//! packed one. If the files deviate from this format, the library reads the refs. It is slower, and
//! supports every format.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use gix::bstr::ByteSlice;

use super::{Error, Oid, Repository};

/// The refs below a prefix, with their targets, by name.
#[derive(Debug, Default)]
pub struct Tips {
    names: Vec<u8>,
    /// The offset of the name in `names`, its length, and the target.
    refs: Vec<(usize, usize, Oid)>,
    /// The loose refs: their numbers in `refs`, and the packed targets that they override.
    loose: Vec<(usize, Option<Oid>)>,
    /// True if the refs were read from the files of git, so that the packed targets are known.
    plain: bool,
}

impl Tips {
    /// Returns the names (without the prefix) and targets, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.refs.iter().map(|(start, len, tip)| {
            (std::str::from_utf8(&self.names[*start..start + len]).unwrap_or_default(), *tip)
        })
    }

    /// Returns the names with the targets in `packed-refs`; `None` if these are unknown.
    pub fn packed(&self) -> Option<impl Iterator<Item = (&str, Option<Oid>)>> {
        let mut loose = self.loose.iter().peekable();
        let below = move |(at, (name, tip))| match loose.next_if(|(loose, _)| *loose == at) {
            Some((_, below)) => (name, *below),
            None => (name, Some(tip)),
        };
        self.plain.then(|| self.iter().enumerate().map(below))
    }

    /// Returns true if there are no refs.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    fn push(&mut self, name: &[u8], tip: Oid) {
        self.refs.push((self.names.len(), name.len(), tip));
        self.names.extend_from_slice(name);
    }

    fn push_loose(&mut self, name: &str, tip: Oid, below: Option<Oid>) {
        self.loose.push((self.refs.len(), below));
        self.push(name.as_bytes(), tip);
    }
}

impl Repository {
    /// Returns all refs below `prefix`, which ends with a slash and is shared by all work trees. Passes the
    /// content of `packed-refs` to `seen`, if it is read. Fails if a ref cannot be read.
    pub fn tips_under(&self, prefix: &str, seen: impl FnMut(&[u8])) -> Result<Tips, Error> {
        if let Some(tips) = self.read_tips(prefix, seen) {
            return Ok(tips);
        }
        let mut tips = Tips::default();
        let mut refs = self.refs_under(prefix)?;
        refs.sort_unstable();
        refs.iter().for_each(|(name, tip)| tips.push(name.as_bytes(), *tip));
        Ok(tips)
    }

    /// Passes the content of `packed-refs` to `seen`, in pieces. Returns false if the file cannot be read.
    /// A missing file is empty.
    pub fn scan_packed_refs(&self, mut seen: impl FnMut(&[u8])) -> bool {
        let mut file = match File::open(self.common_dir().join("packed-refs")) {
            Ok(file) => file,
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        let mut piece = vec![0; 1 << 18];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return true,
                Ok(count) => seen(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Returns the loose refs below `prefix`, in the order of their names; `None` if there are other files
    /// than refs that are named by an object id or a UUID.
    pub fn loose_under(&self, prefix: &str) -> Option<Vec<(String, Oid)>> {
        let entries = match fs::read_dir(self.common_dir().join(prefix)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Vec::new()),
            Err(_) => return None,
        };
        let mut loose = Vec::new();
        for entry in entries {
            let name = entry.ok()?.file_name().into_string().ok()?;
            if name.ends_with(".lock") {
                continue;
            }
            if !is_plain(name.as_bytes()) {
                return None;
            }
            match fs::read(self.common_dir().join(prefix).join(&name)) {
                Ok(content) => loose.push((name, self.oid(content.trim_end())?)),
                // The ref was packed meanwhile, and the packed refs are read later.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return None,
            }
        }
        loose.sort_unstable();
        Some(loose)
    }

    /// Counts the loose refs below `prefix`, up to `most`.
    pub fn count_loose(&self, prefix: &str, most: usize) -> usize {
        fs::read_dir(self.common_dir().join(prefix)).map_or(0, |entries| entries.take(most).count())
    }

    fn oid(&self, hex: &[u8]) -> Option<Oid> {
        let id = gix::ObjectId::from_hex(hex).ok()?;
        (id.kind() == self.gix.object_hash()).then_some(Oid(id))
    }

    fn read_tips(&self, prefix: &str, mut seen: impl FnMut(&[u8])) -> Option<Tips> {
        // Loose refs first: a ref that is packed meanwhile is then seen twice and not missed.
        let loose = self.loose_under(prefix)?;
        let packed = packed_refs(&self.common_dir())?;
        seen(&packed);
        let region = region(&packed, prefix.as_bytes())?;
        let mut tips = Tips { plain: true, ..Tips::default() };
        tips.names.reserve(region.len() / 2);
        tips.refs.reserve(region.len() / 90);
        let mut loose = loose.iter().peekable();
        let (mut at, hex) = (0, self.gix.object_hash().len_in_hex());
        while at < region.len() {
            let line = &region[at..];
            let end = line.find_byte(b'\n').unwrap_or(line.len());
            let line = &line[..end];
            at += end + 1;
            if line.first() == Some(&b'^') {
                continue;
            }
            let name = line.get(hex + 1..)?.strip_prefix(prefix.as_bytes())?;
            std::str::from_utf8(name).ok()?;
            let tip = self.oid(&line[..hex])?;
            while let Some((before, tip)) = loose.next_if(|(loose, _)| loose.as_bytes() < name) {
                tips.push_loose(before, *tip, None);
            }
            match loose.next_if(|(loose, _)| loose.as_bytes() == name) {
                Some((name, newer)) => tips.push_loose(name, *newer, Some(tip)),
                None => tips.push(name, tip),
            }
        }
        loose.for_each(|(name, tip)| tips.push_loose(name, *tip, None));
        Some(tips)
    }
}

/// Returns true if a name is an object id or a UUID.
fn is_plain(name: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match name.len() {
        40 | 64 => hex(name),
        36 => name.split(|b| *b == b'-').all(hex),
        _ => false,
    }
}

/// Reads `packed-refs`; `None` unless its header says that it is sorted.
fn packed_refs(common_dir: &Path) -> Option<Vec<u8>> {
    let content = match fs::read(common_dir.join("packed-refs")) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    };
    if content.is_empty() {
        return Some(content);
    }
    let header = content.lines().next()?;
    let sorted = header.starts_with(b"# pack-refs with:") && header.split_str(" ").any(|it| it == b"sorted");
    (sorted && content.ends_with(b"\n")).then_some(content)
}

/// Returns the lines of sorted packed refs whose names begin with `prefix`.
fn region<'a>(packed: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let mut after = prefix.to_vec();
    *after.last_mut()? += 1;
    packed.get(first_from(packed, prefix)..first_from(packed, &after))
}

/// Returns the offset of the first line whose name is not less than `key`.
fn first_from(packed: &[u8], key: &[u8]) -> usize {
    let begin = |at: usize| packed[..at].rfind_byte(b'\n').map_or(0, |newline| newline + 1);
    let end = |at: usize| packed[at..].find_byte(b'\n').map_or(packed.len(), |len| at + len + 1);
    let (mut low, mut high) = (0, packed.len());
    while low < high {
        let start = begin(low + (high - low) / 2);
        let line = &packed[start..end(start)];
        // The header comes before all refs. A `^` line belongs to the ref in the line before it.
        let is_before = match line.first() {
            Some(b'#') => true,
            Some(b'^') => {
                let owner = begin(start.saturating_sub(1));
                name_of(&packed[owner..start]) < key
            }
            _ => name_of(line) < key,
        };
        if is_before {
            low = end(start);
        } else {
            high = start;
        }
    }
    low
}

fn name_of(line: &[u8]) -> &[u8] {
    let at = line.find_byte(b' ').map_or(line.len(), |at| at + 1);
    line[at..].trim_end()
}

#[cfg(test)]
mod tests {
    use super::region;

    #[test]
    fn the_lines_of_a_prefix_are_found_everywhere_in_the_file() {
        let text = "# pack-refs with: peeled fully-peeled sorted \n\
                    11 refs/a\n^22\n33 refs/b/1\n^44\n55 refs/b/2\n66 refs/b0\n77 refs/c\n^88\n";
        let found = |prefix: &str| {
            String::from_utf8(region(text.as_bytes(), prefix.as_bytes()).unwrap().to_vec()).unwrap()
        };
        assert_eq!(found("refs/b/"), "33 refs/b/1\n^44\n55 refs/b/2\n");
        assert_eq!(found("refs/a/"), "");
        assert_eq!(found("refs/"), text.split_once('\n').unwrap().1);
        assert_eq!(found("refs/z/"), "");
        assert_eq!(region(b"", b"refs/b/"), Some(&b""[..]));
    }
}
