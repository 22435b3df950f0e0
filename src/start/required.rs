//! Which pods must be Ready before the bootstrap control plane goes.

use super::Error;
use crate::NAMESPACE;
use crate::assets::Object;

/// What v0.14 asked for; those that the manifests contain are required.
const DEFAULT: [&str; 4] = ["pod-checkpointer", "kube-apiserver", "kube-scheduler", "kube-controller-manager"];
/// Kinds whose pods can be required.
const WORKLOADS: [&str; 2] = ["DaemonSet", "Deployment"];

/// Pods of a namespace by the beginning of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Namespace.
    pub namespace: String,
    /// Beginning of the name: that of the workload.
    pub prefix: String,
    /// `DaemonSet` or `Deployment`, if the manifests hold it: then its own pods are the evidence.
    pub workload: Option<&'static str>,
}

/// The pods asked for, or those of the default ones that the manifests contain.
pub fn resolve(asked: Option<&[String]>, objects: &[Object]) -> Result<Vec<Required>, Error> {
    match asked {
        Some(asked) => asked.iter().map(|text| parse(text, objects)).collect(),
        None => Ok(DEFAULT
            .iter()
            .map(|name| required(NAMESPACE, name, objects))
            .filter(|required| required.workload.is_some())
            .collect()),
    }
}

fn parse(text: &str, objects: &[Object]) -> Result<Required, Error> {
    match text.split_once('/') {
        Some((namespace, prefix)) if !namespace.is_empty() && !prefix.is_empty() && !prefix.contains('/') => {
            Ok(required(namespace, prefix, objects))
        }
        _ => Err(Error::RequiredPod { value: text.to_owned() }),
    }
}

fn required(namespace: &str, prefix: &str, objects: &[Object]) -> Required {
    let workload = WORKLOADS.into_iter().find(|kind| {
        objects.iter().any(|object| {
            object.kind() == *kind && object.namespace() == Some(namespace) && object.name() == prefix
        })
    });
    Required { namespace: namespace.to_owned(), prefix: prefix.to_owned(), workload }
}
