//! Which columns of the input each column of production comes from. `tests/lineage.rs` reads the SQL and compares.

use super::explain::{Rule, rule};
use super::tables::{PAGE_VIEWS_STAGED, SESSIONS, tables};
use crate::model::{Derivation, Derived};
use crate::own_columns::OwnColumn;
use crate::variables::Variables;

/// Where the columns of production come from.
pub(super) fn derived(variables: &Variables) -> Vec<Derived> {
    let tables = tables(variables);
    let columns = tables.iter().filter(|table| table.name == SESSIONS).flat_map(|table| &table.columns);
    columns
        .map(|column| {
            let (rule, source) = rule(&column.name, &variables.columns);
            let own = variables.columns.get(&column.name);
            let computed = own.filter(|own| own.source().is_none());
            let derivation = match rule {
                Rule::First | Rule::Last if computed.is_some() => Derivation::Transformation,
                Rule::EachHas | Rule::First | Rule::Last => Derivation::Identity,
                _ => Derivation::Aggregation,
            };
            let read = |own: &OwnColumn| own.reads().into_iter().map(str::to_owned).collect();
            let mut from = computed.map_or_else(|| vec![source], read);
            if rule == Rule::StartToEnd {
                from.push("start_tstamp".to_owned());
            }
            Derived { table: SESSIONS, column: column.name.to_string(), derivation, source: PAGE_VIEWS_STAGED, from }
        })
        .collect()
}
