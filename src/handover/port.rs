//! The API port of this machine: asking each listener on it, and moving new connections from one to
//! another.
//!
//! # Cancellation
//! Every future here may be dropped. The lock is released, and the program in the kernel is the
//! last one that was attached, whole.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::lock::{Lock, Locks, Name};
use crate::cluster;
use crate::cluster::connect::Readyz;
use crate::cluster::current::Current;
use crate::cluster::kubeconfig::Access;
use crate::cluster::question::Questions;
use crate::host::files;
use crate::host::sockets::{self, Listener};
use crate::host::steering::{ASKING, Aim, steer};

/// Connections by which a flip is verified.
const VERIFIED: usize = 3;
/// Between two looks at the listeners, while one is asked that may not answer.
const LOOK: Duration = Duration::from_millis(50);

/// What cannot be done about the port.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("failed to {act} on port {port}")]
    Kernel {
        /// What was tried.
        act: &'static str,
        /// The port.
        port: u16,
        /// Its word.
        #[source]
        source: io::Error,
    },
    /// The lock on steering cannot be used.
    #[error(transparent)]
    Lock(#[from] files::Error),
    /// The processes of this machine cannot be listed.
    #[error("failed to look at the processes of this machine")]
    Processes(#[source] io::Error),
    /// The way to the API cannot be used.
    #[error(transparent)]
    Access(#[from] cluster::Error),
    /// The listeners are not one group.
    #[error(
        "the listeners on port {port} do not share one address ({}); give the apiservers of this machine the same --bind-address",
        .addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Apart {
        /// The port.
        port: u16,
        /// What they are bound to.
        addresses: Vec<IpAddr>,
    },
    /// A listener has come or gone, so an index may mean another one now.
    #[error("other apiservers listen on port {port} than a moment ago")]
    Changed {
        /// The port.
        port: u16,
    },
    /// Connections still go elsewhere.
    #[error("new connections to port {port} were steered to listener {expected}, and socket {got} got one")]
    NotSteered {
        /// The port.
        port: u16,
        /// Its index.
        expected: u32,
        /// Number of the accepted socket.
        got: u32,
    },
}

/// A port that apiservers of this machine share.
pub struct Port {
    port: u16,
    questions: Questions,
    locks: Locks,
    /// The listeners that were found last.
    met: Mutex<Vec<Listener>>,
}

/// What a listener answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it answered to `/readyz`.
    pub readyz: Readyz,
    /// What was seen of the socket that it accepted, if it accepted the connection.
    pub seen: Option<T>,
}

impl Port {
    /// The port, and the identity by which it is asked.
    pub fn new(port: u16, access: &Access) -> Result<Self, Error> {
        Ok(Self::by(port, Questions::new(access)?))
    }

    /// The port, and the identity by which it is asked, which may change.
    pub fn following(port: u16, access: Current) -> Result<Self, Error> {
        Ok(Self::by(port, Questions::following(access)?))
    }

    fn by(port: u16, questions: Questions) -> Self {
        Self { port, questions, locks: Locks::default(), met: Mutex::default() }
    }

    /// With locks in another place than this machine's.
    pub fn with_locks(self, locks: Locks) -> Self {
        Self { locks, ..self }
    }

    /// The listeners. Taken under the lock: an earlier version that steers counts as one for a moment.
    pub async fn listeners(&self) -> Result<Vec<Listener>, Error> {
        let _alone = self.lock().await?;
        let found = sockets::listeners(self.port).map_err(self.failed("list the listeners"))?;
        self.meet(&found);
        Ok(found)
    }

    /// Sends connections as `aim` says.
    pub async fn steer(&self, listeners: &[Listener], aim: Aim) -> Result<(), Error> {
        let group = self.group(listeners)?;
        let _alone = self.lock().await?;
        self.attach(group, aim)
    }

    /// Asks the listener behind `index`, while all other connections go as `aim` says. `look` is
    /// called with the socket that it accepted, while the connection is open.
    ///
    /// # Errors
    /// [`Error::Changed`] if other sockets listen afterwards than before: an index beyond the group
    /// is answered by any listener.
    pub async fn ask<T>(
        &self,
        listeners: &[Listener],
        aim: Aim,
        index: u32,
        look: impl FnOnce(u32) -> T,
    ) -> Result<Answer<T>, Error> {
        let group = self.group(listeners)?;
        let _alone = self.lock().await?;
        self.unchanged(listeners)?;
        self.attach(group, Aim { asked: index, ..aim })?;
        let answer = tokio::select! {
            answer = self.put(ASKING, look) => answer?,
            changed = self.change(listeners) => return Err(changed),
        };
        self.unchanged(listeners)?;
        Ok(answer)
    }

    /// A listener that hangs must not delay the questions to those that come. Its silence has made
    /// the limit of a question longer, and the listener would be asked first.
    fn meet(&self, listeners: &[Listener]) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if *met != listeners {
            listeners.clone_into(&mut met);
            self.questions.forget_silence();
        }
    }

    /// Asks the listener that any client would reach.
    pub async fn ask_like_a_client<T>(&self, look: impl FnOnce(u32) -> T) -> Result<Answer<T>, Error> {
        self.put(Ipv4Addr::LOCALHOST, look).await
    }

    async fn put<T>(&self, source: Ipv4Addr, look: impl FnOnce(u32) -> T) -> Result<Answer<T>, Error> {
        match self.questions.connect(source.into(), self.here()).await {
            Err(readyz) => Ok(Answer { readyz, seen: None }),
            Ok(mut connection) => {
                let readyz = self.questions.probe(&mut connection, "/readyz").await;
                Ok(Answer { readyz, seen: self.accepted(connection.from)?.map(look) })
            }
        }
    }

    /// Calls `look` with the socket that accepted a connection like any client's, while the
    /// connection is open; `None` if none did.
    pub async fn served_by<T>(&self, look: impl FnOnce(u32) -> T) -> Result<Option<T>, Error> {
        match self.questions.connect(Ipv4Addr::LOCALHOST.into(), self.here()).await {
            Err(_) => Ok(None),
            Ok(connection) => Ok(self.accepted(connection.from)?.map(look)),
        }
    }

    /// Moves new connections as `aim` says, and verifies that they reach a socket of which `is_its`
    /// is true.
    ///
    /// # Errors
    /// After an error connections may go to any listener of the group.
    pub async fn flip(
        &self,
        listeners: &[Listener],
        aim: Aim,
        is_its: impl Fn(u32) -> bool,
    ) -> Result<(), Error> {
        let group = self.group(listeners)?;
        let _alone = self.lock().await?;
        self.unchanged(listeners)?;
        self.attach(group, aim)?;
        for _ in 0..VERIFIED {
            let look = |socket| if is_its(socket) { Ok(()) } else { Err(socket) };
            if let Some(Err(got)) = self.served_by(look).await? {
                self.unchanged(listeners)?;
                return Err(Error::NotSteered { port: self.port, expected: aim.serving, got });
            }
        }
        Ok(())
    }

    /// Waits until other sockets listen. The kernel has no watch for that.
    async fn change(&self, listeners: &[Listener]) -> Error {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(changed) = self.unchanged(listeners) {
                return changed;
            }
        }
    }

    fn unchanged(&self, listeners: &[Listener]) -> Result<(), Error> {
        let now = sockets::listeners(self.port).map_err(self.failed("list the listeners"))?;
        if now == listeners { Ok(()) } else { Err(Error::Changed { port: self.port }) }
    }

    fn here(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port)
    }

    fn accepted(&self, from: SocketAddr) -> Result<Option<u32>, Error> {
        sockets::accepted(self.port, from).map_err(self.failed("look for a connection"))
    }

    async fn lock(&self) -> Result<Lock, Error> {
        Ok(self.locks.take(Name::Steering(self.port)).await?)
    }

    fn attach(&self, group: Listener, aim: Aim) -> Result<(), Error> {
        steer(group.address, self.port, group.uid, aim).map_err(self.failed("steer connections"))
    }

    /// One listener that stands for all: they share address and user.
    fn group(&self, listeners: &[Listener]) -> Result<Listener, Error> {
        let mut addresses: Vec<IpAddr> = listeners.iter().map(|listener| listener.address).collect();
        addresses.dedup();
        match (listeners, addresses.as_slice()) {
            ([listener, ..], [_]) => Ok(*listener),
            _ => Err(Error::Apart { port: self.port, addresses }),
        }
    }

    fn failed(&self, act: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let port = self.port;
        move |source| Error::Kernel { act, port, source }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::cluster::kubeconfig::Identity;

    /// One that accepts connections and never answers.
    fn stuck(port: u16) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port).into()).unwrap();
        socket.listen(16).unwrap();
        socket
    }

    #[tokio::test]
    async fn a_listener_that_hangs_takes_no_time_from_one_that_comes() {
        let first = stuck(0);
        let number = first.local_addr().unwrap().as_socket().unwrap().port();
        let ca = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
        let access = Access {
            server: format!("https://127.0.0.1:{number}").parse().unwrap(),
            ca: ca.cert.pem().into_bytes(),
            tls_server_name: None,
            identity: Identity::Token("t".to_owned()),
        };
        let folder = tempfile::tempdir().unwrap();
        let port = Port::new(number, &access).unwrap().with_locks(Locks::in_folder(folder.path()));
        let aim = Aim { serving: 0, asked: 0, starting: 1 };
        let ask = async || {
            let listeners = port.listeners().await.unwrap();
            let begun = Instant::now();
            let answer = port.ask(&listeners, aim, 0, drop).await.unwrap();
            assert!(matches!(answer.readyz, Readyz::Silent(_)), "{answer:?}");
            begun.elapsed()
        };
        let alone = ask().await;
        let _second = stuck(number);
        let beside = ask().await;
        assert!(beside < alone + Duration::from_secs(1), "{alone:?}, then {beside:?}");
    }
}
