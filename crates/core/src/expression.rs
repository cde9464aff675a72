//! One SQL expression of a user's over the columns of one row. It is parsed, and only what is known to be harmless and to give
//! the same value each time is let through; what stands in a statement is written from what was parsed, never the user's text.

use crate::did_you_mean::unknown;
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, InTarget, ObjectNamePart, UnaryOperator, Value, visit_expressions_mut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The functions that may be called: each gives a value of the values of one row, the same each time, and changes nothing. Not
/// every warehouse has every one.
pub const FUNCTIONS: &[&str] = &[
    "abs",
    "ascii",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "charindex",
    "chr",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "contains_substr",
    "date",
    "date_add",
    "date_diff",
    "date_part",
    "date_sub",
    "date_trunc",
    "dateadd",
    "datediff",
    "decode",
    "div",
    "ends_with",
    "endswith",
    "exp",
    "floor",
    "greatest",
    "if",
    "iff",
    "ifnull",
    "ilike",
    "initcap",
    "instr",
    "least",
    "left",
    "len",
    "length",
    "like",
    "ln",
    "log",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "mod",
    "nullif",
    "nullifzero",
    "nvl",
    "nvl2",
    "parse_url",
    "pow",
    "power",
    "regexp_contains",
    "regexp_count",
    "regexp_extract",
    "regexp_instr",
    "regexp_like",
    "regexp_matches",
    "regexp_replace",
    "regexp_substr",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "safe_divide",
    "sign",
    "split_part",
    "sqrt",
    "starts_with",
    "startswith",
    "strpos",
    "substr",
    "substring",
    "timestamp_add",
    "timestamp_diff",
    "timestamp_sub",
    "timestamp_trunc",
    "timestampadd",
    "timestampdiff",
    "to_char",
    "to_date",
    "to_number",
    "to_timestamp",
    "translate",
    "trim",
    "trunc",
    "upper",
    "zeroifnull",
];

/// Functions of many rows: what is done with the values of many page views is said beside the expression.
const OF_MANY_ROWS: &[&str] = &[
    "any_value",
    "approx_count_distinct",
    "arg_max",
    "arg_min",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "boolor_agg",
    "count",
    "count_if",
    "countif",
    "dense_rank",
    "every",
    "first",
    "first_value",
    "lag",
    "last",
    "last_value",
    "lead",
    "listagg",
    "logical_and",
    "logical_or",
    "max",
    "max_by",
    "mean",
    "median",
    "min",
    "min_by",
    "mode",
    "rank",
    "row_number",
    "stddev",
    "string_agg",
    "sum",
    "variance",
];

/// What functions of time count in, where they take it as a word.
const UNITS: &[&str] =
    &["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// The longest text.
const LONGEST: usize = 10_000;

/// An expression that was let through.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    parsed: Expr,
    columns: BTreeSet<String>,
}

impl Expression {
    /// Reads an expression over known columns. The error says what of it can't be.
    pub fn new(text: &str, known: &[&str]) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("has {} bytes, of at most {LONGEST}", text.len()));
        }
        if text.trim().is_empty() {
            return Err(
                "is empty: it is one expression over the columns of a page view, such as LOWER(mkt_medium)".to_owned()
            );
        }
        let dialect = GenericDialect {};
        let tokens = Tokenizer::new(&dialect, text).tokenize().map_err(|error| error.to_string())?;
        let is_comment = |token: &Token| {
            matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)))
        };
        if tokens.iter().any(is_comment) {
            return Err("may have no comment".to_owned());
        }
        let mut parser = Parser::new(&dialect).with_tokens(tokens);
        let mut parsed = parser.parse_expr().map_err(|error| format!("is no expression: {error}"))?;
        match parser.peek_token().token {
            Token::EOF => {}
            rest => return Err(format!("must be one expression, and goes on with {rest}")),
        }
        let mut columns = BTreeSet::new();
        check(&parsed, known, &mut columns)?;
        let _ = visit_expressions_mut(&mut parsed, |expression| {
            if let Expr::Identifier(name) = expression {
                name.value.make_ascii_lowercase();
            }
            ControlFlow::<()>::Continue(())
        });
        Ok(Self { parsed, columns })
    }

    /// The columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The SQL of it. Its columns are those of a row that goes by this name, if one is given.
    pub fn sql(&self, row: Option<&str>) -> String {
        let Some(row) = row else { return self.parsed.to_string() };
        let mut qualified = self.parsed.clone();
        let _ = visit_expressions_mut(&mut qualified, |expression| {
            if let Expr::Identifier(name) = expression
                && self.columns.contains(&name.value)
            {
                *expression = Expr::CompoundIdentifier(vec![Ident::new(row), name.clone()]);
            }
            ControlFlow::<()>::Continue(())
        });
        qualified.to_string()
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parsed.fmt(formatter)
    }
}

/// Lets an expression through if it and all of its parts are known, and gathers the columns that it reads.
fn check(expression: &Expr, known: &[&str], columns: &mut BTreeSet<String>) -> Result<(), String> {
    if let Expr::Identifier(name) = expression {
        columns.insert(column(name, known)?);
    }
    parts(expression, known)?.into_iter().try_for_each(|part| check(part, known, columns))
}

/// The parts of an expression, if it is of a kind that is known.
fn parts<'a>(expression: &'a Expr, known: &[&str]) -> Result<Vec<&'a Expr>, String> {
    use sqlparser::ast::DateTimeField::NoDateTime;
    let mut parts: Vec<&Expr> = Vec::new();
    match expression {
        Expr::Identifier(_) => {}
        Expr::Value(value) => literal(&value.value)?,
        Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
            data_type(&typed.data_type)?;
            literal(&typed.value.value)?;
        }
        Expr::Nested(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner) => parts.push(inner),
        Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Minus | UnaryOperator::Plus, expr } => parts.push(expr),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => parts.extend([&**left, right]),
        Expr::BinaryOp { left, op, right } => {
            operator(op)?;
            parts.extend([&**left, right]);
        }
        Expr::Between { expr, low, high, .. } => parts.extend([&**expr, low, high]),
        Expr::In { expr, target: InTarget::List(list), global: false, .. } => {
            parts.push(expr);
            parts.extend(list);
        }
        Expr::Like { expr, pattern, any: false, escape_char, .. }
        | Expr::ILike { expr, pattern, any: false, escape_char, .. }
        | Expr::SimilarTo { expr, pattern, escape_char, .. } => {
            parts.extend([&**expr, pattern]);
            parts.extend(escape_char.as_deref());
        }
        Expr::RLike { expr, pattern, .. } => parts.extend([&**expr, pattern]),
        Expr::Cast {
            kind: CastKind::Cast | CastKind::TryCast | CastKind::SafeCast | CastKind::DoubleColon,
            expr,
            data_type: to,
            format: None,
        } => {
            data_type(to)?;
            parts.push(expr);
        }
        Expr::Extract { expr, field, .. } => {
            if !UNITS.contains(&field.to_string().to_lowercase().as_str()) {
                return Err(unknown("part of a time", &field.to_string(), UNITS.iter().copied()));
            }
            parts.push(expr);
        }
        Expr::Ceil { expr, field: CeilFloorKind::Scale(scale) }
        | Expr::Floor { expr, field: CeilFloorKind::Scale(scale) } => {
            literal(&scale.value)?;
            parts.push(expr);
        }
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(NoDateTime) }
        | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(NoDateTime) } => parts.push(expr),
        Expr::Position { expr, r#in } => parts.extend([&**expr, r#in]),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            parts.push(expr);
            parts.extend(substring_from.as_deref());
            parts.extend(substring_for.as_deref());
        }
        Expr::Trim { expr, trim_what, trim_characters, .. } => {
            parts.push(expr);
            parts.extend(trim_what.as_deref());
            parts.extend(trim_characters.iter().flatten());
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            parts.extend(operand.as_deref());
            parts.extend(conditions.iter().flat_map(|when| [&when.condition, &when.result]));
            parts.extend(else_result.as_deref());
        }
        Expr::Function(function) => parts.extend(arguments(function, known)?),
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::In { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            return Err(format!("may have no subquery, and no array: {expression}"));
        }
        Expr::CompoundIdentifier(_) => {
            return Err(format!("names a column of one page view without anything before it, not as {expression}"));
        }
        _ => return Err(format!("may not have {expression}")),
    }
    Ok(parts)
}

fn column(name: &Ident, known: &[&str]) -> Result<String, String> {
    if name.quote_style.is_some() {
        return Err(format!("names columns without quotes, and writes text in single ones, not {name}"));
    }
    let wanted = name.value.to_ascii_lowercase();
    if known.contains(&wanted.as_str()) {
        Ok(wanted)
    } else {
        Err(unknown("column", &name.value, known.iter().copied()))
    }
}

/// Warehouses differ in how a quote, or a backslash, stands in a text: none has them.
fn literal(value: &Value) -> Result<(), String> {
    match value {
        Value::SingleQuotedString(text) => {
            match text.chars().find(|letter| matches!(letter, '\'' | '\\') || letter.is_control()) {
                None => Ok(()),
                Some(letter) => {
                    Err(format!("has the text {text:?} with {letter:?} in it, which warehouses read differently"))
                }
            }
        }
        Value::Number(_, false) | Value::Boolean(_) | Value::Null => Ok(()),
        Value::Placeholder(name) => Err(format!("may have no placeholder, as {name}")),
        other => Err(format!("writes text in plain single quotes, not as {other}")),
    }
}

fn operator(operator: &BinaryOperator) -> Result<(), String> {
    use BinaryOperator::*;
    match operator {
        Plus | Minus | Multiply | Divide | Modulo | StringConcat | Gt | Lt | GtEq | LtEq | Eq | NotEq | And | Or
        | PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch => Ok(()),
        other => Err(format!("may not have the operator {other}")),
    }
}

fn data_type(to: &DataType) -> Result<(), String> {
    use DataType::*;
    match to {
        Text | String(None) | Varchar(_) | Char(_) | Character(_) | CharacterVarying(_) | Numeric(_) | Decimal(_)
        | SmallInt(None) | Int(None) | Integer(None) | BigInt(None) | Int64 | Real | Float(_) | Float64 | Double(_)
        | DoublePrecision | Bool | Boolean | Date | Datetime(None) | Timestamp(..) | TimestampNtz(_) => Ok(()),
        other => Err(format!("may not make a value a {other}")),
    }
}

/// Functions that are known for what they give at one moment: the next run would give the same page view another value.
const OF_A_MOMENT: &[&str] = &[
    "clock_timestamp",
    "current_date",
    "current_datetime",
    "current_time",
    "current_timestamp",
    "gen_random_uuid",
    "generate_uuid",
    "getdate",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random",
    "sysdate",
    "today",
    "uuid",
    "uuid_string",
];

/// The arguments of a function of one row.
fn arguments<'a>(function: &'a Function, known: &[&str]) -> Result<Vec<&'a Expr>, String> {
    let name = match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] if name.quote_style.is_none() => name.value.to_ascii_lowercase(),
        _ => return Err(format!("may not call {}: a function goes by one name, without quotes", function.name)),
    };
    let is_plain = function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && !function.uses_odbc_syntax
        && matches!(function.parameters, FunctionArguments::None);
    if OF_MANY_ROWS.contains(&name.as_str()) || !is_plain {
        return Err(format!(
            "is computed for one page view: {function} is of many; from says what is done with the values of all"
        ));
    }
    if OF_A_MOMENT.contains(&name.as_str()) {
        return Err(format!(
            "gives a page view the same value in each run: {function} gives another one each time; a time of the page view's is a column, such as start_tstamp"
        ));
    }
    if !FUNCTIONS.contains(&name.as_str()) {
        return Err(unknown("function", &name, FUNCTIONS.iter().copied()));
    }
    let list = match &function.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => &list.args,
        _ => return Err(format!("may not have {function}: a function takes values")),
    };
    let mut arguments = Vec::new();
    for argument in list {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(unit)))
                if unit.quote_style.is_none()
                    && UNITS.contains(&unit.value.to_ascii_lowercase().as_str())
                    && !known.contains(&unit.value.to_ascii_lowercase().as_str()) => {}
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => arguments.push(value),
            other => return Err(format!("may not have {other} in {function}: a function takes values")),
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["page_url", "engaged_time_in_s", "plan_tier", "start_tstamp"];

    fn read(text: &str) -> Result<String, String> {
        Expression::new(text, KNOWN).map(|expression| expression.sql(Some("first_view")))
    }

    #[test]
    fn the_columns_of_a_row_are_qualified_and_nothing_else_is() {
        for (text, qualified) in [
            ("Plan_Tier", "first_view.plan_tier"),
            (
                "CASE WHEN page_url LIKE '%/thanks' THEN 1 ELSE 0 END",
                "CASE WHEN first_view.page_url LIKE '%/thanks' THEN 1 ELSE 0 END",
            ),
            ("coalesce(plan_tier, 'plan_tier')", "coalesce(first_view.plan_tier, 'plan_tier')"),
            (
                "engaged_time_in_s >= 10 AND plan_tier IN ('a', 'b')",
                "first_view.engaged_time_in_s >= 10 AND first_view.plan_tier IN ('a', 'b')",
            ),
            ("timestamp_trunc(start_tstamp, HOUR)", "timestamp_trunc(first_view.start_tstamp, hour)"),
            ("EXTRACT(HOUR FROM start_tstamp)", "EXTRACT(HOUR FROM first_view.start_tstamp)"),
            (
                "CAST(engaged_time_in_s AS VARCHAR(20)) || ' s'",
                "CAST(first_view.engaged_time_in_s AS VARCHAR(20)) || ' s'",
            ),
            ("substring(page_url FROM 1 FOR 5)", "SUBSTRING(first_view.page_url FROM 1 FOR 5)"),
        ] {
            assert_eq!(read(text), Ok(qualified.to_owned()), "{text}");
        }
        let columns = Expression::new("nullif(plan_tier, page_url)", KNOWN).expect("an expression");
        assert_eq!(columns.columns().collect::<Vec<_>>(), ["page_url", "plan_tier"]);
    }

    #[test]
    fn what_is_more_than_a_value_of_one_row_is_refused() {
        for (text, why) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("1 +", "is no expression"),
            ("1; DROP TABLE sessions", "goes on with ;"),
            ("1) AS x, (SELECT 1", "goes on with )"),
            ("1 AS x", "goes on with AS"),
            ("1, 2", "goes on with ,"),
            ("(SELECT max(plan_tier) FROM other)", "no subquery"),
            ("EXISTS (SELECT 1)", "no subquery"),
            ("plan_tier IN (SELECT 1)", "no subquery"),
            ("plan_tier = ANY (SELECT 1)", "no subquery"),
            ("plan_tier -- and more", "no comment"),
            ("plan_tier /* and more */", "no comment"),
            ("plan_tier # and more", ""),
            ("$1", "placeholder"),
            ("?", "placeholder"),
            (":name", ""),
            ("@@version", ""),
            ("sum(engaged_time_in_s)", "is of many"),
            ("row_number() OVER (ORDER BY plan_tier)", "is of many"),
            ("lower(plan_tier) OVER ()", "is of many"),
            ("lower(plan_tier) FILTER (WHERE 1 = 1)", "is of many"),
            ("pg_sleep(10)", "unknown function"),
            ("getenv('HOME')", "unknown function \"getenv\"; known are: abs, "),
            ("lenght(plan_tier)", "did you mean \"length\"?"),
            ("pg_catalog.lower(plan_tier)", "one name"),
            ("\"lower\"(plan_tier)", "one name"),
            ("random()", "the same value in each run"),
            ("current_timestamp", "the same value in each run"),
            ("NOW()", "the same value in each run"),
            ("read_text('/etc/passwd')", "unknown function"),
            ("plan_teir", "did you mean \"plan_tier\""),
            ("other.plan_tier", "without anything before it"),
            ("\"plan_tier\"", "without quotes"),
            ("`plan_tier`", "without quotes"),
            ("'it''s'", "warehouses read differently"),
            ("'\\' OR 1 = 1 OR '\\'", "warehouses read differently"),
            ("'a\nb'", "warehouses read differently"),
            ("E'\\x27'", "plain single quotes"),
            ("$$text$$", "plain single quotes"),
            ("N'text'", "plain single quotes"),
            ("X'00'", "plain single quotes"),
            ("CAST(plan_tier AS regclass)", "may not make a value"),
            ("CAST(plan_tier AS anything(1))", "may not make a value"),
            ("plan_tier::regclass", "may not make a value"),
            ("ARRAY[1]", "may not have"),
            ("plan_tier -> 'a'", "operator"),
            ("concat(*)", "takes values"),
            ("concat(DISTINCT plan_tier)", "takes values"),
            ("plan_tier COLLATE \"C\"", "may not have"),
            ("INTERVAL '1 day'", "may not have"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read(&"(".repeat(5000)).is_err());
        assert!(read(&format!("1{}", " + 1".repeat(9000))).is_err());
    }
}
