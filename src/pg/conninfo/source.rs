//! A connection string as written, before defaults are applied.

use std::fmt;
use std::str::FromStr;

use super::super::{Error, Result};
use super::options::{self, Spec};
use super::secret::Secret;
use super::uri;

/// A parsed connection string: a URI, keywords and values, or the name of a database. It needs
/// neither files nor the environment.
#[derive(Clone)]
pub struct Source {
    pub(super) given: Vec<(&'static Spec, Secret)>,
    shown: String,
}

impl Source {
    /// Parses the connection strings that `psql -d` accepts. Fails if the text is not one.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains('\0') {
            return Err(Error::conninfo("a connection string cannot contain a NUL"));
        }
        if let Some(rest) = uri::rest_of(text) {
            let given = uri::parse(rest)?;
            return Ok(Self { given, shown: uri::without_secrets(text) });
        }
        if !text.contains('=') {
            let given = options::find("dbname").filter(|_| !text.is_empty());
            let given = given.map(|spec| (spec, Secret::new(text))).into_iter().collect();
            return Ok(Self { given, shown: text.to_owned() });
        }
        let given = parse_keywords(text)?;
        let public = given.iter().filter(|(spec, _)| !spec.secret);
        let shown = write_keywords(public.map(|(spec, value)| (spec.keyword, value.reveal())));
        Ok(Self { given, shown })
    }

    /// Like [`Source::parse`], for a text that a person has written.
    ///
    /// # Errors
    /// Also if the name of the database looks like a connection string in a form that is not read: it may contain
    /// a password, and names are repeated in messages. The error does not repeat it.
    pub fn parse_given(text: &str) -> Result<Self> {
        let source = Self::parse(text)?;
        let is_url = uri::rest_of(text).is_some();
        let names = source.given.iter().filter(|(spec, _)| spec.keyword == "dbname" && !is_url);
        for (_, name) in names {
            check_database(name.reveal())?;
        }
        Ok(source)
    }

    /// Returns true if the text contains a password or another secret.
    pub fn has_password(&self) -> bool {
        self.given.iter().any(|(spec, value)| spec.secret && !value.reveal().is_empty())
    }

    /// Returns the text without its secrets.
    pub fn without_password(&self) -> &str {
        &self.shown
    }
}

/// Fails if the name of a database looks like a connection string.
fn check_database(name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    let is_url = lower.contains("://") || lower.starts_with("postgres:") || lower.starts_with("postgresql:");
    if is_url || (lower.contains("password") && lower.contains('=')) {
        let forms = "'postgresql://...', 'postgres://...' or 'keyword=value ...'";
        return Err(Error::conninfo(format!(
            "the name of the database looks like a connection string; write {forms}"
        )));
    }
    Ok(())
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.shown).finish()
    }
}

/// Writes `keyword=value` pairs in the form that [`parse_keywords`] and libpq read.
pub(super) fn write_keywords<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+%~".contains(c);
    let mut text = String::new();
    for (keyword, value) in pairs {
        if !text.is_empty() {
            text.push(' ');
        }
        if !value.is_empty() && value.chars().all(plain) {
            text += &format!("{keyword}={value}");
        } else {
            text += &format!("{keyword}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
        }
    }
    text
}

/// Reads `keyword = value` pairs as `conninfo_parse` of libpq does. Messages do not contain words
/// of the text: after a missing quote they may be part of a password.
fn parse_keywords(text: &str) -> Result<Vec<(&'static Spec, Secret)>> {
    let mut given = Vec::new();
    for pair in Pairs::of(text) {
        let (keyword, value) = pair?;
        let value = value?;
        let seen_secret = given.iter().any(|(spec, _): &(&Spec, _)| spec.secret);
        let spec = options::find(keyword).ok_or_else(|| match seen_secret {
            true => Error::conninfo("unknown connection option after a password"),
            false => Error::conninfo(format!("unknown connection option {keyword:?}")),
        })?;
        given.push((spec, Secret::new(value)));
    }
    Ok(given)
}

/// The `keyword = value` pairs of a connection string, whether or not libpq knows the keywords. A
/// value is an error if it has no end.
#[derive(Debug)]
pub struct Pairs<'a>(&'a str);

impl<'a> Pairs<'a> {
    /// Splits `text`.
    pub fn of(text: &'a str) -> Self {
        Self(text.trim_start_matches(is_space))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a str, Result<String>)>;

    /// Nothing follows an error.
    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.0);
        if rest.is_empty() {
            return None;
        }
        let word = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
        let (keyword, tail) = rest.split_at(word);
        let Some(tail) = tail.trim_start_matches(is_space).strip_prefix('=') else {
            return Some(Err(Error::conninfo("missing \"=\" after a word of the connection string")));
        };
        let value = keyword_value(tail.trim_start_matches(is_space)).map(|(value, tail)| {
            self.0 = tail.trim_start_matches(is_space);
            value
        });
        Some(Ok((keyword, value)))
    }
}

/// Takes a value from the front. Returns it and the rest.
fn keyword_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if !quoted && is_space(c) => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(Error::conninfo("unterminated quoted string in the connection string"));
    }
    Ok((value, ""))
}

/// Returns true for white space of the C locale, as `isspace` does.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}
