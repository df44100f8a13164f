"""The version of pi is read from its package, however pi was installed; pi is not started for it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installed_pi import npm_pi
from tokmon.pi import installed

SCOPED = "@earendil-works/pi-coding-agent"


def package(folder: Path, version: str, name: str = SCOPED) -> Path:
    """A package of pi, whose program fails if it is started; returns the program."""
    program = folder / "dist" / "cli.js"
    program.parent.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    return script(program, "exit 9")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def link(path: Path, target: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def npm(home: Path) -> Path:
    return npm_pi(home / ".npm-global", "1.5.2")


def npm_of_an_older_pi(home: Path) -> Path:
    package(home / "lib/node_modules/@mariozechner/pi-coding-agent", "1.5.2", "@mariozechner/pi-coding-agent")
    return link(home / "bin/pi", "../lib/node_modules/@mariozechner/pi-coding-agent/dist/cli.js")


def nvm(home: Path) -> Path:
    root = home / ".nvm/versions/node/v22.11.0"
    package(root / "lib/node_modules" / SCOPED, "1.5.2")
    return link(root / "bin/pi", f"../lib/node_modules/{SCOPED}/dist/cli.js")


def bun(home: Path) -> Path:
    package(home / ".bun/install/global/node_modules" / SCOPED, "1.5.2")
    return link(home / ".bun/bin/pi", f"../install/global/node_modules/{SCOPED}/dist/cli.js")


def pnpm(home: Path) -> Path:
    root = home / ".local/share/pnpm"
    store = root / "global/5/.pnpm/@earendil-works+pi-coding-agent@1.5.2/node_modules"
    package(store / SCOPED, "1.5.2")
    link(root / "global/5/node_modules" / SCOPED, store / SCOPED)
    return script(
        root / "pi",
        'basedir=$(dirname "$(echo "$0" | sed -e \'s,\\\\,/,g\')")\n\n'
        f'export NODE_PATH="{store}/{SCOPED}/node_modules:{store}"\n'
        'if [ -x "$basedir/node" ]; then\n'
        f'  exec "$basedir/node"  "$basedir/global/5/node_modules/{SCOPED}/dist/cli.js" "$@"\n'
        "else\n"
        f'  exec node  "$basedir/global/5/node_modules/{SCOPED}/dist/cli.js" "$@"\n'
        "fi",
    )


def managed(home: Path, current: str = "1.5.2") -> Path:
    agent = home / ".pi/agent"
    for version in ("1.4.0", "1.5.2"):
        package(agent / "install/releases" / version / "node_modules" / SCOPED, version)
    marker = {"kind": "pi-managed-install", "schemaVersion": 1, "layout": "releases-v1"}
    (agent / "install/managed-install.json").write_text(json.dumps(marker))
    (agent / "install/current-version").write_text(f"{current}\n")
    script(agent / "bin/pi-launcher.js", "exit 9")
    return script(agent / "bin/pi", 'exec node "$(dirname "$0")/pi-launcher.js" "$@"')


def managed_behind_a_link(home: Path) -> Path:
    return link(home / ".local/bin/pi", managed(home))


def managed_behind_a_wrapper(home: Path) -> Path:
    return script(home / "bin/pi", f'exec "{managed(home)}" "$@"')


def wrapper(home: Path) -> Path:
    return script(home / "bin/pi", f'# exec /opt/other/pi "$@"\nPI_OFFLINE=1 exec {npm(home)} --no-themes "$@"')


def wrapper_in_the_home(home: Path) -> Path:
    npm(home)
    return script(home / "bin/pi", 'exec node "$HOME/.npm-global/bin/pi" "$@"')


def archive(home: Path) -> Path:
    package(home / "opt/pi", "1.5.2")
    return link(home / "bin/pi", script(home / "opt/pi/pi", "exit 9"))


@pytest.mark.parametrize(
    "install",
    [
        npm,
        npm_of_an_older_pi,
        nvm,
        bun,
        pnpm,
        managed,
        managed_behind_a_link,
        managed_behind_a_wrapper,
        wrapper,
        wrapper_in_the_home,
        archive,
    ],
    ids=lambda install: install.__name__,
)
def test_version_is_read_from_the_package_without_a_start_of_pi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[Path], Path]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    program = install(tmp_path)
    words = installed.command({"PATH": str(program.parent)})
    assert words is not None
    assert installed.version(words, {"PATH": os.environ["PATH"]}) == ("1.5.2", "")


@pytest.mark.parametrize("name", ["..", "", "1.5.2/../1.4.0", "9.9.9", "\udcff"])
def test_managed_install_without_a_usable_release_lets_pi_be_asked(tmp_path: Path, name: str) -> None:
    program = managed(tmp_path)
    (tmp_path / ".pi/agent/install/current-version").write_bytes(os.fsencode(name))
    script(program, "echo 1.4.0")
    assert installed.version([str(program)], os.environ)[0] == "1.4.0"


def test_script_that_names_two_versions_lets_pi_be_asked(tmp_path: Path) -> None:
    first, second = npm_pi(tmp_path / "a", "1.5.2"), npm_pi(tmp_path / "b", "1.6.0")
    program = script(tmp_path / "pi", f"case $1 in --version) echo 1.6.0; exit;; esac\nexec {first}\nexec {second}")
    assert installed.version([str(program)], os.environ)[0] == "1.6.0"


def test_scripts_that_start_each_other_end_the_search(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    script(first, f"[ $# = 1 ] && echo 1.5.2 && exit\nexec {second}")
    script(second, f"exec {first}")
    assert installed.version([str(first)], os.environ)[0] == "1.5.2"


def test_pipe_in_place_of_a_package_is_not_opened(tmp_path: Path) -> None:
    program = npm_pi(tmp_path, "1.5.2", "echo 1.4.0")
    (program.resolve().parents[2] / "package.json").unlink()
    os.mkfifo(program.resolve().parents[2] / "package.json")
    assert installed.version([str(program)], os.environ)[0] == "1.4.0"
