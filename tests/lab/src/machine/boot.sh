#!/bin/bash
# Becomes a machine: joins the machine's cgroups, takes namespaces of its own, and lets systemd-nspawn boot the machine's
# disk with systemd as process 1. Or becomes the switch that the machines are joined by. Everything it needs comes in LAB_*
# variables. It prints its process number before the namespaces and "ready" after them, and boots when its standard input
# ends: by then the machine has its network. It touches nothing of the host: every mount is in a mount namespace that ends
# with it.
set -euo pipefail

# In the host's namespaces: the cgroups first, so that everything that follows can be found and ended through them.
enter() {
  local group
  for group in $LAB_CGROUPS; do echo $$ >"${group/:/}/cgroup.procs"; done
  echo $$
  exec unshare "$@"
}

# Each hierarchy (MOUNT:GROUP) is mounted anew: in a cgroup namespace it begins at the machine's own group. A unified
# hierarchy is left to systemd-nspawn.
mount_cgroups() {
  local group hierarchy part kinds=()
  case $LAB_CGROUPS in /sys/fs/cgroup:*) return ;; esac
  for group in $LAB_CGROUPS; do
    hierarchy=${group%%:*}
    if [ -e "$hierarchy/cgroup.controllers" ]; then kinds+=(unified)
    elif [ "${hierarchy##*/}" = systemd ]; then kinds+=(name=systemd)
    else kinds+=("${hierarchy##*/}"); fi
  done
  mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
  cd /sys/fs/cgroup
  for part in "${kinds[@]}"; do
    mkdir "${part#name=}"
    case $part in
    unified) mount -t cgroup2 cgroup2 unified ;;
    name=systemd) mount -t cgroup -o none,name=systemd cgroup systemd ;;
    *) mount -t cgroup -o "$part" cgroup "$part" ;;
    esac
  done
  cd /
}

boot() {
  # What the lab puts above Debian's /usr, and the machine's own changes on top.
  mount -t overlay -o "lowerdir=$LAB_USR:$LAB_BASE/usr,upperdir=$LAB_HOME/usr,workdir=$LAB_HOME/work" usr "$LAB_HOME/root/usr"
  mount_cgroups
  mount -t tmpfs run /run # systemd-nspawn leaves files there
  echo ready
  cat >/dev/null
  exec >>"$LAB_HOME/console.log" 2>&1 </dev/null
  # The machine may do what a real one may: no filter of system calls, /proc/sys can be written to.
  export SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
  exec systemd-nspawn --quiet --machine="$LAB_MACHINE" --directory="$LAB_HOME/root" --boot \
    --register=no --keep-unit --network-namespace-path=/proc/self/ns/net --capability=all \
    --bind=/sys/fs/cgroup --bind=/dev/kmsg --link-journal=no --resolv-conf=off --timezone=off
}

# The switch: a network namespace with forwarding, and nothing else of its own.
hold_switch() {
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  echo ready
  exec sleep infinity >/dev/null 2>&1 </dev/null
}

case $1 in
machine) enter --mount --net --cgroup --propagation private bash "$0" boot ;;
switch) enter --net bash "$0" hold-switch ;;
boot) boot ;;
hold-switch) hold_switch ;;
esac
