//! Asks the apiservers of this machine, for a wait that has nothing else to do until they answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;

use super::error::Error;
use super::machine::{PROBE, local_addresses, sockets_on};
use crate::cluster::connect::{self, READY, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::node::is_node_at;
use crate::cluster::objects::Objects;
use crate::cluster::probe;
use crate::cluster::retry::within;
use crate::host::sockets;
use crate::patience::{ANSWER, Patience};

/// The address of an apiserver of this machine that answers for `path`, of those that are meant. The
/// inner error says why there is none. Each apiserver gets one question. If a listener comes or goes
/// before it is answered, the question is put anew.
pub async fn ask_api(
    access: &Access,
    port: u16,
    path: &str,
    is_meant: impl Fn(&SocketAddr) -> bool,
) -> Result<Result<SocketAddr, String>, Error> {
    loop {
        let before = sockets_on(port)?;
        let mut endpoints =
            sockets::endpoints(port).map_err(Error::host("list the listeners of this machine"))?;
        endpoints.retain(&is_meant);
        let one = |endpoint| probe::ask(access, Some(endpoint), path, Patience::USUAL);
        tokio::select! {
            biased;
            answer = probe::best(&endpoints, one) => return Ok(served(answer?, port)),
            changed = changed(port, &before) => changed?,
        }
    }
}

/// Whether the Node of this machine is registered. An API that has gone since it was asked says
/// nothing against that.
pub async fn has_node(access: &Access, port: u16) -> Result<bool, Error> {
    let Ok(endpoint) = ask_api(access, port, READY, |_| true).await? else { return Ok(true) };
    let client = connect::connect(access, Some(endpoint))?;
    let all = ListParams::default();
    let Ok(nodes) = within(ANSWER, Objects::<Node>::all(&client).list(&all)).await else { return Ok(true) };
    let local = local_addresses()?;
    Ok(nodes.iter().any(|node| is_node_at(&local, node)))
}

fn served(answer: Option<(SocketAddr, Readyz)>, port: u16) -> Result<SocketAddr, String> {
    Err(match answer {
        Some((endpoint, Readyz::Ready)) => return Ok(endpoint),
        Some((endpoint, Readyz::NotReady { lines, .. })) => {
            format!("{endpoint} is not ready: {}", lines.join("; "))
        }
        Some((endpoint, Readyz::Silent(late))) => format!("{endpoint} does not answer: {late}"),
        Some((endpoint, Readyz::Unreachable(why))) => format!("{endpoint} does not answer: {why}"),
        None => format!("no apiserver listens on port {port} of this machine yet"),
    })
}

/// Waits until other sockets than `before` listen on `port`. The kernel has no watch for that.
async fn changed(port: u16, before: &BTreeSet<u32>) -> Result<(), Error> {
    while sockets_on(port)? == *before {
        tokio::time::sleep(PROBE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use super::*;
    use crate::cluster::kubeconfig::Identity;

    /// The first listener never answers. It must not keep the wait from the one that comes later.
    #[tokio::test]
    async fn a_listener_that_comes_is_asked_at_once() {
        let ca = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
        let stuck = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = stuck.local_addr().unwrap().port();
        let access = Access {
            server: format!("https://127.0.0.1:{port}").parse().unwrap(),
            ca: ca.cert.pem().into_bytes(),
            tls_server_name: None,
            identity: Identity::Token("t".to_owned()),
        };
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let later = TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, port)).unwrap();
            later.set_nonblocking(true).unwrap();
            tokio::net::TcpListener::from_std(later).unwrap().accept().await.unwrap()
        });
        let ask = ask_api(&access, port, "/readyz", |_| true);
        tokio::select! {
            answer = ask => panic!("{answer:?}"),
            asked = later => assert!(asked.unwrap().1.is_ipv6()),
            () = tokio::time::sleep(Duration::from_secs(5)) => panic!("it waits for the first listener"),
        }
    }
}
