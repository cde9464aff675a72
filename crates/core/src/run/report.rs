//! What a run did: a fold of its events.

use super::event::{Event, Listener};
use crate::error::Error;
use crate::plan::Phase;
use crate::rows::Rows;
use crate::warehouse::{Done, Loaded};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What one unit did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UnitReport {
    /// What it is for.
    pub unit: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What its statements did, in order.
    pub statements: Vec<Done>,
}

/// What one step did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// How long it took until its last unit that is done, in seconds.
    pub seconds: f64,
    /// Its units that are done.
    pub units: Vec<UnitReport>,
    /// Whether production has this run's rows once it is done.
    #[serde(skip)]
    commits: bool,
    /// Whether the answer of a unit of it was lost.
    #[serde(skip)]
    lost_answer: bool,
}

/// What one plan did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// The phase or custom module.
    pub plan: String,
    /// The module and the phase that it is; none of a custom module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<(&'static str, Phase)>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its steps that began.
    pub steps: Vec<StepReport>,
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The files that were loaded first.
    pub loaded: Vec<Loaded>,
    /// Wrong rows of them that were left out, as was asked for.
    pub rows_left_out: u64,
    /// The plans that began, in order.
    pub plans: Vec<PlanReport>,
    /// What the observations found, by their findings' names.
    pub findings: BTreeMap<&'static str, Rows>,
    /// How many each of them found.
    pub counts: BTreeMap<&'static str, i64>,
    /// What of that is worth to be mentioned, in words.
    pub notes: Vec<String>,
}

impl Report {
    /// The report after one more event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Loaded { files } => {
                self.rows_left_out += files.iter().map(|file| file.rows_left_out).sum::<u64>();
                self.loaded.extend(files.iter().cloned());
            }
            Event::PlanStarted { plan, phase, .. } => {
                self.plans.push(PlanReport { plan: plan.clone(), phase: *phase, seconds: 0.0, steps: Vec::new() });
            }
            Event::PlanFinished { seconds, .. } => {
                if let Some(plan) = self.plans.last_mut() {
                    plan.seconds = *seconds;
                }
            }
            Event::StepStarted { step, commits, .. } => {
                if let Some(plan) = self.plans.last_mut() {
                    plan.steps.push(StepReport {
                        step: step.clone(),
                        seconds: 0.0,
                        units: Vec::new(),
                        commits: *commits,
                        lost_answer: false,
                    });
                }
            }
            Event::UnitFinished { unit, seconds, statements, .. } => {
                if let Some(step) = self.last_step() {
                    step.seconds += seconds;
                    step.units.push(UnitReport {
                        unit: unit.clone(),
                        seconds: *seconds,
                        statements: statements.clone(),
                    });
                }
            }
            Event::StepFinished { seconds, .. } => {
                if let Some(step) = self.last_step() {
                    step.seconds = *seconds;
                }
            }
            Event::OutcomeUnknown { .. } => {
                if let Some(step) = self.last_step() {
                    step.lost_answer = true;
                }
            }
            Event::Observed { finding, rows } => {
                self.notes.extend((finding.in_words)(rows));
                self.counts.insert(finding.name, (finding.count)(rows));
                self.findings.insert(finding.name, rows.clone());
            }
            Event::Loading { .. }
            | Event::Locked
            | Event::UnitStarted { .. }
            | Event::Retrying { .. }
            | Event::Warning { .. }
            | Event::Cancelling => {}
        }
    }

    fn last_step(&mut self) -> Option<&mut StepReport> {
        self.plans.last_mut().and_then(|plan| plan.steps.last_mut())
    }

    /// The units that are done, as `plan/step: purpose`.
    pub fn done(&self) -> Vec<String> {
        let mut done = Vec::new();
        for plan in &self.plans {
            for step in &plan.steps {
                done.extend(step.units.iter().map(|unit| format!("{}/{}: {}", plan.plan, step.step, unit.unit)));
            }
        }
        done
    }

    /// What each statement did, in order.
    pub fn statements(&self) -> impl Iterator<Item = &Done> {
        self.plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.units).flat_map(|unit| &unit.statements)
    }

    /// Whether production has this run's rows.
    pub fn committed(&self) -> bool {
        self.commits() > 0
    }

    /// How many modules it has committed.
    pub fn commits(&self) -> usize {
        self.steps().filter(|step| step.commits && !step.units.is_empty()).count()
    }

    /// Whether it is not known if production has this run's rows: the answer of a commit was lost, and none came later.
    pub fn commit_is_unknown(&self) -> bool {
        self.steps().any(|step| step.commits && step.lost_answer && step.units.is_empty())
    }

    /// Whether a module's main is among the plans that began.
    pub fn began_main(&self) -> bool {
        self.plans.iter().any(|plan| matches!(plan.phase, Some((_, Phase::Main))))
    }

    fn steps(&self) -> impl Iterator<Item = &StepReport> {
        self.plans.iter().flat_map(|plan| &plan.steps)
    }
}

/// A run that ended early: why, and what it had done by then.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct RunError {
    /// Why.
    #[source]
    pub error: Error,
    /// What was done by then.
    pub report: Box<Report>,
}

impl RunError {
    /// A run that ended for a reason, having done what a report says.
    pub fn new(error: Error, report: Report) -> Self {
        Self { error, report: Box::new(report) }
    }
}

/// Folds what it hears into a report, and hands it on.
pub(super) struct Recorder<'a> {
    report: Mutex<Report>,
    listener: &'a dyn Listener,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(listener: &'a dyn Listener) -> Self {
        Self { report: Mutex::default(), listener }
    }

    /// How many steps have begun.
    pub(super) fn steps_begun(&self) -> usize {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).steps().count()
    }

    pub(super) fn into_report(self) -> Report {
        self.report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Recorder<'_> {
    fn on(&self, event: &Event) {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).apply(event);
        self.listener.on(event);
    }
}
