//! Runs each job in a process of its own.
//!
//! Each attempt is a process that reads the job from standard input and writes its result to
//! standard output. So a job can be stopped without the others, whatever it does; its standard
//! error is kept as the output of the attempt; and if the worker crashes, its jobs end too, because
//! their standard input ends.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::events::Measured;
use crate::domain::{Failure, Job, Line};
use crate::process::{Cmd, Error, PidFd, Status, Stdin};

/// The maximum size of the result of an attempt, in bytes.
const ANSWER_BYTES: u64 = 1 << 20;

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// The job was completed.
    Completed {
        /// The sizes of the backup.
        measured: Measured,
    },
    /// The attempt failed.
    Failed {
        /// The error.
        error: Failure,
        /// True if a retry may succeed.
        retry: bool,
    },
}

/// An attempt that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The result.
    pub answer: Answer,
    /// The end of its standard error, without secrets.
    pub output: String,
    /// True if it crashed or was killed, so that the end of its backup is not recorded.
    pub crashed: bool,
}

/// Runs jobs.
pub trait Runner: Send + Sync {
    /// Runs a job. `started` receives the handle for stopping it.
    fn run(&self, job: &Job, started: &mut dyn FnMut(PidFd)) -> Finished;
}

/// Runs jobs in processes of this program.
#[derive(Debug)]
pub struct Processes {
    /// This program.
    pub program: PathBuf,
    /// The arguments for running one job.
    pub arguments: Vec<OsString>,
}

impl Runner for Processes {
    fn run(&self, job: &Job, started: &mut dyn FnMut(PidFd)) -> Finished {
        let mut request = serde_json::to_vec(job).expect("a job has string keys");
        request.push(b'\n');
        let command = Cmd::new(&self.program).args(self.arguments.clone()).inherit_env();
        let running = command.stdin(Stdin::Piped).spawn();
        let mut running = match running {
            Ok(running) => running,
            Err(error) => return crashed("not-started", error.to_string(), String::new()),
        };
        match running.signaller() {
            Ok(signaller) => started(signaller),
            Err(error) => return crashed("not-started", error.to_string(), String::new()),
        }
        // The pipe is closed when this process exits, even by a crash.
        let mut stdin = running.take_stdin().expect("stdin is piped");
        // An error is ignored: a process that does not read its job exits with an error.
        let _ = stdin.write_all(&request).and_then(|()| stdin.flush());
        let mut answer = Vec::new();
        if let Some(stdout) = running.take_stdout() {
            // A truncated result is not valid JSON.
            let _ = stdout.take(ANSWER_BYTES).read_to_end(&mut answer);
        }
        let ended = running.wait();
        drop(stdin);
        match ended {
            Ok(exit) => match serde_json::from_slice(&answer) {
                Ok(answer) if exit.status.is_success() => {
                    Finished { answer, output: exit.stderr, crashed: false }
                }
                _ => crashed(
                    code_of(exit.status),
                    format!("the attempt ended without a result: {}", exit.status),
                    exit.stderr,
                ),
            },
            Err(Error::Interrupted { signal }) => {
                crashed("interrupted", format!("interrupted ({signal})"), String::new())
            }
            Err(error) => crashed("crashed", error.to_string(), String::new()),
        }
    }
}

fn code_of(status: Status) -> &'static str {
    match status {
        Status::Killed(_) => "killed",
        Status::Exited(_) => "crashed",
    }
}

fn crashed(code: &str, message: String, output: String) -> Finished {
    let error = Failure { code: Line::lossy(code), message };
    Finished { answer: Answer::Failed { error, retry: true }, output, crashed: true }
}
