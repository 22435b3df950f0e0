//! The API port of this machine: who is there, asked one by one, and flipping new connections from one to another.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

/// Connections of a flip that are looked at before it is believed.
const VERIFIED: usize = 3;
/// Between two looks at who listens, while somebody is asked who may not answer.
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
    /// Somebody came or went, so an index may be another one's now.
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
}

/// Who is behind an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it answered to `/readyz`.
    pub readyz: Readyz,
    /// What was seen of the socket that it accepted, if it accepted one.
    pub seen: Option<T>,
}

impl Port {
    /// The port, and as whom to ask.
    pub fn new(port: u16, access: &Access) -> Result<Self, Error> {
        Ok(Self { port, questions: Questions::new(access)?, locks: Locks::default() })
    }

    /// The port, and as whom to ask, where that changes.
    pub fn of(port: u16, access: Current) -> Result<Self, Error> {
        Ok(Self { port, questions: Questions::of(access)?, locks: Locks::default() })
    }

    /// With locks in another place than this machine's.
    pub fn with_locks(self, locks: Locks) -> Self {
        Self { locks, ..self }
    }

    /// Who listens, by number. Not in the moment in which somebody steers, and is one of them.
    pub async fn listeners(&self) -> Result<Vec<Listener>, Error> {
        let _alone = self.lock().await?;
        sockets::listeners(self.port).map_err(self.failed("list the listeners"))
    }

    /// Sends connections as `aim` says.
    pub async fn steer(&self, listeners: &[Listener], aim: Aim) -> Result<(), Error> {
        let group = self.group(listeners)?;
        let _alone = self.lock().await?;
        self.attach(group, aim)
    }

    /// Asks the one behind `index`, while everybody else's connections go on as `aim` says. `look` sees the socket that it accepted while
    /// the connection is open. What is answered is of no use once others listen: an index that nobody has any more is answered by anybody.
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

    /// Asks whoever gets the connection, as anybody does.
    pub async fn ask_anybody<T>(&self, look: impl FnOnce(u32) -> T) -> Result<Answer<T>, Error> {
        self.put(Ipv4Addr::LOCALHOST, look).await
    }

    async fn put<T>(&self, source: Ipv4Addr, look: impl FnOnce(u32) -> T) -> Result<Answer<T>, Error> {
        match self.questions.connect(source.into(), self.here()).await {
            Err(why) => Ok(Answer { readyz: Readyz::Unreachable(why), seen: None }),
            Ok(mut connection) => {
                let readyz = connection.ask("/readyz").await;
                Ok(Answer { readyz, seen: self.accepted(connection.from)?.map(look) })
            }
        }
    }

    /// The socket that took a connection as anybody's, if somebody took it, seen by `look` while the connection is open.
    pub async fn served_by<T>(&self, look: impl FnOnce(u32) -> T) -> Result<Option<T>, Error> {
        match self.questions.connect(Ipv4Addr::LOCALHOST.into(), self.here()).await {
            Err(_) => Ok(None),
            Ok(connection) => Ok(self.accepted(connection.from)?.map(look)),
        }
    }

    /// Steers those who listen, and looks whether connections go where `is_its` says that they should. After an error they may go anywhere.
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

    /// Waits until others listen; this cannot be watched.
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

    /// One for all: their address and user.
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
