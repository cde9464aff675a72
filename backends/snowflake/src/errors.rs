//! What Snowflake's refusals mean.
//! Source: <https://docs.snowflake.com/en/developer-guide/sql-api/handling-responses>, and the messages' own numbers.

use crate::gateway::LastReply;
use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind as Kind};

/// By the server's own code, or by the HTTP status if it said none. The message has no secret any more.
pub(crate) fn classify(message: String, last: &LastReply) -> WarehouseError {
    let code = last.code.as_deref().unwrap_or_default();
    let (kind, retry, hint) = match code {
        "" if matches!(last.status, Some(429 | 503)) => (Kind::Connection, Retry::NotApplied, None),
        _ if last.status.is_some_and(|status| status >= 500) => (Kind::Connection, Retry::Unknown, None),
        // Incorrect user, password, key or token; a locked or a disabled user.
        "390100" | "390101" | "390111" | "390144" | "390191" | "390303" | "394304" => {
            (Kind::Permission, Retry::Never, Some("check the target's user and its password, key or token"))
        }
        // <https://docs.snowflake.com/en/user-guide/oauth-external>
        "390318" => (
            Kind::Permission,
            Retry::Never,
            Some("the token has expired: set the target's token to { command = \"…\" }, which is asked again"),
        ),
        // <https://docs.snowflake.com/en/user-guide/network-policies>
        "390420" | "390422" | "390432" => (
            Kind::Permission,
            Retry::Never,
            Some("the account's network policy doesn't let this address in: ask its administrator"),
        ),
        // A second factor, which passwords alone no longer do without.
        // <https://docs.snowflake.com/en/user-guide/security-mfa-rollout>
        "390127" | "390195" if message.to_lowercase().contains("mfa") => {
            (Kind::Permission, Retry::Never, Some("sign in with a key pair or a token: see the backend's README"))
        }
        "390112" | "390114" | "390195" if last.in_progress => (
            Kind::Connection,
            Retry::Unknown,
            Some("the session has expired while the statement ran: it was told to stop, and may have ended before"),
        ),
        "390112" | "390114" | "390195" => {
            (Kind::Connection, Retry::NotApplied, Some("the session has expired; a new one is made"))
        }
        "390189" => (Kind::Permission, Retry::Never, Some("grant the role to the user, or set the target's role")),
        "000606" | "390201" if message.to_lowercase().contains("warehouse") => (
            Kind::Missing,
            Retry::Never,
            Some(
                "set the target's warehouse, and grant the role USAGE on it (and OPERATE, if it doesn't resume by itself)",
            ),
        ),
        "002003" | "002043" => (
            Kind::Missing,
            Retry::Never,
            Some("it isn't there, or the role may not see it: Snowflake says the same of both"),
        ),
        "000904" | "390201" | "090105" => (Kind::Missing, Retry::Never, None),
        "003001" | "003540" => {
            (Kind::Permission, Retry::Never, Some("grant the role what it lacks, or set the target's role"))
        }
        "000604" | "604" => (Kind::Cancelled, Retry::Never, None),
        "000630" => (Kind::Resources, Retry::Never, Some("raise the target's statement_timeout")),
        // <https://docs.snowflake.com/en/user-guide/resource-monitors>
        "090073" => (
            Kind::Resources,
            Retry::Never,
            Some("a resource monitor has suspended the virtual warehouse: raise its quota, or set another warehouse"),
        ),
        // <https://docs.snowflake.com/en/sql-reference/transactions#deadlock>
        "000625" | "000627" => (Kind::Locked, Retry::NotApplied, None),
        "" => match last.status {
            Some(403 | 404) => (Kind::Missing, Retry::Never, Some("check the target's account")),
            _ if last.unreachable => {
                (Kind::Connection, Retry::NotApplied, Some("check the target's account or endpoint, and the network"))
            }
            _ => (Kind::Connection, Retry::Unknown, None),
        },
        _ if message.contains("does not exist") => (Kind::Missing, Retry::Never, None),
        _ if last.sql_state.as_deref().is_some_and(|state| state.starts_with("22")) => (Kind::Data, Retry::Never, None),
        _ => (Kind::Other, Retry::Never, None),
    };
    let mut error = WarehouseError::new(kind, message).with_retry(retry).with_line_after("error line ");
    error.code = last.code.clone();
    error.retry_after = last.retry_after;
    error.hint = hint.map(str::to_owned);
    error
}
