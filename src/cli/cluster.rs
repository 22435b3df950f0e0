//! The flags that describe a cluster, shared by `render` and `config validate`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::refused;
use crate::config::{self, ClusterConfig, Flags, NodesFile};
use crate::error::Failure;
use crate::finding::{Finding, Findings};

/// `--config`, and the flags of v0.14's `render`, which override it.
#[derive(Args)]
pub(super) struct ClusterArgs {
    /// Configuration file (YAML); `bootkube config defaults` prints one. Flags override it
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// List of the machines, in place of `nodes` of the configuration file. A line is a machine, such as
    /// `n2 worker 192.0.2.11 label=disk=ssd`; or YAML, as in the configuration file
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    nodes: Option<PathBuf>,
    /// Name of the cluster in kubeconfigs [default: kubernetes]
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    cluster_name: Option<String>,
    /// `external` if you run a cloud controller manager [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    cloud_provider: Option<String>,

    /// URLs of the API, separated by commas. The first goes into kubeconfigs; apiservers listen on
    /// its port (443 if it has none) [default: https://127.0.0.1:6443]
    #[arg(long, value_name = "URLS", help_heading = "API")]
    api_servers: Option<String>,
    /// More names for the certificate of the API, as IP=10.0.0.5,DNS=api.example.com. The hosts of
    /// --api-servers are always included (v0.14 left them out when this flag was given)
    #[arg(long, value_name = "NAMES", help_heading = "API")]
    api_server_alt_names: Option<String>,
    /// Certificate of an existing CA to sign with (PEM); needs --ca-private-key-path
    #[arg(long, value_name = "FILE", help_heading = "API")]
    ca_certificate_path: Option<String>,
    /// Private key of that CA (PEM: PKCS#1, PKCS#8 or SEC1; RSA or EC)
    #[arg(long, value_name = "FILE", help_heading = "API")]
    ca_private_key_path: Option<String>,

    /// Client URLs of etcd, separated by commas; one https URL turns TLS on [default:
    /// https://127.0.0.1:2379]
    #[arg(long, value_name = "URLS", help_heading = "etcd")]
    etcd_servers: Option<String>,
    /// CA of an existing etcd (PEM); give this and the next two flags, or none of them
    #[arg(long, value_name = "FILE", help_heading = "etcd")]
    etcd_ca_path: Option<String>,
    /// Client certificate for that etcd (PEM)
    #[arg(long, value_name = "FILE", help_heading = "etcd")]
    etcd_certificate_path: Option<String>,
    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "etcd")]
    etcd_private_key_path: Option<String>,

    /// Addresses of pods: a CIDR, or an IPv4 and an IPv6 one separated by a comma [default:
    /// 10.2.0.0/16]
    #[arg(long, value_name = "CIDRS", help_heading = "Network")]
    pod_cidr: Option<String>,
    /// Addresses of Services, in the same form; the tenth is that of cluster DNS [default:
    /// 10.3.0.0/24]
    #[arg(long, value_name = "CIDRS", help_heading = "Network")]
    service_cidr: Option<String>,
    /// Pod network: `flannel`, or `none` if you install a CNI plugin yourself [default: flannel]
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    network_provider: Option<String>,
}

impl ClusterArgs {
    /// The configuration that results from the flags over the file, or over `given`, the text of a
    /// file from stdin; with its warnings.
    pub fn resolve(self, given: Option<String>) -> Result<(ClusterConfig, Vec<String>), Failure> {
        let (path, flags) = self.split()?;
        let file = match (path, given) {
            (Some(path), Some(_)) => return Err(refused(&given_twice(&path))),
            (Some(path), None) => Some((path.display().to_string(), read("--config", &path)?)),
            (None, Some(text)) => Some(("config".to_owned(), text)),
            (None, None) => None,
        };
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        config::resolve(flags, file).map_err(|findings| refused(&findings))
    }

    /// How messages name the configuration file: its path, or the key `config` of a query.
    pub fn file_name(&self) -> String {
        self.config.as_ref().map_or_else(|| "config".to_owned(), |path| path.display().to_string())
    }

    /// The path of the configuration file, and the flags, with the list of machines read.
    fn split(self) -> Result<(Option<PathBuf>, Flags), Failure> {
        let Self {
            config,
            nodes,
            cluster_name,
            api_servers,
            api_server_alt_names,
            ca_certificate_path,
            ca_private_key_path,
            etcd_servers,
            etcd_ca_path,
            etcd_certificate_path,
            etcd_private_key_path,
            pod_cidr,
            service_cidr,
            network_provider,
            cloud_provider,
        } = self;
        let list = |path: PathBuf| {
            let name = path.display().to_string();
            read("--nodes", &path).map(|text| NodesFile { name, text })
        };
        let flags = Flags {
            nodes: nodes.map(list).transpose()?,
            cluster_name,
            ca_certificate_path,
            ca_private_key_path,
            etcd_ca_path,
            etcd_certificate_path,
            etcd_private_key_path,
            etcd_servers,
            api_servers,
            api_server_alt_names,
            pod_cidr,
            service_cidr,
            cloud_provider,
            network_provider,
        };
        Ok((config, flags))
    }
}

/// The text of a file that `flag` names.
fn read(flag: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let problem = format!("cannot be read: {error}");
        let cure = "name a file that is there, that you may read, and that is UTF-8 text";
        refused(&mistake(flag, path, &problem, cure))
    })
}

fn given_twice(path: &Path) -> Findings {
    mistake("--config", path, "is a second configuration beside the one on stdin", "give one of them")
}

fn mistake(flag: &str, path: &Path, problem: &str, cure: &str) -> Findings {
    Findings(vec![Finding::new(flag, &path.display().to_string(), problem, cure)])
}
