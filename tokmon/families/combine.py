"""Combine what the headers say with what the status code and the error text say into one reading.

The order is the same for every family. A class found in the text (no credit, policy, overload) outranks the headers,
because headers describe the account and the text describes the refusal. A 2xx outranks a header that says `rejected`,
because the request was served.
"""

from tokmon.evidence.model import ErrorClass, RawResponse, Reading, Scope, Status, Window, replace
from tokmon.evidence.values import plausible, retry_after, unparseable

_EMPTY = Reading()
_SERVES = frozenset({Status.ALLOWED, Status.ALLOWED_WARNING})
_OTHER_REFUSALS = frozenset({Status.NO_CREDIT, Status.POLICY_REJECTED})
_REFUSALS = _OTHER_REFUSALS | {Status.REJECTED}
LONG_WAIT_S = 15 * 60.0
"""A 429 with a longer wait is no burst: it concerns the account or a model, and not only the request."""


def combine(
    response: RawResponse, http_status: int | None, parsed: Reading | None, error_class: ErrorClass | None
) -> Reading:
    """One reading from the parsed headers and the class of the error, which is None for a served request."""
    reading = _with_retry_after(parsed or _EMPTY, response)
    if error_class is None:
        return _served(reading, http_status)
    if error_class.windows:
        in_text = _with_resets(reading, error_class.windows, response.at)
        reading = replace(reading, windows=_merge_windows(reading.windows, in_text))
    if error_class.status is Status.REJECTED:
        return _rejected(reading, error_class, response.at)
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else error_class.retry_after_s,
        status=error_class.status,
        scope=_narrower(reading, error_class.scope) if error_class.status in _REFUSALS else error_class.scope,
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


def _with_resets(reading: Reading, in_text: tuple[Window, ...], at: float) -> tuple[Window, ...]:
    """The windows of a text: one without an end resets after the wait of the headers, if that is no short one."""
    wait = reading.retry_after_s
    if wait is None or wait <= LONG_WAIT_S:
        return in_text
    resets_at = plausible(at + wait)
    return tuple(replace(window, resets_at=window.resets_at or resets_at) for window in in_text)


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
    if until is None:
        until = _end_by_length(full, binding, at)
    is_long = until is not None and until - at > LONG_WAIT_S
    throttled = not reading.windows and reading.status is Status.UNKNOWN and error_class.scope is None and not is_long
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else error_class.retry_after_s,
        status=Status.REJECTED,
        binding=binding,
        blocked_until=until,
        scope=Scope.REQUEST if throttled else _scope(reading, error_class, full, is_long=is_long),
        substatus=error_class.substatus or ("throttled_no_window" if throttled else None),
        plan=reading.plan or error_class.plan,
    )


def _scope(reading: Reading, error_class: ErrorClass, full: list[Window], *, is_long: bool) -> Scope:
    """The scope of a rejection, the narrower one of headers and text."""
    if full or error_class.scope is not None:
        return _narrower(reading, error_class.scope or Scope.ACCOUNT) or Scope.ACCOUNT
    if reading.status in _SERVES:
        # The headers allow the account, so the provider throttled this request, or for long this model.
        return Scope.MODEL if is_long else Scope.REQUEST
    return Scope.MODEL if error_class.of_model else Scope.ACCOUNT


def _narrower(reading: Reading, scope: Scope | None) -> Scope | None:
    """The scope of the text, or MODEL where the headers refuse only windows of some models."""
    full = _full_windows(reading) if scope is Scope.ACCOUNT else []
    return Scope.MODEL if full and all(window.scope is Scope.MODEL for window in full) else scope


def _full_windows(reading: Reading) -> list[Window]:
    """The windows that refuse: those with the status `rejected`, else those that are used up."""
    refusing = [window for window in reading.windows if window.status == Status.REJECTED]
    return refusing or [window for window in reading.windows if window.remaining == 0 or (window.utilization or 0) >= 1]


def _binding_window(full: list[Window]) -> str | None:
    """The name of the full window that resets last; windows of the account come before those of some models."""
    by_reset = sorted(full, key=lambda window: (window.scope is Scope.MODEL, -(window.resets_at or 0.0)))
    return by_reset[0].name if by_reset else None


def _end_by_length(full: list[Window], binding: str | None, at: float) -> float | None:
    """The end of a refusal that names a window and no end: after the whole length of that window."""
    length = next((window.period_s for window in full if window.name == binding), None)
    return None if length is None else plausible(at + length)


def _latest_reset(full: list[Window], binding: str | None) -> float | None:
    """The last reset of the full windows of the account, since each alone refuses, and of the binding window."""
    relevant = [window for window in full if window.scope is not Scope.MODEL or window.name == binding]
    return max((window.resets_at for window in relevant or full if window.resets_at is not None), default=None)
