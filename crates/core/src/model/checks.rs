//! Tests of data: a SELECT that must give no rows. Each module has those of its own tables.

use super::Select;
use super::select::sql;
use super::shared::DATAMODEL_METADATA;
use serde::{Deserialize, Serialize};

/// What a check that finds something means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The check is not asked.
    Off,
    /// What it finds is told.
    Warn,
    /// What it finds is told, and the command fails.
    Fail,
}

impl std::str::FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "fail" => Ok(Self::Fail),
            other => Err(format!("{other:?} is not off, warn or fail")),
        }
    }
}

/// A test of data.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, by which the configuration knows it.
    pub name: &'static str,
    /// What must hold, in one line.
    pub about: &'static str,
    /// The table that it is about.
    pub table: &'static str,
    /// The other tables that it reads.
    pub reads: &'static [&'static str],
    /// What it means if it finds something, unless the configuration says otherwise.
    pub severity: Severity,
    /// Whether it holds only where runs write production, and is not asked under `skip_derived`.
    pub of_written: bool,
    /// The SELECT that gives the rows that are wrong. It may use `checked` for the table that it is about, and `since`,
    /// `since_first` (of an aggregate) and `since_run` as conditions.
    pub(crate) select: Select,
    /// What else its SELECT may use: one that several checks share names what differs.
    pub(crate) values: &'static [(&'static str, &'static str)],
}

impl Check {
    /// A check of one table, which fails.
    pub(super) const fn new(name: &'static str, about: &'static str, table: &'static str, select: Select) -> Self {
        Self { name, about, table, reads: &[], severity: Severity::Fail, of_written: false, select, values: &[] }
    }

    /// Names the other tables that it reads.
    pub(super) const fn reads(mut self, tables: &'static [&'static str]) -> Self {
        self.reads = tables;
        self
    }

    /// Gives values to its SELECT, which other checks share.
    pub(super) const fn with(mut self, values: &'static [(&'static str, &'static str)]) -> Self {
        self.values = values;
        self
    }

    /// Says that it compares production with what runs have computed: what runs leave alone need not agree.
    pub(super) const fn of_written(mut self) -> Self {
        self.of_written = true;
        self
    }

    /// Lets it warn, and not fail.
    pub(super) const fn warns(mut self) -> Self {
        self.severity = Severity::Warn;
        self
    }
}

/// The checks of what all modules share.
pub(super) const SHARED: &[Check] = &[
    Check::new(
        "metadata_keys",
        "every commit has its run, module, times and counts",
        DATAMODEL_METADATA,
        sql!("checks/metadata_keys"),
    ),
    Check::new("metadata_unique", "every commit is told once", DATAMODEL_METADATA, sql!("checks/metadata_unique")),
    Check::new(
        "metadata_times",
        "no run ends before it starts, nor do its rows",
        DATAMODEL_METADATA,
        sql!("checks/metadata_times"),
    ),
    Check::new("metadata_counts", "no run has more keys than rows", DATAMODEL_METADATA, sql!("checks/metadata_counts")),
];
