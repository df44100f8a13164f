"""What holds of every decision, whatever the evidence."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import DAY, HOUR, NOW, Record, window
from tests.selection.pool import POLICY, SEATS, check, pool, probe, turn
from tokmon.evidence.model import Status
from tokmon.selection.assessment import Fitness
from tokmon.selection.choose import choose
from tokmon.selection.decision_json import decision_json
from tokmon.wire.instants import rfc3339

_USED = st.one_of(st.none(), st.floats(0, 1.3))
_NAMES = st.sampled_from([*SEATS, "xai-vigilio", "shelley-proxy", "somebody-else"])
_STATUS = st.sampled_from([str(status) for status in Status])
_FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"status": _STATUS, "age": st.floats(0, 2 * DAY), "five_resets": st.floats(-HOUR, 5 * HOUR)},
    optional={
        "week_resets": st.floats(-HOUR, 7 * DAY),
        "model": st.sampled_from(["claude-sonnet-4-6", "other"]),
        "scope": st.sampled_from(["account", "model", "request", "provider"]),
        "blocked_until": st.sampled_from([rfc3339(NOW + HOUR), rfc3339(NOW + 3 * DAY)]),
        "overage": st.sampled_from([{"status": "allowed", "in_use": True}, {"status": "rejected", "in_use": False}]),
    },
)
LINES: st.SearchStrategy[list[Record]] = st.lists(
    st.one_of(
        st.builds(lambda name, week, five, fields: turn(name, week, five, **fields), _NAMES, _USED, _USED, _FIELDS),
        st.builds(lambda name, status, age: probe(name, status, age=age), _NAMES, _STATUS, st.floats(0, 2 * DAY)),
        st.builds(
            lambda name, used, model, age: {
                **probe(name, age=age),
                "windows": [window("7d_sonnet", used, DAY, scope="model"), window("7d", used, DAY)],
                "model": model,
            },
            _NAMES,
            _USED,
            st.sampled_from([None, "claude-sonnet-4-6", "other"]),
            st.floats(0, 2 * DAY),
        ),
        st.builds(lambda name, status, age: check(name, status, age=age), _NAMES, _STATUS, st.floats(0, 2 * DAY)),
    ),
    max_size=14,
)
POLICIES = st.builds(
    lambda policy, spend: replace(POLICY, policy=policy, spend_credit=spend),
    st.sampled_from(["threshold", "forecast"]),
    st.sampled_from(["never", "after-plan", "first"]),
)
CURRENT = st.one_of(st.none(), _NAMES)


@given(POLICIES, LINES, CURRENT, st.randoms())
def test_a_decision_is_of_the_configuration_and_of_no_order(
    policy: Any, lines: list[Record], current: Any, rng: Any
) -> None:
    decision = choose(policy, pool(*lines), NOW, current)
    assert decision is not None
    assert decision.provider in policy.accounts
    shuffled = list(lines)
    rng.shuffle(shuffled)
    again = choose(policy, pool(*shuffled, *shuffled), NOW, current)
    assert again is not None
    assert decision_json(again) == decision_json(decision)


@given(POLICIES, LINES, CURRENT)
def test_nobody_known_to_be_dead_is_chosen_while_somebody_lives(policy: Any, lines: list[Record], current: Any) -> None:
    decision = choose(policy, pool(*lines), NOW, current)
    assert decision is not None
    verdicts = {each.assessment.provider: each.assessment.fitness for each in decision.candidates}
    living = [name for name, verdict in verdicts.items() if verdict is not Fitness.EXCLUDED]
    if verdicts[decision.provider] is Fitness.EXCLUDED:
        assert living in ([], [policy.emergency]) or decision.provider == policy.emergency
        assert decision.emergency
        assert not set(living) & {*policy.chain, *policy.fallback}


@given(POLICIES, LINES, CURRENT)
def test_an_unusable_account_more_changes_nothing(policy: Any, lines: list[Record], current: Any) -> None:
    before = choose(policy, pool(*lines), NOW, current)
    longer = replace(policy, chain=(*policy.chain, "dead-seat"))
    dead = turn("dead-seat", None, None, status="policy_rejected", age=5)
    after = choose(longer, pool(*lines, dead), NOW, current)
    assert before is not None
    assert after is not None
    if not before.ignored_refusals:
        assert (after.provider, after.emergency, after.reason) == (before.provider, before.emergency, before.reason)
