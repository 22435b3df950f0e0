//! Other kinds of etcd: one with half a second of latency, and one of three members, of which one
//! is lost while `start` works.

use std::net::SocketAddr;
use std::time::Duration;

use lab::cluster::ASSETS;
use lab::{EtcdTls, Lab, Machine, far};
use serde_json::{Value, json};

use crate::running::{Moment, Running};
use crate::world::{World, record};

/// Where its members listen for clients.
pub const PORT: u16 = 2379;
/// The port of the relay that adds the latency.
const FAR: u16 = 12379;

#[test]
#[ignore = "two minutes; part of make soak"]
fn start_bears_an_etcd_that_is_half_a_second_away() {
    let world = World::up("e2e-far-etcd", 1, |lab| external(lab, &["n1"], FAR));
    world.cluster.render().unwrap();
    world.cluster.start_etcd().unwrap();
    let at = |port| SocketAddr::new(world.n1().ip().into(), port);
    let options = far::Options { listen: at(FAR), to: at(PORT), milliseconds: 500 };
    let _relay = world.n1().relay(&options).unwrap();
    world.cluster.join(&world.n1()).unwrap();
    let started = world.start();
    record("far-etcd", &json!({"seconds": started.took.as_secs_f64()}));
    started.must_succeed();
    assert_eq!(world.kubectl(&["get", "--raw", "/readyz"]), "ok");
}

#[test]
#[ignore = "three machines; part of make soak"]
fn start_bears_the_loss_of_one_of_three_members() {
    let names = ["n1", "n2", "n3"];
    let world = World::up("e2e-members", names.len(), |lab| external(lab, &names, PORT));
    world.cluster.render().unwrap();
    let members = world.lab.machines();
    start_members(&world, &members);
    world.cluster.join(&world.n1()).unwrap();
    let mut running = Running::start(&world, &[]);
    assert!(running.reach(&Moment::Within("apply objects".into(), Duration::ZERO)), "start ended early");
    members[2].run(&["bash", "-c", "systemctl kill --signal=KILL etcd; systemctl stop etcd"]).unwrap();
    let output = running.finish();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(world.kubectl(&["get", "--raw", "/readyz"]), "ok");
}

/// Starts a member of one etcd on each machine, with the rendered certificates.
pub fn start_members(world: &World, members: &[Machine]) {
    for member in members {
        for file in ["server-ca.crt", "server.crt", "server.key", "peer.crt", "peer.key"] {
            let path = format!("{ASSETS}/tls/etcd/{file}");
            member.write(&path, &world.n1().read(&path).unwrap(), 0o600).unwrap();
        }
        member.start_etcd(&tls(), members).unwrap();
    }
}

/// Configuration for an etcd with a member on each of `machines`.
pub fn external(lab: &Lab, machines: &[&str], port: u16) -> Value {
    let server = |name: &&str| format!("https://{}:{port}", lab.machine(name).unwrap().ip());
    let servers: Vec<_> = machines.iter().map(server).collect();
    json!({"etcd": {"mode": "external", "servers": servers}})
}

fn tls() -> EtcdTls {
    let file = |name: &str| format!("{ASSETS}/tls/etcd/{name}");
    EtcdTls {
        ca: file("server-ca.crt"),
        server_certificate: file("server.crt"),
        server_key: file("server.key"),
        peer_certificate: file("peer.crt"),
        peer_key: file("peer.key"),
    }
}
