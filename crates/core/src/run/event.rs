//! What happens in a run, as it happens.

use crate::files::Position;
use crate::plan::{Finding, Phase};
use crate::rows::Rows;
use crate::warehouse::{Done, Loaded};
use serde::{Serialize, Serializer};
use std::time::SystemTime;

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run begins: nothing was sent yet.
    RunStarted {
        /// Its id, which the lock's table, query tags and job labels have too.
        run_id: String,
        /// The version of the model.
        version: &'static str,
        /// The dialect.
        dialect: String,
        /// Where the tables are.
        location: String,
        /// How catalogs of data call the warehouse: see [`crate::warehouse::Warehouse::namespace`].
        #[serde(skip)]
        namespace: (String, Option<String>),
        /// When.
        #[serde(serialize_with = "utc")]
        at: SystemTime,
    },
    /// A run is over: the last event of it.
    RunFinished {
        /// Whether all of it was done.
        outcome: Outcome,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How long it took.
        seconds: f64,
        /// When.
        #[serde(serialize_with = "utc")]
        at: SystemTime,
    },
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

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// All of it was done.
    Succeeded,
    /// The run failed.
    Failed,
    /// The user stopped the run.
    Cancelled,
    /// Another run was in the way, and nothing was done.
    Locked,
}

/// How much an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Each unit, and how far a file has been read.
    Debug,
    /// What a run does.
    Info,
    /// What the user should know.
    Warn,
    /// Why it ended.
    Error,
}

impl Event {
    /// How much it is about.
    pub fn level(&self) -> Level {
        match self {
            Self::Loading { .. } | Self::UnitStarted { .. } | Self::UnitFinished { .. } => Level::Debug,
            Self::Retrying { .. } | Self::OutcomeUnknown { .. } | Self::Warning { .. } | Self::Cancelling => {
                Level::Warn
            }
            Self::RunFinished { outcome, .. } if *outcome != Outcome::Succeeded => Level::Error,
            _ => Level::Info,
        }
    }
}

/// A moment as RFC 3339, in UTC, to the millisecond.
fn utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
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
