"""The configuration of the choice: whether it is valid, and what is in use where it is not."""

from typing import Final

from tokmon.decision import policy_cache
from tokmon.decision.policy_cache import LoadedPolicy, Source
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import StoreError
from tokmon.pi import check_file
from tokmon.pi.models_json import read_accounts
from tokmon.report.findings import Finding, fail, ok, warn
from tokmon.report.words import ago
from tokmon.store import state_file
from tokmon.wire.instants import rfc3339

_MEND: Final = "correct it there: docs/configuration.md says what each key takes"


def configuration(subject: Subject) -> Finding:
    """Every key and value that cannot be; else whom the chain names, and whether they are known."""
    loaded = policy_cache.load(subject.paths, subject.env, keep=False)
    if loaded.errors:
        return _invalid(loaded)
    policy = loaded.policy
    if not policy.accounts and policy.pin is None:
        proposal = policy_cache.propose(subject.paths, policy).accounts
        named = f"; a first one out of `{subject.paths.models}`: {_names(proposal)}" if proposal else ""
        return ok(f"no chain is configured in `{subject.paths.config}`{named}")
    asked = [name for name in (policy.pin, policy.default_provider) if name is not None]
    known = {*read_accounts(subject.paths.models), *state_file.current(subject.paths).snapshot.accounts}
    unknown = [name for name in dict.fromkeys((*policy.accounts, *asked)) if name not in known]
    if unknown:
        return warn(
            f"{_names(unknown)}: not in `{subject.paths.models}`, and never seen",
            "correct the name in the configuration, or give pi that provider",
        )
    models = policy_cache.listed(subject.paths)
    strange = [name for name in policy.accounts if models.get(name) and policy.model_of(name) not in models[name]]
    if strange:
        asked_for = ", ".join(f"`{policy.model_of(name)}` of `{name}`" for name in strange)
        return warn(
            f"{asked_for}: `{subject.paths.models}` lists no such model there",
            "name a model that it has in `[select.models]`, or give pi that model",
        )
    pinned = "" if policy.pin is None else f"; TOKMON_PIN pins `{policy.pin}`"
    return ok(f"{policy.policy} over {_names(policy.accounts)}{pinned}")


def checks(subject: Subject) -> Finding:
    """The file of pi checks that is named: whether it can be read, and how old what it says is."""
    path = policy_cache.load(subject.paths, subject.env, keep=False).check_file
    if path is None:
        return ok("no `check_file` is configured: pi checks are in the log alone")
    try:
        results = check_file.read(path)
    except StoreError as error:
        return warn(f"{error}; what it says does not count", error.hint or "name another `check_file`")
    if not results:
        return ok(f"`{path}` has no result yet: `tokmon check` puts some there")
    newest = max(each.checked_at for each in results)
    if newest > subject.now + check_file.AHEAD_S:
        return warn(
            f"`{path}` has results of {rfc3339(newest)}, which do not count", "set the clock of whoever writes it"
        )
    return ok(f"{len(results)} results in `{path}`, the newest of {ago(max(0.0, subject.now - newest))}")


def _invalid(loaded: LoadedPolicy) -> Finding:
    used = "" if loaded.source is Source.CONFIGURED else f"; in use: {loaded.source.value}"
    hints = dict.fromkeys(error.hint for error in loaded.errors if error.hint)
    return fail("; ".join(map(str, loaded.errors)) + used, "; ".join(hints) or _MEND)


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
