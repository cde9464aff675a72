//! Columns that the tables lack, added.

use super::waiting::patiently;
use super::{Failed, Invocation, confirm};
use crate::arguments::{OutputFormat, Waiting};
use crate::{output, progress};
use serde_json::json;
use websessions_core::error::Error;
use websessions_core::plan::script;
use websessions_core::preflight::{self, Drift};
use websessions_core::run::Job;
use websessions_core::warehouse::Warehouse;

impl Invocation<'_> {
    /// How the tables differ from the model's.
    pub(super) async fn drift(&self, warehouse: &dyn Warehouse, module: Option<&str>) -> Result<Drift, Error> {
        let (drift, _) = preflight::drift(warehouse, &self.modules_or(module)?, self.variables()).await?;
        Ok(drift)
    }

    /// Adds what the tables lack, after a confirmation. What else differs stays as it is, and is an error.
    pub(super) async fn migrate(&self, module: Option<&str>, yes: bool, waiting: Waiting) -> Result<(), Failed> {
        let listener = progress::listener(self.global);
        let (drift, location) = patiently(waiting, &*listener, async || {
            let warehouse = self.connect().await?;
            Ok((self.drift(&*warehouse, module).await?, warehouse.location()))
        })
        .await?;
        drop(listener);
        let left = match drift.left.as_slice() {
            [] => Ok(()),
            left => Err(Error::Drift { problems: left.to_vec(), additions: Vec::new(), leaves: true }),
        };
        if drift.migration.steps.is_empty() {
            left?;
            return Ok(match self.global.output {
                OutputFormat::Json => output::json(&json!({ "added": 0 })),
                OutputFormat::Text => output::data("no table lacks a column\n"),
            }?);
        }
        output::talk(&format!("what the tables lack in {location}:"));
        for (_, unit) in drift.migration.units() {
            output::talk(script(unit.statements()).trim_end());
        }
        for problem in &drift.left {
            output::talk(&format!("left as it is: {problem}"));
        }
        confirm("Add them? Nothing is dropped, and no row changes.", yes)?;
        self.execute(&[Job::migration(drift.migration, self.variables())], false, waiting).await?;
        output::talk(
            "the new columns are NULL in the rows that are there; 'websessions rebuild --from DATE' computes sessions again from page_views",
        );
        Ok(left?)
    }
}
