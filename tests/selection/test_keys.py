"""Keys flap: what counts against one, and what shows it to be valid."""

import pytest

from tests.selection.pool import HOUR, SEATS, probe, turn, valid
from tests.selection.test_threshold import SPENT, Case, decided

CASES = (
    Case(
        "when every key is refused, and has just said so when it was asked, that is believed",
        tuple(probe(name, "invalid_key", age=30, week=None, five=None) for name in SEATS),
        "xai-vigilio",
        "no account of the chain is usable",
    ),
    Case(
        "when every key is refused, those that have not just said so are tried",
        (
            *(turn(name, None, None, status="invalid_key", age=age) for name in SEATS for age in (900, 600, 300)),
            *(probe(name, "invalid_key", age=30, week=None, five=None) for name in SEATS[:2]),
        ),
        "team-buio",
        "weekly usage unknown",
    ),
    Case(
        "two minutes later that is not believed any more",
        tuple(probe(name, "invalid_key", age=130, week=None, five=None) for name in SEATS),
        "team-vigilio",
        "weekly usage unknown",
    ),
    Case(
        "a key that is shown to be valid is refused no more",
        (
            turn("team-vigilio", 0.2, age=12 * HOUR),
            *(turn("team-vigilio", None, None, status="invalid_key", age=age) for age in (9000, 8000, 7000)),
            valid("team-vigilio", 6000),
            turn("team-ludo", 0.5),
        ),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "refusals with a limit between them are not three in a row: a refused key is told of no limit",
        (
            turn("team-vigilio", 0.2, age=12 * HOUR),
            *(turn("team-vigilio", None, None, status="invalid_key", age=age) for age in (9000, 8000, 7000)),
            turn("team-vigilio", 0.2, 1.0, status="rejected", five_resets=-60.0, age=7500),
        ),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "that a key is valid says nothing of its credit",
        (probe("team-vigilio", "no_credit", age=600, week=None, five=None), valid("team-vigilio"), turn("team-ludo")),
        "team-ludo",
        "7d at 30%",
    ),
    Case(
        "nor of its week",
        (turn("team-vigilio", 1.0, age=25 * HOUR, **SPENT), valid("team-vigilio"), turn("team-ludo")),
        "team-ludo",
        "7d at 30%",
    ),
    Case(
        "a 401 that is no refusal yet hides no refusal of another kind",
        (
            turn("team-vigilio", 0.2, age=12 * HOUR),
            probe("team-vigilio", "no_credit", age=600, week=None, five=None),
            turn("team-vigilio", None, None, status="invalid_key", age=60),
            turn("team-ludo", 0.5),
        ),
        "team-ludo",
        "7d at 50%",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_made_of_refused_and_of_valid_keys(case: Case) -> None:
    assert len(list(decided(case))) == 2
