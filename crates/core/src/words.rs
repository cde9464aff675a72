//! Numbers in sentences.

use std::fmt::Display;

/// So many of a thing: `1 row`, `2 rows`, `0 rows`.
///
/// ```
/// use websessions_core::words::counted;
///
/// assert_eq!(counted(1, "page view"), "1 page view");
/// assert_eq!(counted(0, "page view"), "0 page views");
/// ```
pub fn counted(count: impl Display, thing: &str) -> String {
    let count = count.to_string();
    let ending = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{ending}")
}
