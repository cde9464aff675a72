//! Which columns of sessions each column of users comes from. `tests/lineage.rs` reads the SQL and compares.

use super::tables::{SESSIONS, USERS, tables};
use crate::model::{Derivation, Derived};
use crate::own_columns::{Aggregate, OwnColumn};
use crate::variables::Variables;

/// Where the columns of production come from.
pub(super) fn derived(variables: &Variables) -> Vec<Derived> {
    let tables = tables(variables);
    let columns = tables.iter().filter(|table| table.name == USERS).flat_map(|table| &table.columns);
    columns
        .map(|column| {
            let (derivation, source) = match &*column.name {
                "sessions" => (Derivation::Aggregation, "domain_sessionid"),
                name @ ("start_tstamp" | "end_tstamp" | "page_views" | "engaged_time_in_s") => {
                    (Derivation::Aggregation, name)
                }
                name => match variables.columns.get(name).and_then(OwnColumn::for_users) {
                    // What it is grouped by, and the values of its first and its last session.
                    None | Some(Aggregate::First | Aggregate::Last) => (Derivation::Identity, name),
                    Some(_) => (Derivation::Aggregation, name),
                },
            };
            let from = vec![source.to_owned()];
            Derived { table: USERS, column: column.name.to_string(), derivation, source: SESSIONS, from }
        })
        .collect()
}
