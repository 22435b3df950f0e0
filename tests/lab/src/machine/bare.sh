# Takes away what a machine of the lab has beyond the packages of containerd, kubelet and kubectl.
set -euo pipefail
rm -rf /etc/kubernetes /opt/bootkube /var/lib/kubelet /etc/sysctl.d/k8s.conf
# kubeadm's package has it.
rm -rf /usr/lib/systemd/system/kubelet.service.d /usr/bin/kubeadm
sysctl --quiet --write net.ipv4.ip_forward=0

# The host has br_netfilter, or its pods would not reach each other; a machine has no modules.
modules=/lib/modules/$(uname -r)
mkdir -p "$modules"
touch "$modules/modules.order"
echo kernel/net/bridge/br_netfilter.ko >"$modules/modules.builtin"
depmod
