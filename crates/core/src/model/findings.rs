//! Words that the findings of all modules share.

use crate::rows::Rows;

/// The first and the last sample of a row.
pub(super) fn samples(rows: &Rows, row: usize) -> Option<String> {
    let (first, last) = (rows.get(row, "first_sample").to_string(), rows.get(row, "last_sample").to_string());
    match (first.is_empty(), first == last) {
        (true, _) => None,
        (false, true) => Some(first),
        (false, false) => Some(format!("{first}, {last}")),
    }
}
