//! The users module: one row a user over all its sessions, however often and in whatever order sessions and users run.

use super::lock::expire_the_lock;
use super::page_views::{expect, stage};
use super::{Trial, trials};
use crate::case::explain;
use crate::contents::Contents;
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions_core::model::sessions::findings::SESSIONS_WITHOUT_USER;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::model::users;
use websessions_core::model::users::findings::{USERS_SUMMARY, USERS_WITHOUT_SESSIONS};
use websessions_core::model::users::tables::*;
use websessions_core::plan::{OnlyIf, Phase, Statement};
use websessions_core::table::ColumnType;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    users_of_any_split_are_those_of_one_run,
    a_user_that_is_staged_again_between_main_and_complete_stays,
    users_complete_without_a_committed_main_consumes_nothing,
    users_switched_on_late_start_complete,
    users_killed_before_any_call_a_rerun_gives_the_same_tables,
    users_lost_answers_leave_no_trace,
    users_without_sessions_and_sessions_without_a_user_are_counted,
    a_sum_that_users_cannot_hold_changes_nothing,
    users_destroy_drops_what_is_its_own,
    a_table_left_under_the_name_of_the_view_goes,
    the_plan_of_users_is_what_is_sent,
];

const MAIN: &[Phase] = &[Phase::Main];
const COMPLETE: &[Phase] = &[Phase::Complete];
pub(super) const BOTH: &[Phase] = &[Phase::Main, Phase::Complete];

/// One visit: user, session, day, minute.
pub(super) type Visit = (Option<&'static str>, &'static str, usize, usize);

/// The only page view of a session of a user's.
fn visit((user, session, day, minute): Visit) -> Vec<Cell> {
    let mut row = super::page_views::view_titled(session, 1, day, minute, &format!("page of {session} at {minute}"));
    row[2] = user.map(str::to_owned);
    row
}

/// Sessions and users of one trial.
pub(super) struct Pair {
    pub(super) sessions: Case,
    pub(super) users: Case,
}

impl Pair {
    pub(super) async fn new(harness: &dyn Harness) -> Result<Self, String> {
        let variables = json!({ "stage_next": true, "lookback_guard": "widen" });
        let sessions = Case::new(harness, variables).await?;
        let users = sessions.with(json!({ "ends_run": true }))?.of(users::module());
        Ok(Self { sessions, users })
    }

    /// Page views arrive, and sessions takes them in.
    pub(super) async fn visits(&self, visits: &[Visit]) -> Result<(), String> {
        stage(&self.sessions, visits.iter().copied().map(visit).collect()).await?;
        self.sessions.run().await.map(|_| ())
    }

    pub(super) async fn users(&self, phases: &[Phase]) -> Result<(), String> {
        self.users.phases(phases).await.map(|_| ()).map_err(explain)
    }

    /// `user: sessions, from first page to last page` of each row of production.
    async fn rows(&self) -> Result<Vec<String>, String> {
        let contents = self.users.contents(USERS).await?;
        let position = |name: &str| contents.columns.iter().position(|column| column == name).unwrap_or_default();
        let [id, sessions, first, last] =
            ["domain_userid", "sessions", "first_page_title", "last_page_title"].map(position);
        let shown = |cell: &Cell| cell.clone().unwrap_or_else(|| "NULL".to_owned());
        let row = |row: &Vec<Cell>| {
            format!("{}: {}, {} to {}", shown(&row[id]), shown(&row[sessions]), shown(&row[first]), shown(&row[last]))
        };
        let mut rows: Vec<String> = contents.rows.iter().map(row).collect();
        rows.sort();
        Ok(rows)
    }

    /// Who is staged.
    async fn staged(&self) -> Result<Vec<Cell>, String> {
        Ok(self.users.contents(SESSIONS_USERID_MANIFEST_STAGED).await?.column("domain_userid"))
    }

    /// What stays, but for what differs from run to run. A rerun after a commit adds a row of metadata.
    pub(super) async fn left(&self) -> Result<Vec<Contents>, String> {
        let mut all = Vec::new();
        for table in [USERS, USERS_MANIFEST, SESSIONS, SESSIONS_USERID_MANIFEST_STAGED] {
            all.push(self.users.contents(table).await?);
        }
        Ok(all)
    }

    pub(super) async fn drop(self) -> Result<(), String> {
        self.sessions.drop().await
    }
}

fn ids(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| Some((*name).to_owned())).collect()
}

/// Random numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}

/// The visits of a history: of few users, some of whom have no id, at few times, so that sessions tie; some come twice, the
/// second time at another minute.
const USERS_OF_A_HISTORY: [Option<&str>; 5] = [Some("a"), Some("B"), Some("\u{e9}"), Some(""), None];
const SESSIONS_OF_A_HISTORY: [&str; 12] = ["s1", "S1", "s2", "\u{e9}1", "t-1", "t_1", "T1", "z", "Z", "0", "10", "9"];

fn history(numbers: &mut Numbers) -> Vec<Visit> {
    let mut visits = Vec::new();
    for session in SESSIONS_OF_A_HISTORY {
        let user = USERS_OF_A_HISTORY[numbers.below(5)];
        for _ in 0..=numbers.below(2) {
            visits.push((user, session, 10 + 5 * numbers.below(3), numbers.below(3)));
        }
    }
    for position in (1..visits.len()).rev() {
        visits.swap(position, numbers.below(position + 1));
    }
    visits
}

/// How many histories, by how slow the warehouse is.
fn wanted(dialect: &str) -> u64 {
    match (dialect, std::env::var_os("WEBSESSIONS_TEST_EVERYTHING").is_some()) {
        ("duckdb" | "postgres", true) => 60,
        ("duckdb", false) => 12,
        (_, true) => 10,
        ("postgres" | "redshift", false) => 4,
        (_, false) => 2,
    }
}

async fn users_of_any_split_are_those_of_one_run(harness: &dyn Harness) -> Result<(), String> {
    for seed in 0..wanted(harness.connect().await.dialect().name()) {
        let mut numbers = Numbers(seed);
        let visits = history(&mut numbers);
        let pair = Pair::new(harness).await?;
        // What a session is when it has come twice is what came last.
        let mut newest: BTreeMap<&str, Visit> = BTreeMap::new();
        let mut rest = visits.as_slice();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + numbers.below(rest.len().min(4)));
            rest = after;
            // A session that comes twice in one part would be two page views of it.
            let part: Vec<Visit> =
                part.iter().map(|visit| (visit.1, *visit)).collect::<BTreeMap<_, _>>().into_values().collect();
            newest.extend(part.iter().map(|visit| (visit.1, *visit)));
            pair.visits(&part).await?;
            let phases = [&[], MAIN, COMPLETE, BOTH, BOTH][numbers.below(5)];
            steps.push(format!("{part:?}, users {phases:?}"));
            if !phases.is_empty()
                && (phases != COMPLETE || pair.users.tables().await?.contains(&"derived.users".to_owned()))
            {
                pair.users(phases).await.map_err(|error| format!("seed {seed}: {steps:?}: {error}"))?;
            }
        }
        pair.users(BOTH).await?;
        let once = Pair::new(harness).await?;
        once.visits(&newest.into_values().collect::<Vec<_>>()).await?;
        once.users(BOTH).await?;
        let what = format!("users of seed {seed} after {steps:#?}");
        once.users.contents(USERS).await?.expect(&pair.users.contents(USERS).await?, &what)?;
        expect(&format!("staged after {what}"), pair.staged().await?, Vec::new())?;
        once.drop().await?;
        pair.drop().await?;
    }
    Ok(())
}

async fn a_user_that_is_staged_again_between_main_and_complete_stays(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 1), (None, "n1", 10, 1)]).await?;
    pair.users(MAIN).await?;
    // The same session as before: the row that is staged is equal to the one that was read. And a new user.
    pair.visits(&[(Some("a"), "a1", 10, 1), (Some("c"), "c1", 11, 1)]).await?;
    pair.users(COMPLETE).await?;
    expect("staged", pair.staged().await?, ids(&["a", "c"]))?;
    let a1 = "page of a1 at 1 to page of a1 at 1";
    let b1 = "page of b1 at 1 to page of b1 at 1";
    expect("users", pair.rows().await?, vec![format!("a: 1, {a1}"), format!("b: 1, {b1}")])?;
    // A complete more changes nothing, and a later session of the user, in between, is not lost either.
    pair.users(COMPLETE).await?;
    expect("staged after another complete", pair.staged().await?, ids(&["a", "c"]))?;
    pair.users(MAIN).await?;
    pair.visits(&[(Some("a"), "a2", 12, 1)]).await?;
    pair.users(COMPLETE).await?;
    expect("staged after a later session", pair.staged().await?, ids(&["a"]))?;
    pair.users(BOTH).await?;
    let rows = [
        "a: 2, page of a1 at 1 to page of a2 at 1",
        "b: 1, page of b1 at 1 to page of b1 at 1",
        "c: 1, page of c1 at 1 to page of c1 at 1",
    ];
    expect("users at the end", pair.rows().await?, rows.map(str::to_owned).to_vec())?;
    expect("staged at the end", pair.staged().await?, Vec::new())?;
    pair.drop().await
}

async fn users_complete_without_a_committed_main_consumes_nothing(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1)]).await?;
    pair.users(COMPLETE).await?;
    expect("staged without a main", pair.staged().await?, ids(&["a"]))?;
    let made = pair.users.tables().await?.into_iter().filter(|table| table.contains("users")).collect::<Vec<_>>();
    expect("tables of users without a main", made, Vec::new())?;
    // What an earlier run has left is no reason to consume.
    for mode in ["trace", "debug"] {
        let kept = pair.users.with(json!({ "cleanup_mode": mode }))?;
        kept.phases(BOTH).await.map_err(explain)?;
        pair.visits(&[(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 1)]).await?;
        kept.phases(COMPLETE).await.map_err(explain)?;
        expect(&format!("staged after {mode}"), pair.staged().await?, ids(&["a", "b"]))?;
    }
    pair.users(BOTH).await?;
    expect("staged at the end", pair.staged().await?, Vec::new())?;
    expect("users", pair.users.count(USERS).await?, 2)?;
    expect("manifest", pair.users.count(USERS_MANIFEST).await?, 3)?;
    pair.drop().await
}

async fn users_switched_on_late_start_complete(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    let alone = pair.sessions.with(json!({ "stage_next": false }))?;
    stage(&alone, [(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 1), (None, "n", 10, 1)].map(visit).into()).await?;
    alone.run().await?;
    pair.visits(&[(Some("b"), "b2", 11, 1)]).await?;
    // A first main that is stopped right before its commit has made the tables; a complete of it consumes nothing.
    let mut job = pair.users.job(Phase::Main);
    let last = job.plan().steps.len() - 1;
    job.retain_steps(|number| number < last);
    pair.users.runner().run_jobs(&[job]).await.map_err(explain)?;
    pair.users(COMPLETE).await?;
    pair.users(BOTH).await?;
    let rows =
        ["a: 1, page of a1 at 1 to page of a1 at 1", "b: 2, page of b1 at 1 to page of b2 at 1"].map(str::to_owned);
    expect("users", pair.rows().await?, rows.to_vec())?;
    expect("manifest", pair.users.contents(USERS_MANIFEST).await?.column("domain_userid"), ids(&["a", "b", "seed"]))?;
    let left = pair.users.tables().await?.into_iter().filter(|table| table.contains("made") || table.contains("read"));
    expect("what only the first run needs", left.collect::<Vec<_>>(), Vec::new())?;
    // After that, and after destroy, too.
    pair.users(&[Phase::Destroy]).await?;
    pair.users(BOTH).await?;
    expect("users after destroy", pair.rows().await?, rows.to_vec())?;
    // From then on a run reads the users that are staged.
    let report = {
        pair.visits(&[(Some("b"), "b3", 12, 1)]).await?;
        pair.users.phases(BOTH).await.map_err(explain)?
    };
    let summary = report.findings.get(USERS_SUMMARY.name).ok_or("no summary")?;
    expect("users touched", summary.get(0, "users_touched").as_integer(), 1)?;
    expect("sessions read", summary.get(0, "sessions_read").as_integer(), 3)?;
    pair.drop().await
}

/// Two users of whom one returns.
async fn returning(harness: &dyn Harness) -> Result<Pair, String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 1)]).await?;
    pair.users(BOTH).await?;
    pair.visits(&[(Some("a"), "a0", 9, 1), (Some("c"), "c1", 11, 1), (None, "n", 11, 1)]).await?;
    Ok(pair)
}

/// Every how manieth call breaks, so that a slow warehouse is not at it for an hour.
fn stride(pair: &Pair) -> usize {
    match pair.users.warehouse.dialect().name() {
        "duckdb" => 1,
        "postgres" => 3,
        _ => 7,
    }
}

async fn users_killed_before_any_call_a_rerun_gives_the_same_tables(harness: &dyn Harness) -> Result<(), String> {
    // Of the first run, which makes the tables, and of a later one.
    for first in [true, false] {
        let begin = async || match first {
            false => returning(harness).await,
            true => {
                let pair = Pair::new(harness).await?;
                let alone = pair.sessions.with(json!({ "stage_next": false }))?;
                stage(&alone, vec![visit((Some("z"), "z1", 8, 1))]).await?;
                alone.run().await?;
                pair.visits(&[(Some("a"), "a1", 10, 1)]).await?;
                Ok(pair)
            }
        };
        let undisturbed = begin().await?;
        undisturbed.users(BOTH).await?;
        let (expected, tables) = (undisturbed.left().await?, undisturbed.users.tables().await?);
        let stride = stride(&undisturbed);
        undisturbed.drop().await?;
        let mut deaths = 0;
        for call in (0..).step_by(stride) {
            let pair = begin().await?;
            let dying = Arc::new(Faulty::new(Arc::clone(&pair.users.warehouse), Fault::DeadBefore(call)));
            let died = pair.users.through(Arc::clone(&dying) as Arc<_>).phases(BOTH).await.is_err();
            expire_the_lock(&pair.users).await?;
            pair.users(BOTH).await.map_err(|error| format!("rerun after death before call {call}: {error}"))?;
            expect(&format!("tables after death before call {call}"), pair.left().await?, expected.clone())?;
            expect("which tables exist", pair.users.tables().await?, tables.clone())?;
            pair.drop().await?;
            if !died {
                break;
            }
            deaths += 1;
        }
        expect("there were calls to die before", deaths * stride > 20, true)?;
    }
    Ok(())
}

async fn users_lost_answers_leave_no_trace(harness: &dyn Harness) -> Result<(), String> {
    let undisturbed = returning(harness).await?;
    let counting = Arc::new(Faulty::new(Arc::clone(&undisturbed.users.warehouse), Fault::None));
    undisturbed.users.through(Arc::clone(&counting) as Arc<_>).phases(BOTH).await.map_err(explain)?;
    let (expected, stride) = (undisturbed.left().await?, stride(&undisturbed));
    let metadata = undisturbed.users.count(DATAMODEL_METADATA).await?;
    undisturbed.drop().await?;
    for call in (0..counting.calls()).step_by(stride) {
        let pair = returning(harness).await?;
        let faulty = Arc::new(Faulty::new(Arc::clone(&pair.users.warehouse), Fault::AnswerLost(call)));
        pair.users
            .through(Arc::clone(&faulty) as Arc<_>)
            .phases(BOTH)
            .await
            .map_err(|error| format!("answer {call} lost: {}", explain(error)))?;
        expect(&format!("tables after the answer to call {call} was lost"), pair.left().await?, expected.clone())?;
        expect("metadata rows", pair.users.count(DATAMODEL_METADATA).await?, metadata)?;
        pair.drop().await?;
    }
    expect("there were calls", counting.calls() > 20, true)
}

async fn users_without_sessions_and_sessions_without_a_user_are_counted(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    let skipping = pair.sessions.with(json!({ "skip_derived": true }))?;
    stage(&skipping, vec![visit((Some("gone"), "g1", 10, 1)), visit((None, "n1", 10, 1))]).await?;
    let report = skipping.run().await?;
    let count =
        |rows: Option<&websessions_core::rows::Rows>, name: &str| rows.map(|rows| rows.get(0, name).as_integer());
    let found = report.findings.get(SESSIONS_WITHOUT_USER.name);
    expect("sessions without a user", count(found, "session_count"), Some(1))?;
    pair.users(BOTH).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1)]).await?;
    stage(&skipping, vec![visit((Some("gone"), "g1", 10, 1))]).await?;
    skipping.run().await?;
    let report = pair.users.phases(BOTH).await.map_err(explain)?;
    let found = report.findings.get(USERS_WITHOUT_SESSIONS.name);
    expect("users without sessions", count(found, "user_count"), Some(1))?;
    expect("notes", report.notes.iter().any(|note| note.contains("such as gone")), true)?;
    expect("users", pair.rows().await?.len(), 1)?;
    expect("staged", pair.staged().await?, Vec::new())?;
    pair.drop().await
}

async fn a_sum_that_users_cannot_hold_changes_nothing(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 1)]).await?;
    pair.users(BOTH).await?;
    let before = pair.left().await?;
    pair.visits(&[(Some("a"), "a2", 11, 1), (Some("b"), "b2", 11, 1)]).await?;
    // The largest number that the column takes: two of them are more than it holds.
    let dialect = pair.users.warehouse.dialect();
    let sessions = pair.users.name(SESSIONS)?;
    let most = |number: &str| {
        let set =
            format!("UPDATE {}\nSET engaged_time_in_s = {number}\nWHERE domain_userid = 'a'", dialect.table(&sessions));
        Statement::new("a lot of time", set)
    };
    let wide = pair.users.warehouse.execute(&most("9223372036854775807")).await;
    if wide.is_err() {
        pair.users.sql(most("2147483647").sql).await?;
    }
    match pair.users.phases(MAIN).await {
        Err(_) => {
            let now = pair.left().await?;
            expect("users and manifest", &now[..2], &before[..2])?;
            expect("staged", pair.staged().await?, ids(&["a", "b"]))?;
        }
        // A warehouse may have room for it.
        Ok(_) => {
            let sums = pair.users.contents(USERS).await?.column("engaged_time_in_s");
            expect("the sum", sums.contains(&Some("18446744073709551614".to_owned())), true)?;
        }
    }
    pair.drop().await
}

async fn users_destroy_drops_what_is_its_own(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    pair.users(&[Phase::Destroy]).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1)]).await?;
    pair.users(&[Phase::Destroy]).await?;
    pair.users(MAIN).await?;
    pair.users(&[Phase::Destroy]).await?;
    let left = [
        "derived.datamodel_metadata",
        "derived.sessions",
        "scratch.page_views_staged",
        "scratch.sessions_userid_manifest_staged",
    ];
    expect("tables", pair.users.tables().await?, left.map(str::to_owned).to_vec())?;
    expect("staged", pair.staged().await?, ids(&["a"]))?;
    pair.users(&[Phase::Destroy]).await?;
    pair.users(BOTH).await?;
    expect("users", pair.users.count(USERS).await?, 1)?;
    pair.drop().await
}

async fn a_table_left_under_the_name_of_the_view_goes(harness: &dyn Harness) -> Result<(), String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&[(Some("a"), "a1", 10, 1)]).await?;
    let dialect = pair.users.warehouse.dialect();
    let name = dialect.table(&pair.users.name(USERS_SESSIONS_THIS_RUN)?);
    let make = format!("CREATE TABLE {name} (app_id {})", dialect.column_type(ColumnType::Text));
    pair.users.sql(make.clone()).await?;
    pair.users(MAIN).await?;
    expect("sessions of the users", pair.users.count(USERS_SESSIONS_THIS_RUN).await?, 1)?;
    pair.users(COMPLETE).await?;
    pair.users.sql(make).await?;
    pair.users(&[Phase::Destroy]).await?;
    let left = pair.users.tables().await?;
    expect("its table", left.contains(&"scratch.users_sessions_this_run".to_owned()), false)?;
    pair.drop().await
}

/// Everything that is sent is planned, in order; what is planned and depends on something is sent where that is so.
async fn the_plan_of_users_is_what_is_sent(harness: &dyn Harness) -> Result<(), String> {
    let pair = returning(harness).await?;
    for phase in [Phase::Main, Phase::Complete, Phase::Destroy] {
        let case = &pair.users;
        let recording = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::None));
        case.through(Arc::clone(&recording) as Arc<_>).phase(phase).await?;
        let plan = case.module.plan(phase, &case.variables, &case.warehouse.dialect());
        let statements: Vec<&Statement> = plan.units().flat_map(|(_, unit)| unit.statements()).collect();
        let asked: Vec<&str> =
            statements.iter().filter_map(|statement| statement.only_if.as_ref()).map(OnlyIf::query).collect();
        let sent: Vec<String> = recording.sent().into_iter().filter(|sql| !asked.contains(&sql.as_str())).collect();
        let mut rest = sent.iter();
        let mut next = rest.next();
        for statement in &statements {
            match next {
                Some(sql) if *sql == statement.sql => next = rest.next(),
                other => expect("left out, or sent instead", statement.only_if.is_some(), true)
                    .map_err(|words| format!("{words}: {} against {other:?}", statement.sql))?,
            }
        }
        expect("sent and not planned", next, None)?;
        expect("left out", statements.len() > sent.len(), true)?;
    }
    pair.drop().await
}
