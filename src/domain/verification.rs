//! The result of the verifications of a backup, and the policy for them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::duration_text;
use super::{Backup, Invalid, Timestamp, VerificationKind, VerificationStatus, parse_positive_duration};

impl VerificationKind {
    /// Returns the word for configuration and command line: `restore-test`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::IntegrityCheck => "integrity",
            Self::RestoreTest => "restore-test",
        }
    }

    /// Returns the kind with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

/// The result of all verifications of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Verified {
    /// The kind of the verification that decides: a kind whose latest verdict is `failed`, otherwise
    /// the kind that proves most.
    pub kind: VerificationKind,
    /// The latest verdict of this kind.
    pub status: VerificationStatus,
    /// The time of the latest verdict.
    pub at: Timestamp,
}

impl Backup {
    /// Returns the result of all verifications; `None` if there is none.
    pub fn verified(&self) -> Option<Verified> {
        let latest = |kind: &VerificationKind| {
            let last = self.verifications.iter().rev().find(|it| it.kind == *kind)?;
            Some(Verified { kind: last.kind, status: last.status, at: last.at })
        };
        let by_kind: Vec<Verified> = VerificationKind::ALL.iter().filter_map(latest).collect();
        let failed = by_kind.iter().rev().find(|it| it.status == VerificationStatus::Failed);
        failed.or(by_kind.last()).copied()
    }

    /// Returns the latest verification of a kind.
    pub fn last_verification(&self, kind: VerificationKind) -> Option<&super::Verification> {
        self.verifications.iter().rev().find(|it| it.kind == kind)
    }
}

/// A policy for verifications: `restore-test every 7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyPolicy {
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// True for every kept backup, false for only the newest one.
    pub all: bool,
    /// The maximum time between two verifications, in seconds.
    pub every_s: u64,
}

impl VerifyPolicy {
    /// Reads a policy: a kind, optionally `of all` or `of newest`, and `every` with a duration.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (kind, all, span) = match words.as_slice() {
            [kind, "every", span] | [kind, "of", "newest", "every", span] => (kind, false, span),
            [kind, "of", "all", "every", span] => (kind, true, span),
            _ => return None,
        };
        let every_s = parse_positive_duration(span).ok()?.as_secs();
        Some(Self { kind: VerificationKind::of_word(kind)?, all, every_s })
    }

    /// Returns the maximum time between two verifications.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }
}

impl FromStr for VerifyPolicy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid::new(
                "verification policy",
                text,
                "expected such as `restore-test every 7d` (units s, m, h, d, w)",
            )
        };
        Self::parse(text).ok_or_else(refused)
    }
}

impl fmt::Display for VerifyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.all { " of all" } else { "" };
        write!(f, "{}{of} every {}", self.kind.word(), duration_text(self.every_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written() {
        for (text, written) in [
            ("restore-test every 7d", "restore-test every 1w"),
            ("checksum  of all every 36h", "checksum of all every 36h"),
            ("integrity of newest every 90s", "integrity every 90s"),
        ] {
            let policy: VerifyPolicy = text.parse().unwrap();
            assert_eq!(policy.to_string(), written);
            assert_eq!(written.parse(), Ok(policy));
        }
        for bad in [
            "",
            "restore-test",
            "restore-test every",
            "restore-test every 0d",
            "restore-test every -1d",
            "restore_test every 7d",
            "checksum every 7",
            "checksum every d",
            "checksum of some every 7d",
            "checksum every 7d please",
            "checksum every 99999999999d",
            "checksum every 7é",
        ] {
            assert_eq!(VerifyPolicy::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn kinds_have_words() {
        for kind in VerificationKind::ALL {
            assert_eq!(VerificationKind::of_word(kind.word()), Some(*kind));
        }
    }
}
