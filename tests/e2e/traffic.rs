//! Clients outside of the machines, forty new connections a second each: an administrator, whom every apiserver believes, and one
//! whom RBAC has to allow, and who is refused by an apiserver that has not finished its RBAC bootstrap.

use base64::Engine as _;
use lab::cluster::ASSETS;
use lab::probe::{Options, Prober, Sample, Summary};
use serde_json::{Value, json};

use crate::world::World;

/// Clients that ask until they are stopped.
pub struct Traffic {
    clients: Vec<(&'static str, Prober)>,
}

/// What became of a client's requests.
pub struct Answered {
    /// Who it was.
    pub client: &'static str,
    /// In figures.
    pub summary: Summary,
}

impl Traffic {
    /// Starts both clients; `name` tells their files from those of others.
    pub fn start(world: &World, name: &str) -> Self {
        let folder = world.lab.folder();
        let clients = [("admin", admin(world)), ("rbac", scheduler(world))].map(|(client, kubeconfig)| {
            let file = folder.join(format!("{client}.kubeconfig"));
            std::fs::write(&file, kubeconfig).unwrap();
            let options = Options { path: "/api/v1/nodes".into(), ..Options::new(file) };
            (client, world.lab.probe_outside(&format!("{name}-{client}"), &options).unwrap())
        });
        Self { clients: clients.into() }
    }

    /// Stops them.
    pub fn finish(self) -> Vec<Answered> {
        let finish = |(client, prober): (&'static str, Prober)| {
            let (samples, summary) = prober.finish().unwrap();
            tell_failed(client, &samples);
            Answered { client, summary }
        };
        self.clients.into_iter().map(finish).collect()
    }
}

impl Answered {
    /// The promise of a pivot and of a roll: no request failed, none waited a second.
    pub fn assert_unnoticed(&self) {
        let Self { client, summary: Summary { ok, failed, longest_gap } } = self;
        assert!(*ok >= 100, "{client}: only {ok} requests succeeded");
        assert!(*longest_gap <= 1.0, "{client}: nothing succeeded for {longest_gap:.2} s");
        assert_eq!(*failed, 0, "{client}: {failed} failed, {ok} succeeded");
    }
}

/// For `record`.
pub fn figures(answered: &[Answered]) -> Value {
    answered.iter().map(|Answered { client, summary }| ((*client).to_owned(), json!(summary))).collect()
}

/// The first of those that failed after the first success.
fn tell_failed(client: &str, samples: &[Sample]) {
    let is_ok = |sample: &&Sample| sample.status == Some(200);
    let first = samples.iter().filter(is_ok).map(|sample| sample.at + sample.took).fold(f64::MAX, f64::min);
    let failed = samples.iter().filter(|sample| !is_ok(sample) && sample.at >= first);
    for Sample { at, took, status, error } in failed.take(10) {
        let answer = (status, error.as_deref().unwrap_or_default());
        eprintln!("e2e: {client}: {:.2} s after its first success, took {took:.2} s: {answer:?}", at - first);
    }
}

fn admin(world: &World) -> Vec<u8> {
    world.n1().read(&format!("{ASSETS}/auth/kubeconfig")).unwrap()
}

/// The scheduler may list nodes, because a ClusterRole says so.
fn scheduler(world: &World) -> Vec<u8> {
    let data = |name: &str| {
        let pem = world.n1().read(&format!("{ASSETS}/tls/{name}")).unwrap();
        base64::engine::general_purpose::STANDARD.encode(pem)
    };
    let server = format!("https://{}:6443", world.n1().ip());
    let kubeconfig = json!({
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": "u", "user": {
            "client-certificate-data": data("scheduler.crt"),
            "client-key-data": data("scheduler.key"),
        }}],
    });
    kubeconfig.to_string().into_bytes()
}
