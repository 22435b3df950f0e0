//! Work that may take long beside work that must not wait.

use std::panic::resume_unwind;

/// Does `work`, which reads disks or all of /proc, on another thread. The agent has one thread for
/// everything that waits; there a slow disk would hold up the steering of connections.
///
/// # Cancellation
/// If the future is dropped, the work is finished and its result is lost.
///
/// # Panics
/// If `work` does.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => std::future::pending().await, // the program ends
        },
    }
}
