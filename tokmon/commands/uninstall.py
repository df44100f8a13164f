"""`tokmon uninstall`: remove what was installed."""

from typing import Final

from tokmon.installer import cli
from tokmon.installer.user import options

SUMMARY: Final = options.UNINSTALL


def run(arguments: list[str]) -> int:
    """Remove what the receipts list and is unchanged; name what is left, and why."""
    return cli.uninstall(arguments)
