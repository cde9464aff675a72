//! What a user's SQL does, as far as its words and its statements tell: it is never split, and never changed.

use sqlparser::ast::{
    AlterSchemaOperation, AlterTableOperation, CopyIntoSnowflakeKind, CopySource, ObjectName, ObjectType,
    RenameTableNameKind, SetExpr, Statement, TableFactor, TableObject, Visit, Visitor,
};
use sqlparser::dialect::{Dialect, GenericDialect, dialect_from_str};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

/// A name in SQL: its parts without quotes, in lower case.
pub(crate) type Name = Vec<String>;

/// What may stand between CREATE or DROP and TABLE or VIEW.
const KINDS_OF_TABLES: [&str; 7] = ["or", "replace", "temp", "temporary", "transient", "unlogged", "materialized"];

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
        (0..self.tokens.len()).any(|position| self.is_named(position, name))
    }

    /// The first line that names a table which must be there then: not as one that it makes, nor as one that it drops if
    /// it is there.
    pub(crate) fn needs(&self, name: &str) -> Option<usize> {
        let others: BTreeSet<usize> =
            (0..self.tokens.len()).flat_map(|position| self.made_or_dropped(position)).collect();
        let needed = (0..self.tokens.len()).find(|at| !others.contains(at) && self.is_named(*at, name))?;
        Some(line(&self.tokens[needed]))
    }

    /// Where the names stand of what a statement that begins here makes, or drops if it is there.
    fn made_or_dropped(&self, position: usize) -> Range<usize> {
        let is_one_of = |at: usize, words: &[&str]| words.iter().any(|word| self.is_word(at, word));
        let after = |at: usize, words: &[&str]| (at..).find(|at| !is_one_of(*at, words)).unwrap_or(at);
        let kind = after(position + 1, &KINDS_OF_TABLES);
        let first = after(kind + 1, &["if", "not", "exists"]);
        let is_either = self.is_word(position, "create") || (self.is_word(position, "drop") && first > kind + 1);
        if !is_either || !is_one_of(kind, &["table", "view"]) {
            return 0..0;
        }
        let mut end = first + 1;
        while self.tokens.get(end).is_some_and(|token| matches!(token.token, Token::Period | Token::Comma)) {
            end += 2;
        }
        first..end
    }

    fn is_named(&self, position: usize, name: &str) -> bool {
        let is_named = |word: &str| word.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
        matches!(self.tokens.get(position).map(|token| &token.token), Some(Token::Word(word)) if is_named(&word.value))
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

/// What statements change, temporary tables aside. Also of a script in which something is not understood, which is said
/// with its line: a block of a warehouse's own language, for one, hides no other statement.
pub(crate) fn changed(sql: &str, dialect: &str) -> (Changed, Option<(String, Option<usize>)>) {
    let parser = parser_dialect(dialect);
    let mut written = Written(Changed::default());
    let Err(error) = Parser::parse_sql(&*parser, sql).map(|statements| statements.visit(&mut written)) else {
        return (written.0, None);
    };
    let words = error.to_string();
    let line = words.rsplit_once("Line: ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
    for statement in Words::of(sql, dialect).tokens.split(|token| token.token == Token::SemiColon) {
        let parsed = Parser::new(&*parser).with_tokens_with_locations(statement.to_vec()).parse_statements();
        let _ = parsed.map(|statements| statements.visit(&mut written));
    }
    // What was not understood may have ended it.
    (Changed { is_open: false, ..written.0 }, Some((words, line)))
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

/// What keeps a parser from reading SQL, if something does: the warehouse may read it all the same.
pub fn problem_of(sql: &str, dialect: &str) -> Option<String> {
    match Parser::parse_sql(&*parser_dialect(dialect), sql).err()? {
        ParserError::ParserError(problem) | ParserError::TokenizerError(problem) => Some(problem),
        error @ ParserError::RecursionLimitExceeded => Some(error.to_string()),
    }
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

fn is_rename(operation: &AlterSchemaOperation) -> bool {
    matches!(operation, AlterSchemaOperation::Rename { .. })
}

/// What statements change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The tables, and how.
    pub(crate) tables: BTreeMap<Name, BTreeSet<Change>>,
    /// The schemas that are dropped, or get another name.
    pub(crate) schemas: BTreeSet<Name>,
    /// Whether a transaction is begun and not ended.
    pub(crate) is_open: bool,
}

struct Written(Changed);

/// The parts of a name, as they compare.
fn parts(name: &ObjectName) -> Name {
    let parts = name.0.iter().flat_map(|part| {
        let text = part.to_string();
        // BigQuery's backticks may hold a whole path.
        let bare = text.trim_matches(['"', '`', '\'', '[', ']']).to_lowercase();
        bare.split('.').map(str::to_owned).collect::<Vec<_>>()
    });
    parts.collect()
}

impl Written {
    fn table(&mut self, name: &ObjectName, change: Change) {
        self.0.tables.entry(parts(name)).or_default().insert(change);
    }

    /// A table that is named where SQL has an expression.
    fn named(&mut self, name: &str, change: Change) {
        let parts = name.split('.').map(|part| part.trim_matches(['"', '`']).to_lowercase());
        self.0.tables.entry(parts.collect()).or_default().insert(change);
    }

    /// A table gets another's name: in its own schema, unless that says another.
    fn renamed(&mut self, from: &ObjectName, to: &ObjectName) {
        let (from, mut to) = (parts(from), parts(to));
        if to.len() == 1 && from.len() > 1 {
            to.splice(0..0, from[..from.len() - 1].iter().cloned());
        }
        self.0.tables.entry(to).or_default().insert(Change::Replaces);
    }

    fn schema(&mut self, name: &ObjectName) {
        self.0.schemas.insert(parts(name));
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
            Statement::Drop { object_type: ObjectType::Schema | ObjectType::Database, names, .. } => {
                names.iter().for_each(|name| self.schema(name));
            }
            Statement::Drop { names, .. } => names.iter().for_each(|name| self.table(name, Change::Drops)),
            Statement::AlterSchema(alter) if alter.operations.iter().any(is_rename) => self.schema(&alter.name),
            Statement::Copy { source: CopySource::Table { table_name, .. }, to: false, .. } => {
                self.table(table_name, Change::Appends);
            }
            Statement::CopyIntoSnowflake { kind: CopyIntoSnowflakeKind::Table, into, .. } => {
                self.table(into, Change::Appends);
            }
            Statement::Query(query) => {
                if let SetExpr::Select(select) = &*query.body
                    && let Some(into) = select.into.as_ref().filter(|into| !into.temporary)
                {
                    into.targets.iter().for_each(|target| self.named(&target.to_string(), Change::Replaces));
                }
            }
            Statement::StartTransaction { statements, has_end_keyword: false, .. } if statements.is_empty() => {
                self.0.is_open = true;
            }
            Statement::Commit { .. } | Statement::Rollback { savepoint: None, .. } => self.0.is_open = false,
            Statement::CreateTable(create) if !create.temporary => {
                self.table(&create.name, if create.if_not_exists { Change::Makes } else { Change::Replaces });
            }
            Statement::CreateView(create) if !create.temporary => self.table(&create.name, Change::Replaces),
            Statement::AlterTable(alter) => {
                self.table(&alter.name, Change::Alters);
                for operation in &alter.operations {
                    match operation {
                        AlterTableOperation::RenameTable {
                            table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name),
                        } => self.renamed(&alter.name, name),
                        AlterTableOperation::SwapWith { table_name } => self.table(table_name, Change::Replaces),
                        _ => {}
                    }
                }
            }
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
    fn a_table_is_needed_where_it_is_not_made_nor_dropped_if_it_is_there() {
        for (sql, needed) in [
            ("DROP TABLE IF EXISTS a.b", None),
            ("DROP VIEW IF EXISTS a.c, a.\"B\" CASCADE; SELECT 1", None),
            ("CREATE TABLE IF NOT EXISTS a.b (x INT)", None),
            ("CREATE OR REPLACE TABLE b AS SELECT 1 AS x", None),
            ("SELECT 1 AS b_c -- b", None),
            ("DROP TABLE a.b", Some(1)),
            ("DROP TABLE IF EXISTS a.b;\nSELECT * FROM a.b", Some(2)),
            ("CREATE TABLE a.c AS\nSELECT * FROM a.b", Some(2)),
            ("DELETE FROM a.b", Some(1)),
            ("ALTER TABLE IF EXISTS a.b RENAME TO c", Some(1)),
        ] {
            for dialect in DIALECTS {
                assert_eq!(Words::of(sql, dialect).needs("b"), needed, "{dialect}: {sql}");
            }
        }
        assert_eq!(Words::of("DROP TABLE IF EXISTS `p.a.b`;\nSELECT * FROM `p.a.b`", "bigquery").needs("b"), Some(2));
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
                let changed = understood(sql, dialect);
                let found: Vec<_> = changed
                    .tables
                    .iter()
                    .map(|(name, changes)| (name.join("."), changes.iter().copied().collect()))
                    .collect();
                assert_eq!(found, [("a.b".to_owned(), vec![change])], "{dialect}: {sql}");
            }
        }
        let (changed, problem) = changed(
            "DELETE FROM a.b; DO $$ BEGIN DELETE FROM a.c; END $$;\nthis is no SQL;\nDROP TABLE a.d",
            "postgres",
        );
        assert_eq!(problem.and_then(|(_, line)| line), Some(1), "what comes first");
        assert_eq!(changed.tables.keys().map(|name| name.join(".")).collect::<Vec<_>>(), ["a.b", "a.d"]);
    }

    fn understood(sql: &str, dialect: &str) -> Changed {
        match changed(sql, dialect) {
            (changed, None) => changed,
            (_, Some((problem, _))) => panic!("{dialect}: {sql}: {problem}"),
        }
    }

    #[test]
    fn a_table_that_another_statement_makes_or_fills_is_changed_too() {
        for (dialect, sql, table, change) in [
            ("duckdb", "COPY a.b FROM 'x.csv'", "a.b", Change::Appends),
            ("redshift", "COPY a.b FROM 's3://bucket/x' IAM_ROLE DEFAULT", "a.b", Change::Appends),
            ("snowflake", "COPY INTO a.b FROM @stage", "a.b", Change::Appends),
            ("postgres", "SELECT 1 AS x INTO a.b", "a.b", Change::Replaces),
            ("redshift", "SELECT * INTO a.b FROM c.d", "a.b", Change::Replaces),
            ("postgres", "ALTER TABLE a.c RENAME TO b", "a.b", Change::Replaces),
            ("snowflake", "ALTER TABLE x.c SWAP WITH a.b", "a.b", Change::Replaces),
        ] {
            let changed = understood(sql, dialect);
            let name: Name = table.split('.').map(str::to_owned).collect();
            assert!(changed.tables.get(&name).is_some_and(|changes| changes.contains(&change)), "{sql}: {changed:?}");
        }
        for sql in ["COPY a.b TO 'x.csv'", "SELECT 1 AS x INTO TEMPORARY b", "SELECT * FROM a.b"] {
            assert_eq!(understood(sql, "postgres").tables.len(), 0, "{sql}");
        }
    }

    #[test]
    fn schemas_that_go_and_transactions_that_stay_open_are_known() {
        for (sql, schemas) in [
            ("DROP SCHEMA a CASCADE", "a"),
            ("DROP SCHEMA IF EXISTS p.\"A\"", "p.a"),
            ("ALTER SCHEMA a RENAME TO b", "a"),
            ("ALTER SCHEMA a OWNER TO b", ""),
            ("CREATE SCHEMA a; DROP TABLE b.a", ""),
        ] {
            let found = understood(sql, "postgres").schemas;
            assert_eq!(found.iter().map(|name| name.join(".")).collect::<Vec<_>>().join(" "), schemas, "{sql}");
        }
        let options = understood("ALTER SCHEMA a SET OPTIONS (description = 'x')", "bigquery");
        assert_eq!(options.schemas.len(), 0, "{options:?}");
        for (dialect, sql, is_open) in [
            ("duckdb", "BEGIN; INSERT INTO a.b SELECT 1", true),
            ("postgres", "START TRANSACTION; INSERT INTO a.b SELECT 1; SAVEPOINT s; ROLLBACK TO SAVEPOINT s", true),
            ("redshift", "BEGIN; COMMIT; BEGIN; DELETE FROM a.b;", true),
            ("duckdb", "BEGIN TRANSACTION; INSERT INTO a.b SELECT 1; COMMIT", false),
            ("redshift", "BEGIN; INSERT INTO a.b SELECT 1; END;", false),
            ("snowflake", "BEGIN; INSERT INTO a.b SELECT 1; COMMIT;", false),
            ("snowflake", "BEGIN INSERT INTO a.b SELECT 1; END;", false),
            ("bigquery", "BEGIN TRANSACTION; INSERT INTO a.b SELECT 1; ROLLBACK TRANSACTION;", false),
            ("bigquery", "BEGIN INSERT INTO a.b SELECT 1; EXCEPTION WHEN ERROR THEN SELECT 1; END;", false),
        ] {
            let found = understood(sql, dialect);
            assert_eq!(found.is_open, is_open, "{dialect}: {sql}");
        }
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
