//! Bootstrap tokens: the Secrets by which the apiserver knows them, and what an earlier render left
//! of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifests::Manifests;
use super::{Error, objects};
use crate::config::Component;
use crate::finding::Finding;
use crate::pki::{BootstrapToken, Bundle};
use crate::yaml;

/// Where the token that kubelets share is rendered.
const SHARED: &str = "manifests/kubelet-bootstrap-token.yaml";
/// Where tokens of single machines are: a file for each, so that a machine that is added later
/// changes none.
const FOLDER: &str = "manifests/node-tokens/";

/// Tokens of an earlier render.
#[derive(Default)]
pub struct Tokens {
    /// The one that kubelets share.
    pub shared: Option<BootstrapToken>,
    /// Those of single machines, by name.
    pub of_nodes: BTreeMap<String, BootstrapToken>,
}

/// Adds the Secret of every token.
pub fn add(bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Apiserver;
    let shared = secret(&bundle.bootstrap_token, "Joins kubelets; rendered by bootkube.");
    manifests.add(SHARED, component, shared)?;
    for (name, token) in &bundle.node_tokens {
        let mut secret = secret(token, &format!("Joins the kubelet of {name}; rendered by bootkube."));
        let data = secret.string_data.get_or_insert_default();
        data.insert("auth-extra-groups".to_owned(), group(name));
        manifests.add(&format!("{FOLDER}{name}.yaml"), component, secret)?;
    }
    Ok(())
}

/// The group of one machine's token: by it the audit log and RBAC tell machines apart. A group's name
/// has no dots, and a Node's has no colons.
fn group(name: &str) -> String {
    format!("system:bootstrappers:node:{}", name.replace('.', ":"))
}

fn secret(token: &BootstrapToken, description: &str) -> Secret {
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut data = BTreeMap::from([
        text("description", description),
        text("token-id", &token.id),
        text("token-secret", &token.secret),
        text("usage-bootstrap-authentication", "true"),
    ]);
    if let Some(expires) = token.expires {
        let stamp = expires.format(&Rfc3339).expect("invariant: a year of four digits, no sub-minute offset");
        data.insert("expiration".to_owned(), stamp);
    }
    Secret {
        metadata: objects::metadata(&format!("bootstrap-token-{}", token.id)),
        type_: Some("bootstrap.kubernetes.io/token".to_owned()),
        string_data: Some(data),
        ..Secret::default()
    }
}

/// Reads the tokens among the files of an earlier render.
pub fn earlier(files: &BTreeMap<String, Vec<u8>>) -> Result<Tokens, Finding> {
    let mut tokens = Tokens::default();
    for (path, text) in files {
        let of_node = path.strip_prefix(FOLDER).and_then(|file| file.strip_suffix(".yaml"));
        match of_node {
            Some(name) => drop(tokens.of_nodes.insert(name.to_owned(), read(path, text)?)),
            None if path == SHARED => tokens.shared = Some(read(path, text)?),
            None => {}
        }
    }
    Ok(tokens)
}

fn read(path: &str, text: &[u8]) -> Result<BootstrapToken, Finding> {
    let broken = |problem: String| Finding {
        field: path.to_owned(),
        value: String::new(),
        problem,
        cure: "put the rendered file back, or delete it to have a new token made".to_owned(),
    };
    let documents = yaml::parse(&String::from_utf8_lossy(text), path);
    let secret: Value =
        documents.map_err(|error| broken(error.to_string()))?.into_iter().next().unwrap_or_default();
    let field = |key: &str| secret["stringData"][key].as_str().map(str::to_owned);
    let (Some(id), Some(token)) = (field("token-id"), field("token-secret")) else {
        return Err(broken("stringData holds no token-id and token-secret".to_owned()));
    };
    let expires = field("expiration").map(|stamp| OffsetDateTime::parse(&stamp, &Rfc3339)).transpose();
    let expires = expires.map_err(|error| broken(format!("stringData.expiration: {error}")))?;
    Ok(BootstrapToken { id, secret: token, expires })
}
