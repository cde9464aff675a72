//! Patience: a command that finds another run's lock, or a database file that another process has open, tries again.

use super::Failed;
use crate::arguments::Waiting;
use std::time::{Duration, Instant};
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::run::{Event, Listener};

/// How long between two attempts.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tries until nobody else is in the way, or the time is over since somebody was found to be.
pub(super) async fn patiently<T>(
    waiting: Waiting,
    listener: &dyn Listener,
    mut attempt: impl AsyncFnMut() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut since = None;
    loop {
        let failed = match attempt().await {
            Err(failed) if is_in_the_way(&failed.error) => failed,
            other => return other,
        };
        let is_first = since.is_none();
        let waited = since.get_or_insert_with(Instant::now).elapsed();
        let left = Duration::from_secs(waiting.seconds).saturating_sub(waited);
        if left.is_zero() {
            let hint = match &failed.error {
                Error::Warehouse { source, .. } if waiting.seconds == 0 => {
                    source.hint.as_ref().map(|hint| format!("{hint}; --wait SECONDS waits for it"))
                }
                _ => None,
            };
            return Err(Failed { hint: failed.hint.or(hint), ..failed });
        }
        if is_first {
            let words = websessions_core::error::chain(&failed.error);
            listener.on(&Event::Warning { message: format!("waiting up to {} s: {words}", waiting.seconds) });
        }
        tokio::time::sleep(INTERVAL.min(left)).await;
    }
}

/// Whether another run, or another process, was met before anything was done.
fn is_in_the_way(error: &Error) -> bool {
    match error {
        Error::Locked { .. } => true,
        Error::Warehouse { source, .. } => source.kind == WarehouseErrorKind::Locked,
        _ => false,
    }
}
