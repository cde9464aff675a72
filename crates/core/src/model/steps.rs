//! The steps of each phase, one function a step. Options choose steps and statements here, never inside SQL.

use super::select::{column_list, render};
use super::table_name;
use super::tables::*;
use crate::config::{CleanupMode, LookbackGuard, OnDroppedSessions, Variables};
use crate::dialect::{Dialect, TableName};
use crate::plan::{Finding, Observation, OnFound, Phase, Statement, Step, Unit};

pub(super) struct Steps<'a> {
    variables: &'a Variables,
    dialect: &'a dyn Dialect,
}

impl<'a> Steps<'a> {
    pub(super) fn new(variables: &'a Variables, dialect: &'a dyn Dialect) -> Self {
        Self { variables, dialect }
    }

    pub(super) fn main(&self) -> Vec<Step> {
        vec![
            self.setup(),
            self.input(),
            self.aggregates(),
            self.sessions(),
            self.metadata(),
            self.manifest(),
            self.upsert_limit(),
            self.commit(),
        ]
    }

    pub(super) fn complete(&self) -> Vec<Step> {
        vec![self.consume(), self.cleanup(self.variables.cleanup_mode, self.variables.ends_run)]
    }

    pub(super) fn destroy(&self) -> Vec<Step> {
        vec![self.cleanup(CleanupMode::All, true), self.drop_owned()]
    }

    fn setup(&self) -> Step {
        let schemas = [&self.variables.scratch_schema, &self.variables.output_schema];
        let mut units = self.hints(Phase::Main);
        units.extend(schemas.iter().map(|schema| Unit::Statement(self.dialect.create_schema(schema))));
        units.dedup_by(|left, right| left.statements() == right.statements());
        units.extend(self.create(&METADATA_RUN_ID));
        units.push(self.statement(
            "the run id, unless a module of this run made one",
            self.dialect.insert(&self.name(&METADATA_RUN_ID), "run_id", &self.select("metadata_run_id")),
        ));
        for table in [&DATAMODEL_METADATA, &SESSIONS, &SESSIONS_USERID_MANIFEST_STAGED] {
            units.extend(self.create(table));
        }
        units.extend(self.replace(&SESSIONS_METADATA_THIS_RUN));
        step("setup", "schemas, permanent tables and the identity of this run", units)
    }

    fn input(&self) -> Step {
        step(
            "input",
            "what this run reads, so that complete removes that and no more",
            self.replace(&SESSIONS_INPUT_THIS_RUN),
        )
    }

    fn aggregates(&self) -> Step {
        step(
            "aggregates",
            "start, end, page views and engaged time of each session",
            self.replace(&SESSIONS_AGGREGATES),
        )
    }

    fn sessions(&self) -> Step {
        step("sessions", "one row a session, with its first and last page view", self.replace(&SESSIONS_THIS_RUN))
    }

    fn metadata(&self) -> Step {
        let update = format!(
            "UPDATE {}\nSET\n  rows_this_run = run_metadata.rows_this_run,\n  distinct_key = 'domain_sessionid',\n  distinct_key_count = run_metadata.distinct_key_count,\n  time_key = 'start_tstamp',\n  min_time_key = run_metadata.min_time_key,\n  max_time_key = run_metadata.max_time_key\nFROM (\n{}\n) AS run_metadata\nWHERE id = 'run'",
            self.table(&SESSIONS_METADATA_THIS_RUN),
            self.select("run_metadata"),
        );
        let on_dropped = match self.variables.on_dropped_sessions {
            OnDroppedSessions::Fail => OnFound::Fail,
            OnDroppedSessions::Report | OnDroppedSessions::KeepInput => OnFound::Report,
        };
        let units = vec![
            self.statement("counts and time range", update),
            self.observe(
                Finding::DroppedSessions,
                on_dropped,
                "sessions of the input that are not in the result",
                "dropped_sessions",
            ),
            self.observe(
                Finding::MultipliedSessions,
                OnFound::Report,
                "sessions with more than one row",
                "multiplied_sessions",
            ),
        ];
        step("metadata", "counts and time range of this run, and what is odd about it", units)
    }

    fn manifest(&self) -> Step {
        let mut units = self.replace(&SESSIONS_USERID_MANIFEST_THIS_RUN);
        units.push(self.observe(Finding::Summary, OnFound::Report, "what this run computed", "run_summary"));
        step("manifest", "the users of this run", units)
    }

    /// Whether production's rows of this run's sessions are looked up, wherever they begin.
    fn looks_back(&self) -> bool {
        self.variables.lookback_guard != LookbackGuard::Off && !self.variables.skip_derived
    }

    fn upsert_limit(&self) -> Step {
        let mut units = Vec::new();
        if self.looks_back() {
            let rows = self.dialect.rows_of_keys(
                &column_list(&SESSIONS_UPSERT_KEYS),
                &self.name(&SESSIONS),
                "domain_sessionid",
                &self.name(&SESSIONS_THIS_RUN),
            );
            units.extend(self.replace_as(&SESSIONS_UPSERT_KEYS, &rows));
        }
        let select = match self.variables.lookback_guard {
            LookbackGuard::Widen if self.looks_back() => "sessions_upsert_limit_widened",
            LookbackGuard::Widen | LookbackGuard::Off | LookbackGuard::Fail => "sessions_upsert_limit",
        };
        units.extend(self.replace_as(&SESSIONS_UPSERT_LIMIT, &self.select(select)));
        if self.variables.lookback_guard == LookbackGuard::Fail && self.looks_back() {
            units.push(self.observe(
                Finding::OldCopies,
                OnFound::Fail,
                "old copies that the lookback does not reach",
                "old_copies",
            ));
        }
        step("upsert_limit", "how far back the upsert replaces rows", units)
    }

    fn commit(&self) -> Step {
        let mut statements = Vec::new();
        let metadata = self.table(&SESSIONS_METADATA_THIS_RUN);
        // A second attempt of a commit whose answer was lost finds the run's end set, and changes production no more.
        let not_yet = format!("EXISTS (SELECT 1 FROM {metadata} WHERE run_end_tstamp IS NULL)");
        if !self.variables.skip_derived {
            let keys = self.looks_back().then(|| self.name(&SESSIONS_UPSERT_KEYS));
            let ids = keys.as_ref().map_or_else(|| self.table(&SESSIONS_THIS_RUN), |keys| self.dialect.table(keys));
            let (declarations, range) = self.dialect.upsert_range(&self.name(&SESSIONS_UPSERT_LIMIT), keys.as_ref());
            let old_rows =
                format!("domain_sessionid IN (SELECT domain_sessionid FROM {ids})\n  AND {range}\n  AND {not_yet}");
            let new_rows = format!("{}\nWHERE {not_yet}", self.select_all(&SESSIONS_THIS_RUN));
            statements.extend(declarations);
            statements.push(self.delete(&SESSIONS, "old rows of this run's sessions", &old_rows));
            statements.push(self.insert(&SESSIONS, "this run's sessions", &new_rows));
        }
        if self.variables.stage_next {
            let users = format!(
                "domain_userid IN (SELECT domain_userid FROM {})",
                self.table(&SESSIONS_USERID_MANIFEST_THIS_RUN)
            );
            statements.push(self.delete(&SESSIONS_USERID_MANIFEST_STAGED, "old rows of this run's users", &users));
            statements.push(self.insert(
                &SESSIONS_USERID_MANIFEST_STAGED,
                "this run's users",
                &self.select_all(&SESSIONS_USERID_MANIFEST_THIS_RUN),
            ));
        }
        let columns = column_list(&DATAMODEL_METADATA);
        statements.push(self.insert(
            &DATAMODEL_METADATA,
            "this run's metadata",
            &format!(
                "SELECT\n  {}\nFROM {metadata}\nWHERE run_end_tstamp IS NULL",
                columns.replace("run_end_tstamp", &format!("{} AS run_end_tstamp", self.dialect.now())),
            ),
        ));
        statements.push(Statement::new(
            "this run has committed",
            format!("UPDATE {metadata}\nSET run_end_tstamp = {}\nWHERE run_end_tstamp IS NULL", self.dialect.now()),
        ));
        let purpose = "sessions, user manifest and metadata, all or nothing".to_owned();
        step("commit", "upserts production", vec![Unit::Block { purpose, statements }])
    }

    fn consume(&self) -> Step {
        let mut units = self.hints(Phase::Complete);
        // They are missing if main has not run: then nothing was consumed, and nothing is removed.
        for table in [&SESSIONS_METADATA_THIS_RUN, &SESSIONS_INPUT_THIS_RUN, &SESSIONS_THIS_RUN] {
            units.extend(self.create(table));
        }
        units.extend(
            self.dialect
                .replace_table(&SESSIONS_INPUT_KEPT, &self.name(&SESSIONS_INPUT_KEPT))
                .into_iter()
                .map(Unit::Statement),
        );
        let consumed = self.select(match self.variables.on_dropped_sessions {
            OnDroppedSessions::KeepInput => "consumed_and_kept_sessions_only",
            OnDroppedSessions::Report | OnDroppedSessions::Fail => "consumed",
        });
        let kept = render("sessions_input_kept", self.variables, self.dialect, &consumed);
        units.push(Unit::Block {
            purpose: "removes the page views that main consumed, and no others".to_owned(),
            statements: vec![
                self.insert(&SESSIONS_INPUT_KEPT, "consumed page views of sessions that got more since", &kept),
                self.delete(&PAGE_VIEWS_STAGED, "the consumed page views", &consumed),
                self.insert(&PAGE_VIEWS_STAGED, "those that stay", &self.select_all(&SESSIONS_INPUT_KEPT)),
                Statement::new(
                    "what was consumed is gone",
                    format!("DELETE FROM {}\nWHERE 1 = 1", self.table(&SESSIONS_INPUT_THIS_RUN)),
                ),
            ],
        });
        units.extend(self.dialect.after_delete(&self.name(&PAGE_VIEWS_STAGED)).into_iter().map(Unit::Statement));
        units.push(self.observe(
            Finding::InputLeft,
            OnFound::Report,
            "page views that stay for the next run",
            "input_left",
        ));
        step("input", "removes the consumed page views", units)
    }

    fn cleanup(&self, mode: CleanupMode, ends_run: bool) -> Step {
        let dropped = |table: &&&Table| match table.lifetime {
            Lifetime::Module => match mode {
                CleanupMode::All => true,
                CleanupMode::Debug => table.name != SESSIONS_THIS_RUN.name,
                CleanupMode::Trace => false,
            },
            Lifetime::Run => ends_run,
            Lifetime::Persistent => false,
        };
        let units = TABLES.iter().filter(dropped).map(|table| self.drop(table)).collect();
        step("cleanup", "drops the tables of this run", units)
    }

    fn drop_owned(&self) -> Step {
        step(
            "destroy",
            "drops the tables that this module owns",
            vec![self.drop(&SESSIONS), self.drop(&SESSIONS_USERID_MANIFEST_STAGED)],
        )
    }

    fn hints(&self, phase: Phase) -> Vec<Unit> {
        self.dialect.hints(phase, &self.name(&PAGE_VIEWS_STAGED)).into_iter().map(Unit::Statement).collect()
    }

    fn name(&self, table: &Table) -> TableName {
        table_name(table, self.variables)
    }

    fn table(&self, table: &Table) -> String {
        self.dialect.table(&self.name(table))
    }

    fn select(&self, name: &str) -> String {
        render(name, self.variables, self.dialect, "")
    }

    fn select_all(&self, table: &Table) -> String {
        format!("SELECT\n  {}\nFROM {}", column_list(table), self.table(table))
    }

    fn statement(&self, purpose: &str, sql: String) -> Unit {
        Unit::Statement(Statement::new(purpose, sql))
    }

    fn create(&self, table: &Table) -> Vec<Unit> {
        self.dialect.create_table(table, &self.name(table)).into_iter().map(Unit::Statement).collect()
    }

    /// A table anew, from the SELECT of its name.
    fn replace(&self, table: &Table) -> Vec<Unit> {
        self.replace_as(table, &self.select(table.name))
    }

    fn replace_as(&self, table: &Table, select: &str) -> Vec<Unit> {
        self.dialect.replace_table_as(table, &self.name(table), select)
    }

    fn drop(&self, table: &Table) -> Unit {
        Unit::Statement(self.dialect.drop_table(&self.name(table)))
    }

    fn delete(&self, table: &Table, purpose: &str, condition: &str) -> Statement {
        Statement::new(purpose, self.dialect.delete(&self.name(table), condition))
    }

    fn insert(&self, table: &Table, purpose: &str, select: &str) -> Statement {
        Statement::new(purpose, self.dialect.insert(&self.name(table), &column_list(table), select))
    }

    fn observe(&self, finding: Finding, on_found: OnFound, purpose: &str, select: &str) -> Unit {
        Unit::Observation(Observation { finding, on_found, statement: Statement::new(purpose, self.select(select)) })
    }
}

fn step(name: &str, purpose: &str, units: Vec<Unit>) -> Step {
    Step { name: name.to_owned(), purpose: purpose.to_owned(), units }
}
