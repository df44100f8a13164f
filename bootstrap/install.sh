#!/bin/sh
# shellcheck shell=dash
#
# Installs tokmon from the checkout that this script stands in: for the user who runs it or, as root, for every member
# of the host. Run again it finishes what was interrupted, upgrades what is older, and otherwise changes nothing.
# `--help` says more. All that is done here is to find a Python; the rest is `tokmon/installer/`.
#
# Everything is in functions and `main` is called on the last line: a truncated copy runs nothing.

set -eu

main() {
  find_checkout
  find_python
  verb=install
  case ${1:-} in
    uninstall)
      verb=$1
      shift
      ;;
  esac
  # Isolated and without `site`: packages that this Python happens to have are not those that tokmon was tested with.
  exec "$python" -I -S -B "$checkout/bootstrap/run.py" "$verb" "$@"
}

# err MESSAGE HINT
err() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

find_checkout() {
  folder=.
  case $0 in */*) folder=${0%/*} ;; esac
  checkout=$(CDPATH='' cd -P -- "$folder/.." && pwd -P) || err "cannot find the checkout from \`$0\`" "clone it again"
  [ -f "$checkout/bootstrap/run.py" ] ||
    err "\`$checkout\` is not a checkout of tokmon" "run \`bootstrap/install.sh\` where it was cloned to"
}

find_python() {
  for candidate in ${TOKMON_PYTHON:+"$TOKMON_PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    # The real program, so that no version manager's stand-in is needed later.
    python=$("$candidate" -I -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' \
      2>/dev/null) || python=
    [ -z "$python" ] || return 0
    [ -z "${TOKMON_PYTHON:-}" ] || err "\`$TOKMON_PYTHON\` is not a Python 3.11 or newer" "unset TOKMON_PYTHON"
  done
  err "no Python 3.11 or newer was found" "$(how_to_install)"
}

how_to_install() {
  # Debian has the module venv in a package of its own: both are named, so that one command is enough.
  for command in 'apt-get install python3 python3-venv' 'dnf install python3' 'apk add python3' 'pacman -S python' \
    'zypper install python3'; do
    if command -v "${command%% *}" >/dev/null 2>&1; then
      printf '%s\n' "\`$command\` (as root)"
      return
    fi
  done
  if command -v brew >/dev/null 2>&1; then
    printf '%s\n' "\`brew install python\`"
  else
    printf '%s\n' "install Python 3.11 or newer with its module venv, or name it with TOKMON_PYTHON"
  fi
}

main "$@"
