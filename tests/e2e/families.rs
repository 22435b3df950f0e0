//! Clusters of IPv6 alone and of both families: no request fails in a pivot or a roll, whichever
//! address it goes to.
//!
//! `make soak` makes both; `make test` one of them, the other one the next day.

use std::net::IpAddr;

use lab::Families;
use serde_json::json;

use crate::checks::Checks;
use crate::interrupted::{sample, seed};
use crate::roll::roll_by_flag;
use crate::traffic::{self, Answered, Traffic};
use crate::world::{World, record};

const FAMILIES: &[Families] = &[Families::Ipv6, Families::Dual];

#[test]
fn a_cluster_of_another_family_is_pivoted_and_rolled_unnoticed() {
    sample(FAMILIES, seed(), 1).for_each(|families| hold(*families));
}

#[test]
#[ignore = "two clusters; part of make soak"]
fn clusters_of_every_family_are_pivoted_and_rolled_unnoticed() {
    FAMILIES.iter().for_each(|families| hold(*families));
}

fn hold(families: Families) {
    let name = format!("e2e-families-{families:?}").to_lowercase();
    let world = World::up(&name, 1, |lab| families.config(&lab.machine("n1").unwrap()));
    world.render_and_join();
    let mut checks = Checks::default();
    let addresses = families.addresses(&world.n1());
    let traffic = Traffic::towards(&addresses, &world, "pivot");
    let started = world.start();
    let pivot = traffic.finish();
    checks.need("start succeeds, and the cluster's network is there", || {
        started.must_succeed();
        world.rolled_out("daemonset/kube-proxy");
        world.rolled_out("deployment/coredns");
    });
    checks.that("no request fails in the pivot", || pivot.iter().for_each(Answered::assert_unnoticed));
    checks.that("the node and its pods have addresses of these families", || {
        assert_addresses(&world, &addresses)
    });
    checks.that("the API answers at the address of its service", || {
        let service = world.get(&["service", "kubernetes"]);
        let address: IpAddr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        let server = format!("https://{}", std::net::SocketAddr::new(address, 443));
        assert_eq!(world.kubectl(&["--server", &server, "get", "--raw", "/readyz"]), "ok");
    });
    checks.that("no request fails in a roll", || {
        let traffic = Traffic::towards(&addresses, &world, "roll");
        let seconds = roll_by_flag(&world);
        let roll = traffic.finish();
        let (pivot, rolled) = (traffic::figures(&pivot), traffic::figures(&roll));
        record(&name, &json!({"pivot": pivot, "roll": rolled, "roll_seconds": seconds}));
        roll.iter().for_each(Answered::assert_unnoticed);
    });
    checks.finish();
}

fn assert_addresses(world: &World, expected: &[IpAddr]) {
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let node = world.get(&["node", "n1"]);
    let addresses = node["status"]["addresses"].as_array().unwrap().iter();
    let internal = addresses.filter(|address| address["type"] == "InternalIP");
    assert_eq!(internal.map(|address| address["address"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    let pods = world.get(&["pods", "-n", "kube-system", "-l", "k8s-app=kube-dns"]);
    assert_eq!(pods["items"][0]["status"]["podIPs"].as_array().unwrap().len(), expected.len(), "{pods:#}");
}
