//! Patterns for branches and for paths, by git's rules.

use std::fmt;
use std::str::FromStr;

use gix::bstr::ByteSlice;
use gix::glob::{self, wildmatch};

/// Patterns for branch names, separated by spaces: `main release/* !release/old`. A `*` does not match
/// a slash, `**` does. A pattern with `!` excludes branches. The last matching pattern counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchPatterns(Vec<String>);

/// Returns true if a path matches a pattern, in which a `*` stands for any text without a slash.
pub fn matches_path(pattern: &str, path: &str) -> bool {
    glob::wildmatch(pattern.into(), path.into(), wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
}

/// The reason why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// There is no pattern, or an empty one.
    #[error("there is no pattern")]
    Empty,
    /// The pattern looks like an option.
    #[error("a pattern cannot start with '-'")]
    Dash,
    /// No name in git has this character.
    #[error("a pattern cannot contain {0:?}")]
    Character(char),
}

impl BranchPatterns {
    /// Returns true if the patterns match the branch `name` (without `refs/heads/`).
    pub fn matches(&self, name: &str) -> bool {
        let hit = |pattern: &&String| {
            let pattern = pattern.trim_start_matches('!').as_bytes().as_bstr();
            glob::wildmatch(pattern, name.as_bytes().as_bstr(), wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
        };
        self.0.iter().rev().find(hit).is_some_and(|pattern| !pattern.starts_with('!'))
    }
}

impl FromStr for BranchPatterns {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        split(text).map(Self)
    }
}

impl fmt::Display for BranchPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join(" "))
    }
}

/// Patterns for paths in the format of `.gitignore`, separated by spaces: `*.sql migrations/ !docs/*.sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPatterns {
    words: Vec<String>,
    patterns: Vec<glob::Pattern>,
}

impl PathPatterns {
    /// Returns true if any of `all` matches the entry `path` of a tree. The path of a symbolic link or a
    /// submodule may match the pattern of a directory.
    pub fn any_matches(all: &[Self], path: &str) -> bool {
        let as_directory = format!("{path}/");
        all.iter().any(|one| one.matches(path) || one.matches(&as_directory))
    }

    /// Returns true if the patterns match the file `path` or one of its parent directories.
    pub fn matches(&self, path: &str) -> bool {
        let parents = path.match_indices('/').map(|(at, _)| (&path[..at], true));
        parents.chain([(path, false)]).fold(false, |found, (part, is_dir)| {
            let hit = |pattern: &&glob::Pattern| {
                let base = part.rfind('/').map(|at| at + 1);
                let mode = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
                let case = glob::pattern::Case::Sensitive;
                pattern.matches_repo_relative_path(part.as_bytes().as_bstr(), base, Some(is_dir), case, mode)
            };
            self.patterns.iter().rev().find(hit).map_or(found, |pattern| !pattern.is_negative())
        })
    }
}

impl FromStr for PathPatterns {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let words = split(text)?;
        let patterns = words.iter().map(|word| glob::parse(word).ok_or(InvalidPattern::Empty));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()?, words })
    }
}

impl fmt::Display for PathPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words.join(" "))
    }
}

fn split(text: &str) -> Result<Vec<String>, InvalidPattern> {
    let words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if words.is_empty() || words.iter().any(|word| word.trim_start_matches('!').is_empty()) {
        return Err(InvalidPattern::Empty);
    }
    if words.iter().any(|word| word.starts_with('-')) {
        return Err(InvalidPattern::Dash);
    }
    match text.chars().find(|c| c.is_control() && !c.is_ascii_whitespace()) {
        Some(c) => Err(InvalidPattern::Character(c)),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_match_by_name_and_by_pattern() {
        let patterns: BranchPatterns = "main release/* !release/old hotfix/**".parse().unwrap();
        for name in ["main", "release/1.0", "hotfix/a/b", "release/$(touch x)", "release/'; rm -rf \"`x`"] {
            assert!(patterns.matches(name), "{name}");
        }
        for name in ["main2", "xmain", "release/old", "release/a/b", "hotfix", "Main", "", "refs/heads/main"]
        {
            assert!(!patterns.matches(name), "{name}");
        }
        let all_but: BranchPatterns = "** !wip/**".parse().unwrap();
        assert!(all_but.matches("a/b") && all_but.matches("a") && !all_but.matches("wip/x"));
    }

    #[test]
    fn paths_match_like_those_of_gitignore() {
        let patterns: PathPatterns = "*.sql migrations/ !docs/*.sql /schema.rb".parse().unwrap();
        for path in ["a.sql", "db/a.sql", "migrations/1.rb", "db/migrations/x/1.py", "schema.rb"] {
            assert!(patterns.matches(path), "{path}");
        }
        for path in
            ["README.md", "docs/a.sql", "migrations", "db/schema.rb", "a.sql.txt", "", "migrations2/x"]
        {
            assert!(!patterns.matches(path), "{path}");
        }
        assert!("*".parse::<PathPatterns>().unwrap().matches("anything/at/all"));
    }

    #[test]
    fn an_invalid_pattern_is_refused() {
        for text in ["", "  ", "!", "-x", "a\0b", "a\x1bb"] {
            assert!(text.parse::<BranchPatterns>().is_err(), "{text:?}");
            assert!(text.parse::<PathPatterns>().is_err(), "{text:?}");
        }
    }
}
