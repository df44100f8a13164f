"""The lines that the docs print for cron: each is run as cron runs it, after an install."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.install.conftest import ROOT
from tests.install.member import Member
from tests.sidecar.running import lines_of

PRINTED_HOME: Final = "/home/vigilio"
MODELS: Final = {
    "team-a": {
        "baseUrl": "http://127.0.0.1:9",
        "api": "anthropic-messages",
        "apiKey": "x",
        "models": [{"id": "claude-sonnet-4-6"}],
    }
}
PI: Final = '#!/bin/sh\n[ "$1" = --provider ] && printf "%s\\n" "$@" >"$HOME/arguments"\nexit 1\n'


def table(page: str) -> str:
    """The crontab that a page of the docs prints."""
    found = re.search(r"^```cron\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def jobs(crontab: str, home: Path) -> tuple[dict[str, str], list[str]]:
    """The variables that cron sets, and the commands that it has `sh` run."""
    # What cron itself gives a user: no more, and from the home folder.
    variables = {"HOME": str(home), "LOGNAME": "vigilio", "SHELL": "/bin/sh"}
    commands = []
    for line in crontab.replace(PRINTED_HOME, str(home)).splitlines():
        if setting := re.fullmatch(r"([A-Z]+)=(.*)", line):
            variables[setting[1]] = setting[2]
        else:
            # cron would take a `%` for the end of a line.
            assert "%" not in line
            commands.append(line.split(maxsplit=5)[5])
    return variables, commands


def test_both_pages_print_the_same_lines() -> None:
    assert table("install.md") == table("wake.md")


def test_each_printed_line_works_as_cron_runs_it(seeded: Member) -> None:
    (seeded.home / ".pi" / "agent").mkdir(parents=True)
    (seeded.home / ".pi" / "agent" / "models.json").write_text(json.dumps({"providers": MODELS}))
    (seeded.home / "bin" / "pi").write_text(PI)
    (seeded.home / "prompt.md").write_text("Go on.\n")
    assert seeded.install().returncode == 0
    variables, commands = jobs(table("wake.md"), seeded.home)
    # The home of the test has a blank in its name, which a crontab would have to quote.
    commands = [command.replace(f"{seeded.home}/", f"'{seeded.home}'/") for command in commands]
    results = [
        subprocess.run(
            ["/bin/sh", "-c", command], env=variables, cwd=seeded.home, capture_output=True, text=True, check=False
        )
        for command in commands
    ]
    assert [(done.stdout, done.stderr) for done in results[:2]] == [("", "")] * 2
    logs = seeded.home / ".logs" / "token-monitor"
    assert [line["provider"] for line in lines_of(logs / "probe.jsonl")] == ["team-a"]
    assert [line["provider"] for line in lines_of(logs / "check.jsonl")] == ["team-a"]
    assert "Budget-select: starting on team-a" in results[2].stderr
    arguments = (seeded.home / "arguments").read_text()
    assert arguments.startswith("--provider\nteam-a\n--model\nclaude-sonnet-4-6\n-p\nGo on.\n## ")
