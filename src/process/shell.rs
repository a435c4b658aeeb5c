//! Quotes text for a shell.

use std::borrow::Cow;

/// Returns `text` as one word for a shell.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/+:@".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")).into(),
    }
}
