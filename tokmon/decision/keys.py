"""The keys of the tables of `config.toml`, `[select]` and `[pool]`: type, default, and the texts about each.

To add a key of `[select]`: a field here, the same field in `selection/policy.py`, and its variable in
`hooks/budget-select`. A key of `[pool]` is a field here and in `pool/settings.py`; it has no variable.
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tokmon.pool.settings import PoolSettings
from tokmon.selection.overrides import name_problem
from tokmon.selection.policy import Policy

WEEK_MIN: Final = 7 * 24 * 60


def _named(value: str) -> str:
    problem = name_problem(value)
    if problem is not None:
        raise PydanticCustomError("name", "{problem}", {"problem": problem})
    return value


def _absolute(value: str) -> str:
    if not (value.startswith(("/", "~/")) and value.isprintable()):
        raise ValueError
    return value


Name = Annotated[str, AfterValidator(_named)]
Fraction = Annotated[float, Field(gt=0, le=1)]
FRACTION: Final = "a fraction, over 0 and up to 1"


class Select(BaseModel):
    """The table `[select]`; the defaults are those of the policy that it becomes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    # For each key: its default, what it takes (errors, docs), and what it does (the comment in the file).
    chain: list[Name] = Field(
        default=[],
        description="a list of provider names",
        title="Accounts (provider names of pi) in the order of preference. "
        "Put plan seats first: their quota is lost if it is not used.",
    )
    fallback: list[Name] = Field(
        default=[],
        description="a list of provider names",
        title="Paid or weaker accounts, used in this order when no account of the chain can be used.",
    )
    emergency: Name | None = Field(
        default=None,
        description="a provider name",
        title="Last resort; using it is reported as a failure.",
    )
    policy: Literal["forecast", "threshold"] = Field(
        default="forecast",
        description="`forecast` or `threshold`",
        title='How to choose: "forecast" projects what a session would use of each account; "threshold" takes the '
        "first usable account of the chain that is below the threshold.",
    )
    threshold: Fraction = Field(
        default=Policy().threshold,
        description=FRACTION,
        title="Move on when this fraction of the weekly (7d) window is used: 90 % is 0.90.",
    )
    five_hour_guard: Fraction = Field(
        default=Policy().five_hour_guard,
        description=FRACTION,
        title="Start no session on an account with this fraction of its 5h window used, if another account can be "
        "used.",
    )
    session_minutes: Annotated[float, Field(gt=0, le=WEEK_MIN)] = Field(
        default=Policy().session_minutes,
        description=f"minutes, over 0 and up to {WEEK_MIN} (a week)",
        title="Expected length of a session, in minutes.",
    )
    spend_credit: Literal["never", "after-plan", "first"] = Field(
        default="after-plan",
        description="`never`, `after-plan` or `first`",
        title='Paid use beyond the plan: "never", only "after-plan", or "first" (for prepaid credit that expires).',
    )
    check_file: Annotated[str, AfterValidator(_absolute)] | None = Field(
        default=None,
        description="a path that begins with `/` or `~/`",
        title="File with the results of `tokmon check`, for other programs to read: a path that begins with `/` or "
        "`~/`.",
    )
    model: Name = Field(
        default=Policy().model,
        description="a model name",
        title="Default model for accounts not listed under [select.models].",
    )
    models: dict[Name, Name] = Field(
        default={},
        description="a table of models by provider",
        title="Models of accounts that do not use the default model.",
    )


class PoolTable(BaseModel):
    """The table `[pool]`; the defaults are those of `PoolSettings`, which it becomes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    share: bool = Field(
        default=PoolSettings().share,
        description="`true` or `false`",
        title="Publish what this member knows of its accounts to the other members of this host, and read what they "
        "publish.",
    )
    ignore: list[Name] = Field(
        default=[],
        description="a list of member names",
        title="Members whose evidence is ignored.",
    )
    alias: list[Name] = Field(
        default=[],
        description="a list of account names",
        title="Accounts that are the same for every member of this host. `tokmon doctor` says where this is needed.",
    )
