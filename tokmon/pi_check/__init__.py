"""Does a session of pi start on an account? Runs the member's own pi.

checking  some accounts, a few at a time
running   one run of pi
told      what it writes when it fails
"""

from tokmon.pi_check.checking import check
from tokmon.pi_check.running import How, Result, Wanted

__all__ = ["How", "Result", "Wanted", "check"]
