"""When nothing comes any more, the sidecar keeps its decision for the wakes of the next hours."""

import json
import os

from tests.commands.logbook import tokmon
from tests.configuration import select
from tests.sidecar.running import capture, sidecar, wait_until
from tokmon import decision_file, kept, paths


def test_the_first_wake_after_a_quiet_time_is_told_what_the_sidecar_kept() -> None:
    select(chain=["team-vigilio", "team-ludo"], policy="threshold")
    tokmon("select")  # validates the policy
    found = paths.find()
    assert not (found.state / kept.NAME).exists(), "nothing is known yet"
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        wait_until((found.state / kept.NAME).exists, "it looks ahead", 60)
        head = (found.state / kept.NAME).read_text("utf-8").split(" ")
        assert int(head[6]) - int(head[5]) > 3600 * 100, "for longer than who is waited for"
        decision_file.place(found, os.environ).unlink()
        done = tokmon("select")
    assert (done.stdout, done.stderr) == ("team-vigilio claude-sonnet-4-6\n", "")
    assert "alternatives" not in json.loads((found.logs / "decisions.jsonl").read_bytes().splitlines()[-1])
