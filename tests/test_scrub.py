import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon.wire.scrub import _FIGURES, _LONGEST_FIGURE, PLACEHOLDER, _scrubbed, scrub, without_values

_SECRETS = [
    "sk-ant-oat01-AbCdEf_0123456789-xyz",
    "sk-proj-0123456789abcdef",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "xai-0123456789abcdef",
    "AIzaSyA0123456789abcdefghij",
    "gsk_0123456789abcdef",
    "ghu_0123456789abcdef0123",
    "ya29.a0AfB_byC0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-0123456789-abcdefghij",
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789ABCDEF",
    "0123456789abcdef0123456789abcdef.aBcDeFgHiJkLmNoP",
    "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW",
]


@pytest.mark.parametrize("secret", _SECRETS)
@pytest.mark.parametrize("text", ["{}", "key: {}.", '{{"error":"bad key {}"}}', "Authorization: Bearer {}", "a={}&b=c"])
def test_secret_in_a_text_is_replaced(secret: str, text: str) -> None:
    scrubbed = scrub(text.format(secret))
    assert secret not in scrubbed
    assert PLACEHOLDER in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "postgres://me:hunter2secret@host/db",
        'api_key="0123456789abcdef"',
        "password: hunter2hunter2",
        "https://host/path?token=hunter2&x=1",
        "https://host/path?x=1&sig=hunter2%2Fhunter2",
        "https://host/?access_token=hunter2",
        "https://bucket/?X-Amz-Signature=0123456789&X-Amz-Credential=hunter2",
        "x-amz-security-token: hunter2hunter2",
        '{"x-amz-security-token":"hunter2hunter2"}',
    ],
)
def test_secret_after_its_name_is_replaced(text: str) -> None:
    assert "hunter2" not in scrub(text)
    assert "0123456789" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "429 rate_limit_error: This request would exceed your account's rate limit. Please try again later.",
        "Connection error.: connect ECONNREFUSED 127.0.0.1:443",
        "max_tokens: Field required",
        "https://claude.ai/settings/usage",
        "request 5b1c0a9e-7d0c-4b63-9f7e-0123456789ab failed",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "AReallyLongIdentifierWithoutDigits",
        "input_tokens=12345, max_tokens=64000",
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert scrub(text) == text


@given(st.text(max_size=200))
def test_scrubbing_twice_equals_scrubbing_once(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


@given(st.text(_FIGURES, max_size=_LONGEST_FIGURE))
def test_texts_of_figures_alone_match_no_pattern(text: str) -> None:
    assert _scrubbed(text) == text


def test_texts_below_the_minimum_length_match_no_pattern() -> None:
    shortest = ("sk-12345678", "://u:p@", "eyJ12345678.", "gsk_12345678", "Bearer 12345678", "key=12345678")
    assert all(scrub(text) != text for text in shortest), "these are what the patterns ask for at least"
    assert min(map(len, shortest)) == len("://u:p@")
    assert not any(scrub(text[:-1]) != text[:-1] for text in shortest)


KEY = "plain-key_without/any+shape=9"


@pytest.mark.parametrize("part", [KEY, KEY[:8], KEY[:15], KEY[-8:], KEY[-20:]])
@pytest.mark.parametrize("text", ["{}", "key {}...", "{}{}", "ends with {}"])
def test_credential_and_its_ends_are_removed_by_value(part: str, text: str) -> None:
    without = without_values(text.replace("{}", part), [KEY])
    assert PLACEHOLDER in without
    assert not any(KEY[at : at + 8] in without for at in (0, len(KEY) - 8))
    assert without.replace(PLACEHOLDER, "") == text.replace("{}", "")


def test_parts_of_less_than_eight_characters_and_parts_of_other_values_are_kept() -> None:
    text = f"{KEY[:7]} {KEY[-7:]} {KEY[5:15]} engineering platform"
    assert without_values(text, [KEY], ["engineering-platform"]) == text
    assert without_values("an engineering-platform", [], ["engineering-platform"]) == f"an {PLACEHOLDER}"
    assert without_values("none none", ["none"]) == "none none"
