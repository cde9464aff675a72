//! The plans that are reviewed as golden files, and that parsers and analyzers read whole.

use super::Folder;

/// Name, the usual plan that it is a variant of, and variables, or flags, of each.
pub const PLANS: &[(&str, &str, &[&str])] = &[
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
    ("status", "status", &[]),
    ("history", "history", &[]),
    ("check", "check", &[]),
    ("explain", "explain", &[]),
    ("preview", "preview", &[]),
    ("preview-lookback_guard-off", "preview", &["lookback_guard=off", "upsert_lookback_days=7"]),
    ("preview-skip_derived", "preview", &["skip_derived=true"]),
];

/// The dialects of the bundled backends.
pub fn dialects() -> Vec<&'static str> {
    let dialects: Vec<&str> = websessions::bundled().into_iter().map(|backend| backend.name()).collect();
    assert!(!dialects.is_empty());
    dialects
}

/// What `plan` prints.
pub fn plan(folder: &Folder, usual: &str, dialect: &str, variables: &[&str]) -> String {
    let (module, phase) = usual.strip_prefix("page_views_").map_or(("sessions", usual), |phase| ("page-views", phase));
    folder.write("day.csv", "page_view_id,domain_sessionid,start_tstamp\n");
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

/// A folder with each whole plan as `DIALECT/NAME.sql`.
pub fn write_all() -> Folder {
    let folder = Folder::new();
    for dialect in dialects() {
        std::fs::create_dir(folder.path().join(dialect)).expect("a folder for a dialect");
        for (name, phase, variables) in PLANS {
            folder.write(&format!("{dialect}/{name}.sql"), &plan(&folder, phase, dialect, variables));
        }
    }
    folder
}
