//! Checks the signatures of ledger commits against the authors of the events that they add. Pure.

use crate::git::{Signature, SignatureVerdict};

use super::{Code, Finding, Link, Severity, chain::Added};

/// The kinds of events that end the life of a backup, or change when it may end.
const WEIGHTY: [&str; 4] = ["deleted", "expired", "held", "released"];

/// Checks one ledger commit of the ref `reference`.
pub(super) fn check(reference: &str, link: &Link, signature: Option<&Signature>) -> Vec<Finding> {
    let verdict = signature.map_or(SignatureVerdict::Missing, |signature| signature.verdict);
    let key = signature.map(|signature| signature.key.as_str()).filter(|key| !key.is_empty());
    let key = key.map(|key| format!(" (key {key})")).unwrap_or_default();
    let whole = match verdict {
        SignatureVerdict::Good => None,
        SignatureVerdict::Missing => Some((Code::Unsigned, "the commit is not signed".to_owned())),
        SignatureVerdict::Bad => {
            Some((Code::SignatureBad, format!("the signature does not match the commit{key}")))
        }
        SignatureVerdict::Revoked => Some((Code::SignatureBad, format!("the signing key was revoked{key}"))),
        SignatureVerdict::Unknown => Some((Code::SignerUnknown, format!("the signing key is unknown{key}"))),
        SignatureVerdict::Unchecked => {
            Some((Code::SignerUnknown, format!("the signature cannot be checked{key}")))
        }
        SignatureVerdict::Expired => {
            Some((Code::SignatureExpired, format!("the signature has expired{key}")))
        }
    };
    let mut findings: Vec<Finding> =
        whole.into_iter().map(|(code, message)| Finding::new(code, reference, message).at(link.id)).collect();
    let proven = matches!(verdict, SignatureVerdict::Good | SignatureVerdict::Expired);
    let signer = signature.map_or("", |signature| signature.signer.as_str());
    for event in &link.added {
        let weighty = WEIGHTY.contains(&event.kind.as_str());
        let Added { file, id, kind, by } = event;
        let finding = if !proven && weighty {
            let message = format!("no valid signature proves that event {id} ({kind}) is by {by}");
            Finding::new(Code::ActorUnproven, reference, message)
        } else if proven && !is_same(by, signer) {
            let severity = if weighty { Severity::Error } else { Code::SignerDiffers.severity() };
            let message = format!("event {id} ({kind}) names {by} as its author, but {signer} signed it");
            Finding::new(Code::SignerDiffers, reference, message).severity(severity)
        } else {
            continue;
        };
        findings.push(finding.file(file).at(link.id));
    }
    findings
}

/// Returns true if the author `by` (`Name <mail>`) is the signer. `signer` is a user id of the same
/// form, a mail address, or a pattern of addresses as in an allowed signers file.
fn is_same(by: &str, signer: &str) -> bool {
    let mail = |text: &str| {
        let inside = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end().trim_end_matches('>'));
        inside.to_ascii_lowercase()
    };
    let by = mail(by);
    mail(signer).split(',').any(|pattern| matches(pattern.trim().as_bytes(), by.as_bytes()))
}

/// Returns true if `text` matches `pattern`: `*` matches any text, `?` one byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut star) = (0, None);
    let mut in_text = 0;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match star {
                Some((star_at, from)) => {
                    (at, in_text, star) = (star_at + 1, from + 1, Some((star_at, from + 1)));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn signers_are_compared_by_mail() {
        for signer in
            ["ada@example.com", "Ada L <ADA@example.com>", "*@example.com", "bob@x,ada@example.com", "a?a@*"]
        {
            assert!(is_same("Ada <ada@example.com>", signer), "{signer}");
        }
        for signer in ["", "bob@example.com", "ada@example.co", "*.example.com", "ada", "Ada <ada>"] {
            assert!(!is_same("Ada <ada@example.com>", signer), "{signer}");
        }
    }
}
