//! One self-contained HTML page of what the tables of the web sessions model hold. The queries are those of
//! [`websessions_core::model::sessions::report`]; this makes the page of their rows, with everything that it needs inside.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use websessions_core::insight::Answer;
use websessions_core::rows::{Rows, Value};

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");
const CHARTS: &str = include_str!("../vendor/uplot-1.6.32/uPlot.iife.min.js");
const CHARTS_STYLE: &str = include_str!("../vendor/uplot-1.6.32/uPlot.min.css");
const CHARTS_LICENCE: &str = include_str!("../vendor/uplot-1.6.32/LICENSE");

/// The breakdowns, in the order of the page.
const BREAKDOWNS: [&str; 4] = ["landing_pages", "exit_pages", "sources", "devices"];

/// The longest name or title that the page shows, in characters.
const LONGEST_TEXT: usize = 200;

/// What the page says beside the rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// Where the tables are: never a secret.
    pub location: String,
    /// The table of the sessions.
    pub table: String,
    /// When the page was made, RFC 3339 in UTC.
    pub made_at: String,
    /// The version of the program.
    pub version: String,
}

/// The page, of the rows that the queries gave, by their names, and of what the tests of data found, if they were asked.
pub fn page(about: &About, rows: &BTreeMap<&str, Rows>, checks: Option<&[Answer]>) -> String {
    let mut data = data(about, rows);
    data["checks"] = checks.map_or(Json::Null, |answers| answers.iter().map(check).collect());
    let data = data.to_string();
    let parts: [(&str, &str); 5] = [
        ("{{style}}", &format!("{CHARTS_STYLE}\n{STYLE}")),
        ("{{licence}}", &escaped(CHARTS_LICENCE)),
        ("{{data}}", &in_script(&data)),
        ("{{charts}}", CHARTS),
        ("{{script}}", SCRIPT),
    ];
    // Each mark stands once, in this order: what is filled in is not looked at again.
    let (mut page, mut rest) = (String::with_capacity(PAGE.len() + data.len() + CHARTS.len()), PAGE);
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What the page's script reads: short, as it is most of the page.
fn data(about: &About, rows: &BTreeMap<&str, Rows>) -> Json {
    let none = Rows::default();
    let of = |name: &str| rows.get(name).unwrap_or(&none);
    let period = of("period");
    let daily = of("daily");
    let days: Vec<String> = (0..daily.rows.len()).map(|row| text(daily, row, "session_day")).collect();
    let numbers = ["session_count", "user_count", "returning_users", "page_views", "engaged_time_in_s", "bounces"];
    let columns: serde_json::Map<String, Json> = numbers
        .iter()
        .map(|name| {
            let values: Vec<i64> = (0..daily.rows.len()).map(|row| daily.get(row, name).as_integer()).collect();
            ((*name).to_owned(), json!(values))
        })
        .collect();
    let breakdowns: serde_json::Map<String, Json> =
        BREAKDOWNS.iter().map(|name| ((*name).to_owned(), breakdown(of(name), &days))).collect();
    let runs = of("runs");
    let runs: Vec<Json> = (0..runs.rows.len())
        .map(|row| {
            json!({
                "run": text(runs, row, "run_id"),
                "module": text(runs, row, "module"),
                "version": text(runs, row, "model_version"),
                "start": text(runs, row, "run_start_tstamp"),
                "end": text(runs, row, "run_end_tstamp"),
                "seconds": number(runs.get(row, "seconds")),
                "rows": number(runs.get(row, "rows_this_run")),
                "repeated": number(runs.get(row, "duplicate_rows_removed")),
                "removed": number(runs.get(row, "distinct_keys_removed")),
            })
        })
        .collect();
    json!({
        "about": about,
        "period": {
            "first": text(period, 0, "first_day"),
            "last": text(period, 0, "last_day"),
            "sessions": period.get(0, "session_count").as_integer(),
            "users": period.get(0, "user_count").as_integer(),
            "all": period.get(0, "sessions_of_all_days").as_integer(),
        },
        "days": days,
        "daily": columns,
        "breakdowns": breakdowns,
        "runs": runs,
    })
}

/// What a test found, with its samples as rows of text.
fn check(answer: &Answer) -> Json {
    let samples = &answer.samples;
    let rows: Vec<Vec<String>> = (0..samples.rows.len())
        .map(|row| samples.columns.iter().map(|column| text(samples, row, column)).collect())
        .collect();
    json!({
        "name": answer.name,
        "about": answer.about,
        "table": answer.table,
        "severity": answer.severity,
        "outcome": answer.outcome,
        "failures": answer.failures,
        "reason": answer.reason.as_ref().map(|reason| reason.chars().take(LONGEST_TEXT).collect::<String>()),
        "columns": samples.columns,
        "samples": rows,
    })
}

/// Names with their titles, and for each the days (by number) with sessions and bounces.
fn breakdown(rows: &Rows, days: &[String]) -> Json {
    let mut names: Vec<Json> = Vec::new();
    let mut last = None;
    for row in 0..rows.rows.len() {
        let name = rows.get(row, "name");
        if last != Some(name) {
            names.push(json!({ "name": text(rows, row, "name"), "title": text(rows, row, "title"), "days": [] }));
            last = Some(name);
        }
        let day = text(rows, row, "session_day");
        let Some(number) = days.iter().position(|known| *known == day) else { continue };
        let (sessions, bounces) = (rows.get(row, "session_count").as_integer(), rows.get(row, "bounces").as_integer());
        if let Some(days) = names.last_mut().and_then(|name| name["days"].as_array_mut()) {
            days.push(json!([number, sessions, bounces]));
        }
    }
    Json::Array(names)
}

fn text(rows: &Rows, row: usize, column: &str) -> String {
    rows.get(row, column).to_string().chars().take(LONGEST_TEXT).collect()
}

fn number(value: &Value) -> Option<i64> {
    value.whole_number()
}

/// JSON as it may stand in a script element: no character that HTML looks at.
fn in_script(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => text.push(other),
        }
    }
    text
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(columns: &[&str], rows: Vec<Vec<Value>>) -> Rows {
        Rows { columns: columns.iter().map(|&name| name.to_owned()).collect(), rows }
    }

    #[test]
    fn nothing_that_a_page_is_called_ends_the_data() {
        let evil = "</script><script>alert(1)</script><!-- \u{2028} & \"";
        let (day, columns) = ("2024-01-01", ["name", "title", "session_day", "session_count", "bounces"]);
        let text = |text: &str| Value::Text(text.to_owned());
        let landing =
            rows(&columns, vec![vec![text(evil), text(evil), text(day), Value::Integer(3), Value::Integer(1)]]);
        let daily = rows(&["session_day", "session_count"], vec![vec![text(day), Value::Integer(3)]]);
        let all = BTreeMap::from([("landing_pages", landing), ("daily", daily)]);
        let page = page(&About { location: evil.to_owned(), ..About::default() }, &all, None);
        assert!(!page.contains("alert(1)</script>"));
        let (_, rest) = page.split_once("<script id=\"data\" type=\"application/json\">").expect("the data");
        let (data, _) = rest.split_once("</script>").expect("its end");
        let data: Json = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["about"]["location"], evil);
        assert_eq!(data["breakdowns"]["landing_pages"], json!([{ "name": evil, "title": evil, "days": [[0, 3, 1]] }]));
    }

    #[test]
    fn everything_stands_in_the_page_once_and_nothing_is_asked_of_a_network() {
        let page = page(&About::default(), &BTreeMap::new(), None);
        assert!(!page.contains("{{") || !page.contains("}}") || CHARTS.contains("{{"), "a mark is left");
        assert_eq!(page.matches("</script>").count(), 3);
        assert!(!SCRIPT.contains("</script") && !CHARTS.contains("</script") && !STYLE.contains("</style"));
        for asks in ["src=\"http", "href=\"http", "@import", "url(http", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(asks), "{asks}");
        }
    }
}
