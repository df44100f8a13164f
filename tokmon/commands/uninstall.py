"""`tokmon uninstall`: take away what was installed. Standard library only."""

from tokmon.installer import cli


def run(arguments: list[str]) -> int:
    """Remove what the receipts list and is unchanged; say what is left, and why."""
    return cli.uninstall(arguments)
