//! The steps of each phase, one function a step. Options choose steps and statements here, never inside SQL.

use super::findings::*;
use super::tables::*;
use crate::model::findings::on_found;
use crate::model::select::sql;
use crate::model::{Context, Select};
use crate::plan::{OnFound, OnlyIf, Statement, Step, Unit};
use crate::variables::{CleanupMode, OnDroppedSessions};

pub(super) const AGGREGATES: Select = sql!("sessions/sessions_aggregates");
const CONSUMED: Select = sql!("sessions/consumed");
pub(super) const DROPPED: Select = sql!("sessions/dropped_sessions");
const EVERYTHING_WAS_READ: Select = sql!("sessions/everything_was_read");
const INPUT: Select = sql!("sessions/sessions_input_this_run");
const INPUT_KEPT: Select = sql!("sessions/sessions_input_kept");
const LEFT: Select = sql!("sessions/input_left");
pub(super) const MANIFEST: Select = sql!("sessions/sessions_userid_manifest_this_run");
const METADATA: Select = sql!("sessions/sessions_metadata_this_run");
pub(super) const MULTIPLIED: Select = sql!("sessions/multiplied_sessions");
const NEW_SESSIONS: Select = sql!("sessions/new_sessions");
const OLD_COPIES_FOUND: Select = sql!("sessions/old_copies");
const OLD_SESSIONS: Select = sql!("sessions/old_sessions");
const OLD_USERS: Select = sql!("sessions/old_users");
const NOTHING_ARRIVED: Select = sql!("sessions/nothing_arrived");
const REMOVABLE_OF_KEPT_SESSIONS_ONLY: Select = sql!("sessions/removable_of_kept_sessions_only");
const RUN_METADATA: Select = sql!("sessions/run_metadata");
const SEAL_HOLDS: Select = sql!("sessions/seal_holds");
const SEAL_INPUT: Select = sql!("sessions/seal_input");
const COMMITTED_AND_SEALED: Select = sql!("sessions/committed_and_sealed");
const ARRIVED: Select = sql!("sessions/arrived_sessions");
const ARRIVED_PAGE_VIEWS: Select = sql!("sessions/arrived_page_views");
const CAME_AGAIN: Select = sql!("sessions/came_again");
const RUN_SUMMARY: Select = sql!("sessions/run_summary");
const SESSIONS_WITHOUT_USER_FOUND: Select = sql!("sessions/sessions_without_user");
const SHRUNK: Select = sql!("sessions/shrunk_sessions");
const KEYS: Select = sql!("sessions/sessions_keys_this_run");
const OF_THIS_RUN: Select = sql!("sessions/sessions_of_this_run");
const SESSIONS_ARE_THESE: Select = sql!("sessions/sessions_are_these");
pub(super) const THIS_RUN: Select = sql!("sessions/sessions_this_run");
const UPSERT_LIMIT: Select = sql!("sessions/sessions_upsert_limit");

pub(super) fn main(context: &Context<'_>) -> Vec<Step> {
    vec![
        setup(context),
        input(context),
        aggregates(context),
        sessions(context),
        metadata(context),
        manifest(context),
        upsert_limit(context),
        commit(context),
    ]
}

pub(super) fn complete(context: &Context<'_>) -> Vec<Step> {
    let stays = context.variables.cleanup_mode != CleanupMode::All;
    let kept = stays.then(|| kept(context)).flatten();
    let rest = [consume(context), context.cleanup(context.variables.cleanup_mode, context.variables.ends_run)];
    kept.into_iter().chain(rest).collect()
}

pub(super) fn destroy(context: &Context<'_>) -> Vec<Step> {
    let owned = [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, SESSIONS_USERID_MANIFEST_READ];
    let owned = owned.map(|table| context.drop(table)).into();
    vec![context.cleanup(CleanupMode::All, true), Step::new("destroy", "drops the tables that this module owns", owned)]
}

fn setup(context: &Context<'_>) -> Step {
    let mut units = context.hints();
    units.extend(context.shared_setup());
    for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED] {
        units.extend(context.create(table));
    }
    units.extend(context.replace(SESSIONS_METADATA_THIS_RUN, &context.select(&METADATA)));
    Step::new("setup", "schemas, permanent tables and the identity of this run", units)
}

fn input(context: &Context<'_>) -> Step {
    let mut units = context.replace(SESSIONS_INPUT_THIS_RUN, &context.select(&INPUT));
    let seal = Statement::new("the checksum of what this run reads", context.select(&SEAL_INPUT)).must_change();
    units.push(Unit::Block { purpose: "seals what this run reads".to_owned(), statements: vec![seal] });
    Step::new("input", "what this run reads, so that complete removes that and no more", units)
}

fn aggregates(context: &Context<'_>) -> Step {
    let purpose = "start, end, page views and engaged time of each session";
    Step::new("aggregates", purpose, context.replace(SESSIONS_AGGREGATES, &context.select(&AGGREGATES)))
}

fn sessions(context: &Context<'_>) -> Step {
    let mut units = Vec::new();
    let has_keys = context.dialect.writes_once();
    if has_keys {
        units.extend(context.drop_view(SESSIONS_THIS_RUN));
    }
    if !context.is_view(SESSIONS_THIS_RUN) {
        units.extend(context.replace(SESSIONS_THIS_RUN, &context.select(&THIS_RUN)));
    }
    if has_keys {
        let keys = context.select_with(&KEYS, &[("sessions", &computed(context))]);
        units.extend(context.replace(SESSIONS_KEYS_THIS_RUN, &keys));
    }
    Step::new("sessions", "one row a session, with its first and last page view", units)
}

/// Where the sessions of this run, with all columns, are read from before production has them: it alone has them where
/// `sessions_this_run` is a view.
fn computed(context: &Context<'_>) -> String {
    match context.is_view(SESSIONS_THIS_RUN) {
        true => format!("(\n{}\n) AS computed", context.select(&THIS_RUN)),
        false => context.quoted(SESSIONS_THIS_RUN),
    }
}

/// What is a view of production so far, for those who keep it: production goes on. It comes before the input is removed, which
/// can give production's rows again if somebody has dropped them.
fn kept(context: &Context<'_>) -> Option<Step> {
    let name = context.name(SESSIONS_THIS_RUN);
    let is_view = || OnlyIf::Finds(context.dialect.view_query(&name));
    let table = context.replace(SESSIONS_THIS_RUN, &context.select(&OF_THIS_RUN));
    let made = table.iter().flat_map(|unit| unit.statements().to_vec());
    let statements = std::iter::once(context.dialect.drop_view(&name)).chain(made);
    context.dialect.writes_once().then(|| {
        let purpose = format!("{name} is a table from now on");
        let statements = statements.map(|statement| statement.only_if(is_view())).collect();
        Step::new("keep", "this run's sessions, which stay", vec![Unit::Block { purpose, statements }])
    })
}

fn metadata(context: &Context<'_>) -> Step {
    let on_dropped = match context.variables.on_dropped_sessions {
        OnDroppedSessions::Fail => OnFound::Fail {
            because: "on_dropped_sessions is fail",
            hint: "mend the input, or set on_dropped_sessions to report or keep_input; production was not changed",
        },
        OnDroppedSessions::Report | OnDroppedSessions::KeepInput => OnFound::Report,
    };
    let on_multiplied = on_found(
        context.variables.on_multiplied_sessions,
        "on_multiplied_sessions is fail",
        "take the repeated page views out of the input, or set on_multiplied_sessions to report; production was not changed",
    );
    let units = vec![
        context.counted(SESSIONS_METADATA_THIS_RUN, &RUN_METADATA),
        context.observe(DROPPED_SESSIONS, on_dropped, "sessions of the input that are not in the result", &DROPPED),
        context.observe(MULTIPLIED_SESSIONS, on_multiplied, "sessions with more than one row", &MULTIPLIED),
    ];
    Step::new("metadata", "counts and time range of this run, and what is odd about it", units)
}

fn manifest(context: &Context<'_>) -> Step {
    let mut units = context.replace(SESSIONS_USERID_MANIFEST_THIS_RUN, &context.select(&MANIFEST));
    if context.variables.stage_next {
        let without = "sessions that belong to no user";
        units.push(context.observe(SESSIONS_WITHOUT_USER, OnFound::Report, without, &SESSIONS_WITHOUT_USER_FOUND));
    }
    units.push(context.observe(SUMMARY, OnFound::Report, "what this run computed", &RUN_SUMMARY));
    Step::new("manifest", "the users of this run", units)
}

/// What the upsert will replace: looked up before the commit, so that this deletes in the days that have such rows only.
fn upsert_limit(context: &Context<'_>) -> Step {
    let mut units = Vec::new();
    if !context.variables.skip_derived {
        let limit = (SESSIONS_UPSERT_LIMIT, &UPSERT_LIMIT);
        let (making, declarations, rows) =
            context.look_up(SESSIONS_UPSERT_KEYS, SESSIONS, SESSIONS_KEYS_THIS_RUN, limit);
        units.extend(making);
        units.extend(context.replace_after(declarations, SESSIONS_UPSERT_KEYS, &rows));
        let unreached = "old copies that the lookback does not reach";
        units.extend(context.observe_beyond_lookback(OLD_COPIES, unreached, &OLD_COPIES_FOUND));
        let on_shrunk = on_found(
            context.variables.on_shrunk_sessions,
            "on_shrunk_sessions is fail",
            "stage every page view of these sessions, or set on_shrunk_sessions to report; production was not changed",
        );
        units.push(context.observe(SHRUNK_SESSIONS, on_shrunk, "sessions that lose page views", &SHRUNK));
    }
    Step::new("upsert_limit", "which rows the upsert replaces", units)
}

/// A second attempt of a commit whose answer was lost finds the run's end set, and changes production no more.
fn commit(context: &Context<'_>) -> Step {
    let holds = Statement::new("this run's tables are as it made them", context.select(&SEAL_HOLDS));
    let mut statements = vec![holds.must_change()];
    let is_view = context.is_view(SESSIONS_THIS_RUN);
    if !context.variables.skip_derived {
        let computed = computed(context);
        if is_view {
            let these = context.select_with(&SESSIONS_ARE_THESE, &[("sessions", &computed)]);
            statements.push(Statement::new("the page views still give these sessions", these).must_change());
        }
        let (limit, keys) = (context.name(SESSIONS_UPSERT_LIMIT), context.name(SESSIONS_UPSERT_KEYS));
        let (declarations, range) = context.dialect.upsert_range("start_tstamp", &limit, Some(&keys));
        let old_rows = context.select_with(&OLD_SESSIONS, &[("range", &range)]);
        statements.extend(declarations);
        statements.push(context.delete(SESSIONS, "old rows of this run's sessions", &old_rows));
        let new_sessions = context.select_with(&NEW_SESSIONS, &[("sessions", &computed)]);
        let insert = context.insert(SESSIONS, "this run's sessions", &new_sessions);
        match context.dialect.joins_as_written() {
            Some([before, after]) if is_view => statements.extend([before, insert, after]),
            _ => statements.push(insert),
        }
    }
    if context.variables.stage_next {
        let old_users = context.select(&OLD_USERS);
        let new_users = context.select_all(SESSIONS_USERID_MANIFEST_THIS_RUN);
        statements.push(context.delete(SESSIONS_USERID_MANIFEST_STAGED, "old rows of this run's users", &old_users));
        statements.push(context.insert(SESSIONS_USERID_MANIFEST_STAGED, "this run's users", &new_users));
        // The next module made this table where it has read and not consumed yet: its complete leaves who is staged again.
        let read = context.name(SESSIONS_USERID_MANIFEST_READ);
        let reads = OnlyIf::Finds(context.dialect.columns_query(&read.schema, &[&read.name]));
        let restaged =
            context.delete(SESSIONS_USERID_MANIFEST_READ, "this run's users are to be read again", &old_users);
        statements.push(restaged.only_if(reads));
    }
    statements.extend(context.committed(SESSIONS_METADATA_THIS_RUN));
    if is_view {
        statements.push(context.dialect.create_view(&context.name(SESSIONS_THIS_RUN), &context.select(&OF_THIS_RUN)));
    }
    let purpose = "sessions, user manifest and metadata, all or nothing".to_owned();
    Step::new("commit", "upserts production", vec![Unit::Block { purpose, statements }]).commits()
}

fn consume(context: &Context<'_>) -> Step {
    let mut units = Vec::new();
    // They are missing if main has not run: then nothing was consumed, and nothing is removed.
    for table in [SESSIONS_METADATA_THIS_RUN, SESSIONS_INPUT_THIS_RUN, SESSIONS_KEYS_THIS_RUN] {
        units.extend(context.create(table));
    }
    units.extend(context.replace_empty(SESSIONS_INPUT_KEPT));
    let sealed = context.select(&COMMITTED_AND_SEALED);
    let input = context.name(PAGE_VIEWS_STAGED);
    let everything = context.select_with(&EVERYTHING_WAS_READ, &[("sealed", sealed.as_str())]);
    let emptied = match context.variables.on_dropped_sessions {
        OnDroppedSessions::KeepInput => None,
        OnDroppedSessions::Report | OnDroppedSessions::Fail => context.dialect.empty_if(&input, &everything),
    };
    let emptied = emptied.map(|sql| Statement::new("all page views at once, if main has read every one", sql));
    let removable = match context.variables.on_dropped_sessions {
        OnDroppedSessions::KeepInput => {
            context.select_with(&REMOVABLE_OF_KEPT_SESSIONS_ONLY, &[("sealed", sealed.as_str())])
        }
        OnDroppedSessions::Report | OnDroppedSessions::Fail => sealed,
    };
    let consumed = context.select_with(&CONSUMED, &[("removable", removable.as_str())]);
    let names = [("removable", removable.as_str()), ("arrived", &context.select(&ARRIVED))];
    let whole = context.select_with(&NOTHING_ARRIVED, &names);
    let kept = context.select_with(&INPUT_KEPT, &[("consumed", consumed.as_str())]);
    let names = [("consumed", consumed.as_str()), ("arrived", &context.select(&ARRIVED_PAGE_VIEWS))];
    let came_again = context.select_with(&CAME_AGAIN, &names);
    units.push(Unit::Block {
        purpose: "removes the page views that main consumed, and no others".to_owned(),
        statements: emptied
            .into_iter()
            .chain([
                // One statement decides and removes: where each statement sees what was committed before it, a page view that
                // arrives while this block runs is seen by it, or comes after it. It leaves the others little to read.
                context.delete(
                    PAGE_VIEWS_STAGED,
                    "the page views of sessions that got none since main read them",
                    &whole,
                ),
                // What else was consumed stays where it is, with those of its session that came since. Of rows that are alike
                // one can't be removed without the other.
                context.insert(SESSIONS_INPUT_KEPT, "copies that came since of consumed page views", &kept),
                context.delete(
                    PAGE_VIEWS_STAGED,
                    "consumed page views that came again, or have no session",
                    &came_again,
                ),
                context.insert(PAGE_VIEWS_STAGED, "these copies", &context.select_all(SESSIONS_INPUT_KEPT)),
                // A second attempt of a block whose answer was lost finds nothing to do.
                context.delete(SESSIONS_INPUT_KEPT, "they are back", "1 = 1"),
                context.delete(SESSIONS_INPUT_THIS_RUN, "what was consumed is gone", "1 = 1"),
            ])
            .collect(),
    });
    units.extend(context.dialect.after_delete(&input).into_iter().map(Unit::Statement));
    units.push(context.observe(INPUT_LEFT, OnFound::Report, "page views that stay for the next run", &LEFT));
    Step::new("input", "removes the consumed page views", units)
}
