//! From a target's settings to how a connection is made, and to the limits of its transactions.

use crate::dialect::Flavor;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::str::FromStr;
use url::Url;
use websessions_core::backend::Settings;
use websessions_core::error::Error;

/// <https://docs.aws.amazon.com/redshift/latest/mgmt/configuring-connections.html>
const REDSHIFT_PORT: u16 = 5439;

pub(crate) fn connect_options(settings: &Settings, flavor: Flavor) -> Result<PgConnectOptions, Error> {
    let mut options = match settings.get("url") {
        // The URL may hold a password: its parse error is not shown with it.
        Some(url) => PgConnectOptions::from_str(url).map_err(|_| {
            Error::configuration("the target's url is not a URL of the form postgres://user@host:port/database")
        })?,
        None => PgConnectOptions::new(),
    };
    let given: Option<Url> = settings.get("url").and_then(|url| Url::parse(url).ok());
    let port_in_url = given.as_ref().is_some_and(|url| url.port().is_some());
    if flavor == Flavor::Redshift && !port_in_url && std::env::var_os("PGPORT").is_none() {
        options = options.port(REDSHIFT_PORT);
    }
    if let Some(host) = settings.get("host") {
        options = if host.starts_with('/') { options.socket(host) } else { options.host(host) };
    }
    if let Some(port) = settings.get("port") {
        let port = port
            .parse()
            .map_err(|_| Error::configuration(format!("the target's port must be a number, not {port:?}")))?;
        options = options.port(port);
    }
    if let Some(user) = settings.get("user") {
        options = options.username(user);
    }
    if let Some(password) = settings.get("password") {
        options = options.password(password);
    }
    if let Some(database) = settings.get("database") {
        options = options.database(database);
    }
    let chosen = settings.get("sslmode").map(str::to_owned).or_else(|| std::env::var("PGSSLMODE").ok());
    let in_url = given.is_some_and(|url| url.query_pairs().any(|(name, _)| name == "sslmode" || name == "ssl-mode"));
    let on_this_machine = options.get_socket().is_some()
        || ["localhost", "127.0.0.1", "::1"].contains(&options.get_host())
        || options.get_host().starts_with('/');
    options = match chosen {
        Some(mode) => {
            let mode = PgSslMode::from_str(&mode).map_err(|_| {
                Error::configuration(format!(
                    "the target's sslmode {mode:?} is none of disable, allow, prefer, require, verify-ca, verify-full"
                ))
            })?;
            options.ssl_mode(mode)
        }
        None if in_url => options,
        None if on_this_machine => options.ssl_mode(PgSslMode::Prefer),
        None => options.ssl_mode(PgSslMode::VerifyFull),
    };
    if let Some(file) = settings.get("sslrootcert") {
        options = options.ssl_root_cert(file);
    }
    Ok(options
        // A pooler, and Redshift, refuse start-up parameters that they don't know; from Postgres 12 on it changes nothing.
        .extra_float_digits(None)
        .application_name(&application_name())
        .disable_statement_logging())
}

/// A name that no other process has: by it, and not by a server's process, which a pooler lends to somebody else in
/// between, our statements are found and cancelled. Postgres keeps 63 bytes.
fn application_name() -> String {
    format!("websessions {} {}", std::process::id(), uuid::Uuid::new_v4().simple())
}

/// The `SET LOCAL` statements of each transaction.
pub(crate) fn limits(settings: &Settings, flavor: Flavor) -> Result<Vec<String>, Error> {
    let mut limits = Vec::new();
    for name in ["statement_timeout", "lock_timeout"] {
        let Some(value) = settings.get(name) else { continue };
        let milliseconds = milliseconds(value).ok_or_else(|| {
            Error::configuration(format!("the target's {name} must be a time such as 30min, not {value:?}"))
        })?;
        // Redshift takes a number of milliseconds. <https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html>
        limits.push(match flavor {
            Flavor::Postgres => format!("SET LOCAL {name} = '{milliseconds}ms'"),
            Flavor::Redshift => format!("SET LOCAL {name} TO {milliseconds}"),
        });
    }
    Ok(limits)
}

/// Where the server's `work_mem` is no larger: a hash of the sessions of a day fits, which at the server's own 4 MB goes to disk.
const WORK_MEM_KIB: u64 = 64 * 1024;

/// The memory of each sort and each hash, in KiB, if the target says.
/// <https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-WORK-MEM>
pub(crate) fn work_mem(settings: &Settings) -> Result<Option<u64>, Error> {
    let Some(value) = settings.get("work_mem") else { return Ok(None) };
    let kibibytes = kibibytes(value).filter(|size| (64..=2_147_483_647).contains(size)).ok_or_else(|| {
        Error::configuration(format!(
            "the target's work_mem must be a size such as 256MB, from 64kB to 2147483647kB, not {value:?}"
        ))
    })?;
    Ok(Some(kibibytes))
}

/// What begins a block, and the message that makes a table anew or its statistics: memory for hashes; no compiling of expressions,
/// which costs more than it gives in statements of a hundred columns that run once; joins in the order in which the model
/// writes them, as the planner takes the start of a session for independent of its id; and statistics from 3,000 rows in the
/// place of 30,000, as a plan needs to know whether a table is large, and no more.
/// <https://www.postgresql.org/docs/current/explicit-joins.html>, <https://www.postgresql.org/docs/current/jit-decision.html>,
/// <https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-DEFAULT-STATISTICS-TARGET>
pub(crate) fn tuning(given: Option<u64>, of_the_server: u64) -> String {
    let kibibytes = given.unwrap_or_else(|| of_the_server.max(WORK_MEM_KIB));
    format!(
        "SET LOCAL work_mem = '{kibibytes}kB'; SET LOCAL jit = off; SET LOCAL join_collapse_limit = 1; SET LOCAL default_statistics_target = 10; "
    )
}

/// A size in Postgres' units, kilobytes without one.
fn kibibytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text);
    let factor = match unit {
        "" | "kB" => 1,
        "MB" => 1024,
        "GB" => 1024 * 1024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim())
}

/// A time in Postgres' units, milliseconds without one.
/// <https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES>
fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text);
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Postgres, Redshift};
    use websessions_core::backend::BackendFactory;

    fn settings(factory: &dyn BackendFactory, given: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::new(factory, given.iter().copied())
    }

    fn port(factory: &dyn BackendFactory, flavor: Flavor, given: &[(&str, &str)]) -> u16 {
        connect_options(&settings(factory, given).expect("settings"), flavor).expect("options").get_port()
    }

    #[test]
    fn redshift_s_port_is_5439_unless_it_is_given() {
        let host = [("host", "cluster.example")];
        assert_eq!(port(&Redshift, Flavor::Redshift, &host), 5439);
        assert_eq!(port(&Redshift, Flavor::Redshift, &[("url", "postgres://u@cluster.example/dev")]), 5439);
        assert_eq!(port(&Redshift, Flavor::Redshift, &[("url", "postgres://u@cluster.example:5432/dev")]), 5432);
        assert_eq!(port(&Redshift, Flavor::Redshift, &[("host", "cluster.example"), ("port", "1234")]), 1234);
        assert_eq!(port(&Postgres, Flavor::Postgres, &host), 5432);
    }

    #[test]
    fn redshift_s_statement_timeout_is_a_number_of_milliseconds_and_it_has_no_lock_timeout() {
        let given = settings(&Redshift, &[("statement_timeout", "30min")]).expect("settings");
        assert_eq!(limits(&given, Flavor::Redshift).expect("limits"), ["SET LOCAL statement_timeout TO 1800000"]);
        let error = settings(&Redshift, &[("lock_timeout", "1min")]).expect_err("redshift has none");
        assert!(error.to_string().contains("lock_timeout"), "{error}");
        let given = settings(&Postgres, &[("statement_timeout", "2h"), ("lock_timeout", "250")]).expect("settings");
        let expected = ["SET LOCAL statement_timeout = '7200000ms'", "SET LOCAL lock_timeout = '250ms'"];
        assert_eq!(limits(&given, Flavor::Postgres).expect("limits"), expected);
        for wrong in ["soon", "1 fortnight", "", "-1", "1'; DROP TABLE t"] {
            let given = settings(&Postgres, &[("lock_timeout", wrong)]).expect("settings");
            assert!(limits(&given, Flavor::Postgres).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_memory_of_a_hash_is_what_the_target_says_or_the_server_s_but_enough_for_a_day() {
        let asked = |value| work_mem(&settings(&Postgres, &[("work_mem", value)]).expect("settings"));
        for (value, kibibytes) in [("8192", 8192), ("512kB", 512), ("256MB", 262_144), ("2 GB", 2_097_152)] {
            assert_eq!(asked(value).expect("a size"), Some(kibibytes), "{value}");
        }
        for wrong in ["much", "", "-1", "64mb", "1kB", "4096GB", "1'; DROP TABLE t"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        assert_eq!(work_mem(&settings(&Postgres, &[]).expect("settings")).expect("none"), None);
        for (given, of_the_server, expected) in
            [(None, 4096, "65536kB"), (None, 262_144, "262144kB"), (Some(512), 262_144, "512kB")]
        {
            let tuning = tuning(given, of_the_server);
            assert!(tuning.starts_with(&format!("SET LOCAL work_mem = '{expected}'; ")), "{tuning}");
            // The line of an error is that of the statement itself.
            assert!(!tuning.contains('\n'), "{tuning}");
        }
    }

    #[test]
    fn an_sslmode_inside_a_password_is_no_sslmode() {
        let given = settings(&Postgres, &[("url", "postgres://u:sslmode=disable@db.example/d")]).expect("settings");
        let options = connect_options(&given, Flavor::Postgres).expect("options");
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull), "{:?}", options.get_ssl_mode());
    }

    #[test]
    fn each_connection_s_name_is_of_this_process_alone_and_fits() {
        assert_ne!(application_name(), application_name());
        assert!(application_name().len() <= 63);
    }
}
