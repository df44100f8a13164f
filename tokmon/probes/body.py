"""The body of a usage endpoint as the log keeps it: bounded, and without secrets and personal data."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tokmon.wire.scrub import scrub

PERSONAL: Final = "[personal]"
"""In place of a name, an address, or the id of a person or account."""

MAX_CHARACTERS: Final = 48 * 1024
_MAX_TEXT: Final = 1000
_MAX_NAME: Final = 100
_MAX_DEPTH: Final = 12

_FIRST: Final = ("rate_limit", "additional_rate_limits", "spend_control", "limits", "extra_usage", "five_hour", "data")
"""The fields with quota figures, beside those that begin with `seven_day`. Other fields are cut before them."""

_PERSONAL: Final = re.compile(
    r"(?:\w+_)?e?mail(?:_address)?|(?:first|last|full|given|family|user)_?name|(?:phone|address)(?:_\w+)?"
    r"|(?:user|account|organi[sz]ation|org|workspace|customer|profile|owner|member)(?:_?(?:id|uuid|name|email))?|uuid",
    re.IGNORECASE,
)
_OF_A_PERSON: Final = frozenset({"id", "name", "display_name", "title", "label"})
"""Fields that are personal at the top of the body, and in an object with a personal name (`user`, `account`)."""

_ADDRESS: Final = re.compile(r"[\w.+-]{1,100}@[\w-]{1,100}(?:\.[\w-]{1,100})+")


def kept_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a body, cut to about 48 KiB."""
    fields = sorted(body.items(), key=lambda item: not (item[0] in _FIRST or item[0].startswith("seven_day")))
    return _Copy().mapping(dict(fields), 0, of_person=True)


def kept_text(text: str) -> str:
    """A text of a body: without secrets and addresses, cut to 1000 characters."""
    return _ADDRESS.sub(PERSONAL, scrub(text))[:_MAX_TEXT]


class _Copy:
    """Copies values until `left` characters are used up. What does not fit is left out."""

    def __init__(self) -> None:
        self.left = MAX_CHARACTERS

    def mapping(self, entries: Mapping[str, Any], depth: int, *, of_person: bool) -> dict[str, Any]:
        copies = {}
        for name, value in entries.items():
            short = scrub(name)[:_MAX_NAME]
            self.left -= len(short) + 4
            if self.left < 0:
                break
            is_personal = _PERSONAL.fullmatch(short) is not None
            if isinstance(value, (Mapping, list)):
                copies[short] = self.value(value, depth + 1, of_person=is_personal)
            elif (is_personal or (of_person and short in _OF_A_PERSON)) and not isinstance(value, bool | None):
                copies[short] = PERSONAL
            else:
                copies[short] = self.value(value, depth + 1, of_person=False)
        return copies

    def value(self, value: object, depth: int, *, of_person: bool) -> object:
        if isinstance(value, (Mapping, list)) and depth > _MAX_DEPTH:
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, depth, of_person=of_person)
        if isinstance(value, list):
            return self.items(value, depth, of_person=of_person)
        if isinstance(value, str):
            value = kept_text(value)
        self.left -= len(value) if isinstance(value, str) else 20
        return value

    def items(self, entries: list[Any], depth: int, *, of_person: bool) -> list[Any]:
        copies = []
        for entry in entries:
            self.left -= 2
            if self.left < 0:
                break
            copies.append(self.value(entry, depth + 1, of_person=of_person))
        return copies
