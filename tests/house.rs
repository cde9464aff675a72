//! What holds of the sources, by reading them: each crate is floors without a circle, and only a module knows its tables by
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use websessions_core::model::page_views::tables::PAGE_VIEWS;
use websessions_core::model::sessions::tables::SESSIONS;
use websessions_core::model::shared::{DATAMODEL_METADATA, METADATA_RUN_ID};
use websessions_core::model::users::tables::USERS;
use websessions_core::model::{Module, page_views, sessions, users};
use websessions_core::variables::Variables;

const CRATES: &[&str] = &[
    "crates/core",
    "crates/files",
    "crates/playbook",
    "crates/cli",
    "backends/duckdb",
    "backends/postgres",
    "backends/snowflake",
    "backends/bigquery",
    "examples/custom-backend",
];

/// A file's parts that are the program: no comments, no unit tests.
fn program(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files under a folder, but unit tests in files of their own.
fn sources(folder: &Path) -> Vec<PathBuf> {
    rust_files(folder).into_iter().filter(|path| !path.ends_with("tests.rs")).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut all = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            all.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// The first names of a tree of names: of `a::b` that is a, of `{a::b, c}` a and c.
fn first_names(tree: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let Some(group) = tree.strip_prefix('{') else { return vec![word(tree)] };
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (position, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !letter.is_whitespace() => {
                names.push(word(&group[position..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The modules of a crate, a folder being one, and which of the others each uses. What `lib.rs` passes on belongs to the
/// module that has it; what it has itself is the module `lib`.
fn uses(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let lib = program(&source.join("lib.rs"));
    let module_of = |file: &Path| -> String {
        let inside = file.strip_prefix(source).expect("a file of the crate");
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    };
    let files: Vec<PathBuf> = sources(source).into_iter().filter(|file| module_of(file) != "main").collect();
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(file)).collect();
    let mut passed_on = BTreeMap::new();
    for line in lib.split(';').filter_map(|item| item.trim_start().strip_prefix("pub use ")) {
        if let Some((module, names)) = line.split_once("::") {
            passed_on.extend(first_names(names).into_iter().map(|name| (name, module.to_owned())));
        }
    }
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let (module, text) = (module_of(file), program(file));
        let mut names: Vec<String> = Vec::new();
        if module == "lib" {
            let own = text.split(';').filter(|item| !item.trim_start().starts_with("pub use ")).collect::<String>();
            let is_used = |other: &&String| {
                own.match_indices(&format!("{other}::")).any(|(at, _)| {
                    !own[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':')
                })
            };
            names.extend(modules.iter().filter(is_used).cloned());
        } else {
            // In a file of the first floor, super is the crate's root.
            let is_folder = file.parent() != Some(source);
            let prefixes = if is_folder { &["crate::"] as &[&str] } else { &["crate::", "super::"] };
            for prefix in prefixes {
                names.extend(text.match_indices(prefix).flat_map(|(at, _)| first_names(&text[at + prefix.len()..])));
            }
        }
        let found = names.into_iter().map(|name| match passed_on.get(&name) {
            _ if modules.contains(&name) => name,
            Some(module) => module.clone(),
            None => "lib".to_owned(),
        });
        uses.entry(module.clone()).or_default().extend(found.filter(|name| *name != module && modules.contains(name)));
    }
    uses
}

/// A way from a module back to itself.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(uses: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let at = way.last().cloned().unwrap_or_default();
        for next in uses.get(&at).into_iter().flatten() {
            if let Some(begin) = way.iter().position(|passed| passed == next) {
                way.drain(..begin);
                way.push(next.clone());
                return true;
            }
            if !done.contains(next) {
                way.push(next.clone());
                if walk(uses, way, done) {
                    return true;
                }
            }
        }
        done.insert(at);
        way.pop();
        false
    }
    let mut done = BTreeSet::new();
    uses.keys().find_map(|start| {
        let mut way = vec![start.clone()];
        (!done.contains(start) && walk(uses, &mut way, &mut done)).then_some(way)
    })
}

#[test]
fn no_modules_of_a_crate_use_each_other_in_a_circle() {
    for name in CRATES {
        let uses = uses(&root().join(name).join("src"));
        assert!(uses.len() > 1, "{name} has modules");
        if let Some(way) = circle(&uses) {
            panic!("{name}: {}", way.join(" → "));
        }
    }
}

#[test]
fn a_circle_is_found() {
    let uses = |edges: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        uses
    };
    assert_eq!(circle(&uses(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&uses(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]));
    assert_eq!(found, Some(["b", "c", "d", "b"].map(str::to_owned).to_vec()));
    assert_eq!(first_names("{self, a::{b, c}, d}::x"), ["self", "a", "d"]);
    assert_eq!(first_names("plan::Phase;"), ["plan"]);
}

/// The words of a page that are names of tests: in backticks, of at least three words joined by underscores.
fn tests_named_in(page: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.matches('_').count() > 1
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    page.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// All files of Rust below a folder, its tests and theirs.
fn all_sources() -> Vec<String> {
    let folders = ["crates", "backends", "tests"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| rust_files(folder));
    files
        .map(|file| std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
        .collect()
}

/// What `docs/warehouses.md` says of each warehouse is tested: the tests that it names are there, as a test or as a trial,
/// and no fact is without one.
#[test]
fn each_fact_about_a_warehouse_has_a_test() {
    const NO_TESTS: [&str; 5] =
        ["lookback_guard_days", "absolute_time_in_s", "extra_float_digits", "pg_partitioned_table", "svv_all_schemas"];
    let page = std::fs::read_to_string(root().join("docs/warehouses.md")).expect("the page");
    let sources = all_sources();
    let is_there = |name: &str| {
        let scenario =
            name.strip_prefix("scenario_").map(|name| root().join("crates/conformance/scenarios").join(name));
        if scenario.is_some_and(|scenario| scenario.is_dir()) {
            return true;
        }
        let function = format!("fn {name}(");
        sources.iter().any(|text| text.match_indices(&function).any(|(at, _)| is_a_test(text, at, name)))
    };
    let named = tests_named_in(&page);
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !NO_TESTS.contains(*name) && !is_there(name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
    let facts: Vec<&str> = page
        .lines()
        .filter(|line| line.split('|').nth(1).is_some_and(|cell| cell.trim().parse::<u32>().is_ok()))
        .collect();
    let numbers: Vec<u32> = facts.iter().filter_map(|line| line.split('|').nth(1)?.trim().parse().ok()).collect();
    assert_eq!(numbers, (1..=28).collect::<Vec<u32>>());
    for fact in facts {
        let tests = fact.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        assert!(!tests_named_in(tests).is_empty(), "no test: {fact}");
    }
}

/// Whether what is defined there is run as a test: it has the attribute, or a list of trials has its name.
fn is_a_test(text: &str, at: usize, name: &str) -> bool {
    let before = text[..at].trim_end().trim_end_matches("async").trim_end();
    let is_trial = text.contains(&format!("    {name},\n")) || text.contains(&format!("trial(\"{name}\""));
    before.ends_with("test]") || before.ends_with(")]") || is_trial
}

#[test]
fn only_a_module_names_its_tables() {
    let modules = [("sessions", sessions::module()), ("page_views", page_views::module()), ("users", users::module())];
    // All modules share two; and the words for sessions, page views and users are the modules' names, too.
    let others = [DATAMODEL_METADATA, METADATA_RUN_ID, SESSIONS, PAGE_VIEWS, USERS];
    let of = |module: &Module| module.tables(&Variables::default()).into_iter().map(|table| table.name);
    let names: BTreeSet<&str> =
        modules.iter().flat_map(|(_, module)| of(module)).filter(|name| !others.contains(name)).collect();
    assert!(names.len() > 24, "{names:?}");
    let is_part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for folder in CRATES {
        for file in sources(&root().join(folder).join("src")) {
            // What one module hands on and another reads is a table of both.
            let is_in = |folder: &str| file.components().any(|part| part.as_os_str() == folder);
            let may_name = |name: &str| {
                modules.iter().any(|(folder, module)| is_in(folder) && of(module).any(|table| table == name))
            };
            let text = program(&file);
            for name in names.iter().filter(|name| !may_name(name)) {
                for spelled in [(*name).to_owned(), name.to_uppercase()] {
                    let stands_alone = |(at, _): (usize, &str)| {
                        !text[..at].ends_with(is_part_of_word)
                            && !text[at + spelled.len()..].starts_with(is_part_of_word)
                    };
                    if text.match_indices(&spelled).any(stands_alone) {
                        found.push(format!("{}: {spelled}", file.display()));
                    }
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// A command that words name carries the flags that say what it is about: `pasteable` gives them.
#[test]
fn words_name_commands_by_the_one_function_that_gives_their_flags() {
    // Its own text; and a configuration file, which no command line is behind.
    const MAY: [&str; 2] = ["output.rs", "starter.rs"];
    let may = |file: &Path| MAY.iter().any(|name| file.ends_with(name));
    let files: Vec<PathBuf> = CRATES.iter().flat_map(|folder| sources(&root().join(folder).join("src"))).collect();
    let (may, others): (Vec<_>, Vec<_>) =
        files.into_iter().filter(|file| program(file).contains("'websessions ")).partition(|file| may(file));
    assert_eq!((may.len(), others), (MAY.len(), Vec::new()));
}
