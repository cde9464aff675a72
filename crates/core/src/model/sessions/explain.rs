//! Which page view gave which column of a session, or why the session has no row.

use super::tables::*;
use crate::model::Select;
use crate::model::select::sql;
use crate::own_columns::{Aggregate, OwnColumns};
use crate::rows::{Rows, Value};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The rows of a session.
pub(crate) const SESSION: Select = sql!("sessions/explain_session");

/// Its page views in a table, `explained`.
pub(crate) const PAGE_VIEWS: Select = sql!("sessions/explain_page_views");

/// The runs that can have written it.
pub(crate) const RUNS: Select = sql!("sessions/explain_runs");

/// The table of its rows.
pub(crate) const ROWS_IN: &str = SESSIONS;

/// The table of the page views that wait for a run.
pub(crate) const WAITING_IN: &str = PAGE_VIEWS_STAGED;

/// Which page views of a session give a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// All of them have it.
    EachHas,
    /// The one of index 1 at the start of the session.
    First,
    /// The one whose index is the number of page views, whenever it was.
    Last,
    /// The one that starts first.
    EarliestStart,
    /// The one that ends last.
    LatestEnd,
    /// How many there are, each id once.
    Count,
    /// The sum of all that have it.
    Sum,
    /// The time from the start of the first page view to the end of the last.
    StartToEnd,
    /// The page views with the smallest value.
    Min,
    /// The page views with the largest value.
    Max,
    /// How many different values there are.
    CountDistinct,
    /// Whether it is true of one of them.
    Any,
}

impl Rule {
    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::EachHas => "the same in each page view",
            Self::First => "the first: index 1 at the start of the session",
            Self::Last => "the last: its index is the number of page views",
            Self::EarliestStart => "the earliest start",
            Self::LatestEnd => "the latest end",
            Self::Count => "how many page views there are, each id once",
            Self::Sum => "the sum over the page views",
            Self::StartToEnd => "from the earliest start to the latest end",
            Self::Min => "the smallest value",
            Self::Max => "the largest value",
            Self::CountDistinct => "how many different values there are",
            Self::Any => "whether it is true of one",
        }
    }
}

/// Which page views give a column of production, and which column of theirs.
pub(super) fn rule(column: &str, own: &OwnColumns) -> (Rule, String) {
    let of = |rule, source: &str| (rule, source.to_owned());
    if let Some(own) = own.get(column) {
        // What an expression gives stands beside the page view under the column's own name.
        return of(rule_of(own.from()), own.source().unwrap_or(column));
    }
    match column {
        "domain_sessionid" => of(Rule::EachHas, column),
        "start_tstamp" => of(Rule::EarliestStart, column),
        "end_tstamp" => of(Rule::LatestEnd, column),
        "page_views" => of(Rule::Count, "page_view_id"),
        "engaged_time_in_s" => of(Rule::Sum, column),
        "absolute_time_in_s" => of(Rule::StartToEnd, "end_tstamp"),
        "referrer" => of(Rule::First, "page_referrer"),
        _ => match (column.strip_prefix("first_"), column.strip_prefix("last_")) {
            (Some(source), _) => of(Rule::First, source),
            (_, Some(source)) => of(Rule::Last, source),
            _ => of(Rule::First, column),
        },
    }
}

fn rule_of(aggregate: Aggregate) -> Rule {
    match aggregate {
        Aggregate::First => Rule::First,
        Aggregate::Last => Rule::Last,
        Aggregate::Sum => Rule::Sum,
        Aggregate::Min => Rule::Min,
        Aggregate::Max => Rule::Max,
        Aggregate::CountDistinct => Rule::CountDistinct,
        Aggregate::Any => Rule::Any,
    }
}

/// A page view of a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedPageView {
    /// Its number in this list, from 1.
    pub number: usize,
    /// Its id.
    pub page_view_id: String,
    /// Its index in the session, as the page views module has given it.
    pub index: Option<i64>,
    /// When it starts and ends, in UTC.
    pub start: String,
    /// See `start`.
    pub end: String,
    /// How long it was looked at, in seconds.
    pub engaged_time_in_s: Option<i64>,
    /// Its address.
    pub url: String,
}

/// A column of a session's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedColumn {
    /// Its name.
    pub column: String,
    /// Its value in production.
    pub value: Value,
    /// Which page views give it.
    pub rule: Rule,
    /// Their column.
    pub source: String,
    /// These page views, by their numbers. Several of a first or last one stand in the input more than once.
    pub from: Vec<usize>,
    /// Whether they have that value now; not known of a span of time.
    pub agrees: Option<bool>,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Its page views, by index.
    pub page_views: Vec<ExplainedPageView>,
    /// Each of its rows, column by column.
    pub rows: Vec<Vec<ExplainedColumn>>,
    /// Why it has no row, if it has none.
    pub missing: Option<String>,
    /// Why these page views give no row, if they give none: one that it has is of other page views then.
    pub dropped: Option<String>,
}

/// The page views of a session as the model sees them.
struct Session<'a> {
    rows: &'a Rows,
    order: Vec<usize>,
    first: Vec<usize>,
    last: Vec<usize>,
    start: String,
    end: String,
    ids: usize,
}

impl<'a> Session<'a> {
    fn new(rows: &'a Rows) -> Self {
        let text = |row: usize, column| rows.get(row, column).to_string();
        let index = |row: usize| rows.get(row, "page_view_in_session_index").whole_number();
        let mut order: Vec<usize> = (0..rows.rows.len()).collect();
        order.sort_by_key(|row| {
            (index(*row).unwrap_or(i64::MAX), text(*row, "start_tstamp"), text(*row, "page_view_id"))
        });
        let starts = order.iter().map(|row| text(*row, "start_tstamp")).filter(|start| !start.is_empty());
        let start = starts.min().unwrap_or_default();
        let end = order.iter().map(|row| text(*row, "end_tstamp")).max().unwrap_or_default();
        let ids: BTreeSet<String> = order.iter().map(|row| id(rows, *row)).filter(|id| !id.is_empty()).collect();
        let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let of = |wanted: i64, at_start: bool| -> Vec<usize> {
            let is_wanted =
                |row: &usize| index(*row) == Some(wanted) && (!at_start || text(*row, "start_tstamp") == start);
            order.iter().copied().filter(is_wanted).collect()
        };
        Self { first: of(1, true), last: of(count, false), start, end, ids: ids.len(), rows, order }
    }

    fn number(&self, row: usize) -> usize {
        self.order.iter().position(|known| *known == row).map_or(0, |position| position + 1)
    }

    /// The page views that give a column.
    fn from(&self, rule: Rule, source: &str) -> Vec<usize> {
        let with = |column: &str, wanted: &str| -> Vec<usize> {
            self.order.iter().copied().filter(|row| self.rows.get(*row, column).to_string() == wanted).collect()
        };
        match rule {
            Rule::First => self.first.clone(),
            Rule::Last => self.last.clone(),
            Rule::EarliestStart => with("start_tstamp", &self.start),
            Rule::LatestEnd => with("end_tstamp", &self.end),
            Rule::EachHas | Rule::Count => self.order.clone(),
            Rule::Sum | Rule::CountDistinct => self.with_value(source),
            Rule::Min | Rule::Max => {
                let wanted = if rule == Rule::Min { Ordering::Less } else { Ordering::Greater };
                let ordered =
                    |one: usize, other: usize| order(self.rows.get(one, source), self.rows.get(other, source));
                let all = self.with_value(source);
                let none_beyond = |row: &usize| all.iter().all(|other| ordered(*other, *row) != wanted);
                all.iter().copied().filter(none_beyond).collect()
            }
            Rule::Any => {
                let all = self.with_value(source);
                let of: Vec<usize> = all.iter().copied().filter(|row| is_true(self.rows.get(*row, source))).collect();
                if of.is_empty() { all } else { of }
            }
            Rule::StartToEnd => {
                let both: BTreeSet<usize> =
                    with("start_tstamp", &self.start).into_iter().chain(with("end_tstamp", &self.end)).collect();
                self.order.iter().copied().filter(|row| both.contains(row)).collect()
            }
        }
    }

    /// The page views that have a value in a column.
    fn with_value(&self, source: &str) -> Vec<usize> {
        let has = |row: &usize| *self.rows.get(*row, source) != Value::Null;
        self.order.iter().copied().filter(has).collect()
    }

    /// Whether page views give a value.
    fn agrees(&self, rule: Rule, source: &str, from: &[usize], value: &Value) -> Option<bool> {
        let is_same = |row: &usize| same(self.rows.get(*row, source), value);
        match rule {
            Rule::First | Rule::Last | Rule::EarliestStart | Rule::LatestEnd => Some(from.iter().any(is_same)),
            Rule::EachHas => Some(from.iter().all(is_same)),
            Rule::Count => Some(i64::try_from(self.ids).is_ok_and(|ids| ids == value.as_integer())),
            Rule::Sum | Rule::Min | Rule::Max | Rule::Any if from.is_empty() => Some(*value == Value::Null),
            Rule::Sum => match from.iter().map(|row| whole(self.rows.get(*row, source))).sum::<Option<i64>>() {
                Some(sum) => Some(value.whole_number() == Some(sum)),
                None => {
                    let sum: f64 = from.iter().filter_map(|row| number(self.rows.get(*row, source))).sum();
                    number(value).map(|value| (value - sum).abs() <= sum.abs().max(1.0) * 1e-9)
                }
            },
            Rule::Min | Rule::Max => Some(from.iter().any(is_same)),
            Rule::Any => Some(from.iter().any(|row| is_true(self.rows.get(*row, source))) == is_true(value)),
            Rule::CountDistinct => {
                let values: BTreeSet<String> = from.iter().map(|row| text(self.rows.get(*row, source))).collect();
                Some(i64::try_from(values.len()).ok() == value.whole_number())
            }
            Rule::StartToEnd => None,
        }
    }

    /// Why the model gives it no row.
    fn dropped(&self) -> Option<&'static str> {
        match (self.order.is_empty(), self.first.is_empty(), self.last.is_empty()) {
            (true, ..) => Some("no page view of it is staged or stored"),
            (_, true, _) => Some("no page view with index 1 at the start of the session"),
            (_, _, true) => Some("no page view whose index is the number of page views"),
            _ => None,
        }
    }

    fn page_views(&self) -> Vec<ExplainedPageView> {
        let explained = |row: &usize| {
            let text = |column| self.rows.get(*row, column).to_string();
            let number = |column| self.rows.get(*row, column).whole_number();
            ExplainedPageView {
                number: self.number(*row),
                page_view_id: id(self.rows, *row),
                index: number("page_view_in_session_index"),
                start: text("start_tstamp"),
                end: text("end_tstamp"),
                engaged_time_in_s: number("engaged_time_in_s"),
                url: text("page_url"),
            }
        };
        self.order.iter().map(explained).collect()
    }
}

/// The id of a page view, as it compares.
fn id(rows: &Rows, row: usize) -> String {
    rows.get(row, "page_view_id").to_string().trim_end_matches(' ').to_owned()
}

/// A value as it compares: padding is none.
fn text(value: &Value) -> String {
    value.to_string().trim_end_matches(' ').to_owned()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Boolean(_) | Value::Null => None,
    }
}

/// A whole number, and no other.
fn whole(value: &Value) -> Option<i64> {
    if matches!(value, Value::Float(_)) { None } else { value.whole_number() }
}

fn is_true(value: &Value) -> bool {
    matches!(text(value).as_str(), "true" | "TRUE" | "t" | "1")
}

/// Numbers by their size, all else by its bytes.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => text(left).cmp(&text(right)),
        },
    }
}

/// Whether two values are the same, of whatever types the warehouse has for them.
fn same(left: &Value, right: &Value) -> bool {
    left == right || ((*left == Value::Null) == (*right == Value::Null) && text(left) == text(right))
}

impl Explanation {
    /// From the rows of a session, its page views, how many of these wait for a run, and the columns of one's own.
    pub fn new(production: &Rows, page_views: &Rows, waiting: usize, own: &OwnColumns) -> Self {
        let session = Session::new(page_views);
        let rows = (0..production.rows.len()).map(|row| explained_row(&session, production, row, own)).collect();
        let missing = production.rows.is_empty().then(|| match session.dropped() {
            Some(reason) => reason.to_owned(),
            None if waiting > 0 => format!("page views of it that wait for the next run: {waiting}"),
            None => "its page views are stored and would make a row: no run has written one since, as with skip_derived, or it was deleted".to_owned(),
        });
        let dropped = session.dropped().filter(|_| !session.order.is_empty()).map(str::to_owned);
        Self { page_views: session.page_views(), rows, missing, dropped }
    }
}

fn explained_row(session: &Session<'_>, production: &Rows, row: usize, own: &OwnColumns) -> Vec<ExplainedColumn> {
    let rules: Vec<(&String, Rule, String)> = production
        .columns
        .iter()
        .map(|column| {
            let (rule, source) = rule(column, own);
            (column, rule, source)
        })
        .collect();
    // Where a first or last page view stands in the input more than once, each has a row of its own.
    let narrowed = |wanted: Rule, candidates: &[usize]| -> Vec<usize> {
        let fits = |candidate: &&usize| {
            rules
                .iter()
                .filter(|(_, rule, _)| *rule == wanted)
                .all(|(column, _, source)| same(session.rows.get(**candidate, source), production.get(row, column)))
        };
        let fitting: Vec<usize> = candidates.iter().filter(fits).copied().collect();
        if fitting.is_empty() { candidates.to_vec() } else { fitting }
    };
    let (first, last) = (narrowed(Rule::First, &session.first), narrowed(Rule::Last, &session.last));
    let explained = |(column, rule, source): &(&String, Rule, String)| {
        let from = match rule {
            Rule::First => first.clone(),
            Rule::Last => last.clone(),
            _ => session.from(*rule, source),
        };
        let value = production.get(row, column).clone();
        ExplainedColumn {
            agrees: session.agrees(*rule, source, &from, &value),
            column: (*column).clone(),
            value,
            rule: *rule,
            source: source.clone(),
            from: from.iter().map(|row| session.number(*row)).collect(),
        }
    };
    rules.iter().map(explained).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Variables;

    #[test]
    fn every_column_of_production_has_a_column_of_page_views() {
        let module = crate::model::sessions::module();
        let page_views = module.table(PAGE_VIEWS_STAGED, &Variables::default()).expect("the input");
        for column in &module.table(SESSIONS, &Variables::default()).expect("production").columns {
            let (_, source) = rule(&column.name, &OwnColumns::default());
            assert!(page_views.column(&source).is_some(), "{}: {source}", column.name);
        }
    }
}
