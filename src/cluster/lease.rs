//! Leases: who leads, and releasing a lease on behalf of a process that has ended.
//!
//! The lease of a controller manager that was killed lasts for 15 s and more. Once the process has
//! ended, its lease can be released for it, as client-go does on a clean exit, and the next one
//! leads within a second. Only a lease of the expected holder is released, by a write that fails if
//! the lease has changed since it was read.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};

use super::error::Error;
use super::retry::{Failure, persist};
use crate::{FIELD_MANAGER, NAMESPACE};

/// Who leads, and when it last renewed the lease. A difference between two reads is a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its identity.
    pub holder: String,
    /// When it last renewed the lease, by its own clock.
    pub renewed: Option<MicroTime>,
    /// Since when it leads, by its own clock.
    pub acquired: Option<MicroTime>,
}

/// What became of a lease that was to be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// It is free now.
    Released,
    /// It had no holder, or does not exist.
    Free,
    /// It has another holder, and was left alone.
    HeldBy(String),
}

/// The holder of the lease `name` in kube-system, if it has one.
pub async fn leader(client: &Client, name: &str) -> Result<Option<Leader>, Error> {
    let api = leases(client);
    let attempt = async || Ok::<_, Failure>(api.get_opt(name).await?.as_ref().and_then(leader_of));
    persist("read", &object(name), attempt).await
}

/// Releases the lease `name` in kube-system if `expected` still holds it.
pub async fn release_lease(client: &Client, name: &str, expected: &str) -> Result<Release, Error> {
    let api = leases(client);
    let attempt = async || {
        let Some(lease) = api.get_opt(name).await? else { return Ok::<_, Failure>(Release::Free) };
        match holder(&lease) {
            None => return Ok(Release::Free),
            Some(other) if other != expected => return Ok(Release::HeldBy(other)),
            Some(_) => {}
        }
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        api.replace(name, &params, &released(lease)).await?; // its resourceVersion is the one that was read
        Ok(Release::Released)
    };
    persist("release", &object(name), attempt).await
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), NAMESPACE)
}

fn leader_of(lease: &Lease) -> Option<Leader> {
    let spec = lease.spec.as_ref()?;
    let (renewed, acquired) = (spec.renew_time.clone(), spec.acquire_time.clone());
    holder(lease).map(|holder| Leader { holder, renewed, acquired })
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}

fn released(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    lease
}

/// How messages name the lease.
fn object(name: &str) -> String {
    format!("lease {NAMESPACE}/{name}")
}
