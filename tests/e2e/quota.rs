//! An etcd that is a service and has reached its quota, and what its administrator does about that.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use lab::cluster::ASSETS;
use serde_json::Value;

use crate::world::World;

const UNIT: &str = "/etc/systemd/system/etcd.service";
const RESTART: &str = "systemctl daemon-reload && systemctl restart etcd";

/// Lets any write exceed the quota, so that etcd raises the alarm NOSPACE, and calls `look`. After
/// that does what the message about the alarm says.
pub fn exceeded(world: &World, look: impl FnOnce()) {
    world.install(&["etcdctl"]);
    let etcdctl = |words: &str| {
        let (tls, server) = (format!("{ASSETS}/tls"), format!("https://{}:2379", world.n1().ip()));
        format!(
            "etcdctl --endpoints={server} --cacert={tls}/etcd-client-ca.crt --cert={tls}/etcd-client.crt \
             --key={tls}/etcd-client.key {words}"
        )
    };
    world.shell(&format!("sed -i.kept 's/^ExecStart=.*/& --quota-backend-bytes=1/' {UNIT} && {RESTART}"));
    let refused = format!("{} 2>&1 | grep -q 'database space exceeded'", etcdctl("put a b"));
    world.shell(&format!("timeout 60 sh -c \"until {refused}; do sleep 0.2; done\""));
    let looked = catch_unwind(AssertUnwindSafe(look));
    world.shell(&format!("mv {UNIT}.kept {UNIT} && {RESTART}"));
    world.shell(&format!(
        "timeout 60 sh -c \"until {} > /dev/null 2>&1; do sleep 0.2; done\"",
        etcdctl("get a")
    ));
    let status: Value = serde_json::from_str(&world.shell(&etcdctl("endpoint status -w json"))).unwrap();
    world.shell(&etcdctl(&format!("compact {}", status[0]["Status"]["header"]["revision"])));
    world.shell(&etcdctl("defrag"));
    world.shell(&etcdctl("alarm disarm"));
    world.shell(&etcdctl("put a b"));
    if let Err(panic) = looked {
        resume_unwind(panic);
    }
}
