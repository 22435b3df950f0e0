//! How much more time than usual this machine needs, by what it shows. Pure.
//!
//! On a fifth of a processor kubelet takes several times as long to start a pod as on a whole one. A
//! fixed limit would name a cause where there is none.

use time::Duration;

use super::evidence::{Evidence, Observed, StaticPod};

/// A runtime answers within this time, and kubelet starts a static pod, on a machine that is fast.
const USUAL_ANSWER: Duration = Duration::milliseconds(250);
const USUAL_START: Duration = Duration::seconds(3);
/// A machine that looks slower than this is taken for stuck.
const MOST: f64 = 8.0;

/// By this factor the usual limits are multiplied, 1 or more.
pub fn slowness(evidence: &Evidence) -> f64 {
    let pods = match &evidence.static_pods {
        Observed::Seen(pods) => pods.as_slice(),
        Observed::Unknown(_) => &[],
    };
    let starts = pods.iter().filter_map(|pod| Some(start(pod)? / USUAL_START));
    starts.chain([evidence.runtime_took / USUAL_ANSWER]).fold(1.0, f64::max).min(MOST)
}

/// How long kubelet took to start the pod from its file. A pod that was started much later was
/// started again, such as after a reboot.
fn start(pod: &StaticPod) -> Option<Duration> {
    let took = pod.started? - pod.placed?;
    (took < USUAL_START * MOST).then_some(took)
}
