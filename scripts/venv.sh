# shellcheck shell=dash
# Sourced by the scripts here, from the repository's root: the development venv, made again when
# `pyproject.toml` changed, and first on PATH.

use_venv() {
  local stamp pip python
  stamp=$(cksum <pyproject.toml)
  if [ ! -x .venv/bin/python ] || [ "$(cat .venv/.made-from 2>/dev/null)" != "$stamp" ]; then
    python=$(find_python)
    [ -x .venv/bin/python ] || "$python" -m venv --clear --without-pip .venv
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
      # Debian leaves pip out of its Python: the installer knows where one is.
      mkdir -p .venv/pip
      pip=$(PYTHONPATH=. "$python" -B -c '
import pathlib, sys
from tokmon.installer.user.sources import unpack_pip
print(unpack_pip(pathlib.Path(sys.argv[1])))' .venv/pip)
      .venv/bin/python "$pip" install -qq --disable-pip-version-check --ignore-installed pip
      rm -r .venv/pip
    fi
    # Not `--group`: the pip that came with Python may be too old for it.
    .venv/bin/python - >.venv/dev.txt <<'PYTHON'
import tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["dependency-groups"]["dev"]))
PYTHON
    .venv/bin/python -m pip install -qq --disable-pip-version-check --requirement .venv/dev.txt --editable . \
      </dev/null
    printf '%s\n' "$stamp" >.venv/.made-from
  fi
  PATH=$PWD/.venv/bin:$PATH
  export PATH
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  printf 'error: no Python 3.11 or newer was found\nhint: install one, with its module venv\n' >&2
  return 1
}

# Every shell script of the repository, one a line.
shell_scripts() {
  find hooks bootstrap scripts .ci tests -type f ! -path '*/node_modules/*' ! -path '*/__pycache__/*' 2>/dev/null |
    while IFS= read -r file; do
      case $(head -n 1 "$file" | tr -d '\0') in '#!/bin/sh'* | '#!/bin/bash'* | '# shellcheck shell='*) printf '%s\n' "$file" ;; esac
    done | sort
}
