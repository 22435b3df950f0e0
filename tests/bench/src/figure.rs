//! The figures by name, each with its goal: the table that results.json, the page and `--only`
//! derive from.

use clap::builder::PossibleValuesParser;

/// The limit of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// At most.
    AtMost(f64),
    /// At least.
    AtLeast(f64),
}

impl Bound {
    /// Whether the figure is within the limit.
    pub fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
        }
    }
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in results.json.
    pub name: &'static str,
    /// Its description on the page.
    pub what: &'static str,
    /// The goal.
    pub goal: Option<Bound>,
    /// A goal that would be better still.
    pub stretch: Option<Bound>,
    /// Digits after the point.
    pub digits: usize,
}

const fn figure(name: &'static str, what: &'static str, digits: usize) -> Figure {
    Figure { name, what, goal: None, stretch: None, digits }
}

impl Figure {
    const fn at_most(self, goal: f64) -> Self {
        Self { goal: Some(Bound::AtMost(goal)), ..self }
    }

    const fn at_least(self, goal: f64) -> Self {
        Self { goal: Some(Bound::AtLeast(goal)), ..self }
    }

    const fn stretch(self, stretch: f64) -> Self {
        Self { stretch: Some(Bound::AtMost(stretch)), ..self }
    }
}

/// All figures, in the order of the page.
pub const FIGURES: [Figure; 23] = [
    figure("start_over_kubeadm", "time of `start` over that of `kubeadm init`", 2).at_most(1.3).stretch(1.0),
    figure("start_seconds", "`start`: from kubelet's start until Node and control plane are Ready", 1),
    figure("start_restarting_kubelet_seconds", "the same with `--restart-kubelet`", 1),
    figure("kubeadm_seconds", "`kubeadm init`: the same", 1),
    figure("start_over_kubeadm_exit", "the ratio of the commands alone, until each has ended", 2),
    figure("kubeadm_exit_seconds", "`kubeadm init`: until it has ended", 1),
    figure("failed_requests", "failed requests over fresh connections, of all pivots and rolls", 0)
        .at_most(0.0)
        .stretch(0.0),
    figure("requests", "all such requests", 0),
    figure("failed_keepalive", "failed requests by client-go over kept connections, likewise", 0)
        .at_most(0.0)
        .stretch(0.0),
    figure("keepalive_requests", "all such requests", 0),
    figure("roll_seconds", "roll of the only apiserver, until the new pod alone is there and Ready", 1)
        .stretch(10.0),
    figure("roll_slowest_request_ms", "the slowest request over a fresh connection in a roll", 0)
        .stretch(250.0),
    figure("transition_overhead_ms", "from a change to `start`'s next act, 95th percentile", 0)
        .at_most(100.0)
        .stretch(30.0),
    figure(
        "apply_1000_objects_per_second",
        "objects that `start` applies in a second, of 1,000 ConfigMaps",
        0,
    )
    .at_least(200.0),
    figure("apply_over_kubectl", "the same over the rate of `kubectl apply --server-side`", 1).at_least(3.0),
    figure("apply_10000_rss_mib", "peak memory of `start` with 10,000 objects", 1)
        .at_most(64.0)
        .stretch(32.0),
    figure("render_seconds_ecdsa", "`render` with ECDSA P-256 keys", 3).at_most(0.15).stretch(0.05),
    figure("render_seconds_rsa2048", "`render` with RSA 2048 keys", 3).at_most(0.6),
    figure("start_peak_rss_mib", "peak memory of `start`", 1).at_most(16.0).stretch(12.0),
    figure("agent_rss_mib", "memory of the agent, idle: its pod and its copy", 1).at_most(12.0),
    figure(
        "agent_anonymous_mib",
        "the part of it that the kernel cannot drop: all but the binary's pages",
        1,
    ),
    figure("agent_cpu_percent", "processor time of the agent, idle, in percent of one core", 2).at_most(0.2),
    figure("binary_mib", "size of the binary, static and stripped", 1).at_most(20.0).stretch(12.0),
];

/// The names that `--only` takes.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(FIGURES.map(|figure| figure.name))
}
