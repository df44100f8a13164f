"""What is installed: tokmon, pi, the extension, and what pi is configured with."""

import json
import os
import platform

from tokmon import __version__
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import UsageError, reason_of
from tokmon.pi import extension as pi_extension
from tokmon.pi.accounts import read_accounts
from tokmon.pi.models_json import MAX_MODELS, read_providers
from tokmon.pi.support import NEWEST, OLDEST, Support, support
from tokmon.report.findings import Finding, fail, ok, unknown, warn
from tokmon.report.words import plural
from tokmon.store.codec import plain_json
from tokmon.store.opener import read_file


def versions(subject: Subject) -> Finding:  # noqa: ARG001 - the shape of a check
    """This program's own."""
    return ok(f"tokmon {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")


def pi(subject: Subject) -> Finding:
    """The pi that would be started, and whether its version is supported."""
    installed = subject.pi
    named = subject.env.get("TOKMON_PI") or "pi"
    if installed.program is None:
        return fail(f"`{named}` {installed.problem}", "install pi, or name it with TOKMON_PI")
    if installed.version is None:
        return fail(f"`{installed.program} --version` {installed.problem}", f"see what `{named} --version` prints")
    place = f"{installed.version} at `{installed.program}`"
    try:
        answer = support(installed.version)
    except UsageError as error:
        return unknown(f"{place}: {error}", f"tokmon supports pi {OLDEST} to {NEWEST}")
    if answer is Support.OLDER:
        return fail(
            f"{place}, older than {OLDEST}, the oldest supported version",
            "update pi, for example with `npm install -g @earendil-works/pi-coding-agent`",
        )
    newer = f", newer than {NEWEST}, the newest version tested" if answer is Support.NEWER else ""
    return ok(f"{place}{newer}")


def extension(subject: Subject) -> Finding:
    """The extension that pi loads."""
    link, old, source = subject.paths.extension, subject.paths.old_extension, pi_extension.source()
    fix = "`tokmon doctor --fix`"
    if subject.env.get("TOKMON_DISABLE"):
        return warn("TOKMON_DISABLE is set: nothing is captured", "unset it where pi is started")
    if os.path.lexists(link) and not pi_extension.is_own(link):
        return fail(f"`{link}` is not tokmon's: nothing is captured", f"move it away, then {fix}")
    if pi_extension.installed(subject.paths) is None:
        return fail(f"`{link}` is missing: nothing is captured", fix)
    if pi_extension.is_own(old):
        return warn(f"`{old}` belongs to an older tokmon", fix)
    if link.resolve() != source.resolve():
        return warn(f"`{link}` is not linked to this program's extension, `{source}`", fix)
    return ok(f"`{link}`, linked to `{source}`")


def models(subject: Subject) -> Finding:
    """Pi's accounts."""
    path = subject.paths.models
    try:
        json.loads(plain_json(read_file(path, MAX_MODELS)))
    except FileNotFoundError:
        listed = 0
    except (OSError, ValueError, RecursionError) as error:
        return warn(f"`{path}` cannot be read, so its accounts have no type: {reason_of(error)}", "correct the file")
    else:
        listed = sum(isinstance(entry, dict) for entry in read_providers(path).values())
    others = len(read_accounts(subject.paths, subject.env)) - listed
    if not listed and not others:
        return ok(f"no account in `{path}`, no login and no key; accounts appear after their first response")
    more = f", {others} by login or environment key" if others else ""
    return ok(f"{plural(listed, 'account')} in `{path}`{more}")
