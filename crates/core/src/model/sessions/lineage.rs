//! Which columns of the input each column of production comes from. `tests/lineage.rs` reads the SQL and compares.

use super::explain::{Rule, rule};
use super::tables::{PAGE_VIEWS_STAGED, SESSIONS, tables};
use crate::model::{Derivation, Derived};
use crate::variables::Variables;

/// Where the columns of production come from.
pub(super) fn derived(variables: &Variables) -> Vec<Derived> {
    let tables = tables(variables);
    let columns = tables.iter().filter(|table| table.name == SESSIONS).flat_map(|table| &table.columns);
    columns
        .map(|column| {
            let (rule, source) = rule(&column.name);
            let derivation = match rule {
                Rule::EachHas | Rule::First | Rule::Last => Derivation::Identity,
                _ => Derivation::Aggregation,
            };
            let mut from = vec![source];
            if rule == Rule::StartToEnd {
                from.push("start_tstamp".to_owned());
            }
            Derived { table: SESSIONS, column: column.name.to_string(), derivation, source: PAGE_VIEWS_STAGED, from }
        })
        .collect()
}
