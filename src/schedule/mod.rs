//! When to run next: pure functions from a schedule, a time zone and the time.
//!
//! A schedule is written as a preset (`daily`) or as five fields of cron, with
//! options behind them. Times are those of a clock on the wall of its zone:
//!
//! - a time that a change of clocks leaves out is made up for at the first
//!   moment after the gap;
//! - a time that comes twice counts once, the first time; what runs every hour
//!   or every few minutes runs in both;
//! - what was missed, however often, is due once;
//! - jitter moves a run by the same amount every time. How far depends on the
//!   name of the database, so that a hundred databases do not begin together.
//!
//! Nothing is remembered here: whether a run is due follows from what was
//! attempted since it was planned.

mod cron;
mod due;
mod rule;
mod zone;

pub use cron::Cron;
pub use due::{Facts, State, state};
pub use rule::{Preset, Rule, Schedule};
pub use zone::Zone;
