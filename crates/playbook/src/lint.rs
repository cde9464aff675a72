//! What is wrong with playbooks and custom SQL, as far as that shows without a connection.

use crate::directory::stray;
use crate::playbook::{Part, Playbook};
use crate::script::{find_file, parser_dialect, read};
use crate::template::{render, uses};
use serde::Serialize;
use serde_json::Value;
use sqlparser::ast::{ObjectName, Statement, TableFactor, TableObject, Visit, Visitor};
use sqlparser::parser::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use websessions_core::did_you_mean::nearest;
use websessions_core::error::Error;
use websessions_core::plan::Phase;
use websessions_core::variables::check_name;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A run would fail, or do harm.
    Error,
    /// Perhaps not what was meant.
    Warning,
}

/// Something that lint found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Its line, from 1, if one is meant.
    pub line: Option<usize>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
}

/// Looks at playbooks, in the order in which they would run, with the SQL files of their custom steps.
pub fn lint(playbooks: &[Playbook], sql_root: Option<&Path>, dialect: &str) -> Vec<Finding> {
    let mut lint = Lint { dialect, findings: Vec::new() };
    if let Some((playbook, problem)) = stray(playbooks) {
        lint.note(&playbook.path.display().to_string(), None, Severity::Error, problem);
    }
    let mut completed: Option<&Playbook> = None;
    for playbook in playbooks {
        let file = playbook.path.display().to_string();
        for warning in playbook.warnings.iter().cloned().chain(playbook.model_variables().1) {
            lint.note(&file, None, Severity::Warning, warning);
        }
        let parts = match playbook.parts() {
            Ok(parts) => parts,
            Err(error) => {
                lint.error(&file, &error);
                continue;
            }
        };
        let mut used = BTreeSet::new();
        for part in &parts {
            match part {
                Part::Phase(Phase::Complete) => completed = Some(playbook),
                Part::Phase(_) => {}
                Part::Custom(steps) => {
                    if let Some(complete) = completed {
                        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
                        let message = format!(
                            "step {} runs after complete ({}), when the tables of the run are gone",
                            names.join(", "),
                            complete.name
                        );
                        lint.note(&file, None, Severity::Error, message);
                    }
                    for query in steps.iter().flat_map(|step| &step.queries) {
                        match find_file(&playbook.path, &query.file, sql_root) {
                            Ok(path) => used.extend(lint.sql(&path, query.template.then_some(&playbook.variables))),
                            Err(error) => lint.error(&file, &error),
                        }
                    }
                }
            }
        }
        let is_standard = parts.iter().any(|part| matches!(part, Part::Phase(_)));
        for name in playbook.variables.keys() {
            let known = is_standard && check_name(name).is_ok();
            // Schemas and entropy say which run a playbook belongs to.
            let placed = playbook.place().iter().any(|(placed, _)| placed == name);
            if !known && !placed && !used.contains(name) {
                let meant = if is_standard { check_name(name).err().map(|error| format!(": {error}")) } else { None };
                lint.note(
                    &file,
                    None,
                    Severity::Warning,
                    format!("the variable {name} is not used{}", meant.unwrap_or_default()),
                );
            }
        }
    }
    lint.findings.sort();
    lint.findings.dedup();
    lint.findings
}

/// Looks at one SQL file of a module of `websessions.toml`.
pub fn lint_file(path: &Path, variables: &BTreeMap<String, Value>, dialect: &str) -> Vec<Finding> {
    let mut lint = Lint { dialect, findings: Vec::new() };
    lint.sql(path, Some(variables));
    lint.findings
}

struct Lint<'a> {
    dialect: &'a str,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn note(&mut self, file: &str, line: Option<usize>, severity: Severity, message: String) {
        self.findings.push(Finding { file: file.to_owned(), line, severity, message });
    }

    fn error(&mut self, file: &str, error: &Error) {
        let text = error.to_string();
        let rest = text.strip_prefix(&format!("{file}:")).unwrap_or(&text);
        let (line, message) = match rest.split_once(':') {
            Some((line, message)) if line.parse::<usize>().is_ok() => (line.parse().ok(), message),
            _ => (None, rest),
        };
        self.note(file, line, Severity::Error, message.trim().to_owned());
    }

    /// Looks at a file, a template if there are variables. Gives the names of the variables that it reads.
    fn sql(&mut self, path: &Path, variables: Option<&BTreeMap<String, Value>>) -> BTreeSet<String> {
        let file = path.display().to_string();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                self.error(&file, &error);
                return BTreeSet::new();
            }
        };
        let mut used = BTreeSet::new();
        let (sql, lines) = match variables {
            None => {
                if text.contains("{{") {
                    self.note(
                        &file,
                        None,
                        Severity::Warning,
                        "holds {{, but its query has no 'template: true', so it is sent as it is".to_owned(),
                    );
                }
                let lines = (1..=text.lines().count()).collect();
                (text, lines)
            }
            Some(variables) => {
                for one in uses(path, &text).unwrap_or_default() {
                    used.insert(one.name.clone());
                    if !one.printed
                        && !variables.contains_key(&one.name)
                        && let Some(meant) = nearest(&one.name, variables.keys().map(String::as_str))
                    {
                        let message = format!(
                            "the variable {} is not set, so its default is taken; did you mean {meant}?",
                            one.name
                        );
                        self.note(&file, Some(one.line), Severity::Warning, message);
                    }
                }
                match render(path, &text, variables) {
                    Ok(rendered) => (rendered.text, rendered.lines),
                    Err(error) => {
                        self.error(&file, &error);
                        return used;
                    }
                }
            }
        };
        match Parser::parse_sql(&*parser_dialect(self.dialect), &sql) {
            Ok(statements) => {
                let entropy = variables
                    .and_then(|variables| variables.get("entropy"))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let mut written = Written(BTreeSet::new());
                let _ = statements.visit(&mut written);
                for table in written.0 {
                    let lower = table.to_lowercase();
                    let name = lower.strip_suffix(&entropy.to_lowercase()).unwrap_or(&lower);
                    let owned = name == "sessions"
                        || name == "datamodel_metadata"
                        || name.ends_with("_staged")
                        || name.contains("manifest");
                    if owned {
                        let line = sql.lines().position(|line| line.to_lowercase().contains(&lower));
                        let line = line.and_then(|line| lines.get(line).copied());
                        self.note(
                            &file,
                            line,
                            Severity::Error,
                            format!("writes to {table}, which the model owns: write to a table of your own, and join"),
                        );
                    }
                }
            }
            Err(error) => {
                let words = error.to_string();
                let line =
                    words.rsplit_once("Line: ").and_then(|(_, rest)| rest.split(',').next()?.parse::<usize>().ok());
                let line = line.and_then(|line| lines.get(line.checked_sub(1)?).copied());
                self.note(&file, line, Severity::Warning, format!("not understood, so not checked: {words}"));
            }
        }
        used
    }
}

/// The tables that statements change.
struct Written(BTreeSet<String>);

impl Written {
    fn table(&mut self, name: &ObjectName) {
        // BigQuery's backticks may hold a whole path.
        let last = name.0.last().map(|part| part.to_string()).unwrap_or_default();
        let last = last.trim_matches(['"', '`', '\'', '[', ']']);
        self.0.extend(last.rsplit('.').next().map(str::to_owned));
    }

    fn factor(&mut self, factor: &TableFactor) {
        if let TableFactor::Table { name, .. } = factor {
            self.table(name);
        }
    }
}

impl Visitor for Written {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Insert(insert) => {
                if let TableObject::TableName(name) = &insert.table {
                    self.table(name);
                }
            }
            Statement::Update(update) => self.factor(&update.table.relation),
            Statement::Delete(delete) => {
                let from = match &delete.from {
                    sqlparser::ast::FromTable::WithFromKeyword(tables)
                    | sqlparser::ast::FromTable::WithoutKeyword(tables) => tables,
                };
                from.iter().for_each(|table| self.factor(&table.relation));
                delete.tables.iter().for_each(|table| self.table(table));
            }
            Statement::Merge(merge) => self.factor(&merge.table),
            Statement::Truncate(truncate) => truncate.table_names.iter().for_each(|table| self.table(&table.name)),
            Statement::Drop { names, .. } => names.iter().for_each(|name| self.table(name)),
            Statement::CreateTable(create) => self.table(&create.name),
            Statement::AlterTable(alter) => self.table(&alter.name),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
