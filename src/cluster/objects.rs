//! Objects of one kind. What the API answers is parsed as any object, and only then as what it is: the code that parses a pod is large, and
//! would be there once for each way in which one comes in.

use std::fmt::Debug;
use std::marker::PhantomData;

use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::{Api, Client, Error, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
    /// The same, parsed as any object: for answers that interest nobody.
    pub any: Api<DynamicObject>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Objects<K> {
    /// Wherever they are.
    pub fn all(client: &Client) -> Self {
        Self { any: Api::all_with(client.clone(), &ApiResource::erase::<K>(&())), kind: PhantomData }
    }

    /// Those of one namespace.
    pub fn namespaced(client: &Client, namespace: &str) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        let kind = ApiResource::erase::<K>(&());
        Self { any: Api::namespaced_with(client.clone(), namespace, &kind), kind: PhantomData }
    }

    /// The one called `name`.
    pub async fn get(&self, name: &str) -> Result<K, Error> {
        typed(self.any.get(name).await?)
    }

    /// The same, if it is there.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, Error> {
        self.any.get_opt(name).await?.map(typed).transpose()
    }

    /// Those that `which` chooses.
    pub async fn list(&self, which: &ListParams) -> Result<Vec<K>, Error> {
        self.any.list(which).await?.items.into_iter().map(typed).collect()
    }

    /// Puts `object` in the place of the one called `name`.
    pub async fn replace(&self, name: &str, params: &PostParams, object: &K) -> Result<(), Error>
    where
        K: Serialize,
    {
        let object = serde_json::to_value(object).and_then(serde_json::from_value);
        self.any.replace(name, params, &object.map_err(Error::SerdeError)?).await.map(drop)
    }
}

/// What it is.
pub fn typed<K: DeserializeOwned>(object: DynamicObject) -> Result<K, Error> {
    serde_json::to_value(object).and_then(serde_json::from_value).map_err(Error::SerdeError)
}
