"""The hook, the tokmon that it asks, and the providers that this one asks: the deadline holds through all of them."""

from pathlib import Path

import pytest

from tests.commands.test_select import decisions
from tests.commands.test_select_probes import DEAD, asked_of, seats
from tests.hooks.test_together import wake
from tests.probes.loopback import Said


def test_the_hook_passes_on_a_choice_that_was_asked_for(program: Path) -> None:
    with seats(team_a=DEAD) as server:
        assert wake(program) == "team-b claude-sonnet-4-6"
        assert asked_of(server) == ["team-a", "team-b"]
        assert wake("/bin/false") == "team-b claude-sonnet-4-6", "from the file that it has left"


def test_a_provider_that_hangs_does_not_take_the_answer_away(program: Path) -> None:
    with seats(team_a=Said(hold=True), team_b=Said(hold=True)) as server:
        assert wake(program, TOKMON_DEADLINE_MS="15000") == "team-a claude-sonnet-4-6"
        assert not server.over.is_set(), "it hangs still"
        assert len(server.asked) == 2
    assert [each["error"][:9] for each in decisions()[0]["asked"]] == ["timed out"] * 2


@pytest.mark.parametrize("deadline", ["1", "300", "700", "1100"])
def test_with_hardly_any_time_there_is_a_line_all_the_same(program: Path, deadline: str) -> None:
    with seats(team_a=Said(hold=True), team_b=Said(hold=True)) as server:
        wake(program, TOKMON_DEADLINE_MS=deadline, TOKMON_DEFAULT_PROVIDER="team-a")
        assert not server.over.is_set()
