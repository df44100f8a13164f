"""`tokmon install`: what `bootstrap/install.sh` does, for the version that runs. Standard library only."""

from tokmon.installer import cli


def run(arguments: list[str]) -> int:
    """Install, upgrade, complete, or go back."""
    return cli.install(arguments)
