"""Entry point."""


def main() -> int:
    """Placeholder until the verbs land in this same change."""
    return 0
