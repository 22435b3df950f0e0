//! Leases: who leads, and letting go on behalf of one that is gone.
//!
//! A controller manager that is killed keeps its lease for 15 s and more. Once its process has ended, whoever ended it may
//! let go in its place, as client-go does on a clean exit, and the next one leads within a second. Only a lease of the
//! expected holder is let go, by a write that fails if anybody wrote since it was read.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};

use super::Error;
use super::retry::{Expected, Failure, retrying};
use crate::{FIELD_MANAGER, NAMESPACE};

/// Who leads, and when it last said so. Two that differ are a sign of life in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its identity.
    pub holder: String,
    /// By its own clock.
    pub renewed: Option<MicroTime>,
    /// Since when it leads, by its own clock.
    pub acquired: Option<MicroTime>,
}

/// What became of a lease that was to be let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// It is free now.
    Released,
    /// Nobody held it, or there is none.
    Free,
    /// Somebody else holds it: left alone.
    HeldBy(String),
}

/// Who holds the lease `name` in kube-system, if anybody.
pub async fn leader(client: &Client, name: &str) -> Result<Option<Leader>, Error> {
    let api = leases(client);
    let attempt = async || Ok::<_, Failure>(api.get_opt(name).await?.as_ref().and_then(leader_of));
    retrying(&Expected::default(), attempt, |reason| tracing::debug!(name, reason, "lease not read yet"))
        .await
        .map_err(|reason| refused("read", name, reason))
}

/// Lets go of the lease `name` in kube-system if `expected` still holds it.
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
    retrying(&Expected::default(), attempt, |reason| tracing::debug!(name, reason, "lease not released yet"))
        .await
        .map_err(|reason| refused("release", name, reason))
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

fn refused(act: &'static str, name: &str, reason: String) -> Error {
    Error::Refused { act, object: format!("lease {NAMESPACE}/{name}"), reason }
}
