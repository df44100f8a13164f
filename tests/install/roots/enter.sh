#!/bin/bash
# enter.sh stay|boot LOWER WORK CGROUP [FOLDER...]: a throwaway copy of the root LOWER, with the FOLDERs read-only
# in /srv, in the namespaces that this was started in (mount, pid, cgroup and network of its own). Says `ready` and
# stays until it is killed. WORK is an empty folder; what is written lies in memory. `boot`: with systemd as the
# first process, else without it. Nothing stays but the cgroup.
set -eu

how=$1 lower=$2 work=$3 cgroup=/sys/fs/cgroup/$4
shift 4

mount -t tmpfs -o mode=755 tmpfs "$work"
cd "$work"
mkdir lower upper work root
mount --bind "$lower" lower
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
for folder; do
  mkdir "root/srv/${folder##*/}"
  mount --bind "$folder" "root/srv/${folder##*/}"
  mount -o remount,bind,ro "root/srv/${folder##*/}"
done

if [ "$how" = stay ]; then
  mount -t proc proc root/proc
  mount --rbind /dev root/dev
  mount -t tmpfs -o mode=755 tmpfs root/run
  # bash: it reaps what others leave behind.
  exec chroot root /bin/bash -c 'echo ready; sleep infinity & wait'
fi

mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system # without it systemd-nspawn wants to be told that there is no systemd
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
systemd-nspawn --quiet --register=no --keep-unit --private-network --directory=root --console=pipe \
  --boot systemd.firstboot=off systemd.mask=systemd-networkd.service &
nspawn=$!

within() { nsenter --target "$first" --all "$@"; }
until
  read -r first _ <"/proc/$nspawn/task/$nspawn/children" || true # there is no line end in it
  [ -n "$first" ] && within test -S /run/systemd/private
do
  kill -0 "$nspawn"
  sleep 0.05
done
within systemctl is-system-running --wait || within systemctl --failed
echo ready
wait
