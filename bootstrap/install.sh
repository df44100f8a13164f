#!/bin/sh
# shellcheck shell=dash
#
# Installs tokmon for the user who runs it, from the checkout that this script stands in. Run again it finishes
# what was interrupted, upgrades what is older, and otherwise changes nothing. `--help` says more.
#
# Everything is in functions and `main` is called on the last line: a truncated copy runs nothing.

set -eu

usage() {
  cat <<'TEXT'
usage: bootstrap/install.sh [OPTION ...]

Installs tokmon for the user who runs it. Asks nothing; run twice it changes nothing.

  --prefix DIR   install under DIR/share/tokmon and DIR/bin   (TOKMON_PREFIX=DIR; default: ~/.local)
  --no-systemd   leave systemd alone: the pi extension starts the sidecar   (TOKMON_NO_SYSTEMD=1)
  --help         this text

Also read: TOKMON_PYTHON (the Python to use), TOKMON_PI (how to run pi; default: `pi`), PI_CODING_AGENT_DIR,
XDG_DATA_HOME, XDG_CONFIG_HOME, and pip's own PIP_… variables.
TEXT
}

main() {
  prefix=${TOKMON_PREFIX:-}
  no_systemd=${TOKMON_NO_SYSTEMD:-0}
  pi=${TOKMON_PI:-pi}
  changed=
  read_options "$@"
  umask 077
  unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
  # A user's own pip.conf may say otherwise, and would break an install into a venv.
  export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1
  unset PIP_TARGET PIP_PREFIX PIP_ROOT

  for command in cat dirname grep head id mkdir mv readlink rm tr; do need_cmd "$command"; done
  find_checkout
  find_python
  find_home
  find_places
  check_places

  ensure mkdir -p "$versions" "$bin"
  [ ! -e "$root/install.lock" ] || [ -w "$root/install.lock" ] ||
    err "cannot write to \`$root/install.lock\`" "its owner can remove it"
  exec 9>>"$root/install.lock"
  steps lock || err "waited too long for another install" "see what holds \`$root/install.lock\`"

  install_version
  link_version
  install_extension
  start_sidecar
  last_words
}

say() { printf '%s\n' "$1"; }

did() {
  changed=1
  say "$1"
}

warn() {
  printf 'warning: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
}

# err MESSAGE [HINT [CODE]]
err() {
  printf 'error: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
  exit "${3:-1}"
}

need_cmd() { command -v "$1" >/dev/null 2>&1 || err "the command \`$1\` is missing" "install it, then run this again"; }

ensure() { "$@" || err "this failed: \`$*\`" "mend what it says, then run this again: it goes on from here"; }

# The steps that need more than a shell; -B: the checkout stays as it is.
steps() { "$python" -I -B "$checkout/bootstrap/steps.py" "$@"; }

# Those that need tokmon as well.
installed_steps() { "$current/bin/python" -I -B "$checkout/bootstrap/steps.py" "$@"; }

read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix)
        [ $# -ge 2 ] || err "\`--prefix\` needs a folder" "" 2
        prefix=$2
        shift
        ;;
      --prefix=*) prefix=${1#--prefix=} ;;
      --no-systemd) no_systemd=1 ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) err "no such option: \`$1\`" "\`$0 --help\` lists them" 2 ;;
    esac
    shift
  done
  absolute "$prefix" "--prefix"
  absolute "${PI_CODING_AGENT_DIR:-}" PI_CODING_AGENT_DIR
}

absolute() {
  case $1 in
    '' | /*) ;;
    *) err "\`$1\` is not an absolute path" "give \`$2\` one that starts with \`/\`" 2 ;;
  esac
}

find_checkout() {
  checkout=$(cd -P -- "$(dirname -- "$0")/.." && pwd -P) || err "cannot find the checkout from \`$0\`"
  grep -qs '^name = "tokmon"' "$checkout/pyproject.toml" ||
    err "\`$checkout\` is not a checkout of tokmon" "run \`bootstrap/install.sh\` where it was cloned to"
}

find_python() {
  for candidate in ${TOKMON_PYTHON:+"$TOKMON_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    # The real program, so that no version manager's stand-in is needed later.
    python=$("$candidate" -I -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' \
      2>/dev/null) || python=
    [ -z "$python" ] || break
    [ -z "${TOKMON_PYTHON:-}" ] || err "\`$TOKMON_PYTHON\` is not a Python 3.11 or newer" "unset TOKMON_PYTHON"
  done
  [ -n "$python" ] || err "no Python 3.11 or newer was found" "$(how_to_install python3 python3 python3 python python3)"
  "$python" -I -c 'import venv, ssl' 2>/dev/null ||
    err "\`$python\` lacks its modules \`venv\` or \`ssl\`" \
      "$(how_to_install python3-venv python3-libs python3 python python3-base)"
}

# how_to_install APT DNF APK PACMAN ZYPPER: the command that installs a package here
how_to_install() {
  if command -v apt-get >/dev/null 2>&1; then
    say "\`apt-get install $1\` (as root)"
  elif command -v dnf >/dev/null 2>&1; then
    say "\`dnf install $2\` (as root)"
  elif command -v apk >/dev/null 2>&1; then
    say "\`apk add $3\` (as root)"
  elif command -v pacman >/dev/null 2>&1; then
    say "\`pacman -S $4\` (as root)"
  elif command -v zypper >/dev/null 2>&1; then
    say "\`zypper install $5\` (as root)"
  elif command -v brew >/dev/null 2>&1; then
    say "\`brew install python\`"
  else
    say "install Python 3.11 or newer with its module venv, or name it with TOKMON_PYTHON"
  fi
}

find_home() {
  if [ -z "${HOME:-}" ]; then
    HOME=$(steps home) || err "HOME is not set, and this user has no home" "set HOME"
    export HOME
    say "HOME is not set: taking $HOME"
  fi
  [ -d "$HOME" ] || err "the home folder \`$HOME\` is missing" "make it, or set HOME"
  # Root's files in a member's home are what no member can mend.
  [ -O "$HOME" ] || err "the home folder \`$HOME\` belongs to another user" \
    "run this as its owner, for example with \`sudo -H -u NAME\`"
  [ "$(id -u)" != 0 ] || warn "this installs for root alone" "each member runs it as themselves"
}

find_places() {
  local data=${XDG_DATA_HOME:-} config=${XDG_CONFIG_HOME:-}
  case $data in /*) ;; *) data=$HOME/.local/share ;; esac
  case $config in /*) ;; *) config=$HOME/.config ;; esac
  root=${prefix:+$prefix/share/tokmon}
  root=${root:-$data/tokmon}
  bin=${prefix:-$HOME/.local}/bin
  agent=${PI_CODING_AGENT_DIR:-$HOME/.pi/agent}
  units=$config/systemd/user
  versions=$root/versions
  current=$root/current
  tokmon=$current/bin/tokmon
}

check_places() {
  check_place "$versions" "choose another with \`--prefix DIR\`"
  check_place "$bin" "choose another with \`--prefix DIR\`"
  check_place "$agent/extensions" "its owner can mend that; PI_CODING_AGENT_DIR names another"
}

# Say what cannot be written before anything is.
check_place() {
  local place=$1
  while [ ! -e "$place" ]; do
    place=${place%/*}
    place=${place:-/}
  done
  [ -d "$place" ] || err "\`$place\` is in the way: it is not a folder" "move it away"
  { [ -w "$place" ] && [ -x "$place" ]; } || err "cannot write to the folder \`$place\`" "$2"
}

install_version() {
  name=$(steps name "$checkout") || err "cannot read the checkout \`$checkout\`"
  local place=$versions/$name
  if [ -f "$place/.complete" ] && "$place/bin/tokmon" --version >/dev/null 2>&1; then
    return
  fi
  # What an interrupted install, or a Python that has gone, left behind.
  ensure rm -rf "$place"
  say "installing tokmon $name with $python"
  ensure "$python" -m venv --without-pip "$place"
  local pip
  ensure mkdir "$place/pip"
  pip=$(steps pip "$place/pip") ||
    err "no pip was found for \`$python\`" "$(how_to_install python3-venv python3-pip py3-pip python-pip python3-pip)"
  ensure "$place/bin/python" "$pip" install --quiet --no-input --no-warn-script-location "$checkout" </dev/null
  rm -rf "$place/pip"
  ensure "$place/bin/tokmon" --version >/dev/null
  printf '%s\n' "$name" "$python" >"$place/.complete"
}

link_version() {
  previous=$(readlink "$current" 2>/dev/null) || previous=
  if link "versions/$name" "$current"; then
    did "current version: $name"
    remove_old_versions
  fi
  case $(readlink "$bin/tokmon" 2>/dev/null) in
    */tokmon/current/bin/tokmon) ;;
    *) keep "$bin/tokmon" ;;
  esac
  if link "$tokmon" "$bin/tokmon"; then did "linked $bin/tokmon"; fi
}

# link TARGET PATH: whether it had to be made
link() {
  local made
  made=$(steps link "$1" "$2") || err "cannot make the link \`$2\`"
  [ -n "$made" ]
}

# The one before stays: what runs from it may still load a module.
remove_old_versions() {
  local each
  for each in "$versions"/*; do
    case versions/${each##*/} in
      "versions/$name" | "$previous") ;;
      *) ensure rm -rf "$each" ;;
    esac
  done
}

# keep FILE: move what is there, and is not ours, out of the way under a name that is free
keep() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  local free=$1.before-tokmon number=1
  while [ -e "$free" ] || [ -L "$free" ]; do
    number=$((number + 1))
    free=$1.before-tokmon.$number
  done
  ensure mv "$1" "$free"
  did "kept what was at $1 as $free"
}

# keep_unless FILE PATTERN: as keep, unless it is a plain file with a line that is ours
keep_unless() {
  if [ -L "$1" ] || ! grep -qs -- "$2" "$1"; then keep "$1"; fi
}

install_extension() {
  local target=$agent/extensions/tokmon.ts problem
  ! "$tokmon" extension --pi "$pi" --check --output "$target" >/dev/null 2>&1 9>&- || return 0
  if ! problem=$("$tokmon" extension --pi "$pi" 2>&1 >/dev/null 9>&-); then
    problem=$(say "$problem" | head -n 1)
    local fate="left out"
    [ ! -e "$target" ] || fate="left as it is"
    say "the pi extension was $fate: ${problem#error: }"
    say "once pi is there, run this again, or: tokmon extension --output '$target'"
    return 0
  fi
  keep_unless "$target" 'Made by .tokmon extension'
  ensure "$tokmon" extension --pi "$pi" --output "$target"
  did "wrote $target"
}

start_sidecar() {
  local pid
  if [ "$no_systemd" != 0 ] || ! user_manager; then
    say "without systemd: the extension starts the sidecar with the first session"
    if pid=$(running) && outdated "$pid"; then
      ensure installed_steps stop "$pid"
      ensure "$tokmon" sidecar --detach 9>&-
      did "started the sidecar again, with the new version"
    fi
    return 0
  fi
  install_units
  pid=$(systemctl --user show --property MainPID --value tokmon.service)
  if outdated "$pid"; then
    ensure systemctl --user restart tokmon.service
    did "started the sidecar again, with the new version"
  fi
}

user_manager() {
  [ -d /run/systemd/system ] || return 1
  command -v systemctl >/dev/null 2>&1 || return 1
  if [ -z "${XDG_RUNTIME_DIR:-}" ] && [ -d "/run/user/$(id -u)" ]; then
    # As when cron or su runs this.
    XDG_RUNTIME_DIR=/run/user/$(id -u)
    export XDG_RUNTIME_DIR
  fi
  systemctl --user show-environment >/dev/null 2>&1
}

install_units() {
  local unit written rewritten=
  check_place "$units" "its owner can mend that; \`--no-systemd\` does without"
  [ -d "$units" ] || ensure mkdir -p "$units"
  for unit in tokmon.socket tokmon.service; do
    keep_unless "$units/$unit" '^# tokmon: '
    written=$(steps unit "$checkout/bootstrap/systemd/$unit" "$units/$unit" "$tokmon") ||
      err "cannot write the unit \`$units/$unit\`"
    if [ -n "$written" ]; then
      did "wrote $units/$unit"
      rewritten=1
    fi
  done
  case $rewritten$(systemctl --user show --property NeedDaemonReload --value tokmon.socket tokmon.service) in
    *1* | *yes*) ;;
    *)
      if systemctl --user --quiet is-enabled tokmon.socket 2>/dev/null &&
        systemctl --user --quiet is-active tokmon.socket; then
        return 0
      fi
      ;;
  esac
  listen
}

listen() {
  local pid
  systemctl --user --quiet stop tokmon.socket tokmon.service 2>/dev/null || true
  # One that an extension started would take its socket away with it when it ends.
  if pid=$(running); then ensure installed_steps stop "$pid"; fi
  ensure systemctl --user daemon-reload
  systemctl --user reset-failed tokmon.socket tokmon.service 2>/dev/null || true
  ensure systemctl --user --quiet enable --now tokmon.socket
  did "systemd listens for the sidecar (tokmon.socket)"
  [ -e "/var/lib/systemd/linger/$(id -un)" ] ||
    say "it does so while you are logged in; for sessions woken without a login: loginctl enable-linger"
}

# The pid of the sidecar that answers on a socket.
running() { installed_steps running 2>/dev/null; }

# outdated PID: whether a process runs a version that is installed here and is not the current one
outdated() {
  [ "$1" != 0 ] && [ -r "/proc/$1/cmdline" ] || return 1
  case $(tr '\0' '\n' <"/proc/$1/cmdline" | head -n 1) in
    "$versions/$name"/*) return 1 ;;
    "$versions"/*) return 0 ;;
    *) return 1 ;;
  esac
}

last_words() {
  case :${PATH:-}: in
    *:"$bin":*) ;;
    *) say "put $bin on your PATH to run \`tokmon\` by its name" ;;
  esac
  [ -n "$changed" ] || say "tokmon $name was installed already: nothing changed"
  "$tokmon" doctor 9>&- || warn "tokmon is installed; \`tokmon doctor\` found something to mend (above)"
}

main "$@"
