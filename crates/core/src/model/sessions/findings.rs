//! What the observations of the sessions module look for, and what their rows say.

use crate::model::findings::samples;
use crate::plan::Finding;
use crate::rows::Rows;
use crate::words::counted;

/// What this run computed: one row, never a problem.
pub const SUMMARY: Finding = Finding::new("summary", |_| None);

/// Sessions of the input that are not in the result.
pub const DROPPED_SESSIONS: Finding = Finding::new("dropped_sessions", dropped_sessions)
    .warning()
    .counted(|rows| (0..rows.rows.len()).map(|row| rows.get(row, "session_count").as_integer()).sum());

/// Sessions with more than one row.
pub const MULTIPLIED_SESSIONS: Finding = Finding::new("multiplied_sessions", multiplied_sessions)
    .warning()
    .counted(|rows| rows.get(0, "session_count").as_integer());

/// Sessions of this run that belong to no user.
pub const SESSIONS_WITHOUT_USER: Finding = Finding::new("sessions_without_user", sessions_without_user)
    .counted(|rows| rows.get(0, "session_count").as_integer());

/// Sessions with fewer page views than the rows that they replace.
pub const SHRUNK_SESSIONS: Finding = Finding::new("shrunk_sessions", shrunk_sessions)
    .warning()
    .counted(|rows| rows.get(0, "session_count").as_integer());

/// Old rows that the upsert would leave beside new ones.
pub const OLD_COPIES: Finding =
    Finding::new("old_copies", old_copies).counted(|rows| rows.get(0, "session_count").as_integer());

/// Page views that stay in the input.
pub const INPUT_LEFT: Finding =
    Finding::new("input_left", input_left).counted(|rows| rows.get(0, "page_views").as_integer());

fn dropped_sessions(rows: &Rows) -> Option<String> {
    let reasons: Vec<String> = (0..rows.rows.len())
        .map(|row| {
            format!(
                "{} ({}{})",
                rows.get(row, "session_count"),
                rows.get(row, "reason"),
                samples(rows, row).map(|samples| format!("; such as {samples}")).unwrap_or_default()
            )
        })
        .collect();
    (!reasons.is_empty()).then(|| format!("sessions dropped: {}", reasons.join(", ")))
}

fn multiplied_sessions(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions with more than one row: {count}{}; their first or last page view stands in the input more than once",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn sessions_without_user(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions without a user: {count}{}; their domain_userid is NULL, and they are in no row of users",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn shrunk_sessions(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions with fewer page views than the rows that they replace: {count}{}; the others were not staged",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn old_copies(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions of this run with old rows that begin before the lookback: {count} (such as {})",
            rows.get(0, "sample")
        )
    })
}

fn input_left(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "page_views").as_integer();
    (count > 0).then(|| {
        format!(
            "left staged for the next run: {} of {}",
            counted(count, "page view"),
            counted(rows.get(0, "sessions"), "session")
        )
    })
}
