#!/bin/bash
# user_systemd.sh USER CGROUP: a real `systemd --user` for USER, in the namespaces that this was started in (mount,
# pid and cgroup of its own). Says `ready` and stays until it is killed. There is no logind, so no linger.
set -eu

user=$1 cgroup=/sys/fs/cgroup/$2
id=$(id -u "$user")
runtime=/run/user/$id

mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$runtime" # the first is how a program sees that systemd runs
chown "$user:" "$runtime"
chmod 700 "$runtime"

umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$cgroup"
chown "$user:" "$cgroup" "$cgroup"/cgroup.{procs,subtree_control,threads}
echo $$ >"$cgroup/cgroup.procs"

home=$(getent passwd "$user" | cut -d: -f6)
exec runuser -u "$user" -- env -i HOME="$home" USER="$user" LOGNAME="$user" PATH=/usr/bin:/bin \
  XDG_RUNTIME_DIR="$runtime" bash -c '
    cd
    /lib/systemd/systemd --user --log-target=console &
    until systemctl --user is-system-running --wait 2>/dev/null; do sleep 0.05; done
    echo ready
    wait'
