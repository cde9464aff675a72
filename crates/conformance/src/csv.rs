//! CSV as the scenarios have it: NULL is nothing between two commas, the empty string is `""`, a difference that CSV
//! libraries don't tell.

/// A cell; `None` is NULL.
pub type Cell = Option<String>;

/// Reads it: the names of its columns, and its rows.
pub fn parse_csv(text: &str) -> (Vec<String>, Vec<Vec<Cell>>) {
    let mut rows = records(text).into_iter();
    let columns = rows.next().unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect();
    (columns, rows.collect())
}

fn records(text: &str) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(mut quoted) => {
                let mut cell = String::new();
                loop {
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    cell.push_str(&quoted[..end]);
                    quoted = quoted.get(end + 1..).unwrap_or_default();
                    match quoted.strip_prefix('"') {
                        Some(more) => {
                            cell.push('"');
                            quoted = more;
                        }
                        None => break,
                    }
                }
                (Some(cell), quoted)
            }
            None => {
                let end = rest.find([',', '\r', '\n']).unwrap_or(rest.len());
                ((end > 0).then(|| rest[..end].to_owned()), &rest[end..])
            }
        };
        row.push(cell);
        match after.strip_prefix(',') {
            Some(next) => {
                if next.is_empty() || next.starts_with(['\r', '\n']) {
                    row.push(None);
                    rest = next;
                } else {
                    rest = next;
                    continue;
                }
            }
            None => rest = after,
        }
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\r', '\n'])).unwrap_or(rest);
        rows.push(std::mem::take(&mut row));
    }
    rows
}

/// Writes it.
pub(crate) fn write_csv(columns: &[String], rows: &[Vec<Cell>]) -> String {
    let quoted = |cell: &String| match cell.is_empty() || cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |row: &Vec<Cell>| {
        let cells: Vec<String> = row.iter().map(|cell| cell.as_ref().map(quoted).unwrap_or_default()).collect();
        cells.join(",") + "\n"
    };
    columns.join(",") + "\n" + &rows.iter().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_tells_null_from_the_empty_string() {
        let cell = |text: &str| Some(text.to_owned());
        assert_eq!(
            parse_csv("a,b,c\r\n1,,\"\"\n\"x\"\"y\n,\",2,\n"),
            (
                ["a", "b", "c"].map(str::to_owned).to_vec(),
                vec![vec![cell("1"), None, cell("")], vec![cell("x\"y\n,"), cell("2"), None]],
            )
        );
    }
}
