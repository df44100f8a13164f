"""Keep TLS out of the sidecar: eight mebibytes that a Unix socket has no use for.

asyncio loads `ssl` where it is there, and `hashlib` loads OpenSSL although Python's own hashes do.
"""

import sys
from importlib.util import find_spec


def leave_out_tls() -> None:
    """Make `import ssl` fail in this process from now on. Where Python lacks hashes of its own, OpenSSL stays."""
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    if all(map(find_spec, ("_md5", "_sha1", "_sha3", "_blake2"))) and (find_spec("_sha2") or find_spec("_sha256")):
        sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]
