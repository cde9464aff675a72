//! The steps of each phase, one function a step. Options choose steps and statements here, never inside SQL.

use super::findings::*;
use super::tables::*;
use crate::model::select::sql;
use crate::model::{Context, Select};
use crate::plan::{OnFound, OnlyIf, Statement, Step, Unit};
use crate::variables::CleanupMode;

const COMMITTED_AND_SEALED: Select = sql!("users/committed_and_sealed");
const CONSUMED: Select = sql!("users/consumed");
const EVERY_USER: Select = sql!("users/every_user");
const IS_SEED: Select = sql!("users/is_seed");
const LIMITS: Select = sql!("users/users_limits");
const MARK: Select = sql!("users/mark");
const METADATA: Select = sql!("users/users_metadata_this_run");
const NEW_MANIFEST: Select = sql!("users/new_manifest");
const NEW_USERS: Select = sql!("users/new_users");
const OLD_MANIFEST: Select = sql!("users/old_manifest");
const OLD_USERS: Select = sql!("users/old_users");
const RUN_METADATA: Select = sql!("users/run_metadata");
const RUN_SUMMARY: Select = sql!("users/run_summary");
const SEAL_HOLDS: Select = sql!("users/seal_holds");
const SEAL_USERIDS: Select = sql!("users/seal_userids");
const SEED: Select = sql!("users/seed");
const SESSIONS_OF_USERS: Select = sql!("users/users_sessions_this_run");
const STAGED: Select = sql!("users/staged");
const TABLES_MARKED: Select = sql!("users/tables_marked");
const THIS_RUN: Select = sql!("users/users_this_run");
const UNSEAL: Select = sql!("users/unseal");
const UNSEAL_UNLESS_IT_HOLDS: Select = sql!("users/unseal_unless_it_holds");
const USERIDS: Select = sql!("users/users_userids_this_run");
const USERS_MARKED: Select = sql!("users/users_marked");
const WITHOUT_SESSIONS: Select = sql!("users/users_without_sessions");

pub(super) fn main(context: &Context<'_>) -> Vec<Step> {
    vec![setup(context), input(context), sessions(context), users(context), metadata(context), commit(context)]
}

pub(super) fn complete(context: &Context<'_>) -> Vec<Step> {
    let mut cleanup = context.cleanup(context.variables.cleanup_mode, context.variables.ends_run);
    let marks = context.dialect.drop_table(&context.name(USERS_TABLES_MADE));
    let none_left = OnlyIf::FindsNothing(context.select(&TABLES_MARKED));
    cleanup.units.push(Unit::Statement(marks.only_if(none_left)));
    vec![consume(context), cleanup]
}

pub(super) fn destroy(context: &Context<'_>) -> Vec<Step> {
    let owned = [USERS_TABLES_MADE, USERS, USERS_MANIFEST].map(|table| context.drop(table));
    vec![
        context.cleanup(CleanupMode::All, true),
        Step::new("destroy", "drops the tables that this module owns", owned.into()),
    ]
}

/// What makes a permanent table, and what is noted before if it is not there.
fn mark(context: &Context<'_>, table: &str) -> Statement {
    let select = context.select_with(&MARK, &[("made", table)]);
    let there = context.dialect.columns_query(&context.name(table).schema, &[&context.name(table).name]);
    context
        .insert(USERS_TABLES_MADE, &format!("{} is made by this run", context.name(table)), &select)
        .only_if(OnlyIf::FindsNothing(there))
}

fn setup(context: &Context<'_>) -> Step {
    let mut units = context.hints();
    units.extend(context.shared_setup());
    for table in [SESSIONS, SESSIONS_USERID_MANIFEST_READ, USERS_TABLES_MADE] {
        units.extend(context.create(table));
    }
    units.push(Unit::Block {
        purpose: "which tables this run is the first to make".to_owned(),
        statements: [USERS, USERS_MANIFEST].map(|table| mark(context, table)).into(),
    });
    for table in [USERS, USERS_MANIFEST] {
        units.extend(context.create(table));
    }
    let was_made = format!("table_name = {}", context.dialect.text(USERS_MANIFEST));
    units.push(Unit::Block {
        purpose: "a new manifest gets its first row".to_owned(),
        statements: vec![
            context.insert(USERS_MANIFEST, "the first row of a new manifest", &context.select(&SEED)),
            context.delete(USERS_TABLES_MADE, "it has it now", &was_made),
        ],
    });
    units.extend(context.drop_view(USERS_SESSIONS_THIS_RUN));
    units.extend(context.replace(USERS_METADATA_THIS_RUN, &context.select(&METADATA)));
    Step::new("setup", "schemas, permanent tables and the identity of this run", units)
}

fn input(context: &Context<'_>) -> Step {
    let marked = OnlyIf::Finds(context.select(&USERS_MARKED));
    let every_user = context.insert(
        SESSIONS_USERID_MANIFEST_READ,
        "every user of sessions, where users was made just now",
        &context.select(&EVERY_USER),
    );
    let mut units = vec![Unit::Block {
        purpose: "who is staged: complete removes these rows and no others".to_owned(),
        statements: vec![
            context.delete(SESSIONS_USERID_MANIFEST_READ, "what an earlier main read", "1 = 1"),
            context.insert(SESSIONS_USERID_MANIFEST_READ, "the staged rows", &context.select(&STAGED)),
            every_user.only_if(marked),
            Statement::new("the checksum of what this run reads", context.select(&SEAL_USERIDS)).must_change(),
        ],
    }];
    let is_seed = context.select(&IS_SEED);
    units
        .extend(context.replace(USERS_USERIDS_THIS_RUN, &context.select_with(&USERIDS, &[("seed", is_seed.as_str())])));
    units.extend(context.replace(USERS_LIMITS, &context.select(&LIMITS)));
    Step::new("user_ids", "whose sessions changed since users was last complete", units)
}

fn sessions(context: &Context<'_>) -> Step {
    let view = context.create_view(USERS_SESSIONS_THIS_RUN, &SESSIONS_OF_USERS);
    Step::new("sessions", "all sessions of these users", vec![view])
}

fn users(context: &Context<'_>) -> Step {
    let purpose = "one row a user, with its first and last session";
    Step::new("users", purpose, context.replace(USERS_THIS_RUN, &context.select(&THIS_RUN)))
}

fn metadata(context: &Context<'_>) -> Step {
    let without = "users that are staged and have no session";
    let units = vec![
        context.counted(USERS_METADATA_THIS_RUN, &RUN_METADATA),
        context.observe(USERS_WITHOUT_SESSIONS, OnFound::Report, without, &WITHOUT_SESSIONS),
        context.observe(USERS_SUMMARY, OnFound::Report, "what this run computed", &RUN_SUMMARY),
    ];
    Step::new("metadata", "counts and time range of this run, and what is odd about it", units)
}

/// A second attempt of a commit whose answer was lost finds the run's end set, and changes production no more.
fn commit(context: &Context<'_>) -> Step {
    let holds = Statement::new("this run's tables are as it made them", context.select(&SEAL_HOLDS));
    let mut statements = vec![holds.must_change()];
    if !context.variables.skip_derived {
        statements.push(context.delete(USERS, "old rows of this run's users", &context.select(&OLD_USERS)));
        statements.push(context.insert(USERS, "this run's users", &context.select(&NEW_USERS)));
    }
    statements.extend(context.committed(USERS_METADATA_THIS_RUN));
    let purpose = "users and metadata, all or nothing".to_owned();
    Step::new("commit", "upserts production", vec![Unit::Block { purpose, statements }]).commits()
}

fn consume(context: &Context<'_>) -> Step {
    let mut units = Vec::new();
    // They are missing if main has not run: then nothing was consumed, and nothing is removed.
    for table in [
        USERS_TABLES_MADE,
        USERS_METADATA_THIS_RUN,
        SESSIONS_USERID_MANIFEST_READ,
        USERS_USERIDS_THIS_RUN,
        USERS_THIS_RUN,
    ] {
        units.extend(context.create(table));
    }
    let (sealed, is_seed) = (context.select(&COMMITTED_AND_SEALED), context.select(&IS_SEED));
    let names = [("sealed", sealed.as_str()), ("seed", is_seed.as_str())];
    let manifest = context.name(USERS_MANIFEST);
    let is_there = || OnlyIf::Finds(context.dialect.columns_query(&manifest.schema, &[&manifest.name]));
    let made = format!("table_name = {}\n  AND {sealed}", context.dialect.text(USERS));
    units.push(Unit::Block {
        purpose: "removes the staged rows that main consumed, and no others".to_owned(),
        statements: vec![
            Statement::new("unless the tables are as main made them", context.select(&UNSEAL_UNLESS_IT_HOLDS)),
            context
                .delete(USERS_MANIFEST, "old rows of these users", &context.select_with(&OLD_MANIFEST, &names))
                .only_if(is_there()),
            context
                .insert(USERS_MANIFEST, "these users", &context.select_with(&NEW_MANIFEST, &names))
                .only_if(is_there()),
            context.delete(
                SESSIONS_USERID_MANIFEST_STAGED,
                "the consumed rows",
                &context.select_with(&CONSUMED, &names),
            ),
            context.delete(USERS_TABLES_MADE, "every user of sessions has its row", &made),
            context.delete(SESSIONS_USERID_MANIFEST_READ, "what was read is consumed", "1 = 1"),
            // Nothing is consumed twice, however often complete runs.
            Statement::new("this run is complete", context.select(&UNSEAL)),
        ],
    });
    units.extend(
        context.dialect.after_delete(&context.name(SESSIONS_USERID_MANIFEST_STAGED)).into_iter().map(Unit::Statement),
    );
    Step::new("input", "removes the consumed rows, and remembers their users", units)
}
