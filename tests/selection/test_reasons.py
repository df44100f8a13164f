"""What is said of a choice: no figure that contradicts it, and nobody passed over without a word."""

from dataclasses import replace

import pytest

from tests.selection.pool import NOW, POLICY, pool, turn
from tokmon.selection.choose import choose


@pytest.mark.parametrize(
    ("used", "threshold", "said"),
    [
        (0.65, 0.9, "first of the chain under 90%: 7d at 65%"),
        (0.899, 0.9, "first of the chain under 90%: 7d at 89.9%"),
        (0.89999, 0.9, "first of the chain under 90%: 7d at 89.9%"),
        (0.57, 0.925, "first of the chain under 92.5%: 7d at 57%"),
    ],
)
def test_what_is_under_the_threshold_does_not_look_as_if_it_were_not(used: float, threshold: float, said: str) -> None:
    policy = replace(POLICY, threshold=threshold)
    decision = choose(policy, pool(turn("team-vigilio", used)), NOW)
    assert decision is not None
    assert decision.reason == said


def test_who_is_passed_over_for_the_network_is_told() -> None:
    failed = turn("team-vigilio", None, None, status="network_error")
    decision = choose(POLICY, pool(turn("team-vigilio", 0.3, age=600), failed, turn("team-ludo", 0.4)), NOW)
    assert decision is not None
    assert decision.reason == "first of the chain under 90%: 7d at 40%; the network failed for others"
    assert decision.candidates[0].assessment.reason == "works; last attempt failed (network)"


def test_a_pin_says_what_is_known_of_the_others_all_the_same() -> None:
    policy = replace(POLICY, pin="team-ludo")
    decision = choose(policy, pool(turn("team-vigilio", 0.3), turn("team-ludo", 0.95)), NOW)
    assert decision is not None
    assert (decision.provider, decision.pinned) == ("team-ludo", True)
    assert [each.assessment.provider for each in decision.candidates] == list(POLICY.accounts)
