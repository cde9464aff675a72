//! What the observations of the users module look for, and what their rows say.

use crate::model::findings::samples;
use crate::plan::Finding;
use crate::rows::Rows;

/// What this run computed: one row, never a problem.
pub const USERS_SUMMARY: Finding = Finding::new("users_summary", |_| None);

/// Users that are staged and have no session.
pub const USERS_WITHOUT_SESSIONS: Finding = Finding::new("users_without_sessions", users_without_sessions)
    .counted(|rows| rows.get(0, "user_count").as_integer());

fn users_without_sessions(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "user_count").as_integer();
    (count > 0).then(|| {
        format!(
            "users that are staged and have no session: {count}{}; they have no row",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}
