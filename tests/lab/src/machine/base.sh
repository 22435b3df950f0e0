#!/usr/bin/env bash
# Makes Debian 12 from its packages, as the machines of the lab have it: base.sh FOLDER
# FOLDER/usr is shared by all machines; FOLDER/root is what each has a copy of. FOLDER/ssh holds the key that opens them.
set -euo pipefail
folder=$1 packages=$2
mkdir "$folder/ssh"
debootstrap --variant=minbase --include="$packages" bookworm "$folder/root" >&2
cd "$folder/root"

# What a machine without a network beyond the lab would only stumble over: nothing is fetched or tidied by the clock, and
# there is no terminal.
units=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer)
systemctl --quiet --root=. mask "${units[@]}" console-getty.service
# Settings of the kernel that are not a machine's own here, but the host's.
rm -f usr/lib/sysctl.d/50-pid-max.conf usr/lib/sysctl.d/99-protect-links.conf
# Swap would be the host's, and a machine that switches it off would do so for the host.
mkdir etc/lab
printf 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n' >etc/lab/swaps
cat >etc/systemd/system/proc-swaps.mount <<'UNIT'
[Unit]
Description=No swap
DefaultDependencies=no
Before=local-fs.target

[Mount]
What=/etc/lab/swaps
Where=/proc/swaps
Type=none
Options=bind

[Install]
WantedBy=local-fs.target
UNIT
systemctl --quiet --root=. enable proc-swaps.mount
# journald keeps the journal on the disk if this folder is there.
mkdir -p var/log/journal

ssh-keygen -q -t ed25519 -N '' -C lab -f "$folder/ssh/key"
install -D -m 600 "$folder/ssh/key.pub" root/.ssh/authorized_keys
chmod 700 root/.ssh
sed 's/^/* /' etc/ssh/ssh_host_ed25519_key.pub >"$folder/ssh/known_hosts"

rm -rf var/cache/apt/*.bin var/cache/apt/archives/*.deb var/lib/apt/lists/* var/log/bootstrap.log
mv usr "$folder/usr"
mkdir usr
