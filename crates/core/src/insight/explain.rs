//! What is known of one session.

use super::Insight;
use crate::error::{Error, WarehouseError};
use crate::model::page_views::tables::PAGE_VIEWS;
use crate::model::sessions::explain::{self, Explanation};
use crate::model::shared::DATAMODEL_METADATA;
use crate::plan::{Plan, Statement};
use crate::preflight;
use crate::rows::Rows;
use crate::warehouse::Warehouse;
use serde::Serialize;

/// A run that can have written a session.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Writer {
    /// The id of the run.
    pub run_id: String,
    /// When it began, in UTC.
    pub start: String,
    /// When it committed, in UTC.
    pub end: String,
}

/// What is known of one session.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ExplainedSession {
    /// Its id.
    pub session: String,
    /// The table of its rows.
    pub table: String,
    /// The table that its page views are read from here.
    pub page_views_in: Option<String>,
    /// How many page views of it wait for the next run.
    pub waiting: usize,
    /// The tables that it was looked for in: those of its rows and page views that are there.
    #[serde(skip)]
    pub looked_in: Vec<String>,
    /// Its page views, its rows, or why there are none.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// The runs that can have written its row last, newest first: their sessions start before and after it. If there is one, it
    /// has.
    pub written_by: Vec<Writer>,
}

impl ExplainedSession {
    /// Whether any table has something of it.
    pub fn is_known(&self) -> bool {
        !self.explanation.rows.is_empty() || !self.explanation.page_views.is_empty()
    }
}

impl Insight<'_> {
    fn explain_statement(&self, purpose: &str, select: &crate::model::Select, session: &str, table: &str) -> Statement {
        let table = self.tables.iter().find(|known| known.name == table);
        let explained = table.map(|table| self.dialect.table(&self.variables.table_name(table))).unwrap_or_default();
        let values = [("session", self.dialect.text(session)), ("explained", explained)];
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Statement::new(purpose, self.select(select, &values))
    }

    /// The rows of a session, its page views where they are kept and where they wait, and the runs that can have written it.
    fn explain_statements(&self, session: &str) -> [(Statement, &'static [&'static str]); 4] {
        let of = |purpose: &str, select, table| self.explain_statement(purpose, select, session, table);
        [
            (of("its rows", &explain::SESSION, explain::ROWS_IN), &[explain::ROWS_IN]),
            (of("its page views", &explain::PAGE_VIEWS, PAGE_VIEWS), &[PAGE_VIEWS]),
            (of("its page views that wait", &explain::PAGE_VIEWS, explain::WAITING_IN), &[explain::WAITING_IN]),
            (of("the runs", &explain::RUNS, explain::ROWS_IN), &[explain::ROWS_IN, DATAMODEL_METADATA]),
        ]
    }

    /// What `explain` asks, to be printed.
    pub fn explain_plan(&self, session: &str) -> Plan {
        let statements = self.explain_statements(session).map(|(statement, _)| statement).to_vec();
        self.plan("explain", "all that is known of one session", statements)
    }

    /// What is known of one session.
    pub async fn explain(&self, warehouse: &dyn Warehouse, session: &str) -> Result<ExplainedSession, Error> {
        let failed = |source: WarehouseError| Error::Warehouse { context: "can't look at the session".into(), source };
        let there = preflight::columns_of(warehouse, &self.tables, self.variables).await.map_err(failed)?;
        let mut found = Vec::new();
        for (statement, reads) in self.explain_statements(session) {
            found.push(match reads.iter().all(|table| there.contains_key(table)) {
                true => warehouse.query(&statement.sql).await.map_err(failed)?,
                false => Rows::default(),
            });
        }
        let [production, kept, waiting, runs] = [0, 1, 2, 3].map(|at| std::mem::take(&mut found[at]));
        let (page_views, table) = match kept.rows.is_empty() {
            true => (&waiting, explain::WAITING_IN),
            false => (&kept, PAGE_VIEWS),
        };
        let name = |table: &str| {
            let known = self.tables.iter().find(|known| known.name == table);
            known.map(|known| self.variables.table_name(known).to_string())
        };
        let text = |row, column| runs.get(row, column).to_string();
        let written_by = (0..runs.rows.len()).map(|row| Writer {
            run_id: text(row, "run_id"),
            start: text(row, "run_start_tstamp"),
            end: text(row, "run_end_tstamp"),
        });
        let looked_in = [explain::ROWS_IN, PAGE_VIEWS, explain::WAITING_IN].into_iter();
        let looked_in = looked_in.filter(|table| there.contains_key(table)).filter_map(name).collect();
        Ok(ExplainedSession {
            session: session.to_owned(),
            table: name(explain::ROWS_IN).unwrap_or_default(),
            page_views_in: name(table).filter(|_| !page_views.rows.is_empty()),
            waiting: waiting.rows.len(),
            looked_in,
            explanation: Explanation::new(&production, page_views, waiting.rows.len(), &self.variables.columns),
            written_by: written_by.collect(),
        })
    }
}
