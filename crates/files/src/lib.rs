//! Files of page views, read strictly: CSV, NDJSON, JSON arrays and Parquet, plain or compressed, give the same rows for every
//! warehouse. A file is read whole or refused whole, in bounded memory.

mod batch;
mod content;
mod copy;
mod csv;
mod error;
mod field;
mod footer;
mod json;
mod loading;
mod number;
mod parquet;
mod reader;
mod rejects;
mod source;
mod timestamp;
mod unwinding;
mod value;

pub use batch::{Batch, MOST_ROWS, Rows};
pub use content::LONGEST_ROW;
pub use copy::write_copy_text;
pub use error::{Error, Fault};
pub use field::{ColumnType, Columns, Field};
pub use loading::Loading;
pub use reader::{Reader, delimiter, null};
pub use rejects::Rejects;
pub use source::{COMPRESSED_ENDINGS, ENDINGS, Sources};
pub use timestamp::time_zone;
pub use value::Value;
pub use websessions_core::files::{Files, Position, Progress, ReadOptions, Source, TimeFormat};
