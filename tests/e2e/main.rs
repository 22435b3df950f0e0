//! End to end: clusters on machines of the lab, made as a user makes them, and checked against what
//! bootkube promises.
//!
//! A cluster costs half a minute, so a test checks many sentences on it ([`checks`]). Each has a
//! name, and a failure names those that do not hold. Two tests run at once, but those below
//! [`without_others`] run alone. Figures go to `target/e2e/`.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod again;
mod audit;
#[path = "../support/blocks.rs"]
mod blocks;
mod boot;
mod causes;
mod checks;
#[path = "../support/client.rs"]
mod client;
mod copies_on_workers;
mod cures;
mod documents;
mod dry_run;
mod etcd;
mod external_etcd;
mod families;
mod faults;
mod handover;
mod interrupted;
mod kept;
mod kube;
mod living;
mod nodes;
mod old_layouts;
mod page;
mod power;
mod preflight;
mod quota;
mod recover;
#[path = "../support/render_at.rs"]
mod render_at;
mod roll;
mod running;
mod settled;
mod slow;
mod snapshot;
mod soak;
mod start_report;
mod status;
mod traffic;
mod unpivot;
mod without_others;
mod workloads;
mod world;
