//! Rows in the text format of Postgres' COPY: <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>.
//! Text, not CSV: there a line `\.` within a value ends the data of servers before version 18, here it can't stand.

use crate::batch::Batch;
use crate::timestamp;
use crate::value::Value;
use std::io::Write;

/// Appends the rows of a batch, for `COPY table (columns) FROM STDIN` without options.
pub fn write_copy_text(batch: &Batch, out: &mut Vec<u8>) {
    let rows = batch.rows();
    for row in 0..rows.len() {
        for (number, value) in rows.row(row).enumerate() {
            if number > 0 {
                out.push(b'\t');
            }
            write_value(value, out);
        }
        out.push(b'\n');
    }
}

fn write_value(value: Value<'_>, out: &mut Vec<u8>) {
    // Writing to memory can't fail.
    let _ = match value {
        Value::Null => out.write_all(b"\\N"),
        Value::Text(text) => {
            escape(text.as_bytes(), out);
            Ok(())
        }
        Value::Integer(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number:?}"),
        Value::Boolean(truth) => out.write_all(if truth { b"t" } else { b"f" }),
        Value::Timestamp(moment) => {
            timestamp::write(moment, out);
            Ok(())
        }
    };
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut kept = 0;
    for (at, byte) in text.iter().enumerate() {
        let escaped = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            _ => continue,
        };
        out.extend_from_slice(&text[kept..at]);
        out.extend_from_slice(&[b'\\', escaped]);
        kept = at + 1;
    }
    out.extend_from_slice(&text[kept..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::field::{ColumnType, Field};

    #[test]
    fn rows_are_lines_whatever_is_in_them() {
        let types =
            [ColumnType::Text, ColumnType::Integer, ColumnType::Float, ColumnType::Boolean, ColumnType::Timestamp];
        let fields = types.map(|column_type| Field { name: format!("{column_type:?}"), column_type, not_null: false });
        let mut builder = BatchBuilder::new(&fields);
        let values = [Value::Text("a\n\\.\n\tb\r"), Value::Integer(-5), Value::Float(0.1), Value::Boolean(true)];
        builder.append(&[values.as_slice(), &[Value::Timestamp(1_719_828_059_999_999)]].concat(), 0);
        builder.append(&[Value::Null; 5], 0);
        builder.append(
            &[Value::Text(""), Value::Null, Value::Float(1e300), Value::Boolean(false), Value::Timestamp(-1)],
            0,
        );
        let mut out = Vec::new();
        write_copy_text(&builder.finish().expect("a batch"), &mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "a\\n\\\\.\\n\\tb\\r\t-5\t0.1\tt\t2024-07-01 10:00:59.999999\n\\N\t\\N\t\\N\t\\N\t\\N\n\t\\N\t1e300\tf\t1969-12-31 23:59:59.999999\n"
        );
    }
}
