//! A step of a restore as people and programs are shown it: what it does, with
//! which argv, and what becomes of it when something fails.

use serde::Serialize;

use super::new_database;
use crate::process::Cmd;
use crate::tools::adapter;

/// What a step does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It only looks.
    Reads,
    /// It makes or changes what this restore has made.
    Makes,
    /// What is there is put aside, and the new takes its place.
    Replaces,
}

impl Effect {
    /// How it is undone.
    pub fn undo(self) -> &'static str {
        match self {
            Self::Reads => "nothing to undo",
            Self::Makes => "what was made is removed when anything fails",
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
    /// Whether it moves the bytes of the backup, which takes most of the time.
    pub bulk: bool,
}

impl PlannedStep {
    /// A step that takes no program.
    pub fn new(what: impl Into<String>, effect: Effect) -> Self {
        Self { what: what.into(), argv: None, effect, bulk: false }
    }

    /// What it says of a step of the way into a new database, which loads with
    /// `cmd` if it loads.
    pub(super) fn of_database(step: &new_database::Step, cmd: Option<&Cmd>) -> Self {
        use new_database::Step;
        let effect = if matches!(step, Step::Prove { .. }) { Effect::Reads } else { Effect::Makes };
        let loads = matches!(step, Step::Load);
        let argv = cmd.filter(|_| loads).map(words);
        Self { what: step.to_string(), argv, effect, bulk: loads }
    }

    /// What it says of a step that an adapter has planned.
    pub fn of_adapter(step: &adapter::Step) -> Self {
        use adapter::Step;
        let (argv, bulk) = match step {
            Step::Load { cmd, .. } | Step::Run { cmd, .. } => (Some(words(cmd)), true),
            Step::Script { .. } | Step::Unpack { .. } => (None, true),
            _ => (None, false),
        };
        let effect = if matches!(step, Step::RequireEmpty { .. }) { Effect::Reads } else { Effect::Makes };
        Self { what: step.to_string(), argv, effect, bulk }
    }
}

fn words(cmd: &Cmd) -> Vec<String> {
    cmd.argv().into_iter().map(|word| word.to_string_lossy().into_owned()).collect()
}
