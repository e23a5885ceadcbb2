//! A future with a bound.

use std::time::Duration;

use tokio::time::timeout;

/// A future with a bound; a bound that is as good as none is none.
pub(super) async fn within<F: Future>(bound: Duration, future: F) -> Option<F::Output> {
    // A moment so far off cannot be written.
    if bound > Duration::from_secs(u64::from(u32::MAX)) {
        Some(future.await)
    } else {
        timeout(bound, future).await.ok()
    }
}
