//! Tests that hold times and gaps against limits, so that no other world may be up (`World::alone`).
//! The test harness runs tests in the order of their names, two at once: these come last, so that
//! none of the others waits for them.

mod controllers;
mod static_etcd;
mod unsteered;
