//! The footer of a Parquet file has no checksum, but names each column and its type twice: once for the file, once for each
//! group of rows. Readers use one of the two; a damaged one would be another column without a word, so they are compared.

use std::collections::BTreeSet;
use std::io::Cursor;
use thrift::protocol::{TCompactInputProtocol, TInputProtocol, TType};

type Protocol<'a> = TCompactInputProtocol<Cursor<&'a [u8]>>;

/// A column: its physical type, and its name with those of the groups that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Column {
    physical: Option<i32>,
    path: Vec<String>,
    encrypted: bool,
}

/// An element of the schema: a column, or a group of the next so many elements.
#[derive(Default)]
struct Element {
    physical: Option<i32>,
    name: String,
    children: i32,
}

/// Checks the footer, without its length and the mark at its end. Gives the columns, or groups of them, that are encrypted.
/// The numbers of the fields are those of <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.
pub(crate) fn check(footer: &[u8]) -> Result<BTreeSet<String>, String> {
    let (mut elements, mut groups) = (Vec::new(), Vec::new());
    let mut protocol = TCompactInputProtocol::new(Cursor::new(footer));
    fields(&mut protocol, &mut |protocol, field, kind| match (field, kind) {
        (2, TType::List) => list(protocol, &mut |protocol| {
            elements.push(element(protocol)?);
            Ok(())
        }),
        (4, TType::List) => list(protocol, &mut |protocol| {
            groups.push(group(protocol)?);
            Ok(())
        }),
        _ => protocol.skip(kind),
    })
    .map_err(|error| error.to_string())?;
    let mut columns = Vec::new();
    let mut elements = elements.into_iter();
    let root = elements.next().ok_or("it has no schema")?;
    leaves(&mut elements, root.children, &mut Vec::new(), &mut columns)?;
    let mut encrypted = BTreeSet::new();
    for group in &groups {
        if group.len() != columns.len() {
            return Err(format!("a group of rows has {} columns, the schema {}", group.len(), columns.len()));
        }
        for (chunk, column) in group.iter().zip(&columns) {
            // A writer may leave the names out.
            let is_named = chunk.path.is_empty() || chunk.path == column.path;
            if !is_named || chunk.physical != column.physical {
                let (name, other) = (column.path.join("."), chunk.path.join("."));
                return Err(format!(
                    "the column {name:?} of the schema is {other:?}, or of another type, in a group of rows"
                ));
            }
            if chunk.encrypted {
                encrypted.extend(column.path.first().cloned());
            }
        }
    }
    Ok(encrypted)
}

/// The columns among the elements, in order.
fn leaves(
    elements: &mut impl Iterator<Item = Element>,
    count: i32,
    path: &mut Vec<String>,
    columns: &mut Vec<Column>,
) -> Result<(), String> {
    const DEEPEST: usize = 100;
    if path.len() > DEEPEST {
        return Err("its schema is nested too deeply".to_owned());
    }
    for _ in 0..count {
        let element = elements.next().ok_or("its schema ends too early")?;
        path.push(element.name);
        match element.children {
            0 => columns.push(Column { physical: element.physical, path: path.clone(), encrypted: false }),
            children => leaves(elements, children, path, columns)?,
        }
        path.pop();
    }
    Ok(())
}

fn element(protocol: &mut Protocol<'_>) -> thrift::Result<Element> {
    let mut element = Element::default();
    fields(protocol, &mut |protocol, field, kind| {
        match (field, kind) {
            (1, TType::I32) => element.physical = Some(protocol.read_i32()?),
            (4, TType::String) => element.name = protocol.read_string()?,
            (5, TType::I32) => element.children = protocol.read_i32()?,
            _ => protocol.skip(kind)?,
        }
        Ok(())
    })?;
    Ok(element)
}

/// The columns of a group of rows.
fn group(protocol: &mut Protocol<'_>) -> thrift::Result<Vec<Column>> {
    let mut columns = Vec::new();
    fields(protocol, &mut |protocol, field, kind| match (field, kind) {
        (1, TType::List) => list(protocol, &mut |protocol| {
            let mut column = Column::default();
            fields(protocol, &mut |protocol, field, kind| match (field, kind) {
                (3, TType::Struct) => chunk(protocol, &mut column),
                // How it is encrypted, and what is encrypted of its description.
                (8 | 9, _) => {
                    column.encrypted = true;
                    protocol.skip(kind)
                }
                _ => protocol.skip(kind),
            })?;
            columns.push(column);
            Ok(())
        }),
        _ => protocol.skip(kind),
    })?;
    Ok(columns)
}

fn chunk(protocol: &mut Protocol<'_>, column: &mut Column) -> thrift::Result<()> {
    fields(protocol, &mut |protocol, field, kind| {
        match (field, kind) {
            (1, TType::I32) => column.physical = Some(protocol.read_i32()?),
            (3, TType::List) => list(protocol, &mut |protocol| {
                column.path.push(protocol.read_string()?);
                Ok(())
            })?,
            _ => protocol.skip(kind)?,
        }
        Ok(())
    })
}

/// Calls for each field of a struct.
fn fields(
    protocol: &mut Protocol<'_>,
    each: &mut dyn FnMut(&mut Protocol<'_>, i16, TType) -> thrift::Result<()>,
) -> thrift::Result<()> {
    protocol.read_struct_begin()?;
    loop {
        let field = protocol.read_field_begin()?;
        if field.field_type == TType::Stop {
            break;
        }
        each(protocol, field.id.unwrap_or_default(), field.field_type)?;
        protocol.read_field_end()?;
    }
    protocol.read_struct_end()
}

/// Calls for each element of a list.
fn list(
    protocol: &mut Protocol<'_>,
    each: &mut dyn FnMut(&mut Protocol<'_>) -> thrift::Result<()>,
) -> thrift::Result<()> {
    for _ in 0..protocol.read_list_begin()?.size {
        each(protocol)?;
    }
    protocol.read_list_end()
}
