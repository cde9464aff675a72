//! What holds of every plan of the module, whatever the options.

use super::findings::{DROPPED_SESSIONS, OLD_COPIES};
use super::module;
use crate::dialect::Dialect;
use crate::plan::{OnFound, Phase, Plan, Unit};
use crate::table::{Column, ColumnType, TypeFamily};
use crate::variables::{CleanupMode, LookbackGuard, OnDroppedSessions, Variables};
use std::sync::Arc;

/// A dialect of placeholders: what is looked at here is the same in every dialect.
#[derive(Debug)]
pub(in crate::model) struct Plain;

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }
    fn column_type(&self, column_type: ColumnType) -> String {
        format!("{column_type:?}").to_uppercase()
    }
    fn type_family(&self, _reported: &str) -> Option<TypeFamily> {
        None
    }
    fn now(&self) -> String {
        "NOW()".into()
    }
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("SECONDS({start}, {end})")
    }
    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("MINUS({timestamp}, {days})")
    }
    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("PLUS({timestamp}, {seconds})")
    }
    fn checksum(&self, column: &str) -> String {
        format!("CHECKSUM({column})")
    }
    fn row_fingerprint(&self, _columns: &[Column]) -> String {
        "FINGERPRINT()".into()
    }
}

/// Every combination of the options.
pub(in crate::model) fn all_options() -> Vec<Variables> {
    let mut all = Vec::new();
    for cleanup_mode in [CleanupMode::All, CleanupMode::Debug, CleanupMode::Trace] {
        for lookback_guard in [LookbackGuard::Off, LookbackGuard::Fail, LookbackGuard::Widen] {
            for on_dropped_sessions in
                [OnDroppedSessions::Report, OnDroppedSessions::Fail, OnDroppedSessions::KeepInput]
            {
                for flags in 0..8 {
                    all.push(Variables {
                        cleanup_mode,
                        lookback_guard,
                        on_dropped_sessions,
                        stage_next: flags & 1 != 0,
                        skip_derived: flags & 2 != 0,
                        ends_run: flags & 4 != 0,
                        ..Variables::default()
                    });
                }
            }
        }
    }
    all
}

fn plan(phase: Phase, variables: &Variables) -> Plan {
    module().plan(phase, variables, &(Arc::new(Plain) as Arc<dyn Dialect>))
}

fn sql(phase: Phase, variables: &Variables) -> String {
    plan(phase, variables).to_sql(&Plain)
}

#[test]
fn production_changes_in_one_block_only() {
    for variables in all_options() {
        let plan = plan(Phase::Main, &variables);
        for (step, unit) in plan.units() {
            let changes_production = unit.statements().iter().any(|statement| {
                ["INSERT INTO", "DELETE FROM", "UPDATE"].iter().any(|verb| {
                    ["\"sessions\"", "\"datamodel_metadata\"", "\"sessions_userid_manifest_staged\""].iter().any(
                        |table| {
                            statement.sql.starts_with(&format!("{verb} \"derived\".{table}"))
                                || statement.sql.starts_with(&format!("{verb} \"scratch\".{table}"))
                        },
                    )
                })
            });
            assert_eq!(changes_production, step.name == "commit", "{}: {}", step.name, unit.purpose());
        }
    }
}

#[test]
fn skip_derived_and_stage_next_choose_what_is_committed() {
    let commit = |skip_derived, stage_next| {
        let variables = Variables { skip_derived, stage_next, ..Variables::default() };
        let plan = plan(Phase::Main, &variables);
        let block = plan.units().find(|(step, _)| step.name == "commit").map(|(_, unit)| unit.statements().to_vec());
        let block = block.expect("main commits");
        let mentions = |table: &str| block.iter().any(|statement| statement.sql.contains(&format!("INTO {table} ")));
        (
            mentions("\"derived\".\"sessions\""),
            mentions("\"scratch\".\"sessions_userid_manifest_staged\""),
            mentions("\"derived\".\"datamodel_metadata\""),
        )
    };
    assert_eq!(commit(false, false), (true, false, true));
    assert_eq!(commit(true, false), (false, false, true));
    assert_eq!(commit(false, true), (true, true, true));
    assert_eq!(commit(true, true), (false, true, true));
}

#[test]
fn cleanup_drops_by_mode() {
    let dropped = |cleanup_mode, ends_run| {
        let sql = sql(Phase::Complete, &Variables { cleanup_mode, ends_run, ..Variables::default() });
        let cleanup = sql.split("-- step cleanup").nth(1).expect("complete cleans up").to_owned();
        move |table: &str| cleanup.contains(&format!("DROP TABLE IF EXISTS \"scratch\".\"{table}\""))
    };
    let all = dropped(CleanupMode::All, true);
    let debug = dropped(CleanupMode::Debug, false);
    let trace = dropped(CleanupMode::Trace, true);
    assert!(all("sessions_this_run") && all("sessions_aggregates") && all("metadata_run_id"));
    assert!(!debug("sessions_this_run") && debug("sessions_aggregates") && !debug("metadata_run_id"));
    assert!(!trace("sessions_this_run") && !trace("sessions_aggregates") && trace("metadata_run_id"));
    for drops in [&all as &dyn Fn(&str) -> bool, &debug, &trace] {
        assert!(!drops("page_views_staged") && !drops("sessions_userid_manifest_staged"));
    }
}

#[test]
fn destroy_leaves_what_is_shared() {
    let sql = sql(Phase::Destroy, &Variables::default());
    assert!(sql.contains("DROP TABLE IF EXISTS \"derived\".\"sessions\""));
    assert!(sql.contains("DROP TABLE IF EXISTS \"scratch\".\"sessions_userid_manifest_staged\""));
    assert!(!sql.contains("datamodel_metadata") && !sql.contains("page_views_staged"));
}

#[test]
fn guards_fail_before_the_commit() {
    let variables = Variables {
        lookback_guard: LookbackGuard::Fail,
        on_dropped_sessions: OnDroppedSessions::Fail,
        ..Variables::default()
    };
    let plan = plan(Phase::Main, &variables);
    let units: Vec<_> = plan.units().collect();
    let commit = units.iter().position(|(step, _)| step.name == "commit").expect("main commits");
    for finding in [DROPPED_SESSIONS, OLD_COPIES] {
        let position = units.iter().position(|(_, unit)| {
            matches!(unit, Unit::Observation(observation) if observation.finding.name == finding.name && matches!(observation.on_found, OnFound::Fail { .. }))
        });
        assert!(position.is_some_and(|position| position < commit), "{finding:?}");
    }
}

#[test]
fn the_fingerprint_is_of_the_sql() {
    let of = |variables: &Variables| plan(Phase::Main, variables).fingerprint();
    let default = Variables::default();
    assert_eq!(of(&default), of(&default));
    assert_ne!(of(&default), of(&Variables { skip_derived: true, ..default.clone() }));
}

/// A row is known by the columns that main reads: one that it doesn't read changes no session.
#[test]
fn the_columns_that_no_sql_reads_are_those_that_tell_no_row() {
    let variables = Variables::default();
    let plan = plan(Phase::Main, &variables);
    let texts = plan.units().filter(|(step, _)| step.name != "input").flat_map(|(_, unit)| unit.statements());
    let selects = texts.filter(|statement| statement.sql.contains("\"page_views_staged\""));
    let mut read = std::collections::BTreeSet::new();
    for statement in selects {
        // An alias is no column.
        let words = statement.sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect::<Vec<_>>();
        let named = words.windows(2).filter(|pair| pair[0] != "AS").map(|pair| pair[1].to_owned());
        read.extend(named);
    }
    let input = module().tables(&variables).into_iter().find(|table| table.name == super::tables::PAGE_VIEWS_STAGED);
    let columns = input.expect("the input").columns;
    assert!(columns.iter().any(|column| column.unread));
    for column in columns {
        assert_eq!(column.unread, !read.contains(&*column.name), "{}", column.name);
    }
}

#[test]
fn production_is_looked_through_as_far_as_is_said() {
    let limit = |lookback_guard, lookback_guard_days| {
        let sql = sql(Phase::Main, &Variables { lookback_guard, lookback_guard_days, ..Variables::default() });
        let words = |days: u32| sql.contains(&format!("MINUS(MIN(start_tstamp), {days}) AS lower_limit"));
        [30, 90].into_iter().find(|days| words(*days))
    };
    assert_eq!(limit(LookbackGuard::Widen, None), None);
    assert_eq!(limit(LookbackGuard::Widen, Some(90)), Some(90));
    assert_eq!(limit(LookbackGuard::Fail, Some(90)), Some(90));
    assert_eq!(limit(LookbackGuard::Widen, Some(3)), Some(30));
    assert_eq!(limit(LookbackGuard::Off, Some(90)), Some(30));
}
