//! Texts that users choose: names, tags and reasons.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BackupId, Invalid, text_newtype};

fn one_line(what: &'static str, text: &str, most: usize) -> Result<(), Invalid> {
    let refuse = |reason: String| Err(Invalid::new(what, text, reason));
    if text.is_empty() {
        return refuse("it is empty".to_owned());
    }
    if text.len() > most {
        return refuse(format!("it has {} bytes, and the limit is {most}", text.len()));
    }
    if text.trim() != text {
        return refuse("it begins or ends with white space".to_owned());
    }
    match text
        .chars()
        .find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'))
    {
        Some(c) => refuse(format!("it contains the control character {c:?}")),
        None => Ok(()),
    }
}

/// The name of a backup: one line of up to 200 bytes. It never looks like an option or an id, and it is
/// not `latest` or `oldest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(String);

impl BackupName {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WHAT: &str = "backup name";
        one_line(WHAT, text, 200)?;
        if text.starts_with('-') {
            return Err(Invalid::new(WHAT, text, "it begins with `-`"));
        }
        if matches!(text, "latest" | "oldest") || text.parse::<BackupId>().is_ok() {
            return Err(Invalid::new(WHAT, text, "`latest`, `oldest` and ids are reserved"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The key of a tag: letters, digits and `._/-`, up to 100 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagKey(String);

impl TagKey {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WHAT: &str = "tag";
        one_line(WHAT, text, 100)?;
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
        match text.chars().find(|c| !allowed(*c)) {
            _ if text.starts_with('-') => Err(Invalid::new(WHAT, text, "it begins with `-`")),
            Some(c) => {
                Err(Invalid::new(WHAT, text, format!("{c:?} is not a letter, a digit or one of `._/-`")))
            }
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// One line of text such as a reason or the value of a tag: up to 1,000 bytes without control
/// characters. It may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

impl Line {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts any text into a line. Control characters become spaces, and a text that is too long is
    /// cut.
    pub fn lossy(text: &str) -> Self {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut end = clean.len().min(1000);
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        Self(clean[..end].trim().to_owned())
    }
}

impl FromStr for Line {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.is_empty() {
            one_line("text", text, 1000)?;
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! display {
    ($($type:ident),*) => { $(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        text_newtype!($type);
    )* };
}
display!(BackupName, TagKey, Line);

#[cfg(test)]
mod tests {
    use super::{BackupName, Line, TagKey};

    #[test]
    fn names_that_could_hurt_are_refused_with_a_reason() {
        let long = "x".repeat(10_000);
        for bad in ["", " a", "a ", "-rf", "a\nb", "a\0b", "\u{1b}[2J", "latest", "oldest", long.as_str()] {
            assert!(bad.parse::<BackupName>().is_err(), "{bad:?}");
        }
        for good in ["nightly", "before v2.0", "../odd but harmless", "it's \"quoted\"", "日本"] {
            assert_eq!(good.parse::<BackupName>().unwrap().as_str(), good);
        }
        let error = long.parse::<BackupName>().unwrap_err().to_string();
        assert!(error.len() < 200 && error.ends_with("it has 10000 bytes, and the limit is 200"), "{error}");
    }

    #[test]
    fn tags_are_plain_words() {
        assert!("release/2.0".parse::<TagKey>().is_ok());
        for bad in ["", "a=b", "a b", "-x", "a\tb"] {
            assert!(bad.parse::<TagKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_text_becomes_a_line() {
        assert_eq!(Line::lossy(" a\nb\u{1b}c ").as_str(), "a b c");
        assert!(Line::lossy(&"é".repeat(5000)).as_str().parse::<Line>().is_ok());
    }
}
