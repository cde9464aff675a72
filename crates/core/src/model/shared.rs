//! The tables that the modules of one run share: the run's id, and one row for each commit of each module.

use super::select::{Select, sql};
use crate::table::ColumnType::*;
use crate::table::{Column, Lifetime, SchemaRole, Table};

/// One row for each commit of each module.
pub const DATAMODEL_METADATA: &str = "datamodel_metadata";

/// The identity of the run that all modules share.
pub const METADATA_RUN_ID: &str = "metadata_run_id";

/// The metadata of a module's run as it begins, with the module's name as `module`.
pub(super) const METADATA_THIS_RUN: Select = sql!("shared/metadata_this_run");
pub(super) const METADATA_ROW: Select = sql!("shared/metadata_row");
pub(super) const RUN_HAS_COMMITTED: Select = sql!("shared/run_has_committed");

pub(super) const RUN_ID: Select = sql!("shared/metadata_run_id");

/// The shared tables.
pub(super) fn tables() -> Vec<Table> {
    vec![
        Table::new(DATAMODEL_METADATA, SchemaRole::Output, Lifetime::Persistent, metadata_columns()),
        Table::new(METADATA_RUN_ID, SchemaRole::Scratch, Lifetime::Run, vec![Column::new("run_id", Timestamp)]),
    ]
}

/// The columns of a row of metadata.
pub fn metadata_columns() -> Vec<Column> {
    vec![
        Column::new("run_id", Timestamp),
        Column::new("model_version", Varying(64)),
        Column::new("model", Varying(64)),
        Column::new("module", Varying(64)),
        Column::new("run_start_tstamp", Timestamp),
        Column::new("run_end_tstamp", Timestamp),
        Column::new("rows_this_run", Integer),
        Column::new("distinct_key", Varying(64)),
        Column::new("distinct_key_count", Integer),
        Column::new("time_key", Varying(64)),
        Column::new("min_time_key", Timestamp),
        Column::new("max_time_key", Timestamp),
        Column::new("duplicate_rows_removed", Integer),
        Column::new("distinct_keys_removed", Integer),
    ]
}
