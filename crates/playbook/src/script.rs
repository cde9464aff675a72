//! Scripts: files of SQL that are rendered and sent whole, never split.

use crate::playbook::{Playbook, PlaybookStep, Query};
use crate::template::render;
use serde_json::Value;
use sqlparser::dialect::{
    BigQueryDialect, Dialect, DuckDbDialect, GenericDialect, PostgreSqlDialect, RedshiftSqlDialect, SnowflakeDialect,
};
use sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Plan, Source, Statement, Step, Unit};

/// A module of a user's own, run between main and complete.
#[derive(Clone, Debug)]
pub struct CustomModule {
    /// Its name.
    pub name: String,
    /// Its SQL files, run in this order.
    pub files: Vec<PathBuf>,
    /// Its own variables; they come before the model's of the same name.
    pub variables: BTreeMap<String, Value>,
}

impl CustomModule {
    /// Reads and renders its files: one step a file, one script a step.
    pub fn plan(&self, model_variables: &BTreeMap<String, Value>, dialect: &str) -> Result<Plan, Error> {
        let mut variables = model_variables.clone();
        variables.extend(self.variables.clone());
        let mut steps = Vec::new();
        for file in &self.files {
            let name = file.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned());
            let script = script(&file.display().to_string(), file, Some(&variables), dialect)?;
            let purpose = format!("custom module {}", self.name);
            steps.push(Step::new(name, purpose, script.into_iter().collect()));
        }
        Ok(Plan::new(self.name.clone(), dialect, steps))
    }
}

impl Playbook {
    /// Reads and renders the files of custom steps: one script a query.
    pub fn plan(&self, steps: &[PlaybookStep], sql_root: Option<&Path>, dialect: &str) -> Result<Plan, Error> {
        let steps = steps.iter().map(|step| {
            let units = step.queries.iter().map(|query| self.script(query, sql_root, dialect));
            let units: Vec<Option<Unit>> = units.collect::<Result<_, Error>>()?;
            let purpose = format!("custom step of {}", self.name);
            Ok(Step::new(step.name.clone(), purpose, units.into_iter().flatten().collect()))
        });
        Ok(Plan::new(self.name.clone(), dialect, steps.collect::<Result<_, Error>>()?))
    }

    fn script(&self, query: &Query, sql_root: Option<&Path>, dialect: &str) -> Result<Option<Unit>, Error> {
        let file = find_file(&self.path, &query.file, sql_root)?;
        script(&query.name, &file, query.template.then_some(&self.variables), dialect)
    }
}

/// A query's file: under the folder that was given, else in the playbook's folder, or in a folder `sql` there or beside
/// one of the folders above.
pub fn find_file(playbook: &Path, file: &str, sql_root: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = playbook.parent().unwrap_or(Path::new(""));
    let candidates: Vec<PathBuf> = match sql_root {
        Some(root) => vec![root.join(file)],
        None => {
            let above = folder.ancestors().take(5).map(|folder| folder.join("sql").join(file));
            std::iter::once(folder.join(file)).chain(above).collect()
        }
    };
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        Error::Configuration {
            message: format!("{}: there is no file {file}; looked for {}", playbook.display(), places.join(", ")),
            hint: Some("--sqlroot names the folder that the files of queries are in".to_owned()),
        }
    })
}

/// A file as a script; `None` if there is nothing to run in it. With variables it is a template.
fn script(
    purpose: &str,
    file: &Path,
    variables: Option<&BTreeMap<String, Value>>,
    dialect: &str,
) -> Result<Option<Unit>, Error> {
    let text = read(file)?;
    let (sql, lines) = match variables {
        Some(variables) => {
            let rendered = render(file, &text, variables)?;
            (rendered.text, rendered.lines)
        }
        None => {
            let lines = (1..=text.lines().count()).collect();
            (text, lines)
        }
    };
    if is_empty(&sql, dialect) {
        return Ok(None);
    }
    let source = Some(Source { file: file.display().to_string(), lines });
    Ok(Some(Unit::Script(Statement { source, ..Statement::new(purpose, sql) })))
}

/// A file's text, without the byte order mark that some editors begin it with.
pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::configuration(format!("{}: is not UTF-8 text", file.display())))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Whether a script holds nothing but comments: a warehouse may refuse that, and there is nothing to do.
fn is_empty(sql: &str, dialect: &str) -> bool {
    let tokens = Tokenizer::new(&*parser_dialect(dialect), sql).tokenize();
    tokens.is_ok_and(|tokens| tokens.iter().all(|token| matches!(token, Token::Whitespace(_) | Token::SemiColon)))
}

/// sqlparser's dialect for one of ours.
pub(crate) fn parser_dialect(name: &str) -> Box<dyn Dialect> {
    match name {
        "duckdb" => Box::new(DuckDbDialect {}),
        "postgres" => Box::new(PostgreSqlDialect {}),
        "redshift" => Box::new(RedshiftSqlDialect {}),
        "snowflake" => Box::new(SnowflakeDialect {}),
        "bigquery" => Box::new(BigQueryDialect {}),
        _ => Box::new(GenericDialect {}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_comments_has_nothing_to_run() {
        for sql in ["", " \n", "-- nothing\n", "/* nothing */ ;\n;"] {
            assert!(is_empty(sql, "postgres"), "{sql:?}");
        }
        for sql in ["SELECT 1", "-- x\nSELECT 1;", "'", "DO $$ BEGIN END $$"] {
            assert!(!is_empty(sql, "postgres"), "{sql:?}");
        }
    }
}
