"""The extension where pi loads it: ours by its mark, and written anew when pi has become another, and never else."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.installed_pi import npm_pi, wrapper
from tokmon import cli, paths
from tokmon.errors import RenderError, UsageError
from tokmon.pi import extension, installed
from tokmon.pi.extension import Renewed, rendered

ANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def env(root: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{root / 'bin'}:/usr/bin:/bin", **more}


def put(text: str) -> Path:
    path = paths.find().extension
    extension.write(path, text)
    return path


def renew(root: Path, **more: str) -> Renewed | None:
    return extension.renew(paths.find(), env(root, **more))


def looked_at(root: Path, **more: str) -> bool:
    return extension.looked_at(paths.find(), env(root, **more))


def test_it_is_written_anew_when_npm_has_put_another_pi_there_which_is_not_run(tmp_path: Path) -> None:
    npm_pi(tmp_path, "0.73.1")
    path = put(rendered("0.73.1"))
    assert not looked_at(tmp_path)
    assert renew(tmp_path) is None
    assert looked_at(tmp_path)
    before = path.stat()
    npm_pi(tmp_path, "1.5.2")
    assert not looked_at(tmp_path)
    assert path.stat() == before
    assert renew(tmp_path) == Renewed(path, "1.5.2")
    assert path.read_text() == rendered("1.5.2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert looked_at(tmp_path)
    assert renew(tmp_path) is None


def test_a_pi_that_is_a_script_of_somebodys_is_asked_each_time(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    wrapper(tmp_path, "0.73.1", runs)
    put(rendered("1.5.2"))
    assert renew(tmp_path) == Renewed(paths.find().extension, "0.73.1")
    assert not looked_at(tmp_path)
    assert runs.read_text() == "asked\n"


def test_another_tokmon_or_a_changed_extension_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_pi(tmp_path, "1.5.2")
    path = put(rendered("1.5.2"))
    assert renew(tmp_path) is None
    path.write_text(rendered("1.5.2").replace("Made by `tokmon extension`", "Made by `tokmon extension` "))
    assert not looked_at(tmp_path)
    assert renew(tmp_path) is not None
    assert looked_at(tmp_path)
    monkeypatch.setattr("tokmon.pi.extension.__version__", "99.0.0")
    assert not looked_at(tmp_path)


def test_where_nothing_is_placed_there_is_nothing_to_look_for(tmp_path: Path) -> None:
    npm_pi(tmp_path, "1.5.2")
    assert looked_at(tmp_path)
    assert renew(tmp_path) is None
    assert not paths.find().extension.exists()
    assert not extension.memory(paths.find()).exists()


@pytest.mark.parametrize("kind", ["foreign", "link", "folder", "pipe", "no text"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    npm_pi(tmp_path, "1.5.2")
    path, own = paths.find().extension, tmp_path / "own.ts"
    path.parent.mkdir(parents=True)
    own.write_text(rendered("0.73.1"))
    match kind:
        case "foreign":
            path.write_text("export default () => {};\n")
        case "link":
            path.symlink_to(own)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "no text":
            path.write_bytes(b"\xff\xfe")
    before = path.lstat()
    assert renew(tmp_path) is None
    after = path.lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert own.read_text() == rendered("0.73.1")


def test_pi_is_found_again_where_the_path_does_not_lead_to_it(tmp_path: Path) -> None:
    program = npm_pi(tmp_path, "0.73.1", "echo 0.73.1")
    path = paths.find().extension
    assert cli.main(["extension", "--pi", str(program), "--output", str(path)]) == 0
    elsewhere = {**os.environ, "PATH": "/nowhere"}
    assert extension.looked_at(paths.find(), elsewhere)
    npm_pi(tmp_path, "1.5.2")
    assert not extension.looked_at(paths.find(), elsewhere)
    assert extension.renew(paths.find(), elsewhere) == Renewed(path, "1.5.2")


def test_without_any_pi_nothing_is_done(tmp_path: Path) -> None:
    path = put(rendered("0.73.1"))
    assert looked_at(tmp_path / "none")
    assert renew(tmp_path / "none") is None
    assert looked_at(tmp_path, TOKMON_PI="/nowhere/pi")
    assert path.read_text() == rendered("0.73.1")


def test_a_pi_that_names_no_version_or_too_old_a_one_leaves_the_extension_as_it_is(tmp_path: Path) -> None:
    path = put(rendered("0.73.1"))
    wrapper(tmp_path, "none", tmp_path / "runs")
    with pytest.raises(RenderError, match="named no version"):
        renew(tmp_path)
    npm_pi(tmp_path, "0.60.0")
    with pytest.raises(RenderError, match="not supported"):
        renew(tmp_path)
    with pytest.raises(UsageError, match="No closing quotation"):
        renew(tmp_path, TOKMON_PI="'")
    assert path.read_text() == rendered("0.73.1")


@ANY
@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each, max_size=4)).flatmap(
        lambda value: st.sampled_from([{"command": value}, {"command": value, "seen": value}, value]).map(
            lambda said: json.dumps(said).encode()
        )
    )
)
def test_a_damaged_memory_costs_a_look_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    npm_pi(tmp_path, "1.5.2")
    put(rendered("1.5.2"))
    memory = extension.memory(paths.find())
    memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    memory.write_bytes(damage)
    assert not looked_at(tmp_path)
    extension.looked_at(paths.find(), {"PATH": "/nowhere"})
    memory.write_bytes(damage)
    extension.renew(paths.find(), {"PATH": "/nowhere"})
    assert renew(tmp_path) is None
    assert looked_at(tmp_path)


@pytest.mark.parametrize("said", ["{", "[]", "{}", '{"name": "x/pi-coding-agent", "version": "latest"}', "[" * 100_000])
def test_a_package_that_says_nothing_sensible_is_none(tmp_path: Path, said: str) -> None:
    program = npm_pi(tmp_path, "1.5.2")
    (program.resolve().parents[2] / "package.json").write_text(said)
    assert installed.package([str(program)]) is None


def test_the_command_renews_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = npm_pi(tmp_path, "1.5.2")
    path = put(rendered("0.73.1"))
    monkeypatch.setenv("TOKMON_PI", str(program))
    assert cli.main(["extension", "--renew"]) == 0
    assert capsys.readouterr().out == f"wrote `{path}` for pi 1.5.2\n"
    assert cli.main(["extension", "--renew"]) == 0
    assert capsys.readouterr().out == ""
