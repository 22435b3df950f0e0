//! Objects of one kind. An answer is parsed as a bare object first and as its own type after that:
//! the code that parses a pod is large, and would otherwise be generated once for each way in which
//! one arrives.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicResourceScope, NamespaceResourceScope};
use kube::{Api, Client, Error, Resource};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A kind that is known at compile time.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}

/// The objects of kind `K` of a cluster or of a namespace.
#[derive(Clone, Debug)]
pub struct Objects<K> {
    /// The same as bare objects, for requests whose answer is not used.
    pub bare: Api<Bare>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Objects<K> {
    /// In all namespaces, or of a kind that has none.
    pub fn all(client: &Client) -> Self {
        Self { bare: Api::all_with(client.clone(), &ApiResource::erase::<K>(&())), kind: PhantomData }
    }

    /// Those of one namespace.
    pub fn namespaced(client: &Client, namespace: &str) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        let kind = ApiResource::erase::<K>(&());
        Self { bare: Api::namespaced_with(client.clone(), namespace, &kind), kind: PhantomData }
    }

    /// The one called `name`.
    pub async fn get(&self, name: &str) -> Result<K, Error> {
        self.bare.get(name).await?.typed()
    }

    /// The one called `name`, if it exists.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, Error> {
        self.bare.get_opt(name).await?.map(Bare::typed).transpose()
    }

    /// Those that `which` selects.
    pub async fn list(&self, which: &ListParams) -> Result<Vec<K>, Error> {
        self.bare.list(which).await?.items.into_iter().map(Bare::typed).collect()
    }
}

/// An object of any kind without its `managedFields`, which are half of every answer and most of
/// its memory.
#[derive(Clone, Debug)]
pub struct Bare {
    metadata: ObjectMeta,
    /// Everything else.
    data: Map<String, Value>,
}

impl Bare {
    /// As its own type.
    pub fn typed<K: DeserializeOwned>(self) -> Result<K, Error> {
        self.json().and_then(|whole| serde_json::from_value(whole).map_err(Error::SerdeError))
    }

    /// As JSON. Items of a list lack apiVersion and kind.
    pub fn json(self) -> Result<Value, Error> {
        let Self { metadata, mut data } = self;
        data.insert("metadata".into(), serde_json::to_value(metadata).map_err(Error::SerdeError)?);
        Ok(data.into())
    }
}

impl Resource for Bare {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        of.api_version.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data: Map<String, Value> = Map::deserialize(deserializer)?;
        let Some(mut metadata) = data.remove("metadata") else {
            return Ok(Self { metadata: ObjectMeta::default(), data });
        };
        if let Some(fields) = metadata.as_object_mut() {
            fields.remove("managedFields");
        }
        let metadata = serde_json::from_value(metadata).map_err(D::Error::custom)?;
        Ok(Self { metadata, data })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_lost_but_the_notes_wherever_they_stand() {
        let written = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"managedFields": "kept"},
            "metadata": {"name": "a", "labels": {"b": "c"}, "managedFields": [{"manager": "kubectl"}]},
        });
        let text = written.to_string();
        let bare: Bare = serde_json::from_str(&text).unwrap();
        assert_eq!(bare.meta().name.as_deref(), Some("a"));
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"managedFields": "kept"},
            "metadata": {"name": "a", "labels": {"b": "c"}},
        });
        assert_eq!(bare.clone().json().unwrap(), expected);
        let map: ConfigMap = bare.typed().unwrap();
        assert_eq!(map, serde_json::from_value(expected).unwrap());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[]", r#"{"metadata": []}"#, r#"{"metadata": {"name": 1}}"#] {
            serde_json::from_str::<Bare>(text).unwrap_err();
        }
        let wrong: Bare = serde_json::from_value(json!({"metadata": {}, "data": {"a": 1}})).unwrap();
        wrong.typed::<ConfigMap>().unwrap_err();
    }
}
