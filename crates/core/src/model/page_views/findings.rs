//! What the observations of the page views module look for, and what their rows say.

use crate::model::findings::samples;
use crate::plan::Finding;
use crate::rows::Rows;
use crate::words::counted;

/// What this run computed: one row, never a problem.
pub const PAGE_VIEWS_SUMMARY: Finding = Finding::new("page_views_summary", |_| None);

/// Rows of a user's table with a value that its column can't hold exactly.
pub const REFUSED_PAGE_VIEWS: Finding =
    Finding::new("refused_page_views", refused).counted(|rows| rows.get(0, "row_count").as_integer());

/// What became of the rows that arrived: so many are kept, repeat one that is kept, or are left out.
pub const REPEATED_PAGE_VIEWS: Finding =
    Finding::new("repeated_page_views", repeated).warning().counted(|rows| rows.get(0, "rows_repeated").as_integer());

/// Rows that are no page views.
pub const LEFT_OUT_PAGE_VIEWS: Finding = Finding::new("left_out_page_views", left_out)
    .warning()
    .counted(|rows| (0..rows.rows.len()).map(|row| rows.get(row, "row_count").as_integer()).sum());

/// Ids that stand in several sessions of this run.
pub const PAGE_VIEWS_IN_SEVERAL_SESSIONS: Finding = Finding::new("page_views_in_several_sessions", in_several_sessions)
    .counted(|rows| rows.get(0, "page_view_count").as_integer());

/// Rows of production's that the lookback does not reach.
pub const OLD_PAGE_VIEWS: Finding =
    Finding::new("old_page_views", old_page_views).counted(|rows| rows.get(0, "session_count").as_integer());

/// What is staged again. A person should see at once if it is nothing.
pub const REBUILT_SESSIONS: Finding =
    Finding::new("rebuilt_sessions", rebuilt).counted(rebuilt_sessions).warning_if(|rows| rebuilt_sessions(rows) == 0);

/// What was staged and is taken away.
pub const UNSTAGED_PAGE_VIEWS: Finding =
    Finding::new("unstaged_page_views", unstaged).counted(|rows| rows.get(0, "page_views").as_integer());

/// How many page views production has.
pub const STORED_PAGE_VIEWS: Finding =
    Finding::new("stored_page_views", stored).counted(|rows| rows.get(0, "page_views").as_integer());

fn refused(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "row_count").as_integer();
    (count > 0).then(|| {
        let samples = [rows.get(0, "first_sample"), rows.get(0, "last_sample")].map(ToString::to_string);
        let samples = if samples[0] == samples[1] { &samples[..1] } else { &samples[..] };
        format!("rows with a value that page_views can't hold: {count}, such as {}", samples.join("; "))
    })
}

fn repeated(rows: &Rows) -> Option<String> {
    (rows.get(0, "rows_repeated").as_integer() > 0).then(|| {
        format!(
            "rows that repeat a page view: {} of {}, of {} page views{}; the newest form of each is kept",
            rows.get(0, "rows_repeated"),
            rows.get(0, "rows_arrived"),
            rows.get(0, "page_views_repeated"),
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn left_out(rows: &Rows) -> Option<String> {
    let reasons: Vec<String> = (0..rows.rows.len())
        .map(|row| {
            format!(
                "{} ({}{})",
                rows.get(row, "row_count"),
                rows.get(row, "reason"),
                samples(rows, row).map(|samples| format!("; such as {samples}")).unwrap_or_default()
            )
        })
        .collect();
    (!reasons.is_empty()).then(|| format!("rows left out: {}", reasons.join(", ")))
}

fn in_several_sessions(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "page_view_count").as_integer();
    (count > 0).then(|| {
        format!(
            "page view ids that stand in several sessions: {count}{}; each is a page view of each of them",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn old_page_views(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions of this run with page views that begin before the lookback: {count} (such as {})",
            rows.get(0, "sample")
        )
    })
}

fn stored(rows: &Rows) -> Option<String> {
    Some(format!("page views dropped with their table: {}", rows.get(0, "page_views")))
}

fn rebuilt_sessions(rows: &Rows) -> i64 {
    rows.get(0, "sessions").as_integer()
}

fn rebuilt(rows: &Rows) -> Option<String> {
    if rebuilt_sessions(rows) == 0 {
        return Some("production has no page view in that time: nothing is computed again".to_owned());
    }
    let (sessions, page_views) = (rows.get(0, "sessions"), rows.get(0, "page_views"));
    Some(format!("staged again: {} of {}", counted(sessions, "session"), counted(page_views, "page view")))
}

fn unstaged(rows: &Rows) -> Option<String> {
    let (sessions, page_views) = (rows.get(0, "sessions"), rows.get(0, "page_views"));
    Some(format!("taken away: {} of {}", counted(page_views, "staged page view"), counted(sessions, "session")))
}
