//! Tests with limits on times and gaps, for which no other world may be up (`World::alone`). The
//! test harness runs tests in the order of their names, two at once. These come last, so that no
//! other test waits for them.

mod controllers;
mod static_etcd;
mod unsteered;
