//! Parses source text: code, words, braces and paths.

/// Returns the text with comments and the contents of strings and characters replaced by blanks. The lines
/// stay the same.
pub(crate) fn code_of(source: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(c) = rest.chars().next() {
        let opaque = comment_len(rest).or_else(|| string_len(rest, &code)).or_else(|| char_len(rest));
        let taken = opaque.unwrap_or(c.len_utf8());
        match opaque {
            Some(len) => code.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push(c),
        }
        rest = &rest[taken..];
    }
    code
}

pub(crate) fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*").then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

/// Returns the length of a string literal, raw or not. `before` is the text before it: an `r` may be the
/// end of a word.
pub(crate) fn string_len(rest: &str, before: &str) -> Option<usize> {
    let raw = rest.strip_prefix('r').filter(|_| !before.ends_with(is_word));
    if let Some(after) = raw {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = 1 + hashes + 1;
            return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
        }
    }
    let body = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    Some(rest.len())
}

/// Returns the length of a character literal; a lifetime is not one.
pub(crate) fn char_len(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        let end = body[2..].find('\'')?;
        return Some(1 + 2 + end + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(1 + at + 1)
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(crate) fn leading_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Returns true if `word` occurs in `code` as a whole word.
pub(crate) fn names(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_word) && leading_word(&code[at..]) == word)
}

/// Returns the function at the start of `code` up to its last brace; `None` if it has no body.
pub(crate) fn body_of(code: &str) -> Option<&str> {
    let (mut braces, mut brackets) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            '{' => braces += 1,
            '}' => braces -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            _ => continue,
        }
        if c == '}' && braces == 0 {
            return Some(&code[..=at]);
        }
    }
    None
}

/// Returns the paths behind a prefix such as `super::` at the beginning of `code`, with groups split:
/// `a::{b, c::d}` is `a::b` and `a::c::d`.
pub(crate) fn paths(code: &str) -> Vec<Vec<String>> {
    let code = code.trim_start();
    if let Some(group) = code.strip_prefix('{') {
        return split_group(group).iter().flat_map(|item| paths(item)).collect();
    }
    let word = leading_word(code);
    if word.is_empty() {
        return vec![vec![]];
    }
    let rest = match code[word.len()..].strip_prefix("::") {
        Some(rest) => paths(rest),
        None => vec![vec![]],
    };
    let with_word = |path: Vec<String>| std::iter::once(word.to_owned()).chain(path).collect();
    rest.into_iter().map(with_word).collect()
}

/// Returns the items of a group, up to its closing brace.
pub(crate) fn split_group(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        items.last_mut().expect("there is always one").push(c);
    }
    items
}

/// Returns the code without the parts that are only compiled for tests, and the names of test modules that
/// are files.
pub(crate) fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut left, mut modules, mut rest) = (String::new(), vec![], code);
    let attribute = "#[cfg(test)]";
    while let Some(at) = rest.find(attribute) {
        left.push_str(&rest[..at]);
        let item = &rest[at + attribute.len()..];
        let end = match body_of(item) {
            Some(body) => body.len(),
            None => item.find(';').map_or(item.len(), |end| end + 1),
        };
        let words: Vec<&str> = item[..end].trim_end_matches(';').split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "mod").filter(|_| item[..end].ends_with(';'))
        {
            modules.push(words[at + 1].to_owned());
        }
        rest = &item[end..];
    }
    left.push_str(rest);
    (left, modules)
}
