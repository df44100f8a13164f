import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sidecar.running import capture, usage
from tokmon.errors import WireError
from tokmon.wire import messages

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = st.sampled_from([*capture(1), *usage(1), "error", "frame", "origin"])


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


@given(st.binary(max_size=300))
def test_any_bytes_decode_to_an_event_or_an_error_that_names_a_field(line: bytes) -> None:
    try:
        messages.decode(line)
    except WireError as error:
        assert error.field


@given(st.sampled_from([capture(1), usage(1)]), _FIELDS, _JSON)
def test_any_value_in_any_field_decodes_or_is_an_error_of_that_field(
    event: dict[str, Any], field: str, value: Any
) -> None:
    try:
        decoded, _ = messages.decode(_line(event | {field: value}))
    except WireError as error:
        assert error.field.partition(".")[0] in {field, "line", "kind"}
    else:
        assert messages.encode(messages.decode(messages.encode(decoded).rstrip())[0]) == messages.encode(decoded)


@given(st.sampled_from([capture(1), usage(1)]), st.dictionaries(st.text(min_size=1, max_size=12), _JSON, max_size=4))
def test_fields_beyond_the_schema_do_not_change_the_event(event: dict[str, Any], extra: dict[str, Any]) -> None:
    more = {f"x_{name}": value for name, value in extra.items()}
    decoded, as_sent = messages.decode(_line(more | event))
    plain, _ = messages.decode(_line(event))
    assert as_sent is not bool(more)
    assert json.loads(messages.encode(decoded)) == json.loads(messages.encode(plain))


def test_event_with_the_required_fields_only_is_accepted() -> None:
    least = {"kind": "capture", "id": "12345678", "ts": "2026-11-22T06:00:00Z"}
    event, _ = messages.decode(_line(least))
    assert isinstance(event, messages.Capture)
    assert event.http_status is None


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_an_error_and_not_a_crash(depth: int) -> None:
    with pytest.raises(WireError):
        messages.decode(b"[" * depth)
    with pytest.raises(WireError):
        messages.decode(b'{"kind":"capture","id":"12345678","frame":' + b'{"a":' * depth)
