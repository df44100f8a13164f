"""`tokmon install`: what `bootstrap/install.sh` does, for the version that runs."""

from typing import Final

from tokmon.installer import cli
from tokmon.installer.user import options

SUMMARY: Final = options.INSTALL


def run(arguments: list[str]) -> int:
    """Install, upgrade, complete, or go back."""
    return cli.install(arguments)
