"""The text about several accounts under one name: the one in use, then the others, each as remarks of one line."""

from collections.abc import Callable, Iterator

from tokmon.evidence.snapshot import Stamp
from tokmon.report.view import AccountView
from tokmon.report.words import clean, percent


def other_accounts(
    view: AccountView, at: Callable[[float], str], origin: Callable[[Stamp], str]
) -> Iterator[list[str]]:
    """The remarks of each line; none where the name has one account. `at` and `origin` word an instant and a stamp."""
    if not view.others:
        return
    yield [f"account in use: {clean(view.label)}"]
    for other in view.others:
        assessment = other.assessment
        words = [f"not in use: {clean(other.label)}", f"{assessment.fitness}  {clean(assessment.reason)}"]
        if assessment.until is not None:
            words.append(f"until {at(assessment.until)}")
        words += [
            f"{clean(gauge.window.name)} at {percent(gauge.window.utilization)}"
            for gauge in other.gauges
            if not gauge.expired
        ]
        if other.last is not None:
            words.append(origin(other.last))
        yield words
