//! Doing the work of one job in a process of its own.
//!
//! Each attempt is a process that is told the job on its standard input and
//! says on its standard output how it went. So a job can be ended without the
//! others, whatever it is doing; what it says on standard error is kept as the
//! output of the attempt; and a worker that dies takes its jobs along, because
//! the standard input of the process ends then.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::events::Measured;
use crate::domain::{Failure, Job, Line};
use crate::process::{Cmd, Error, Signaller, Status, Stdin};

/// How much an attempt may have to say.
const ANSWER_BYTES: u64 = 1 << 20;

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Completed {
        /// What was measured.
        measured: Measured,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Failure,
        /// May another attempt succeed?
        retry: bool,
    },
}

/// An attempt that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it went.
    pub answer: Answer,
    /// The end of what it said, without secrets.
    pub output: String,
    /// It did not end by itself: nobody has said what became of the backup.
    pub died: bool,
}

/// Does the work of jobs.
pub trait Runner: Send + Sync {
    /// Does it. `started` is told how to end it.
    fn run(&self, job: &Job, started: &mut dyn FnMut(Signaller)) -> Finished;
}

/// Does it in processes of this program.
#[derive(Debug)]
pub struct Processes {
    /// This program.
    pub program: PathBuf,
    /// The arguments that make it do one job.
    pub arguments: Vec<OsString>,
}

impl Runner for Processes {
    fn run(&self, job: &Job, started: &mut dyn FnMut(Signaller)) -> Finished {
        let mut told = serde_json::to_vec(job).expect("a job has string keys");
        told.push(b'\n');
        let command = Cmd::new(&self.program).args(self.arguments.clone()).inherit_env();
        let running = command.stdin(Stdin::Piped).spawn();
        let mut running = match running {
            Ok(running) => running,
            Err(error) => return died("not-started", error.to_string(), String::new()),
        };
        match running.signaller() {
            Ok(signaller) => started(signaller),
            Err(error) => return died("not-started", error.to_string(), String::new()),
        }
        // Its other end is closed by our end, whatever that is.
        let mut line_to_us = running.take_stdin().expect("stdin is piped");
        // What does not read its job says so by how it ends.
        let _ = line_to_us.write_all(&told).and_then(|()| line_to_us.flush());
        let mut answer = Vec::new();
        if let Some(stdout) = running.take_stdout() {
            // What is cut off is no JSON.
            let _ = stdout.take(ANSWER_BYTES).read_to_end(&mut answer);
        }
        let ended = running.wait();
        drop(line_to_us);
        match ended {
            Ok(exit) => match serde_json::from_slice(&answer) {
                Ok(answer) if exit.status.is_success() => {
                    Finished { answer, output: exit.stderr, died: false }
                }
                _ => died(code_of(exit.status), format!("the attempt ended: {}", exit.status), exit.stderr),
            },
            Err(Error::Interrupted { signal }) => {
                died("interrupted", format!("interrupted ({signal})"), String::new())
            }
            Err(error) => died("died", error.to_string(), String::new()),
        }
    }
}

fn code_of(status: Status) -> &'static str {
    match status {
        Status::Killed(_) => "killed",
        Status::Exited(_) => "died",
    }
}

fn died(code: &str, message: String, output: String) -> Finished {
    let error = Failure { code: Line::lossy(code), message };
    Finished { answer: Answer::Failed { error, retry: true }, output, died: true }
}
