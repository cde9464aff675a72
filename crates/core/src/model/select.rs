//! Renders the SELECTs of `sql/` for a dialect. The templates only fill in names and function calls; they have no
//! control flow, and anything undefined is an error.

use super::table_name;
use super::tables::{ColumnType, PAGE_VIEWS_STAGED, TABLES, Table};
use crate::config::Variables;
use crate::dialect::Dialect;
use minijinja::{Environment, UndefinedBehavior, context};
use std::collections::BTreeMap;

const SOURCES: &[(&str, &str)] = &[
    ("consumed", include_str!("../../sql/consumed.sql")),
    ("consumed_and_kept_sessions_only", include_str!("../../sql/consumed_and_kept_sessions_only.sql")),
    ("dropped_sessions", include_str!("../../sql/dropped_sessions.sql")),
    ("input_left", include_str!("../../sql/input_left.sql")),
    ("metadata_run_id", include_str!("../../sql/metadata_run_id.sql")),
    ("multiplied_sessions", include_str!("../../sql/multiplied_sessions.sql")),
    ("old_copies", include_str!("../../sql/old_copies.sql")),
    ("run_metadata", include_str!("../../sql/run_metadata.sql")),
    ("run_summary", include_str!("../../sql/run_summary.sql")),
    ("sessions_aggregates", include_str!("../../sql/sessions_aggregates.sql")),
    ("sessions_input_kept", include_str!("../../sql/sessions_input_kept.sql")),
    ("sessions_input_this_run", include_str!("../../sql/sessions_input_this_run.sql")),
    ("sessions_metadata_this_run", include_str!("../../sql/sessions_metadata_this_run.sql")),
    ("sessions_this_run", include_str!("../../sql/sessions_this_run.sql")),
    ("sessions_upsert_limit", include_str!("../../sql/sessions_upsert_limit.sql")),
    ("sessions_upsert_limit_widened", include_str!("../../sql/sessions_upsert_limit_widened.sql")),
    ("sessions_userid_manifest_this_run", include_str!("../../sql/sessions_userid_manifest_this_run.sql")),
];

/// The column list of a table, one a line.
pub(super) fn column_list(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    names.join(",\n  ")
}

/// Renders one of the SELECTs. They are part of this crate and every one is rendered by the tests for every option,
/// so an error here is a defect of ours, not of a user's input.
pub(super) fn render(name: &str, variables: &Variables, dialect: &dyn Dialect, consumed: &str) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let tables: BTreeMap<&str, String> =
        TABLES.iter().map(|table| (table.name, dialect.table(&table_name(table, variables)))).collect();
    let columns: BTreeMap<&str, String> = TABLES.iter().map(|table| (table.name, column_list(table))).collect();
    // The engine's own functions must be 'static, and a dialect is borrowed: its answers are prepared as values.
    let seconds = dialect.seconds_between("aggregates.start_tstamp", "aggregates.end_tstamp");
    let lower_limit = dialect.minus_days("MIN(start_tstamp)", variables.upsert_lookback_days);
    let values = context! {
        table => tables,
        columns => columns,
        now => dialect.now(),
        session_seconds => seconds,
        lower_limit => lower_limit,
        fingerprint => dialect.row_fingerprint(PAGE_VIEWS_STAGED.columns),
        page_view_id => dialect.fixed_text("page_view_id"),
        model_version => dialect.text(&variables.model_version),
        consumed => consumed,
        type => context! {
            text_64 => dialect.column_type(ColumnType::Varying(64)),
            integer => dialect.column_type(ColumnType::Integer),
            timestamp => dialect.column_type(ColumnType::Timestamp),
        },
    };
    let source = SOURCES.iter().find(|(known, _)| *known == name).map_or("", |(_, source)| *source);
    let rendered = environment.render_str(source, values);
    match rendered {
        Ok(sql) => sql.trim_end().to_owned(),
        Err(error) => unreachable!("sql/{name}.sql: {error}"),
    }
}
