//! An [`Access`] that changes while it is in use: its certificate is renewed, or the kubeconfig is
//! replaced. What was built from it is built again at its next use.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tower_service::Service;

use super::connect::connect;
use super::error::Error;
use super::kubeconfig::Access;
use crate::error::chain;

/// The access that is valid at present.
pub type Current = watch::Receiver<Access>;

/// Something that is built from an access.
pub struct Made<T> {
    held: Mutex<Held<T>>,
    make: fn(&Access) -> Result<T, Error>,
}

struct Held<T> {
    access: Current,
    made: T,
}

impl<T: Clone> Made<T> {
    /// Builds it for the first time.
    pub fn new(mut access: Current, make: fn(&Access) -> Result<T, Error>) -> Result<Self, Error> {
        let made = make(&access.borrow_and_update())?;
        Ok(Self { held: Mutex::new(Held { access, made }), make })
    }

    /// What is built from the present access. If nothing can be, the one before stays in use.
    pub fn get(&self) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // If the sender is gone the access cannot change any more.
        if held.access.has_changed().unwrap_or(false) {
            let made = (self.make)(&held.access.borrow_and_update());
            match made {
                Ok(made) => held.made = made,
                Err(error) => tracing::warn!(error = chain(&error), "the new identity cannot be used"),
            }
        }
        held.made.clone()
    }
}

/// A client that uses the credentials which are current when a request begins.
///
/// Older connections are not reused, only left to end: the API checks the certificate of a
/// connection at every request, and would refuse later ones.
pub fn client(access: Current) -> Result<Client, Error> {
    let made = Made::new(access, |access| connect(access, None))?;
    let namespace = made.get().default_namespace().to_owned();
    Ok(Client::new(Latest(made), namespace))
}

/// Sends each request through the current client.
struct Latest(Made<Client>);

impl Service<Request<Body>> for Latest {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.get();
        async move { client.send(request).await }.boxed()
    }
}
