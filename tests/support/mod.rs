//! A real etcd and kube-apiserver as child processes, on loopback, with certificates of their own.
//!
//! The test process is their parent: `setpriv --pdeathsig` has the kernel kill them with the thread that started them, so
//! that an aborted run leaves no process. Its folder is left to the next run, which removes those of dead processes.

#![allow(clippy::unwrap_used, reason = "test support: a failure here fails the test, with its place")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bootkube::cluster::connect::{Readyz, connect, probe};
use bootkube::cluster::kubeconfig::{Access, Identity};
use kube::Client;
use lab::{Cache, Programs};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The only name in the apiserver's certificate; nothing resolves it.
pub const SERVER_NAME: &str = "api.example.test";

/// The binary that holds Kubernetes and etcd, built once.
pub fn hyperkube() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| Programs::build(&Cache::open().unwrap()).unwrap().hyperkube).clone()
}

/// An API of one's own.
pub struct Api {
    /// How to get in as admin.
    pub access: Access,
    /// Where it listens.
    pub endpoint: SocketAddr,
    folder: PathBuf,
    etcd_url: String,
    children: Vec<Child>,
}

/// The API that tests share which do not break it. Lives as long as the process.
pub fn shared() -> &'static Api {
    static SHARED: OnceLock<Api> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (send, receive) = channel();
        // The children die with the thread that starts them; those of tests end with their test.
        std::thread::spawn(move || {
            send.send(Api::start("shared")).unwrap();
            loop {
                std::thread::park();
            }
        });
        receive.recv().expect("the shared API starts")
    })
}

impl Api {
    /// Starts etcd and an apiserver, and returns when it is ready.
    pub fn start(name: &str) -> Self {
        let folder = folder(name);
        let access = write_certificates(&folder);
        let endpoint = free_address();
        let (client, peer) = (format!("http://{}", free_address()), format!("http://{}", free_address()));
        let mut api = Self { access, endpoint, folder, etcd_url: client.clone(), children: Vec::new() };
        let data = format!("--data-dir={}", api.folder.join("etcd").display());
        api.spawn(
            "etcd",
            &[
                &data,
                "--unsafe-no-fsync",
                &format!("--listen-client-urls={client}"),
                &format!("--advertise-client-urls={client}"),
                &format!("--listen-peer-urls={peer}"),
            ],
        );
        api.start_apiserver();
        api
    }

    /// A client that goes to this API.
    pub fn client(&self) -> Client {
        connect(&self.access, Some(self.endpoint)).unwrap()
    }

    /// Starts an apiserver, and returns when it is ready.
    pub fn start_apiserver(&mut self) {
        let file = |option: &str, file: &str| format!("--{option}={}", self.folder.join(file).display());
        let arguments = [
            format!("--etcd-servers={}", self.etcd_url),
            format!("--bind-address={}", self.endpoint.ip()),
            format!("--secure-port={}", self.endpoint.port()),
            "--advertise-address=192.0.2.1".into(), // loopback is refused; nobody connects to it
            "--endpoint-reconciler-type=none".into(),
            "--authorization-mode=RBAC".into(),
            "--service-cluster-ip-range=10.3.0.0/24".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--shutdown-watch-termination-grace-period=2s".into(),
            file("tls-cert-file", "server.crt"),
            file("tls-private-key-file", "server.key"),
            file("client-ca-file", "ca.crt"),
            file("service-account-key-file", "sa.pub"),
            file("service-account-signing-key-file", "sa.key"),
            file("cert-dir", "run"),
        ];
        self.spawn("kube-apiserver", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        self.wait_ready();
    }

    /// Kills the apiserver, as a crash would.
    pub fn kill_apiserver(&mut self) {
        let mut apiserver = self.children.pop().expect("an apiserver runs");
        apiserver.kill().unwrap();
        apiserver.wait().unwrap();
    }

    fn spawn(&mut self, component: &str, arguments: &[&str]) {
        let log = fs::File::options().create(true).append(true).open(self.log(component)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(hyperkube()).arg(component).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.children.push(command.spawn().unwrap());
    }

    fn wait_ready(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = Instant::now();
        // A thread of its own: the caller may be inside a runtime already.
        let answer = std::thread::scope(|scope| {
            let ready = async || loop {
                match probe(&self.access, Some(self.endpoint), "/readyz").await.unwrap() {
                    Readyz::Ready => break Ok(()),
                    answer if start.elapsed() > Duration::from_secs(90) => break Err(answer),
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            };
            scope.spawn(move || runtime.block_on(ready())).join().unwrap()
        });
        if let Err(answer) = answer {
            let log = fs::read_to_string(self.log("kube-apiserver")).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(20).collect();
            panic!("the apiserver is not ready: {answer:?}\n{}", tail.join("\n"));
        }
    }

    fn log(&self, component: &str) -> PathBuf {
        self.folder.join(format!("{component}.log"))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                eprintln!("cannot end a child: {error}");
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// A fresh folder for this process; those of processes that are no more are removed.
fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api");
    fs::create_dir_all(&root).unwrap();
    for entry in fs::read_dir(&root).unwrap().flatten() {
        let owner = entry.file_name().to_string_lossy().split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(owner).exists() && fs::remove_dir_all(entry.path()).is_err() {
            eprintln!("{} stays: another run may be removing it", entry.path().display());
        }
    }
    let folder = root.join(format!("{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn write_certificates(folder: &Path) -> Access {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let (ca, authority) = authority();
    write("ca.crt", &ca);
    let (certificate, key) = leaf(&authority, "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth);
    write("server.crt", &certificate);
    write("server.key", &key);
    let service_accounts = KeyPair::generate().unwrap();
    write("sa.key", &service_accounts.serialize_pem());
    write("sa.pub", &service_accounts.public_key_pem());
    let (certificate, key) =
        leaf(&authority, "admin", Some("system:masters"), ExtendedKeyUsagePurpose::ClientAuth);
    Access {
        server: format!("https://{SERVER_NAME}:6443").parse().unwrap(),
        ca: ca.into_bytes(),
        tls_server_name: None,
        identity: Identity::Certificate { certificate: certificate.into_bytes(), key: key.into_bytes() },
    }
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

fn leaf(
    authority: &Issuer<'static, KeyPair>,
    name: &str,
    group: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}
