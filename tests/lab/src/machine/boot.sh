#!/bin/bash
# Turns itself into process 1 of a machine: joins the machine's cgroups, takes namespaces of its own, builds the machine's
# root from its disk, and keeps its services running. Or into the switch that the machines are joined by. Everything it
# needs comes in LAB_* variables; it prints its process number before the namespaces and "ready" after them. It touches nothing of the host: every mount point is in the
# machine's root, inside a mount namespace that ends with it.
set -euo pipefail

# In the host's namespaces: the cgroups first, so that everything that follows can be found and ended through them.
enter() {
  local group
  for group in $LAB_CGROUPS; do echo $$ >"${group/:/}/cgroup.procs"; done
  echo $$
  exec unshare "$@"
}

# The host's /usr below, what the lab adds above it, and the machine's own changes on top.
mount_usr() {
  mount -t overlay -o "lowerdir=$LAB_USR:/usr,upperdir=$LAB_HOME/usr,workdir=$LAB_HOME/work" usr "$1/usr"
}

mount_dev() {
  local node
  mount -t tmpfs -o mode=0755 dev "$1/dev"
  for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 kmsg:1:11; do
    IFS=: read -r name major minor <<<"$node"
    mknod -m 0666 "$1/dev/$name" c "$major" "$minor"
  done
  mkdir "$1"/dev/{pts,shm,mqueue}
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$1/dev/pts"
  mount -t tmpfs shm "$1/dev/shm"
  mount -t mqueue mqueue "$1/dev/mqueue"
  ln -s pts/ptmx "$1/dev/ptmx"
  ln -s /proc/self/fd "$1/dev/fd"
}

# Each hierarchy (MOUNT:GROUP) appears where the host has it, but starts at the machine's own group.
mount_cgroups() {
  local group hierarchy part target=$1/sys/fs/cgroup
  case $LAB_CGROUPS in /sys/fs/cgroup:*) ;; *) mount -t tmpfs -o mode=0755 cgroup "$target" ;; esac
  for group in $LAB_CGROUPS; do
    hierarchy=${group%%:*}
    mkdir -p "$1$hierarchy"
    mount --bind "${group/:/}" "$1$hierarchy"
    for part in ${hierarchy//,/ }; do # cpu,cpuacct is also found as cpu and as cpuacct
      [ -e "$target/${part##*/}" ] || ln -s "${hierarchy##*/}" "$target/${part##*/}"
    done
  done
}

build_root() {
  local root=$LAB_HOME/root
  mount --bind "$root" "$root"
  mount_usr "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount_cgroups "$root"
  mount_dev "$root"
  mount -t tmpfs -o mode=0755 run "$root/run"
  mount -t tmpfs -o mode=1777 tmp "$root/tmp"
  mkdir -p "$root"/run/{lab,lock,netns,old}
  cd "$root"
  pivot_root . run/old
  cd /
  umount -l /run/old
  rmdir /run/old
  mount --make-rshared /
}

forward() {
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
}

set_kernel() {
  hostname "$LAB_MACHINE"
  forward
  echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
  if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
}

# A unified hierarchy hands controllers down only from a group that holds no process.
delegate_controllers() {
  [ -e /sys/fs/cgroup/cgroup.controllers ] || return 0
  mkdir -p /sys/fs/cgroup/system
  echo $$ >/sys/fs/cgroup/system/cgroup.procs
  sed 's/^\| / +/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
}

# What a unit with Restart=always is elsewhere. Asked again for a service that it keeps, it does nothing.
keep_running() {
  mkdir "/run/lab/$1" 2>/dev/null || return 0
  while :; do
    "/etc/lab/services/$1" >>"/var/log/lab/$1.log" 2>&1 </dev/null || true
    sleep 0.2
  done
}

become() {
  build_root
  set_kernel
  delegate_controllers
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
  mkfifo /run/lab/start
  exec 3<>/run/lab/start
  echo ready
  exec >/dev/null 2>>/var/log/lab/boot.log
  local service
  while read -r service <&3; do keep_running "$service" 3<&- & done
}

# The switch: a network namespace with forwarding, and nothing else of its own.
hold_switch() {
  forward
  echo ready
  exec sleep infinity >/dev/null 2>&1
}

case $1 in
machine)
  enter --mount --uts --ipc --net --pid --cgroup --fork --kill-child --propagation private bash "$0" become
  ;;
switch) enter --net bash "$0" hold-switch ;;
become) become ;;
hold-switch) hold_switch ;;
esac
