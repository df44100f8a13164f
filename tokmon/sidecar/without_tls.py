"""Keep TLS out of the sidecar, which talks over a Unix socket only: TLS would cost 8 MiB of memory.

asyncio imports `ssl` if it exists, and `hashlib` imports OpenSSL although Python has hashes of its own.
"""

import sys
from importlib.util import find_spec


def leave_out_tls() -> None:
    """Make `import ssl` fail in this process. OpenSSL stays if Python was built without hashes of its own."""
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    if all(map(find_spec, ("_md5", "_sha1", "_sha3", "_blake2"))) and (find_spec("_sha2") or find_spec("_sha256")):
        sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]
