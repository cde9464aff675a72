//! The steps of each phase, one function a step. Options choose steps and statements here, never inside SQL.

use super::findings::*;
use super::source::{Reading, reading};
use super::tables::*;
use crate::model::findings::on_found;
use crate::model::select::sql;
use crate::model::shared::METADATA_THIS_RUN;
use crate::model::{Context, Select};
use crate::plan::{OnFound, Statement, Step, Unit};
use crate::table::{Column, ColumnType, TableName};
use crate::variables::CleanupMode;

const ARRIVALS: Select = sql!("page_views/arrivals");
const CHANGED: Select = sql!("page_views/page_views_changed");
const CHANGED_PAGE_VIEWS: Select = sql!("page_views/changed_page_views");
const FORMS: Select = sql!("page_views/page_views_forms");
const IN_SEVERAL_SESSIONS: Select = sql!("page_views/in_several_sessions");
const IS_PAGE_VIEW: Select = sql!("page_views/is_page_view");
const LEFT_OUT: Select = sql!("page_views/left_out");
const LIMIT_HOLDS: Select = sql!("page_views/limit_holds");
const METADATA: Select = sql!("page_views/page_views_metadata_this_run");
const NEW: Select = sql!("page_views/page_views_new");
const NEW_PAGE_VIEWS: Select = sql!("page_views/new_page_views");
const NUMBERS: Select = sql!("page_views/page_views_numbers");
const OLD_COPIES: Select = sql!("page_views/old_copies");
const OLD_PAGE_VIEWS_OF: Select = sql!("page_views/old_page_views");
const OLD_STAGED: Select = sql!("page_views/old_staged");
const PRODUCTION: Select = sql!("page_views/production");
const REPEATED: Select = sql!("page_views/page_views_repeated");
const RUN_METADATA: Select = sql!("page_views/run_metadata");
const SEAL_CHANGED: Select = sql!("page_views/seal_changed");
const SEAL_HOLDS: Select = sql!("page_views/seal_holds");
const SEAL_INPUT: Select = sql!("page_views/seal_input");
const SEAL_KEYS: Select = sql!("page_views/seal_keys");
const SEAL_STORED: Select = sql!("page_views/seal_stored");
const SESSIONS: Select = sql!("page_views/page_views_sessions");
const SOURCE: Select = sql!("page_views/source");
const SOURCE_LIMIT: Select = sql!("page_views/source_limit");
const SOURCE_NEWEST: Select = sql!("page_views/source_newest");
const SOURCE_REFUSED: Select = sql!("page_views/source_refused");
const SOURCE_SEEN: Select = sql!("page_views/source_seen");
const SOURCE_SEEN_BEFORE: Select = sql!("page_views/source_seen_before");
const SOURCE_SINCE: Select = sql!("page_views/source_since");
const STORED: Select = sql!("page_views/stored");
const STORED_DIFFERING: Select = sql!("page_views/stored_differing");
const SUMMARY: Select = sql!("page_views/summary");
const THIS_RUN: Select = sql!("page_views/page_views_this_run");
const UPSERT_LIMIT: Select = sql!("page_views/upsert_limit");

pub(super) fn main(context: &Context<'_>) -> Vec<Step> {
    // Files are read before anything is made: one that is refused changes nothing.
    let begin = if context.files.is_empty() { [setup, input] } else { [input, setup] };
    let rest = vec![
        arrivals(context),
        sessions(context),
        numbers(context),
        this_run(context),
        metadata(context),
        commit(context),
    ];
    begin.map(|step| step(context)).into_iter().chain(rest).collect()
}

pub(super) fn complete(context: &Context<'_>) -> Vec<Step> {
    vec![context.cleanup(context.variables.cleanup_mode, context.variables.ends_run)]
}

pub(super) fn destroy(context: &Context<'_>) -> Vec<Step> {
    let mut owned = context.schemas();
    owned.extend(context.create(PAGE_VIEWS));
    owned.push(context.observe(STORED_PAGE_VIEWS, OnFound::Report, "how many page views go", &PRODUCTION));
    owned.push(context.drop(PAGE_VIEWS));
    if context.variables.page_views_time.is_some() {
        owned.push(context.drop(PAGE_VIEWS_SOURCE_SEEN));
    }
    vec![context.cleanup(CleanupMode::All, true), Step::new("destroy", "drops the tables that this module owns", owned)]
}

fn setup(context: &Context<'_>) -> Step {
    let mut units = context.shared_setup();
    for table in [PAGE_VIEWS, PAGE_VIEWS_STAGED] {
        units.extend(context.create(table));
    }
    let metadata = context.select_with(&METADATA_THIS_RUN, &[("module", "page-views")]);
    let metadata = context.select_with(&METADATA, &[("metadata", &metadata)]);
    units.extend(context.replace(PAGE_VIEWS_METADATA_THIS_RUN, &metadata));
    Step::new("setup", "schemas, permanent tables and the identity of this run", units)
}

/// The table that page views are read from, unless files are given.
fn source<'a>(context: &Context<'a>) -> Option<&'a TableName> {
    context.variables.page_views_from.as_ref().filter(|_| context.files.is_empty())
}

/// What a transaction that fills a table ends with, so that the commit knows whether it is as it was filled.
fn seal(context: &Context<'_>, purpose: &str, select: &Select) -> Statement {
    let is_page_view = context.select(&IS_PAGE_VIEW);
    Statement::new(purpose, context.select_with(select, &[("is_page_view", &is_page_view)])).must_change()
}

fn input(context: &Context<'_>) -> Step {
    let mut units = match source(context) {
        Some(source) => from_table(context, source),
        None => context.load(PAGE_VIEWS_ARRIVED, PAGE_VIEWS_THIS_RUN),
    };
    units.extend(context.hints());
    Step::new("input", "what came", units)
}

fn from_table(context: &Context<'_>, source: &TableName) -> Vec<Unit> {
    // Beside a row's values stands why it is refused, if it is.
    let mut arrived = context.table(PAGE_VIEWS_ARRIVED).clone();
    arrived.columns.push(Column::new("refused", ColumnType::LongText));
    let name = context.name(PAGE_VIEWS_ARRIVED);
    let mut units = context.drop_view(PAGE_VIEWS_THIS_RUN);
    units.extend(context.dialect.replace_table(&arrived, &name).into_iter().map(Unit::Statement));
    let mut statements = Vec::new();
    let Reading { names, values: read, refused } = reading(context);
    let (shown, table) = (source.to_string(), context.dialect.table(source));
    let mut values = vec![
        ("source", table.as_str()),
        ("source_name", &shown),
        ("source_columns", &read),
        ("source_refused", &refused),
    ];
    let range;
    let mut select = SOURCE;
    if let Some(time) = &context.variables.page_views_time {
        units.extend(context.create(PAGE_VIEWS_SOURCE_SEEN));
        units.extend(context.replace(PAGE_VIEWS_SOURCE_LIMIT, &context.select_with(&SOURCE_LIMIT, &values)));
        units.extend(context.replace_empty(PAGE_VIEWS_SOURCE_NEWEST));
        let limit = context.name(PAGE_VIEWS_SOURCE_LIMIT);
        let (declarations, since) = context.dialect.upsert_range(time.as_str(), &limit, None);
        range = since;
        values.extend([("range", range.as_str()), ("time", time.as_str())]);
        let newest = context.select_with(&SOURCE_NEWEST, &values);
        statements.extend(declarations);
        statements.push(context.delete(PAGE_VIEWS_SOURCE_NEWEST, "that of an earlier attempt", "1 = 1"));
        statements.push(context.insert(PAGE_VIEWS_SOURCE_NEWEST, "the newest time, before the rows are read", &newest));
        select = SOURCE_SINCE;
    }
    statements.push(context.delete(PAGE_VIEWS_ARRIVED, "rows of an earlier attempt", "1 = 1"));
    let names = format!("{names},\n  refused");
    let rows = context.dialect.insert(&name, &names, &context.select_with(&select, &values));
    statements.push(Statement::new(format!("the rows of {source}"), rows));
    statements.push(seal(context, "the count of page views that came", &SEAL_INPUT));
    units.push(Unit::Block { purpose: format!("what came in {source}"), statements });
    let refuse = OnFound::Fail {
        because: "no value is rounded, and no row is read in part",
        hint: "mend the rows, or let page_views_from name a view that casts these columns, or leaves the rows out",
    };
    units.push(context.observe(REFUSED_PAGE_VIEWS, refuse, "values that page_views can't hold", &SOURCE_REFUSED));
    units
}

fn arrivals(context: &Context<'_>) -> Step {
    let on_left_out = on_found(
        context.variables.on_left_out_page_views,
        "on_left_out_page_views is fail",
        "mend the page views, or set on_left_out_page_views to report; production was not changed",
    );
    let on_repeated = on_found(
        context.variables.on_repeated_page_views,
        "on_repeated_page_views is fail",
        "mend the page views, or set on_repeated_page_views to report; production was not changed",
    );
    let is_page_view = context.select(&IS_PAGE_VIEW);
    let new = context.select_with(&NEW, &[("is_page_view", &is_page_view)]);
    let mut units = Vec::new();
    if source(context).is_none() {
        let statements = vec![seal(context, "the count of page views that came", &SEAL_INPUT)];
        units.push(Unit::Block { purpose: "seals what came".to_owned(), statements });
    }
    units.extend(context.replace(PAGE_VIEWS_NEW, &new));
    units.push(context.observe(LEFT_OUT_PAGE_VIEWS, on_left_out, "rows that are no page views", &LEFT_OUT));
    units.push(context.observe(REPEATED_PAGE_VIEWS, on_repeated, "what became of the rows that arrived", &ARRIVALS));
    Step::new("arrivals", "the page views that came, each once", units)
}

/// Where production's rows of this run's sessions are, which were looked up: declarations, and the range.
fn range(context: &Context<'_>) -> (Vec<Statement>, String) {
    let (limit, keys) = (context.name(PAGE_VIEWS_UPSERT_LIMIT), context.name(PAGE_VIEWS_UPSERT_KEYS));
    context.dialect.upsert_range("start_tstamp", &limit, Some(&keys))
}

fn sessions(context: &Context<'_>) -> Step {
    let mut units = context.replace(PAGE_VIEWS_SESSIONS, &context.select(&SESSIONS));
    units.extend(stored(context, true));
    Step::new("stored", "what production has of the sessions that have an arrival", units)
}

/// Production's rows of the sessions of this run. Where page views came, without those that came just as they are stored, and
/// sealed for a commit that deletes there.
pub(super) fn stored(context: &Context<'_>, came: bool) -> Vec<Unit> {
    let seal = |purpose, select| came.then(|| seal(context, purpose, select));
    let limit = (PAGE_VIEWS_UPSERT_LIMIT, &UPSERT_LIMIT);
    let (mut units, declarations, rows) =
        context.look_up(PAGE_VIEWS_UPSERT_KEYS, PAGE_VIEWS, PAGE_VIEWS_SESSIONS, limit);
    let purpose = "which rows production has of this run's sessions";
    let count = seal("the count of these rows", &SEAL_KEYS);
    units.extend(context.fill(PAGE_VIEWS_UPSERT_KEYS, purpose, declarations, &rows, count));
    let unreached = "page views that the lookback does not reach";
    units.extend(context.observe_beyond_lookback(OLD_PAGE_VIEWS, unreached, &OLD_COPIES));
    let (declarations, range) = self::range(context);
    let mut rows = context.select_with(&STORED, &[("range", &range)]);
    if came {
        rows = context.select_with(&STORED_DIFFERING, &[("range", &range), ("stored", &rows)]);
    }
    let purpose = "what production has of this run's sessions";
    let count = seal("the count of these rows", &SEAL_STORED);
    units.extend(context.fill(PAGE_VIEWS_STORED, purpose, declarations, &rows, count));
    units
}

/// What decides is narrow: in how many rows each page view stands, and its number. Of the wide rows those of page views of
/// several rows are sorted; the others stay where they came to, or are stored.
fn numbers(context: &Context<'_>) -> Step {
    let tables = [(PAGE_VIEWS_FORMS, &FORMS), (PAGE_VIEWS_REPEATED, &REPEATED), (PAGE_VIEWS_NUMBERS, &NUMBERS)];
    let mut units: Vec<Unit> =
        tables.into_iter().flat_map(|(table, select)| context.replace(table, &context.select(select))).collect();
    units.extend(changed(context));
    Step::new(
        "numbers",
        "in how many rows each page view stands, its number in its session, and which sessions change",
        units,
    )
}

/// Whole sessions are staged, whatever came of them; in production rows are written of those that differ.
fn changed(context: &Context<'_>) -> Vec<Unit> {
    let count = seal(context, "the count of these sessions", &SEAL_CHANGED);
    if context.variables.skip_derived {
        let mut units = context.replace_empty(PAGE_VIEWS_CHANGED);
        units.push(Unit::Block { purpose: "seals that none is written".to_owned(), statements: vec![count] });
        return units;
    }
    let (declarations, range) = range(context);
    let rows = context.select_with(&CHANGED, &[("range", &range)]);
    context.fill(PAGE_VIEWS_CHANGED, "which sessions production has otherwise", declarations, &rows, Some(count))
}

/// A step of its own: a run that goes on with an earlier step has not made it.
fn this_run(context: &Context<'_>) -> Step {
    let view = context.create_view(PAGE_VIEWS_THIS_RUN, &THIS_RUN);
    Step::new("page_views", "every page view of each session that has an arrival, numbered", vec![view])
}

fn metadata(context: &Context<'_>) -> Step {
    let several = "page views that stand in several sessions";
    let units = vec![
        context.counted(PAGE_VIEWS_METADATA_THIS_RUN, &RUN_METADATA),
        context.observe(PAGE_VIEWS_IN_SEVERAL_SESSIONS, OnFound::Report, several, &IN_SEVERAL_SESSIONS),
        context.observe(PAGE_VIEWS_SUMMARY, OnFound::Report, "what this run computed", &SUMMARY),
    ];
    Step::new("metadata", "counts and time range of this run, and what is odd about it", units)
}

/// A second attempt of a commit whose answer was lost finds the run's end set, and changes nothing more.
fn commit(context: &Context<'_>) -> Step {
    let limit_holds = if context.is_bounded() { context.select(&LIMIT_HOLDS) } else { "1 = 1".to_owned() };
    let is_page_view = context.select(&IS_PAGE_VIEW);
    let holds = context.select_with(&SEAL_HOLDS, &[("limit_holds", &limit_holds), ("is_page_view", &is_page_view)]);
    let mut statements = vec![Statement::new("this run's tables are as it made them", holds).must_change()];
    let new = context.select(&NEW_PAGE_VIEWS);
    if !context.variables.skip_derived {
        let (declarations, range) = range(context);
        let old = context.select_with(&OLD_PAGE_VIEWS_OF, &[("range", &range)]);
        statements.extend(declarations);
        statements.push(context.delete(PAGE_VIEWS, "old rows of the sessions that change", &old));
        let changed = context.select_with(&CHANGED_PAGE_VIEWS, &[("page_views", &new)]);
        statements.push(context.insert(PAGE_VIEWS, "every page view of these sessions", &changed));
    }
    let staged = context.select(&OLD_STAGED);
    statements.push(context.delete(PAGE_VIEWS_STAGED, "staged rows of this run's sessions", &staged));
    statements.push(context.insert(PAGE_VIEWS_STAGED, "every page view of these sessions", &new));
    if let (Some(source), Some(_)) = (source(context), &context.variables.page_views_time) {
        let before = context.select_with(&SOURCE_SEEN_BEFORE, &[("source_name", &source.to_string())]);
        statements.push(context.delete(PAGE_VIEWS_SOURCE_SEEN, "what earlier runs have seen", &before));
        statements.push(context.insert(
            PAGE_VIEWS_SOURCE_SEEN,
            "what this run has seen",
            &context.select(&SOURCE_SEEN),
        ));
    }
    statements.extend(context.committed(PAGE_VIEWS_METADATA_THIS_RUN));
    let purpose = "page views, staged page views and metadata, all or nothing".to_owned();
    Step::new("commit", "upserts production and stages whole sessions", vec![Unit::Block { purpose, statements }])
        .commits()
}
