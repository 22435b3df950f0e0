//! Clients outside of the machines, which send forty requests a second each. Every apiserver allows
//! the administrator. An apiserver that has not read the RBAC objects yet refuses the scheduler's
//! user. That user asks over new connections, and over kept ones of HTTP/1 and HTTP/2, which repeat
//! what client-go repeats.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use lab::cluster::ASSETS;
use lab::probe::{Connections, NAMESPACE, Options, Prober, Sample, Summary};
use serde_json::{Value, json};

use crate::world::World;

/// Name, user and connections of a client.
type Client = (&'static str, &'static str, Connections);

/// How much clients ask for.
#[derive(Clone, Copy)]
struct Pace {
    /// Requests a second of each client, towards all addresses together.
    rate: u32,
    /// Seconds until a request without an answer has failed.
    patience: u64,
}

impl Pace {
    const BRISK: Self = Self { rate: 40, patience: 5 };
}

/// The scheduler may get namespaces, by a ClusterRole.
const CLIENTS: [Client; 4] = [
    ("admin", "admin", Connections::Fresh),
    ("rbac", "scheduler", Connections::Fresh),
    ("kept-http1", "scheduler", Connections::Http1),
    ("kept-http2", "scheduler", Connections::Http2),
];

/// Clients that ask until they are stopped.
pub struct Traffic {
    clients: Vec<(String, Prober)>,
}

/// The outcome of a client's requests.
pub struct Answered {
    /// The client, and its address family where there is more than one.
    pub client: String,
    /// Counts and the longest gap.
    pub summary: Summary,
}

impl Traffic {
    /// Starts all clients. The names of their files begin with `name`.
    pub fn start(world: &World, name: &str) -> Self {
        Self::towards(&[world.n1().ip().into()], world, name)
    }

    /// Starts the administrator's client alone, whose requests an overloaded apiserver does not
    /// queue.
    pub fn of_admin(world: &World, name: &str) -> Self {
        Self::of(&CLIENTS[..1], &[world.n1().ip().into()], Pace::BRISK, world, name)
    }

    /// Starts two clients that ask a slow machine twice a second, and wait a minute for an answer as
    /// kubectl does.
    pub fn gentle(world: &World, name: &str) -> Self {
        let paced = Pace { rate: 2, patience: 60 };
        Self::of(&CLIENTS[..2], &[world.n1().ip().into()], paced, world, name)
    }

    /// Starts all clients for each of the first controller's addresses.
    pub fn towards(addresses: &[IpAddr], world: &World, name: &str) -> Self {
        Self::of(&CLIENTS, addresses, Pace::BRISK, world, name)
    }

    fn of(clients: &[Client], addresses: &[IpAddr], pace: Pace, world: &World, name: &str) -> Self {
        let rate = (pace.rate / u32::try_from(addresses.len()).unwrap()).max(1);
        let patience = pace.patience;
        let start = |(address, (client, user, connections)): (&IpAddr, &Client)| {
            let client = match addresses {
                [_] => (*client).to_owned(),
                _ => format!("{client}-{}", if address.is_ipv6() { "ipv6" } else { "ipv4" }),
            };
            let name = format!("{name}-{client}");
            let file = world.lab.folder().join(format!("{name}.kubeconfig"));
            std::fs::write(&file, kubeconfig(world, user, *address)).unwrap();
            let connections = *connections;
            let options =
                Options { path: NAMESPACE.into(), rate, patience, connections, ..Options::new(file) };
            (client, world.lab.probe_outside(&name, &options).unwrap())
        };
        let each = addresses.iter().flat_map(|address| clients.iter().map(move |client| (address, client)));
        Self { clients: each.map(start).collect() }
    }

    /// Stops them.
    pub fn finish(self) -> Vec<Answered> {
        let finish = |(client, prober): (String, Prober)| {
            let (samples, summary) = prober.finish().unwrap();
            tell_failed(&client, &samples);
            Answered { client, summary }
        };
        self.clients.into_iter().map(finish).collect()
    }
}

impl Answered {
    /// The promise of a pivot and of a rollout: no request failed. Answers may take up to three
    /// seconds on a slow machine.
    pub fn assert_unnoticed(&self) {
        let Self { client, summary: Summary { ok, failed, longest_gap } } = self;
        assert!(*ok >= 100, "{client}: only {ok} requests succeeded");
        assert!(*longest_gap <= 3.0, "{client}: nothing succeeded for {longest_gap:.2} s");
        assert_eq!(*failed, 0, "{client}: {failed} failed, {ok} succeeded");
    }
}

/// The counts, for `record`.
pub fn figures(answered: &[Answered]) -> Value {
    answered.iter().map(|Answered { client, summary }| (client.clone(), json!(summary))).collect()
}

/// Prints the first requests that failed after the first success.
pub fn tell_failed(client: &str, samples: &[Sample]) {
    let is_ok = |sample: &&Sample| sample.status == Some(200);
    let first = samples.iter().filter(is_ok).map(|sample| sample.at + sample.took).fold(f64::MAX, f64::min);
    let failed = samples.iter().filter(|sample| !is_ok(sample) && sample.at >= first);
    for Sample { at, took, status, error } in failed.take(10) {
        let answer = (status, error.as_deref().unwrap_or_default());
        eprintln!("e2e: {client}: {:.2} s after its first success, took {took:.2} s: {answer:?}", at - first);
    }
}

/// Kubeconfig of a user that `render` makes, for an address of the first controller.
pub fn kubeconfig(world: &World, user: &str, address: IpAddr) -> Vec<u8> {
    let data = |name: &str| {
        let pem = world.n1().read(&format!("{ASSETS}/tls/{name}")).unwrap();
        base64::engine::general_purpose::STANDARD.encode(pem)
    };
    let server = format!("https://{}", SocketAddr::new(address, 6443));
    let kubeconfig = json!({
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
        "users": [{"name": "u", "user": {
            "client-certificate-data": data(&format!("{user}.crt")),
            "client-key-data": data(&format!("{user}.key")),
        }}],
    });
    kubeconfig.to_string().into_bytes()
}
