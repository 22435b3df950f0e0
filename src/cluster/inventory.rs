//! Every object of some kinds, listed once: what `recover` reads where an API still answers. An API
//! that does not answer is an error at once.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::{Client, Resource};
use serde_json::Value;

use super::error::Error;
use super::objects::{Kind, Objects};
use crate::NAMESPACE;

/// The objects of a control plane: those of kube-system, and the cluster's roles.
pub async fn control_plane_objects(client: &Client) -> Result<Vec<Value>, Error> {
    let objects = [
        of_namespace::<ConfigMap>(client).await?,
        of_namespace::<Secret>(client).await?,
        of_namespace::<Service>(client).await?,
        of_namespace::<ServiceAccount>(client).await?,
        of_namespace::<DaemonSet>(client).await?,
        of_namespace::<Deployment>(client).await?,
        of_namespace::<PodDisruptionBudget>(client).await?,
        of_namespace::<Role>(client).await?,
        of_namespace::<RoleBinding>(client).await?,
        list(Objects::<ClusterRole>::all(client)).await?,
        list(Objects::<ClusterRoleBinding>::all(client)).await?,
    ];
    Ok(objects.concat())
}

async fn of_namespace<K>(client: &Client) -> Result<Vec<Value>, Error>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    list(Objects::<K>::namespaced(client, NAMESPACE)).await
}

/// As JSON, with apiVersion and kind, which the items of a list lack.
async fn list<K: Kind>(objects: Objects<K>) -> Result<Vec<Value>, Error> {
    let found = objects.bare.list(&ListParams::default()).await.and_then(|found| {
        let of_type = |mut object: Value| {
            object["apiVersion"] = K::api_version(&()).into();
            object["kind"] = K::kind(&()).into();
            object
        };
        found.items.into_iter().map(|object| object.json().map(of_type)).collect()
    });
    found.map_err(|error| Error::refused("list", K::plural(&()), &error))
}
