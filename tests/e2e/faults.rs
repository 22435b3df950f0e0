//! Faults of a machine while `start` works on it. Either `start` succeeds all the same, or it fails
//! with an error that names the fault, and succeeds when it is run again without the fault. In both
//! cases the cluster is then the same as an undisturbed one.

use std::fmt;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::interrupted::{Reference, said};
use crate::running::{Moment, Running};
use crate::world::World;

/// A fault: a row of [`FAULTS`].
pub struct Fault {
    name: &'static str,
    /// The phase at whose beginning the fault happens. None: before `start`.
    phase: Option<&'static str>,
    /// A script that causes it.
    cause: &'static str,
    /// How long it lasts; then `cure` runs.
    lasts: Duration,
    /// A script that ends it.
    cure: &'static str,
    /// More flags of start.
    flags: &'static [&'static str],
    /// If `start` fails, its message contains one of these.
    named: &'static [&'static str],
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const APPLY: Option<&str> = Some("apply objects");
const WAIT_API: Option<&str> = Some("wait for the API");
const WAIT_SELF_HOSTED: Option<&str> = Some("wait for the self-hosted control plane");
const MOMENT: Duration = Duration::ZERO;
const SECONDS_20: Duration = Duration::from_secs(20);
/// systemd restarts a service that ends, unless it is stopped.
const KUBELET_GOES: &str = "systemctl kill --signal=KILL kubelet; systemctl stop kubelet";
const KUBELET_COMES: &str = "systemctl start kubelet";

/// All faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "kubelet is killed before it runs the bootstrap apiserver, and comes back after 20 s",
        phase: WAIT_API,
        cause: KUBELET_GOES,
        lasts: SECONDS_20,
        cure: KUBELET_COMES,
        flags: &[],
        named: &[],
    },
    Fault {
        name: "kubelet is killed before it runs the self-hosted control plane, and comes back after 20 s",
        phase: APPLY,
        cause: KUBELET_GOES,
        lasts: SECONDS_20,
        cure: KUBELET_COMES,
        flags: &[],
        named: &[],
    },
    Fault {
        name: "kubelet stays away until start gives up",
        phase: WAIT_API,
        cause: KUBELET_GOES,
        lasts: Duration::MAX,
        cure: KUBELET_COMES,
        flags: &["--timeout=10s"],
        named: &["wait for the API: not done after 10 s"],
    },
    Fault {
        name: "containerd is restarted while the API is waited for",
        phase: WAIT_API,
        cause: "pkill -KILL -x containerd",
        lasts: MOMENT,
        cure: "true",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "containerd is restarted while the self-hosted control plane starts",
        phase: WAIT_SELF_HOSTED,
        cause: "pkill -KILL -x containerd",
        lasts: MOMENT,
        cure: "true",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "etcd stands still for 20 s while objects are applied",
        phase: APPLY,
        cause: "pkill -STOP -x etcd",
        lasts: SECONDS_20,
        cure: "pkill -CONT -x etcd",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "etcd stands still for 20 s while the self-hosted control plane starts",
        phase: WAIT_SELF_HOSTED,
        cause: "pkill -STOP -x etcd",
        lasts: SECONDS_20,
        cure: "pkill -CONT -x etcd",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "etcd is killed while objects are applied",
        phase: APPLY,
        cause: "pkill -KILL -x etcd",
        lasts: MOMENT,
        cure: "true",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "the bootstrap apiserver is killed while objects are applied",
        phase: APPLY,
        cause: "pkill -KILL -f '^kube-apiserver '",
        lasts: MOMENT,
        cure: "true",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "all apiservers are killed while the self-hosted control plane starts",
        phase: WAIT_SELF_HOSTED,
        cause: "sleep 3; pkill -KILL -f '^kube-apiserver '",
        lasts: MOMENT,
        cure: "true",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "one packet in twenty to the API and to etcd is lost",
        phase: None,
        cause: "nft -f - <<< 'table inet lossy { chain input { type filter hook input priority 0; \
                tcp dport { 2379, 6443 } numgen random mod 20 == 0 drop; }; }'",
        lasts: Duration::MAX,
        cure: "nft delete table inet lossy",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "the assets cannot be written to",
        phase: None,
        cause: "mount --bind /opt/bootkube/assets /opt/bootkube/assets; mount -o remount,bind,ro /opt/bootkube/assets",
        lasts: Duration::MAX,
        cure: "umount /opt/bootkube/assets",
        flags: &[],
        named: &[],
    },
    Fault {
        name: "/etc/kubernetes cannot be written to",
        phase: None,
        cause: "mount --bind /etc/kubernetes /etc/kubernetes; mount -o remount,bind,ro /etc/kubernetes",
        lasts: Duration::MAX,
        cure: "umount /etc/kubernetes",
        flags: &[],
        named: &["read-only"],
    },
    Fault {
        name: "the disk is full at each write",
        phase: None,
        cause: SMALL_DISK,
        lasts: Duration::MAX,
        cure: "mount -o remount,size=64m /etc/kubernetes",
        flags: &["--ignore-preflight=space", "--phase-timeout=wait-for-the-self-hosted-control-plane=30s"],
        named: &[FULL, "there is not enough room for /etc/kubernetes"],
    },
];

/// A running kubelet would watch the folder below the mount, so it is stopped meanwhile.
const SMALL_DISK: &str = "
    systemctl stop kubelet
    cp -a /etc/kubernetes /root/kubernetes
    mount -t tmpfs -o size=64m,mode=0755 tmpfs /etc/kubernetes
    cp -a /root/kubernetes/. /etc/kubernetes/
    mount -o remount,size=$(du -sk /etc/kubernetes | cut -f1)k /etc/kubernetes
    systemctl start kubelet
";
/// The message of a write to a full disk.
const FULL: &str = "No space left on device";
/// Makes room for one more write.
const GROW: &str =
    "mount -o remount,size=$(($(df -k --output=size /etc/kubernetes | tail -1) + 4))k /etc/kubernetes";

/// Injects a fault into a `start` on a new machine.
pub fn inject(reference: &Reference, fault: &Fault) {
    eprintln!("e2e: {fault:?}");
    let world = reference.world();
    let first = match fault.phase {
        None => {
            world.shell(fault.cause);
            Running::start(&world, fault.flags).finish()
        }
        Some(phase) => disturbed(&world, fault, phase),
    };
    if !first.status.success() {
        is_named(fault, &first);
        if fault.cause == SMALL_DISK {
            at_each_write(&world, fault);
        }
    }
    if fault.lasts == Duration::MAX {
        world.shell(fault.cure);
    }
    world.start().must_succeed();
    reference.compare(&world);
}

/// Runs `start`, and injects the fault when its phase begins.
fn disturbed(world: &World, fault: &Fault, phase: &str) -> Output {
    let mut running = Running::start(world, fault.flags);
    assert!(running.reach(&Moment::Within(phase.to_owned(), Duration::ZERO)), "start ended before {phase}");
    world.shell(fault.cause);
    if fault.lasts < Duration::MAX {
        std::thread::sleep(fault.lasts);
        world.shell(fault.cure);
    }
    running.finish()
}

/// The disk grows by a page after every failure, so that each `start` gets one write further, until
/// it has written everything. It then waits for the agent, which has not.
fn at_each_write(world: &World, fault: &Fault) {
    let begun = Instant::now();
    loop {
        world.shell(GROW);
        let output = Running::start(world, fault.flags).finish();
        if output.status.success() {
            return;
        }
        is_named(fault, &output);
        if !said(&output).contains(FULL) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(900), "{output:?}");
    }
}

fn is_named(fault: &Fault, output: &Output) {
    let said = said(output);
    assert!(fault.named.iter().any(|named| said.contains(named)), "{fault:?}: {said}");
}
