//! What a user's SQL does, as far as its words and its statements tell: it is never split, and never changed.

use sqlparser::ast::{ObjectName, Statement, TableFactor, TableObject, Visit, Visitor};
use sqlparser::dialect::{Dialect, GenericDialect, dialect_from_str};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A name in SQL: its parts without quotes, in lower case.
pub(crate) type Name = Vec<String>;

/// The words of a script, comments left out.
pub(crate) struct Words {
    tokens: Vec<TokenWithSpan>,
    is_whole: bool,
}

impl Words {
    /// Reads a script in one of our dialects, as far as it can be read.
    pub(crate) fn of(sql: &str, dialect: &str) -> Self {
        let dialect = parser_dialect(dialect);
        let mut tokens = Vec::new();
        let is_whole = Tokenizer::new(&*dialect, sql).tokenize_with_location_into_buf(&mut tokens).is_ok();
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        Self { tokens, is_whole }
    }

    /// Whether there is nothing but comments: a warehouse may refuse that, and there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_whole && self.tokens.iter().all(|token| matches!(token.token, Token::SemiColon))
    }

    /// Whether a name stands in it, as the last part of whatever path.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let is_named = |word: &str| word.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
        self.tokens.iter().any(|token| matches!(&token.token, Token::Word(word) if is_named(&word.value)))
    }

    /// The procedures that it calls, each with its line.
    pub(crate) fn calls(&self) -> Vec<(Name, usize)> {
        let positions = (0..self.tokens.len()).filter(|position| self.is_word(*position, "call"));
        positions.filter_map(|position| Some((self.name_at(position + 1)?, line(&self.tokens[position])))).collect()
    }

    /// The procedures and functions that it makes.
    pub(crate) fn makes(&self) -> Vec<Name> {
        let positions = (0..self.tokens.len())
            .filter(|position| self.is_word(*position, "procedure") || self.is_word(*position, "function"));
        let made = positions.filter(|position| {
            let before = (1..=4).map_while(|distance| position.checked_sub(distance));
            before.into_iter().any(|before| self.is_word(before, "create"))
        });
        made.filter_map(|position| {
            let skipped = if self.is_word(position + 1, "if") { 3 } else { 0 };
            self.name_at(position + 1 + skipped)
        })
        .collect()
    }

    fn is_word(&self, position: usize, expected: &str) -> bool {
        let word = self.tokens.get(position).map(|token| &token.token);
        matches!(word, Some(Token::Word(word)) if word.value.eq_ignore_ascii_case(expected))
    }

    fn name_at(&self, position: usize) -> Option<Name> {
        let mut name = Vec::new();
        for token in self.tokens.get(position..)? {
            match &token.token {
                // Backticks may hold a whole path.
                Token::Word(word) => name.extend(word.value.split('.').map(str::to_lowercase)),
                Token::Period => {}
                _ => break,
            }
            if name.len() > 4 {
                break;
            }
        }
        (!name.is_empty()).then_some(name)
    }
}

fn line(token: &TokenWithSpan) -> usize {
    usize::try_from(token.span.start.line).unwrap_or(0)
}

/// What a statement does to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// It adds rows.
    Appends,
    /// It makes the table if it is missing.
    Makes,
    /// It changes or removes rows.
    Rows,
    /// It drops the table.
    Drops,
    /// It makes the table, or another one in its place.
    Replaces,
    /// It changes its columns, its name or the like.
    Alters,
    /// It makes an index of it.
    Indexes,
}

/// The tables that statements change, other than temporary ones, and how; an error says what is not understood, and its
/// line.
pub(crate) fn tables_changed(
    sql: &str,
    dialect: &str,
) -> Result<BTreeMap<Name, BTreeSet<Change>>, (String, Option<usize>)> {
    let statements = Parser::parse_sql(&*parser_dialect(dialect), sql).map_err(|error| {
        let words = error.to_string();
        let line = words.rsplit_once("Line: ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        (words, line)
    })?;
    let mut written = Written(BTreeMap::new());
    let _ = statements.visit(&mut written);
    Ok(written.0)
}

/// A script that is one query, without the semicolon that may end it.
pub(crate) fn query(sql: &str, dialect: &str) -> Result<String, String> {
    let words = Words::of(sql, dialect);
    if !words.is_whole {
        return Err("it can't be read to its end".to_owned());
    }
    if !words.is_word(0, "select") && !words.is_word(0, "with") {
        return Err("it must be a query: SELECT, or WITH".to_owned());
    }
    let ends: Vec<usize> = (0..words.tokens.len()).filter(|at| words.tokens[*at].token == Token::SemiColon).collect();
    let Some(first) = ends.first().copied() else { return Ok(sql.to_owned()) };
    if words.tokens[first..].iter().any(|token| token.token != Token::SemiColon) {
        return Err(format!(
            "it must be one query, and another statement follows in line {}",
            line(&words.tokens[first])
        ));
    }
    let end = words.tokens[first].span.start;
    let kept = sql.lines().enumerate().map_while(|(number, text)| {
        let number = u64::try_from(number).ok()? + 1;
        let column = usize::try_from(end.column).ok()?.saturating_sub(1);
        match number.cmp(&end.line) {
            std::cmp::Ordering::Less => Some(text.to_owned()),
            std::cmp::Ordering::Equal => Some(text.chars().take(column).collect()),
            std::cmp::Ordering::Greater => None,
        }
    });
    Ok(kept.collect::<Vec<String>>().join("\n"))
}

/// Whether a script names one of some tables, in whatever schema.
pub fn names_any(sql: &str, dialect: &str, tables: &[String]) -> bool {
    let words = Words::of(sql, dialect);
    tables.iter().any(|table| words.mentions(table))
}

/// Refuses what is not one condition: it stands within a statement of ours, and must end there.
pub fn check_condition(text: &str, dialect: &str) -> Result<(), String> {
    let dialect = parser_dialect(dialect);
    let mut parser = Parser::new(&*dialect).try_with_sql(text).map_err(|error| error.to_string())?;
    parser.parse_expr().map_err(|error| error.to_string())?;
    match parser.peek_token().token {
        Token::EOF => Ok(()),
        token => Err(format!("it should end before {token}")),
    }
}

/// sqlparser's dialect for one of ours.
fn parser_dialect(name: &str) -> Box<dyn Dialect> {
    dialect_from_str(name).unwrap_or_else(|| Box::new(GenericDialect {}))
}

/// The tables that statements change.
struct Written(BTreeMap<Name, BTreeSet<Change>>);

impl Written {
    fn table(&mut self, name: &ObjectName, change: Change) {
        let parts = name.0.iter().flat_map(|part| {
            let text = part.to_string();
            // BigQuery's backticks may hold a whole path.
            let bare = text.trim_matches(['"', '`', '\'', '[', ']']).to_lowercase();
            bare.split('.').map(str::to_owned).collect::<Vec<_>>()
        });
        self.0.entry(parts.collect()).or_default().insert(change);
    }

    fn rows(&mut self, factor: &TableFactor) {
        if let TableFactor::Table { name, .. } = factor {
            self.table(name, Change::Rows);
        }
    }
}

impl Visitor for Written {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Insert(insert) => {
                if let TableObject::TableName(name) = &insert.table {
                    self.table(name, if insert.overwrite { Change::Rows } else { Change::Appends });
                }
            }
            Statement::Update(update) => self.rows(&update.table.relation),
            Statement::Delete(delete) => {
                let from = match &delete.from {
                    sqlparser::ast::FromTable::WithFromKeyword(tables)
                    | sqlparser::ast::FromTable::WithoutKeyword(tables) => tables,
                };
                from.iter().for_each(|table| self.rows(&table.relation));
                delete.tables.iter().for_each(|table| self.table(table, Change::Rows));
            }
            Statement::Merge(merge) => self.rows(&merge.table),
            Statement::Truncate(truncate) => {
                truncate.table_names.iter().for_each(|table| self.table(&table.name, Change::Rows));
            }
            Statement::Drop { names, .. } => names.iter().for_each(|name| self.table(name, Change::Drops)),
            Statement::CreateTable(create) if !create.temporary => {
                self.table(&create.name, if create.if_not_exists { Change::Makes } else { Change::Replaces });
            }
            Statement::CreateView(create) if !create.temporary => self.table(&create.name, Change::Replaces),
            Statement::AlterTable(alter) => self.table(&alter.name, Change::Alters),
            Statement::AlterView(alter) => self.table(&alter.name, Change::Alters),
            // One that admits no row twice is a rule for the rows.
            Statement::CreateIndex(index) if index.unique => self.table(&index.table_name, Change::Alters),
            Statement::CreateIndex(index) => self.table(&index.table_name, Change::Indexes),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECTS: [&str; 5] = ["duckdb", "postgres", "redshift", "snowflake", "bigquery"];

    #[test]
    fn a_script_of_comments_has_nothing_to_run() {
        for dialect in DIALECTS {
            for sql in ["", " \n", "-- nothing\n", "/* nothing */ ;\n;"] {
                assert!(Words::of(sql, dialect).is_empty(), "{dialect}: {sql:?}");
            }
            for sql in ["SELECT 1", "-- x\nSELECT 1;", "'"] {
                assert!(!Words::of(sql, dialect).is_empty(), "{dialect}: {sql:?}");
            }
        }
        assert!(!Words::of("DO $$ BEGIN END $$", "postgres").is_empty());
    }

    #[test]
    fn procedures_are_known_where_they_are_made_and_called() {
        for (dialect, sql, made) in [
            (
                "snowflake",
                "CREATE OR REPLACE PROCEDURE derived.tidy(x STRING) RETURNS STRING LANGUAGE JAVASCRIPT AS $$ return 1; $$;",
                "derived.tidy",
            ),
            ("bigquery", "CREATE OR REPLACE FUNCTION derived.Twice(x INT64) AS (x * 2);", "derived.twice"),
            ("bigquery", "CREATE PROCEDURE IF NOT EXISTS `p.derived.tidy`() BEGIN SELECT 1; END;", "p.derived.tidy"),
            ("postgres", "CREATE FUNCTION pg_temp.one() RETURNS int LANGUAGE sql AS $f$ SELECT 1 $f$", "pg_temp.one"),
            ("postgres", "DROP PROCEDURE derived.tidy", ""),
        ] {
            let found: Vec<String> = Words::of(sql, dialect).makes().iter().map(|name| name.join(".")).collect();
            assert_eq!(found.join(" "), made, "{dialect}: {sql}");
        }
        let called = Words::of(
            "-- CALL a.b()\nSELECT 'CALL c.d()';\nCALL derived.tidy('x'); CALL `p.derived.two`(1)",
            "bigquery",
        )
        .calls();
        let expected = [("derived.tidy".to_owned(), 3), ("p.derived.two".to_owned(), 3)];
        assert_eq!(called.iter().map(|(name, line)| (name.join("."), *line)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_tables_that_statements_change_are_known() {
        for (sql, change) in [
            ("INSERT INTO a.b SELECT * FROM c.d", Change::Appends),
            ("UPDATE a.b SET x = 1", Change::Rows),
            ("DELETE FROM a.b WHERE x = 1", Change::Rows),
            ("TRUNCATE TABLE a.b", Change::Rows),
            ("DROP TABLE IF EXISTS a.b", Change::Drops),
            ("CREATE TABLE a.b AS SELECT * FROM c.d", Change::Replaces),
            ("CREATE TABLE IF NOT EXISTS a.b (x INT)", Change::Makes),
            ("CREATE VIEW a.b AS SELECT * FROM c.d", Change::Replaces),
            ("ALTER TABLE a.b ADD COLUMN x INT", Change::Alters),
            ("CREATE INDEX by_x ON a.b (x)", Change::Indexes),
            ("CREATE TEMPORARY TABLE t (x INT); WITH q AS (SELECT 1) INSERT INTO A.B SELECT * FROM q", Change::Appends),
        ] {
            for dialect in ["postgres", "redshift", "snowflake", "duckdb"] {
                let changed =
                    tables_changed(sql, dialect).unwrap_or_else(|(problem, _)| panic!("{dialect}: {problem}"));
                let found: Vec<_> =
                    changed.iter().map(|(name, changes)| (name.join("."), changes.iter().copied().collect())).collect();
                assert_eq!(found, [("a.b".to_owned(), vec![change])], "{dialect}: {sql}");
            }
        }
        assert_eq!(tables_changed("SELECT 1;\nthis is no SQL", "postgres").map_err(|(_, line)| line), Err(Some(2)));
    }

    #[test]
    fn a_query_is_one_select_and_its_end_is_left_out() {
        assert_eq!(query("SELECT 1 AS one", "duckdb"), Ok("SELECT 1 AS one".to_owned()));
        assert_eq!(query("-- é\nSELECT ';' AS é; -- done\n;\n", "postgres"), Ok("-- é\nSELECT ';' AS é".to_owned()));
        assert_eq!(
            query("WITH a AS (SELECT 1) SELECT 2\n;", "bigquery"),
            Ok("WITH a AS (SELECT 1) SELECT 2\n".to_owned())
        );
        for wrong in ["", "-- nothing", "DELETE FROM a", "SELECT 1; DELETE FROM a", "SELECT 'open"] {
            assert!(query(wrong, "duckdb").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_condition_is_one_condition() {
        for right in ["page_views > 3", "a = 'x; y' AND (b IS NULL OR c IN (1, 2))", "a >= '2026-01-01' -- why"] {
            assert_eq!(check_condition(right, "postgres"), Ok(()), "{right}");
        }
        for wrong in ["", "1 = 1; DROP TABLE x", "1 = 1) OR (1 = 1", "1 = 1 LIMIT 3", "1 = 1 UNION SELECT 2", "'open"] {
            assert!(check_condition(wrong, "postgres").is_err(), "{wrong}");
        }
    }
}
