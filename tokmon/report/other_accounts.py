"""The text about several accounts under one name: the one in use, then the others, each as remarks of one line."""

from collections.abc import Callable, Iterator
from typing import Final

from tokmon.evidence.snapshot import Stamp
from tokmon.report.view import AccountView
from tokmon.report.words import clean, percent

_MOST: Final = 3


def other_accounts(
    view: AccountView, at: Callable[[float], str], origin: Callable[[Stamp], str]
) -> Iterator[list[str]]:
    """The remarks of each line; none where the name has one account. `at` and `origin` word an instant and a stamp.

    Only the last few are shown: a command that makes a new key every hour makes a new account every hour.
    """
    if not view.others:
        return
    yield [f"account in use: {clean(view.label)}"]
    for other in view.others[:_MOST]:
        assessment = other.assessment
        words = [f"not in use: {clean(other.label)}", f"{assessment.fitness}  {clean(assessment.reason)}"]
        if assessment.until is not None:
            words.append(f"until {at(assessment.until)}")
        if other.last is not None:
            words.append(origin(other.last))
        words += [
            f"{clean(gauge.window.name)} at {percent(gauge.window.utilization)}, {origin(gauge.stamp)}"
            for gauge in other.gauges
            if not gauge.expired
        ]
        yield words
    if len(view.others) > _MOST:
        yield [f"not in use: {len(view.others) - _MOST} more"]
