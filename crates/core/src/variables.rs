//! The variables of the model: one table of names, defaults and meanings, and the typed values made from it.

use crate::did_you_mean::unknown;
use crate::error::Error;
use crate::identifier::{Entropy, Identifier};
use crate::own_columns::OwnColumns;
use crate::table::{SchemaRole, SourceColumn, Table, TableName};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What `model_version` is unless it is set.
pub const MODEL_VERSION: &str = "websessions/web/1.0.0";

/// The longest lookback, in days: about a hundred years.
pub const LONGEST_LOOKBACK_DAYS: u32 = 36_525;

/// One variable: what `config show`, `init` and the documentation say of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct VariableInfo {
    /// Its name.
    pub name: &'static str,
    /// Its value unless it is set, as in TOML.
    pub default: &'static str,
    /// What it does, in one line.
    pub meaning: &'static str,
}

/// All variables, in the order in which they are shown.
pub const VARIABLES: &[VariableInfo] = &[
    VariableInfo {
        name: "scratch_schema",
        default: "\"scratch\"",
        meaning: "schema of the input and of the tables of a run",
    },
    VariableInfo {
        name: "output_schema",
        default: "\"derived\"",
        meaning: "schema of sessions and datamodel_metadata",
    },
    VariableInfo {
        name: "entropy",
        default: "\"\"",
        meaning: "suffix of every table name, to test beside production, such as \"_test\"",
    },
    VariableInfo {
        name: "stage_next",
        default: "false",
        meaning: "stage the user manifest for the next module, which must then complete it",
    },
    VariableInfo {
        name: "upsert_lookback_days",
        default: "30",
        meaning: "days before this run's first session in which the upsert looks for rows to replace",
    },
    VariableInfo { name: "skip_derived", default: "false", meaning: "leave the production sessions table alone" },
    VariableInfo {
        name: "cleanup_mode",
        default: "\"all\"",
        meaning: "what complete drops: all | debug (keeps the rows of this run) | trace (keeps all tables)",
    },
    VariableInfo {
        name: "ends_run",
        default: "false",
        meaning: "for phases that are called one by one: no module follows in this run, so complete drops the shared run id (that of users does unless this is set); run, load and rebuild do that by themselves",
    },
    VariableInfo {
        name: "model_version",
        default: "\"websessions/web/1.0.0\"",
        meaning: "the version that datamodel_metadata records",
    },
    VariableInfo {
        name: "lookback_guard",
        default: "\"widen\"",
        meaning: "old copies of a session before the lookback: widen (replace them too) | fail | off (duplicates stay)",
    },
    VariableInfo {
        name: "lookback_guard_days",
        default: "null",
        meaning: "how many days before this run's first session lookback_guard looks for old copies; older ones stay. null: all of production, on BigQuery 33 days",
    },
    VariableInfo {
        name: "on_dropped_sessions",
        default: "\"report\"",
        meaning: "sessions without a first or last page view: report | fail (before the commit) | keep_input (their page views stay staged)",
    },
    VariableInfo {
        name: "lock_lease",
        default: "\"2m\"",
        meaning: "how long the lock of a run that died keeps others out, such as \"90s\" or \"10m\"; a living run renews it",
    },
    VariableInfo {
        name: "page_views_from",
        default: "null",
        meaning: "the table, as \"schema.table\", that the page views module reads where no files are given",
    },
    VariableInfo {
        name: "page_views_time",
        default: "null",
        meaning: "a timestamp of that table which tells new rows, such as the time of loading: then older rows are not read again",
    },
    VariableInfo {
        name: "page_views_lookback_days",
        default: "3",
        meaning: "how much older than the newest row that a run has seen a row may be by page_views_time and still be read",
    },
    VariableInfo {
        name: "on_repeated_page_views",
        default: "\"report\"",
        meaning: "page views that arrive in several rows: report | fail (before the commit)",
    },
    VariableInfo {
        name: "on_left_out_page_views",
        default: "\"report\"",
        meaning: "rows without page_view_id, domain_sessionid or start_tstamp: report | fail (before the commit)",
    },
    VariableInfo {
        name: "on_multiplied_sessions",
        default: "\"report\"",
        meaning: "sessions with more than one row, as page views are staged twice: report | fail (before the commit)",
    },
    VariableInfo {
        name: "on_shrunk_sessions",
        default: "\"report\"",
        meaning: "sessions with fewer page views than the rows that they replace, as page views are missing: report | fail (before the commit)",
    },
];

/// The shortest and the longest lease of the lock.
const LEASES: std::ops::RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(86_400);

/// The older name of `upsert_lookback_days`.
const OLD_LOOKBACK: &str = "upsert_lookback";

/// What `complete` drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleanupMode {
    /// Every table of the run.
    All,
    /// All but `sessions_this_run`.
    Debug,
    /// Nothing.
    Trace,
}

/// What happens to old copies of sessions that the lookback doesn't reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LookbackGuard {
    /// They stay, beside the new rows: the original's behaviour.
    Off,
    /// The run fails before the commit.
    Fail,
    /// The limit moves down to them.
    Widen,
}

/// What happens if sessions of the input are not in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnDroppedSessions {
    /// The report counts them.
    Report,
    /// The run fails before the commit.
    Fail,
    /// The report counts them, and complete leaves their page views in the input.
    KeepInput,
}

/// What happens if something is found that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// The report counts it.
    Report,
    /// The run fails before the commit.
    Fail,
}

/// The typed variables of a run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Variables {
    /// Schema of the input and of the tables of a run.
    pub scratch_schema: Identifier,
    /// Schema of sessions and metadata.
    pub output_schema: Identifier,
    /// Suffix of every table name.
    pub entropy: Entropy,
    /// Whether the user manifest is staged for the next module.
    pub stage_next: bool,
    /// How far back the upsert looks, in days.
    pub upsert_lookback_days: u32,
    /// Whether production is left alone.
    pub skip_derived: bool,
    /// What complete drops.
    pub cleanup_mode: CleanupMode,
    /// Whether complete drops the shared run id.
    pub ends_run: bool,
    /// What the metadata records.
    pub model_version: String,
    /// Old copies before the lookback.
    pub lookback_guard: LookbackGuard,
    /// How far back the guard looks for these, in days.
    pub lookback_guard_days: Option<u32>,
    /// Sessions that the joins drop.
    pub on_dropped_sessions: OnDroppedSessions,
    /// How long the lock stays a run's without renewal.
    #[serde(serialize_with = "in_units")]
    pub lock_lease: Duration,
    /// The table that page views are read from where no files are given.
    #[serde(serialize_with = "as_text")]
    pub page_views_from: Option<TableName>,
    /// The column of that table which tells new rows.
    pub page_views_time: Option<Identifier>,
    /// How much older a row may be by that and still be read.
    pub page_views_lookback_days: u32,
    /// Page views that arrive in several rows.
    pub on_repeated_page_views: Reaction,
    /// Rows that are no page views.
    pub on_left_out_page_views: Reaction,
    /// Sessions with more than one row.
    pub on_multiplied_sessions: Reaction,
    /// Sessions that lose page views.
    pub on_shrunk_sessions: Reaction,
    /// The columns of that table that are read: all of the model's, of its types, unless a look at the table has said
    /// otherwise.
    #[serde(skip)]
    pub page_views_columns: Option<Vec<SourceColumn>>,
    /// Columns of one's own, from [`model::own_columns`](crate::model::own_columns).
    #[serde(skip)]
    pub columns: OwnColumns,
}

fn as_text<S: serde::Serializer>(table: &Option<TableName>, serializer: S) -> Result<S::Ok, S::Error> {
    match table {
        None => serializer.serialize_none(),
        Some(table) => serializer.collect_str(table),
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            scratch_schema: Identifier::new("scratch").unwrap_or_else(|_| unreachable!("a valid name")),
            output_schema: Identifier::new("derived").unwrap_or_else(|_| unreachable!("a valid name")),
            entropy: Entropy::default(),
            stage_next: false,
            upsert_lookback_days: 30,
            skip_derived: false,
            cleanup_mode: CleanupMode::All,
            ends_run: false,
            model_version: MODEL_VERSION.to_owned(),
            lookback_guard: LookbackGuard::Widen,
            lookback_guard_days: None,
            on_dropped_sessions: OnDroppedSessions::Report,
            lock_lease: Duration::from_secs(120),
            page_views_from: None,
            page_views_time: None,
            page_views_lookback_days: 3,
            on_repeated_page_views: Reaction::Report,
            on_left_out_page_views: Reaction::Report,
            on_multiplied_sessions: Reaction::Report,
            on_shrunk_sessions: Reaction::Report,
            page_views_columns: None,
            columns: OwnColumns::default(),
        }
    }
}

impl Variables {
    /// Types the values given by name; what is not given, or null, has its default. Gives warnings beside the
    /// variables. Text is read as the variable's own type, as a command line or an environment has nothing else.
    pub fn from_values(values: &BTreeMap<String, Value>) -> Result<(Self, Vec<String>), Error> {
        let mut variables = Self::default();
        let mut warnings = Vec::new();
        let mut lookback: Option<(&str, u32)> = None;
        for (name, value) in values {
            if is_null(value) {
                check_name(name)?;
                continue;
            }
            let result: Result<(), String> = (|| {
                match name.as_str() {
                    "scratch_schema" => variables.scratch_schema = Identifier::new(text(value)?)?,
                    "output_schema" => variables.output_schema = Identifier::new(text(value)?)?,
                    "entropy" => variables.entropy = Entropy::new(text(value)?)?,
                    "stage_next" => variables.stage_next = boolean(value)?,
                    "upsert_lookback_days" | OLD_LOOKBACK => {
                        let days = lookback_days(value)?;
                        if let Some((other, other_days)) = lookback.filter(|(_, other)| *other != days) {
                            return Err(format!(
                                "is {days}, but {other} is {other_days}: set upsert_lookback_days alone"
                            ));
                        }
                        lookback = Some((name, days));
                        variables.upsert_lookback_days = days;
                        if name == OLD_LOOKBACK {
                            warnings.push("upsert_lookback is the older name of upsert_lookback_days".to_owned());
                        }
                    }
                    "skip_derived" => variables.skip_derived = boolean(value)?,
                    "cleanup_mode" => {
                        variables.cleanup_mode = match text(value)? {
                            "all" => CleanupMode::All,
                            "debug" => CleanupMode::Debug,
                            "trace" => CleanupMode::Trace,
                            other => {
                                warnings.push(format!(
                                    "cleanup_mode {other:?} is none of all, debug, trace: it acts as all, as the original model does"
                                ));
                                CleanupMode::All
                            }
                        }
                    }
                    "ends_run" => variables.ends_run = boolean(value)?,
                    "model_version" => variables.model_version = version(text(value)?)?,
                    "lookback_guard" => {
                        variables.lookback_guard = one_of(
                            text(value)?,
                            &[
                                ("off", LookbackGuard::Off),
                                ("fail", LookbackGuard::Fail),
                                ("widen", LookbackGuard::Widen),
                            ],
                        )?;
                    }
                    "lookback_guard_days" => variables.lookback_guard_days = Some(lookback_days(value)?),
                    "lock_lease" => variables.lock_lease = lease(value)?,
                    "on_dropped_sessions" => {
                        variables.on_dropped_sessions = one_of(
                            text(value)?,
                            &[
                                ("report", OnDroppedSessions::Report),
                                ("fail", OnDroppedSessions::Fail),
                                ("keep_input", OnDroppedSessions::KeepInput),
                            ],
                        )?;
                    }
                    "page_views_from" => variables.page_views_from = Some(table_name(text(value)?)?),
                    "page_views_time" => variables.page_views_time = Some(Identifier::new(text(value)?)?),
                    "page_views_lookback_days" => variables.page_views_lookback_days = lookback_days(value)?,
                    "on_repeated_page_views" => variables.on_repeated_page_views = one_of(text(value)?, REACTIONS)?,
                    "on_left_out_page_views" => variables.on_left_out_page_views = one_of(text(value)?, REACTIONS)?,
                    "on_multiplied_sessions" => variables.on_multiplied_sessions = one_of(text(value)?, REACTIONS)?,
                    "on_shrunk_sessions" => variables.on_shrunk_sessions = one_of(text(value)?, REACTIONS)?,
                    other => check_name(other).map_err(|error| error.to_string())?,
                }
                Ok(())
            })();
            result.map_err(|problem| match check_name(name) {
                Ok(()) => Error::configuration(format!("variable {name}: {problem}")),
                Err(error) => error,
            })?;
        }
        if variables.page_views_time.is_some() && variables.page_views_from.is_none() {
            return Err(Error::configuration(
                "variable page_views_time: names a column of page_views_from, which is not set",
            ));
        }
        Ok((variables, warnings))
    }

    /// How many days before this run's first session production is looked through for old copies of its sessions; all of it
    /// if this is not said, nor by the warehouse.
    pub fn lookup_days(&self, warehouse: Option<u32>) -> Option<u32> {
        match self.lookback_guard {
            LookbackGuard::Off => Some(self.upsert_lookback_days),
            LookbackGuard::Widen | LookbackGuard::Fail => {
                self.lookback_guard_days.or(warehouse).map(|days| days.max(self.upsert_lookback_days))
            }
        }
    }

    /// A schema's name.
    pub fn schema(&self, role: SchemaRole) -> &Identifier {
        match role {
            SchemaRole::Scratch => &self.scratch_schema,
            SchemaRole::Output => &self.output_schema,
        }
    }

    /// A table's full name.
    pub fn table_name(&self, table: &Table) -> TableName {
        TableName {
            schema: self.schema(table.schema).clone(),
            name: format!("{}{}", table.name, self.entropy.as_str()),
        }
    }

    /// The variables by name, as custom SQL sees them.
    pub fn to_values(&self) -> BTreeMap<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map.into_iter().collect(),
            _ => BTreeMap::new(),
        }
    }
}

/// Refuses a name that no variable has, with the nearest one that exists.
pub fn check_name(name: &str) -> Result<(), Error> {
    if name == OLD_LOOKBACK || VARIABLES.iter().any(|variable| variable.name == name) {
        return Ok(());
    }
    Err(Error::configuration(unknown("variable", name, VARIABLES.iter().map(|variable| variable.name))))
}

/// The choices of most `on_…`.
const REACTIONS: &[(&str, Reaction)] = &[("report", Reaction::Report), ("fail", Reaction::Fail)];

fn table_name(text: &str) -> Result<TableName, String> {
    let parts = text.split_once('.').filter(|(_, name)| !name.contains('.'));
    let (schema, name) = parts.ok_or_else(|| format!("must be \"schema.table\", not {text:?}"))?;
    Ok(TableName { schema: Identifier::new(schema)?, name: Identifier::new(name)?.to_string() })
}

fn is_null(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("null")
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("must be text, not {value}"))
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(format!("must be true or false, not {other}")),
    }
}

fn lookback_days(value: &Value) -> Result<u32, String> {
    let days = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    days.and_then(|days| u32::try_from(days).ok())
        .filter(|days| (1..=LONGEST_LOOKBACK_DAYS).contains(days))
        .ok_or_else(|| format!("must be a whole number of days from 1 to {LONGEST_LOOKBACK_DAYS}, not {value}"))
}

/// A number of seconds, or a number with its unit.
fn lease(value: &Value) -> Result<Duration, String> {
    let seconds = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let length = match (seconds, value) {
        (Some(seconds), _) => Some(Duration::from_secs(seconds)),
        (None, Value::String(text)) => humantime::parse_duration(text.trim()).ok(),
        _ => None,
    };
    length.filter(|length| LEASES.contains(length) && length.subsec_nanos() == 0).ok_or_else(|| {
        let [least, most] = [LEASES.start(), LEASES.end()].map(|length| humantime::format_duration(*length));
        format!("must be a time in whole seconds from {least} to {most}, such as 90, \"90s\" or \"10m\", not {value}")
    })
}

fn in_units<S: serde::Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*length))
}

fn version(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-+/ :".contains(character);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a usable version: 1 to 64 ASCII letters, digits, spaces and any of . _ - + / :"))
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}, not {text:?}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(values: Value) -> Result<(Variables, Vec<String>), String> {
        let Value::Object(map) = values else { panic!("an object") };
        Variables::from_values(&map.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shown_defaults_are_the_real_ones() {
        let defaults = Variables::default().to_values();
        for info in VARIABLES {
            let shown: Value = serde_json::from_str(info.default).expect("a default is JSON too");
            assert_eq!(defaults.get(info.name), Some(&shown), "{}", info.name);
        }
        assert_eq!(defaults.len(), VARIABLES.len());
    }

    #[test]
    fn text_from_a_command_line_gets_the_type_of_its_variable() {
        let (variables, warnings) =
            parse(json!({"stage_next": "true", "upsert_lookback_days": "7", "skip_derived": null, "ends_run": "null"}))
                .expect("valid");
        assert!(variables.stage_next && !variables.skip_derived && !variables.ends_run);
        assert_eq!(variables.upsert_lookback_days, 7);
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_lookback_must_be_a_sane_number_of_days() {
        for bad in [json!(0), json!(-1), json!("x"), json!(36_526), json!(1e30), json!(true), json!("1; drop table")] {
            let error = parse(json!({"upsert_lookback_days": bad})).expect_err("refused");
            assert!(error.contains("1 to 36525"), "{error}");
        }
    }

    #[test]
    fn a_lease_is_seconds_or_a_time_with_its_unit() {
        for (given, seconds) in
            [(json!(90), 90), (json!("90"), 90), (json!("90s"), 90), (json!("10m"), 600), (json!("1h 5s"), 3605)]
        {
            let (variables, _) = parse(json!({"lock_lease": given})).expect("valid");
            assert_eq!(variables.lock_lease.as_secs(), seconds);
        }
        for bad in
            [json!(0), json!("1s"), json!("2 days"), json!("3500ms"), json!("soon"), json!(-5), json!(true), json!("")]
        {
            let error = parse(json!({"lock_lease": bad})).expect_err("refused");
            assert!(error.contains("lock_lease") && error.contains("from 3s to 1day"), "{error}");
        }
    }

    #[test]
    fn the_older_name_of_the_lookback_is_accepted_unless_they_differ() {
        let (variables, warnings) = parse(json!({"upsert_lookback": 5})).expect("valid");
        assert_eq!((variables.upsert_lookback_days, warnings.len()), (5, 1));
        assert!(parse(json!({"upsert_lookback": 5, "upsert_lookback_days": 5})).is_ok());
        assert!(parse(json!({"upsert_lookback": 5, "upsert_lookback_days": 6})).is_err());
    }

    #[test]
    fn unknown_names_and_choices_are_refused_with_what_was_meant() {
        let error = parse(json!({"upsert_lokback_days": 5})).expect_err("refused");
        assert!(error.contains("did you mean \"upsert_lookback_days\""), "{error}");
        let error = parse(json!({"lookback_guard": "wide"})).expect_err("refused");
        assert!(error.contains("off, fail, widen"), "{error}");
    }

    #[test]
    fn an_unknown_cleanup_mode_acts_as_all_and_says_so() {
        let (variables, warnings) = parse(json!({"cleanup_mode": "nonsense"})).expect("valid");
        assert_eq!(variables.cleanup_mode, CleanupMode::All);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn no_variable_carries_sql() {
        for name in ["scratch_schema", "output_schema", "entropy", "model_version"] {
            for value in ["_x; drop table", "a\"b", "a'b", "a`b", "a\\b", "$$", "--x\n"] {
                assert!(parse(json!({name: value})).is_err(), "{name}={value:?}");
            }
        }
    }
}
