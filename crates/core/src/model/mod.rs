//! The model: its tables, its SELECTs (in `sql/`), and the steps of each phase. `plan` is pure.

mod select;
mod steps;
pub mod tables;

use crate::config::Variables;
use crate::dialect::{Dialect, TableName};
use crate::plan::{Phase, Plan};
use tables::{SchemaRole, Table};

/// What a phase will do.
pub fn plan(phase: Phase, variables: &Variables, dialect: &dyn Dialect) -> Plan {
    let steps = steps::Steps::new(variables, dialect);
    Plan {
        name: phase.name().to_owned(),
        dialect: dialect.name().to_owned(),
        steps: match phase {
            Phase::Main => steps.main(),
            Phase::Complete => steps.complete(),
            Phase::Destroy => steps.destroy(),
        },
    }
}

/// A table's full name under these variables.
pub fn table_name(table: &Table, variables: &Variables) -> TableName {
    TableName {
        schema: match table.schema {
            SchemaRole::Scratch => variables.scratch_schema.clone(),
            SchemaRole::Output => variables.output_schema.clone(),
        },
        name: format!("{}{}", table.name, variables.entropy.as_str()),
    }
}
