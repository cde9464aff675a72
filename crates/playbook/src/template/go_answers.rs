//! What Go itself (1.19) makes of layouts and of templates, as constants. Where it prints `<no value>` or `<nil>`, or gives
//! an error, the answer is null: here it is an error.

use super::layout::Moment;
use super::render;
use jiff::civil::date;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Layouts, each with 2026-11-25 16:00:05.123 UTC in it: in UTC, in Kolkata, in St. John's.
const LAYOUTS: &str = include_str!("go_layouts.json");

/// Templates, each with what comes out.
const CONSTRUCTS: &str = include_str!("go_constructs.json");

#[test]
fn layouts_are_gos() {
    let moment = |hour, minute, offset, abbreviation: &str| Moment {
        local: date(2026, 11, 25).at(hour, minute, 5, 123_000_000),
        offset,
        abbreviation: abbreviation.to_owned(),
    };
    let zones = [moment(16, 0, 0, "UTC"), moment(21, 30, 19_800, "IST"), moment(12, 30, -12_600, "NST")];
    let answers: Vec<Vec<String>> = serde_json::from_str(LAYOUTS).expect("a list");
    assert!(answers.len() >= 60);
    for answer in answers {
        let (layout, expected) = answer.split_first().expect("a layout");
        let found = zones.each_ref().map(|zone| zone.in_layout(layout));
        assert_eq!(found.as_slice(), expected, "{layout:?}");
    }
}

#[test]
fn constructs_are_gos() {
    let variables: BTreeMap<String, Value> = serde_json::from_value(json!({
        "schema": "scratch", "days": 7, "debug": false, "mode": "trace", "none": null, "zero": 0, "empty": "", "yes": true,
        "list": ["a", "b"], "map": {"inner": "x", "n": 3}, "ratio": 0.25, "large": 1e21, "minus": -42,
        "big": 17_841_400_008_460_056_123_u64, "text": "it's \"5 < 6\" & é\n", "numbers": [3, 1.5, "x", true], "nothing": [],
        "million": 1e6, "mixed": {"b": 2, "a": "one"},
    }))
    .expect("variables");
    let answers: Vec<(String, Option<String>)> = serde_json::from_str(CONSTRUCTS).expect("a list");
    assert!(answers.len() >= 200);
    let different: Vec<String> = answers
        .iter()
        .filter_map(|(template, expected)| {
            let found = render(Path::new("custom.sql"), template, &variables);
            let same = found.as_ref().ok().map(|rendered| &rendered.text) == expected.as_ref();
            let found = found.map(|rendered| rendered.text).map_err(|error| error.to_string());
            (!same).then(|| format!("{template}\n  Go    {expected:?}\n  found {found:?}"))
        })
        .collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), answers.len(), different.join("\n"));
}

#[test]
fn no_error_holds_a_control_character() {
    for template in [
        "{{\u{1}}}",
        "{{.a\u{7}}}",
        "{{\"\n",
        "{{'\u{0}",
        "{{.x \u{1b}[31m}}",
        "{{\u{85}}}",
        "a\n{{template \"\u{1b}x\"}}",
        "{{printf \"%d\" .\u{9b}}}",
    ] {
        let error = render(Path::new("a\u{1b}b.sql"), template, &BTreeMap::new()).expect_err(template).to_string();
        assert!(!error.contains(char::is_control), "{template:?}: {error:?}");
    }
}
