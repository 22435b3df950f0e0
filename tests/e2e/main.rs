//! End to end: clusters on machines of the lab, made as a user makes them, and held against what a user is promised.
//!
//! One test is one cluster. A cluster costs half a minute, so a test checks many sentences on it; each is named, and a failure says which
//! does not hold. Two tests run at once, but one that looks at times runs alone (`World::alone`). Figures go to `target/e2e/`.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod again;
mod audit;
mod boot;
mod causes;
mod checks;
#[path = "../support/client.rs"]
mod client;
mod controllers;
mod etcd;
mod external_etcd;
mod families;
mod faults;
mod handover;
mod interrupted;
mod kept;
mod kube;
mod old_layouts;
mod power;
mod preflight;
mod recover;
#[path = "../support/render_at.rs"]
mod render_at;
mod roll;
mod running;
mod snapshot;
mod soak;
mod static_etcd;
mod told;
mod traffic;
mod unpivot;
mod unsteered;
mod worker;
mod world;
