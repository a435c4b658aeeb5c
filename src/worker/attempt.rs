//! An attempt at a job, from its claim to its end in the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{debug, warn};

use super::events::Event;
use super::run::Shared;
use super::runner::{Answer, Finished};
use crate::domain::{AttemptEnd, Failure, Job, JobState, Line};
use crate::process::{PidFd, crash_point};
use crate::queue::{self, Claim, HeartbeatReply};

/// The time that a process has to exit after each of: the first SIGTERM, the second SIGTERM, which
/// kills its tools, and SIGKILL.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reason to stop an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    Lost,
    Deadline,
    WorkerEnds,
}

/// Runs the attempt. Returns true if the job was completed.
pub(super) async fn attempt(shared: Arc<Shared>, claim: Claim) -> bool {
    let began = Instant::now();
    let (stop, finished) = work(&shared, &claim).await;
    let took = began.elapsed();
    crash_point("worker.finished");
    if finished.crashed {
        let (claim, shared) = (claim.clone(), Arc::clone(&shared));
        let _ = tokio::task::spawn_blocking(move || shared.attempt_crashed(&claim.job)).await;
    }
    let lost = || shared.hub.publish(&Event::LeaseLost { job: Box::new(claim.job.clone()) });
    if stop == Some(Stop::Lost) {
        lost();
        return false;
    }
    let ending = ending(&shared, &claim.job, stop, &finished, took);
    match record_end(&shared, &claim, ending).await {
        Some(job) => {
            crash_point("worker.told-queue");
            publish_end(&shared, job, &finished, took);
            matches!(finished.answer, Answer::Completed { .. })
        }
        None => {
            lost();
            false
        }
    }
}

fn ending(shared: &Shared, job: &Job, stop: Option<Stop>, finished: &Finished, took: Duration) -> AttemptEnd {
    let output = finished.output.clone();
    match (&finished.answer, stop) {
        // The job was completed before the attempt could be stopped.
        (Answer::Completed { .. }, _) => AttemptEnd::Completed { output, tell: shared.notifies_success(job) },
        (_, Some(Stop::Cancelled)) => AttemptEnd::Cancelled { output },
        (_, Some(Stop::WorkerEnds)) => AttemptEnd::HandedBack,
        (_, Some(Stop::Deadline)) => {
            let message = format!("timed out after {} s", took.as_secs());
            AttemptEnd::Failed {
                error: Failure { code: Line::lossy("timeout"), message },
                retry: true,
                output,
            }
        }
        (Answer::Failed { error, retry }, _) => {
            AttemptEnd::Failed { error: error.clone(), retry: *retry, output }
        }
    }
}

/// Runs the job on a thread of its own, and supervises it.
async fn work(shared: &Arc<Shared>, claim: &Claim) -> (Option<Stop>, Finished) {
    let (started, has_started) = oneshot::channel();
    let (done, mut is_done) = oneshot::channel();
    let (runner, job) = (Arc::clone(&shared.runner), claim.job.clone());
    let thread = std::thread::Builder::new().name("job".to_owned()).spawn(move || {
        let mut started = Some(started);
        let mut tell = |signaller| drop(started.take().map(|started| started.send(signaller)));
        let _ = done.send(runner.run(&job, &mut tell));
    });
    let failed = |why: &str| Finished {
        answer: Answer::Failed {
            error: Failure { code: Line::lossy("crashed"), message: why.to_owned() },
            retry: true,
        },
        output: String::new(),
        crashed: true,
    };
    if let Err(error) = thread {
        return (None, failed(&format!("no thread for the job: {error}")));
    }
    let Ok(signaller) = has_started.await else {
        return (None, is_done.await.unwrap_or_else(|_| failed("the thread of the job panicked")));
    };
    crash_point("worker.started");
    let stop = tokio::select! {
        biased;
        finished = &mut is_done => {
            return (None, finished.unwrap_or_else(|_| failed("the thread of the job panicked")));
        }
        stop = supervise(shared, claim) => stop,
    };
    debug!(job = %claim.job.id, ?stop, "stopping the attempt");
    let ended = end(&signaller, is_done, stop, shared, claim).await;
    (Some(stop), ended.unwrap_or_else(|| failed("the thread of the job panicked")))
}

/// Sends SIGTERM to the process, then SIGTERM again, on which it kills its tools, then SIGKILL.
/// Heartbeats are sent until it exits, unless the lease is lost.
async fn end(
    signaller: &PidFd,
    mut is_done: oneshot::Receiver<Finished>,
    stop: Stop,
    shared: &Arc<Shared>,
    claim: &Claim,
) -> Option<Finished> {
    let mut beat = interval(shared.settings.lease / 3);
    let steps: [fn(&PidFd); 3] = [PidFd::terminate, PidFd::terminate, PidFd::kill];
    for step in steps {
        step(signaller);
        let patience = sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                finished = &mut is_done => return finished.ok(),
                () = &mut patience => break,
                _ = beat.tick(), if stop != Stop::Lost => {
                    let _ = shared.ask(claim, |queue, claim| queue.heartbeat(claim)).await;
                }
            }
        }
    }
    is_done.await.ok()
}

/// Waits for a reason to stop the attempt, and sends heartbeats.
async fn supervise(shared: &Arc<Shared>, claim: &Claim) -> Stop {
    let lease = shared.settings.lease;
    let mut beat = interval(lease / 3);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    let mut heard = Instant::now();
    let deadline = shared.deadline(&claim.job).map(|limit| heard + limit);
    let (mut woken, mut shutdown) = (shared.woken.subscribe(), shared.shutdown.subscribe());
    loop {
        tokio::select! {
            _ = beat.tick() => match shared.ask(claim, |queue, claim| queue.heartbeat(claim)).await {
                Ok(HeartbeatReply::Continue) => {
                    heard = Instant::now();
                    crash_point("worker.beat");
                }
                Ok(HeartbeatReply::CancelRequested) => return Stop::Cancelled,
                Err(queue::Error::Lost { .. }) => return Stop::Lost,
                Err(error) => {
                    warn!(job = %claim.job.id, %error, "heartbeat failed");
                    // The lease has expired, so another worker may have claimed the job.
                    if heard.elapsed() >= lease {
                        return Stop::Lost;
                    }
                }
            },
            _ = woken.changed() => {
                let known = shared.ask(claim, |queue, claim| queue.get(claim.job.id)).await;
                match known {
                    Ok(job) if !job.is_held_with(claim.fencing_token) => return Stop::Lost,
                    Ok(job) if job.cancel_requested => return Stop::Cancelled,
                    _ => {}
                }
            }
            () = until(deadline) => return Stop::Deadline,
            () = shutdown_requested(&mut shutdown) => return Stop::WorkerEnds,
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn shutdown_requested(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|shutdown| *shutdown).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Records the end of the attempt in the queue, and retries until that succeeds. Returns `None` if
/// the lease was lost.
async fn record_end(shared: &Arc<Shared>, claim: &Claim, ending: AttemptEnd) -> Option<Job> {
    const LONGEST: Duration = Duration::from_secs(10);
    let mut wait = Duration::from_millis(100);
    loop {
        let how = ending.clone();
        match shared.ask(claim, move |queue, claim| queue.end(claim, &how)).await {
            Ok(job) => return Some(job),
            Err(queue::Error::Lost { .. }) => return None,
            Err(error) => {
                warn!(job = %claim.job.id, %error, "could not record the end of the attempt; retrying");
            }
        }
        // On shutdown, do not wait for an unreachable queue: the lease expires.
        if *shared.shutdown.borrow() && wait >= LONGEST {
            return None;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

fn publish_end(shared: &Shared, job: Job, finished: &Finished, took: Duration) {
    let job = Box::new(job);
    let error = || {
        job.last_error
            .clone()
            .unwrap_or_else(|| Failure { code: Line::lossy("crashed"), message: String::new() })
    };
    let event = match (&finished.answer, job.state) {
        (Answer::Completed { measured }, _) => Event::Succeeded { job, took, measured: *measured },
        (_, JobState::Cancelled) => Event::Cancelled { job },
        (_, JobState::WillRetry) => Event::WillRetry { error: error(), job, took },
        (_, JobState::PermanentlyFailed) => Event::FailedForGood { error: error(), job, took },
        _ => Event::HandedBack { job },
    };
    shared.hub.publish(&event);
}
