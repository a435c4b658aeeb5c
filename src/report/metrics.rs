//! Metrics for Prometheus: the state of the queue and of the ledger, and the attempts of a worker
//! since its start. Pure. The format is OpenMetrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{DatabaseName, JobKind, JobState, Status, Timestamp};
use crate::ledger::{Overview, Row};
use crate::queue::Stats;

/// The labels of a metric.
type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;

/// The content type of the text in HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The buckets of durations, in seconds: from a second to a day.
const BUCKETS: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];

/// The counters of a worker since its start.
#[derive(Debug, Clone)]
pub struct Counters {
    attempts: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
}

impl Default for Counters {
    fn default() -> Self {
        let histogram = || Histogram::new(BUCKETS);
        Self { attempts: Family::default(), durations: Family::new_with_constructor(histogram) }
    }
}

impl Counters {
    /// Counts an attempt with its outcome and duration.
    pub fn count(&self, kind: JobKind, database: &DatabaseName, outcome: &str, duration: Duration) {
        let labels = vec![("kind", kind.to_string()), ("database", database.to_string())];
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
        let labels = [labels, vec![("outcome", outcome.to_owned())]].concat();
        self.attempts.get_or_create(&labels).inc();
    }
}

/// The values at the time of a request.
pub struct Reading<'a> {
    /// The name of the worker.
    pub worker: &'a str,
    /// The queue.
    pub queue: &'a Stats,
    /// The ledger.
    pub backups: &'a Overview,
    /// The configured databases.
    pub databases: &'a [DatabaseName],
    /// The databases with a missed backup.
    pub missed: &'a BTreeSet<DatabaseName>,
    /// The current time.
    pub now: Timestamp,
}

/// The latest completed backup of a database, and its number of backups by status.
#[derive(Default)]
struct Tally<'a> {
    latest: Option<Row<'a>>,
    by_status: BTreeMap<Status, i64>,
}

/// Returns the metrics as text.
pub fn metrics(reading: &Reading<'_>, counters: &Counters) -> String {
    let mut registry = Registry::with_prefix("pggit");
    let up = Gauges::default();
    up.get_or_create(&vec![("worker", escaped(reading.worker))]).set(1);
    registry.register("worker_up", "1 for the worker that serves these metrics", up);
    queue(reading.queue, &mut registry);
    ledger(reading, &mut registry);
    registry.register("worker_attempts", "Attempts that have ended", counters.attempts.clone());
    registry.register_with_unit(
        "worker_attempt_duration",
        "Duration of attempts",
        Unit::Seconds,
        counters.durations.clone(),
    );
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes everything");
    text
}

fn queue(stats: &Stats, registry: &mut Registry) {
    let jobs = Gauges::default();
    for state in JobState::ALL {
        jobs.get_or_create(&vec![("state", state.to_string())]).set(signed(stats.count(*state)));
    }
    registry.register("jobs", "Jobs in the queue by state", jobs);
    let gauge = |value| {
        let gauge: Gauge = Gauge::default();
        gauge.set(signed(value));
        gauge
    };
    registry.register("queue_due_jobs", "Jobs that could run now", gauge(stats.due));
    registry.register("queue_expired_jobs", "Running jobs whose lease has expired", gauge(stats.expired));
    let lag = gauge(stats.oldest_due_s);
    registry.register_with_unit(
        "queue_lag",
        "Waiting time of the oldest job that could run",
        Unit::Seconds,
        lag,
    );
}

fn ledger(reading: &Reading<'_>, registry: &mut Registry) {
    let (backups, missed) = (Gauges::default(), Gauges::default());
    let (sizes, stored) = (Gauges::default(), Gauges::default());
    let (at, age, duration) = (Seconds::default(), Seconds::default(), Seconds::default());
    for (database, tally) in tallies(reading) {
        let labels = vec![("database", database.clone())];
        for (status, count) in &tally.by_status {
            let labels = [labels.clone(), vec![("status", status.to_string())]].concat();
            backups.get_or_create(&labels).set(*count);
        }
        let is_missed = reading.missed.iter().any(|name| name.as_str() == database);
        missed.get_or_create(&labels).set(i64::from(is_missed));
        let Some(row) = tally.latest else { continue };
        sizes.get_or_create(&labels).set(signed(row.size_bytes().unwrap_or_default()));
        stored.get_or_create(&labels).set(signed(row.stored_bytes().unwrap_or_default()));
        if let Some(completed) = row.completed_at() {
            at.get_or_create(&labels).set(completed.unix_millis() as f64 / 1e3);
            age.get_or_create(&labels).set(reading.now.seconds_since(completed) as f64);
            if let Some(started) = row.started_at() {
                duration
                    .get_or_create(&labels)
                    .set((completed.unix_millis() - started.unix_millis()) as f64 / 1e3);
            }
        }
    }
    registry.register("backups", "Records of backups by status", backups);
    registry.register("backup_missed", "1 if a scheduled backup is missing", missed);
    registry.register_with_unit(
        "last_backup_size",
        "Size of the latest completed backup",
        Unit::Bytes,
        sizes,
    );
    registry.register_with_unit(
        "last_backup_stored",
        "Stored size of the latest completed backup",
        Unit::Bytes,
        stored,
    );
    registry.register_with_unit(
        "last_backup_timestamp",
        "Completion time of the latest completed backup",
        Unit::Seconds,
        at,
    );
    registry.register_with_unit(
        "last_backup_age",
        "Time since the completion of the latest completed backup",
        Unit::Seconds,
        age,
    );
    registry.register_with_unit(
        "last_backup_duration",
        "Duration of the latest completed backup",
        Unit::Seconds,
        duration,
    );
}

fn tallies<'a>(reading: &Reading<'a>) -> BTreeMap<String, Tally<'a>> {
    let mut tallies: BTreeMap<String, Tally<'a>> =
        reading.databases.iter().map(|name| (name.to_string(), Tally::default())).collect();
    for row in reading.backups.rows() {
        let tally = match tallies.get_mut(row.database()) {
            Some(tally) => tally,
            None => tallies.entry(row.database().to_owned()).or_default(),
        };
        *tally.by_status.entry(row.status()).or_default() += 1;
        let is_later = |latest: &Row<'_>| latest.completed_at() < row.completed_at();
        if row.status() == Status::Completed && tally.latest.as_ref().is_none_or(is_later) {
            tally.latest = Some(row);
        }
    }
    tallies
}

/// Escapes the value of a label, which the library does not do. The other labels are words and
/// names of databases, which need no escapes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
