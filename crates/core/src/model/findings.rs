//! Words that the findings of all modules share.

use crate::plan::OnFound;
use crate::rows::Rows;
use crate::variables::Reaction;

/// The first and the last sample of a row.
pub(super) fn samples(rows: &Rows, row: usize) -> Option<String> {
    let (first, last) = (rows.get(row, "first_sample").to_string(), rows.get(row, "last_sample").to_string());
    match (first.is_empty(), first == last) {
        (true, _) => None,
        (false, true) => Some(first),
        (false, false) => Some(format!("{first}, {last}")),
    }
}

/// What a run does about what it found.
pub(super) fn on_found(reaction: Reaction, because: &'static str, hint: &'static str) -> OnFound {
    match reaction {
        Reaction::Report => OnFound::Report,
        Reaction::Fail => OnFound::Fail { because, hint },
    }
}
