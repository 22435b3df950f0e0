//! A real etcd and kube-apiserver as child processes, on loopback, with the certificates and the
//! command line that `render` wrote: what is tested is what a cluster gets.
//!
//! The test process is their parent: `setpriv --pdeathsig` has the kernel kill them with the thread
//! that started them, so that an aborted run leaves no process. Its folder is left to the next run,
//! which removes those of dead processes.

#![allow(clippy::unwrap_used, reason = "test support: a failure here fails the test, with its place")]
#![allow(dead_code, reason = "every test program has a copy of its own, and none needs all of it")]

mod command;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bootkube::assets::tree::{self, Hidden};
use bootkube::cluster::connect::{Readyz, connect};
use bootkube::cluster::kubeconfig::{self, Access};
use bootkube::cluster::probe;
use bootkube::patience::Patience;
use bootkube::yaml;
pub use command::bootkube;
use kube::Client;
use lab::{Cache, Programs};
use serde_json::Value;

/// A name in the apiserver's certificate; nothing resolves it.
pub const SERVER_NAME: &str = "api.example.test";

/// The binary that holds Kubernetes and etcd, built once.
pub fn hyperkube() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| Programs::build(&Cache::open().unwrap()).unwrap().hyperkube).clone()
}

/// Renders a configuration of `fields` into `folder`/assets, and returns what `render` said.
pub fn render(folder: &Path, fields: &str) -> String {
    let text = format!("apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n{fields}\n");
    fs::write(folder.join("cluster.yaml"), text).unwrap();
    let output = bootkube(folder, &["render", "--config=cluster.yaml", "--asset-dir=assets"], "");
    assert!(output.status.success(), "{fields}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The first object of a rendered file.
pub fn object(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    yaml::parse(&text, &file.display().to_string()).unwrap().swap_remove(0)
}

/// An API of a test's own.
pub struct Api {
    /// How to get in as admin.
    pub access: Access,
    /// Where it listens.
    pub endpoint: SocketAddr,
    /// Where etcd listens.
    pub etcd: SocketAddr,
    /// What was rendered for it.
    pub assets: PathBuf,
    folder: PathBuf,
    children: Vec<Child>,
}

/// The API that tests share which do not break it. Lives as long as the process.
pub fn shared() -> &'static Api {
    static SHARED: OnceLock<Api> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (send, receive) = channel();
        // The children die with the thread that starts them; those of tests end with their test.
        std::thread::spawn(move || {
            send.send(Api::start("shared", "")).unwrap();
            loop {
                std::thread::park();
            }
        });
        receive.recv().expect("the shared API starts")
    })
}

impl Api {
    /// Renders a cluster, with `fields` in its configuration; starts etcd and an apiserver, and
    /// returns when it is ready.
    pub fn start(name: &str, fields: &str) -> Self {
        let folder = folder(name);
        let (endpoint, etcd) = (free_address(), free_address());
        let addresses = format!(
            "apiServers: ['https://{endpoint}']\napiServerAltNames: [{SERVER_NAME}]\n\
             etcd: {{servers: ['https://{etcd}']}}\n"
        );
        render(&folder, &format!("{addresses}{fields}"));
        let assets = folder.join("assets");
        let mut access = kubeconfig::read(&assets.join("auth/kubeconfig")).unwrap();
        access.server = format!("https://{SERVER_NAME}").parse().unwrap();
        let mut api = Self { access, endpoint, etcd, assets, folder, children: Vec::new() };
        api.start_etcd();
        api.start_apiserver();
        api
    }

    /// A client that goes to this API.
    pub fn client(&self) -> Client {
        connect(&self.access, Some(self.endpoint)).unwrap()
    }

    /// kubectl as administrator, to be given arguments. Its cache of what the API serves stays out
    /// of the home directory.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(hyperkube());
        command.args(["kubectl", "--kubeconfig"]).arg(self.assets.join("auth/kubeconfig"));
        command.env("KUBECACHEDIR", self.folder.join("cache"));
        command
    }

    fn start_etcd(&mut self) {
        let tls = |file: &str| self.assets.join("tls/etcd").join(file).display().to_string();
        let arguments = [
            format!("--data-dir={}", self.folder.join("etcd").display()),
            "--unsafe-no-fsync".to_owned(),
            format!("--listen-client-urls=https://{}", self.etcd),
            format!("--advertise-client-urls=https://{}", self.etcd),
            format!("--listen-peer-urls=http://{}", free_address()), // no peer ever calls
            format!("--cert-file={}", tls("server.crt")),
            format!("--key-file={}", tls("server.key")),
            format!("--trusted-ca-file={}", tls("server-ca.crt")),
            "--client-cert-auth=true".to_owned(),
        ];
        self.spawn("etcd", &arguments);
    }

    /// Starts the bootstrap apiserver, and returns when it is ready.
    pub fn start_apiserver(&mut self) {
        self.spawn_apiserver();
        self.wait_ready();
    }

    /// Starts an apiserver as rendered for the bootstrap, but for where its files are.
    pub fn spawn_apiserver(&mut self) {
        let pod = object(&self.assets.join("bootstrap-manifests/bootstrap-apiserver.yaml"));
        let command = pod["spec"]["containers"][0]["command"].as_array().unwrap();
        let tls = self.assets.join("tls").display().to_string();
        let words =
            command.iter().map(|word| word.as_str().unwrap().replace("/etc/kubernetes/secrets", &tls));
        // No client connects to what it advertises, and loopback is refused.
        let words: Vec<String> = words.map(|word| word.replace("$(HOST_IP)", "192.0.2.1")).collect();
        self.spawn(&words[0], &words[1..]);
    }

    /// Ends the older one of two apiservers as kubelet does, and waits for its end.
    pub fn end_older_apiserver(&mut self) {
        let mut older = self.children.remove(1); // after etcd
        let status = Command::new("kill").arg(older.id().to_string()).status().unwrap();
        assert!(status.success());
        older.wait().unwrap();
    }

    /// Kills the apiserver, as a crash would.
    pub fn kill_apiserver(&mut self) {
        let mut apiserver = self.children.pop().expect("an apiserver runs");
        apiserver.kill().unwrap();
        apiserver.wait().unwrap();
    }

    fn spawn(&mut self, component: &str, arguments: &[String]) {
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
                match probe::ask(&self.access, Some(self.endpoint), "/readyz", Patience::USUAL).await.unwrap()
                {
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
pub fn folder(name: &str) -> PathBuf {
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

/// Every file below `root`: path to content.
pub fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = tree::files(root, "", Hidden::Include).unwrap();
    paths.into_iter().map(|path| (path.clone(), tree::read(root, &path).unwrap())).collect()
}
