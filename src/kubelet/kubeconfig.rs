//! kubelet's kubeconfigs, read as client-go reads them. What bootkube itself could not use (a plugin, a CA that is
//! left out) is no mistake of kubelet's.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::config::{document, within};
use crate::host::programs::Program;

/// What a kubeconfig says of the API and of kubelet.
#[derive(Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// As kubelet names it.
    pub file: String,
    pub server: String,
    /// The host that the certificate of the API must be for, if it is not that of `server`.
    pub server_name: Option<String>,
    /// Whether kubelet takes any certificate for the API's.
    pub skips_verification: bool,
    pub authority: Option<Vec<u8>>,
    pub certificate: Option<Vec<u8>>,
    pub token: Option<String>,
    /// Whether a program gives the credentials.
    pub has_plugin: bool,
}

impl Kubeconfig {
    /// Reads `file`; `None` if there is no such file.
    pub fn read(process: &Program, file: &str) -> Option<Result<Self, String>> {
        let path = within(process, file);
        path.try_exists().unwrap_or(true).then(|| {
            let value = document(&path, file)?;
            Self::of(process, file, &value).ok_or_else(|| format!("{file} names no cluster and no user"))
        })
    }

    fn of(process: &Program, file: &str, value: &Value) -> Option<Self> {
        let context = &entry(value, "contexts", value["current-context"].as_str())?["context"];
        let cluster = &entry(value, "clusters", context["cluster"].as_str())?["cluster"];
        let user = &entry(value, "users", context["user"].as_str())?["user"];
        let content = |part: &Value, field: &str| {
            let data = text(&part[format!("{field}-data")]).and_then(|data| STANDARD.decode(data).ok());
            data.or_else(|| beside(process, file, text(&part[field])?))
        };
        let of_file = || String::from_utf8(beside(process, file, text(&user["tokenFile"])?)?).ok();
        let token = text(&user["token"]).map(str::to_owned).or_else(of_file);
        Some(Self {
            file: file.to_owned(),
            server: text(&cluster["server"]).unwrap_or_default().to_owned(),
            server_name: text(&cluster["tls-server-name"]).map(str::to_owned),
            skips_verification: cluster["insecure-skip-tls-verify"] == true,
            authority: content(cluster, "certificate-authority"),
            certificate: content(user, "client-certificate"),
            token: token.map(|token| token.trim().to_owned()),
            has_plugin: user["exec"].is_object(),
        })
    }

    /// Whether kubelet can identify itself with it. kubelet writes the file before it gets the certificate that the
    /// file names.
    pub fn has_credentials(&self) -> bool {
        self.certificate.is_some() || self.token.is_some() || self.has_plugin
    }
}

/// The entry called `name`, else the first, as in kubeconfigs of v0.14.
fn entry<'a>(value: &'a Value, list: &str, name: Option<&str>) -> Option<&'a Value> {
    let entries = value[list].as_array()?;
    match name.filter(|name| !name.is_empty()) {
        Some(name) => entries.iter().find(|entry| entry["name"].as_str().unwrap_or_default() == name),
        None => entries.first(),
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A file that a kubeconfig names: a relative path begins at the kubeconfig's folder.
fn beside(process: &Program, file: &str, path: &str) -> Option<Vec<u8>> {
    let path = Path::new(file).parent().unwrap_or(Path::new("/")).join(path);
    fs::read(within(process, &path.display().to_string())).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process() -> Program {
        Program { pid: std::process::id(), words: vec!["kubelet".to_owned()] }
    }

    #[test]
    fn a_kubeconfig_without_its_certificate_file_has_no_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig").display().to_string();
        assert!(Kubeconfig::read(&process(), &file).is_none());
        let user = json!({"client-certificate": "client.pem", "client-key": "client.pem"});
        let cluster = json!({"server": "https://127.0.0.1:7443", "tls-server-name": "api.test",
            "certificate-authority-data": STANDARD.encode("CA")});
        let value = json!({
            "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
        });
        fs::write(&file, value.to_string()).unwrap();
        let read = || Kubeconfig::read(&process(), &file).unwrap().unwrap_or_else(|why| panic!("{why}"));
        assert!(!read().has_credentials());
        assert!(read().server_name.unwrap() == "api.test" && !read().skips_verification);
        fs::write(folder.path().join("client.pem"), "PEM").unwrap();
        assert!(read().has_credentials() && read().authority.unwrap() == b"CA");
    }

    #[test]
    fn a_file_that_names_nothing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig").display().to_string();
        for text in ["users: []", "{", "contexts: [{name: x, context: {cluster: none}}]"] {
            fs::write(&file, text).unwrap();
            let why = Kubeconfig::read(&process(), &file).unwrap().err().unwrap();
            assert!(why.contains(&file), "{why}");
        }
    }
}
