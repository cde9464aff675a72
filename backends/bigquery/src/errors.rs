//! What BigQuery's refusals mean. Source: <https://cloud.google.com/bigquery/docs/error-messages>.

use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind as Kind};
use websessions_core::warehouse::FENCED;

/// The reason that BigQuery gives for what is not there.
pub(crate) const NOT_FOUND: &str = "notFound";

/// The reason that BigQuery gives for a second job of one id.
pub(crate) const DUPLICATE: &str = "duplicate";

const TIMEOUT: &str = "raise the target's job_timeout";

/// Classifies an error by its reason, or by the HTTP status if it has none.
pub(crate) fn classify(reason: &str, status: Option<u16>, message: &str) -> WarehouseError {
    let lower = message.to_lowercase();
    let (kind, retry, hint) = match (reason, status) {
        // A job is asked for where it does not run: it may be there all the same.
        ("notFound", _) if lower.contains("not found: job") => {
            (Kind::Connection, Retry::Unknown, Some("set the target's location to that of its datasets"))
        }
        ("notFound", _) if lower.contains("was not found in location") => {
            (Kind::Missing, Retry::Never, Some("set the target's location to that of its datasets"))
        }
        ("notFound", _) => (Kind::Missing, Retry::Never, None),
        ("accessDenied", _) if lower.contains("credentials") => credentials(),
        ("accessDenied" | "billingNotEnabled" | "blocked" | "policyViolation" | "invalidUser", _) => (
            Kind::Permission,
            Retry::Never,
            Some("grant the account the roles BigQuery Job User and BigQuery Data Editor on the target's project"),
        ),
        ("authError" | "required", _) => credentials(),
        ("bytesBilledLimitExceeded", _) => {
            (Kind::Resources, Retry::Never, Some("raise the target's maximum_bytes_billed"))
        }
        // A queue of changes of one table that is full.
        // <https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations>
        ("quotaExceeded" | "resourcesExceeded", _) if lower.contains("too many dml statements outstanding") => {
            (Kind::Locked, Retry::NotApplied, None)
        }
        ("quotaExceeded" | "resourcesExceeded" | "billingTierLimitExceeded" | "responseTooLarge", _) => {
            (Kind::Resources, Retry::Never, None)
        }
        ("timeout", _) => (Kind::Resources, Retry::Never, Some(TIMEOUT)),
        ("stopped", _) if lower.contains("timed out") => (Kind::Resources, Retry::Never, Some(TIMEOUT)),
        ("stopped", _) => (Kind::Cancelled, Retry::Never, None),
        ("rateLimitExceeded" | "jobRateLimitExceeded" | "tableUnavailable", _) => {
            (Kind::Connection, Retry::NotApplied, None)
        }
        ("backendError" | "internalError" | "jobBackendError" | "jobInternalError", _) => {
            (Kind::Connection, Retry::Unknown, None)
        }
        _ if message.contains(FENCED) => (Kind::Fenced, Retry::Never, None),
        // A transaction or a change of rows that met another one.
        // <https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency>
        _ if lower.contains("concurrent update") || lower.contains("transaction is aborted") => {
            (Kind::Locked, Retry::NotApplied, None)
        }
        // <https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations>
        _ if lower.contains("streaming buffer") => (
            Kind::NotYet,
            Retry::Never,
            Some(
                "rows that insertAll streamed can't be removed for 30 minutes: run complete again later, nothing is lost until then; the Storage Write API has no such limit",
            ),
        ),
        // <https://cloud.google.com/bigquery/docs/querying-partitioned-tables#require_a_partition_filter_in_queries>
        _ if lower.contains("without a filter over column") => (
            Kind::Other,
            Retry::Never,
            Some("ALTER TABLE … SET OPTIONS (require_partition_filter = false), or bound what the run reads"),
        ),
        (_, Some(401)) => credentials(),
        (_, Some(403)) => (Kind::Permission, Retry::Never, None),
        (_, Some(404)) => (Kind::Missing, Retry::Never, Some("check the target's project and endpoint")),
        (_, Some(429 | 503)) => (Kind::Connection, Retry::NotApplied, None),
        (_, Some(500..)) => (Kind::Connection, Retry::Unknown, None),
        ("invalidQuery" | "invalid", _) if lower.contains("not found") => (Kind::Missing, Retry::Never, None),
        ("invalid", _) => (Kind::Data, Retry::Never, None),
        _ => (Kind::Other, Retry::Never, None),
    };
    let mut error = WarehouseError::new(kind, message).with_retry(retry).with_line_after(" at [");
    error.code = Some(reason.to_owned())
        .filter(|reason| !reason.is_empty())
        .or_else(|| status.map(|status| format!("HTTP {status}")));
    error.hint = hint.map(str::to_owned);
    error
}

fn credentials() -> (Kind, Retry, Option<&'static str>) {
    (Kind::Permission, Retry::Never, Some("check the target's access_token or credentials; tokens expire"))
}
