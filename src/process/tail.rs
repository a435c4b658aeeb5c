//! Keeps the end of the standard error of a program.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Secret;

/// The number of bytes that are kept.
const KEPT: usize = 64 * 1024;
/// The time to wait for the end of the pipe after the program has exited. A daemon that the program
/// left running may hold the pipe open forever.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last bytes of a stream of any length.
#[derive(Debug, Default)]
struct Ring {
    bytes: VecDeque<u8>,
    truncated: bool,
}

impl Ring {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        if let Some(surplus @ 1..) = self.bytes.len().checked_sub(KEPT) {
            self.bytes.drain(..surplus);
            self.truncated = true;
        }
    }

    /// Returns the text without `secrets`. The truncation may have split a secret. So everything
    /// that could be the rest of a secret is removed too.
    fn text(&self, secrets: &[Secret]) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let mut from = 0;
        if self.truncated {
            from = secrets.iter().map(|s| s.bytes().len()).max().unwrap_or(0).min(bytes.len());
            from += bytes[from..].iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        }
        String::from_utf8_lossy(&redact(&bytes[from..], secrets)).into_owned()
    }
}

/// Replaces every occurrence of every secret. Longer secrets are replaced first, because one secret
/// may contain another.
fn redact(text: &[u8], secrets: &[Secret]) -> Vec<u8> {
    let mut secrets: Vec<&[u8]> = secrets.iter().map(Secret::bytes).filter(|s| !s.is_empty()).collect();
    secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let Some(secret) = secrets.iter().find(|s| text[at..].starts_with(s)) {
            out.extend_from_slice(b"***");
            at += secret.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Reads a stream to its end in a separate thread and keeps the end.
#[derive(Debug)]
pub(super) struct Drain {
    ring: Arc<Mutex<Ring>>,
    done: Receiver<()>,
}

impl Drain {
    pub(super) fn start(mut stream: impl Read + Send + 'static) -> io::Result<Self> {
        let ring = Arc::new(Mutex::new(Ring::default()));
        let (closed, done) = channel();
        let kept = Arc::clone(&ring);
        thread::Builder::new().name("stderr".into()).spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => kept.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(closed);
        })?;
        Ok(Self { ring, done })
    }

    /// Returns the text after the end of the stream.
    pub(super) fn finish(&self, secrets: &[Secret]) -> String {
        let (Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) =
            self.done.recv_timeout(PATIENCE);
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).text(secrets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring_of(chunks: &[&[u8]]) -> Ring {
        let mut ring = Ring::default();
        chunks.iter().for_each(|c| ring.push(c));
        ring
    }

    #[test]
    fn a_short_text_is_kept_whole() {
        assert_eq!(ring_of(&[b"no such ", b"table\n"]).text(&[]), "no such table\n");
    }

    #[test]
    fn of_a_long_text_the_last_whole_lines_are_kept() {
        let line = b"0123456789abcde\n";
        let ring = ring_of(&vec![&line[..]; 10_000]);
        let text = ring.text(&[]);
        assert!(text.len() <= KEPT && text.len() > KEPT - 17, "{}", text.len());
        assert!(text.starts_with("0123456789abcde\n"));
    }

    #[test]
    fn a_secret_cut_in_two_by_the_limit_is_not_shown() {
        let secret = Secret::new("hunter2hunter2");
        let mut text = b"hunter2hunter2".to_vec();
        text.resize(KEPT + 7, b'x');
        assert!(!ring_of(&[&text]).text(&[secret]).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_secret_is_left(before in "[a-c]{0,9}", secret in "[a-c]{4,8}x", after in "[a-c]{0,9}") {
            let text = format!("{before}{secret}{after}{secret}");
            let clean = String::from_utf8(redact(text.as_bytes(), &[Secret::new(&secret)])).unwrap();
            prop_assert!(!clean.contains(&secret));
            prop_assert_eq!(clean.matches("***").count(), 2);
        }
    }
}
