//! fakesnow, behind a proxy that fills in what its replies lack, and has it trim and hash as Snowflake does.

use crate::http::Proxy;
use crate::port::Port;
use crate::process::{Process, of, program};
use serde_json::{Value, json};

/// Starts fakesnow, and has it say which times are NULL. It says so of their seconds and nanoseconds, which can't be NULL by the
/// schema that it sends: readers that look refuse such a result.
const MASKS_NULLS: &str = "
import sys
import pyarrow as pa
import fakesnow.arrow as arrow
as_parts = arrow.timestamp_to_sf_struct
def masked(times):
    if isinstance(times, pa.ChunkedArray):
        times = times.combine_chunks()
    parts = as_parts(times)
    if not times.null_count:
        return parts
    columns = [part.fill_null(0) for part in parts.flatten()]
    fields = [parts.type.field(number) for number in range(parts.type.num_fields)]
    return pa.StructArray.from_arrays(columns, fields=fields, mask=times.is_null())
arrow.timestamp_to_sf_struct = masked
from fakesnow.cli import main
sys.exit(main())
";

/// A local server that speaks Snowflake's protocol. Dropping it stops it.
pub struct Fakesnow {
    _process: Process<1>,
    /// The proxy in front of it, which can break things.
    pub proxy: Proxy,
}

impl Fakesnow {
    /// Starts one.
    pub fn start() -> Self {
        let reserved = Port::reserve();
        let port = reserved.number;
        let mut command = of(&program("WEBSESSIONS_TEST_FAKESNOW").with_file_name("python"));
        let process = Process::start(command.args(["-c", MASKS_NULLS, "-s", "-p", &port.to_string()]), [reserved], "/");
        Self {
            _process: process,
            proxy: Proxy::start(&format!("http://127.0.0.1:{port}"), as_snowflake_does, fill_reply),
        }
    }

    /// Its endpoint.
    pub fn url(&self) -> &str {
        self.proxy.url()
    }
}

fn as_snowflake_does(request: &mut Value) {
    if let Some(sql) = request["sqlText"].as_str() {
        request["sqlText"] = sign_hashes(&keep_trim(sql)).into();
    }
}

/// A hash of Snowflake's is a signed number of 64 bits, one of fakesnow's has no sign and does not fit its columns of integers.
/// <https://docs.snowflake.com/en/sql-reference/functions/hash>
fn sign_hashes(sql: &str) -> String {
    const BEGINS: &str = "HASH(";
    let mut pieces = sql.split(BEGINS);
    let mut signed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let mut depth = 1;
        let end = piece.char_indices().find_map(|(place, character)| {
            depth += match character {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            (depth == 0).then_some(place)
        });
        match end {
            Some(end) => {
                let (columns, rest) = piece.split_at(end + 1);
                signed.push_str(&format!("({BEGINS}{columns} % 9223372036854775807){rest}"));
            }
            None => signed.push_str(&format!("{BEGINS}{piece}")),
        }
    }
    signed
}

/// `RTRIM(x, ' ')` takes blanks off the end. fakesnow turns it into a `TRIM` of every space on both sides, unless it is of a
/// `CAST` to text, which changes nothing. <https://docs.snowflake.com/en/sql-reference/functions/rtrim>
fn keep_trim(sql: &str) -> String {
    const BEGINS: &str = "RTRIM(";
    const ENDS: &str = ", ' ')";
    let mut pieces = sql.split(BEGINS);
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        kept.push_str(BEGINS);
        match piece.split_once(ENDS) {
            Some((column, rest)) => kept.push_str(&format!("CAST({column} AS VARCHAR){ENDS}{rest}")),
            None => kept.push_str(piece),
        }
    }
    kept
}

fn fill(object: &mut Value, fields: Value) {
    let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) else { return };
    for (name, value) in fields {
        if object.get(name).is_none_or(Value::is_null) {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// Fields that Snowflake's replies have and fakesnow's lack.
fn fill_reply(path: &str, reply: &mut Value) {
    if reply["data"].is_null() {
        reply["data"] = json!({});
    }
    let total = reply["data"]["total"].clone();
    if path.ends_with("/login-request") {
        fill(
            &mut reply["data"],
            json!({ "sessionId": 1, "masterToken": "m", "serverVersion": "local", "validityInSeconds": 86400, "masterValidityInSeconds": 864000, "sessionInfo": {} }),
        );
        fill(&mut reply["data"]["sessionInfo"], json!({ "roleName": "PUBLIC" }));
    } else if reply["success"] == true {
        fill(
            &mut reply["data"],
            json!({ "returned": total, "finalRoleName": "PUBLIC", "version": 1, "parameters": [], "statementTypeId": 0, "queryId": "local" }),
        );
    } else {
        let code = reply["code"].clone();
        fill(
            &mut reply["data"],
            json!({ "age": 0, "internalError": false, "queryId": "local", "errorCode": code, "sqlState": "" }),
        );
    }
}
