"""The `[pool]` table of the configuration."""

from typing import NamedTuple


class PoolSettings(NamedTuple):
    """Whether this member takes part, and whom it believes."""

    share: bool = True
    """Publish, and read what others publish."""

    ignore: tuple[str, ...] = ()
    """Members that are not read."""

    alias: tuple[str, ...] = ()
    """Accounts that are one and the same under this name for every member, whatever is known of their identity."""
