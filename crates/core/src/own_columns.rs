//! Columns of one's own: what a configuration declares beside the model's columns, and how each is computed. They are columns
//! like the model's wherever tables, SELECTs and files are made from lists of columns.

use crate::dialect::Dialect;
use crate::did_you_mean::unknown;
use crate::expression::Expression;
use crate::identifier::{Identifier, LONGEST_IDENTIFIER};
use crate::table::{Column, ColumnType, TypeFamily};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A column of one's own, as it is declared: names and words, not checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Its name in `sessions`, and in `users`.
    pub name: String,
    /// What is done with the values of a session's page views.
    pub from: String,
    /// The type of these values.
    #[serde(rename = "type")]
    pub value_type: String,
    /// The column of page views that has them: of the same name unless it is said.
    pub source: Option<String>,
    /// An expression over the columns of one page view that gives them instead.
    pub sql: Option<String>,
    /// What is done with the values of a user's sessions: it is no column of `users` unless it is said.
    pub users: Option<String>,
}

impl Declaration {
    /// Its keys, as a configuration has them.
    pub const KEYS: [&str; 6] = ["name", "from", "type", "source", "sql", "users"];
}

/// What is done with many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The value of the first: of the page view that the first fields of a session come from, or of a user's first session.
    First,
    /// The value of the last.
    Last,
    /// The sum of those that are not NULL.
    Sum,
    /// The smallest. Text by its bytes.
    Min,
    /// The largest. Text by its bytes.
    Max,
    /// How many different ones there are, NULL not counted.
    CountDistinct,
    /// Whether one is true; NULL if all are.
    Any,
}

impl Aggregate {
    const ALL: [(&str, Self); 7] = [
        ("first", Self::First),
        ("last", Self::Last),
        ("sum", Self::Sum),
        ("min", Self::Min),
        ("max", Self::Max),
        ("count_distinct", Self::CountDistinct),
        ("any", Self::Any),
    ];

    fn named(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        let names = Self::ALL.iter().map(|(name, _)| *name);
        found.map(|(_, aggregate)| *aggregate).ok_or_else(|| unknown("word", word, names))
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, aggregate)| *aggregate == self).map_or("", |(name, _)| name)
    }

    /// The type of what it gives of values of a type.
    fn of(self, values: ColumnType) -> Result<ColumnType, String> {
        let family = values.family();
        match self {
            Self::First | Self::Last => Ok(values),
            Self::Sum if !matches!(family, TypeFamily::Integer | TypeFamily::Float) => {
                Err(format!("sum is of numbers, not of {family}"))
            }
            Self::Sum => Ok(values),
            Self::Min | Self::Max if family == TypeFamily::Boolean => {
                Err(format!("{} is not of boolean: any says whether one is true", self.word()))
            }
            Self::Min | Self::Max => Ok(values),
            Self::CountDistinct => Ok(ColumnType::BigInteger),
            Self::Any if family != TypeFamily::Boolean => Err(format!(
                "any says whether one is true, of boolean and not of {family}: first, last, min and max choose one of several"
            )),
            Self::Any => Ok(values),
        }
    }

    /// As SQL, of many rows. First and last are none: a row is chosen for these.
    fn sql(self, dialect: &dyn Dialect, value: &str, values: ColumnType) -> String {
        match self {
            Self::First | Self::Last => value.to_owned(),
            Self::Sum => format!("CAST(SUM({value}) AS {})", dialect.column_type(values)),
            Self::Min => format!("MIN({value})"),
            Self::Max => format!("MAX({value})"),
            Self::CountDistinct => format!("COUNT(DISTINCT {value})"),
            Self::Any => one_is_true(value, ""),
        }
    }
}

/// A value as it compares with others of its type.
fn compared(dialect: &dyn Dialect, value: String, column_type: ColumnType) -> String {
    match (column_type, column_type.family()) {
        (ColumnType::Fixed(_), _) => dialect.sorted_text(&dialect.fixed_text(&value)),
        (_, TypeFamily::Text) => dialect.sorted_text(&value),
        _ => value,
    }
}

/// Whether a value is true of one of many rows: not every warehouse orders booleans.
fn one_is_true(value: &str, of_rows: &str) -> String {
    format!("MAX(CASE WHEN {of_rows}{value} THEN 1 WHEN {of_rows}NOT {value} THEN 0 END) = 1")
}

/// Where the values of a page view are.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Column(Column),
    Expression(Box<Expression>),
}

/// A column of one's own that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnColumn {
    name: String,
    from: Aggregate,
    source: Source,
    /// The type of the values of page views.
    values: ColumnType,
    /// The type of the values of sessions.
    of_session: ColumnType,
    /// What is done with those, and the type of what it gives.
    users: Option<(Aggregate, ColumnType)>,
}

impl OwnColumn {
    /// Its name in `sessions`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is done with the values of a session's page views.
    pub fn from(&self) -> Aggregate {
        self.from
    }

    /// The column of page views that has its values, if it is no expression.
    pub fn source(&self) -> Option<&str> {
        match &self.source {
            Source::Column(column) => Some(&column.name),
            Source::Expression(_) => None,
        }
    }

    /// What is done with the values of a user's sessions, if it is a column of `users`.
    pub fn for_users(&self) -> Option<Aggregate> {
        self.users.map(|(aggregate, _)| aggregate)
    }

    /// The columns of page views that it is computed of.
    pub fn reads(&self) -> Vec<&str> {
        match &self.source {
            Source::Column(column) => vec![&*column.name],
            Source::Expression(expression) => expression.columns().collect(),
        }
    }

    /// Whether a value can be such that it can't be computed: an expression says much, and a sum may be too large.
    fn can_fail(&self) -> bool {
        let sums = [Some(self.from), self.for_users()].contains(&Some(Aggregate::Sum));
        sums || matches!(self.source, Source::Expression(_))
    }

    /// The column that it is in `sessions`.
    fn in_sessions(&self) -> Column {
        Column::named(Cow::Owned(self.name.clone()), self.of_session).own()
    }

    /// Whether one page view has its value.
    fn is_of_one(&self) -> bool {
        matches!(self.from, Aggregate::First | Aggregate::Last)
    }

    /// A value of a page view as it compares with others.
    fn compared(&self, dialect: &dyn Dialect, value: String) -> String {
        match &self.source {
            Source::Column(column) => compared(dialect, value, column.column_type),
            Source::Expression(_) => compared(dialect, value, self.values),
        }
    }

    /// The value of one row, which goes by a name of its own if one is given.
    fn value(&self, dialect: &dyn Dialect, row: Option<&str>) -> String {
        match (&self.source, row) {
            (Source::Column(column), None) => column.name.to_string(),
            (Source::Column(column), Some(row)) => format!("{row}.{}", column.name),
            (Source::Expression(expression), _) => {
                format!("CAST({} AS {})", expression.sql(row), dialect.column_type(self.values))
            }
        }
    }
}

impl std::fmt::Display for OwnColumn {
    /// What it is computed of: `first of plan_tier; users: last`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = self.from.word();
        match &self.source {
            Source::Column(column) => write!(formatter, "{from} of {}", column.name)?,
            Source::Expression(expression) => write!(formatter, "{from} of {expression}")?,
        }
        match self.users {
            Some((aggregate, _)) => write!(formatter, "; users: {}", aggregate.word()),
            None => Ok(()),
        }
    }
}

/// The columns of one's own of a configuration, checked together. They come from `model::own_columns` alone, so none of them
/// can carry more into a statement than a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnColumns {
    columns: Vec<OwnColumn>,
    /// The columns of page views that the model has not.
    of_page_views: Vec<Column>,
}

impl OwnColumns {
    /// Checks declarations against the columns that the model's page views have, those that its `sessions` and `users` have, and
    /// the names of its tables.
    /// The error names the declaration and its key.
    pub(crate) fn new(
        declared: &[Declaration],
        page_views: &[Column],
        taken: &[Column],
        tables: &[&str],
    ) -> Result<Self, String> {
        let wrong = |declaration: &Declaration, key: &str, problem: &str| {
            format!("[[column]] {:?}: {key}: {problem}", declaration.name)
        };
        let mut own = Self::default();
        // Sources first: an expression may read a column that a later declaration has.
        for declaration in declared {
            let values = value_type(&declaration.value_type).map_err(|problem| wrong(declaration, "type", &problem))?;
            check_name(&declaration.name, tables).map_err(|problem| wrong(declaration, "name", &problem))?;
            if taken.iter().any(|column| column.name == declaration.name) {
                return Err(wrong(declaration, "name", "the model has a column of this name: choose another"));
            }
            let key = if declaration.source.is_some() { "source" } else { "name" };
            let source = match (&declaration.source, &declaration.sql) {
                (Some(_), Some(_)) => return Err(wrong(declaration, "sql", "stands instead of source, not beside it")),
                (None, Some(_)) => continue,
                (Some(source), None) => source,
                (None, None) => &declaration.name,
            };
            match page_views.iter().chain(&own.of_page_views).find(|column| column.name == *source) {
                None => {
                    check_name(source, tables).map_err(|problem| wrong(declaration, key, &problem))?;
                    let column = Column::named(Cow::Owned(source.clone()), values);
                    own.of_page_views.push(column.own());
                }
                Some(column) if column.column_type.family() != values.family() => {
                    let problem = format!("{source} of page views is {}", column.column_type.family());
                    return Err(wrong(declaration, "type", &problem));
                }
                Some(_) => {}
            }
        }
        let known: Vec<&Column> = page_views.iter().chain(&own.of_page_views).collect();
        let names: Vec<&str> = known.iter().map(|column| &*column.name).collect();
        for (position, declaration) in declared.iter().enumerate() {
            let Declaration { name, .. } = declaration;
            if let Some(first) = declared.iter().take(position).position(|other| other.name == *name) {
                let (first, second) = (first + 1, position + 1);
                let problem = format!("stands twice, as number {first} and number {second}: give one of them another");
                return Err(wrong(declaration, "name", &problem));
            }
            let values = value_type(&declaration.value_type)?;
            let column = declaration.source.as_ref().unwrap_or(name);
            let source = match (&declaration.sql, known.iter().find(|known| known.name == *column)) {
                (None, Some(column)) => Source::Column((*column).clone()),
                (sql, _) => {
                    let expression = Expression::new(sql.as_deref().unwrap_or_default(), &names);
                    Source::Expression(Box::new(expression.map_err(|problem| wrong(declaration, "sql", &problem))?))
                }
            };
            let own_source = matches!(&source, Source::Column(column) if column.name == *name);
            if names.contains(&name.as_str()) && !own_source {
                let problem = "page views have a column of this name, which is not its source: choose another";
                return Err(wrong(declaration, "name", problem));
            }
            let aggregate = |key: &str, word: &str, values| {
                let found = Aggregate::named(word).and_then(|aggregate| Ok((aggregate, aggregate.of(values)?)));
                found.map_err(|problem| wrong(declaration, key, &problem))
            };
            let (from, of_session) = aggregate("from", &declaration.from, values)?;
            let users = declaration.users.as_deref().map(|word| aggregate("users", word, of_session)).transpose()?;
            own.columns.push(OwnColumn { name: name.clone(), from, source, values, of_session, users });
        }
        Ok(own)
    }

    /// The columns, as they were declared.
    pub fn iter(&self) -> impl Iterator<Item = &OwnColumn> {
        self.columns.iter()
    }

    /// The column of that name.
    pub fn get(&self, name: &str) -> Option<&OwnColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of page views: the model's and those that are declared.
    pub(crate) fn of_page_views(&self, mut model: Vec<Column>) -> Vec<Column> {
        let read: BTreeSet<&str> = self.columns.iter().flat_map(OwnColumn::reads).collect();
        for column in &mut model {
            column.unread &= !read.contains(&*column.name);
        }
        model.extend(self.of_page_views.iter().cloned());
        model
    }

    /// The columns of sessions: the model's and those that are declared.
    pub(crate) fn of_sessions(&self, mut model: Vec<Column>) -> Vec<Column> {
        model.extend(self.columns.iter().map(OwnColumn::in_sessions));
        model
    }

    /// The columns of what is computed of all page views of a session: the model's and those that are declared.
    pub(crate) fn aggregated(&self, mut model: Vec<Column>) -> Vec<Column> {
        model.extend(self.of_many().map(OwnColumn::in_sessions));
        model
    }

    /// The columns that are computed of all page views of a session.
    fn of_many(&self) -> impl Iterator<Item = &OwnColumn> {
        self.columns.iter().filter(|column| !column.is_of_one())
    }

    /// The columns of users: the model's and those that are declared for it.
    pub(crate) fn of_users(&self, mut model: Vec<Column>) -> Vec<Column> {
        let named = |column: &OwnColumn| {
            let (_, of_user) = column.users?;
            Some(Column::named(Cow::Owned(column.name.clone()), of_user).own())
        };
        model.extend(self.columns.iter().filter_map(named));
        model
    }

    /// What a SELECT of the rows of page views computes of all those of a session: further columns of its list.
    pub(crate) fn aggregates(&self, dialect: &dyn Dialect) -> String {
        further(self.of_many().map(|column| {
            let value = column.value(dialect, None);
            format!("{} AS {}", column.from.sql(dialect, &column.compared(dialect, value), column.values), column.name)
        }))
    }

    /// Further columns of a list that has a session's aggregates, its first page view and its last under names of their own.
    pub(crate) fn joined(&self, dialect: &dyn Dialect, aggregates: &str, first: &str, last: &str) -> String {
        further(self.columns.iter().map(|column| match column.from {
            Aggregate::First => format!("{} AS {}", column.value(dialect, Some(first)), column.name),
            Aggregate::Last => format!("{} AS {}", column.value(dialect, Some(last)), column.name),
            _ => format!("{aggregates}.{}", column.name),
        }))
    }

    /// The values of one page view, of those that are computed by an expression.
    pub(crate) fn computed(&self, dialect: &dyn Dialect) -> String {
        let computed = self.columns.iter().filter(|column| column.source().is_none());
        further(computed.map(|column| format!("{} AS {}", column.value(dialect, None), column.name)))
    }

    /// The columns, in words, whose computation some values can make fail: those that a statement computes, or all of them.
    pub fn may_fail(&self, sql: Option<&str>) -> Vec<String> {
        let is_computed = |column: &&OwnColumn| {
            let Some(sql) = sql else { return true };
            let named = format!(" AS {}", column.name);
            let ends = |(at, _): (usize, &str)| {
                !sql[at + named.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
            };
            sql.match_indices(&named).any(ends)
        };
        self.columns
            .iter()
            .filter(|column| column.can_fail())
            .filter(is_computed)
            .map(|column| format!("{} ({column})", column.name))
            .collect()
    }

    /// The columns of sessions that users are computed of.
    pub(crate) fn read_by_users(&self) -> String {
        further(self.columns.iter().filter(|column| column.users.is_some()).map(|column| column.name.clone()))
    }

    /// What a SELECT of the rows of sessions computes of all those of a user, where columns are 1 for the first and the last.
    pub(crate) fn aggregates_of_users(&self, dialect: &dyn Dialect, first: &str, last: &str) -> String {
        let of_one = |name: &str, values: ColumnType, row: &str| match values.family() {
            TypeFamily::Boolean => one_is_true(name, &format!("{row} = 1 AND ")),
            _ => format!("MAX(CASE WHEN {row} = 1 THEN {name} END)"),
        };
        further(self.columns.iter().filter_map(|column| {
            let (aggregate, _) = column.users?;
            let (name, values) = (&column.name, column.of_session);
            let value = match aggregate {
                Aggregate::First => of_one(name, values, first),
                Aggregate::Last => of_one(name, values, last),
                _ => aggregate.sql(dialect, &compared(dialect, name.clone(), values), values),
            };
            Some(format!("{value} AS {name}"))
        }))
    }
}

/// Further columns of a list of columns that has some.
fn further(columns: impl Iterator<Item = String>) -> String {
    columns.map(|column| format!(",\n  {column}")).collect()
}

fn value_type(word: &str) -> Result<ColumnType, String> {
    const TYPES: [(&str, ColumnType); 5] = [
        ("text", ColumnType::LongText),
        ("integer", ColumnType::BigInteger),
        ("float", ColumnType::Float),
        ("boolean", ColumnType::Boolean),
        ("timestamp", ColumnType::Timestamp),
    ];
    let found = TYPES.iter().find(|(name, _)| *name == word);
    found.map(|(_, known)| *known).ok_or_else(|| unknown("type", word, TYPES.map(|(name, _)| name)))
}

/// A name that may stand in SQL without quotes, and means a column there.
fn check_name(name: &str, tables: &[&str]) -> Result<(), String> {
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || Identifier::new(name).is_err() {
        return Err(format!(
            "{name:?} is not a usable name: a lower-case letter first, then lower-case letters, digits and '_', at most {LONGEST_IDENTIFIER} characters"
        ));
    }
    if name != name.to_lowercase() {
        let lower = name.to_lowercase();
        return Err(format!("{name:?} is written in lower case, as {lower:?}: names are compared without case"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("{name:?} is a word of SQL in one of the warehouses: choose another"));
    }
    if OF_THE_SQL.contains(&name) || tables.contains(&name) {
        return Err(format!("{name:?} is a name that the model's SQL uses: choose another"));
    }
    Ok(())
}

/// Words that one of the warehouses reserves, or has columns of its own for.
///
/// - <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>
/// - <https://docs.aws.amazon.com/redshift/latest/dg/r_pg_keywords.html>
/// - <https://docs.snowflake.com/en/sql-reference/reserved-keywords>
/// - <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords>
/// - <https://www.sqlite.org/lang_keywords.html>
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "account", "add", "aes128", "aes256", "all", "allowoverwrite", "alter", "analyse", "analyze", "and", "anti", "any",
    "array", "as", "asc", "asof", "assert_rows_modified", "asymmetric", "at", "authorization", "autoincrement",
    "backup", "between", "binary", "blanksasnull", "both", "by", "bytedict", "bzip2", "case", "cast", "check", "cmax",
    "cmin", "collate", "collation", "column", "commit", "concurrently", "connect", "connection", "constraint",
    "contains", "create", "credentials", "cross", "ctid", "cube", "current", "current_catalog", "current_date",
    "current_role", "current_schema", "current_time", "current_timestamp", "current_user", "current_user_id",
    "database", "default", "deferrable", "deferred", "define", "deflate", "defrag", "delete", "delta", "delta32k",
    "desc", "describe", "disable", "distinct", "do", "drop", "else", "emptyasnull", "enable", "encode", "encrypt",
    "encryption", "end", "enum", "escape", "except", "exclude", "exclusive", "exists", "explicit", "extract", "false",
    "fetch", "following", "for", "foreign", "freeze", "from", "full", "glob", "globaldict256", "globaldict64k", "grant",
    "graph_table", "group", "grouping", "groups", "gscluster", "gzip", "hash", "having", "identity", "if", "ignore",
    "ilike", "in", "increment", "index", "indexed", "initially", "inner", "insert", "interleaved", "intersect",
    "interval", "into", "is", "isnull", "isolation", "issue", "join", "lambda", "lateral", "leading", "left", "like",
    "limit", "localtime", "localtimestamp", "lookup", "luns", "lzo", "lzop", "match_recognize", "merge", "minus",
    "mostly16", "mostly32", "mostly8", "natural", "new", "no", "not", "nothing", "notnull", "null", "nulls", "of",
    "off", "offline", "offset", "oid", "old", "on", "only", "open", "or", "order", "organization", "outer", "over",
    "overlaps", "parallel", "partition", "percent", "permissions", "pivot", "placing", "positional", "preceding",
    "precision", "primary", "proto", "qualify", "raise", "range", "raw", "readratio", "recover", "recursive",
    "references", "regexp", "rejectlog", "replace", "resort", "respect", "restore", "returning", "revoke", "right",
    "rlike", "rollback", "rollup", "row", "rowid", "rows", "sample", "savepoint", "schema", "select", "semi",
    "session_user", "set", "show", "similar", "snapshot", "some", "start", "struct", "summarize", "symmetric",
    "sysdate", "system", "system_user", "table", "tableoid", "tablesample", "tag", "tdes", "temp", "temporary",
    "text255", "text32k", "then", "timestamp", "to", "top", "trailing", "transaction", "treat", "trigger", "true",
    "truncatecolumns", "try_cast", "unbounded", "union", "unique", "unnest", "unpivot", "update", "user", "using",
    "values", "variadic", "verbose", "view", "wallet", "when", "whenever", "where", "window", "with", "within",
    "without", "xmax", "xmin",
];

/// What the model's SQL gives a name to where columns of one's own stand: they would mean two things.
#[rustfmt::skip]
const OF_THE_SQL: &[&str] = &[
    "after_run", "aggregates", "arrived", "before_run", "came", "came_again", "candidates", "changed_pairs", "computed",
    "consumed", "copies", "copy_number", "differing", "fingerprint", "fingerprints", "first_view", "first_view_tstamp", "form",
    "forms", "from_first", "from_last", "id", "is_repeated", "last_view", "no_rows", "number", "number_of_all",
    "numbered", "numbers", "of_session", "page_views_less", "pairs", "present", "ranked", "read_or_not", "repeated", "replaced",
    "replaced_sessions", "row_count", "samples", "session_id", "several", "stored", "stored_sessions", "this_run", "version",
    "versions",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::own_columns;

    fn column(name: &str, from: &str, value_type: &str) -> Declaration {
        let [name, from, value_type] = [name, from, value_type].map(str::to_owned);
        Declaration { name, from, value_type, ..Declaration::default() }
    }

    fn refusal(declared: &[Declaration]) -> String {
        own_columns(declared).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_declared_is_a_column_of_its_tables_and_no_other() {
        let mut of_users = column("plan_tier", "first", "text");
        of_users.users = Some("count_distinct".to_owned());
        let mut of_model = column("depth", "max", "float");
        of_model.source = Some("vertical_percentage_scrolled".to_owned());
        let own = own_columns(&[of_users, of_model]).expect("valid");
        let names = |columns: Vec<Column>| columns.iter().map(|column| column.name.to_string()).collect::<Vec<_>>();
        let model = || vec![Column::new("vertical_percentage_scrolled", ColumnType::Float).unread()];
        assert_eq!(names(own.of_page_views(model())), ["vertical_percentage_scrolled", "plan_tier"]);
        assert_eq!(names(own.of_sessions(Vec::new())), ["plan_tier", "depth"]);
        assert_eq!(names(own.of_users(Vec::new())), ["plan_tier"]);
        assert_eq!(own.of_users(Vec::new())[0].column_type, ColumnType::BigInteger);
        // A row is told from another by each column that something is computed of.
        assert!(own.of_page_views(model()).iter().all(|column| !column.unread));
        assert!(OwnColumns::default().of_page_views(model()).iter().all(|column| column.unread));
    }

    #[test]
    fn injections_through_names_sources_and_words_are_refused() {
        for name in [
            "x; DROP TABLE sessions",
            "x, (SELECT 1)",
            "x -- ",
            "x\"",
            "x'",
            "x`y",
            "",
            "1x",
            "_x",
            "x y",
            "plan.tier",
            "select",
            "order",
            "user",
            "ctid",
            "rowid",
            "{{ columns }}",
            "naïve",
            "X",
        ] {
            assert!(refusal(&[column(name, "first", "text")]).contains("name: "), "{name}");
            let mut by_source = column("fine", "first", "text");
            by_source.source = Some(name.to_owned());
            assert!(refusal(&[by_source]).contains("\"fine\": source: "), "{name}");
        }
        let mut by_sql = column("fine", "first", "text");
        by_sql.sql = Some("1) AS fine, (SELECT 1".to_owned());
        assert!(refusal(&[by_sql]).starts_with("[[column]] \"fine\": sql: must be one expression"));
        for (from, value_type) in [("first); --", "text"), ("first", "text)")] {
            assert!(refusal(&[column("fine", from, value_type)]).contains("unknown"), "{from} {value_type}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let twice = || column("plan", "first", "text");
        for (declared, words) in [
            (vec![column("plan", "frist", "text")], "from: unknown word \"frist\"; did you mean \"first\""),
            (vec![column("plan", "first", "txt")], "type: unknown type \"txt\"; did you mean \"text\""),
            (vec![column("plan", "sum", "text")], "from: sum is of numbers"),
            (vec![column("plan", "min", "boolean")], "any says whether one is true"),
            (vec![column("plan", "any", "text")], "of boolean and not of text"),
            (vec![column("engaged_time_in_s", "sum", "integer")], "name: the model has a column of this name"),
            (vec![column("sessions", "first", "integer")], "name: \"sessions\" is a name that the model's SQL uses"),
            (vec![column("Plan", "first", "text")], "as \"plan\": names are compared without case"),
            (vec![twice(), twice()], "name: stands twice"),
            (vec![column("doc_width", "first", "text")], "type: doc_width of page views is integer"),
            (
                vec![twice(), Declaration { source: Some("plan".into()), ..column("other", "sum", "integer") }],
                "type: plan of page views is text",
            ),
            (
                vec![Declaration { source: Some("x".into()), sql: Some("1".into()), ..twice() }],
                "sql: stands instead of source",
            ),
            (vec![Declaration { users: Some("sum".into()), ..twice() }], "users: sum is of numbers"),
            (vec![Declaration { sql: Some("engaged_time".into()), ..twice() }], "did you mean \"engaged_time_in_s\""),
            (
                vec![
                    twice(),
                    Declaration { source: Some("page_url".into()), ..column("plan2", "first", "text") },
                    Declaration { sql: Some("1".into()), ..column("doc_width", "first", "integer") },
                ],
                "page views have a column of this name",
            ),
        ] {
            let error = refusal(&declared);
            assert!(error.contains(words), "{error}");
        }
    }

    /// A name that the SQL gives to something beside a table's columns would mean two things.
    #[test]
    fn no_column_has_a_name_that_the_models_sql_uses_for_something_else() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
        let none = crate::variables::Variables::default();
        let modules = crate::model::modules();
        let tables = crate::model::tables(&modules, &none);
        let wide = |table: &&crate::table::Table| ["page_views", "sessions", "users"].contains(&table.name);
        let of_wide: BTreeSet<&str> = tables.iter().filter(wide).flat_map(|table| table.column_names()).collect();
        let lists = [
            "{{ columns.",
            "{{ columns_with(",
            "{{ own_",
            "{{ differences(",
            "{{ sums(",
            "{{ largest_first(",
            "fingerprint(\"page_views_staged\")",
        ];
        let mut found = BTreeSet::new();
        for module in ["page_views", "sessions", "users"] {
            for file in std::fs::read_dir(folder.join(module)).expect("a folder").filter_map(Result::ok) {
                let text = std::fs::read_to_string(file.path()).expect("a file");
                if !lists.iter().any(|list| text.contains(list)) {
                    continue;
                }
                let text = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
                let words: Vec<&str> = text.split_whitespace().collect();
                let name = |word: &str| word.trim_matches(|letter: char| "(),{}".contains(letter)).to_owned();
                for pair in words.windows(2).filter(|pair| pair[0] == "AS") {
                    found.insert(name(pair[1]));
                }
                for pair in words.windows(2).filter(|pair| pair[1] == "AS") {
                    found.insert(name(pair[0]));
                }
            }
        }
        found.retain(|name| Identifier::new(name).is_ok() && !of_wide.contains(name.as_str()));
        assert!(found.len() > 30, "{found:?}");
        let of_scratch = ["number", "number_of_all", "copies", "repeated", "forms", "fingerprint", "row_count"];
        found.extend(of_scratch.map(str::to_owned));
        let free: Vec<String> = found.into_iter().filter(|name| check_name(name, &[]).is_ok()).collect();
        assert_eq!(free, Vec::<String>::new());
    }
}
