"""Combine what the headers say with what the status code and the error text say into one reading.

The order is the same for every family. A class found in the text (no credit, policy, overload) outranks the headers,
because headers describe the account and the text describes the refusal. A 2xx outranks a header that says `rejected`,
because the request was served.
"""

from tokmon.evidence.model import ErrorClass, RawResponse, Reading, Scope, Status, Window, replace
from tokmon.evidence.values import plausible, retry_after, unparseable

_EMPTY = Reading()
_OTHER_REFUSALS = frozenset({Status.NO_CREDIT, Status.POLICY_REJECTED})
_REFUSALS = _OTHER_REFUSALS | {Status.REJECTED}


def combine(
    response: RawResponse, http_status: int | None, parsed: Reading | None, error_class: ErrorClass | None
) -> Reading:
    """One reading from the parsed headers and the class of the error, which is None for a served request."""
    reading = _with_retry_after(parsed or _EMPTY, response)
    if error_class is None:
        return _served(reading, http_status)
    if error_class.windows:
        reading = replace(reading, windows=_merge_windows(reading.windows, error_class.windows))
    if error_class.status is Status.REJECTED:
        return _rejected(reading, error_class, response.at)
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else error_class.retry_after_s,
        status=error_class.status,
        scope=error_class.scope,
        substatus=error_class.substatus,
        blocked_until=error_class.resets_at,
        plan=reading.plan or error_class.plan,
    )


def _with_retry_after(reading: Reading, response: RawResponse) -> Reading:
    """The reading with the wait of `retry-after`, unless its family found a wait of its own."""
    value = response.headers.get("retry-after")
    if value is None:
        return reading
    wait = retry_after(value, response.at)
    warnings = unparseable("response", {"retry-after": value}, {"retry-after": wait})
    wait = wait if reading.retry_after_s is None else reading.retry_after_s
    return replace(reading, retry_after_s=wait, warnings=(*reading.warnings, *warnings))


def _merge_windows(in_headers: tuple[Window, ...], in_text: tuple[Window, ...]) -> tuple[Window, ...]:
    """The windows of headers and text. A text may repeat a window of the headers under a better name."""
    counted = [window for window in in_text if window.remaining is not None]
    distinct = [window for window in in_headers if not any(_agrees(window, other) for other in counted)]
    names = {window.name for window in distinct}
    return (*distinct, *(window for window in in_text if window.name not in names))


def _agrees(window: Window, other: Window) -> bool:
    """True if every figure of the window that is known equals that of the other one."""
    figures = ((window.limit, other.limit), (window.remaining, other.remaining), (window.resets_at, other.resets_at))
    return all(figure is None or figure == other_figure for figure, other_figure in figures)


def _served(reading: Reading, http_status: int | None) -> Reading:
    if http_status is None:
        return reading
    if reading.status is Status.UNKNOWN:
        return replace(reading, status=Status.ALLOWED)
    if reading.status in _REFUSALS:
        # The request was served although the plan is used up: credit paid for it, or the provider let it through.
        overage = reading.overage
        billed = overage is not None and (overage.in_use or overage.status in {"allowed", "allowed_warning"})
        return replace(
            reading,
            status=Status.ALLOWED_WARNING,
            billing="overage" if billed else reading.billing,
            binding=reading.binding or _binding_window(_full_windows(reading)),
        )
    return reading


def _rejected(reading: Reading, error_class: ErrorClass, at: float) -> Reading:
    if reading.status in _OTHER_REFUSALS:
        return reading  # the headers are more precise than the bare status code
    full = _full_windows(reading)
    binding = reading.binding or _binding_window(full)
    until = error_class.resets_at or _latest_reset(full, binding) or reading.blocked_until
    # A wait in a header lasts until the account is free. A wait in a text is about this request if a window is full.
    wait = reading.retry_after_s if reading.retry_after_s is not None or full else error_class.retry_after_s
    if until is None and wait is not None:
        until = plausible(at + wait)
    throttled = not reading.windows and reading.status is Status.UNKNOWN and error_class.scope is None
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else error_class.retry_after_s,
        status=Status.REJECTED,
        binding=binding,
        blocked_until=until,
        scope=Scope.REQUEST if throttled else _scope(reading, error_class, full),
        substatus=error_class.substatus or ("throttled_no_window" if throttled else None),
        plan=reading.plan or error_class.plan,
    )


def _scope(reading: Reading, error_class: ErrorClass, full: list[Window]) -> Scope:
    """The scope of a rejection: MODEL if only windows of some models are full."""
    if full and error_class.scope in {None, Scope.ACCOUNT}:
        return Scope.MODEL if all(window.scope is Scope.MODEL for window in full) else Scope.ACCOUNT
    # If the headers allow the account, the provider throttled this request.
    return error_class.scope or (Scope.REQUEST if reading.status is Status.ALLOWED else Scope.ACCOUNT)


def _full_windows(reading: Reading) -> list[Window]:
    """The windows that refuse: those with the status `rejected`, else those that are used up."""
    refusing = [window for window in reading.windows if window.status == Status.REJECTED]
    return refusing or [window for window in reading.windows if window.remaining == 0 or (window.utilization or 0) >= 1]


def _binding_window(full: list[Window]) -> str | None:
    """The name of the full window that resets last; windows of the account come before those of some models."""
    by_reset = sorted(full, key=lambda window: (window.scope is Scope.MODEL, -(window.resets_at or 0.0)))
    return by_reset[0].name if by_reset else None


def _latest_reset(full: list[Window], binding: str | None) -> float | None:
    """The last reset of the full windows of the account, since each alone refuses, and of the binding window."""
    relevant = [window for window in full if window.scope is not Scope.MODEL or window.name == binding]
    return max((window.resets_at for window in relevant or full if window.resets_at is not None), default=None)
