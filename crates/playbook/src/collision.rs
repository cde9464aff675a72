//! Tables of the model that a user's own SQL would change: a run refuses what would do harm, lint tells of the rest too.

use crate::script::Script;
use crate::sql::{Change, Name, changed};
use serde::Serialize;
use std::collections::BTreeSet;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Remedy};
use websessions_core::lock;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::model::{self, Module};
use websessions_core::table::{Lifetime, SchemaRole, Table};
use websessions_core::variables::Variables;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// A run would fail, or do harm.
    Error,
    /// Perhaps not what was meant.
    Warning,
}

/// The tables that modules own, as a run's variables name them.
pub struct OwnTables<'a> {
    tables: Vec<Table>,
    /// The tables of these that are views.
    views: BTreeSet<&'static str>,
    variables: &'a Variables,
}

/// Something that a script does to a table of the model.
pub(crate) struct Collision {
    pub(crate) line: Option<usize>,
    pub(crate) severity: Severity,
    pub(crate) message: String,
}

impl<'a> OwnTables<'a> {
    /// The tables of some modules, as a dialect makes them, and the lock.
    pub fn new(modules: &[Module], variables: &'a Variables, dialect: &dyn Dialect) -> Self {
        let mut tables = model::tables(modules, variables);
        let is_view = |table: &&Table| model::is_view(table, &tables, variables, dialect);
        let views = tables.iter().filter(is_view).map(|table| table.name).collect();
        tables.push(lock::table());
        Self { tables, views, variables }
    }

    /// What a script does to them, and what of it is not understood, with its line.
    pub(crate) fn collisions(
        &self,
        script: &Script,
        dialect: &str,
    ) -> (Vec<Collision>, Option<(String, Option<usize>)>) {
        let (changed, problem) = changed(&script.sql, dialect);
        let line = |line: usize| script.lines.get(line.checked_sub(1)?).copied();
        let problem = problem.map(|(problem, at)| (problem, at.and_then(line)));
        let mut found = Vec::new();
        for schema in changed.schemas.iter().filter_map(|name| name.last()).filter(|name| self.is_schema(name)) {
            let message = format!("drops or renames the schema {schema}, which the model's tables are in");
            found.push(Collision { line: line_of(script, schema), severity: Severity::Error, message });
        }
        if changed.is_open {
            let message = "begins a transaction and doesn't end it, so that nothing of it stays: add COMMIT".to_owned();
            found.push(Collision { line: line_of(script, "begin"), severity: Severity::Warning, message });
        }
        for (name, changes) in changed.tables {
            let Some(table) = self.tables.iter().find(|table| self.is_table(table, &name)) else { continue };
            let shown = name.last().cloned().unwrap_or_default();
            let line = line_of(script, &shown);
            let is_view = self.views.contains(table.name);
            found.extend(judge(table, is_view, &changes, &shown).map(|(severity, message)| Collision {
                line,
                severity,
                message,
            }));
        }
        (found, problem)
    }

    /// Fails if a script would do harm to one of them. What is not understood is sent as it is: the warehouse's own dialect
    /// may be wider than ours.
    pub(crate) fn refuse(&self, script: &Script, dialect: &str) -> Result<(), Error> {
        let (found, _) = self.collisions(script, dialect);
        let Some(harm) = found.into_iter().find(|collision| collision.severity == Severity::Error) else {
            return Ok(());
        };
        let line = harm.line.map(|line| format!("{line}:")).unwrap_or_default();
        let message = format!("{}:{line} {}", script.file.display(), harm.message);
        Err(Error::Usage { message, remedy: Remedy::Lint })
    }

    fn is_schema(&self, name: &str) -> bool {
        let schemas = [&self.variables.scratch_schema, &self.variables.output_schema];
        schemas.iter().any(|schema| schema.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether a name is that of a table of the model: in this run's schemas, with its entropy or, as production has it,
    /// without. One without a schema may be.
    fn is_table(&self, table: &Table, name: &Name) -> bool {
        let own = self.variables.table_name(table);
        let Some((last, path)) = name.split_last() else { return false };
        let is_named = last.eq_ignore_ascii_case(&own.name) || last.eq_ignore_ascii_case(table.name);
        is_named && path.last().is_none_or(|schema| schema.eq_ignore_ascii_case(own.schema.as_str()))
    }
}

/// How bad changes of a table of the model are, and why.
fn judge(table: &Table, is_view: bool, changes: &BTreeSet<Change>, shown: &str) -> Option<(Severity, String)> {
    let only = |allowed: &[Change]| changes.iter().all(|change| allowed.contains(change));
    let some = |meant: &[Change]| meant.iter().any(|change| changes.contains(change));
    if table.name == lock::table().name {
        return Some((Severity::Error, format!("writes to {shown}, by which runs keep out of each other's way")));
    }
    if !is_view && only(&[Change::Indexes]) {
        return None;
    }
    let is_handed_on = table.schema == SchemaRole::Scratch && table.lifetime == Lifetime::Persistent;
    // A module of the user's own before the model's hands page views on, and one after it takes users; each of its commits
    // may have a row of metadata.
    if is_handed_on && only(&[Change::Appends, Change::Makes, Change::Rows, Change::Indexes])
        || table.name == DATAMODEL_METADATA && only(&[Change::Appends, Change::Indexes])
    {
        return None;
    }
    Some(match table.lifetime {
        _ if is_handed_on && !some(&[Change::Drops, Change::Replaces]) => {
            (Severity::Warning, format!("alters {shown}: the model needs it with all its columns"))
        }
        _ if is_handed_on => {
            (Severity::Warning, format!("drops {shown} or makes it anew: the model needs it with all its columns"))
        }
        Lifetime::Persistent => (
            Severity::Error,
            format!("writes to {shown}, which the model owns: write to a table of your own, and join"),
        ),
        Lifetime::Run | Lifetime::Module if some(&[Change::Makes, Change::Replaces]) => {
            (Severity::Error, format!("makes {shown}, which is the name of a table of the model: give yours another"))
        }
        Lifetime::Run | Lifetime::Module if is_view => (
            Severity::Error,
            format!("changes {shown}, which is a view in this warehouse: read it, and change a table of your own"),
        ),
        Lifetime::Run | Lifetime::Module if some(&[Change::Alters]) => {
            (Severity::Error, format!("alters {shown}, which the model needs as it made it: alter a table of your own"))
        }
        Lifetime::Run | Lifetime::Module => {
            (Severity::Warning, format!("writes to {shown}, which the model makes anew in each run"))
        }
    })
}

/// The file's line on which a name first stands.
fn line_of(script: &Script, name: &str) -> Option<usize> {
    let line = script.sql.lines().position(|line| line.to_lowercase().contains(&name.to_lowercase()))?;
    script.lines.get(line).copied()
}
