"""What is installed: tokmon, pi, the extension, and what pi is configured with."""

import json
import platform
import shlex
from typing import Final

from tokmon import __version__
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import RenderError
from tokmon.pi.extension import OURS, rendered
from tokmon.pi.models_json import read_accounts
from tokmon.report.findings import Finding, fail, ok, unknown, warn
from tokmon.store import plain_json

_HEAD: Final = 2000


def versions(subject: Subject) -> Finding:  # noqa: ARG001 - the shape of a check
    """This program's own."""
    return ok(f"tokmon {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")


def pi(subject: Subject) -> Finding:
    """The pi that would be started."""
    from tokmon.pi import schema_ts as renderer  # noqa: PLC0415 - `packaging` is slow to import

    found = subject.pi
    named = subject.env.get("TOKMON_PI") or "pi"
    if found.program is None:
        return fail(f"`{named}` {found.problem}", "install pi, or name it with TOKMON_PI")
    if found.version is None:
        return fail(f"`{found.program} --version` {found.problem}", f"run `{named} --version` and see what it says")
    version = renderer.version(found.version)
    try:
        renderer.row(version)
    except RenderError as error:
        return fail(f"`{found.program}`: {error}", error.hint or "update pi")
    newer = f", newer than {renderer.NEWEST}, the newest that has been tried" if version > renderer.NEWEST else ""
    return ok(f"{found.version} at `{found.program}`{newer}")


def extension(subject: Subject) -> Finding:
    """What pi loads of ours."""
    path = subject.paths.extension
    asked = f"--pi {shlex.quote(subject.env['TOKMON_PI'])} " if subject.env.get("TOKMON_PI") else ""
    install = f"`tokmon extension {asked}--output {shlex.quote(str(path))}`"
    if subject.env.get("TOKMON_DISABLE"):
        return warn("TOKMON_DISABLE is set: nothing is captured", "unset it where pi is started")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return fail(f"`{path}` is not there: nothing is captured", install)
    except (OSError, UnicodeDecodeError) as error:
        return fail(f"`{path}` cannot be read: {error}", f"move it away, then {install}")
    if OURS not in text[:_HEAD]:
        return fail(f"`{path}` is not tokmon's", f"move it away, then {install}")
    if subject.pi.version is None:
        return unknown(f"`{path}` is tokmon's; without pi's version it cannot be compared", "see `pi` above")
    return _compared(subject, text, subject.pi.version, install)


def _compared(subject: Subject, text: str, said: str, install: str) -> Finding:
    try:
        wanted = rendered(said)
    except RenderError as error:
        return fail(str(error), error.hint or "update pi")
    if text != wanted:
        return warn(f"`{subject.paths.extension}` is not the one for pi {said} and tokmon {__version__}", install)
    return ok(f"`{subject.paths.extension}`, as rendered for pi {said}")


def models(subject: Subject) -> Finding:
    """Pi's accounts."""
    path = subject.paths.models
    try:
        json.loads(plain_json(path.read_bytes()))
    except FileNotFoundError:
        return ok(f"no `{path}`: providers are known once they have answered")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return warn(f"`{path}` cannot be read, so its accounts have no type: {reason}", "mend the file")
    found = read_accounts(path)
    return ok(f"{len(found)} providers in `{path}`")
