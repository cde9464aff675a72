//! A few rows of a table.

use super::Insight;
use crate::model::Select;
use crate::model::select::sql;
use crate::plan::Statement;
use crate::table::TableName;

const ROWS: Select = sql!("insight/rows");
const NEWEST_ROWS: Select = sql!("insight/newest_rows");

/// Which rows of a table, and which columns of them.
#[derive(Clone, Debug)]
pub struct Look {
    /// The table.
    pub table: TableName,
    /// The columns, as the warehouse spells them.
    pub columns: Vec<String>,
    /// The column by which the newest rows come first.
    pub time: Option<String>,
    /// A condition in the warehouse's own SQL, known to be one condition and no more.
    pub condition: Option<String>,
    /// At most so many rows.
    pub limit: u32,
}

impl Insight<'_> {
    /// A few rows.
    pub fn rows(&self, look: &Look) -> Statement {
        let quoted = |name: &String| self.dialect.quote(name);
        let columns: Vec<String> = look.columns.iter().map(quoted).collect();
        let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(",\n  ") };
        // A comment at its end ends with the line.
        let condition = look.condition.as_ref().map_or_else(|| "1 = 1".to_owned(), |own| format!("(\n{own}\n)"));
        let (name, limit) = (self.dialect.table(&look.table), look.limit.to_string());
        let time = look.time.as_ref().map(quoted).unwrap_or_default();
        let select = if look.time.is_some() { &NEWEST_ROWS } else { &ROWS };
        let values = [
            ("shown_columns", columns.as_str()),
            ("name", &name),
            ("condition", &condition),
            ("time", &time),
            ("limit", &limit),
        ];
        Statement::new(format!("rows of {}", look.table), self.select(select, &values))
    }
}
