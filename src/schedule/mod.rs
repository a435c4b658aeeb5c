//! Schedules: pure functions from a schedule, a time zone and the current time to the next run.
//!
//! A schedule is a preset (`daily`) or a cron expression with five fields, followed by options. Times
//! are local times of its zone:
//!
//! - A run in the gap at the start of daylight saving time runs at the first moment after the gap.
//! - A run in the repeated hour at its end runs once, the first time. A schedule for every hour runs in
//!   both.
//! - However many runs were missed, one is due.
//! - Jitter delays a run by the same time on every day. The delay depends on the name of the database,
//!   so that a hundred databases do not start together.
//!
//! There is no stored state: a run is due if no attempt was made since its scheduled time.

mod cron;
mod due;
mod rule;
mod zone;

pub use cron::Cron;
pub use due::{ScheduleFacts, ScheduleState, state};
pub use rule::{Preset, Schedule, ScheduleRule};
pub use zone::Zone;
