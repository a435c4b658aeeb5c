//! The recovery settings of a restored cluster: the recovery target and the source of the WAL.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::domain::{RecoveryTarget, Timestamp};

/// The source of the WAL that a restored cluster replays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalSource {
    /// The program that fetches WAL segments: this program.
    pub program: PathBuf,
    /// The store with the WAL archive.
    pub store: String,
    /// The system identifier of the cluster that wrote the WAL.
    pub system_identifier: String,
}

impl WalSource {
    /// Returns the settings as text for `postgresql.auto.conf`. The server exits with an error if the
    /// WAL ends before the recovery target.
    pub(super) fn settings(&self, until: &RecoveryTarget) -> Vec<u8> {
        let words: [&OsStr; 7] = [
            self.program.as_os_str(),
            "wal".as_ref(),
            "fetch".as_ref(),
            "--store".as_ref(),
            self.store.as_ref(),
            "--system-identifier".as_ref(),
            self.system_identifier.as_ref(),
        ];
        let mut command = Vec::new();
        for word in words {
            command.extend(for_shell(word.as_bytes()));
            command.push(b' ');
        }
        // The server replaces placeholders that begin with a percent sign in `restore_command`.
        let mut command = doubled(&command, b"%");
        command.extend_from_slice(b"%f \"%p\"");
        let (name, value) = match until {
            RecoveryTarget::Immediate => ("recovery_target", "immediate".to_owned()),
            RecoveryTarget::Latest => ("recovery_target_timeline", "latest".to_owned()),
            RecoveryTarget::Time(time) => ("recovery_target_time", for_server(*time)),
            RecoveryTarget::Lsn(lsn) => ("recovery_target_lsn", lsn.to_string()),
            RecoveryTarget::Name(name) => ("recovery_target_name", name.to_string()),
            RecoveryTarget::Xid(xid) => ("recovery_target_xid", xid.to_string()),
        };
        let action = (*until != RecoveryTarget::Latest).then_some(("recovery_target_action", "promote"));
        let mut text = b"# git-pggit: the WAL that is replayed, and the recovery target\n".to_vec();
        let settings = [("restore_command", &command[..]), (name, value.as_bytes())];
        let action = action.map(|(name, value)| (name, value.as_bytes()));
        for (name, value) in settings.into_iter().chain(action) {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b" = '");
            text.extend(doubled(value, b"'\\"));
            text.extend_from_slice(b"'\n");
        }
        text
    }
}

/// Returns `text` with each of the bytes `special` doubled.
pub(super) fn doubled(text: &[u8], special: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        out.extend(std::iter::repeat_n(*byte, if special.contains(byte) { 2 } else { 1 }));
    }
    out
}

fn for_server(time: Timestamp) -> String {
    time.as_datetime().format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// Returns a word, quoted so that a shell does not interpret it.
fn for_shell(word: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/_.:+=@,-".contains(b);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(program: &str, until: &RecoveryTarget) -> String {
        let log = WalSource {
            program: program.into(),
            store: "s3://bucket/a".into(),
            system_identifier: "7710420227913410699".into(),
        };
        String::from_utf8(log.settings(until)).unwrap()
    }

    #[test]
    fn what_is_set_is_what_was_asked_for() {
        let at = RecoveryTarget::Time("2026-11-21T03:40:06.5Z".parse().unwrap());
        assert_eq!(
            settings("/usr/bin/git-pggit", &at),
            "# git-pggit: the WAL that is replayed, and the recovery target\n\
             restore_command = '/usr/bin/git-pggit wal fetch --store s3://bucket/a --system-identifier \
             7710420227913410699 %f \"%p\"'\n\
             recovery_target_time = '2026-11-21 03:40:06.500000+00'\n\
             recovery_target_action = 'promote'\n"
        );
        assert!(!settings("/x", &RecoveryTarget::Latest).contains("action"));
    }

    #[test]
    fn words_are_words_for_shell_and_server() {
        let text = settings("/a b/it's 100%/git-pggit", &RecoveryTarget::Immediate);
        let expected = r"restore_command = '''/a b/it''\\''''s 100%%/git-pggit'' wal fetch";
        assert!(text.contains(expected), "{text}");
        let name = RecoveryTarget::Name("it's".parse().unwrap());
        assert!(settings("/x", &name).contains("recovery_target_name = 'it''s'"));
    }
}
