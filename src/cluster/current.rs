//! An [`Access`] that changes while it is in use, because the certificate in it is renewed or the kubeconfig is another: what is made of it is
//! made anew when it is next used. Whoever changes it is not here.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tower_service::Service;

use super::Error;
use super::connect::connect;
use super::kubeconfig::Access;
use crate::error::chain;

/// The access that holds at present.
pub type Current = watch::Receiver<Access>;

/// Something that is made of an access.
pub struct Made<T> {
    held: Mutex<Held<T>>,
    make: fn(&Access) -> Result<T, Error>,
}

struct Held<T> {
    access: Current,
    made: T,
}

impl<T: Clone> Made<T> {
    /// Makes it for the first time.
    pub fn new(mut access: Current, make: fn(&Access) -> Result<T, Error>) -> Result<Self, Error> {
        let made = make(&access.borrow_and_update())?;
        Ok(Self { held: Mutex::new(Held { access, made }), make })
    }

    /// What is made of the access of now. If nothing can be made of it, what was made before.
    pub fn get(&self) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // An access that nobody changes any more has not changed.
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

/// A client that shows who it is by what `access` says when a request begins. Connections of before are left to end: the API looks at the
/// certificate of each request, and would refuse those that come over them later.
pub fn client(access: Current) -> Result<Client, Error> {
    let made = Made::new(access, |access| connect(access, None))?;
    let namespace = made.get().default_namespace().to_owned();
    Ok(Client::new(Latest(made), namespace))
}

/// Sends each request through the client of now.
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
