"""`python -m tokmon` is `tokmon`."""

import sys

from tokmon.cli import main

sys.exit(main())
