"""The program of a version: it starts without `site`, and is like any other wherever more than a wake is asked."""

import subprocess
import sys
from pathlib import Path

import tokmon
from tokmon.installer import launcher

ROOT = Path(tokmon.__file__).parents[1]


def program(folder: Path) -> Path:
    text = launcher.text(Path(sys.executable), [ROOT])
    assert text is not None
    path = folder / "tokmon"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_it_finds_what_the_interpreter_with_site_finds(tmp_path: Path) -> None:
    path = program(tmp_path)
    done = subprocess.run([path, "select", "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert done.stderr.startswith("error: no account is configured")
    code = (
        f"import sys; sys.argv = ['tokmon', '--version']; exec(open({str(path)!r}).read().replace('sys.exit(main())', '"
    )
    code += "main(); print(sys.prefix, sys.flags.no_site, sys.flags.isolated)'))"
    said = subprocess.check_output([sys.executable, "-IS", "-c", code], text=True).splitlines()
    assert said == [f"tokmon {tokmon.__version__}", f"{sys.prefix} 1 1"]


def test_a_first_line_that_not_every_system_takes_is_left_to_pip() -> None:
    assert launcher.text(Path("/home/a b/python"), []) is None
    assert launcher.text(Path("/home/" + "x" * 120 + "/python"), []) is None
    assert launcher.text(Path("/home/x/python"), [Path("/home/it's")]) is not None
