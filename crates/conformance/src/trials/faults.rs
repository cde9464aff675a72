//! Calls that die, are refused or lose their answers, and runs that are cancelled.

use super::lock::expire_the_lock;
use super::page_views::{expect, left_for_good, stage, two_sessions, view};
use super::{Trial, trials};
use crate::case::explain;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::sync::Arc;
use websessions_core::CancellationToken;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;
use websessions_core::run::{Event, Listener};

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    killed_before_any_unit_a_rerun_gives_the_same_tables,
    a_lost_answer_or_refusal_of_any_unit_is_retried_without_a_trace,
    a_lost_answer_or_refusal_of_the_lock_leaves_no_lock_behind,
    a_cancelled_run_leaves_production_alone,
];

async fn killed_before_any_unit_a_rerun_gives_the_same_tables(harness: &dyn Harness) -> Result<(), String> {
    let variables = json!({"stage_next": true, "ends_run": true});
    let late = || vec![view("a", 1, 10, 1), view("a", 2, 10, 2), view("a", 3, 10, 3), view("c", 1, 12, 1)];
    let undisturbed = Case::new(harness, variables.clone()).await?;
    stage(&undisturbed, two_sessions()).await?;
    undisturbed.run().await?;
    stage(&undisturbed, late()).await?;
    undisturbed.run().await?;
    let expected = left_for_good(&undisturbed).await?;
    let tables = undisturbed.tables().await?;
    undisturbed.drop().await?;
    for call in 0.. {
        let case = Case::new(harness, variables.clone()).await?;
        stage(&case, two_sessions()).await?;
        case.run().await?;
        stage(&case, late()).await?;
        let dying = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(call)));
        let through = case.through(Arc::clone(&dying) as Arc<_>);
        let died = through.phases(&[Phase::Main, Phase::Complete]).await.is_err();
        expire_the_lock(&case).await?;
        case.run().await.map_err(|error| format!("rerun after death before call {call}: {error}"))?;
        expect(&format!("tables after death before call {call}"), left_for_good(&case).await?, expected.clone())?;
        expect("which tables exist", case.tables().await?, tables.clone())?;
        case.drop().await?;
        if !died {
            return expect("there were calls to die before", call > 20, true);
        }
    }
    Ok(())
}

async fn a_lost_answer_or_refusal_of_any_unit_is_retried_without_a_trace(harness: &dyn Harness) -> Result<(), String> {
    let variables = json!({"stage_next": true, "ends_run": true});
    let phases = [Phase::Main, Phase::Complete];
    let mut expected = None;
    let mut calls = 1;
    for number in 0.. {
        for fault in [Fault::None, Fault::AnswerLost(number), Fault::Refused(number)] {
            if number > 0 && fault == Fault::None {
                continue;
            }
            let case = Case::new(harness, variables.clone()).await?;
            stage(&case, two_sessions()).await?;
            let faulty = Arc::new(Faulty::new(Arc::clone(&case.warehouse), fault));
            case.through(Arc::clone(&faulty) as Arc<_>)
                .phases(&phases)
                .await
                .map_err(|error| format!("{fault:?}: {}", explain(error)))?;
            // Here the metadata must not hold a row more, either.
            expect(&format!("metadata rows after {fault:?}"), case.count(DATAMODEL_METADATA).await?, 1)?;
            let tables = left_for_good(&case).await?;
            match &expected {
                None => {
                    expected = Some(tables);
                    calls = faulty.calls();
                }
                Some(expected) => expect(&format!("tables after {fault:?}"), &tables, expected)?,
            }
            case.drop().await?;
        }
        if number + 1 >= calls {
            break;
        }
    }
    expect("there were calls", calls > 20, true)
}

async fn a_lost_answer_or_refusal_of_the_lock_leaves_no_lock_behind(harness: &dyn Harness) -> Result<(), String> {
    let mut calls = 1;
    for number in 0.. {
        for fault in [Fault::AnswerLost(number), Fault::Refused(number)] {
            let case = Case::new(harness, Value::Null).await?;
            stage(&case, two_sessions()).await?;
            let faulty = Arc::new(Faulty::in_housekeeping(Arc::clone(&case.warehouse), fault));
            // The phase with the fewest statements.
            let through = case.through(Arc::clone(&faulty) as Arc<_>);
            through.phase(Phase::Destroy).await.map_err(|error| format!("{fault:?}: {error}"))?;
            calls = faulty.calls();
            expect(
                &format!("tables after {fault:?}"),
                case.tables().await?,
                vec!["scratch.page_views_staged".to_owned()],
            )?;
            case.drop().await?;
        }
        if number + 1 >= calls {
            break;
        }
    }
    expect("there were calls", calls > 5, true)
}

/// Cancels as soon as a step begins.
struct CancelAt(&'static str, CancellationToken);

impl Listener for CancelAt {
    fn on(&self, event: &Event) {
        if matches!(event, Event::StepStarted { step, .. } if step == self.0) {
            self.1.cancel();
        }
    }
}

async fn a_cancelled_run_leaves_production_alone(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let cancellation = CancellationToken::new();
    let listener = CancelAt("commit", cancellation.clone());
    let jobs = [case.job(Phase::Main)];
    let runner = case.runner().listener(&listener).cancellation(cancellation);
    let error = runner.run_jobs(&jobs).await.err().ok_or("it was not cancelled")?;
    expect("exit code", error.error.exit_code(), 130)?;
    expect("committed", error.report.committed(), false)?;
    expect("sessions", case.count(SESSIONS).await?, 0)?;
    // The lock is free again at once.
    case.runner().run_jobs(&jobs).await.map_err(explain)?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}
