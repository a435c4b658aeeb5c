//! Removes secrets from a schema.
//!
//! A schema is stored in git, where everyone with access can read it forever. PostgreSQL stores
//! secrets in `OPTIONS (...)` of foreign servers, user mappings and similar objects, and in the
//! `CONNECTION` of subscriptions. Function bodies and all other literals are the user's own text
//! and stay unchanged. An option that may be a secret is treated as a secret.

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::{Token, is_word, next_token, quoted_end};

const MASK: &[u8] = b"***";
const SECRET_WORDS: [&str; 5] = ["pass", "pwd", "secret", "token", "credential"];

/// Returns `sql`, as written by pg_dump, with `***` in place of every secret.
pub(super) fn redact_secrets(sql: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sql.len());
    let mut place = StatementState::default();
    let mut at = 0;
    while at < sql.len() {
        let (kind, end) = next_token(sql, at);
        let token = &sql[at..end];
        match place.see(&kind, token) {
            TokenAction::Keep => out.extend_from_slice(token),
            TokenAction::Mask => push_literal(&mut out, MASK),
            TokenAction::Inspect => {
                let Token::Literal { content, escapes } = kind else {
                    unreachable!("only literals are inspected")
                };
                let value = decode(&sql[content], escapes);
                match redact_conninfo(&value) {
                    Cow::Borrowed(_) => out.extend_from_slice(token),
                    Cow::Owned(clean) => push_literal(&mut out, &clean),
                }
            }
        }
        at = end;
    }
    out
}

/// Replaces every secret in the statements that a program quotes in its messages by `***`.
pub(super) fn redact_commands(said: &str) -> String {
    const QUOTES: &str = "Command was: ";
    let mut out = String::with_capacity(said.len());
    let mut command = String::new();
    let mut in_command = false;
    let flush = |command: &mut String, out: &mut String| {
        out.push_str(&String::from_utf8_lossy(&redact_passwords(command.as_bytes())));
        command.clear();
    };
    for line in said.split_inclusive('\n') {
        let rest = line.find(QUOTES).map(|at| line.split_at(at + QUOTES.len()));
        // Any other line continues a statement.
        if begins_message(line) || rest.is_some() {
            flush(&mut command, &mut out);
            in_command = false;
        }
        match rest {
            Some((before, statement)) => {
                out.push_str(before);
                command.push_str(statement);
                in_command = true;
            }
            None if in_command => command.push_str(line),
            None => out.push_str(line),
        }
    }
    flush(&mut command, &mut out);
    out
}

/// Returns true if a line is the beginning of a message of one of PostgreSQL's programs.
fn begins_message(line: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["error: ", "fatal: ", "warning: ", "info: ", "detail: ", "hint: ", "from TOC entry ", "while "];
    let Some((program, rest)) = line.split_once(": ") else { return false };
    let is_name = program.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name && program.starts_with("pg_") && BEGINNINGS.iter().any(|start| rest.starts_with(start))
}

/// Replaces the secrets in one statement, and any literal after the word PASSWORD.
fn redact_passwords(sql: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sql.len());
    let (mut at, mut is_password) = (0, false);
    let clean = redact_secrets(sql);
    while at < clean.len() {
        let (kind, end) = next_token(&clean, at);
        match kind {
            Token::Literal { .. } if is_password => push_literal(&mut out, MASK),
            _ => out.extend_from_slice(&clean[at..end]),
        }
        is_password = match kind {
            Token::Space => is_password,
            Token::Word => clean[at..end].eq_ignore_ascii_case(b"password"),
            _ => false,
        };
        at = end;
    }
    out
}

enum TokenAction {
    Keep,
    Mask,
    Inspect,
}

/// The position in a statement.
#[derive(Default)]
struct StatementState {
    /// The last word, if only white space followed it.
    word: Option<String>,
    /// The number of open parentheses, counted from the one of `OPTIONS (`; 0 outside.
    depth: usize,
}

impl StatementState {
    fn see(&mut self, kind: &Token, token: &[u8]) -> TokenAction {
        match kind {
            Token::Space => return TokenAction::Keep,
            Token::Word => self.word = Some(String::from_utf8_lossy(token).to_ascii_lowercase()),
            Token::Quoted => {
                let name = &token[1..token.len().max(2) - 1];
                self.word = Some(String::from_utf8_lossy(name).replace("\"\"", "\"").to_ascii_lowercase());
            }
            Token::Literal { content, .. } => {
                let word = self.word.take().unwrap_or_default();
                let inner = content.end - content.start;
                return self.judge(&word, &token[token.len().saturating_sub(inner + 1)..]);
            }
            Token::Other if token.len() > 1 => {
                let word = self.word.take().unwrap_or_default();
                return if self.depth > 0 && is_secret(&word) {
                    TokenAction::Mask
                } else {
                    TokenAction::Keep
                };
            }
            Token::Other => self.punctuation(token),
        }
        TokenAction::Keep
    }

    fn judge(&self, word: &str, rest: &[u8]) -> TokenAction {
        if self.depth > 0 && is_secret(word) && !is_flag(word, rest) {
            TokenAction::Mask
        } else if self.depth > 0 || word == "connection" {
            TokenAction::Inspect
        } else {
            TokenAction::Keep
        }
    }

    fn punctuation(&mut self, token: &[u8]) {
        let word = self.word.take();
        match token {
            b"(" if self.depth > 0 || word.as_deref() == Some("options") => self.depth += 1,
            b")" => self.depth = self.depth.saturating_sub(1),
            b";" => self.depth = 0,
            _ => {}
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("key") || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Returns true if an option is the `key 'true'` by which foreign tables mark key columns.
fn is_flag(name: &str, literal_end: &[u8]) -> bool {
    name == "key" && [&b"true'"[..], b"false'", b"yes'", b"no'", b"on'", b"off'"].contains(&literal_end)
}

fn decode(content: &[u8], escapes: bool) -> Cow<'_, [u8]> {
    if !content.iter().any(|b| *b == b'\'' || (escapes && *b == b'\\')) {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(b) = bytes.next() {
        match b {
            // Keeps the second quote of a pair, and the byte after a backslash.
            b'\'' => out.extend(bytes.next()),
            b'\\' if escapes => out.extend(bytes.next()),
            other => out.push(*other),
        }
    }
    Cow::Owned(out)
}

/// Writes a literal for `standard_conforming_strings = on`, which pg_dump sets.
fn push_literal(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'\'');
    for b in value {
        out.push(*b);
        if *b == b'\'' {
            out.push(*b);
        }
    }
    out.push(b'\'');
}

/// Masks passwords in a connection string or a URL. Returns the borrowed value if there are none.
fn redact_conninfo(value: &[u8]) -> Cow<'_, [u8]> {
    let mut secrets = userinfo_passwords(value);
    secrets.extend(secret_parameters(value));
    secrets.sort_by_key(|range| range.start);
    if secrets.iter().all(|range| &value[range.clone()] == MASK) {
        return Cow::Borrowed(value);
    }
    let (mut out, mut at) = (Vec::with_capacity(value.len()), 0);
    for range in secrets {
        if range.end > at {
            out.extend_from_slice(&value[at..range.start.max(at)]);
            out.extend_from_slice(if range.start >= at { MASK } else { b"" });
            at = range.end;
        }
    }
    out.extend_from_slice(&value[at..]);
    Cow::Owned(out)
}

/// Returns the position of each `secret` in `scheme://user:secret@host`.
fn userinfo_passwords(value: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = value[from..].windows(3).position(|window| window == b"://") {
        let start = from + at + 3;
        let authority = value[start..].iter().take_while(|b| **b != b'/' && !b.is_ascii_whitespace()).count();
        let authority = &value[start..start + authority];
        let host = authority.iter().rposition(|b| *b == b'@');
        let colon = authority.iter().position(|b| *b == b':');
        if let (Some(host), Some(colon)) = (host, colon)
            && colon < host
        {
            found.push(start + colon + 1..start + host);
        }
        from = start;
    }
    found
}

/// Returns the position of each value in `name = value` whose name indicates a secret.
fn secret_parameters(value: &[u8]) -> Vec<Range<usize>> {
    let is_uri = value.windows(3).any(|window| window == b"://");
    let mut found: Vec<Range<usize>> = Vec::new();
    for equals in (0..value.len()).filter(|at| value[*at] == b'=') {
        let before = value[..equals].trim_ascii_end();
        let length = before.iter().rev().take_while(|b| is_word(**b) || matches!(**b, b'-' | b'.')).count();
        let name = String::from_utf8_lossy(&before[before.len() - length..]).into_owned();
        let inside_another = found.last().is_some_and(|range| equals < range.end);
        if is_secret(&name) && !inside_another {
            let start =
                equals + 1 + value[equals + 1..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            found.push(start..parameter_end(value, start, is_uri));
        }
    }
    found
}

fn parameter_end(value: &[u8], start: usize, is_uri: bool) -> usize {
    // A value may continue after a closing quote: `""x`.
    let mut at = match value.get(start) {
        Some(quote @ (b'\'' | b'"')) => quoted_end(value, start, *quote, true).1,
        _ => start,
    };
    while at < value.len() && !value[at].is_ascii_whitespace() && !(is_uri && value[at] == b'&') {
        at += if value[at] == b'\\' { 2 } else { 1 };
    }
    at.min(value.len())
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
