"""The last capture, and the answers of pi that have none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from tokmon.doctor_checks.subject import Subject
from tokmon.report.findings import Finding, ok, warn
from tokmon.report.line import account_name, instant, is_usage
from tokmon.report.words import ago, clean, fit, plural
from tokmon.store import state_file
from tokmon.store.codec import parse
from tokmon.store.follow import Follower

_COMPARED: Final = 2000
"""Lines at the end of each log that are compared."""

_BEFORE_REQUEST: Final = ("no api key", "not configured", "no credentials", "unknown provider")
"""Words in errors of pi that come before any request."""

_TRANSPORTS: Final = {"openai-codex-responses": "WebSocket or HTTP", "bedrock-converse-stream": "the AWS SDK"}
_MAX_NAMES: Final = 10
_LONGEST_NAME: Final = 60

Dated = tuple[float, dict[str, Any]]


def capture(subject: Subject) -> Finding:
    """The last response that was captured. Probes, checks and usage are none."""
    captures = [dated for lines, _ in _logs(subject) for dated in lines if _is_capture(dated[1])]
    if not captures:
        return warn("no response captured yet", "run a turn of pi; if this stays, see `extension` above")
    at, record = max(captures, key=itemgetter(0))
    provider = fit(clean(account_name(record)), _LONGEST_NAME)
    return ok(f"last response {ago(subject.now - at)}, from {provider}")


def uncaptured(subject: Subject) -> Finding:
    """Answers and errors of pi without a capture: responses that the extension did not observe."""
    logs = list(_logs(subject))
    since = max((lines[0][0] for lines, is_cut in logs if is_cut and lines), default=0.0)
    records = sorted((dated for lines, _ in logs for dated in lines if dated[0] >= since), key=_order)
    missing, compared = _missing([record for _, record in records])
    if not missing:
        return ok(f"{plural(compared, 'answer')} compared with captures, none missing")
    answers = sum(lost.answers for lost in missing.values())
    errors = sum(lost.errors for lost in missing.values())
    counts = " and ".join(plural(count, word) for count, word in ((answers, "answer"), (errors, "error")) if count)
    of = "; ".join(f"{lost.answers + lost.errors} in session `{key[0]}` {lost.route}" for key, lost in missing.items())
    others = other_extensions(subject.paths.agent)
    named = ", ".join(f"`{name}`" for name in others) or "none"
    return warn(
        f"{counts} of pi without a capture: {of}; other extensions of pi's folder and settings: {named} "
        "(those of `pi -e` and of a project are not known)",
        "`/reload` in pi; if it goes on, leave out the other extensions one by one, and report which hides responses",
    )


@dataclass(slots=True)
class _Lost:
    """What has no capture, of one session and provider."""

    route: str
    answers: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Captures:
    """Captures of one session and provider that no usage has been matched with."""

    good: int = 0
    failed: int = 0

    def take(self, *, is_error: bool) -> bool:
        """Match one. An error may have come inside a good response; an answer never came in a failed one."""
        if is_error and self.failed:
            self.failed -= 1
        elif self.good:
            self.good -= 1
        else:
            return False
        return True


@dataclass(slots=True)
class _Comparison:
    captures: dict[tuple[str, str | None], _Captures] = field(default_factory=dict)
    missing: dict[tuple[str, str], _Lost] = field(default_factory=dict)
    compared: int = 0

    def add_capture(self, session: str, record: Mapping[str, Any]) -> None:
        status, provider = record.get("http_status"), record.get("provider")
        of = self.captures.setdefault((session, provider if isinstance(provider, str) else None), _Captures())
        if record.get("error") is None and (not isinstance(status, int) or status < 300):  # noqa: PLR2004 - HTTP's
            of.good += 1
        else:
            of.failed += 1

    def add_usage(self, session: str, record: Mapping[str, Any]) -> None:
        provider, is_error = str(record.get("provider")), record.get("stop") == "error"
        self.compared += 1
        candidates = (self.captures.get((session, name)) for name in (provider, None))
        if any(of.take(is_error=is_error) for of in candidates if of is not None):
            return
        lost = self.missing.setdefault((session, provider), _Lost(_route(provider, record)))
        lost.answers += not is_error
        lost.errors += is_error


def _missing(records: list[dict[str, Any]]) -> tuple[dict[tuple[str, str], _Lost], int]:
    """What has no capture by session and provider, and how many were compared. `records` are in the order of time."""
    comparison = _Comparison()
    for record in records:
        session = record.get("session")
        if not isinstance(session, str):
            continue
        if _is_capture(record):
            comparison.add_capture(session, record)
        elif _has_response(record):
            comparison.add_usage(session, record)
    return comparison.missing, comparison.compared


def _has_response(record: Mapping[str, Any]) -> bool:
    """True for usage that a response must have come with: no summary, none that was aborted or never sent."""
    if not is_usage(record) or record.get("what", "assistant") != "assistant" or record.get("stop") == "aborted":
        return False
    error = str(record.get("error") or "").lower()
    return record.get("stop") != "error" or not any(words in error for words in _BEFORE_REQUEST)


def _route(provider: str, record: Mapping[str, Any]) -> str:
    api = str(record.get("api") or "unknown API")
    return f"from `{provider}` over {_TRANSPORTS.get(api, 'HTTP')} ({api})"


def _is_capture(record: Mapping[str, Any]) -> bool:
    kind = record.get("kind")
    return kind == "capture" or (kind is None and record.get("source") == "piggyback")


def _order(dated: Dated) -> tuple[float, bool]:
    """By time; at the same instant captures first."""
    return dated[0], not _is_capture(dated[1])


def _logs(subject: Subject) -> Iterator[tuple[list[Dated], bool]]:
    """The last lines of each log, and whether there are earlier ones."""
    for path in state_file.evidence_logs(subject.paths):
        try:
            with Follower([path]) as follower:
                lines = follower.last(_COMPARED)
        except OSError:
            continue  # the check `integrity` names it
        records = [(instant(record), record) for line in lines if (record := parse(line)) is not None]
        yield [(at, record) for at, record in records if at is not None], len(lines) >= _COMPARED


def other_extensions(agent: Path) -> list[str]:
    """The names of the extensions that pi loads from its agent folder beside tokmon's, as far as it names them."""
    try:
        names = [path.name for path in (agent / "extensions").iterdir()]
    except OSError:
        names = []
    try:
        settings = parse((agent / "settings.json").read_bytes()) or {}
    except OSError:
        settings = {}
    for key in ("extensions", "packages"):
        entries = settings.get(key)
        names += [entry for entry in (entries if isinstance(entries, list) else []) if isinstance(entry, str)]
    return sorted({*names} - {"tokmon", "tokmon.ts"})[:_MAX_NAMES]
