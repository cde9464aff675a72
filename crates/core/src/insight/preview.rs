//! What a run would do to production, in queries that change nothing.

use super::Insight;
use crate::error::{Error, WarehouseError};
use crate::model::select::Renderer;
use crate::model::sessions::preview::{self, Preview};
use crate::plan::{Plan, Statement};
use crate::preflight;
use crate::rows::Rows;
use crate::warehouse::Warehouse;

impl Insight<'_> {
    /// The queries of a preview, where production is there or not yet.
    pub fn preview_statements(&self, production_is_there: bool, samples: u32) -> Vec<Statement> {
        let renderer = Renderer::computing(&self.tables, self.variables, &self.dialect, preview::COMPUTED);
        let table = self.tables.iter().find(|table| table.name == preview::PRODUCTION).filter(|_| production_is_there);
        let production = table.map(|table| self.dialect.table(&self.variables.table_name(table)));
        let days = self.variables.lookup_days(self.dialect.lookup_days());
        let render = |select: &_, values: &[(&str, &str)]| renderer.render(select, values);
        let queries = preview::queries(&render, self.variables, days, production.as_deref(), samples);
        queries.into_iter().map(|(purpose, sql)| Statement::new(purpose, sql)).collect()
    }

    /// What `preview` asks, to be printed.
    pub fn preview_plan(&self, samples: u32) -> Plan {
        let statements = self.preview_statements(true, samples);
        self.plan("preview", "what a run would do to production", statements)
    }

    /// What a run would do to production now; none if nothing was ever staged.
    pub async fn preview(&self, warehouse: &dyn Warehouse, samples: u32) -> Result<Option<Preview>, Error> {
        let failed = |source: WarehouseError| Error::Warehouse { context: "can't compute the preview".into(), source };
        let there = preflight::columns_of(warehouse, &self.tables, self.variables).await.map_err(failed)?;
        if !there.contains_key(preview::INPUT) {
            return Ok(None);
        }
        let statements = self.preview_statements(there.contains_key(preview::PRODUCTION), samples);
        let mut answers: [Rows; 5] = Default::default();
        for (answer, statement) in answers.iter_mut().zip(&statements) {
            *answer = warehouse.query(&statement.sql).await.map_err(failed)?;
        }
        Ok(Some(Preview::new(self.variables, &answers)))
    }
}
