//! The configuration file that `init` writes: commented, with every variable and every compiled-in backend's settings.

use std::fmt::Write;
use websessions_core::backend::Registry;
use websessions_core::variables::VARIABLES;

/// The text of the starter configuration.
pub(crate) fn starter(registry: &Registry) -> String {
    let mut text = String::from(
        "# Configuration of websessions. What is commented out is the default. Relative paths begin at this file.\n# 'websessions columns' lists the columns of page views, their types, and which of them every file must have.\n\n# The modules of a run, in this order; users is one more.\n# modules = [\"page_views\", \"sessions\"]\n\n[variables]\n",
    );
    for variable in VARIABLES {
        let _ = writeln!(text, "# {}\n# {} = {}", variable.meaning, variable.name, variable.default);
    }
    for (position, backend) in registry.all().iter().enumerate() {
        let comment = if position == 0 { "" } else { "# " };
        let _ = writeln!(
            text,
            "\n# {}\n{comment}[target.{}]\n{comment}type = {:?}",
            backend.about(),
            backend.name(),
            backend.name()
        );
        for setting in backend.settings() {
            let value = match (setting.secret, setting.default) {
                (true, _) => "{ env = \"NAME\" }".to_owned(),
                (false, Some(default)) => format!("{default:?}"),
                (false, None) => "\"\"".to_owned(),
            };
            let _ = writeln!(text, "# {}\n# {} = {value}", setting.meaning, setting.name);
        }
    }
    text.push_str(
        "\n# Your own SQL, run after sessions' main and before what a run cleans up, in this order. Files are Go templates: {{.output_schema}}.\n\
         # [[custom]]\n# name = \"my-module\"\n# files = [\"sql/my-module.sql\"]\n# variables = { days = 30 }\n# after = \"sessions\"\n",
    );
    text.push_str(
        "\n# A column of your own: of page views, and computed from them in sessions; with users, from sessions in users.\n\
         # from: first | last | sum | min | max | count_distinct | any. type: text | integer | float | boolean | timestamp.\n\
         # [[column]]\n# name = \"plan_tier\"\n# from = \"first\"\n# type = \"text\"\n# source = \"plan_tier\"\n# users = \"last\"\n",
    );
    text.push_str(
        "\n# Tell what a run reads and writes, as OpenLineage's events: to a file, or to an address.\n\
         # [lineage]\n# to = \"https://catalog.example.com\"\n# namespace = \"websessions\"\n# api_key = { env = \"NAME\" }\n",
    );
    text.push_str(
        "\n# Tests of data, which 'websessions check' asks. Your own are files of one SELECT that must give no rows.\n\
         # [check]\n# after_run = true\n# files = [\"checks\"]\n# [check.severity]\n# sessions_unique = \"warn\"\n",
    );
    text
}
