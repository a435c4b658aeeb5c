//! Notifications by programs.

use std::time::Duration;

use super::Error;
use crate::process::{Cmd, Stdin};

/// Runs a program with the message on standard input. Fails if the program fails or times out.
pub(super) fn run(words: &[String], message: String, timeout: Duration) -> Result<(), Error> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let command = Cmd::new(program).args(arguments).stdin(Stdin::Bytes(message.into_bytes()));
    command.deadline(timeout).run()?;
    Ok(())
}
