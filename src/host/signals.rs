//! Signals that ask to end: heard once, and from then on known to everybody who waits.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody has asked, by SIGTERM or SIGINT. As long as this was not made, such a signal ends the process at once.
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
            tell.closed().await; // who waits later is to see it too
        });
        Ok(Self(told))
    }

    /// Waits until somebody asks, and says by which signal.
    pub async fn asked(&self) -> &'static str {
        match self.0.clone().wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(name)) => name,
            _ => std::future::pending().await, // nobody listens: the runtime is ending
        }
    }
}
