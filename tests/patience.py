"""How long a test waits for another process before it fails: less than a test may take."""

from typing import Final

PATIENCE_S: Final = 500.0
