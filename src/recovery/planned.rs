//! A step of a restore as it is shown to people and programs: its purpose, its command line, and its
//! state after a failure.

use serde::Serialize;

use super::new_database;
use crate::process::Cmd;
use crate::tools::adapter;

/// The effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The step only reads.
    Reads,
    /// The step creates or changes only objects of this restore.
    Makes,
    /// The step sets the existing object aside and puts the new object in its place.
    Replaces,
}

impl Effect {
    /// Returns a description of how the step is undone.
    pub fn undo(self) -> &'static str {
        match self {
            Self::Reads => "nothing to undo",
            Self::Makes => "everything that was created is removed if a step fails",
            Self::Replaces => "'git pggit backup restore abort' puts the old one back",
        }
    }
}

/// A step of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PlannedStep {
    /// The step, in words.
    pub what: String,
    /// The program that does it, with its arguments; absent if it needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The effect of the step.
    pub effect: Effect,
    /// True if it moves the bytes of the backup, which takes most of the time.
    pub bulk: bool,
}

impl PlannedStep {
    /// Returns a step that runs no program.
    pub fn new(what: impl Into<String>, effect: Effect) -> Self {
        Self { what: what.into(), argv: None, effect, bulk: false }
    }

    /// Returns the description of a step for a new database. `cmd` is the command of the load.
    pub(super) fn of_database(step: &new_database::DatabaseStep, cmd: Option<&Cmd>) -> Self {
        use new_database::DatabaseStep;
        let effect = if matches!(step, DatabaseStep::Prove { .. }) { Effect::Reads } else { Effect::Makes };
        let loads = matches!(step, DatabaseStep::Load);
        let argv = cmd.filter(|_| loads).map(words);
        Self { what: step.to_string(), argv, effect, bulk: loads }
    }

    /// Returns the description of a step that an adapter has planned.
    pub fn of_adapter(step: &adapter::RestoreStep) -> Self {
        use adapter::RestoreStep;
        let (argv, bulk) = match step {
            RestoreStep::Load { cmd, .. } | RestoreStep::Run { cmd, .. } => (Some(words(cmd)), true),
            RestoreStep::Script { .. } | RestoreStep::Unpack { .. } => (None, true),
            _ => (None, false),
        };
        let effect =
            if matches!(step, RestoreStep::RequireEmpty { .. }) { Effect::Reads } else { Effect::Makes };
        Self { what: step.to_string(), argv, effect, bulk }
    }
}

fn words(cmd: &Cmd) -> Vec<String> {
    cmd.argv().into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
}
