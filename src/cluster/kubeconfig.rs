//! Reads a kubeconfig: where the API is, and the client's credentials for it.
//!
//! v0.14 wrote kubeconfigs whose only context has no name and which name no current one; both are
//! read. What cannot work in an empty root or would weaken the connection is refused with its cure:
//! credential plugins, plain http, unverified TLS. Messages name the file and the field and never
//! quote a value: a misplaced one may be a key.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;

use crate::dial;

/// Where the API is, and the client's credentials for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// URL of the API: https, without a path.
    pub server: Url,
    /// Certificates that the API's one must descend from, PEM.
    pub ca: Vec<u8>,
    /// Whom the API's certificate must name, if not the host of `server`.
    pub tls_server_name: Option<String>,
    /// Who we are.
    pub identity: Identity,
}

impl Access {
    /// The address that a client should connect to, where the server's name has several.
    pub async fn live_address(&self) -> Option<SocketAddr> {
        dial::live_address(self.server.host_str()?, self.server.port_or_known_default()?).await
    }
}

/// What is shown to the API.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A client certificate and its key, PEM.
    Certificate {
        /// The certificate and what lies between it and the CA.
        certificate: Vec<u8>,
        /// Its private key.
        key: Vec<u8>,
    },
    /// A bearer token.
    Token(String),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, ca: _, tls_server_name, identity } = self;
        f.debug_struct("Access")
            .field("server", &server.as_str())
            .field("tls_server_name", tls_server_name)
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate { .. } => "client certificate",
            Self::Token(_) => "token",
        })
    }
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or one that it names, cannot be read.
    #[error("failed to read {}{}", path.display(), named_by.as_deref().map(|by| format!(", named by {by}")).unwrap_or_default())]
    Read {
        /// The file.
        path: PathBuf,
        /// Kubeconfig and field that name it, unless it is the kubeconfig itself.
        named_by: Option<String>,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not YAML.
    #[error("kubeconfig {}: {problem}", file.display())]
    Syntax {
        /// The kubeconfig.
        file: PathBuf,
        /// What the parser says.
        problem: String,
    },
    /// A field is missing or has a value that does not work.
    #[error("kubeconfig {}: {field} {problem}", file.display())]
    Field {
        /// The kubeconfig.
        file: PathBuf,
        /// Path of the field.
        field: String,
        /// What is wrong and what to do about it.
        problem: String,
    },
}

/// The access described by the kubeconfig at `file`.
pub fn read(file: &Path) -> Result<Access, Error> {
    let bytes = std::fs::read(file).map_err(|source| Error::Read {
        path: file.to_owned(),
        named_by: None,
        source,
    })?;
    parse(&bytes, file)
}

/// The access described by `bytes`, the content of `file`, beside which relative paths are looked
/// up.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Access, Error> {
    let root = document(bytes, file)?;
    let root = Field { file, path: String::new(), value: &root };
    let context = current_context(&root)?;
    let cluster = root.named("clusters", &context.require("cluster")?, "cluster")?;
    let user = root.named("users", &context.require("user")?, "user")?;
    cluster.refuse("insecure-skip-tls-verify", "is not supported: give the CA instead")?;
    cluster.refuse("proxy-url", "is not supported: bootkube speaks to this machine")?;
    Ok(Access {
        server: server(&cluster)?,
        ca: ca(&cluster)?,
        tls_server_name: cluster.text("tls-server-name")?,
        identity: identity(&user)?,
    })
}

fn document(bytes: &[u8], file: &Path) -> Result<Value, Error> {
    let syntax = |problem: String| Error::Syntax { file: file.to_owned(), problem };
    let text = std::str::from_utf8(bytes).map_err(|error| syntax(format!("is not UTF-8: {error}")))?;
    let mut documents = crate::yaml::parse(text, &file.display().to_string())
        .map_err(|error| syntax(format!("line {}: {}", error.line, error.problem)))?;
    match documents.len() {
        1 => Ok(documents.remove(0)),
        0 => Err(syntax("is empty".into())),
        n => Err(syntax(format!("holds {n} documents, one is wanted"))),
    }
}

/// The context named by `current-context`, or the first where none is named.
fn current_context<'a>(root: &Field<'a>) -> Result<Field<'a>, Error> {
    match root.text("current-context")? {
        Some(name) if !name.is_empty() => root.named("contexts", &name, "context"),
        _ => root.first("contexts", "context"),
    }
}

fn server(cluster: &Field<'_>) -> Result<Url, Error> {
    let field = |problem: &str| cluster.wrong("server", problem);
    let url =
        Url::parse(&cluster.require("server")?).map_err(|error| field(&format!("is no URL: {error}")))?;
    if url.scheme() != "https" {
        return Err(field("must start with https://, or credentials would travel in the open"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(field("has no host"));
    }
    if url.path() != "/" {
        return Err(field("has a path; only host and port are wanted"));
    }
    Ok(url)
}

fn ca(cluster: &Field<'_>) -> Result<Vec<u8>, Error> {
    let pem = cluster.file_or_data("certificate-authority")?.ok_or_else(|| {
        cluster.wrong("certificate-authority-data", "is missing; `bootkube render` writes it")
    })?;
    has_block(cluster, "certificate-authority", &pem, "CERTIFICATE")?;
    Ok(pem)
}

fn identity(user: &Field<'_>) -> Result<Identity, Error> {
    user.refuse("exec", "is not supported: give a client certificate or a token instead of a plugin")?;
    user.refuse("auth-provider", "is not supported: give a client certificate or a token instead")?;
    match (user.file_or_data("client-certificate")?, user.file_or_data("client-key")?) {
        (Some(certificate), Some(key)) => {
            has_block(user, "client-certificate", &certificate, "CERTIFICATE")?;
            has_block(user, "client-key", &key, "PRIVATE KEY")?;
            Ok(Identity::Certificate { certificate, key })
        }
        (Some(_), None) => Err(user.wrong("client-key-data", "is missing beside the client certificate")),
        (None, Some(_)) => Err(user.wrong("client-certificate-data", "is missing beside the client key")),
        (None, None) => token(user).map(Identity::Token),
    }
}

fn token(user: &Field<'_>) -> Result<String, Error> {
    let token = match (user.text("token")?, user.text("tokenFile")?) {
        (Some(token), _) => token,
        (None, Some(path)) => String::from_utf8(user.read("tokenFile", &path)?)
            .map_err(|_| user.wrong("tokenFile", "names a file that is not text"))?,
        (None, None) => {
            return Err(user.wrong("", "holds neither a client certificate with its key nor a token"));
        }
    };
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(user.wrong("token", "must be of visible ASCII characters"));
    }
    Ok(token.to_owned())
}

fn has_block(field: &Field<'_>, name: &str, pem: &[u8], tag: &str) -> Result<(), Error> {
    let found =
        pem::parse_many(pem).is_ok_and(|blocks| blocks.iter().any(|block| block.tag().ends_with(tag)));
    found.then_some(()).ok_or_else(|| field.wrong(name, &format!("holds no PEM block of type {tag}")))
}

/// A value of the kubeconfig that knows its path, for messages.
struct Field<'a> {
    file: &'a Path,
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    fn at(&self, name: &str) -> String {
        [self.path.as_str(), name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    }

    fn wrong(&self, name: &str, problem: &str) -> Error {
        Error::Field { file: self.file.to_owned(), field: self.at(name), problem: problem.to_owned() }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    fn require(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    fn refuse(&self, name: &str, problem: &str) -> Result<(), Error> {
        match self.value.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => Ok(()),
            Some(Value::String(text)) if text.is_empty() => Ok(()),
            Some(_) => Err(self.wrong(name, problem)),
        }
    }

    fn list(&self, name: &str) -> Result<&'a [Value], Error> {
        match self.value.get(name) {
            Some(Value::Array(items)) if !items.is_empty() => Ok(items),
            None | Some(Value::Null | Value::Array(_)) => Err(self.wrong(name, "is missing or empty")),
            Some(_) => Err(self.wrong(name, "must be a list")),
        }
    }

    /// The `part` of the entry of `list` called `name`. An entry without a name is called "".
    fn named(&self, list: &str, name: &str, part: &str) -> Result<Field<'a>, Error> {
        let called = |item: &Value| item.get("name").and_then(Value::as_str).unwrap_or_default() == name;
        let index = self.list(list)?.iter().position(called);
        let index = index.ok_or_else(|| self.wrong(list, &format!("has no entry named `{name}`")))?;
        self.entry(list, index, part)
    }

    fn first(&self, list: &str, part: &str) -> Result<Field<'a>, Error> {
        self.entry(list, 0, part)
    }

    fn entry(&self, list: &str, index: usize, part: &str) -> Result<Field<'a>, Error> {
        let path = self.at(&format!("{list}[{index}].{part}"));
        match self.list(list)?.get(index).and_then(|item| item.get(part)) {
            Some(value @ Value::Object(_)) => Ok(Field { file: self.file, path, value }),
            _ => Err(self.wrong(&path, "is missing or not a mapping")),
        }
    }

    /// The content of `{name}-data`, else of the file named by `name`.
    fn file_or_data(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let data = format!("{name}-data");
        if let Some(text) = self.text(&data)?.filter(|text| !text.is_empty()) {
            let packed: String = text.split_whitespace().collect();
            return STANDARD.decode(packed).map(Some).map_err(|_| self.wrong(&data, "is not base64"));
        }
        match self.text(name)?.filter(|path| !path.is_empty()) {
            Some(path) => self.read(name, &path).map(Some),
            None => Ok(None),
        }
    }

    fn read(&self, name: &str, path: &str) -> Result<Vec<u8>, Error> {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        std::fs::read(&path).map_err(|source| Error::Read {
            named_by: Some(format!("{} of {}", self.at(name), self.file.display())),
            path,
            source,
        })
    }
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
