//! Splits a script into statements by the rules of psql while it is being read.
//!
//! Only one statement, or one chunk of the data of a COPY, is held in memory. psql commands are
//! refused: everything in a script has to be for the server.

use std::io::{self, ErrorKind, Read};

use super::lexer::{Token, next_token, words};

/// The number of bytes to read at once.
const READ: usize = 256 * 1024;
/// The maximum length of a statement in bytes, as in the server.
const STATEMENT_MAX: usize = 1 << 30;

/// The setting that decides what a backslash in `'...'` means.
const STRINGS: &str = "standard_conforming_strings";
/// The reason to refuse a script that changes this setting in a way that cannot be followed.
pub(super) const UNKNOWN_STRINGS: &str =
    "standard_conforming_strings is changed other than by SET for the session, or the change is rolled back";
/// The function and the view by which settings can be changed too.
const SET_CONFIG: &str = "set_config";
const PG_SETTINGS: &str = "pg_settings";
/// The first words of statements that define or describe something and call no function.
const DEFINITIONS: [&str; 7] = ["alter", "comment", "create", "drop", "grant", "revoke", "security"];

/// The reason why a script cannot be split.
#[derive(Debug)]
pub(super) enum SplitError {
    /// The script could not be read.
    Read(io::Error),
    /// The script is not valid SQL.
    Script(BadScript),
}

/// An error in a script and its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadScript {
    /// The line, from 1.
    pub line: u64,
    /// The reason.
    pub reason: String,
}

/// The psql commands that are skipped, because the program that wrote the script adds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// `\restrict` and `\unrestrict`, written by pg_dump, whose output may also be used as a migration.
    Dump,
    /// Those of pg_dump and `\connect`, written by pg_dumpall.
    Globals,
}

impl Skip {
    fn has(self, line: &[u8]) -> bool {
        let words: Vec<&[u8]> = line.split(|b| *b == b' ').filter(|word| !word.is_empty()).collect();
        match (self, words.as_slice()) {
            (Self::Dump | Self::Globals, [b"\\restrict" | b"\\unrestrict", key]) => {
                key.iter().all(u8::is_ascii_alphanumeric)
            }
            // psql would execute an argument that begins with a backslash as the next command.
            (Self::Globals, [b"\\connect", _, ..]) => !words[1..].iter().any(|word| word.starts_with(b"\\")),
            _ => false,
        }
    }
}

/// One statement without its semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text, from its first word.
    pub(super) sql: Vec<u8>,
    /// The line of the first word.
    pub(super) line: u64,
    /// True if data follow, which have to be read with [`Splitter::data`].
    pub(super) data: bool,
}

/// The kinds of tokens that matter for splitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Word,
    Semicolon,
    Open,
    Close,
    Backslash,
    Other,
    End,
}

/// The state of a literal `E'...'` that may be continued: another `'...'` after white space with a line
/// end belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continued {
    No,
    SameLine,
    NextLine,
}

/// The nesting inside a statement. A semicolon ends the statement only outside of it.
#[derive(Debug, Default)]
struct Depth {
    parentheses: usize,
    /// The number of words so far.
    words: usize,
    /// The first letters of the words at the beginning of a function definition.
    beginning: [u8; 4],
    /// The number of open BEGIN and CASE blocks in a function definition.
    blocks: usize,
}

impl Depth {
    /// Follows the rule of psql: `CREATE [OR REPLACE] {FUNCTION | PROCEDURE}` may have an SQL body with
    /// semicolons between BEGIN and END.
    fn see(&mut self, word: &[u8]) {
        let is = |known: &[&str]| known.iter().any(|it| word.eq_ignore_ascii_case(it.as_bytes()));
        if let Some(letter) = self.beginning.get_mut(self.words)
            && is(&["create", "function", "procedure", "or", "replace"])
        {
            *letter = word[0].to_ascii_lowercase();
        }
        self.words += 1;
        let defines = matches!(&self.beginning, [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']);
        if !defines || self.parentheses > 0 {
            return;
        }
        if is(&["begin"]) || (self.blocks > 0 && is(&["case"])) {
            self.blocks += 1;
        } else if is(&["end"]) {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }

    fn is_outside(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }
}

/// Reads and splits a script.
pub(super) struct Splitter<R> {
    input: R,
    skip: Skip,
    buffer: Vec<u8>,
    /// The beginning of the current statement in the buffer, and the current position.
    start: usize,
    at: usize,
    ended: bool,
    /// The line number of `start`.
    line: u64,
    at_line_start: bool,
    /// True if a backslash is an ordinary character in `'...'`: the current value and the initial one.
    standard_strings: bool,
    standard_at_first: bool,
    /// True if the script has changed the value since the last COMMIT.
    has_changed: bool,
    /// The maximum length of a statement.
    limit: usize,
    continued: Continued,
    /// True if not all data of the last COPY were read.
    has_data: bool,
}

impl<R: Read> Splitter<R> {
    /// Splits `input` for a session with this value of `standard_conforming_strings`.
    pub(super) fn new(input: R, skip: Skip, standard_strings: bool) -> Self {
        Self {
            input,
            skip,
            buffer: Vec::new(),
            start: 0,
            at: 0,
            ended: false,
            line: 1,
            at_line_start: true,
            standard_strings,
            standard_at_first: standard_strings,
            has_changed: false,
            limit: STATEMENT_MAX,
            continued: Continued::No,
            has_data: false,
        }
    }

    /// Returns true if a backslash is an ordinary character in `'...'` after the statements so far.
    pub(super) fn standard_strings(&self) -> bool {
        self.standard_strings
    }

    /// Returns the next statement that is not empty.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, SplitError> {
        let mut depth = Depth::default();
        let (mut empty, mut end) = (true, 0);
        self.continued = Continued::No;
        loop {
            if empty {
                self.release();
                if self.skips_line()? {
                    continue;
                }
            }
            let from = self.at - self.start;
            match self.token()? {
                Kind::Space => continue,
                Kind::End if empty => return Ok(None),
                Kind::Semicolon if depth.is_outside() && empty => continue,
                Kind::End => return self.piece(end).map(Some),
                Kind::Semicolon if depth.is_outside() => return self.piece(end).map(Some),
                Kind::Backslash => return Err(self.command()?),
                Kind::Open => depth.parentheses += 1,
                Kind::Close => depth.parentheses = depth.parentheses.saturating_sub(1),
                Kind::Word => depth.see(&self.buffer[self.start + from..self.at]),
                Kind::Semicolon | Kind::Other => {}
            }
            (empty, end) = (false, self.at - self.start);
            self.fits()?;
        }
    }

    /// Skips the data of the last COPY that were not read.
    pub(super) fn skip_data(&mut self) -> Result<(), SplitError> {
        while self.has_data {
            self.data()?;
        }
        Ok(())
    }

    /// Returns the next lines of the data of a COPY, or `None` at the line that ends the data.
    pub(super) fn data(&mut self) -> Result<Option<Vec<u8>>, SplitError> {
        self.release();
        if self.at_line_start && self.ends_data()? {
            self.has_data = false;
            return Ok(None);
        }
        if self.peek(0)?.is_none() {
            return Err(self.bad("the data of COPY are not terminated"));
        }
        let available = &self.buffer[self.at..];
        let mut from = 0;
        let cut = loop {
            let Some(found) = find(&available[from..], b"\n\\") else { break available.len() };
            let line = from + found + 1;
            let rest = &available[line..];
            if [&b"\\.\n"[..], b"\\.\r\n"].iter().any(|end| rest.starts_with(end) || end.starts_with(rest)) {
                break line;
            }
            from = line;
        };
        let piece = available[..cut].to_vec();
        self.at += cut;
        Ok(Some(piece))
    }

    /// Consumes the line that ends the data, if it is next.
    fn ends_data(&mut self) -> Result<bool, SplitError> {
        let mut next = [None; 4];
        for (at, byte) in next.iter_mut().enumerate() {
            *byte = self.peek(at)?;
        }
        let length = match next {
            [Some(b'\\'), Some(b'.'), None, ..] => 2,
            [Some(b'\\'), Some(b'.'), Some(b'\n'), _] | [Some(b'\\'), Some(b'.'), Some(b'\r'), None] => 3,
            [Some(b'\\'), Some(b'.'), Some(b'\r'), Some(b'\n')] => 4,
            _ => return Ok(false),
        };
        self.at += length;
        self.release();
        Ok(true)
    }

    /// Consumes the rest of the line after the semicolon of a COPY. The data begin on the next line.
    fn rest_of_line(&mut self) -> Result<(), SplitError> {
        loop {
            match (self.peek(0)?, self.peek(1)?) {
                (None, _) => return Ok(()),
                (Some(b'\n'), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(b'-'), Some(b'-')) => {
                    while self.peek(0)?.is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                }
                (Some(b), _) if is_space(b) => self.at += 1,
                _ => return Err(self.bad("something follows COPY ... FROM stdin on its line")),
            }
        }
    }

    /// Returns the byte at this distance from the current position, or `None` after the end.
    fn peek(&mut self, distance: usize) -> Result<Option<u8>, SplitError> {
        while !self.ended && self.at + distance >= self.buffer.len() {
            self.read()?;
        }
        Ok(self.buffer.get(self.at + distance).copied())
    }

    fn read(&mut self) -> Result<(), SplitError> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + READ, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        self.ended = read.map_err(SplitError::Read)? == 0;
        Ok(())
    }

    /// Discards the consumed part of the buffer.
    fn release(&mut self) {
        let done = &self.buffer[self.start..self.at];
        self.line += newlines(done);
        if let Some(last) = done.last() {
            self.at_line_start = *last == b'\n';
        }
        self.start = self.at;
    }

    fn piece(&mut self, end: usize) -> Result<Piece, SplitError> {
        let sql = self.buffer[self.start..self.start + end].to_vec();
        let line = self.line;
        self.release();
        self.follow(&sql)
            .map_err(|reason| SplitError::Script(BadScript { line, reason: reason.to_owned() }))?;
        let data = copies_in(&sql);
        if data {
            self.rest_of_line()?;
            self.release();
        }
        self.has_data = data;
        Ok(Piece { sql, line, data })
    }

    /// Updates `standard_strings` if a statement sets `standard_conforming_strings`. Fails if its value
    /// after the statement is not known.
    fn follow(&mut self, sql: &[u8]) -> Result<(), &'static str> {
        let before = self.standard_strings;
        match setting(sql) {
            Some((name, value)) if name == STRINGS => {
                if outer_words(sql).nth(1).as_deref() == Some("local") {
                    return Err(UNKNOWN_STRINGS);
                }
                self.standard_strings = match value.as_str() {
                    "on" | "true" | "tru" | "tr" | "t" | "yes" | "ye" | "y" | "1" => true,
                    "default" => self.standard_at_first,
                    _ => false,
                };
            }
            Some((name, value)) if name.is_empty() && (value == STRINGS || value == "all") => {
                self.standard_strings = self.standard_at_first;
            }
            _ if may_set_strings(sql) => return Err(UNKNOWN_STRINGS),
            _ => {
                let mut words = outer_words(sql);
                match words.next().as_deref() {
                    Some("rollback" | "abort") if self.has_changed => return Err(UNKNOWN_STRINGS),
                    Some("commit" | "end") => self.has_changed = false,
                    _ => {}
                }
            }
        }
        self.has_changed |= self.standard_strings != before;
        Ok(())
    }

    fn bad(&self, reason: impl Into<String>) -> SplitError {
        let line = self.line + newlines(&self.buffer[self.start..self.at]);
        SplitError::Script(BadScript { line, reason: reason.into() })
    }

    /// Returns the fault for a psql command.
    fn command(&mut self) -> Result<SplitError, SplitError> {
        // The backslash has been consumed.
        let mut name = String::new();
        while let Some(b) = self.peek(name.len())?.filter(|b| b.is_ascii_graphic() && name.len() < 20) {
            name.push(char::from(b));
        }
        Ok(self.bad(format!("'\\{name}' is a psql command, not SQL")))
    }

    /// Consumes a line that has to be skipped, if one is next.
    fn skips_line(&mut self) -> Result<bool, SplitError> {
        if !self.at_line_start || self.peek(0)? != Some(b'\\') {
            return Ok(false);
        }
        let mut length = 0;
        while self.peek(length)?.is_some_and(|b| b != b'\n') {
            length += 1;
        }
        let line = &self.buffer[self.at..self.at + length];
        if !self.skip.has(line.strip_suffix(b"\r").unwrap_or(line)) {
            return Ok(false);
        }
        self.at += length;
        self.release();
        Ok(true)
    }
}

/// Tokens by the rules of psql and the server.
impl<R: Read> Splitter<R> {
    fn token(&mut self) -> Result<Kind, SplitError> {
        let Some(first) = self.peek(0)? else { return Ok(Kind::End) };
        let second = self.peek(1)?;
        let continued = std::mem::replace(&mut self.continued, Continued::No);
        match (first, second) {
            (b, _) if is_space(b) => {
                self.at += 1;
                self.continued = match continued {
                    Continued::SameLine if matches!(b, b'\n' | b'\r') => Continued::NextLine,
                    other => other,
                };
                Ok(Kind::Space)
            }
            (b'-', Some(b'-')) => {
                while self.peek(0)?.is_some_and(|b| !matches!(b, b'\n' | b'\r')) {
                    self.at += 1;
                    self.fits()?;
                }
                self.continued = continued;
                Ok(Kind::Space)
            }
            (b'/', Some(b'*')) => self.comment(),
            (b'\'', _) => {
                let escapes = continued == Continued::NextLine;
                self.literal(escapes || !self.standard_strings, escapes)
            }
            (b'e' | b'E', Some(b'\'')) => {
                self.at += 1;
                self.literal(true, true)
            }
            (b'"', _) => self.quoted(b'"', false).map(|()| Kind::Other),
            (b'$', _) => self.dollar(),
            (b, _) if begins_word(b) => {
                while self.peek(0)?.is_some_and(|b| begins_word(b) || b.is_ascii_digit() || b == b'$') {
                    self.at += 1;
                }
                Ok(Kind::Word)
            }
            (b'0'..=b'9', _) => {
                while self.peek(0)?.is_some_and(|b| begins_word(b) || b.is_ascii_digit()) {
                    self.at += 1;
                }
                Ok(Kind::Other)
            }
            (b, _) => {
                self.at += 1;
                Ok(match b {
                    b';' => Kind::Semicolon,
                    b'(' => Kind::Open,
                    b')' => Kind::Close,
                    b'\\' => Kind::Backslash,
                    _ => Kind::Other,
                })
            }
        }
    }

    fn literal(&mut self, escapes: bool, may_go_on: bool) -> Result<Kind, SplitError> {
        self.quoted(b'\'', escapes)?;
        if may_go_on {
            self.continued = Continued::SameLine;
        }
        Ok(Kind::Other)
    }

    /// Consumes a quoted text up to its closing quote or the end of the script.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Result<(), SplitError> {
        self.at += 1;
        loop {
            let rest = &self.buffer[self.at..];
            match rest.iter().position(|b| *b == quote || (escapes && *b == b'\\')) {
                None => self.at = self.buffer.len(),
                Some(length) => {
                    self.at += length;
                    let escape = self.buffer[self.at] != quote;
                    if escape || self.peek(1)? == Some(quote) {
                        let step = if self.peek(1)?.is_some() { 2 } else { 1 };
                        self.at += step;
                        continue;
                    }
                    self.at += 1;
                    return Ok(());
                }
            }
            self.fits()?;
            if self.peek(0)?.is_none() {
                return Ok(());
            }
        }
    }

    /// Consumes a block comment. Block comments nest.
    fn comment(&mut self) -> Result<Kind, SplitError> {
        let mut depth = 0_usize;
        loop {
            self.fits()?;
            match (self.peek(0)?, self.peek(1)?) {
                (Some(b'/'), Some(b'*')) => (self.at, depth) = (self.at + 2, depth + 1),
                (Some(b'*'), Some(b'/')) => {
                    (self.at, depth) = (self.at + 2, depth - 1);
                    if depth == 0 {
                        return Ok(Kind::Space);
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Ok(Kind::Space),
            }
        }
    }

    /// Consumes `$tag$ ... $tag$`, or the dollar sign of a parameter.
    fn dollar(&mut self) -> Result<Kind, SplitError> {
        let mut length = 1;
        while self.peek(length)?.is_some_and(|b| begins_word(b) || (length > 1 && b.is_ascii_digit())) {
            length += 1;
        }
        if self.peek(length)? != Some(b'$') {
            self.at += 1;
            return Ok(Kind::Other);
        }
        let tag = self.buffer[self.at..=self.at + length].to_vec();
        self.at += tag.len();
        loop {
            if let Some(found) = find(&self.buffer[self.at..], &tag) {
                self.at += found + tag.len();
                return Ok(Kind::Other);
            }
            // The end of the buffer may be the beginning of the tag.
            let rest = self.buffer.len() - self.at;
            self.at += rest.saturating_sub(tag.len() - 1);
            self.fits()?;
            let rest = self.buffer.len() - self.at;
            if self.peek(rest)?.is_none() {
                self.at = self.buffer.len();
                return Ok(Kind::Other);
            }
        }
    }

    fn fits(&self) -> Result<(), SplitError> {
        match self.at - self.start > self.limit {
            true => Err(self.bad("a statement of more than 1 GB")),
            false => Ok(()),
        }
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

fn begins_word(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    loop {
        let at = from + text[from..].iter().position(|b| *b == first)?;
        if text[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Returns the words of a statement outside parentheses, in lower case. A quoted name or any other
/// token is returned as an empty string.
fn outer_words(sql: &[u8]) -> impl Iterator<Item = String> {
    let (mut at, mut depth) = (0, 0_usize);
    std::iter::from_fn(move || {
        while at < sql.len() {
            let (token, end) = next_token(sql, at);
            let text = &sql[at..end];
            at = end;
            match (token, text) {
                (Token::Space, _) => {}
                (Token::Other, b"(") => depth += 1,
                (Token::Other, b")") => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                (Token::Word, _) => return Some(String::from_utf8_lossy(text).to_ascii_lowercase()),
                _ => return Some(String::new()),
            }
        }
        None
    })
}

/// Returns true if a statement is a COPY between the server and the client.
fn copies(sql: &[u8], preposition: &str, whom: &str) -> bool {
    let mut words = outer_words(sql);
    if words.next().as_deref() != Some("copy") {
        return false;
    }
    let mut before = String::new();
    words.any(|word| {
        let found = before == preposition && word == whom;
        before = word;
        found
    })
}

fn copies_in(sql: &[u8]) -> bool {
    copies(sql, "from", "stdin")
}

/// Returns true if a statement is a COPY to the client.
pub(super) fn copies_out(sql: &[u8]) -> bool {
    copies(sql, "to", "stdout")
}

/// Returns true if a statement may set `standard_conforming_strings` by a function or a view. In
/// the bodies of functions and of DO it is not looked for.
fn may_set_strings(sql: &[u8]) -> bool {
    let has = |name: &str| sql.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()));
    // Most statements are not worth a closer look.
    if !has(SET_CONFIG) && !has(PG_SETTINGS) {
        return false;
    }
    let Some((_, first)) = words(sql).next() else { return false };
    if DEFINITIONS.contains(&first.as_str()) {
        return false;
    }
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < sql.len() {
        let (token, end) = next_token(sql, at);
        if !matches!(token, Token::Space) {
            tokens.push((token, &sql[at..end]));
        }
        at = end;
    }
    let is = |text: &[u8], name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    let names = |text: &[u8], name: &str| is(text, name) || text == format!("\"{name}\"").as_bytes();
    let sets_another = |after: &[(Token, &[u8])]| match after {
        [(_, b"("), (Token::Literal { .. }, name), (_, b","), ..] => {
            name.first() == Some(&b'\'') && !is(name.trim_ascii(), &format!("'{STRINGS}'"))
        }
        _ => false,
    };
    tokens.iter().enumerate().any(|(at, (_, text))| {
        (first == "update" && names(text, PG_SETTINGS))
            || (names(text, SET_CONFIG) && !sets_another(&tokens[at + 1..]))
    })
}

/// Returns the name and the value of a setting that a statement sets, in lower case. For RESET and
/// DISCARD the name is empty and the value is what is reset.
pub(super) fn setting(sql: &[u8]) -> Option<(String, String)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < sql.len() && parts.len() < 6 {
        let (token, end) = next_token(sql, at);
        let text = match token {
            Token::Space => None,
            Token::Literal { content, .. } => Some(content),
            Token::Quoted => Some(at + 1..end.max(at + 2) - 1),
            Token::Word | Token::Other => Some(at..end),
        };
        parts.extend(text.map(|range| String::from_utf8_lossy(&sql[range]).to_ascii_lowercase()));
        at = end;
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    match parts.as_slice() {
        ["reset", name] | ["discard", name] => pair("", name),
        ["set", "names", value] | ["set", "session" | "local", "names", value] => {
            pair("client_encoding", value)
        }
        ["set", name, "=" | "to", value] | ["set", "session" | "local", name, "=" | "to", value] => {
            pair(name, value)
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
