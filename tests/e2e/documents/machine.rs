//! The machine of a reader who has what the README asks for, and nothing more; and what the lab puts
//! there because it cannot have what a user has. CONTRIBUTING.md lists that.

use lab::image::{Image, Layout};
use lab::quirks;
use serde_json::json;

use crate::world::{BOOTKUBE, World};

/// A machine with containerd, kubelet, kubectl, crictl and bootkube, none of which is configured.
pub fn bare(name: &str) -> World {
    let world = World::bare(name);
    let n1 = world.n1();
    n1.write("/usr/local/bin/bootkube", &std::fs::read(BOOTKUBE).unwrap(), 0o755).unwrap();
    let reference = format!("quay.io/bootkube/bootkube:v{}", env!("CARGO_PKG_VERSION"));
    let image = Image::bootkube(&reference, BOOTKUBE.as_ref());
    Layout::write_archive(&[image], &n1.path("/root/bootkube-image.tar")).unwrap();
    // As the installers of Debian and Ubuntu write it.
    n1.write("/etc/fstab", b"UUID=0-1 / ext4 errors=remount-ro 0 1\n/swap.img none swap sw 0 0\n", 0o644)
        .unwrap();
    world.install(&["crictl"]);
    world
}

/// What the lab needs in cluster.yaml besides the README's fields: it has no image of flannel, but a
/// CNI plugin, and the kernel's limits of connection tracking are the host's.
pub fn fields() -> String {
    let flags: serde_json::Map<_, _> =
        quirks::kube_proxy_args().iter().map(|(flag, value)| ((*flag).to_owned(), json!(value))).collect();
    let components = json!({"kube-proxy": {"extraArgs": flags}});
    format!("networking: none\ncomponents: {components}\n")
}
