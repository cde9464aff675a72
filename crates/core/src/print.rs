//! A plan as a script, in a dialect: what `plan` prints and people review.

use crate::dialect::Dialect;
use crate::plan::{Plan, Step, Unit, script};

impl Unit {
    /// Its text as a script: the statements with semicolons, a block between its begin and commit.
    pub fn to_sql(&self, dialect: &dyn Dialect) -> String {
        match self {
            Self::Block { statements, .. } => dialect.block(statements),
            Self::Script(script) => format!("-- {}\n{}\n", script.purpose, script.sql.trim_end()),
            Self::Load(load) => {
                let files: Vec<String> = load.files.sources.iter().map(|source| format!("-- {source}\n")).collect();
                format!(
                    "{}\n-- files loaded into {}, in one transaction with this:\n{}",
                    script(&load.first),
                    load.name,
                    files.concat()
                )
            }
            Self::Statement(_) | Self::Observation(_) => script(self.statements()),
        }
    }
}

impl Step {
    /// Its text as a script.
    pub fn to_sql(&self, dialect: &dyn Dialect) -> String {
        let units: Vec<String> = self.units.iter().map(|unit| unit.to_sql(dialect)).collect();
        format!("-- step {}: {}\n\n{}", self.name, self.purpose, units.join("\n"))
    }
}

impl Plan {
    /// The whole plan as a script.
    pub fn to_sql(&self, dialect: &dyn Dialect) -> String {
        let steps: Vec<String> = self.steps.iter().map(|step| step.to_sql(dialect)).collect();
        format!("-- {} ({})\n\n{}", self.name, self.dialect, steps.join("\n"))
    }
}
