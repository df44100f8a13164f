"""docs/log.md documents every field that a line of a log, a decision or the snapshot can have."""

from collections.abc import Iterator
from typing import Any

from tests.docs.pages import ROOT, spans
from tokmon.evidence.log_line import capture_fields
from tokmon.evidence.model import Credits, Overage, Reading, Scope, Window
from tokmon.evidence.reading import reading_json
from tokmon.evidence.snapshot import Evidence, Snapshot, Stamp, WindowEvidence
from tokmon.selection.assessment import Assessment, Fitness
from tokmon.selection.candidates import Candidate
from tokmon.selection.choose import Decision, ProbeSummary
from tokmon.selection.decision_json import decision_json
from tokmon.store.coverage import Coverage
from tokmon.store.state_file import State
from tokmon.wire import messages

PAGE = set(spans(ROOT / "docs" / "log.md"))

WINDOW = Window("5h", 0.5, 1.8e9, "allowed", 1.0, 1.0, 0.5, Scope.MODEL, "primary", 1.0, 1.0)
OVERAGE = Overage("allowed", in_use=True, utilization=0.5, resets_at=1.8e9, disabled_reason="x", used=1.0)
READING = Reading(windows=(WINDOW,), overage=OVERAGE, credits=Credits())


def names(value: Any) -> Iterator[str]:
    """The names of all fields in a JSON value."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from names(part)
    elif isinstance(value, list):
        for part in value:
            yield from names(part)


def test_every_field_of_an_event_is_documented() -> None:
    structs = (messages.Capture, messages.Usage, messages.Tokens)
    assert {field for struct in structs for field in struct.__struct_fields__} - PAGE == set()


def test_every_field_of_a_reading_is_documented() -> None:
    assert {*names(reading_json(READING)), *names(capture_fields(READING, None, 0.0))} - PAGE == set()


def test_every_field_of_a_decision_is_documented() -> None:
    assessment = Assessment("a", "m", Fitness.USABLE, "works", figures=(WindowEvidence(WINDOW, Stamp(1.8e9, "id")),))
    probe = ProbeSummary("a", "GET /path", 200, "allowed", 1.0)
    decision = Decision(
        "a", "m", "", "forecast", 0.0, 0.0, probes=(probe,), candidates=(Candidate(assessment, (), 0.0, 0.0),)
    )
    assert {*names(decision_json(decision))} - PAGE == set()


def test_every_field_of_the_snapshot_is_documented() -> None:
    snapshot = Snapshot()
    snapshot.add(Evidence("account", Stamp(1.8e9, "id"), type="xai", windows=(WINDOW,), overage=OVERAGE, plan="pro"))
    state = State(snapshot, {"log": Coverage(1)}).to_json()
    by_name = {"account", "log", "piggyback", "5h"}
    assert {*names(state)} - by_name - PAGE == set()
