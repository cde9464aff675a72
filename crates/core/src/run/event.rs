//! What happens in a run, as it happens.

use crate::files::Position;
use crate::plan::{Finding, Phase};
use crate::rows::Rows;
use crate::warehouse::{Done, Loaded};
use serde::Serialize;

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A file is being read.
    Loading {
        /// How far.
        #[serde(flatten)]
        position: Position,
    },
    /// Files were loaded into the input.
    Loaded {
        /// Each of them.
        files: Vec<Loaded>,
    },
    /// The lock is ours.
    Locked,
    /// A plan begins.
    PlanStarted {
        /// The phase or custom module.
        plan: String,
        /// The module and the phase that it is; none of a custom module.
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<(&'static str, Phase)>,
        /// How many units it has.
        units: usize,
    },
    /// A step begins.
    StepStarted {
        /// The phase or custom module.
        plan: String,
        /// The step.
        step: String,
        /// What it is for.
        purpose: String,
        /// Whether production has this run's rows once it is done.
        commits: bool,
    },
    /// A unit is about to be sent.
    UnitStarted {
        /// The phase or custom module.
        plan: String,
        /// The step.
        step: String,
        /// What the unit is for.
        unit: String,
        /// The exact statements.
        sql: Vec<String>,
    },
    /// A unit is done; what it changed is committed.
    UnitFinished {
        /// The phase or custom module.
        plan: String,
        /// The step.
        step: String,
        /// What the unit is for.
        unit: String,
        /// Whether it is a script of the user's own.
        script: bool,
        /// How long it took.
        seconds: f64,
        /// What its statements did, in order.
        statements: Vec<Done>,
    },
    /// An observation has its rows.
    Observed {
        /// What it looks for.
        finding: Finding,
        /// What it found.
        rows: Rows,
    },
    /// A step is done.
    StepFinished {
        /// The phase or custom module.
        plan: String,
        /// The step.
        step: String,
        /// How long it took.
        seconds: f64,
    },
    /// A plan is done, or has failed.
    PlanFinished {
        /// The phase or custom module.
        plan: String,
        /// How long it took.
        seconds: f64,
    },
    /// A unit failed in a way that may pass.
    Retrying {
        /// What the unit is for.
        unit: String,
        /// The warehouse's words.
        error: String,
        /// How long until the next attempt.
        seconds: f64,
    },
    /// A unit failed, and whether it was applied is not known: its answer was lost.
    OutcomeUnknown {
        /// The phase or custom module.
        plan: String,
        /// The step.
        step: String,
        /// What the unit is for.
        unit: String,
    },
    /// Something the user should know.
    Warning {
        /// What.
        message: String,
    },
    /// The user asked to stop.
    Cancelling,
}

/// Where events go.
pub trait Listener: Send + Sync {
    /// Takes one event.
    fn on(&self, event: &Event);
}

/// A listener that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Listener for Silence {
    fn on(&self, _event: &Event) {}
}
