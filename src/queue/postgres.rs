//! The queue in PostgreSQL, for workers on several hosts.
//!
//! The functions of the schema `pggit` implement the queue (see the room `sql`). This module calls them
//! and parses their results. A lost connection is opened again at the next call.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BlockingRetryable as _, ExponentialBuilder};
use serde::{Deserialize, Serialize};

use super::{
    Claim, Claimant, EnqueueResult, Error, Filter, HeartbeatReply, Listing, Queue, Stats, Watch, is_claimable,
};
use crate::clock::Clock;
use crate::domain::{AttemptEnd, AttemptOutcome, Failure, Job, JobId, JobState, Line, NewJob, Owner};
use crate::pg::{self, Client, ConnInfo, Rows, quote_literal};
use crate::process::{self, Liveness, crash_point};
use crate::sql;

/// The `application_name` of the connections.
const APPLICATION: &str = "git-pggit queue";
/// The statements about a claim. The key of the claim is a parameter, because `pg_stat_activity` shows
/// the text of statements to other users.
const HEARTBEAT: &str = "SELECT pggit.heartbeat($1::uuid, $2::int8)::text";
const END: &str = "SELECT pggit.end_attempt($1::uuid, $2::int8, $3, $4::jsonb, $5, $6::bool, $7::bool)::text";
const END_AND_CLAIM: &str = "SELECT ended::text, claimed::text FROM pggit.end_and_claim($1::uuid, \
    $2::int8, $3, $4::jsonb, $5, $6::bool, $7::bool, $8, $9::jsonb, $10::int8)";
const CLAIM: &str = "SELECT pggit.claim_with_key($1, $2::jsonb, $3::int8)::text";
/// Maximum number of retries after a conflict with other sessions.
const ATTEMPTS: usize = 30;
/// The time between two checks for dead workers of this host, while there are other jobs to claim.
const DEAD_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The queue in one database.
pub struct PostgresQueue {
    info: ConnInfo,
    clock: std::sync::Arc<dyn Clock>,
    client: Mutex<Option<Client>>,
    /// The time of the last check for dead workers of this host.
    checked_dead: Mutex<Option<Instant>>,
}

impl PostgresQueue {
    /// Opens the queue in the database of `info`. `clock` is only used for ids. Fails if the server is
    /// unreachable, the schema has another version, or its functions cannot be trusted.
    pub fn open(info: ConnInfo, clock: std::sync::Arc<dyn Clock>) -> Result<Self, Error> {
        let client = connect(&info)?;
        Ok(Self { info, clock, client: Mutex::new(Some(client)), checked_dead: Mutex::new(None) })
    }

    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self, sql: &str) -> Result<Rows, Error> {
        self.with_client(|client| client.query(sql))
    }

    /// Runs one statement with these parameters.
    fn query_with(&self, sql: &str, values: &[Option<String>]) -> Result<Rows, Error> {
        self.with_client(|client| client.query_with(sql, values))
    }

    /// Runs a query. Retries it after a conflict with another session, and once after the connection was
    /// lost, which may have been idle for long.
    fn with_client(&self, question: impl Fn(&Client) -> pg::Result<Rows>) -> Result<Rows, Error> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(1))
            .with_max_delay(Duration::from_millis(50))
            .with_max_times(ATTEMPTS)
            .with_jitter();
        let (mut attempts, mut broken) = (0, 0);
        let asked = || {
            attempts += 1;
            let mut client = self.client();
            if client.is_none() {
                *client = Some(connect(&self.info)?);
            }
            let answer = question(client.as_ref().expect("it was just connected"));
            Ok(answer.inspect_err(|error| {
                if matches!(error, pg::Error::ConnectionLost { .. }) {
                    *client = None;
                }
            })?)
        };
        let again = |error: &Error| match error {
            Error::Pg(pg::Error::Query { sqlstate, .. }) => {
                matches!(sqlstate.as_str(), "23505" | "40001" | "40P01")
            }
            Error::Pg(pg::Error::ConnectionLost { .. }) => {
                broken += 1;
                broken == 1
            }
            _ => false,
        };
        asked.retry(delays).when(again).call().map_err(|error| match &error {
            Error::Pg(pg::Error::Query { sqlstate, .. }) if sqlstate == "23505" => {
                Error::Busy { attempts, last: error.to_string() }
            }
            _ => error,
        })
    }

    /// Releases the leases of dead workers of this host, which the server cannot detect. Returns true if
    /// there were any.
    fn release_dead(&self) -> Result<bool, Error> {
        *self.checked_dead.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let sql = format!(
            "SELECT id, token, owner FROM pggit.jobs WHERE state = 'in_progress' AND owner ->> 'host' = {}",
            quote_literal(process::host().as_str())
        );
        let mut any = false;
        for row in self.query(&sql)? {
            let [Some(id), Some(token), Some(owner)] = row.as_slice() else { continue };
            let owner = serde_json::from_str::<Owner>(owner);
            if owner.is_ok_and(|owner| process::is_alive(&owner) == Liveness::Dead) {
                any |= self.value(&format!("SELECT pggit.lose('{id}', {token})"))?.as_deref() == Some("t");
                crash_point("queue.rescued");
            }
        }
        Ok(any)
    }

    fn checked_lately(&self) -> bool {
        let checked_dead = self.checked_dead.lock().unwrap_or_else(PoisonError::into_inner);
        checked_dead.is_some_and(|at| at.elapsed() < DEAD_CHECK_INTERVAL)
    }

    /// Runs a query and returns its only value.
    fn value(&self, sql: &str) -> Result<Option<String>, Error> {
        self.query(sql).map(only)
    }

    /// Ends the attempt of a claimed job that cannot be parsed, as a permanent failure.
    fn fail_unreadable(&self, job: &str, reason: &str) -> Result<(), Error> {
        let unreadable = || Error::Damaged { job: "?".to_owned(), reason: reason.to_owned() };
        let value: serde_json::Value = serde_json::from_str(job).map_err(|_| unreadable())?;
        let id = value["id"].as_str().and_then(|id| id.parse::<JobId>().ok()).ok_or_else(unreadable)?;
        let number = |field: &str| value[field].as_u64().ok_or_else(unreadable);
        let proof = number("token")? + number("claim_key")?;
        let error = Failure { code: Line::lossy("corrupt"), message: reason.to_owned() };
        let how = AttemptEnd::Failed { error, retry: false, output: String::new() };
        self.query_with(END, &ending(id, proof, &how)).map(drop)
    }

    fn command(&self, verb: &str, past: &'static str, id: JobId) -> Result<Job, Error> {
        match self.value(&format!("SELECT pggit.command('{verb}', '{id}')")) {
            Ok(Some(job)) => parse(&job),
            Ok(None) => Err(Error::NotFound { selector: id.to_string() }),
            Err(Error::Pg(pg::Error::Query { sqlstate, message, .. })) if sqlstate == "PG001" => {
                Err(Error::Refused { job: id, verb: past, reason: message })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the job if the end of the attempt was recorded, although its result was lost with the
    /// connection. Fails with [`Error::Lost`] otherwise.
    fn ended_before(&self, claim: &Claim) -> Result<Job, Error> {
        let lost = Error::Lost { job: claim.job.id };
        match self.get(claim.job.id) {
            Ok(job) if job.token == claim.fencing_token && job.state != JobState::InProgress => {
                match job.history.last() {
                    Some(report) if report.outcome != AttemptOutcome::Lost => Ok(job),
                    _ => Err(lost),
                }
            }
            Ok(_) | Err(Error::NotFound { .. }) => Err(lost),
            Err(error) => Err(error),
        }
    }
}

fn connect(info: &ConnInfo) -> Result<Client, Error> {
    let client = Client::connect(info, APPLICATION)?;
    sql::refuse_escalation(&client)?;
    let (installed, needed) = (sql::installed_version(&client)?, sql::newest_version());
    match installed == needed {
        true => Ok(client),
        false => Err(Error::Version { dbname: info.dbname().to_owned(), installed, needed }),
    }
}

fn parse(json: &str) -> Result<Job, Error> {
    serde_json::from_str(json).map_err(|error| {
        let id = serde_json::from_str::<serde_json::Value>(json).ok();
        let id = id.as_ref().and_then(|value| value.get("id")?.as_str()).unwrap_or("?");
        Error::Damaged { job: id.to_owned(), reason: error.to_string() }
    })
}

/// Returns the only value of a result.
fn only(rows: Rows) -> Option<String> {
    rows.into_iter().next().and_then(|row| row.into_iter().next().flatten())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has string keys")
}

fn text_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote_literal)
}

/// Returns the parameters of a claim.
fn claimant(claimant: &Claimant) -> [Option<String>; 3] {
    let lease_s = claimant.lease.as_secs().max(1);
    [Some(claimant.worker.to_string()), claimant.owner.as_ref().map(json), Some(lease_s.to_string())]
}

/// Returns the parameters of the end of an attempt.
fn ending(id: JobId, proof: u64, ending: &AttemptEnd) -> [Option<String>; 7] {
    let (outcome, error, output, retry, tell) = match ending {
        AttemptEnd::Completed { output, tell } => {
            (AttemptOutcome::Completed, None, output.as_str(), false, *tell)
        }
        AttemptEnd::Failed { error, retry, output } => {
            (AttemptOutcome::Failed, Some(error), output.as_str(), *retry, false)
        }
        AttemptEnd::HandedBack => (AttemptOutcome::HandedBack, None, "", true, false),
        AttemptEnd::Cancelled { output } => (AttemptOutcome::Cancelled, None, output.as_str(), false, false),
    };
    let mut start = output.len().saturating_sub(Job::OUTPUT_BYTES);
    while !output.is_char_boundary(start) {
        start += 1;
    }
    // A text in PostgreSQL cannot contain NUL.
    let output = output[start..].replace('\0', " ");
    [
        Some(id.to_string()),
        Some(proof.to_string()),
        Some(outcome.to_string()),
        error.map(json),
        Some(output),
        Some(retry.to_string()),
        Some(tell.to_string()),
    ]
}

impl Queue for PostgresQueue {
    fn enqueue(&self, new: NewJob) -> Result<EnqueueResult, Error> {
        let id = JobId::new(self.clock.now());
        let NewJob { work, priority, dedup_key, policy, created_by } = new;
        let sql = format!(
            "SELECT job, is_new FROM pggit.enqueue('{id}', '{}', {}, '{}', {}, {}, {priority}::int2, {}, {}, {}, {}, {})",
            work.kind(),
            quote_literal(work.database().as_str()),
            work.backup(),
            text_or_null(work.tool().map(Line::as_str)),
            quote_literal(&json(&work)),
            text_or_null(dedup_key.as_ref().map(Line::as_str)),
            policy.max_attempts,
            policy.base_s,
            policy.cap_s,
            quote_literal(created_by.as_str()),
        );
        let rows = match self.query(&sql) {
            Ok(rows) => rows,
            // The job exists: its first insertion succeeded, but the result was lost.
            Err(Error::Busy { .. }) => return Ok(EnqueueResult { job: self.get(id)?, is_new: true }),
            Err(error) => return Err(error),
        };
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        match row {
            [Some(job), is_new] => {
                Ok(EnqueueResult { job: parse(job)?, is_new: is_new.as_deref() == Some("t") })
            }
            _ => Err(Error::Busy {
                attempts: 1,
                last: "another job had the same key and has released it".to_owned(),
            }),
        }
    }

    fn claim(&self, by: &Claimant) -> Result<Option<Claim>, Error> {
        let claim = || self.query_with(CLAIM, &claimant(by)).map(only);
        if !self.checked_lately() {
            self.release_dead()?;
        }
        loop {
            let mut claimed = claim()?;
            if claimed.is_none() && self.release_dead()? {
                claimed = claim()?;
            }
            let Some(job) = claimed else { return Ok(None) };
            crash_point("queue.claimed");
            match claim_of(&job) {
                // Otherwise the unreadable job would be claimed again before all others.
                Err(Error::Damaged { reason, .. }) => self.fail_unreadable(&job, &reason)?,
                claim => return claim.map(Some),
            }
        }
    }

    fn heartbeat(&self, claim: &Claim) -> Result<HeartbeatReply, Error> {
        let values = [Some(claim.job.id.to_string()), Some(proof(claim).to_string())];
        match only(self.query_with(HEARTBEAT, &values)?).as_deref() {
            Some("true") => Ok(HeartbeatReply::CancelRequested),
            Some(_) => Ok(HeartbeatReply::Continue),
            None => Err(Error::Lost { job: claim.job.id }),
        }
    }

    fn end(&self, claim: &Claim, how: &AttemptEnd) -> Result<Job, Error> {
        match only(self.query_with(END, &ending(claim.job.id, proof(claim), how))?) {
            Some(job) => parse(&job),
            None => self.ended_before(claim),
        }
    }

    fn end_and_claim(
        &self,
        claim: &Claim,
        how: &AttemptEnd,
        by: &Claimant,
    ) -> Result<(Job, Option<Claim>), Error> {
        let mut values = Vec::from(ending(claim.job.id, proof(claim), how));
        values.extend(claimant(by));
        let row = self.query_with(END_AND_CLAIM, &values)?.into_iter().next().unwrap_or_default();
        match row.as_slice() {
            [Some(ended), Some(claimed)] => match claim_of(claimed) {
                Err(Error::Damaged { reason, .. }) => {
                    self.fail_unreadable(claimed, &reason)?;
                    Ok((parse(ended)?, self.claim(by)?))
                }
                claim => Ok((parse(ended)?, Some(claim?))),
            },
            [Some(ended), None] => Ok((parse(ended)?, None)),
            _ => Ok((self.ended_before(claim)?, None)),
        }
    }

    fn claim_notifications(&self, sender: Option<&Owner>) -> Result<Vec<Job>, Error> {
        let sql = "SELECT pggit.job_json(j), untold, pg_catalog.to_jsonb(pg_catalog.clock_timestamp()) FROM pggit.jobs AS j \
                   WHERE untold IS NOT NULL ORDER BY finished_at, id";
        let sender = text_or_null(sender.map(json).as_deref());
        let mut taken = Vec::new();
        for row in self.query(sql)? {
            let [Some(job), Some(known), Some(now)] = row.as_slice() else { continue };
            let (Ok(job), Ok(now)) = (parse(job), serde_json::from_str(now)) else { continue };
            if !job.pending_notification.as_ref().is_some_and(|pending| is_claimable(pending, now)) {
                continue;
            }
            let sql = format!("SELECT pggit.take_untold('{}', {}, {sender})", job.id, quote_literal(known));
            taken.extend(self.value(&sql)?.as_deref().map(parse).transpose()?);
        }
        Ok(taken)
    }

    fn mark_notified(&self, id: JobId, token: u64) -> Result<(), Error> {
        self.query(&format!("SELECT pggit.told('{id}', {token})")).map(drop)
    }

    fn cancel(&self, id: JobId) -> Result<Job, Error> {
        self.command("cancel", "cancelled", id)
    }

    fn retry(&self, id: JobId) -> Result<Job, Error> {
        self.command("retry", "retried", id)
    }

    fn pause(&self, id: JobId) -> Result<Job, Error> {
        self.command("pause", "paused", id)
    }

    fn resume(&self, id: JobId) -> Result<Job, Error> {
        self.command("resume", "resumed", id)
    }

    fn get(&self, id: JobId) -> Result<Job, Error> {
        let job = self.value(&format!("SELECT pggit.job_json(j) FROM pggit.jobs AS j WHERE id = '{id}'"))?;
        parse(&job.ok_or_else(|| Error::NotFound { selector: id.to_string() })?)
    }

    fn find(&self, prefix: &str) -> Result<Vec<JobId>, Error> {
        let sql = format!(
            "SELECT id FROM pggit.jobs WHERE pg_catalog.starts_with(id::text, {}) ORDER BY id",
            quote_literal(prefix)
        );
        let rows = self.query(&sql)?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next()??.parse().ok()).collect())
    }

    fn list(&self, filter: &Filter) -> Result<Listing, Error> {
        let mut wanted = vec!["true".to_owned()];
        if !filter.states.is_empty() {
            let states: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
            wanted.push(format!("state IN ({})", states.join(", ")));
        }
        wanted.extend(
            filter.database.as_ref().map(|name| format!("database = {}", quote_literal(name.as_str()))),
        );
        wanted.extend(filter.kind.map(|kind| format!("kind = '{kind}'")));
        let sql = format!(
            "SELECT pggit.job_json(j) FROM pggit.jobs AS j WHERE {} ORDER BY created_at, id",
            wanted.join(" AND ")
        );
        let mut listing = Listing::default();
        for row in self.query(&sql)? {
            match parse(row.first().and_then(Option::as_deref).unwrap_or_default()) {
                Ok(job) => listing.jobs.push(job),
                Err(Error::Damaged { job, reason }) => listing.damaged.push((job, reason)),
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }

    fn stats(&self) -> Result<Stats, Error> {
        const NOW: &str = "pg_catalog.clock_timestamp()";
        let states = self.query("SELECT state, pg_catalog.count(*) FROM pggit.jobs GROUP BY state")?;
        let count = |state: &JobState| {
            let found = states.iter().find(|row| row[0].as_deref() == Some(state.as_str()));
            found.and_then(|row| row[1].as_deref()?.parse().ok()).unwrap_or(0)
        };
        let due = "state IN ('ready', 'will_retry') AND (next_retry_at IS NULL OR next_retry_at <= ";
        let sql = format!(
            "SELECT pg_catalog.count(*) FILTER (WHERE {due}{NOW})), \
             COALESCE(pg_catalog.floor(EXTRACT(epoch FROM {NOW} - pg_catalog.min(created_at) \
             FILTER (WHERE {due}{NOW}))))::int8, 0), \
             pg_catalog.count(*) FILTER (WHERE state = 'in_progress' AND lease_expires_at <= {NOW}), \
             pg_catalog.to_jsonb(pg_catalog.max(finished_at) FILTER (WHERE state = 'completed')) FROM pggit.jobs"
        );
        let row = self.query(&sql)?.into_iter().next().unwrap_or_default();
        let number = |at: usize| row.get(at).and_then(|text| text.as_deref()?.parse().ok()).unwrap_or(0);
        Ok(Stats {
            by_state: JobState::ALL.iter().map(|state| (*state, count(state))).collect(),
            due: number(0),
            oldest_due_s: number(1),
            expired: number(2),
            last_completed_at: row.get(3).and_then(|text| serde_json::from_str(text.as_deref()?).ok()),
        })
    }

    fn clean(&self, age: Duration) -> Result<u64, Error> {
        let removed = self.value(&format!("SELECT pggit.clean({})", age.as_secs_f64()))?;
        Ok(removed.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn next_due(&self) -> Result<Option<Duration>, Error> {
        let sql = "SELECT EXTRACT(epoch FROM pg_catalog.min(CASE state WHEN 'in_progress' THEN lease_expires_at \
                   ELSE COALESCE(next_retry_at, created_at) END) - pg_catalog.clock_timestamp()) FROM pggit.jobs \
                   WHERE state IN ('ready', 'will_retry', 'in_progress')";
        let seconds = self.value(sql)?.and_then(|text| text.parse::<f64>().ok());
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, Error> {
        let client = Client::connect(&self.info, APPLICATION)?;
        client.execute("LISTEN pggit_jobs")?;
        Ok(Box::new(PostgresWatch(client)))
    }
}

/// The key of a claim in the answer of `pggit.claim_with_key`.
#[derive(Deserialize)]
struct ClaimKey {
    claim_key: u64,
}

/// Parses a claimed job. Fails with [`Error::Damaged`] if the job or the key of its claim is invalid.
fn claim_of(json: &str) -> Result<Claim, Error> {
    let job = parse(json)?;
    let ClaimKey { claim_key: key } = serde_json::from_str(json)
        .map_err(|error| Error::Damaged { job: job.id.to_string(), reason: error.to_string() })?;
    Ok(Claim { fencing_token: job.token, job, key })
}

/// Returns the argument `with_token`, by which the functions of the queue recognise a claim.
fn proof(claim: &Claim) -> u64 {
    claim.key + claim.fencing_token
}

/// A connection that runs `LISTEN`.
struct PostgresWatch(Client);

impl Watch for PostgresWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, Error> {
        Ok(self.0.wait_notified(timeout)?)
    }
}
