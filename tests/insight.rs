//! What the looks at the tables say is so: `explain` names the page view that gave each column, in every scenario; `preview`
//! says what a run then does, whatever the history.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions::bundled;
use websessions_conformance::{Case, Cell, Contents, Harness, ScenarioPhase, parse_csv, scenarios};
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::insight::{ExplainedSession, Insight};
use websessions_core::model::sessions::explain::Rule;
use websessions_core::model::sessions::findings;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::{Module, modules};
use websessions_core::plan::Phase;
use websessions_core::rows::Value;
use websessions_core::table::TypeFamily;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::Cluster;

/// How many histories each warehouse goes through.
const HISTORIES: u32 = 50;

struct One(Arc<dyn Warehouse>);

#[async_trait]
impl Harness for One {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::clone(&self.0)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn connect(backend: &str, setting: (&str, String)) -> One {
    let factory = bundled().into_iter().find(|factory| factory.name() == backend).expect("a bundled backend");
    let settings = Settings::new(&*factory, [setting]).expect("settings");
    One(factory.connect(&settings).await.expect("a connection"))
}

/// What decides how rows come together: it stays as it is. Everything else can tell which row it comes from.
const KEYS: &[&str] = &[
    "page_view_id",
    "domain_sessionid",
    "page_view_in_session_index",
    "start_tstamp",
    "end_tstamp",
    "engaged_time_in_s",
];

/// Stages page views whose every value tells which row it stands in.
async fn stage_marked(case: &Case, text: &str, marks: &mut u32) -> Result<(), String> {
    let input = case.table(PAGE_VIEWS_STAGED)?;
    let (given, rows) = parse_csv(text);
    let columns: Vec<String> = input.columns.iter().map(|column| column.name.to_string()).collect();
    let marked = rows.into_iter().map(|row| {
        *marks += 1;
        let cell = |name: &String| -> Cell {
            let own = given.iter().position(|known| known == name).and_then(|at| row.get(at).cloned().flatten());
            if KEYS.contains(&name.as_str()) {
                return own;
            }
            match input.column(name).expect("a column").column_type.family() {
                TypeFamily::Text => Some(format!("mark {marks}")),
                TypeFamily::Integer | TypeFamily::Float => Some(marks.to_string()),
                TypeFamily::Boolean | TypeFamily::Timestamp => own,
            }
        };
        columns.iter().map(cell).collect()
    });
    let marked: Vec<Vec<Cell>> = marked.collect();
    case.stage(&columns, marked).await
}

/// Checks an explanation by the marks that the session's values carry. Gives the number of columns that were checked. A row of
/// an earlier run, whose page views are gone, is told from those of this run by its mark, and must say that it doesn't agree.
fn check_explanation(explained: &ExplainedSession, of_this_run: &[Cell]) -> usize {
    let views = &explained.explanation.page_views;
    let view = |number: usize| views.iter().find(|view| view.number == number).expect("a page view of that number");
    let numbers = |holds: &dyn Fn(&str, &str) -> bool| -> Vec<usize> {
        views.iter().filter(|view| holds(&view.start, &view.end)).map(|view| view.number).collect()
    };
    let mut checked = 0;
    for row in &explained.explanation.rows {
        assert_eq!(row.len(), 90);
        let mark = row.iter().find(|column| column.column == "app_id").expect("a column").value.to_string();
        if !of_this_run.contains(&Some(mark)) {
            assert!(row.iter().any(|column| column.agrees == Some(false)), "{row:?}");
            continue;
        }
        let value = |name: &str| row.iter().find(|column| column.column == name).expect("a column").value.to_string();
        let (start, end) = (value("start_tstamp"), value("end_tstamp"));
        for column in row {
            let place = format!("{} {}: {column:?}", explained.session, column.column);
            assert_ne!(column.agrees, Some(false), "{place}");
            match column.rule {
                Rule::First | Rule::Last => {
                    let [from] = column.from.as_slice() else { panic!("not one page view: {place}") };
                    let mark = view(*from).url.clone();
                    match &column.value {
                        Value::Text(text) => assert_eq!(text.trim_end(), mark, "{place}"),
                        Value::Integer(number) => assert_eq!(format!("mark {number}"), mark, "{place}"),
                        Value::Float(number) => assert_eq!(format!("mark {number}"), mark, "{place}"),
                        Value::Boolean(_) | Value::Null => {}
                        other => panic!("{place}: {other:?}"),
                    }
                }
                Rule::EarliestStart => assert_eq!(column.from, numbers(&|of, _| of == start), "{place}"),
                Rule::LatestEnd => assert_eq!(column.from, numbers(&|_, of| of == end), "{place}"),
                Rule::StartToEnd => assert_eq!(column.from, numbers(&|s, e| s == start || e == end), "{place}"),
                Rule::EachHas | Rule::Count => assert_eq!(column.from, numbers(&|_, _| true), "{place}"),
                Rule::Sum => {
                    let sum: i64 = column.from.iter().filter_map(|from| view(*from).engaged_time_in_s).sum();
                    assert_eq!(sum, column.value.as_integer(), "{place}");
                    let without = views.iter().filter(|view| view.engaged_time_in_s.is_none()).count();
                    assert_eq!(column.from.len() + without, views.len(), "{place}");
                }
                other => panic!("{place}: {other:?}"),
            }
            checked += 1;
        }
    }
    checked
}

#[test]
fn explain_names_the_page_view_of_every_column_in_every_scenario() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut checked, mut dropped_ones) = (0, 0);
    runtime().block_on(async {
        let database = folder.path().join("explain.duckdb").display().to_string();
        let harness = connect("duckdb", ("database", database)).await;
        for scenario in scenarios() {
            let base = Case::new(&harness, Json::Null).await.expect("a case");
            let mut marks = 0;
            for run in 0..scenario.runs.len() {
                for phase in &scenario.runs[run].phases {
                    let of = |name: &str| {
                        let module = modules().into_iter().find(|module| module.name == name).expect("a module");
                        base.with(Json::Object(scenario.variables(run, name))).expect("variables").of(module)
                    };
                    match phase {
                        ScenarioPhase::Of("sessions", Phase::Main) => {
                            let case = of("sessions");
                            let report = case.phase(Phase::Main).await.expect("main");
                            let (columns, dropped) = check_run(&case).await;
                            checked += columns;
                            let reported = report.findings.get(findings::DROPPED_SESSIONS.name).expect("a finding");
                            let reasons: BTreeMap<String, i64> = (0..reported.rows.len())
                                .map(|row| {
                                    let text = reported.get(row, "reason").to_string();
                                    (text, reported.get(row, "session_count").as_integer())
                                })
                                .filter(|(reason, _)| reason != "domain_sessionid is NULL")
                                .collect();
                            dropped_ones += dropped.values().sum::<i64>();
                            if !case.variables.skip_derived {
                                assert_eq!(dropped, reasons, "{}", scenario.name);
                            }
                        }
                        ScenarioPhase::Of(module, phase) => drop(of(module).phase(*phase).await.expect("a phase")),
                        ScenarioPhase::Load(file) => {
                            let text = scenario.page_views(file).expect("page views");
                            stage_marked(&of("sessions"), text, &mut marks).await.expect("staged");
                        }
                    }
                }
            }
            base.drop().await.expect("dropped");
        }
    });
    assert!(checked > 90 * 30 && dropped_ones > 3, "{checked} columns, {dropped_ones} dropped");
}

/// Explains every session that is staged; gives the number of columns that were checked, and the reasons of those without a row.
async fn check_run(case: &Case) -> (usize, BTreeMap<String, i64>) {
    let staged = case.contents(PAGE_VIEWS_STAGED).await.expect("what is staged");
    let mut ids: Vec<String> = staged.column("domain_sessionid").into_iter().flatten().collect();
    ids.sort();
    ids.dedup();
    let computed = case.contents(SESSIONS_THIS_RUN).await.expect("what was computed").column("app_id");
    let all: Vec<Module> = modules();
    let insight = Insight::new(&all, &case.variables, &case.warehouse.dialect());
    let (mut checked, mut dropped) = (0, BTreeMap::new());
    for id in ids {
        let explained = insight.explain(&*case.warehouse, &id).await.expect("explained");
        if case.variables.skip_derived {
            continue;
        }
        if let Some(reason) = &explained.explanation.dropped {
            *dropped.entry(reason.clone()).or_default() += 1;
        }
        match &explained.explanation.missing {
            Some(reason) => assert_eq!(Some(reason), explained.explanation.dropped.as_ref()),
            None => {
                checked += check_explanation(&explained, &computed);
                assert!(!explained.written_by.is_empty(), "{id}: a run has written it");
            }
        }
    }
    (checked, dropped)
}

/// A row that is staged.
#[derive(Clone, Copy, Debug)]
struct Staged {
    session: u8,
    view: u8,
    form: u8,
}

/// Rows that are staged, and how the run after it goes.
#[derive(Clone, Debug)]
struct Step {
    rows: Vec<Staged>,
    widens: bool,
    skips: bool,
    stages: bool,
    completes: bool,
}

const COLUMNS: [&str; 9] = [
    "page_view_id",
    "domain_sessionid",
    "domain_userid",
    "page_view_in_session_index",
    "start_tstamp",
    "end_tstamp",
    "engaged_time_in_s",
    "page_title",
    "geo_country",
];

impl Staged {
    /// Forms that change a title, the time, the index, the day; a session without an id, one of nobody.
    fn cells(self) -> Vec<Cell> {
        let day = if self.form == 4 { 1 } else { 20 + self.session };
        let start = if self.form == 3 { 0 } else { 5 };
        let index = if self.form == 5 { self.view + 2 } else { self.view + 1 };
        let session = (self.session != 4).then(|| format!("s{}", self.session));
        let user = (self.session != 3).then(|| format!("u{}", self.session / 2));
        vec![
            Some(format!("p{}-{}", self.session, self.view)),
            session,
            user,
            Some(index.to_string()),
            Some(format!("2024-03-{day:02} 12:{:02}:{start:02}", self.view)),
            Some(format!("2024-03-{day:02} 12:{:02}:30", self.view)),
            (self.form != 2).then(|| (10 * u32::from(self.form)).to_string()),
            (self.form != 1).then(|| format!("title {}", self.form % 3)),
            Some(if self.form == 2 { "D ".to_owned() } else { "DE".to_owned() }),
        ]
    }
}

fn step() -> impl Strategy<Value = Step> {
    let row = (0..5_u8, 0..3_u8, 0..6_u8).prop_map(|(session, view, form)| Staged { session, view, form });
    let parts = (
        prop::collection::vec(row, 0..9),
        any::<bool>(),
        prop::bool::weighted(0.15),
        any::<bool>(),
        prop::bool::weighted(0.8),
    );
    parts.prop_map(|(rows, widens, skips, stages, completes)| Step { rows, widens, skips, stages, completes })
}

/// How often each row stands in a table.
fn counted(rows: &[Vec<Cell>]) -> BTreeMap<Vec<Cell>, i64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.clone()).or_default() += 1;
    }
    counts
}

/// Some rows without others.
fn without(rows: &[Vec<Cell>], others: &[Vec<Cell>]) -> Vec<Vec<Cell>> {
    let mut left = counted(others);
    let mut kept = Vec::new();
    for row in rows {
        match left.get_mut(row) {
            Some(count) if *count > 0 => *count -= 1,
            _ => kept.push(row.clone()),
        }
    }
    kept
}

/// What a preview should have said, by the tables before and after the run.
fn expected(
    before: &Contents,
    computed: &Contents,
    after: &Contents,
) -> (BTreeMap<&'static str, i64>, BTreeMap<String, i64>) {
    let at = |name: &str| computed.columns.iter().position(|column| column == name).expect("a column");
    let (id, page_views) = (at("domain_sessionid"), at("page_views"));
    let of = |contents: &Contents, session: &Cell| -> Vec<Vec<Cell>> {
        contents.rows.iter().filter(|row| row[id] == *session).cloned().collect()
    };
    let mut sessions: Vec<Cell> = computed.rows.iter().map(|row| row[id].clone()).filter(Option::is_some).collect();
    sessions.sort();
    sessions.dedup();
    let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    for session in &sessions {
        let (new, old) = (of(computed, session), of(before, session));
        let stays = without(&of(after, session), &new);
        let gone = without(&old, &stays);
        *counts.entry("stays").or_default() += i64::try_from(stays.len()).expect("few");
        *counts.entry("deleted").or_default() += i64::try_from(gone.len()).expect("few");
        let kind = match (gone.as_slice(), new.as_slice()) {
            ([], _) => "inserted",
            ([gone], [new]) if gone == new => "unchanged",
            ([gone], [new]) => {
                for (name, _) in
                    computed.columns.iter().zip(gone.iter().zip(new)).filter(|(_, (one, other))| one != other)
                {
                    *columns.entry(name.clone()).or_default() += 1;
                }
                let views = |row: &[Cell]| row[page_views].as_ref().and_then(|count| count.parse::<i64>().ok());
                if views(new) < views(gone) {
                    *counts.entry("shrunk").or_default() += 1;
                }
                "changed"
            }
            _ => "several",
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts.insert("sessions", i64::try_from(sessions.len()).expect("few"));
    (counts, columns)
}

async fn prove(harness: &One, history: &[Step]) -> Result<(), String> {
    let base = Case::new(harness, json!({ "upsert_lookback_days": 2, "ends_run": true })).await?;
    let columns = COLUMNS.map(str::to_owned);
    let all = modules();
    for step in history {
        let guard = if step.widens { "widen" } else { "off" };
        let variables = json!({ "lookback_guard": guard, "skip_derived": step.skips, "stage_next": step.stages });
        let case = base.with(variables)?;
        case.stage(&columns, Vec::new()).await?;
        if !step.rows.is_empty() {
            case.stage(&columns, step.rows.iter().map(|row| row.cells()).collect()).await?;
        }
        let there = case.tables().await?;
        let production = |case: Case, there: Vec<String>| async move {
            if there.iter().any(|table| table == "derived.sessions") {
                return case.contents(SESSIONS).await;
            }
            let table = case.table(SESSIONS)?;
            Ok(Contents::new(table.columns.iter().map(|column| column.name.to_string()).collect(), Vec::new()))
        };
        let before = production(case.clone(), there.clone()).await?;
        let staged = case.contents(PAGE_VIEWS_STAGED).await?;
        let insight = Insight::new(&all, &case.variables, &case.warehouse.dialect());
        let preview =
            insight.preview(&*case.warehouse, 100).await.map_err(|error| websessions_core::error::chain(&error))?;
        let preview = preview.ok_or("something is staged")?;
        // Nothing has changed, and nothing was left.
        if case.tables().await? != there
            || production(case.clone(), there).await? != before
            || case.contents(PAGE_VIEWS_STAGED).await? != staged
        {
            return Err("the preview has changed something".to_owned());
        }
        let report = case.phase(Phase::Main).await?;
        let computed = case.contents(SESSIONS_THIS_RUN).await?;
        let users = case.contents(SESSIONS_USERID_MANIFEST_THIS_RUN).await?;
        let after = case.contents(SESSIONS).await?;
        let (mut counts, mut changed) = expected(&before, &computed, &after);
        if step.skips {
            if after != before {
                return Err("skip_derived has changed production".to_owned());
            }
            counts.retain(|name, _| *name == "sessions");
            changed.clear();
        }
        let said = [
            ("sessions", preview.sessions),
            ("inserted", preview.inserted),
            ("changed", preview.changed),
            ("unchanged", preview.unchanged),
            ("several", preview.in_several_rows),
            ("shrunk", preview.shrunk),
            ("deleted", preview.rows_to_delete),
            ("stays", preview.old_rows_that_stay),
        ];
        for (name, said) in said {
            let done = counts.get(name).copied().unwrap_or(0);
            if done != said {
                return Err(format!("{name}: the preview said {said}, and the run did {done}"));
            }
        }
        let said: BTreeMap<String, i64> =
            preview.changed_columns.iter().map(|changed| (changed.column.clone(), changed.sessions)).collect();
        if said != changed {
            return Err(format!("columns: the preview said {said:?}, and the run did {changed:?}"));
        }
        let samples: i64 = preview.samples.iter().map(|sample| i64::try_from(sample.changes.len()).expect("few")).sum();
        if samples != changed.values().sum::<i64>() {
            return Err(format!("samples: {:?}, and the run did {changed:?}", preview.samples));
        }
        let written = i64::try_from(computed.rows.len()).expect("few");
        let others = [
            ("rows to insert", preview.rows_to_insert, if step.skips { 0 } else { written }),
            ("rows in production", preview.production_rows, i64::try_from(before.rows.len()).expect("few")),
            (
                "rows after",
                preview.production_rows - preview.rows_to_delete + preview.rows_to_insert,
                i64::try_from(after.rows.len()).expect("few"),
            ),
            ("page views", preview.page_views, i64::try_from(staged.rows.len()).expect("few")),
            (
                "users",
                preview.users,
                i64::try_from(users.column("domain_userid").iter().flatten().count()).expect("few"),
            ),
            (
                "dropped",
                preview.dropped_sessions(),
                report.counts.get(findings::DROPPED_SESSIONS.name).copied().unwrap_or(0),
            ),
            (
                "multiplied",
                preview.multiplied,
                report.counts.get(findings::MULTIPLIED_SESSIONS.name).copied().unwrap_or(0),
            ),
        ];
        for (name, said, done) in others {
            if said != done {
                return Err(format!("{name}: the preview said {said}, and the run did {done}"));
            }
        }
        if step.completes {
            case.phase(Phase::Complete).await?;
        }
    }
    base.drop().await
}

fn prove_histories(backend: &str, setting: (&str, String)) {
    let runtime = runtime();
    let harness = runtime.block_on(connect(backend, setting));
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let histories = prop::collection::vec(step(), 1..4);
    let proven = TestRunner::new(config)
        .run(&histories, |history| runtime.block_on(prove(&harness, &history)).map_err(TestCaseError::fail));
    if let Err(error) = proven {
        panic!("{backend}: {error}");
    }
}

#[test]
fn preview_says_what_a_run_then_does_on_duckdb() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    prove_histories("duckdb", ("database", folder.path().join("preview.duckdb").display().to_string()));
}

#[test]
fn preview_says_what_a_run_then_does_on_postgres() {
    let cluster = Cluster::start("").expect("a server");
    prove_histories("postgres", ("url", cluster.url()));
}
