//! What holds of the plans of all modules.

use super::{Module, modules, page_views, tables};
use crate::dialect::Dialect;
use crate::files::{Files, Source};
use crate::identifier::Entropy;
use crate::model::sessions::tests::{Plain, all_options};
use crate::plan::{Phase, Plan, Statement, Step, Unit};
use crate::table::Lifetime;
use crate::variables::{CleanupMode, Variables};
use std::sync::Arc;

const PHASES: [Phase; 3] = [Phase::Main, Phase::Complete, Phase::Destroy];

fn statements(step: &Step) -> impl Iterator<Item = &Statement> {
    step.units.iter().flat_map(Unit::statements)
}

/// The views of a module, and the tables of a run that each reads.
fn views(module: &Module, main: &Plan, variables: &Variables) -> Vec<(&'static str, Vec<&'static str>)> {
    let tables = module.tables(variables);
    let of_a_run = tables.iter().filter(|table| table.lifetime == Lifetime::Module);
    let (views, others): (Vec<_>, Vec<_>) = of_a_run.partition(|table| table.view);
    let read = |view: &str| {
        let begin = format!("CREATE OR REPLACE VIEW \"scratch\".\"{view}\" AS\n");
        let made: Vec<&Statement> =
            main.steps.iter().flat_map(statements).filter(|statement| statement.sql.starts_with(&begin)).collect();
        assert_eq!(made.len(), 1, "{view} is made once");
        let reads = |name: &&str| made[0].sql.contains(&format!("\"scratch\".\"{name}\""));
        others.iter().map(|table| table.name).filter(reads).collect()
    };
    views.iter().map(|view| (view.name, read(view.name))).collect()
}

/// Whether a statement makes a table anew or drops it: which some warehouses refuse as long as a view reads it.
fn replaces(statement: &Statement, table: &str) -> bool {
    ["DROP TABLE IF EXISTS", "CREATE OR REPLACE TABLE"].iter().any(|words| {
        statement.sql.lines().next().is_some_and(|line| {
            line == format!("{words} \"scratch\".\"{table}\"")
                || line.starts_with(&format!("{words} \"scratch\".\"{table}\" "))
        })
    })
}

/// Whatever a run or a command before has left: a view is there whenever it may be.
#[test]
fn no_table_that_a_view_reads_is_replaced_or_dropped_before_the_view() {
    let dialect: Arc<dyn Dialect> = Arc::new(Plain);
    let files = Files::new(vec![Source::File("day.csv".into())]);
    let mut seen = 0;
    for cleanup_mode in [CleanupMode::All, CleanupMode::Debug, CleanupMode::Trace] {
        let page_views_from =
            crate::table::TableName { schema: Variables::default().scratch_schema, name: "own".into() };
        for page_views_from in [None, Some(page_views_from)] {
            let variables = Variables { cleanup_mode, page_views_from, ..Variables::default() };
            for module in modules() {
                let main = module.plan(Phase::Main, &variables, &dialect);
                let views = views(&module, &main, &variables);
                let mut plans = vec![main, module.plan_with(Phase::Main, &variables, &dialect, &files)];
                plans.extend([Phase::Complete, Phase::Destroy].map(|phase| module.plan(phase, &variables, &dialect)));
                if module.name == page_views::module().name {
                    plans.push(page_views::rebuild("2024-03-01", None, &variables, &dialect));
                }
                for ((view, read), plan) in views.iter().flat_map(|view| plans.iter().map(move |plan| (view, plan))) {
                    assert!(!read.is_empty(), "{view} reads tables of its run");
                    let mut there = true;
                    for step in &plan.steps {
                        let makes = |statement: &Statement| statement.sql.starts_with("CREATE OR REPLACE VIEW");
                        // A run may go on with any step, whatever of it was done.
                        there |= statements(step).any(makes);
                        for statement in statements(step) {
                            there &= statement.sql != format!("DROP VIEW IF EXISTS \"scratch\".\"{view}\"");
                            let replaced = read.iter().find(|table| replaces(statement, table));
                            seen += replaced.iter().count();
                            assert!(!there || replaced.is_none(), "{}: {replaced:?} before {view}", plan.name);
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

/// Every phase of every module.
fn plans(variables: &Variables) -> Vec<Plan> {
    let phases = modules().into_iter().flat_map(|module| PHASES.map(|phase| (module, phase)));
    phases.map(|(module, phase)| module.plan(phase, variables, &(Arc::new(Plain) as Arc<dyn Dialect>))).collect()
}

#[test]
fn a_block_holds_changes_of_data_and_nothing_else() {
    for plan in all_options().iter().flat_map(plans) {
        for (step, unit) in plan.units().filter(|(_, unit)| matches!(unit, Unit::Block { .. })) {
            for Statement { sql, .. } in unit.statements() {
                let begins = sql.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
                let changes = ["INSERT ", "DELETE ", "UPDATE "].iter().any(|verb| begins.starts_with(verb));
                assert!(changes, "{}: {sql}", step.name);
            }
        }
    }
}

#[test]
fn nothing_is_looked_for_by_not_in() {
    for plan in all_options().iter().flat_map(plans) {
        assert!(!plan.to_sql(&Plain).contains("NOT IN"), "{}", plan.name);
    }
}

#[test]
fn every_table_has_the_entropy() {
    let entropy = Entropy::new("_test").expect("valid");
    let variables = Variables { entropy, stage_next: true, ..Variables::default() };
    let sql: String = plans(&variables).iter().map(|plan| plan.to_sql(&Plain)).collect();
    for table in tables(&modules(), &variables) {
        for quoted in [format!("\"{}\"", table.name), format!("('{}')", table.name)] {
            assert!(!sql.contains(&quoted), "{quoted}");
        }
    }
}
