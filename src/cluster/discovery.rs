//! From `apiVersion` and `kind` to where the API keeps such objects.
//!
//! Each group version is listed on its own, once. An APIService whose server is down then affects
//! only its own objects, where one request for everything would fail or hang. A kind that is not in
//! the cache is listed again, since its definition may just have become Established.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};
use kube::Client;
use kube::core::ApiResource;

use super::retry::Failure;

/// Where the API keeps objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether objects are in namespaces.
    pub namespaced: bool,
}

/// A cache of what the API serves.
pub struct Discovery {
    client: Client,
    groups: Mutex<HashMap<String, Arc<Slot>>>,
}

/// What a group version serves. Locked while it is listed, so that many objects of one kind cause
/// one request.
type Slot = tokio::sync::Mutex<Option<Vec<APIResource>>>;

impl Discovery {
    /// An empty cache in front of `client`.
    pub fn new(client: Client) -> Self {
        Self { client, groups: Mutex::default() }
    }

    /// Where objects of `kind` in `api_version` live.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<Target, Failure> {
        let slot = self.slot(api_version);
        let mut served = slot.lock().await;
        if let Some(target) = served.as_deref().and_then(|served| find(served, api_version, kind)) {
            return Ok(target);
        }
        let unknown = || Failure::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let list = self.list_resources(api_version).await.map_err(|failure| match failure {
            Failure::Api { ref status, .. } if status.code == 404 => unknown(),
            other => other,
        })?;
        let target = find(&list.resources, api_version, kind).ok_or_else(unknown);
        *served = Some(list.resources);
        target
    }

    fn slot(&self, api_version: &str) -> Arc<Slot> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(api_version.to_owned()).or_default().clone()
    }

    async fn list_resources(&self, api_version: &str) -> Result<APIResourceList, Failure> {
        match api_version.contains('/') {
            true => Ok(self.client.list_api_group_resources(api_version).await?),
            false => Ok(self.client.list_core_api_resources(api_version).await?),
        }
    }
}

fn find(served: &[APIResource], api_version: &str, kind: &str) -> Option<Target> {
    let resource = served.iter().find(|resource| resource.kind == kind && !resource.name.contains('/'))?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource_of = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: resource.name.clone(),
    };
    Some(Target { resource: resource_of, namespaced: resource.namespaced })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(kind: &str, name: &str, namespaced: bool) -> APIResource {
        APIResource { kind: kind.into(), name: name.into(), namespaced, ..APIResource::default() }
    }

    #[test]
    fn a_subresource_of_the_same_kind_is_not_the_resource() {
        let list =
            [served("Deployment", "deployments/status", true), served("Deployment", "deployments", true)];
        let target = find(&list, "apps/v1", "Deployment").unwrap();
        assert_eq!(
            (target.resource.plural.as_str(), target.resource.group.as_str()),
            ("deployments", "apps")
        );
        assert!(target.namespaced);
    }

    #[test]
    fn the_core_group_has_no_name() {
        let target = find(&[served("Node", "nodes", false)], "v1", "Node").unwrap();
        assert_eq!((target.resource.group.as_str(), target.resource.version.as_str()), ("", "v1"));
        assert!(!target.namespaced);
        assert_eq!(find(&[], "v1", "Node"), None);
    }
}
