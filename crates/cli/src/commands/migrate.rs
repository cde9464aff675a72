//! Columns that the tables lack, added.

use super::waiting::patiently;
use super::{Failed, Invocation, confirm};
use crate::arguments::{OutputFormat, Waiting};
use crate::{hints, output, progress};
use serde_json::json;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::model::{self, page_views};
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
        let (drift, keeps_page_views, location) = patiently(waiting, &*listener, async || {
            let warehouse = self.connect().await?;
            let drift = self.drift(&*warehouse, module).await?;
            Ok((drift, self.keeps_page_views(&*warehouse).await?, warehouse.location()))
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
        self.execute(&[Job::migration(drift.migration, self.variables())], waiting).await?;
        let filled = match keeps_page_views {
            true => format!(
                "{} fills them from files that have them, and {} computes those of sessions again from what page_views has",
                output::pasteable("run --page-views FILE…"),
                output::pasteable("rebuild --from DATE")
            ),
            false => "to compute sessions again, stage all of their page views once more, and run".to_owned(),
        };
        output::talk(&format!("the new columns are NULL in the rows that are there; {filled}"));
        Ok(left?)
    }

    /// Whether a module keeps page views, which 'rebuild' stages again.
    async fn keeps_page_views(&self, warehouse: &dyn Warehouse) -> Result<bool, Error> {
        let kept = page_views::production(self.variables()).filter(|_| self.configuration.modules.has_page_views());
        let Some(name) = kept.map(|table| self.variables().table_name(&table)) else { return Ok(false) };
        let failed = |source| Error::Warehouse { context: format!("can't look at {name}"), source };
        Ok(!preflight::columns_of_table(warehouse, &name).await.map_err(failed)?.is_empty())
    }

    /// What a look at the tables ends with: if it failed, perhaps as a table is not as the model needs it, with what to do then.
    pub(super) async fn looked(&self, looked: Result<(), Error>) -> Result<(), Failed> {
        let Err(error) = looked else { return Ok(()) };
        let hint = match &error {
            Error::Warehouse { source, .. }
                if matches!(source.kind, WarehouseErrorKind::Missing | WarehouseErrorKind::Other) =>
            {
                self.what_drifted().await
            }
            Error::Check { hint, .. } => self.what_drifted().await.map(|drift| format!("{hint}\n{drift}")),
            _ => None,
        };
        Err(Failed { error, report: None, hint })
    }

    /// How the tables differ from the model's, if they do, and what to do. A look that fails adds nothing to the error that there is.
    async fn what_drifted(&self) -> Option<String> {
        let warehouse = self.connect_if_there().await.ok()?.ok()?;
        let (configured, all) = (self.modules_or(None).ok()?, model::modules());
        let others = all.iter().filter(|module| !configured.contains(module)).map(|module| Some(module.name));
        for module in std::iter::once(None).chain(others) {
            let drift = self.drift(&*warehouse, module).await.ok()?;
            if !drift.problems.is_empty() {
                let hint = hints::drift(&drift.additions(), !drift.left.is_empty(), module);
                return Some(format!("{}\n{hint}", drift.problems.join("\n")));
            }
        }
        let outdated = preflight::outdated(&*warehouse, &all, self.variables()).await.ok()?;
        (!outdated.is_empty()).then(|| outdated.join("\n"))
    }
}
