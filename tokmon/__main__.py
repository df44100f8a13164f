"""`python -m tokmon` is `tokmon`."""

import sys

from tokmon.entry import main

sys.exit(main())
