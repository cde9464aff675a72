//! What a run did: a fold of its events.

use super::event::{Event, Listener, Outcome};
use crate::error::Error;
use crate::plan::Phase;
use crate::rows::{Rows, Value};
use crate::warehouse::{Done, Loaded};
use serde::{Serialize, Serializer};
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

impl StepReport {
    /// Whether production has this run's rows by it.
    fn has_committed(&self) -> bool {
        self.commits && !self.units.is_empty()
    }
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

/// The version of the report's shape: it grows when a field goes, or means something else.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run did. As JSON it has its schema's version and [`Report::numbers`] too; `docs/schemas/run.json` describes it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The run's id, which the lock's table, query tags and job labels have too.
    pub run_id: String,
    /// The version of the model.
    pub version: String,
    /// The dialect.
    pub dialect: String,
    /// Where the tables are.
    pub location: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How it ended; `None` while it goes on, or if it was left.
    pub outcome: Option<Outcome>,
    /// How long it took, in seconds.
    pub seconds: f64,
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
    /// The warnings that were said meanwhile: those of the notes among them are known.
    pub warnings: Vec<String>,
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            schema_version: u32,
            run_id: &'a str,
            version: &'a str,
            dialect: &'a str,
            location: &'a str,
            started_at: &'a Option<String>,
            ended_at: &'a Option<String>,
            seconds: f64,
            outcome: Option<Outcome>,
            numbers: BTreeMap<String, Value>,
            loaded: &'a [Loaded],
            rows_left_out: u64,
            plans: &'a [PlanReport],
            findings: &'a BTreeMap<&'static str, Rows>,
            counts: &'a BTreeMap<&'static str, i64>,
            notes: &'a [String],
        }
        Document {
            schema_version: SCHEMA_VERSION,
            run_id: &self.run_id,
            version: &self.version,
            dialect: &self.dialect,
            location: &self.location,
            started_at: &self.started_at,
            ended_at: &self.ended_at,
            seconds: self.seconds,
            outcome: self.outcome,
            numbers: self.numbers(),
            loaded: &self.loaded,
            rows_left_out: self.rows_left_out,
            plans: &self.plans,
            findings: &self.findings,
            counts: &self.counts,
            notes: &self.notes,
        }
        .serialize(serializer)
    }
}

impl Report {
    /// The report after one more event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run_id, version, dialect, location, at, .. } => {
                self.run_id.clone_from(run_id);
                (*version).clone_into(&mut self.version);
                self.dialect.clone_from(dialect);
                self.location.clone_from(location);
                self.started_at = Some(humantime::format_rfc3339_millis(*at).to_string());
            }
            Event::RunFinished { outcome, seconds, at, .. } => {
                self.outcome = Some(*outcome);
                self.ended_at = Some(humantime::format_rfc3339_millis(*at).to_string());
                self.seconds = *seconds;
            }
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
                // A module that begins anew observes again: what was to be mentioned of its first attempt goes.
                let before = self.findings.insert(finding.name, rows.clone());
                let said = before.as_ref().and_then(finding.in_words);
                if let Some(at) = said.and_then(|said| self.notes.iter().position(|note| *note == said)) {
                    self.notes.remove(at);
                }
                self.notes.extend((finding.in_words)(rows));
                if let Some(count) = finding.count {
                    self.counts.insert(finding.name, count(rows));
                }
            }
            Event::Loading { .. }
            | Event::Locked
            | Event::UnitStarted { .. }
            | Event::Retrying { .. }
            | Event::Cancelling => {}
            Event::Warning { message } => self.warnings.push(message.clone()),
        }
    }

    /// What can be counted, flat, by names that stay: what each finding counted by the finding's name, the numbers of the
    /// modules' summaries as `FINDING.COLUMN`, what was loaded, and what the warehouse said of its work.
    pub fn numbers(&self) -> BTreeMap<String, Value> {
        let whole = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let mut numbers = BTreeMap::from([
            ("seconds".to_owned(), Value::Float(self.seconds)),
            ("rows_loaded".to_owned(), whole(self.loaded.iter().map(|file| file.rows).sum())),
            ("rows_left_out".to_owned(), whole(self.rows_left_out)),
            ("statements".to_owned(), whole(self.statements().count() as u64)),
        ]);
        for (name, bytes) in [
            ("bytes_processed", (|done| done.bytes_processed) as fn(&Done) -> Option<u64>),
            ("bytes_billed", |done| done.bytes_billed),
        ] {
            if let Some(sum) = self.statements().filter_map(bytes).reduce(|sum, bytes| sum + bytes) {
                numbers.insert(name.to_owned(), whole(sum));
            }
        }
        numbers.extend(self.counts.iter().map(|(name, count)| ((*name).to_owned(), Value::Integer(*count))));
        for (name, rows) in self.findings.iter().filter(|(name, _)| !self.counts.contains_key(*name)) {
            let row = rows.rows.first().into_iter().flatten();
            for (column, value) in rows.columns.iter().zip(row) {
                if let Some(number) = value.whole_number() {
                    numbers.insert(format!("{name}.{column}"), Value::Integer(number));
                }
            }
        }
        numbers
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
        self.steps().filter(|step| step.has_committed()).count()
    }

    /// The modules whose rows production has.
    pub fn committed_modules(&self) -> impl Iterator<Item = &'static str> {
        let committed = |plan: &&PlanReport| plan.steps.iter().any(StepReport::has_committed);
        self.plans.iter().filter(committed).filter_map(|plan| plan.phase.map(|(module, _)| module))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Finding;

    #[test]
    fn what_is_observed_again_is_mentioned_once() {
        const DROPPED: Finding = Finding::new("dropped", |rows| {
            (!rows.rows.is_empty()).then(|| format!("{} were dropped", rows.rows.len()))
        });
        const OTHER: Finding = Finding::new("other", |_| Some("2 were dropped, too".to_owned()));
        let rows = |count| Rows { columns: vec!["id".to_owned()], rows: vec![vec![Value::Integer(1)]; count] };
        let mut report = Report::default();
        let mut observe = |finding, count| {
            report.apply(&Event::Observed { finding, rows: rows(count) });
            report.notes.clone()
        };
        assert_eq!(observe(DROPPED, 2), ["2 were dropped"]);
        observe(OTHER, 1);
        assert_eq!(observe(DROPPED, 3), ["2 were dropped, too", "3 were dropped"]);
        assert_eq!(observe(DROPPED, 0), ["2 were dropped, too"]);
    }
}
