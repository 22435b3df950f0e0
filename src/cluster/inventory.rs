//! Every object of some kinds, asked for once: what `recover` reads where an API is alive. One that is not, is told at once.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;
use crate::NAMESPACE;

/// What a control plane is made of: of kube-system, and roles of the whole cluster.
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
        list::<ClusterRole>(Api::all(client.clone())).await?,
        list::<ClusterRoleBinding>(Api::all(client.clone())).await?,
    ];
    Ok(objects.concat())
}

async fn of_namespace<K>(client: &Client) -> Result<Vec<Value>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    list::<K>(Api::namespaced(client.clone(), NAMESPACE)).await
}

/// As JSON, with version and kind, which the items of a list do not say.
async fn list<K>(api: Api<K>) -> Result<Vec<Value>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let found = api.list(&ListParams::default()).await;
    let found = found.map_err(|error| Error::refused("list", K::plural(&()), &error))?;
    Ok(found.items.iter().map(|item| as_json(item)).collect())
}

fn as_json<K: Resource<DynamicType = ()> + Serialize>(item: &K) -> Value {
    let mut value =
        serde_json::to_value(item).unwrap_or_else(|error| unreachable!("an object has string keys: {error}"));
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    value
}
