//! A user's own scripts between the phases, and where a later run goes on.

use super::lock::expire_the_lock;
use super::page_views::{expect, stage, two_sessions};
use super::{Trial, trials};
use crate::{Case, Fault, Faulty, Harness};
use serde_json::Value;
use std::sync::Arc;
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::model::sessions::tables::*;
use websessions_core::plan::{Phase, Plan, Statement, Step, Unit};
use websessions_core::run::Job;

pub(super) const TRIALS: &[(&str, Trial)] = trials![a_script_is_sent_once, a_note_of_an_older_run_is_not_resumed,];

/// A user's own script as a job.
fn own_script(sql: &str, dialect: &dyn Dialect) -> Job {
    let script = Unit::Script(Statement::new("script", sql));
    let step = Step::new("own", "a script of a user's own", vec![script]);
    Job::custom(Plan::new("own", dialect.name(), vec![step]))
}

async fn a_script_is_sent_once(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    for fault in [Fault::AnswerLost(0), Fault::Refused(0)] {
        let faulty = Faulty::new(Arc::clone(&case.warehouse), fault);
        let runner = case.runner().warehouse(&faulty);
        let error = runner
            .run_jobs(&[own_script("SELECT 1", &*case.warehouse.dialect())])
            .await
            .err()
            .ok_or("it was sent again")?;
        expect("attempts", matches!(error.error, Error::Unit { attempts: 1, .. }), true)
            .map_err(|problem| format!("{fault:?}: {problem}: {}", error.error))?;
    }
    case.drop().await
}

async fn a_note_of_an_older_run_is_not_resumed(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let dialect = case.warehouse.dialect();
    let own = own_script("SELECT * FROM there_is_no_such_table", &*dialect);
    let jobs = [case.job(Phase::Main), own];
    let dying = Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(5));
    let error = case.runner().run_jobs(&jobs).await.err().ok_or("the script did not fail")?;
    expect("the first error", matches!(error.error, Error::Unit { .. }), true)?;
    let error = case.runner().resume(&jobs).await.err().ok_or("the script did not fail again")?;
    expect("main ran again", error.report.plans.iter().any(|plan| plan.plan == "main"), false)?;
    // A later run dies: where an older one stopped says nothing any more.
    expect("the run died", case.runner().warehouse(&dying).run_jobs(&jobs).await.is_err(), true)?;
    expire_the_lock(&case).await?;
    let error = case.runner().resume(&jobs).await.err().ok_or("there was a note")?;
    expect("the last error", matches!(error.error, Error::NoResume { .. }), true)
        .map_err(|problem| format!("{problem}: {}", error.error))?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}
