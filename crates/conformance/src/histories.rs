//! Histories of arrivals: page views that come in any order, again, in older forms, in rows that are none, by commands that
//! are killed and repeated. Whatever the history, the tables must be those of the newest form of each page view.

use crate::case::explain;
use crate::csv::{Cell, write_csv};
use crate::{Case, Fault, Faulty};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use websessions_core::files::{Files, Source};
use websessions_core::lock;
use websessions_core::model::page_views::findings::*;
use websessions_core::model::page_views::read_source;
use websessions_core::model::page_views::tables::*;
use websessions_core::model::sessions::tables::SESSIONS;
use websessions_core::model::users::tables::{SESSIONS_USERID_MANIFEST_STAGED, USERS};
use websessions_core::model::{Module, page_views, sessions, users};
use websessions_core::plan::Phase;
use websessions_core::run::{Job, Report, RunError};
use websessions_core::table::{Column, ColumnType, Lifetime, SchemaRole, Table, TableName};

/// The columns of the rows that arrive, in the model's order; those of the newest form are compared in this order too.
const COLUMNS: [&str; 9] = [
    "page_view_id",
    "domain_userid",
    "domain_sessionid",
    "start_tstamp",
    "end_tstamp",
    "engaged_time_in_s",
    "page_title",
    "geo_latitude",
    "spider_or_robot",
];

/// How many sessions, page views of a session and forms of a page view a history is made of.
pub const SESSIONS_OF_A_HISTORY: u8 = 3;
/// See [`SESSIONS_OF_A_HISTORY`].
pub const PAGE_VIEWS_OF_A_SESSION: u8 = 4;
/// See [`SESSIONS_OF_A_HISTORY`].
pub const FORMS_OF_A_PAGE_VIEW: u8 = 8;

/// A row that arrives: a form of a page view of a session. The last form lacks what a page view needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which session, from 0.
    pub session: u8,
    /// Which of its page views, from 0.
    pub page_view: u8,
    /// Which form of it, from 0.
    pub form: u8,
}

/// What breaks while a command runs; it is then repeated as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Nothing.
    Nothing,
    /// It dies before its call number so-and-so, if it makes that many.
    DiesBefore(u8),
    /// The answer to call number so-and-so is lost.
    AnswerLost(u8),
}

/// Rows that come together, and the command that takes them.
#[derive(Clone, Debug)]
pub struct Command {
    /// What arrives.
    pub arrivals: Vec<Arrival>,
    /// Whether sessions are computed at once, too.
    pub runs: bool,
    /// Whether users are, of the sessions so far.
    pub users: bool,
    /// What breaks.
    pub breaks: Break,
}

/// How arrivals come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// In a table that `page_views_from` names.
    Table,
    /// In a file, which the backend loads.
    File,
}

/// Whose a session is: two are of one user.
fn user_of(session: u8) -> String {
    format!("user {}", session / 2)
}

impl Arrival {
    /// Its cells, in the order of [`COLUMNS`]: ids that collate otherwise than bytes, starts that are equal, ends and
    /// engaged times that are equal or missing, an id that every session has.
    fn cells(self) -> Vec<Cell> {
        let id = match self.page_view {
            0 => format!("a-{}", self.session),
            1 => format!("B-{}", self.session),
            2 => format!("~-{}", self.session),
            _ => "in every session".to_owned(),
        };
        let start = |seconds: u32| {
            let minute = u32::from(self.page_view / 2);
            Some(format!("2024-03-{:02} 12:{minute:02}:{seconds:02}.250000", 1 + self.session % 31))
        };
        let (end, engaged, title, latitude, robot) = match self.form {
            0 => (None, None, Some("early"), None, None),
            1 => (start(30), Some("10"), Some("a"), None, None),
            2 => (start(30), Some("10"), Some("B"), Some("1.5"), Some("t")),
            3 => (start(30), Some("10"), None, Some("-2.25"), Some("f")),
            4 => (start(30), None, Some("without engaged time"), None, None),
            5 => (start(30), Some("10"), Some("B"), Some("1.5"), Some("f")),
            6 => (start(45), Some("0"), Some("late"), None, None),
            _ => (start(59), Some("99"), Some("none"), None, None),
        };
        let text = |text: Option<&str>| text.map(str::to_owned);
        // A later form may say that the page view began earlier.
        let began = if self.form == 6 { start(1) } else { start(5) };
        let mut cells = vec![
            Some(id),
            Some(user_of(self.session)),
            Some(format!("session {}", self.session)),
            began,
            end,
            text(engaged),
            text(title),
            text(latitude),
            text(robot),
        ];
        if self.form + 1 >= FORMS_OF_A_PAGE_VIEW {
            let needed = [0, 2, 3][usize::from(self.page_view % 3)];
            cells[needed] = None;
        }
        cells
    }

    fn is_page_view(self) -> bool {
        self.form + 1 < FORMS_OF_A_PAGE_VIEW
    }
}

/// One form of a page view, as it compares with others: end, engaged time, then all columns in order.
type Rank = (Cell, Option<i64>, Vec<Cell>);

fn rank(cells: &[Cell]) -> Rank {
    let mut cells = cells.to_vec();
    cells[4] = cells[4].clone().or_else(|| cells[3].clone());
    let engaged = cells[5].as_ref().and_then(|engaged| engaged.parse().ok());
    (cells[4].clone(), engaged, cells)
}

/// The newest form of each page view of some arrivals, numbered: session and id, and the cells of [`COLUMNS`], index and
/// count.
fn expected_page_views(arrivals: &[Arrival]) -> Vec<Vec<Cell>> {
    let mut newest: BTreeMap<(Cell, Cell), Rank> = BTreeMap::new();
    for cells in arrivals.iter().filter(|arrival| arrival.is_page_view()).map(|arrival| arrival.cells()) {
        let rank = rank(&cells);
        let known = newest.entry((cells[2].clone(), cells[0].clone())).or_insert_with(|| rank.clone());
        if rank > *known {
            *known = rank;
        }
    }
    let mut sessions: BTreeMap<Cell, Vec<Vec<Cell>>> = BTreeMap::new();
    for (_, _, cells) in newest.into_values() {
        sessions.entry(cells[2].clone()).or_default().push(cells);
    }
    let mut rows = Vec::new();
    for mut page_views in sessions.into_values() {
        page_views.sort_by(|left, right| (&left[3], &left[0]).cmp(&(&right[3], &right[0])));
        let count = page_views.len();
        for (number, mut cells) in page_views.into_iter().enumerate() {
            cells.extend([Some((number + 1).to_string()), Some(count.to_string())]);
            rows.push(cells);
        }
    }
    rows.sort();
    rows
}

/// Of each session: id, start, end, page views, engaged time, titles of its first and last page view.
fn expected_sessions(page_views: &[Vec<Cell>]) -> Vec<Vec<Cell>> {
    let mut sessions: BTreeMap<Cell, Vec<&Vec<Cell>>> = BTreeMap::new();
    for cells in page_views {
        sessions.entry(cells[2].clone()).or_default().push(cells);
    }
    let number = |cell: &Cell| cell.as_ref().and_then(|cell| cell.parse::<i64>().ok());
    sessions
        .into_iter()
        .map(|(id, mut page_views)| {
            page_views.sort_by_key(|cells| number(&cells[COLUMNS.len()]));
            let engaged: Vec<i64> = page_views.iter().filter_map(|cells| number(&cells[5])).collect();
            vec![
                id,
                page_views.iter().filter_map(|cells| cells[3].clone()).min(),
                page_views.iter().filter_map(|cells| cells[4].clone()).max(),
                Some(page_views.len().to_string()),
                (!engaged.is_empty()).then(|| engaged.iter().sum::<i64>().to_string()),
                page_views.first().and_then(|cells| cells[6].clone()),
                page_views.last().and_then(|cells| cells[6].clone()),
            ]
        })
        .collect()
}

/// Of each user: id, start, end, sessions, page views, engaged time, titles of its first and last page.
fn expected_users(sessions: &[Vec<Cell>]) -> Vec<Vec<Cell>> {
    let mut of_users: BTreeMap<Cell, Vec<&Vec<Cell>>> = BTreeMap::new();
    for session in sessions {
        let number = session[0].as_ref().and_then(|id| id.rsplit(' ').next()?.parse().ok());
        of_users.entry(number.map(user_of)).or_default().push(session);
    }
    let sum = |sessions: &[&Vec<Cell>], column: usize| -> Cell {
        let numbers: Vec<i64> = sessions.iter().filter_map(|cells| cells[column].as_ref()?.parse().ok()).collect();
        (!numbers.is_empty()).then(|| numbers.iter().sum::<i64>().to_string())
    };
    let row = |(user, sessions): (Cell, Vec<&Vec<Cell>>)| {
        // Of several that begin first, or end last, it is the one with the greatest id.
        let first = sessions.iter().max_by(|one, other| other[1].cmp(&one[1]).then(one[0].cmp(&other[0])));
        let last = sessions.iter().max_by(|one, other| one[2].cmp(&other[2]).then(one[0].cmp(&other[0])));
        vec![
            user,
            first.and_then(|first| first[1].clone()),
            last.and_then(|last| last[2].clone()),
            Some(sessions.len().to_string()),
            sum(&sessions, 3),
            sum(&sessions, 4),
            first.and_then(|first| first[5].clone()),
            last.and_then(|last| last[6].clone()),
        ]
    };
    of_users.into_iter().map(row).collect()
}

/// Takes a history through a backend, and compares all tables with what must come out. Every command that breaks is
/// repeated; the last one computes sessions and users.
pub async fn prove(case: Case, history: &[Command], by: By) -> Result<(), String> {
    let mut case = case.with(serde_json::json!({ "stage_next": true }))?.of(page_views::module());
    if by == By::Table {
        let name = arrivals_table(&case).1.to_string();
        case = case.with(serde_json::json!({ "page_views_from": name }))?;
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    for (number, command) in history.iter().enumerate() {
        let is_last = number + 1 == history.len();
        let runs = command.runs || is_last;
        // There is nothing for users before sessions has staged someone.
        let users = is_last || (command.users && history[..=number].iter().any(|command| command.runs));
        let files = arrive(&case, &command.arrivals, by, folder.path().join(format!("{number}.csv"))).await?;
        case = looked_at(case).await?;
        let fault = match command.breaks {
            Break::Nothing => None,
            Break::DiesBefore(call) => Some(Fault::DeadBefore(call.into())),
            Break::AnswerLost(call) => Some(Fault::AnswerLost(call.into())),
        };
        if let Some(fault) = fault {
            let faulty = Arc::new(Faulty::new(Arc::clone(&case.warehouse), fault));
            // It may get through: then it is a second run of the same.
            let broken = case.through(faulty);
            let _ = broken.runner().run_jobs(&with_users(&broken, &files, runs, users)).await;
            free(&case).await?;
        }
        let report = case.runner().run_jobs(&with_users(&case, &files, runs, users)).await;
        let report = report.map_err(|error| format!("command {number}: {}", explain(error)))?;
        counts(&report, command).map_err(|error| format!("command {number}: {error}"))?;
    }
    let arrivals: Vec<Arrival> = history.iter().flat_map(|command| command.arrivals.iter().copied()).collect();
    compare(&case, &arrivals).await?;
    let expected = expected_users(&expected_sessions(&expected_page_views(&arrivals)));
    let columns = [
        "domain_userid",
        "start_tstamp",
        "end_tstamp",
        "sessions",
        "page_views",
        "engaged_time_in_s",
        "first_page_title",
        "last_page_title",
    ];
    let found = only(&case, users::module(), USERS, &columns).await?;
    if found != expected {
        return Err(format!("users: {found:#?}, expected {expected:#?}"));
    }
    match case.clone().of(users::module()).count(SESSIONS_USERID_MANIFEST_STAGED).await? {
        0 => case.drop().await,
        staged => Err(format!("{staged} users are still staged")),
    }
}

/// The jobs of [`run`], and users before the run ends.
fn with_users(case: &Case, files: &Files, sessions_too: bool, users_too: bool) -> Vec<Job> {
    let mut jobs = jobs(case, files, sessions_too);
    if users_too {
        let dialect = case.warehouse.dialect();
        let phases = [Phase::Main, Phase::Complete];
        let of_users = phases.map(|phase| Job::phase(&users::module(), phase, &case.variables, &dialect));
        let last = jobs.len() - 1;
        jobs.splice(last..last, of_users);
    }
    jobs
}

/// Clears the lock of a run that died.
pub(crate) async fn free(case: &Case) -> Result<(), String> {
    let failed = |error| format!("can't clear the dead run's lock: {error}");
    if lock::holder(&*case.warehouse, &case.variables).await.map_err(failed)?.is_some() {
        lock::clear(&*case.warehouse, &case.variables).await.map_err(failed)?;
    }
    Ok(())
}

/// Compares the tables with those of the newest form of each page view that arrived.
pub async fn compare(case: &Case, arrivals: &[Arrival]) -> Result<(), String> {
    let expected = expected_page_views(arrivals);
    let columns = [&COLUMNS[..], &["page_view_in_session_index", "page_views_in_session"]].concat();
    let found = only(case, page_views::module(), PAGE_VIEWS, &columns).await?;
    if found != expected {
        return Err(format!("page_views: {found:#?}, expected {expected:#?}"));
    }
    let columns = [
        "domain_sessionid",
        "start_tstamp",
        "end_tstamp",
        "page_views",
        "engaged_time_in_s",
        "first_page_title",
        "last_page_title",
    ];
    let (found, expected) = (only(case, sessions::module(), SESSIONS, &columns).await?, expected_sessions(&expected));
    if found != expected {
        return Err(format!("sessions: {found:#?}, expected {expected:#?}"));
    }
    match case.clone().of(page_views::module()).count(PAGE_VIEWS_STAGED).await? {
        0 => Ok(()),
        staged => Err(format!("{staged} page views are still staged")),
    }
}

/// Some columns of a table, its rows sorted.
async fn only(case: &Case, module: Module, table: &str, columns: &[&str]) -> Result<Vec<Vec<Cell>>, String> {
    let contents = case.clone().of(module).contents(table).await?;
    let position = |name: &&str| contents.columns.iter().position(|column| column == name);
    let positions: Vec<usize> = columns.iter().filter_map(position).collect();
    let mut rows: Vec<Vec<Cell>> =
        contents.rows.iter().map(|row| positions.iter().map(|position| row[*position].clone()).collect()).collect();
    rows.sort();
    Ok(rows)
}

/// page_views alone, or with sessions, under one lock; the last job ends the run.
pub async fn run(case: &Case, files: &Files, sessions_too: bool) -> Result<Report, RunError> {
    case.runner().run_jobs(&jobs(case, files, sessions_too)).await
}

/// The jobs of [`run`].
pub(crate) fn jobs(case: &Case, files: &Files, sessions_too: bool) -> Vec<Job> {
    let dialect = case.warehouse.dialect();
    let mut last = case.variables.clone();
    last.ends_run = true;
    let (page_views, sessions) = (page_views::module(), sessions::module());
    let mut jobs = vec![Job::phase_with(&page_views, Phase::Main, &case.variables, &dialect, files)];
    if sessions_too {
        jobs.extend(
            [Phase::Main, Phase::Complete].map(|phase| Job::phase(&sessions, phase, &case.variables, &dialect)),
        );
    }
    jobs.push(Job::phase(&page_views, Phase::Complete, &last, &dialect));
    jobs
}

/// The table that arrivals come in: one of the user's, of few columns and with one that the model doesn't have.
pub fn arrivals_table(case: &Case) -> (Table, TableName) {
    let of = |name: &'static str| Column::new(name, column_type(name));
    let columns = COLUMNS.into_iter().map(of).chain([Column::new("loaded", ColumnType::Timestamp)]).collect();
    let table = Table::new("arrivals", SchemaRole::Scratch, Lifetime::Persistent, columns);
    let name = TableName { schema: case.variables.scratch_schema.clone(), name: table.name.to_owned() };
    (table, name)
}

fn column_type(name: &str) -> ColumnType {
    let table = page_views::module().table(PAGE_VIEWS, &websessions_core::variables::Variables::default());
    let found = table.as_ref().and_then(|table| table.column(name)).map(|column| column.column_type);
    found.unwrap_or(ColumnType::Text)
}

/// The case after a look at the columns of its arrivals' table, as the command line takes one before a run.
pub(crate) async fn looked_at(mut case: Case) -> Result<Case, String> {
    let source = read_source(&*case.warehouse, &case.variables).await.map_err(|error| error.to_string())?;
    case.variables.page_views_columns = source.map(|source| source.columns);
    Ok(case)
}

/// Makes arrivals come: gives the files that they are in.
pub(crate) async fn arrive(case: &Case, arrivals: &[Arrival], by: By, file: PathBuf) -> Result<Files, String> {
    let columns: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
    let rows: Vec<Vec<Cell>> = arrivals.iter().map(|arrival| arrival.cells()).collect();
    match by {
        By::File => {
            std::fs::write(&file, write_csv(&columns, &rows)).map_err(|error| error.to_string())?;
            Ok(Files::new(vec![Source::File(file)]))
        }
        By::Table => {
            let (table, name) = arrivals_table(case);
            case.insert(&table, &name, &columns, Vec::new()).await?;
            case.sql(case.warehouse.dialect().delete(&name, "1 = 1")).await?;
            case.insert(&table, &name, &columns, rows).await?;
            Ok(Files::default())
        }
    }
}

/// Every row that came is kept, repeats one that is, or is left out: the report counts them.
fn counts(report: &Report, command: &Command) -> Result<(), String> {
    let rows = report.findings.get(REPEATED_PAGE_VIEWS.name).ok_or("nothing counted the arrivals")?;
    let of = |column: &str| rows.get(0, column).as_integer();
    let found = [of("rows_arrived"), of("rows_kept"), of("rows_repeated"), of("rows_left_out")];
    let page_views = || command.arrivals.iter().filter(|arrival| arrival.is_page_view());
    let kept: BTreeSet<(u8, u8)> = page_views().map(|arrival| (arrival.session, arrival.page_view)).collect();
    let [all, whole, kept] = [command.arrivals.len(), page_views().count(), kept.len()].map(|count| count as i64);
    let expected = [all, kept, whole - kept, all - whole];
    if found != expected {
        return Err(format!("arrived, kept, repeated, left out: {found:?}, expected {expected:?}"));
    }
    match report.counts.get(LEFT_OUT_PAGE_VIEWS.name) {
        Some(left_out) if *left_out == all - whole => Ok(()),
        other => Err(format!("left out in the report: {other:?}, expected {}", all - whole)),
    }
}
