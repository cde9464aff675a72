//! Any text renders or is an error: no panic, no unbounded time or memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::path::Path;

fuzz_target!(|text: &str| {
    let Value::Object(variables) = json!({"x": "text", "n": 7, "no": false, "none": null, "list": [1, "a"], "map": {"k": 1}})
    else {
        return;
    };
    let variables = variables.into_iter().collect();
    if let Ok(rendered) = websessions_playbook::render(Path::new("fuzz"), text, &variables) {
        assert_eq!(rendered.lines.len(), rendered.text.lines().count());
        let last = text.lines().count().max(1) + 1;
        assert!(rendered.lines.iter().all(|line| (1..=last).contains(line)));
    }
    let _ = websessions_playbook::uses(Path::new("fuzz"), text);
});
