//! The agent's identity at the API: that of its kubeconfig, and, when that is about to expire, a
//! certificate that the agent issues to itself.
//!
//! ```text
//! kubeconfig on disk ─ changed ─┐
//! a third of its life is left ──┴─► Access of now ─► client, questions (`cluster::current`)
//!                                └─► Standing ─► a condition of the agent's pod, `bootkube status`
//! ```
//!
//! On a controller the agent holds the cluster's CA with its key anyway, in the copy of the
//! controller manager (`authority`). So it needs no approver, and no API that answers. The new key
//! is in memory only, and an agent that starts again issues another certificate. Where the CA's key
//! is missing, the agent reports the date and the cure, and goes on with the certificate it has. It
//! signs for no other user, and with no CA that its kubeconfig does not name. It leaves kubelet's
//! certificate to kubelet.

mod authority;
pub mod standing;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::Client;
use time::OffsetDateTime;
use tokio::sync::watch;

use self::standing::{Issuer, Standing};
use super::complaints::Complaints;
use crate::checkpoint::store::Store;
use crate::cluster::current::Current;
use crate::cluster::kubeconfig::{self, Access, Identity};
use crate::host::blocking;
use crate::pki::renew::{self, Pair, Term};
use crate::pki::{examine, rfc3339};

/// Time between two looks at the kubeconfig, which kubelet updates within a minute or two, and at
/// the clock.
const LOOK: Duration = Duration::from_secs(10);
/// Between two attempts to issue a certificate.
const RETRY: Duration = Duration::from_secs(60);
/// The group of kubelets. They renew their certificates themselves, when a tenth to a third of the
/// life is left.
const KUBELETS: &str = "system:nodes";
/// If less than this part of its life is left, kubelet does not renew its certificate.
const KUBELETS_LAST_PART: i32 = 10;
const CURE: &str = "run bootkube render on the asset directory, then bootkube start, before it ends";

/// Keeps the agent's credential valid.
pub struct Keeper {
    file: PathBuf,
    store: Store,
    /// The kubeconfig as it was read last.
    read: Access,
    access: watch::Sender<Access>,
    standing: watch::Sender<Option<Standing>>,
    tried: Option<Instant>,
    complaints: Complaints,
}

impl Keeper {
    /// Reads the kubeconfig at `file`.
    pub fn new(file: &Path, store: &Store) -> Result<Self, kubeconfig::Error> {
        let read = kubeconfig::read(file)?;
        let keeper = Self {
            file: file.to_owned(),
            store: store.clone(),
            access: watch::Sender::new(read.clone()),
            standing: watch::Sender::new(None),
            read,
            tried: None,
            complaints: Complaints::default(),
        };
        keeper.stand(issuer(&keeper.read), None);
        Ok(keeper)
    }

    /// The current access to the API.
    pub fn access(&self) -> Current {
        self.access.subscribe()
    }

    /// The state of the certificate; `None` for a token.
    pub fn standing(&self) -> watch::Receiver<Option<Standing>> {
        self.standing.subscribe()
    }

    /// Whether the agent uses kubelet's certificate.
    pub fn is_kubelet(&self) -> bool {
        issuer(&self.read) == Issuer::Kubelet
    }

    /// The user to which an administrator grants rights; `None` for kubelet's, whose rights follow
    /// from its pods.
    pub fn user(&self) -> Option<String> {
        let Identity::Certificate { certificate, .. } = &self.read.identity else { return None };
        let all = examine(certificate).ok().filter(|_| !self.is_kubelet())?;
        all.first().map(|own| own.name().to_owned())
    }

    /// Never returns.
    pub async fn keep(mut self, client: &Client) {
        loop {
            self.reread().await;
            self.renew(client).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Uses the new kubeconfig, if it has changed.
    async fn reread(&mut self) {
        let file = self.file.clone();
        let read = blocking::run(move || kubeconfig::read(&file)).await;
        self.complaints.note(&"kubeconfig", &read);
        let Ok(read) = read else { return };
        if read != self.read {
            tracing::info!(kubeconfig = %self.file.display(), "the kubeconfig has changed");
            self.read = read.clone();
            self.access.send_replace(read);
            self.tried = None;
            self.stand(issuer(&self.read), None);
        }
    }

    /// Issues a certificate if one is due, unless an attempt failed a short time ago.
    async fn renew(&mut self, client: &Client) {
        let access = self.access.borrow().clone();
        let Identity::Certificate { certificate, key } = access.identity.clone() else { return };
        let now = OffsetDateTime::now_utc();
        let term = match Term::from_pem(&certificate) {
            Ok(term) => term,
            Err(unfit) => return self.complaints.say(&"certificate", unfit.to_string()),
        };
        if self.is_kubelet() {
            return self.watch_kubelet(term, now);
        }
        if !term.is_due(now) {
            return self.settle();
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return;
        }
        self.tried = Some(Instant::now());
        let issued = issue(&self.store, client, &Pair { certificate, key }, &access.ca, now).await;
        match issued {
            Ok(Pair { certificate, key }) => {
                self.access
                    .send_replace(Access { identity: Identity::Certificate { certificate, key }, ..access });
                self.complaints.over(&"certificate");
                self.stand(Issuer::Agent, None);
                self.tried = None;
            }
            Err(why) => {
                let issuer =
                    self.standing.borrow().as_ref().map_or(Issuer::Kubeconfig, |standing| standing.issuer);
                self.stick(issuer, term, format!("no other one can be issued here: {why}; {CURE}"));
            }
        }
    }

    fn watch_kubelet(&mut self, term: Term, now: OffsetDateTime) {
        let last = term.not_after - (term.not_after - term.not_before) / KUBELETS_LAST_PART;
        if now >= last {
            let why = "kubelet has not renewed it: look at its log, and at kubectl get csr";
            self.stick(Issuer::Kubelet, term, why.to_owned());
        } else {
            self.settle();
        }
    }

    /// No renewal is due now. The clock may have been wrong when one was.
    fn settle(&mut self) {
        self.complaints.over(&"certificate");
        let issuer = self.standing.borrow().as_ref().map(|standing| standing.issuer);
        self.stand(issuer.unwrap_or(Issuer::Kubeconfig), None);
    }

    /// Reports that the certificate will not be renewed.
    fn stick(&mut self, issuer: Issuer, term: Term, why: String) {
        let until = rfc3339(term.not_after);
        self.complaints.say(&"certificate", format!("the agent's client certificate ends at {until}: {why}"));
        self.stand(issuer, Some(why));
    }

    /// Reports the state of the certificate, if it has changed.
    fn stand(&self, issuer: Issuer, stuck: Option<String>) {
        let term = match &self.access.borrow().identity {
            Identity::Certificate { certificate, .. } => Term::from_pem(certificate).ok(),
            Identity::Token(_) => None,
        };
        let standing = term.map(|term| Standing { term, issuer, stuck });
        let is_news =
            self.standing.send_if_modified(|shown| std::mem::replace(shown, standing.clone()) != standing);
        if let (true, Some(standing)) = (is_news, standing) {
            tracing::info!(certificate = %standing, "the agent's own");
        }
    }
}

async fn issue(
    store: &Store,
    client: &Client,
    old: &Pair,
    trusted: &[u8],
    now: OffsetDateTime,
) -> Result<Pair, String> {
    let signer = authority::find(store, client).await?;
    renew::renew(old, &signer, trusted, now).map_err(|unfit| crate::error::chain(&unfit))
}

/// Who issued the certificate of a kubeconfig.
fn issuer(access: &Access) -> Issuer {
    let Identity::Certificate { certificate, .. } = &access.identity else { return Issuer::Kubeconfig };
    let is_kubelets =
        examine(certificate).is_ok_and(|all| all.first().is_some_and(|own| own.is_of(KUBELETS)));
    if is_kubelets { Issuer::Kubelet } else { Issuer::Kubeconfig }
}
