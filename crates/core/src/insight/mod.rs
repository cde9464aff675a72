//! Looks at the tables that change nothing: what state they are in, what runs have done, a few rows. The SELECTs are made
//! without a connection, as plans are; beside each stands what its rows say.

mod check;
mod compare;
mod explain;
mod history;
mod preview;
mod rows;
mod since;
mod status;

pub use crate::model::sessions::preview::Preview;
pub use check::{Answer, Outcome, Question, set_severities};
pub use compare::{Comparing, Comparison, Difference, Range};
pub use explain::{ExplainedSession, Writer};
pub use history::{Run, Runs};
pub use rows::Look;
pub use since::Since;
pub use status::{Status, TableStatus, status};

use crate::dialect::Dialect;
use crate::model::select::Renderer;
use crate::model::{self, Module, Select};
use crate::plan::{Plan, Statement, Step, Unit};
use crate::table::{Lifetime, Table};
use crate::variables::Variables;
use std::sync::Arc;

/// The SELECTs of looks at the tables of some modules, under some variables, in a dialect.
#[derive(Debug)]
pub struct Insight<'a> {
    modules: Vec<Module>,
    variables: &'a Variables,
    dialect: Arc<dyn Dialect>,
    tables: Vec<Table>,
    renderer: Renderer,
}

impl<'a> Insight<'a> {
    /// Looks at the tables of these modules.
    pub fn new(modules: &[Module], variables: &'a Variables, dialect: &Arc<dyn Dialect>) -> Self {
        let tables = model::tables(modules, variables);
        let renderer = Renderer::new(&tables, variables, dialect);
        Self { modules: modules.to_vec(), variables, dialect: Arc::clone(dialect), tables, renderer }
    }

    fn select(&self, select: &Select, values: &[(&str, &str)]) -> String {
        self.renderer.render(select, values)
    }

    /// The tables that outlive a run.
    pub fn lasting_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.lifetime == Lifetime::Persistent)
    }

    /// SELECTs as a plan, to be printed.
    fn plan(&self, name: &str, purpose: &str, statements: Vec<Statement>) -> Plan {
        let units = statements.into_iter().map(Unit::Statement).collect();
        Plan::new(name, self.dialect.name(), vec![Step::new(name, purpose, units)])
    }
}
