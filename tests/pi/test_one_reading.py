"""Headers and text of one refusal are one reading, with a real pi: the narrower scope wins."""

from pathlib import Path
from typing import Final

import pytest

from tests.pi.answers import FINAL, QUICK, Answer, unified
from tests.pi.install import NEWEST, Pi
from tests.pi.listener import PiListener, in_order
from tests.pi.provider import Provider
from tests.pi.seats import APIS, CODEX, Seat
from tests.pi.test_capture import OLD, choose, with_extension
from tests.pi.test_read import asked

pytestmark = pytest.mark.pi

SEATS: Final = [Seat(f"by-{api}", api) for api in APIS]
BEDROCK: Final = Seat("by-bedrock", "bedrock-converse-stream")
AWS: Final = {"AWS_BEDROCK_FORCE_HTTP1": "1", "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
REFUSED: Final = Answer(
    status=429,
    headers={**unified(0.2, 0.3, status="rejected"), **QUICK, **FINAL},
    error="Extra usage is required for long context requests.",
)


def test_the_text_of_a_refusal_is_in_its_capture_whatever_the_api(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    """Codex in the older versions tries four times over 7 s, which says nothing more."""
    provider.script = lambda served: Answer(status=429, error=f"no more for {served.seat}", headers=QUICK)
    seats = [seat for seat in SEATS if seat.api != CODEX or pi.version not in OLD]
    with PiListener(tmp_path) as listener:
        with with_extension(pi, tmp_path, provider, seats).rpc() as rpc:
            for seat in seats:
                choose(rpc, seat)
                rpc.prompt("hello")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    last = {event["provider"]: event["kind"] for event in in_order(captures, usages)}
    assert {*last.values()} == {"usage"}, "a pi that is killed leaves no error without its capture"
    assert len(captures) == len(provider.served)
    texts = {usage["provider"]: usage["error"] for usage in usages}
    assert {*texts} == {seat.name for seat in seats}
    assert [capture.get("error") for capture in captures] == [texts[capture["provider"]] for capture in captures]
    assert [usage.get("error_captured") for usage in usages] == [True] * len(seats)


def test_a_refused_long_context_leaves_the_seat_alone(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seat = Seat("team-a", plan=True)
    account = asked(newest_pi, provider, tmp_path, [(seat, (Answer(headers=unified(0.2, 0.3)), REFUSED))])[seat.name]
    refusal = account.captures[-1]
    assert (refusal["status"], refusal["scope"]) == ("no_credit", "request")
    assert (account.shown["status"]["status"], account.shown["severity"]) == ("allowed", "OK")


@pytest.mark.parametrize("version", [NEWEST, pytest.param("0.87.1", marks=pytest.mark.long)])
def test_a_refusal_of_bedrock_is_one_reading_of_a_known_key(new_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    """Its SDK uses no `fetch`: the headers come in pi's header event."""
    secret = "key~of.aws+without/shape"  # noqa: S105 - made up
    text = f"Too many tokens per day. Keys {BEDROCK.key}, {secret}, {secret[:9]} and {secret[-9:]}, ask somebody"
    provider.queue(Answer(status=429, error=text, headers={"x-amzn-errortype": "ThrottlingException", **QUICK}))
    aws = {**AWS, "AWS_ACCESS_KEY_ID": "id~of.aws+without/shape", "AWS_SECRET_ACCESS_KEY": secret}
    with PiListener(tmp_path) as listener:
        home = with_extension(new_pi, tmp_path, provider, [BEDROCK], **aws)
        assert home.run().exit_code == 1
        (capture,), (usage,) = listener.of("capture"), listener.of("usage")
    assert (capture["via"], capture["attribution"], capture["http_status"]) == ("event", "wrapper", 429)
    assert capture["error"] == usage["error"]
    assert capture["error"].endswith("Keys [secret], [secret], [secret] and [secret], ask somebody")
    assert usage["error_captured"] is True
    assert len(capture["credential"]) == 16
    assert [part for part in (BEDROCK.key, secret[:9], secret[-9:]) if part.encode() in listener.raw] == []
