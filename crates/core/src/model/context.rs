//! What a module's steps are made from: its tables under some variables, a dialect, and the statements that all modules
//! write alike.

use super::Module;
use super::select::{Renderer, Select, read_as};
use super::shared;
use crate::dialect::Dialect;
use crate::files::Files;
use crate::plan::{Change, Finding, Load, Observation, OnFound, OnlyIf, Statement, Step, Unit};
use crate::table::{Lifetime, SchemaRole, Table, TableName};
use crate::variables::{CleanupMode, LookbackGuard, Variables};
use std::sync::Arc;

/// The place in which a module's steps are made. Tables are named without schema and entropy; a name that the module
/// doesn't have is a defect of the module, and panics.
#[derive(Debug)]
pub struct Context<'a> {
    module: Module,
    /// The variables.
    pub variables: &'a Variables,
    /// The dialect.
    pub dialect: Arc<dyn Dialect>,
    /// The files that the module is to load.
    pub files: &'a Files,
    tables: Vec<Table>,
    renderer: Renderer,
}

impl<'a> Context<'a> {
    pub(super) fn new(module: &Module, variables: &'a Variables, dialect: &Arc<dyn Dialect>, files: &'a Files) -> Self {
        let tables = module.tables(variables);
        let renderer = Renderer::new(&tables, variables, dialect);
        Self { module: *module, variables, dialect: Arc::clone(dialect), files, tables, renderer }
    }

    /// A table of the module, or one that all modules share: the one that is read by that name.
    pub fn table(&self, name: &str) -> &Table {
        let found = self.tables.iter().find(|table| table.name == name);
        let found = found.unwrap_or_else(|| panic!("module {} has no table {name}", self.module.name));
        read_as(&self.tables, found, self.dialect.writes_once())
    }

    /// Whether a table of the module is a view.
    pub fn is_view(&self, name: &str) -> bool {
        super::is_view(self.table(name), &self.tables, self.variables, &*self.dialect)
    }

    /// A table's full name.
    pub fn name(&self, table: &str) -> TableName {
        self.variables.table_name(self.table(table))
    }

    /// A table's full name, quoted.
    pub fn quoted(&self, table: &str) -> String {
        self.dialect.table(&self.name(table))
    }

    /// The text of a SELECT, or of a part of one.
    pub fn select(&self, select: &Select) -> String {
        self.select_with(select, &[])
    }

    /// The same with names of its own.
    pub fn select_with(&self, select: &Select, values: &[(&str, &str)]) -> String {
        self.renderer.render(select, values)
    }

    /// All rows of a table.
    pub fn select_all(&self, table: &str) -> String {
        format!("SELECT\n  {}\nFROM {}", self.table(table).column_list(), self.quoted(table))
    }

    /// Creates a table if it is missing.
    pub fn create(&self, table: &str) -> Vec<Unit> {
        units(self.dialect.ensure_table(self.table(table), &self.name(table)))
    }

    /// A table anew, empty.
    pub fn replace_empty(&self, table: &str) -> Vec<Unit> {
        units(self.dialect.replace_table(self.table(table), &self.name(table)))
    }

    /// A table anew, filled by a block whose statements before may declare what the SELECT needs, and that ends with a seal of
    /// what it holds then, if one is given.
    pub fn fill(
        &self,
        table: &str,
        purpose: &str,
        declarations: Vec<Statement>,
        select: &str,
        seal: Option<Statement>,
    ) -> Vec<Unit> {
        let mut statements = declarations;
        statements.push(self.delete(table, "rows of an earlier attempt", "1 = 1"));
        statements.push(self.insert(table, purpose, select));
        statements.extend(seal);
        let mut units = self.replace_empty(table);
        units.push(Unit::Block { purpose: purpose.to_owned(), statements });
        units.extend(self::units(self.dialect.after_fill(self.table(table), &self.name(table))));
        units
    }

    /// A table anew, from the files that the module is to load: empty if there are none. A view that reads it goes before. It
    /// needs nothing but the schema, which the load makes too: files are read before anything else is done.
    pub fn load(&self, table: &str, view: &str) -> Vec<Unit> {
        if self.files.is_empty() {
            return [self.drop_view(view), self.replace_empty(table)].concat();
        }
        let (name, model) = (self.name(table), self.table(table));
        let mut first = vec![self.dialect.ensure_schema(&name.schema)];
        first.extend(self.dropped_view(view));
        first.extend(self.dialect.replace_table(model, &name));
        vec![Unit::Load(Load::new(first, self.files, model, name))]
    }

    /// A table anew, from a SELECT.
    pub fn replace(&self, table: &str, select: &str) -> Vec<Unit> {
        self.dialect.replace_table_as(self.table(table), &self.name(table), select)
    }

    /// A table anew, from a SELECT that needs what declarations set: where a dialect has any, these and the SELECT are one
    /// block.
    pub fn replace_after(&self, declarations: Vec<Statement>, table: &str, select: &str) -> Vec<Unit> {
        if declarations.is_empty() {
            return self.replace(table, select);
        }
        self.fill(table, &self.name(table).to_string(), declarations, select, None)
    }

    /// Drops a table if it is there.
    pub fn drop(&self, table: &str) -> Unit {
        Unit::Statement(self.dialect.drop_table(&self.name(table)))
    }

    /// Makes a view of tables of the module. They can't be made anew until it is dropped.
    pub fn create_view(&self, view: &str, select: &Select) -> Unit {
        Unit::Statement(self.dialect.create_view(&self.name(view), &self.select(select)))
    }

    /// Drops a view if it is there, or the table that another tool or release has left under its name.
    pub fn drop_view(&self, view: &str) -> Vec<Unit> {
        units(self.dropped_view(view).into())
    }

    fn dropped_view(&self, view: &str) -> [Statement; 2] {
        let name = self.name(view);
        let is_table = OnlyIf::Finds(self.dialect.table_query(&name));
        [self.dialect.drop_table(&name).only_if(is_table), self.dialect.drop_view(&name)]
    }

    /// Deletes the rows of which a condition holds.
    pub fn delete(&self, table: &str, purpose: &str, condition: &str) -> Statement {
        let sql = self.dialect.delete(&self.name(table), condition);
        Statement::new(purpose, sql).changing(Change::Delete, self.table(table).name)
    }

    /// Inserts what a SELECT gives.
    pub fn insert(&self, table: &str, purpose: &str, select: &str) -> Statement {
        let sql = self.dialect.insert(&self.name(table), &self.table(table).column_list(), select);
        Statement::new(purpose, sql).changing(Change::Insert, self.table(table).name)
    }

    /// The row of this run's metadata, with what the run counted.
    pub fn counted(&self, metadata_this_run: &str, counts: &Select) -> Unit {
        let row = "this run's row with counts and time range";
        Unit::Block {
            purpose: "counts and time range".to_owned(),
            statements: vec![
                self.insert(metadata_this_run, row, &self.select(counts)),
                self.delete(metadata_this_run, "its row without them", "rows_this_run IS NULL"),
            ],
        }
    }

    /// Whether production is looked through from a limit on only.
    pub fn is_bounded(&self) -> bool {
        self.variables.lookup_days(self.dialect.lookup_days()).is_some()
    }

    /// Which rows production has of some sessions, into a table of keys: what makes the limit from which on they are looked up, if
    /// there is one, what the look-up declares, and its SELECT.
    pub fn look_up(
        &self,
        keys: &str,
        production: &str,
        sessions: &str,
        (limit, of_limit): (&str, &Select),
    ) -> (Vec<Unit>, Vec<Statement>, String) {
        let (mut units, mut declarations, mut range) = (Vec::new(), Vec::new(), None);
        if self.is_bounded() {
            units = self.replace(limit, &self.select(of_limit));
            let (declared, of_limit) = self.dialect.upsert_range("start_tstamp", &self.name(limit), None);
            (declarations, range) = (declared, Some(of_limit));
        }
        let select = self.dialect.rows_of_keys(
            &self.table(keys).column_list(),
            &self.name(production),
            self.table(production).layout.partition,
            "domain_sessionid",
            &self.name(sessions),
            range.as_deref(),
        );
        (units, declarations, select)
    }

    /// A query for rows of production that the lookback does not reach, where these end the run.
    pub fn observe_beyond_lookback(&self, finding: Finding, purpose: &str, select: &Select) -> Option<Unit> {
        let fail = OnFound::Fail {
            because: "lookback_guard is fail",
            hint: "raise upsert_lookback_days, or set lookback_guard to widen; production was not changed",
        };
        let is_asked = self.variables.lookback_guard == LookbackGuard::Fail;
        is_asked.then(|| self.observe(finding, fail, purpose, select))
    }

    /// What every commit ends with: the module's metadata of this run go into those of all runs, and say that it has
    /// committed, so that a second attempt finds nothing to do.
    pub fn committed(&self, metadata_this_run: &str) -> [Statement; 2] {
        let quoted = self.quoted(metadata_this_run);
        let names = [("metadata_this_run", quoted.as_str())];
        let row = self.select_with(&shared::METADATA_ROW, &names);
        [
            self.insert(shared::DATAMODEL_METADATA, "this run's metadata", &row),
            Statement::new("this run has committed", self.select_with(&shared::RUN_HAS_COMMITTED, &names)),
        ]
    }

    /// A query for the report.
    pub fn observe(&self, finding: Finding, on_found: OnFound, purpose: &str, select: &Select) -> Unit {
        Unit::Observation(Observation { finding, on_found, statement: Statement::new(purpose, self.select(select)) })
    }

    /// What the dialect begins main with, to be cheaper.
    pub fn hints(&self) -> Vec<Unit> {
        let read = self.module.input.or(self.module.loads);
        let hints = read.map(|input| self.dialect.hints(self.table(input), &self.name(input))).unwrap_or_default();
        // What a module keeps, its main compacts, and an input that none keeps, the main that reads it; what else has no keys is
        // small, or is emptied by each run.
        let keeps = |module: &Module, name: &str| module.keys.iter().any(|(kept, _)| *kept == name);
        let is_kept = |name: &str| super::modules().iter().any(|module| keeps(module, name));
        let is_input = |name: &str| Some(name) == self.module.input;
        let grows = |table: &&Table| keeps(&self.module, table.name) || (is_input(table.name) && !is_kept(table.name));
        let compaction = |table: &Table| self.dialect.compaction(&self.variables.table_name(table));
        let compaction = self.tables.iter().filter(grows).flat_map(compaction);
        units(hints.into_iter().chain(compaction).collect())
    }

    /// The schemas, each created if it is missing.
    pub fn schemas(&self) -> Vec<Unit> {
        let schemas = [SchemaRole::Scratch, SchemaRole::Output].map(|role| self.variables.schema(role));
        let mut units: Vec<Unit> =
            schemas.iter().map(|schema| Unit::Statement(self.dialect.ensure_schema(schema))).collect();
        units.dedup_by(|left, right| left.statements() == right.statements());
        units
    }

    /// What every main begins with: the schemas, the run's id and the metadata of all modules.
    pub fn shared_setup(&self) -> Vec<Unit> {
        let mut units = self.schemas();
        units.extend(self.create(shared::METADATA_RUN_ID));
        units.push(Unit::Statement(self.insert(
            shared::METADATA_RUN_ID,
            "the run id, unless a module of this run made one",
            &self.select(&shared::RUN_ID),
        )));
        units.extend(self.create(shared::DATAMODEL_METADATA));
        units
    }

    /// Drops the tables of the run, by mode; the run's id too if the run ends.
    pub fn cleanup(&self, mode: CleanupMode, ends_run: bool) -> Step {
        let dropped = |table: &&Table| match table.lifetime {
            Lifetime::Module => match mode {
                CleanupMode::All => true,
                CleanupMode::Debug => !self.module.kept_for_debugging.contains(&table.name),
                CleanupMode::Trace => false,
            },
            Lifetime::Run => ends_run,
            Lifetime::Persistent => false,
        };
        let once = self.dialect.writes_once();
        // What another run left of it may be a view, whatever it is in this one.
        let may_be_view = |name| once && self.tables.iter().any(|table| table.keys_of == Some(name));
        let is_made = |table: &&Table| once || table.keys_of.is_none();
        let drop = |table: &Table| match table.view || may_be_view(table.name) {
            true => self.drop_view(table.name),
            false => vec![self.drop(table.name)],
        };
        let units = self.tables.iter().filter(is_made).filter(dropped).flat_map(drop).collect();
        Step::new("cleanup", "drops the tables of this run", units)
    }
}

fn units(statements: Vec<Statement>) -> Vec<Unit> {
    statements.into_iter().map(Unit::Statement).collect()
}
