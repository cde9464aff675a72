//! What holds of every plan of the module, whatever the options.

use super::module;
use crate::model::sessions::tests::Plain;
use crate::plan::{Phase, Plan};
use crate::variables::{CleanupMode, Variables};
use std::sync::Arc;

const PHASES: [Phase; 3] = [Phase::Main, Phase::Complete, Phase::Destroy];

fn all_options() -> Vec<Variables> {
    let mut all = Vec::new();
    for cleanup_mode in [CleanupMode::All, CleanupMode::Debug, CleanupMode::Trace] {
        for flags in 0..4 {
            let (skip_derived, ends_run) = (flags & 1 != 0, flags & 2 != 0);
            all.push(Variables { cleanup_mode, skip_derived, ends_run, ..Variables::default() });
        }
    }
    all
}

fn plan(phase: Phase, variables: &Variables) -> Plan {
    module().plan(phase, variables, &(Arc::new(Plain) as Arc<_>))
}

#[test]
fn production_changes_in_one_block_of_main_and_what_is_staged_in_one_of_complete() {
    for (variables, phase) in all_options().iter().flat_map(|variables| PHASES.map(|phase| (variables, phase))) {
        for (step, unit) in plan(phase, variables).units() {
            let changes = |table: &str| {
                let of = |verb: &str| format!("{verb} {table}\n");
                let begins = [of("DELETE FROM"), of("UPDATE"), format!("INSERT INTO {table} ")];
                unit.statements().iter().any(|one| begins.iter().any(|words| one.sql.starts_with(words.as_str())))
            };
            let users = changes("\"derived\".\"users\"");
            let metadata = changes("\"derived\".\"datamodel_metadata\"");
            assert_eq!(metadata, step.name == "commit", "{}", unit.purpose());
            assert_eq!(users, step.name == "commit" && !variables.skip_derived, "{}", unit.purpose());
            let staged = changes("\"scratch\".\"sessions_userid_manifest_staged\"");
            let manifest = changes("\"derived\".\"users_manifest\"");
            let consumes = phase == Phase::Complete && unit.purpose().starts_with("removes the staged rows");
            assert_eq!(staged, consumes, "{}", unit.purpose());
            assert!(!manifest || consumes || step.name == "setup", "{}", unit.purpose());
            assert!(!changes("\"derived\".\"sessions\""), "{}", unit.purpose());
        }
    }
}

#[test]
fn cleanup_drops_by_mode_and_never_what_stays() {
    let dropped = |phase, cleanup_mode, ends_run| {
        let plan = plan(phase, &Variables { cleanup_mode, ends_run, ..Variables::default() });
        let all: Vec<String> = plan
            .units()
            .flat_map(|(_, unit)| unit.statements())
            .filter_map(|statement| statement.sql.strip_prefix("DROP TABLE IF EXISTS ").map(str::to_owned))
            .collect();
        move |table: &str| {
            all.contains(&format!("\"scratch\".\"{table}\"")) || all.contains(&format!("\"derived\".\"{table}\""))
        }
    };
    let all = dropped(Phase::Complete, CleanupMode::All, true);
    let debug = dropped(Phase::Complete, CleanupMode::Debug, false);
    let trace = dropped(Phase::Complete, CleanupMode::Trace, true);
    let destroy = dropped(Phase::Destroy, CleanupMode::Trace, false);
    for kept in ["users_this_run", "users_sessions_this_run", "users_userids_this_run", "users_limits"] {
        assert!(all(kept) && !debug(kept) && !trace(kept) && destroy(kept), "{kept}");
    }
    assert!(all("users_metadata_this_run") && debug("users_metadata_this_run") && !trace("users_metadata_this_run"));
    assert!(all("metadata_run_id") && !debug("metadata_run_id") && trace("metadata_run_id"));
    for shared in ["sessions", "sessions_userid_manifest_staged", "datamodel_metadata"] {
        assert!(!all(shared) && !debug(shared) && !trace(shared) && !destroy(shared), "{shared}");
    }
    for own in ["users", "users_manifest"] {
        assert!(!all(own) && !debug(own) && !trace(own) && destroy(own), "{own}");
    }
}
