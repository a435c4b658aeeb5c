//! The state of a rule: due runs and missed backups.

use std::time::Duration;

use super::{ScheduleRule, Zone};
use crate::domain::{DatabaseName, Timestamp};

/// The facts about the backups of a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScheduleFacts {
    /// The start of the latest attempt, or the time at which its job was queued. The result does not
    /// matter.
    pub attempted: Option<Timestamp>,
    /// The start of the latest completed backup.
    pub completed: Option<Timestamp>,
}

/// The state of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleState {
    /// The latest scheduled time, without jitter.
    pub slot: Option<Timestamp>,
    /// The time of the next run, with jitter.
    pub next: Option<Timestamp>,
    /// True if there was no attempt since `slot`. However many runs were missed, one is due.
    pub due: bool,
    /// The scheduled time whose backup is overdue, if any.
    pub missed: Option<Timestamp>,
}

/// Returns the state of `rule` for `database` at `now`. A backup is missed if it is not complete `grace`
/// after its scheduled time.
pub fn state(
    rule: &ScheduleRule,
    database: &DatabaseName,
    zone: Zone,
    facts: ScheduleFacts,
    now: Timestamp,
    grace: Duration,
) -> ScheduleState {
    let slot = rule.slot(database, zone, now);
    let expected = chrono::Duration::from_std(grace)
        .ok()
        .and_then(|grace| now.as_datetime().checked_sub_signed(grace))
        .and_then(|before| rule.slot(database, zone, Timestamp::from(before)));
    let since = |at: Option<Timestamp>, slot: &Timestamp| at.is_some_and(|at| at >= *slot);
    ScheduleState {
        slot,
        next: rule.next(database, zone, now),
        due: slot.is_some_and(|slot| !since(facts.attempted, &slot)),
        missed: expected.filter(|slot| !since(facts.completed, slot)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn stand(attempted: Option<&str>, completed: Option<&str>, now: &str) -> (bool, Option<Timestamp>) {
        let schedule: super::super::Schedule = "0 2 * * *".parse().unwrap();
        let facts = ScheduleFacts { attempted: attempted.map(at), completed: completed.map(at) };
        let state = state(&schedule.rules()[0], &"shop".parse().unwrap(), Zone::UTC, facts, at(now), HOUR);
        (state.due, state.missed)
    }

    #[test]
    fn missed_runs_are_due_once() {
        assert_eq!(stand(Some("20T02:00"), Some("20T02:00"), "20T12:00"), (false, None));
        assert_eq!(stand(Some("20T02:00"), Some("20T02:00"), "21T01:59"), (false, None));
        assert_eq!(stand(Some("20T02:00"), Some("20T02:00"), "21T02:00"), (true, None));
        // The host was off for a week.
        assert_eq!(stand(Some("13T02:00"), Some("13T02:00"), "20T12:00"), (true, Some(at("20T02:00"))));
        assert_eq!(stand(Some("20T12:00"), Some("13T02:00"), "20T12:01"), (false, Some(at("20T02:00"))));
        // A backup was made by hand in the meantime.
        assert_eq!(stand(Some("20T07:00"), Some("20T07:00"), "20T12:00"), (false, None));
    }

    #[test]
    fn a_backup_that_is_not_complete_in_time_is_missed() {
        assert_eq!(stand(Some("20T02:00"), Some("19T02:00"), "20T02:59"), (false, None));
        assert_eq!(stand(Some("20T02:00"), Some("19T02:00"), "20T03:00"), (false, Some(at("20T02:00"))));
        assert_eq!(stand(None, None, "20T02:30"), (true, Some(at("19T02:00"))));
    }
}
