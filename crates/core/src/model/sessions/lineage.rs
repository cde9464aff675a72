//! Which columns of the input each column of production comes from. `tests/lineage.rs` reads the SQL and compares.

use super::tables::{PAGE_VIEWS_STAGED, SESSIONS, tables};
use crate::model::{Derivation, Derived};
use crate::variables::Variables;

/// Where the columns of production come from.
pub(super) fn derived(variables: &Variables) -> Vec<Derived> {
    let tables = tables(variables);
    let columns = tables.iter().filter(|table| table.name == SESSIONS).flat_map(|table| &table.columns);
    columns
        .map(|column| {
            let (derivation, from) = origin(&column.name);
            Derived { table: SESSIONS, column: column.name.to_string(), derivation, source: PAGE_VIEWS_STAGED, from }
        })
        .collect()
}

fn origin(column: &str) -> (Derivation, Vec<String>) {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    match column {
        "page_views" => (Derivation::Aggregation, owned(&["page_view_id"])),
        "start_tstamp" | "end_tstamp" | "engaged_time_in_s" => (Derivation::Aggregation, owned(&[column])),
        "absolute_time_in_s" => (Derivation::Aggregation, owned(&["end_tstamp", "start_tstamp"])),
        "referrer" => (Derivation::Identity, owned(&["page_referrer"])),
        other => {
            let of_a_page = other.strip_prefix("first_").or_else(|| other.strip_prefix("last_")).unwrap_or(other);
            (Derivation::Identity, owned(&[of_a_page]))
        }
    }
}
