//! The real binary on the warehouses that are reached by HTTP: the main job, what it costs, how much memory it takes; and
//! what it says when it is refused, which must be one clear error and never a secret.

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value as Json, json};
use std::process::Stdio;
use support::{Folder, Said};
use websessions_bigquery::BigQuery;
use websessions_conformance::{Case, Harness, Target};
use websessions_core::backend::BackendFactory;
use websessions_core::model::sessions::tables::SESSIONS;
use websessions_snowflake::Snowflake;
use websessions_test_servers::{Fakesnow, LocalBigQuery, Mock};

const SECRET: &str = "s3cret-that-no-one-sees";

/// A target, and its settings as `websessions.toml` has them.
struct Configured {
    target: Target,
    settings: Vec<(&'static str, String)>,
}

impl Configured {
    fn snowflake(endpoint: &str) -> Self {
        let settings = [("account", "local"), ("user", "tester"), ("database", "JOBS"), ("password", SECRET)];
        Self::new(Snowflake, &settings, endpoint)
    }

    fn bigquery(endpoint: &str) -> Self {
        Self::new(BigQuery, &[("project", LocalBigQuery::PROJECT), ("access_token", SECRET)], endpoint)
    }

    fn new(factory: impl BackendFactory + 'static, settings: &[(&'static str, &str)], endpoint: &str) -> Self {
        let endpoint = [("endpoint", endpoint)];
        let settings: Vec<(&str, String)> =
            settings.iter().chain(&endpoint).map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { target: Target::new(factory, settings.iter().cloned()), settings }
    }

    /// A folder with a configuration whose secret is in the environment.
    fn folder(&self) -> Folder {
        let folder = Folder::new();
        let lines = self.settings.iter().map(|(name, value)| match value.as_str() {
            SECRET => format!("{name} = {{ env = \"THE_SECRET\" }}\n"),
            value => format!("{name} = {value:?}\n"),
        });
        let lines: String = lines.collect();
        folder.write("websessions.toml", &format!("[target.it]\ntype = \"{}\"\n{lines}", self.target.factory.name()));
        folder
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    command(folder, arguments).output().expect("the binary starts").into()
}

/// A secret of the environment is given to a file that is named, not to one that is found.
fn command(folder: &Folder, arguments: &[&str]) -> std::process::Command {
    let mut command = folder.command(arguments);
    command.env("THE_SECRET", SECRET).env("WEBSESSIONS_CONFIG", "websessions.toml");
    command
}

/// Runs the binary and gives the peak of its resident memory in MiB too.
fn run_measured(folder: &Folder, arguments: &[&str]) -> (Said, u64) {
    let child = command(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = high.and_then(|high| high.trim().trim_end_matches(" kB").parse::<u64>().ok()) else {
                break;
            };
            peak = peak.max(kib);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        peak / 1024
    });
    let said = child.wait_with_output().expect("it ends").into();
    (said, watch.join().expect("the watch ends"))
}

fn has_no_secret(said: &Said) {
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET), "{}\n{}", said.stdout, said.stderr);
}

/// main and complete through the binary: the report, and the sessions.
async fn main_job(target: &Configured) -> Json {
    let case = Case::new(&target.target, json!({})).await.expect("schemas");
    support::stage_sample(&case, 200).await.expect("page views");
    let folder = target.folder();
    let scratch = format!("scratch_schema={}", case.variables.scratch_schema);
    let output = format!("output_schema={}", case.variables.output_schema);
    let arguments =
        ["run", "--target", "it", "--var", &scratch, "--var", &output, "--output", "json", "--log-format", "json"];
    let (said, peak) = run_measured(&folder, &arguments);
    has_no_secret(&said);
    let said = said.done("run").unwrap_or_else(|error| panic!("{error}"));
    let report: Json = serde_json::from_str(&said.stdout).expect("JSON");
    let sessions = case.contents(SESSIONS).await.expect("sessions").rows.len();
    assert!(sessions > 20, "{sessions} sessions");
    assert_eq!(report["findings"]["summary"]["rows"][0][0].to_string(), sessions.to_string(), "{report}");
    assert!(peak > 0 && peak < 60, "{peak} MiB at the peak");
    let shown = run(&folder, &["config", "show", "--target", "it"]);
    has_no_secret(&shown);
    if target.target.factory.abilities().contains(&"estimate") {
        let estimate =
            run(&folder, &["plan", "main", "--estimate", "--target", "it", "--var", &scratch, "--var", &output]);
        let estimate = estimate.done("plan --estimate").unwrap_or_else(|error| panic!("{error}"));
        assert!(
            estimate.stdout.contains("main/aggregates") && estimate.stdout.contains("total"),
            "{}",
            estimate.stdout
        );
    }
    // Files come into a table by the warehouse's own tools.
    folder.write("few.csv", "page_view_id,domain_sessionid,start_tstamp\np,s,2024-01-01\n");
    for command in [&["run", "--page-views", "few.csv"][..], &["load", "few.csv"], &["load", "--staged", "few.csv"]] {
        let said = run(&folder, &[command, &["--target", "it", "--var", &scratch, "--var", &output]].concat());
        support::refused(&said, 1, &["takes no files", "into a table of your own", "page_views_from"]);
    }
    case.drop().await.expect("dropped");
    report
}

/// The playbooks of `fixtures/playbooks/bigquery`, their scripts with several statements among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playbooks_run_on_bigquery() {
    let server = LocalBigQuery::start();
    let target = Configured::bigquery(server.url());
    let case = Case::new(&target.target, json!({})).await.expect("schemas");
    support::stage_sample(&case, 60).await.expect("page views");
    let folder = target.folder();
    let from = support::fixtures().join("playbooks/bigquery");
    support::copy(&from, folder.path());
    let (scratch, output) = (case.variables.scratch_schema.as_str(), case.variables.output_schema.as_str());
    let script = format!(
        "DECLARE sessions INT64 DEFAULT (SELECT COUNT(*) FROM {scratch}.sessions_this_run);\nIF sessions > 0 THEN\n  INSERT INTO {output}.session_notes (note) VALUES ('script');\nEND IF"
    );
    folder.write("sql/custom/04-script.sql", "-- comes after the table is there\n");
    folder.write("sql/custom/05-script.sql", &script);
    let own = "playbooks/AA-engagement.yml.tmpl";
    let text = std::fs::read_to_string(folder.path().join(own)).expect("a playbook");
    folder.write(
        own,
        &format!("{text}- name: 03-script\n  queries:\n    - name: script\n      file: custom/05-script.sql\n"),
    );
    let (scratch, output) = (format!("scratch_schema={scratch}"), format!("output_schema={output}"));
    let variables = ["--var", &scratch, "--var", &output, "--var", "entropy="];
    let said = run(&folder, &[&["--target", "it", "run", "--playbooks", "playbooks"], &variables[..]].concat());
    has_no_secret(&said);
    said.done("run").unwrap_or_else(|error| panic!("{error}"));
    let warehouse = target.target.connect().await;
    let count = async |sql: &str| warehouse.query(sql).await.expect("counted").rows[0][0].as_integer();
    let output = case.variables.output_schema.as_str();
    let sessions = count(&format!("SELECT COUNT(*) AS n FROM {output}.sessions")).await;
    let engaged = format!(
        "SELECT COUNT(*) AS n FROM {output}.session_engagement AS e INNER JOIN {output}.sessions AS s ON s.domain_sessionid = e.domain_sessionid AND s.page_views = e.page_views WHERE e.long_views <= e.page_views"
    );
    assert!(sessions > 5 && count(&engaged).await == sessions, "{sessions} sessions");
    assert_eq!(count(&format!("SELECT COUNT(*) AS n FROM {output}.session_notes WHERE note = 'script'")).await, 1);
    case.drop().await.expect("dropped");
}

fn statements(report: &Json) -> Vec<&Json> {
    report["plans"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|plan| plan["steps"].as_array().into_iter().flatten())
        .flat_map(|step| step["units"].as_array().into_iter().flatten())
        .flat_map(|unit| unit["statements"].as_array().into_iter().flatten())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_runs_on_snowflake() {
    let server = Fakesnow::start();
    let report = main_job(&Configured::snowflake(server.url())).await;
    assert!(statements(&report).iter().all(|done| done["query_id"].is_string()), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_runs_on_bigquery() {
    let server = LocalBigQuery::start();
    let report = main_job(&Configured::bigquery(server.url())).await;
    let all = statements(&report);
    assert!(all.iter().filter(|done| done["bytes_billed"].is_number()).count() > 20, "{report}");
    assert!(
        all.iter().any(|done| done["query_id"].as_str().is_some_and(|id| id.starts_with("websessions_"))),
        "{report}"
    );
}

fn refusal_of_bigquery(code: u16, reason: &str, message: &str) -> (u16, String) {
    let errors = json!([{ "reason": reason, "message": message }]);
    (code, json!({ "error": { "code": code, "message": message, "errors": errors } }).to_string())
}

fn refusal_of_snowflake(code: &str, message: &str) -> (u16, String) {
    let data = json!({ "errorCode": code, "authnMethod": "USERNAME_PASSWORD" });
    (200, json!({ "success": false, "code": code, "message": message, "data": data }).to_string())
}

#[test]
fn refusals_are_one_clear_error_without_a_secret() {
    type Make = fn(&str) -> Configured;
    let cases: [(Make, (u16, String), &str); 7] = [
        (
            Configured::snowflake,
            refusal_of_snowflake("390100", &format!("Incorrect username or password: {SECRET}")),
            "Incorrect username",
        ),
        (Configured::snowflake, (404, "<html>unknown account</html>".to_owned()), "account"),
        (Configured::snowflake, (403, "<html>forbidden</html>".to_owned()), "account"),
        (
            Configured::bigquery,
            refusal_of_bigquery(401, "authError", &format!("Invalid Credentials {SECRET}")),
            "access_token",
        ),
        (
            Configured::bigquery,
            refusal_of_bigquery(404, "notFound", "Not found: Project local"),
            "Not found: Project local",
        ),
        (
            Configured::bigquery,
            refusal_of_bigquery(403, "accessDenied", "Access Denied: Dataset local:scratch"),
            "BigQuery Job User",
        ),
        (Configured::bigquery, (404, "<html>no such page</html>".to_owned()), "endpoint"),
    ];
    for (make, reply, words) in cases {
        let mock = Mock::start(move |_, _| reply.clone());
        let folder = make(&mock.url).folder();
        for arguments in [
            &["main", "--target", "it"] as &[&str],
            &["doctor", "--target", "it", "--output", "json", "--log-format", "json"],
        ] {
            let said = run(&folder, arguments);
            assert_eq!(said.code, 1, "{arguments:?}: {}\n{}", said.stdout, said.stderr);
            let all = format!("{}\n{}", said.stdout, said.stderr);
            assert!(all.contains(words), "{arguments:?} should say {words:?}: {all}");
            has_no_secret(&said);
        }
        assert!(mock.seen().len() < 8, "{} requests for one refusal", mock.seen().len());
    }
}

#[test]
fn nobody_there_is_one_clear_error() {
    for target in [Configured::snowflake("http://127.0.0.1:1"), Configured::bigquery("http://127.0.0.1:1")] {
        let said = run(&target.folder(), &["main", "--target", "it"]);
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert!(said.stderr.contains("endpoint") && said.stderr.contains("refused"), "{}", said.stderr);
        has_no_secret(&said);
    }
}
