//! Signals that ask the process to end. Each is received once, and every task that waits for one
//! sees it.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether SIGTERM or SIGINT was received. Until this exists such a signal ends the process at
/// once.
#[derive(Clone, Debug)]
pub struct Interrupts(watch::Receiver<Option<&'static str>>);

impl Interrupts {
    /// Listens, from now on until the process ends. Needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (tell, told) = watch::channel(None);
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tell.send_replace(Some(name));
            tell.closed().await; // a task that waits later must see it too
        });
        Ok(Self(told))
    }

    /// Waits for such a signal, and returns its name.
    pub async fn asked(&self) -> &'static str {
        match self.0.clone().wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(name)) => name,
            _ => std::future::pending().await, // the runtime is ending
        }
    }
}
