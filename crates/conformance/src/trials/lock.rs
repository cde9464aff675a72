//! One run at a time: the lease in the warehouse.

use super::page_views::{expect, sessions, stage, two_sessions};
use super::{Trial, trials};
use crate::case::explain;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::sync::Arc;
use websessions_core::error::Error;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;
use websessions_core::run::{Event, Listener};
use websessions_core::table::ColumnType;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    two_racing_runs_do_not_interleave,
    a_lease_that_ran_out_is_taken_over_and_its_run_stops,
    a_lock_that_was_taken_over_and_freed_is_lost_all_the_same,
    a_lock_that_is_freed_while_it_is_taken_is_taken_again,
];

/// As if the dead holder's lease had run out by now.
pub(super) async fn expire_the_lock(case: &Case) -> Result<(), String> {
    if !case.tables().await?.iter().any(|table| table.ends_with("sessions_lock")) {
        return Ok(());
    }
    let dialect = case.warehouse.dialect();
    let past =
        format!("CAST({} AS {})", dialect.text("2000-01-01 00:00:00"), dialect.column_type(ColumnType::Timestamp));
    case.sql(format!("UPDATE {} SET expires_tstamp = {past} WHERE 1 = 1", dialect.table(&case.lock_name()))).await
}

async fn two_racing_runs_do_not_interleave(harness: &dyn Harness) -> Result<(), String> {
    for round in 0..5 {
        let one = Case::new(harness, json!({"stage_next": true, "ends_run": true})).await?;
        stage(&one, two_sessions()).await?;
        let other = one.through(harness.connect().await);
        let phases = [Phase::Main, Phase::Complete];
        let (first, second) = tokio::join!(one.phases(&phases), other.phases(&phases));
        let mut won = 0;
        for result in [first, second] {
            match result {
                Ok(_) => won += 1,
                Err(error) => expect("the loser's exit code", error.error.exit_code(), 3)
                    .map_err(|problem| format!("{problem}: {}", explain(error)))?,
            }
        }
        if won == 0 {
            return Err(format!("round {round}: both runs lost"));
        }
        expect("sessions", sessions(&one).await?, ["a: 2, page 2", "b: 2, page 2"].map(str::to_owned).to_vec())?;
        expect("metadata rows", one.count(DATAMODEL_METADATA).await?, won)?;
        expect("staged", one.count(PAGE_VIEWS_STAGED).await?, 0)?;
        one.drop().await?;
    }
    Ok(())
}

/// Lets another task act as soon as a step begins, and waits until it has.
pub(super) struct Interrupter {
    pub(super) step: &'static str,
    pub(super) begun: std::sync::mpsc::Sender<()>,
    pub(super) acted: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Listener for Interrupter {
    fn on(&self, event: &Event) {
        if matches!(event, Event::StepStarted { step, .. } if step == self.step) {
            let _ = self.begun.send(());
            tokio::task::block_in_place(|| {
                let _ = self.acted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
            });
        }
    }
}

/// A run whose lock becomes another's, or nobody's, while it works: it must notice before its commit.
async fn loses_its_lock(case: &Case, other: Case, holder: String) -> Result<(), String> {
    let ((begun, begins), (act, acted)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let listener = Interrupter { step: "manifest", begun, acted: acted.into() };
    let jobs = [case.job(Phase::Main)];
    let runner = case.runner().listener(&listener);
    let steal = tokio::spawn(async move {
        tokio::task::block_in_place(|| begins.recv()).map_err(|error| error.to_string())?;
        let table = other.warehouse.dialect().table(&other.lock_name());
        let stolen = other.sql(format!("UPDATE {table} SET holder = {holder} WHERE 1 = 1")).await;
        let _ = act.send(());
        stolen
    });
    let result = runner.run_jobs(&jobs).await;
    steal.await.map_err(|error| error.to_string())??;
    let error = result.err().ok_or("the run did not notice that its lock was lost")?;
    expect("error", matches!(error.error, Error::LeaseLost { .. }), true)
        .map_err(|problem| format!("{problem}: {}", error.error))?;
    expect("sessions", case.count(SESSIONS).await?, 0)
}

async fn a_lease_that_ran_out_is_taken_over_and_its_run_stops(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let thief = case.through(harness.connect().await);
    loses_its_lock(&case, thief, case.warehouse.dialect().text("thief")).await?;
    // The thief holds it; when its lease has run out, anyone may take it.
    let refused = case.phases(&[Phase::Main]).await.err().ok_or("a held lock was taken")?;
    expect("exit code", refused.error.exit_code(), 3)?;
    expire_the_lock(&case).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Another run took the lock over, failed, and freed it: nobody holds it now, the first run neither.
async fn a_lock_that_was_taken_over_and_freed_is_lost_all_the_same(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let thief = case.through(harness.connect().await);
    loses_its_lock(&case, thief, "NULL".to_owned()).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Another run holds the lock when it is taken first, and frees it before the look at it.
async fn a_lock_that_is_freed_while_it_is_taken_is_taken_again(harness: &dyn Harness) -> Result<(), String> {
    let takes = |sql: &String| sql.contains("SET holder") && sql.contains("acquired_tstamp");
    let mut taking = None;
    for attempts in [1, 2] {
        let case = Case::new(harness, Value::Null).await?;
        stage(&case, two_sessions()).await?;
        let fault = taking.map_or(Fault::None, Fault::FindsNothing);
        let faulty = Arc::new(Faulty::in_housekeeping(Arc::clone(&case.warehouse), fault));
        case.through(Arc::clone(&faulty) as Arc<_>).phase(Phase::Main).await?;
        taking = faulty.sent().iter().position(takes);
        expect("attempts", faulty.sent().iter().filter(|sql| takes(sql)).count(), attempts)?;
        case.drop().await?;
    }
    Ok(())
}
