//! `bootkube recover`: writes assets for `start` from the API, the etcd or a snapshot of a cluster.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::output;
use crate::error::{ExitClass, Failure};
use crate::recover::{self, EtcdAccess, Recovered, Request, Source};

/// Recover the control plane of a cluster from its API, its etcd or a snapshot, as assets for
/// `start`: same CA, same keys.
///
/// The cluster is only read. The output lists what was found and what is missing. Afterwards:
/// bootkube start --asset-dir=DIR.
#[derive(Args)]
pub(super) struct RecoverArgs {
    /// Directory to write the assets to
    #[arg(long, value_name = "DIR")]
    recovery_dir: PathBuf,
    /// Kubeconfig of an administrator. It becomes auth/kubeconfig, and leads to the API if neither
    /// etcd nor a snapshot is named
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Client URLs of a running etcd, separated by commas; the first server that answers is read.
    /// Without it, and without a snapshot, the API is read
    #[arg(long, value_name = "URLS", default_value = "", hide_default_value = true, help_heading = "etcd")]
    etcd_servers: String,
    /// CA of etcd's certificates (PEM)
    #[arg(long, value_name = "FILE", help_heading = "etcd")]
    etcd_ca_path: Option<PathBuf>,
    /// Certificate to show to etcd (PEM)
    #[arg(long, value_name = "FILE", help_heading = "etcd", requires = "etcd_private_key_path")]
    etcd_certificate_path: Option<PathBuf>,
    /// Private key of that certificate
    #[arg(long, value_name = "FILE", help_heading = "etcd", requires = "etcd_certificate_path")]
    etcd_private_key_path: Option<PathBuf>,
    /// Prefix of the apiserver's keys in etcd
    #[arg(long, value_name = "PREFIX", default_value = "/registry", help_heading = "etcd")]
    etcd_prefix: String,
    /// Snapshot of etcd, as `etcdctl snapshot save` writes it, or the file member/snap/db of an
    /// etcd that does not run
    #[arg(long, value_name = "FILE", help_heading = "etcd", conflicts_with = "etcd_servers")]
    etcd_snapshot: Option<PathBuf>,
    /// EncryptionConfiguration of the apiserver, if it encrypts Secrets in etcd. KMS plugins are
    /// not supported
    #[arg(long, value_name = "FILE", help_heading = "etcd")]
    encryption_config: Option<PathBuf>,
    /// Has no effect; v0.14 had it
    #[arg(long, value_name = "DIR", hide = true)]
    pod_manifest_path: Option<PathBuf>,
}

pub(super) fn run(args: RecoverArgs) -> Result<(), Failure> {
    let RecoverArgs {
        recovery_dir,
        kubeconfig,
        etcd_servers,
        etcd_ca_path,
        etcd_certificate_path,
        etcd_private_key_path,
        etcd_prefix,
        etcd_snapshot,
        encryption_config,
        pod_manifest_path: _,
    } = args;
    let source = match (etcd_snapshot, etcd_servers.is_empty()) {
        (Some(file), _) => Source::Snapshot { file, prefix: etcd_prefix },
        (None, true) => Source::Api,
        (None, false) => {
            let etcd = EtcdAccess {
                servers: servers(&etcd_servers, etcd_ca_path.is_some())?,
                ca: etcd_ca_path,
                certificate: etcd_certificate_path,
                key: etcd_private_key_path,
            };
            Source::Etcd { etcd, prefix: etcd_prefix }
        }
    };
    let request = Request { dir: recovery_dir, kubeconfig, source, encryption_config };
    let report = output::runtime()?.block_on(recover::recover(&request))?;
    output::warn(&report.warnings);
    output::print(&(summary(&report, &request).join("\n") + "\n"))
}

/// Reads the URLs. v0.14 also took a bare `HOST:PORT`: its scheme is https if a CA is given.
fn servers(text: &str, has_ca: bool) -> Result<Vec<Url>, Failure> {
    let scheme = if has_ca { "https" } else { "http" };
    let parse = |server: &str| {
        let url = if server.contains("://") { server.to_owned() } else { format!("{scheme}://{server}") };
        let url = Url::parse(&url).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        url.ok_or_else(|| Failure {
            class: ExitClass::Configuration,
            message: format!("--etcd-servers: `{server}` is not a URL"),
            hint: Some("write it as https://10.0.0.5:2379".to_owned()),
        })
    };
    text.split(',').map(str::trim).filter(|server| !server.is_empty()).map(parse).collect()
}

/// What was found, what is missing, and what comes next.
fn summary(report: &Recovered, request: &Request) -> Vec<String> {
    let Recovered { source, components, objects, missing, warnings: _ } = report;
    let mut lines: Vec<String> = vec![format!("read from {source}")];
    lines.extend(components.iter().map(|component| format!("found: {component}")));
    lines.extend(missing.iter().map(|missing| format!("missing: {missing}")));
    let dir = request.dir.display();
    lines.push(format!("assets of {} are in {dir}", output::count(*objects, "object")));
    lines.push(format!("next, on a controller: bootkube start --asset-dir {dir}"));
    lines
}
