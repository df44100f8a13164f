"""The generated regions of the pages. `scripts/check` compares those that are quick to render."""

import subprocess
import sys

import pytest

from scripts.docs.regions import rendered
from tests.docs.pages import ROOT


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_simulations_of_the_policy_page_are_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "scripts.docs", "--long", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_region_is_replaced_by_what_its_name_says_and_the_rest_stays() -> None:
    page = "before\n<!-- keys: rendered by scripts/docs -->\nstale\n<!-- /keys -->\nafter <!-- /keys -->\n"
    new = rendered(page)
    assert new.startswith("before\n<!-- keys: rendered by scripts/docs -->\n\n| key | default |")
    assert new.endswith("\n\n<!-- /keys -->\nafter <!-- /keys -->\n")
    assert "stale" not in new
    assert rendered(new) == new


def test_a_slow_region_stays_as_it_is_unless_it_is_asked_for() -> None:
    name = "long $ tokmon --version"
    page = f"<!-- {name}: rendered by scripts/docs -->\nold\n<!-- /{name} -->\n"
    assert rendered(page) == page
    assert "$ tokmon --version\ntokmon " in rendered(page, long=True)


def test_an_unknown_region_is_an_error_and_not_left_as_it_is() -> None:
    with pytest.raises(KeyError, match="nothing"):
        rendered("<!-- nothing: rendered by scripts/docs -->\n<!-- /nothing -->\n")
