//! Counts patterns that should become fewer: names of types that mean several things, `match` on a bool,
//! and values that share a `let` only to save lines.

use std::collections::BTreeMap;

use crate::text::{body_of, is_word, leading_word, split_group};

/// Returns the types that the code exports to other files.
pub(crate) fn offered_types(code: &str) -> Vec<&str> {
    let mut types = vec![];
    for line in code.lines().map(str::trim_start) {
        let Some(rest) = line.strip_prefix("pub") else { continue };
        let rest = match rest.strip_prefix('(') {
            Some(scope) => scope.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let kinds = ["struct ", "enum ", "trait ", "type "];
        let name = kinds.iter().find_map(|kind| rest.strip_prefix(' ')?.strip_prefix(kind));
        // In a macro the name is a variable.
        types.extend(name.map(leading_word).filter(|name| !name.is_empty()));
    }
    types
}

/// Returns the number of `match` with arms for `true` and `false`.
pub(crate) fn matches_on_bools(code: &str) -> usize {
    let blocks = code.match_indices("match ").filter(|(at, _)| !code[..*at].ends_with(is_word));
    blocks.filter_map(|(at, _)| body_of(&code[at..])).filter(|block| has_bool_arms(block)).count()
}

fn has_bool_arms(block: &str) -> bool {
    let Some(open) = block.find('{') else { return false };
    let mut depth = 0;
    let mut own = String::new();
    for c in block[open..].chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 1 {
            own.push(c);
        }
    }
    let arm =
        |value: &str| own.match_indices(value).any(|(at, _)| own[..at].trim_end().ends_with(['{', '}', ',']));
    arm("true =>") && arm("false =>")
}

/// Returns the number of `let` that bind three or more values to names, one by one.
pub(crate) fn crowded_lets(code: &str) -> usize {
    let lets = code.match_indices("let (").filter(|(at, _)| !code[..*at].ends_with(is_word));
    lets.filter(|(at, prefix)| is_crowded(&code[at + prefix.len() - 1..])).count()
}

fn is_crowded(pattern: &str) -> bool {
    let Some(names) = parenthesised(pattern) else { return false };
    let rest = pattern[names.len()..].trim_start();
    let Some(values) = rest.strip_prefix('=').map(str::trim_start).and_then(parenthesised) else {
        return false;
    };
    let after = rest[1..].trim_start()[values.len()..].trim_start();
    after.starts_with(';') && items(values) >= 3
}

/// Returns the text up to the parenthesis that closes the first one.
fn parenthesised(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return (at > 0).then_some(&text[..=at]);
        }
    }
    None
}

/// Returns the number of items of a tuple.
fn items(tuple: &str) -> usize {
    let braced: String = tuple[1..tuple.len() - 1]
        .chars()
        .map(|c| match c {
            '(' | '[' => '{',
            ')' | ']' => '}',
            _ => c,
        })
        .collect();
    split_group(&braced).iter().filter(|item| !item.trim().is_empty()).count()
}

/// Returns the differences between the allowed and the found numbers, as errors.
pub(crate) fn compare(what: &str, allowed: &[(&str, usize)], found: &BTreeMap<String, usize>) -> Vec<String> {
    let mut all: BTreeMap<&str, (usize, usize)> =
        found.iter().map(|(name, n)| (name.as_str(), (0, *n))).collect();
    for (name, number) in allowed {
        all.entry(name).or_default().0 = *number;
    }
    let differ = all.into_iter().filter(|(_, (allowed, found))| allowed != found);
    let tell = |(name, (allowed, found)): (&str, (usize, usize))| {
        if found > allowed {
            format!("{what} `{name}`: {found}, the list allows {allowed}")
        } else {
            format!("{what} `{name}`: {found}, lower the {allowed} in the list")
        }
    };
    differ.map(tell).collect()
}

#[test]
fn the_counts_see_what_they_look_for() {
    let code =
        "pub struct A;\n  pub(crate) enum B {}\npub(in crate::x) type C<T> = T;\nstruct D;\npub fn e() {}\n";
    assert_eq!(offered_types(code), ["A", "B", "C"]);
    let code = "match x { true => 1, false => { 2 } }; match y { Some(true) => match z { false => 1, true => 2 }, _ => 3 }";
    assert_eq!(matches_on_bools(code), 2);
    assert_eq!(matches_on_bools("match x { (true, _) => 1, (false, true) => 2, _ => 3 }"), 0);
    let code =
        "let (a, b, c) = (1, f(2, 3), [4, 5]); let (a, b) = (1, f(2, 3, 4)); let (a, b, c) = f(1, 2, 3);";
    assert_eq!(crowded_lets(code), 1);
    assert_eq!(crowded_lets("let (a, b, c): (u8, u8, u8) = (1, 2, 3);"), 0);
}
