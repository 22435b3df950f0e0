//! Objects without a base manifest: Secrets, service accounts, disruption budgets, cluster facts.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::manifests::Manifests;
use super::{Error, base};
use crate::config::{ClusterConfig, Component};
use crate::reference;
use crate::yaml;
use crate::{NAMESPACE, VERSION};

/// AuthenticationConfiguration of the apiserver: which paths anonymous requests may reach.
pub const AUTHENTICATION: &str = include_str!("../../assets/apiserver-authentication.yaml");
/// Its name among the secrets.
pub const AUTHENTICATION_FILE: &str = "apiserver-authentication.yaml";
/// ConfigMap that records the configuration of the cluster.
pub const FACTS: &str = "bootkube-config";

/// Metadata of an object in kube-system.
pub fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() }
}

/// Labels of one component.
pub fn labels(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("k8s-app".to_owned(), name.to_owned())])
}

/// A Secret that holds files.
pub fn secret(name: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Secret {
    let data = files.into_iter().map(|(key, value)| (key, ByteString(value))).collect();
    Secret {
        metadata: metadata(name),
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

/// A service account. Its token is mounted only into pods that ask for it.
pub fn service_account(
    component: Component,
    name: &str,
    file: &str,
    manifests: &mut Manifests,
) -> Result<(), Error> {
    let account = ServiceAccount {
        metadata: metadata(name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    manifests.add(file, component, account)
}

/// A disruption budget that a drain can meet: one pod at a time, even if there is only one.
pub fn disruption_budget(
    component: Component,
    name: &str,
    app: &str,
    manifests: &mut Manifests,
) -> Result<(), Error> {
    let budget = PodDisruptionBudget {
        metadata: metadata(name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(labels(app)), ..LabelSelector::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    manifests.add(&format!("manifests/{name}-disruption.yaml"), component, budget)
}

/// What a kubelet needs to join besides a token: the right to a certificate and to renew it.
pub fn kubelet_bootstrap(manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Apiserver;
    for base in [base::CSR_BOOTSTRAP, base::CSR_APPROVER, base::CSR_RENEWAL, base::KUBELET_CLIENT] {
        manifests.add_base::<ClusterRoleBinding>(component, &base)?;
    }
    Ok(())
}

/// Records the configuration of the cluster, for people and for later versions of bootkube. It
/// holds no secret.
pub fn cluster_facts(config: &ClusterConfig, manifests: &mut Manifests) -> Result<(), Error> {
    // Where the rendering machine keeps its CA says nothing about the cluster.
    let recorded = ClusterConfig { ca: None, ..config.clone() };
    let data = BTreeMap::from([
        ("config.yaml".to_owned(), yaml::write(&reference::to_value(&recorded))),
        ("version".to_owned(), VERSION.to_owned()),
        // `start` puts this taint on its node, beside the label that the apiserver's manifest
        // selects.
        ("controller-taint".to_owned(), config.control_plane.taint.clone().unwrap_or_default()),
    ]);
    let map = ConfigMap { metadata: metadata(FACTS), data: Some(data), ..ConfigMap::default() };
    manifests.add("manifests/bootkube-config.yaml", Component::Apiserver, map)
}
