//! Ctrl-C and SIGTERM, as a future.

use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

/// Ends when the user asks to stop. From the first call on the process no longer ends by itself.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Asks something of a warehouse, unless the user wants it to stop; `before` says of what nothing is known then.
pub(crate) async fn unless<T>(
    stopped: impl Future<Output = ()>,
    before: &str,
    warehouse: &dyn Warehouse,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = stopped => {
            let _ = warehouse.cancel().await;
            Err(Error::Cancelled { next: before.to_owned() })
        }
        answer = asked => answer,
    }
}
