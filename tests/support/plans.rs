//! The plans that are reviewed as golden files, and that parsers and analyzers read whole.

use super::Folder;

/// Name, phase and variables of each.
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
];

/// The dialects of the bundled backends.
pub fn dialects() -> Vec<&'static str> {
    let dialects: Vec<&str> = websessions::bundled().into_iter().map(|backend| backend.name()).collect();
    assert!(!dialects.is_empty());
    dialects
}

/// What `plan` prints.
pub fn plan(folder: &Folder, phase: &str, dialect: &str, variables: &[&str]) -> String {
    let mut arguments = vec!["plan", phase, "--dialect", dialect];
    arguments.extend(variables.iter().flat_map(|variable| ["--var", variable]));
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
