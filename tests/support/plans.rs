//! The plans that are reviewed as golden files, and that parsers and analyzers read whole.

use super::{Folder, fixtures};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use websessions_core::model;
use websessions_core::preflight::Drift;
use websessions_core::table::{Column, Lifetime};
use websessions_core::variables::Variables;

/// Name, the usual plan that it is a variant of, and variables, or flags, of each.
pub(crate) const PLANS: &[(&str, &str, &[&str])] = &[
    ("main", "main", &[]),
    ("main-stage_next", "main", &["stage_next=true"]),
    ("main-skip_derived", "main", &["skip_derived=true"]),
    ("main-lookback_guard-off", "main", &["lookback_guard=off", "upsert_lookback_days=7"]),
    ("main-lookback_guard-fail", "main", &["lookback_guard=fail"]),
    ("complete", "complete", &[]),
    ("complete-ends_run", "complete", &["ends_run=true"]),
    ("complete-debug", "complete", &["cleanup_mode=debug"]),
    ("complete-trace", "complete", &["cleanup_mode=trace"]),
    ("complete-keep_input", "complete", &["on_dropped_sessions=keep_input"]),
    ("destroy", "destroy", &[]),
    ("report", "report", &[]),
    ("page_views_main", "page_views_main", &[]),
    ("page_views_main-skip_derived", "page_views_main", &["skip_derived=true"]),
    ("page_views_main-lookback_guard-off", "page_views_main", &["lookback_guard=off", "upsert_lookback_days=7"]),
    ("page_views_main-lookback_guard-fail", "page_views_main", &["lookback_guard=fail"]),
    ("page_views_main-from", "page_views_main", &["page_views_from=tracker.hits"]),
    ("page_views_main-time", "page_views_main", &["page_views_from=tracker.hits", "page_views_time=loaded"]),
    ("page_views_main-files", "page_views_main", &["--page-views=day.csv"]),
    ("page_views_complete", "page_views_complete", &[]),
    ("page_views_complete-debug", "page_views_complete", &["cleanup_mode=debug"]),
    ("page_views_destroy", "page_views_destroy", &[]),
    ("rebuild", "rebuild", &[]),
    ("unstage", "unstage", &[]),
    ("migrate", "migrate", &[]),
    ("users_main", "users_main", &[]),
    ("users_main-skip_derived", "users_main", &["skip_derived=true"]),
    ("users_complete", "users_complete", &[]),
    ("users_complete-debug", "users_complete", &["cleanup_mode=debug"]),
    ("users_complete-trace", "users_complete", &["cleanup_mode=trace", "ends_run=true"]),
    ("users_destroy", "users_destroy", &[]),
    ("main-columns", "main", &["--config=columns.toml"]),
    ("users_main-columns", "users_main", &["--config=columns.toml"]),
    ("status", "status", &[]),
    ("history", "history", &[]),
    ("check", "check", &[]),
    ("explain", "explain", &[]),
    ("preview", "preview", &[]),
    ("preview-lookback_guard-off", "preview", &["lookback_guard=off", "upsert_lookback_days=7"]),
    ("preview-skip_derived", "preview", &["skip_derived=true"]),
];

/// The file of the plans with columns of one's own: one of each kind, and the examples of the documentation.
const COLUMNS: &str = "columns.toml";

/// The plans that differ with them.
const WITH_COLUMNS: &[&str] =
    &["main", "complete", "page_views_main", "rebuild", "users_main", "users_complete", "explain", "preview"];

/// What stands in it.
pub(crate) fn columns() -> String {
    let page = std::fs::read_to_string(fixtures().join("../docs/columns.md")).expect("the page");
    let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    let of = |name, from, value_type, source| {
        format!(
            "[[column]]\nname = {name:?}\nfrom = {from:?}\ntype = {value_type:?}\nsource = {source:?}\nusers = {from:?}\n"
        )
    };
    let each = [
        of("last_plan", "last", "text", "plan_tier"),
        of("plans", "count_distinct", "text", "plan_tier"),
        of("best_plan", "max", "text", "plan_tier"),
        of("trial_first", "first", "boolean", "trial"),
        of("trial_any", "any", "boolean", "trial"),
        of("revenue", "sum", "float", "order_value"),
        of("seen", "min", "timestamp", "loaded_at"),
        of("deepest", "max", "float", "vertical_percentage_scrolled"),
    ];
    examples.map(str::to_owned).chain(each).collect()
}

/// A folder with each whole plan that has columns of one's own as `DIALECT/NAME.sql`.
pub(crate) fn write_with_columns() -> Folder {
    let folder = Folder::new();
    for dialect in dialects() {
        std::fs::create_dir(folder.path().join(dialect)).expect("a folder for a dialect");
        for name in WITH_COLUMNS {
            folder.write(&format!("{dialect}/{name}.sql"), plan(name, dialect, &["--config=columns.toml"]));
        }
    }
    folder
}

/// The dialects of the bundled backends.
pub(crate) fn dialects() -> Vec<&'static str> {
    let dialects: Vec<&str> = websessions::bundled().into_iter().map(|backend| backend.name()).collect();
    assert!(!dialects.is_empty());
    dialects
}

/// Columns of every type, as tables of an earlier release may lack them.
const LACKED: [&str; 8] = [
    "absolute_time_in_s",
    "app_id",
    "category",
    "end_tstamp",
    "geo_country",
    "geo_latitude",
    "page_title",
    "spider_or_robot",
];

/// What `plan migrate` prints where all tables that stay lack these columns: it would look at a target's. And what takes these
/// columns away.
fn migration(dialect: &str) -> (String, String) {
    let backend = websessions::bundled().into_iter().find(|backend| backend.name() == dialect);
    let dialect = &*backend.expect("a backend").dialect();
    let (modules, variables) = (model::modules(), Variables::default());
    let (mut reported, mut losses) = (BTreeMap::new(), String::new());
    for table in model::tables(&modules, &variables).iter().filter(|table| table.lifetime == Lifetime::Persistent) {
        let name = dialect.table(&variables.table_name(table));
        let (lacked, there): (Vec<_>, Vec<_>) =
            table.columns.iter().partition(|column| LACKED.contains(&&*column.name));
        for column in lacked {
            losses.push_str(&format!("ALTER TABLE {name} DROP COLUMN {};\n", column.name));
        }
        let of = |column: &&Column| (column.name.to_string(), dialect.column_type(column.column_type));
        reported.insert(table.name, there.iter().map(of).collect());
    }
    (Drift::new(&modules, &reported, &variables, dialect).migration.to_sql(dialect), losses)
}

/// What `plan` prints, printed once however many tests of a process read it.
pub(crate) fn plan(usual: &str, dialect: &str, variables: &[&str]) -> &'static str {
    type Printed = BTreeMap<Vec<String>, &'static OnceLock<String>>;
    static PRINTED: Mutex<Printed> = Mutex::new(Printed::new());
    let key = [&[usual, dialect], variables].concat().into_iter().map(str::to_owned).collect();
    let printed = *PRINTED.lock().expect("the plans").entry(key).or_insert_with(|| Box::leak(Box::default()));
    printed.get_or_init(|| print(usual, dialect, variables))
}

fn print(usual: &str, dialect: &str, variables: &[&str]) -> String {
    if usual == "migrate" {
        return migration(dialect).0;
    }
    let folder = Folder::new();
    folder.write("day.csv", "page_view_id,domain_sessionid,start_tstamp\n");
    folder.write(COLUMNS, &columns());
    let of = |(prefix, module)| usual.strip_prefix(prefix).map(|phase| (module, phase));
    let (module, phase) =
        [("page_views_", "page-views"), ("users_", "users")].into_iter().find_map(of).unwrap_or(("sessions", usual));
    let mut arguments = vec!["plan", phase, "--module", module, "--dialect", dialect];
    if phase == "rebuild" {
        // What comes after is a run as any.
        arguments.extend(["--from", "2024-03-10", "--to", "2024-03-12", "--until-step", "page_views_rebuild/stage"]);
    }
    for variable in variables.iter().copied() {
        match variable.strip_prefix("--") {
            Some(_) => arguments.push(variable),
            None => arguments.extend(["--var", variable]),
        }
    }
    folder.run(&arguments).done("plan").expect("a plan").stdout
}

/// A folder with each whole plan as `DIALECT/NAME.sql`, but for those with columns of one's own: the tables have these, or not.
pub(crate) fn write_all() -> Folder {
    let folder = Folder::new();
    for dialect in dialects() {
        std::fs::create_dir(folder.path().join(dialect)).expect("a folder for a dialect");
        for (name, phase, variables) in PLANS.iter().filter(|(name, ..)| !name.ends_with("-columns")) {
            let before = match *phase {
                // What a report asks is about tables that a run has made.
                "report" => plan("main", dialect, variables).to_owned(),
                // Tables lack what it adds.
                "migrate" => migration(dialect).1,
                _ => String::new(),
            };
            folder.write(&format!("{dialect}/{name}.sql"), &(before + plan(phase, dialect, variables)));
        }
    }
    folder
}
