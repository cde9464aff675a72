//! Ctrl-C and SIGTERM, as a future.

use std::sync::Once;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

/// How often the user asked to stop, and nobody has taken it up yet.
static ASKED: Semaphore = Semaphore::const_new(0);

/// From here on no Ctrl-C ends the process, and none is lost: also not one that comes while nobody waits for it.
pub(crate) fn hear() {
    static HEARS: Once = Once::new();
    HEARS.call_once(|| {
        #[cfg(unix)]
        let sources = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        #[cfg(windows)]
        let sources = [tokio::signal::windows::ctrl_c()];
        for mut signals in sources.into_iter().flatten() {
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    ASKED.add_permits(1);
                }
            });
        }
    });
}

/// Ends when the user asks to stop: each time for one of those who wait.
pub(crate) async fn interrupted() {
    hear();
    if let Ok(asked) = ASKED.acquire().await {
        asked.forget();
    }
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
