//! Any text is a playbook or an error: no panic, no unbounded time or memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::path::Path;
use websessions_playbook::Playbook;

fuzz_target!(|text: &str| {
    let overrides = BTreeMap::from([("entropy".to_owned(), "_x".to_owned())]);
    if let Ok(playbook) = Playbook::parse(Path::new("01-main.yml.tmpl"), text, &overrides) {
        let _ = playbook.parts();
        let _ = playbook.model_variables();
        for target in &playbook.targets {
            let _ = target.settings();
        }
    }
});
