//! A plan is what a phase will do, as plain data: steps of units of statements. It is made without a connection, a
//! clock or an environment, and what it prints is what runs.

use crate::files::{self, Files};
use crate::rows::Rows;
use crate::table::{Table, TableName};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The phases of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Computes and commits.
    Main,
    /// Removes the consumed input and the scratch tables.
    Complete,
    /// Drops everything that the module owns.
    Destroy,
}

impl Phase {
    /// The phase of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Main, Self::Complete, Self::Destroy].into_iter().find(|phase| phase.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Complete => "complete",
            Self::Destroy => "destroy",
        }
    }
}

/// What a phase, or a custom module, will do.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The phase's name, or the custom module's.
    pub name: String,
    /// The dialect its SQL is written in.
    pub dialect: String,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A named part of a plan.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it is for, in one line.
    pub purpose: String,
    /// What it runs: in order, but scripts of a user's own at the same time.
    pub units: Vec<Unit>,
    /// Whether production has this run's rows once the step is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub commits: bool,
}

/// What the executor hands to the warehouse at once. Every unit but a script, and a load of what can be read once, can run
/// twice.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// One statement on its own.
    Statement(Statement),
    /// Changes of data that happen together or not at all. Never holds DDL or TRUNCATE where these commit, as on Snowflake
    /// and Redshift.
    Block {
        /// What it is for.
        purpose: String,
        /// Its statements, in order.
        statements: Vec<Statement>,
    },
    /// A query whose few rows go into the report.
    Observation(Observation),
    /// A user's SQL, sent whole.
    Script(Statement),
    /// Files that are loaded into a table.
    Load(Load),
}

/// Files, and the table that they are loaded into: in one transaction, so that a file which is refused changes nothing.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Load {
    /// What it is for.
    pub purpose: String,
    /// What the transaction begins with: makes the table.
    pub first: Vec<Statement>,
    /// What the transaction begins with before that, and ends with, if the run holds a lock: it must change a row.
    #[serde(skip)]
    pub guard: Option<Box<Statement>>,
    /// The files.
    pub files: Files,
    /// The table.
    #[serde(skip)]
    pub table: Table,
    /// Its full name.
    pub name: TableName,
}

impl Load {
    /// Files into a table, after statements that make it.
    pub fn new(first: Vec<Statement>, files: &Files, table: &Table, name: TableName) -> Self {
        let count = match files.sources.as_slice() {
            [_] => "a file".to_owned(),
            several => format!("{} files", several.len()),
        };
        let purpose = format!("{count} into {name}");
        Self { purpose, first, guard: None, files: files.clone(), table: table.clone(), name }
    }

    /// The same by a run that holds a lock.
    #[must_use]
    pub(crate) fn guarded(mut self, guard: Statement) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

/// One SQL statement, without a closing semicolon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statement {
    /// What it is for.
    pub purpose: String,
    /// The exact text that is sent.
    pub sql: String,
    /// Where a user's own SQL comes from.
    #[serde(skip)]
    pub source: Option<Source>,
    /// A query that gives a row if what the statement makes is there already: see [`crate::warehouse::make`].
    #[serde(skip)]
    pub there: Option<String>,
    /// Whether a block must end without a trace if this statement of it changes no row.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub must_change: bool,
    /// The rows that it changes, of a table of the model by its name there: the right that it takes.
    #[serde(skip)]
    pub changes: Option<(Change, &'static str)>,
    /// What is asked right before: the statement is left out unless the answer is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_if: Option<OnlyIf>,
}

/// How a statement changes a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It adds rows.
    Insert,
    /// It removes those that it finds.
    Delete,
}

/// On what a statement depends. A table that is missing has no rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlyIf {
    /// This query gives a row.
    Finds(String),
    /// This query gives none.
    FindsNothing(String),
}

impl OnlyIf {
    /// The query.
    pub fn query(&self) -> &str {
        match self {
            Self::Finds(query) | Self::FindsNothing(query) => query,
        }
    }

    /// The condition as a comment of a script.
    fn comment(&self) -> String {
        let condition = match self {
            Self::Finds(_) => "only if this gives a row",
            Self::FindsNothing(_) => "only if this gives no row",
        };
        let lines: Vec<String> = self.query().lines().map(|line| format!("--   {line}\n")).collect();
        format!("-- {condition}:\n{}", lines.concat())
    }
}

/// Where a user's own SQL comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: String,
    /// For each line of the SQL, the line of the file that it comes from, from 1.
    pub lines: Vec<usize>,
}

impl Statement {
    /// A statement and what it is for.
    pub fn new(purpose: impl Into<String>, sql: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            sql: sql.into(),
            source: None,
            there: None,
            must_change: false,
            changes: None,
            only_if: None,
        }
    }

    /// Adds the place where a user's own SQL comes from.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Without whose change a block that it stands in must end without a trace.
    #[must_use]
    pub fn must_change(mut self) -> Self {
        self.must_change = true;
        self
    }

    /// Says that it changes the rows of a table of the model.
    #[must_use]
    pub fn changing(mut self, change: Change, table: &'static str) -> Self {
        self.changes = Some((change, table));
        self
    }

    /// Leaves it out unless this is so.
    #[must_use]
    pub fn only_if(mut self, only_if: OnlyIf) -> Self {
        self.only_if = Some(only_if);
        self
    }

    /// Adds a query that gives a row if what it makes is there already, unless it has one.
    #[must_use]
    pub fn or_there(mut self, query: impl FnOnce() -> String) -> Self {
        self.there.get_or_insert_with(query);
        self
    }
}

/// A query for the report.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Observation {
    /// What it looks for.
    pub finding: Finding,
    /// What happens if it finds something.
    pub on_found: OnFound,
    /// The query.
    pub statement: Statement,
}

/// What an observation looks for: a name for programs, and words for people.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Finding {
    /// Its name in the report.
    pub name: &'static str,
    /// What its rows say, in words; `None` if that is nothing to mention.
    pub in_words: fn(&Rows) -> Option<String>,
    /// How many it found, for programs; `None` if it looks for nothing that is counted.
    pub count: Option<fn(&Rows) -> i64>,
    /// Whether a person should see it at once.
    pub warns: fn(&Rows) -> bool,
}

impl Finding {
    /// A finding of that name.
    pub const fn new(name: &'static str, in_words: fn(&Rows) -> Option<String>) -> Self {
        Self { name, in_words, count: None, warns: |_| false }
    }

    /// Makes it one that a person should see at once.
    #[must_use]
    pub const fn warning(mut self) -> Self {
        self.warns = |_| true;
        self
    }

    /// Makes it one that a person should see at once if its rows are so.
    #[must_use]
    pub const fn warning_if(mut self, warns: fn(&Rows) -> bool) -> Self {
        self.warns = warns;
        self
    }

    /// Says how it is counted.
    #[must_use]
    pub const fn counted(mut self, count: fn(&Rows) -> i64) -> Self {
        self.count = Some(count);
        self
    }
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// What happens if an observation finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnFound {
    /// The finding stands in the report.
    Report,
    /// The run ends before its next unit.
    Fail {
        /// The setting that asks for this, and its value.
        because: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

impl Unit {
    /// What it is for.
    pub fn purpose(&self) -> &str {
        match self {
            Self::Statement(statement) | Self::Script(statement) => &statement.purpose,
            Self::Block { purpose, .. } => purpose,
            Self::Observation(observation) => &observation.statement.purpose,
            Self::Load(load) => &load.purpose,
        }
    }

    /// Its statements, in order.
    pub fn statements(&self) -> &[Statement] {
        match self {
            Self::Statement(statement) | Self::Script(statement) => std::slice::from_ref(statement),
            Self::Block { statements, .. } => statements,
            Self::Load(load) => &load.first,
            Self::Observation(observation) => std::slice::from_ref(&observation.statement),
        }
    }

    /// Whether it may be sent again if it failed in a way that can pass. A script's failed statement may not be its first,
    /// and a stream is read once.
    pub fn can_run_twice(&self) -> bool {
        match self {
            Self::Script(_) => false,
            Self::Load(load) => load.files.can_be_read_twice(),
            Self::Statement(_) | Self::Block { .. } | Self::Observation(_) => true,
        }
    }

    /// Whether it changes anything that stays.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::Observation(_))
    }
}

impl Step {
    /// A step that runs units.
    pub fn new(name: impl Into<String>, purpose: impl Into<String>, units: Vec<Unit>) -> Self {
        Self { name: name.into(), purpose: purpose.into(), units, commits: false }
    }

    /// After which production has this run's rows.
    #[must_use]
    pub fn commits(mut self) -> Self {
        self.commits = true;
        self
    }

    /// Whether its units may run at the same time: the scripts of one step don't depend on each other.
    pub fn is_parallel(&self) -> bool {
        self.units.iter().all(|unit| matches!(unit, Unit::Script(_)))
    }
}

impl Plan {
    /// A plan of that name, in that dialect.
    pub fn new(name: impl Into<String>, dialect: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { name: name.into(), dialect: dialect.into(), steps }
    }

    /// All units, in order.
    pub fn units(&self) -> impl Iterator<Item = (&Step, &Unit)> {
        self.steps.iter().flat_map(|step| step.units.iter().map(move |unit| (step, unit)))
    }

    /// A checksum (SHA-256, hexadecimal) of everything that would be sent.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.steps.iter())
    }
}

/// A checksum (SHA-256, hexadecimal) of everything that some steps would send, files by their names.
pub fn fingerprint<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    digest(steps, files::Source::to_string)
}

/// The same, files by what is said of each.
pub(crate) fn digest<'a>(
    steps: impl Iterator<Item = &'a Step>,
    of_source: impl Fn(&files::Source) -> String,
) -> String {
    let mut hash = Sha256::new();
    for unit in steps.flat_map(|step| &step.units) {
        for statement in unit.statements() {
            hash.update(statement.only_if.as_ref().map(OnlyIf::query).unwrap_or_default().as_bytes());
            hash.update(statement.sql.as_bytes());
            hash.update([0]);
        }
        if let Unit::Load(load) = unit {
            for source in &load.files.sources {
                hash.update(of_source(source).as_bytes());
                hash.update([0]);
            }
            hash.update(format!("{:?}", load.files.options).as_bytes());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Statements as a script: what each is for, and its text with a semicolon.
pub fn script(statements: &[Statement]) -> String {
    let text = |statement: &Statement| {
        let only_if = statement.only_if.as_ref().map(OnlyIf::comment).unwrap_or_default();
        format!("-- {}\n{only_if}{};\n", statement.purpose, statement.sql)
    };
    let statements: Vec<String> = statements.iter().map(text).collect();
    statements.join("\n")
}
