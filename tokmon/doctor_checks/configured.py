"""The configuration of the choice, and the file of pi checks: whether they are valid, and what is in use if not."""

from typing import Final

from tokmon.decision import policy_cache
from tokmon.decision.policy_cache import LoadedPolicy, PolicyOrigin
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import StoreError
from tokmon.evidence.early import is_early
from tokmon.pi import check_file
from tokmon.pi.accounts import read_accounts
from tokmon.report.findings import Finding, fail, ok, warn
from tokmon.report.words import ago, plural
from tokmon.store import state_file
from tokmon.wire.instants import rfc3339

_CORRECT: Final = "correct it there; `tokmon config` shows every key"


def configuration(subject: Subject) -> Finding:
    """Every invalid key and value; else the accounts, and whether pi knows them and their models."""
    loaded = policy_cache.load(subject.paths, subject.env, keep=False)
    if loaded.errors:
        return _invalid(loaded)
    policy = loaded.policy
    if not policy.accounts and policy.pin is None:
        proposal = policy_cache.propose(subject.paths, policy, subject.env).accounts
        named = f"; proposed from the accounts of pi: {_names(proposal)}" if proposal else ""
        return ok(f"no `chain` in `{subject.paths.config}`{named}")
    of_this_call = [name for name in (policy.pin, policy.default_provider) if name is not None]
    known = {*read_accounts(subject.paths, subject.env), *state_file.current(subject.paths).snapshot.accounts}
    unknown = [name for name in dict.fromkeys((*policy.accounts, *of_this_call)) if name not in known]
    if unknown:
        return warn(
            f"{_names(unknown)}: no account of pi (`{subject.paths.models}`, logins, keys), and no response recorded",
            "correct the name in the configuration, or add that provider to pi",
        )
    models = policy_cache.listed(subject.paths)
    unlisted = [name for name in policy.accounts if models.get(name) and policy.model_of(name) not in models[name]]
    if unlisted:
        models_of = ", ".join(f"`{policy.model_of(name)}` of `{name}`" for name in unlisted)
        return warn(
            f"{models_of}: `{subject.paths.models}` lists no such model there",
            "set one of its models in `[select.models]`, or add that model to pi",
        )
    pinned = "" if policy.pin is None else f"; TOKMON_PIN pins `{policy.pin}`"
    return ok(f"{policy.policy} over {_names(policy.accounts)}{pinned}")


def checks(subject: Subject) -> Finding:
    """The configured file of pi checks: whether it can be read, and the age of its results."""
    path = policy_cache.load(subject.paths, subject.env, keep=False).check_file
    if path is None:
        return ok("check results: log only (no `check_file` set)")
    try:
        results = check_file.read(path)
    except StoreError as error:
        return warn(f"{error}; it is not used", error.hint or "set another `check_file`")
    if not results:
        return ok(f"no results in `{path}` yet; `tokmon check` writes them")
    newest = max(result.checked_at for result in results)
    if is_early(newest, subject.now):
        return warn(
            f"`{path}` has results from the future ({rfc3339(newest)}), which are not used",
            "set the clock of the machine that writes it",
        )
    return ok(f"{plural(len(results), 'result')} in `{path}`, the newest {ago(max(0.0, subject.now - newest))}")


def _invalid(loaded: LoadedPolicy) -> Finding:
    used = "" if loaded.source is PolicyOrigin.CONFIGURED else f"; in use: {loaded.source.value}"
    hints = dict.fromkeys(error.hint for error in loaded.errors if error.hint)
    return fail("; ".join(map(str, loaded.errors)) + used, "; ".join(hints) or _CORRECT)


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
