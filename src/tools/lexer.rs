//! A minimal SQL lexer that tells words from quoted text.

use std::ops::Range;

/// The kind of a token.
pub(super) enum Token {
    /// White space and comments.
    Space,
    /// A keyword or a name.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A string literal, with the range of its content between the quotes.
    Literal { content: Range<usize>, escapes: bool },
    /// A dollar-quoted string, or any other single byte.
    Other,
}

/// Returns the token that begins at `at`, and its end. `at` must be before the end of `sql`.
pub(super) fn next_token(sql: &[u8], at: usize) -> (Token, usize) {
    let rest = &sql[at..];
    match rest {
        [b'E' | b'e', b'\'', ..] => literal(sql, at + 1, true),
        [b'\'', ..] => literal(sql, at, false),
        [b'"', ..] => (Token::Quoted, quoted_end(sql, at, b'"', false).1),
        [b'-', b'-', ..] => (Token::Space, line_end(sql, at)),
        [b'/', b'*', ..] => (Token::Space, comment_end(sql, at)),
        [b'$', ..] => (Token::Other, dollar_end(sql, at)),
        [b, ..] if b.is_ascii_whitespace() => (Token::Space, at + 1),
        [b, ..] if is_word(*b) => {
            (Token::Word, at + rest.iter().take_while(|b| is_word(**b) || **b == b'$').count())
        }
        _ => (Token::Other, at + 1),
    }
}

pub(super) fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

fn literal(sql: &[u8], quote: usize, escapes: bool) -> (Token, usize) {
    let (content_end, end) = quoted_end(sql, quote, b'\'', escapes);
    (Token::Literal { content: quote + 1..content_end, escapes }, end)
}

/// Returns the end of the quoted content and the end of the token. `open` is the position of the
/// opening quote. If the quote is not closed, both are the end of the text.
pub(super) fn quoted_end(sql: &[u8], open: usize, quote: u8, escapes: bool) -> (usize, usize) {
    let mut at = open + 1;
    while at < sql.len() {
        match sql[at] {
            b'\\' if escapes => at += 2,
            b if b == quote && sql.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return (at, at + 1),
            _ => at += 1,
        }
    }
    (sql.len(), sql.len())
}

/// Returns the position after the next line end. A carriage return ends a line too.
fn line_end(sql: &[u8], from: usize) -> usize {
    let found = sql[from..].iter().position(|b| matches!(b, b'\n' | b'\r'));
    found.map_or(sql.len(), |at| from + at + 1)
}

/// Returns the position after the next `what`, or the end of the text if there is none.
fn find(sql: &[u8], from: usize, what: &[u8]) -> usize {
    let found = sql[from..].windows(what.len()).position(|window| window == what);
    found.map_or(sql.len(), |at| from + at + what.len())
}

/// Returns the end of a block comment. Block comments nest.
fn comment_end(sql: &[u8], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0_usize);
    while at < sql.len() {
        match &sql[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth <= 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    sql.len()
}

/// Returns the end of `$tag$ ... $tag$`, or of the single dollar sign of a parameter.
fn dollar_end(sql: &[u8], at: usize) -> usize {
    let tag = sql[at + 1..].iter().take_while(|b| is_word(**b)).count();
    let opening = at + tag + 2;
    let is_parameter = sql.get(at + 1).is_some_and(u8::is_ascii_digit);
    if is_parameter || sql.get(opening - 1) != Some(&b'$') {
        return at + 1;
    }
    find(sql, opening, &sql[at..opening])
}

/// Returns the words of `sql` outside of quotes and comments, in lower case. Each word has a flag
/// that is true if the word begins a statement.
pub(super) fn words(sql: &[u8]) -> impl Iterator<Item = (bool, String)> {
    let (mut at, mut begins) = (0, true);
    std::iter::from_fn(move || {
        while at < sql.len() {
            let (token, end) = next_token(sql, at);
            let text = &sql[at..end];
            at = end;
            match token {
                Token::Space => {}
                Token::Word => {
                    let word = String::from_utf8_lossy(text).to_ascii_lowercase();
                    return Some((std::mem::take(&mut begins), word));
                }
                Token::Other => begins = text == b";",
                Token::Quoted | Token::Literal { .. } => begins = false,
            }
        }
        None
    })
}
