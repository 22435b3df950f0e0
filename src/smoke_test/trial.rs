//! The steps in their order, each with its cure where it fails.

use std::time::Duration;

use super::error::Error;
use super::objects::Place;
use super::report::{Outcome, Step};
use super::steps::Here;
use crate::patience::{Late, within};

/// What a step failed for that reaches kubelet through the apiserver.
const KUBELET: &str = "see that the apiserver reaches port 10250 of the pod's node, and that kubelet there trusts \
                       the apiserver's client certificate (`authentication.x509.clientCAFile`)";

/// The deletion has this time, whatever a step has: the namespace controller needs seconds, and a
/// signal has come too late to end it.
const CLEAN_UP: Duration = Duration::from_secs(60);

/// A cluster that is tried, and the steps so far.
pub(super) struct Trial<'a> {
    limit: Duration,
    steps: Vec<Step>,
    on_step: &'a mut (dyn FnMut(&Step) + Send),
}

impl<'a> Trial<'a> {
    pub fn new(limit: Duration, on_step: &'a mut (dyn FnMut(&Step) + Send)) -> Self {
        Self { limit, steps: Vec::new(), on_step }
    }

    /// Every step, in the order in which one needs another.
    pub async fn run(&mut self, here: &Here, place: &Place) {
        let cure = "`bootkube status` shows whether the apiserver and etcd are well";
        self.step("secret", cure, here.keeps_a_secret()).await;
        let cure = "if the image is missing, name one that every node has by --image; if it does not know the command, \
                    one of this version of bootkube; else see kubelet's log on the node (journalctl -u kubelet)";
        let pods = self.step("deployment", cure, here.runs_a_deployment(place)).await;
        let Some(pods) = pods else { return self.skip("no pod runs") };
        self.step("logs", KUBELET, here.reads_logs(&pods)).await;
        self.step("exec", KUBELET, here.executes(&pods)).await;
        self.step("port-forward", KUBELET, here.forwards_a_port(&pods)).await;
        let cure = "see that kube-proxy runs on these nodes (`kubectl --namespace=kube-system get pods \
                    --output=wide`), and that no firewall is between this machine and their node ports";
        self.step("node-port", cure, here.answers_on_every_node(&pods)).await;
        let cure = "see that CoreDNS is Ready (`kubectl --namespace=kube-system get pods --selector=k8s-app=kube-dns`), \
                    and that kubelet's clusterDNS is the address of Service kube-dns";
        self.step("dns", cure, here.finds_a_service(&pods)).await;
    }

    /// The last step, which is tried in any case.
    pub async fn clean_up(&mut self, delete: impl Future<Output = Result<String, Error>>) {
        let cure = "`kubectl get namespaces --selector=bootkube.dev/smoke-test` shows what is left";
        self.limit = CLEAN_UP;
        self.step("clean-up", cure, async { Ok(((), delete.await?)) }).await;
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Takes a step; what it yields, if it succeeds.
    async fn step<T>(
        &mut self,
        name: &'static str,
        cure: &'static str,
        act: impl Future<Output = Result<(T, String), Error>>,
    ) -> Option<T> {
        let ended = within(self.limit, act).await.unwrap_or_else(|Late(limit)| {
            Err(Error::Not(format!("it has not ended within {} s", limit.as_secs_f64())))
        });
        let (yielded, outcome) = match ended {
            Ok((yielded, found)) => (Some(yielded), Outcome::Pass(found)),
            Err(error) => (None, Outcome::Fail { why: crate::error::chain(&error), cure }),
        };
        self.note(Step { name, outcome });
        yielded
    }

    /// Notes that the steps which are left are not tried.
    pub fn skip(&mut self, why: &str) {
        const ALL: [&str; 7] = ["secret", "deployment", "logs", "exec", "port-forward", "node-port", "dns"];
        for name in ALL {
            if self.steps.iter().all(|step| step.name != name) {
                self.note(Step { name, outcome: Outcome::Skip(why.to_owned()) });
            }
        }
    }

    fn note(&mut self, step: Step) {
        (self.on_step)(&step);
        self.steps.push(step);
    }
}
