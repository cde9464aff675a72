//! Tests of data: the model's and users' own, each a SELECT that must give no rows.

use super::{Insight, Since};
use crate::error::{Error, WarehouseError, WarehouseErrorKind};
use crate::model::select::sql;
use crate::model::{self, Check, Select, Severity};
use crate::plan::{Plan, Statement};
use crate::preflight;
use crate::rows::Rows;
use crate::warehouse::Warehouse;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

const FAILURES: Select = sql!("insight/failures");
const SAMPLES: Select = sql!("insight/samples");

/// A test of data, ready to be asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Question {
    /// Its name.
    pub name: String,
    /// What must hold, or the file of a user's own.
    pub about: String,
    /// The table that it is about; of a user's own, none.
    pub table: Option<&'static str>,
    /// The tables that it reads.
    pub reads: Vec<&'static str>,
    /// Why it is not asked, if it is not.
    pub skipped: Option<String>,
    /// What it means if it finds something.
    pub severity: Severity,
    /// The SELECT that gives the rows that are wrong.
    pub select: String,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It found nothing.
    Passed,
    /// It found something, and its severity is warn.
    Warned,
    /// It found something, and its severity is fail; or it could not be asked.
    Failed,
    /// A table that it reads is not there, or runs don't write what it is about.
    Skipped,
}

/// A test and what it found.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// Its name.
    pub name: String,
    /// What must hold.
    pub about: String,
    /// The table that it is about.
    pub table: Option<String>,
    /// What it means if it finds something.
    pub severity: Severity,
    /// What became of it.
    pub outcome: Outcome,
    /// How many rows are wrong.
    pub failures: i64,
    /// Some of them.
    pub samples: Rows,
    /// Why it was not asked, or could not be.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Question {
    /// A user's own: a SELECT, and where it stands.
    pub fn own(name: impl Into<String>, file: impl Into<String>, select: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            about: file.into(),
            table: None,
            reads: Vec::new(),
            skipped: None,
            severity: Severity::Fail,
            select: select.into(),
        }
    }
}

impl Insight<'_> {
    /// The tests of the model's tables.
    pub fn checks(&self) -> Vec<&'static Check> {
        model::checks(&self.modules)
    }

    /// The model's tests, of rows since then.
    pub fn questions(&self, since: Option<&Since>) -> Vec<Question> {
        self.checks().into_iter().map(|check| self.question(check, since)).collect()
    }

    fn question(&self, check: &Check, since: Option<&Since>) -> Question {
        let checked = self.tables.iter().find(|table| table.name == check.table);
        let checked = checked.map(|table| self.dialect.table(&self.variables.table_name(table))).unwrap_or_default();
        let conditions = ["start_tstamp", "MIN(start_tstamp)", "run_start_tstamp"].map(|time| self.since(time, since));
        let [of_row, of_first, of_run] = &conditions;
        let values = [
            ("checked", checked.as_str()),
            ("since", of_row.as_str()),
            ("since_first", of_first.as_str()),
            ("since_run", of_run.as_str()),
        ];
        Question {
            name: check.name.to_owned(),
            about: check.about.to_owned(),
            table: Some(check.table),
            reads: [&[check.table], check.reads].concat(),
            skipped: (check.of_written && self.variables.skip_derived)
                .then(|| "with skip_derived runs leave production alone".to_owned()),
            severity: check.severity,
            select: self.select(&check.select, &[&values, check.values].concat()),
        }
    }

    /// How many rows a test finds.
    pub fn failures(&self, question: &Question) -> Statement {
        let sql = self.select(&FAILURES, &[("found", &question.select)]);
        Statement::new(format!("{}: {}", question.name, question.about), sql)
    }

    /// Some of the rows that a test finds.
    pub fn samples(&self, question: &Question, limit: u32) -> Statement {
        let sql = self.select(&SAMPLES, &[("found", &question.select), ("limit", &limit.to_string())]);
        Statement::new(format!("{}: samples", question.name), sql)
    }

    /// What `check` asks, to be printed.
    pub fn check_plan(&self, questions: &[Question]) -> Plan {
        self.plan("check", "each must find no rows", questions.iter().map(|question| self.failures(question)).collect())
    }

    /// Asks each test.
    pub async fn ask(
        &self,
        warehouse: &dyn Warehouse,
        questions: &[Question],
        samples: u32,
    ) -> Result<Vec<Answer>, Error> {
        let failed = |source| Error::Warehouse { context: "can't look at the tables".into(), source };
        let there = preflight::columns_of(warehouse, &self.tables, self.variables).await.map_err(failed)?;
        let mut answers = Vec::new();
        for question in questions.iter().filter(|question| question.severity != Severity::Off) {
            let missing: Vec<String> = self
                .tables
                .iter()
                .filter(|table| question.reads.contains(&table.name) && !there.contains_key(table.name))
                .map(|table| self.variables.table_name(table).to_string())
                .collect();
            let of_table = self.tables.iter().find(|table| Some(table.name) == question.table);
            let mut answer = Answer {
                name: question.name.clone(),
                about: question.about.clone(),
                table: of_table.map(|table| self.variables.table_name(table).to_string()),
                severity: question.severity,
                outcome: Outcome::Skipped,
                failures: 0,
                samples: Rows::default(),
                reason: match missing.as_slice() {
                    [] => question.skipped.clone(),
                    missing => Some(format!("there is no {}", missing.join(", "))),
                },
                seconds: 0.0,
            };
            if answer.reason.is_none() {
                let started = Instant::now();
                let found = self.found(warehouse, question, samples).await;
                answer.seconds = started.elapsed().as_secs_f64();
                match found {
                    Ok((failures, rows)) => {
                        answer.outcome = match (failures, question.severity) {
                            (0, _) => Outcome::Passed,
                            (_, Severity::Fail) => Outcome::Failed,
                            _ => Outcome::Warned,
                        };
                        (answer.failures, answer.samples) = (failures, rows);
                    }
                    // What the tables or the test are to blame for is an answer; a connection that broke is none.
                    Err(error) if is_of_connection(&error) => return Err(failed(error)),
                    Err(error) => {
                        answer.outcome = Outcome::Failed;
                        answer.reason = Some(error.to_string());
                    }
                }
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn found(
        &self,
        warehouse: &dyn Warehouse,
        question: &Question,
        samples: u32,
    ) -> Result<(i64, Rows), WarehouseError> {
        let failures = warehouse.query(&self.failures(question).sql).await?.get(0, "failures").as_integer();
        if failures == 0 || samples == 0 {
            return Ok((failures, Rows::default()));
        }
        Ok((failures, warehouse.query(&self.samples(question, samples).sql).await?))
    }
}

/// Whether nothing more can be asked, whatever the tables are.
pub(super) fn is_of_connection(error: &WarehouseError) -> bool {
    matches!(error.kind, WarehouseErrorKind::Connection | WarehouseErrorKind::Cancelled | WarehouseErrorKind::Locked)
}

/// Gives each test the severity that the configuration names; fails with the names that no test has.
pub fn set_severities(questions: &mut [Question], severities: &BTreeMap<String, Severity>) -> Result<(), String> {
    for (name, severity) in severities {
        let known: Vec<String> = questions.iter().map(|question| question.name.clone()).collect();
        let found = questions.iter_mut().find(|question| question.name == *name);
        found.ok_or_else(|| crate::did_you_mean::unknown("check", name, known.iter().map(String::as_str)))?.severity =
            *severity;
    }
    Ok(())
}
