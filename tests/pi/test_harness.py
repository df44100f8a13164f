"""The harness alone, without any extension: a real pi of every version against every protocol."""

from pathlib import Path

import pytest

from tests.pi.answers import DEFAULT_TEXT
from tests.pi.install import Pi
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import APIS, Seat

pytestmark = pytest.mark.pi


@pytest.mark.parametrize("api", APIS)
def test_a_200_is_answered_with_the_text_and_exit_code_0(pi: Pi, provider: Provider, tmp_path: Path, api: str) -> None:
    home = Home.make(pi, tmp_path / "pi", provider, [Seat("team-a", api)])
    run = home.run("say hello")
    assert (run.exit_code, run.stdout.strip()) == (0, DEFAULT_TEXT), run.stderr
    (served,) = provider.served
    assert (served.seat, served.api, served.status) == ("team-a", api, 200)
