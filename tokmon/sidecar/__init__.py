"""The sidecar: takes captures over a Unix socket and appends them to the logs, one process per member.

    service     one life: lock, socket, signals, supervision
    server      connections: lines in, acknowledgements out
    ingest      from an event to the line that the log keeps
    lines       what a reading says, in the names of the log
    commit      group commit: one lock, one write a batch, then the acknowledgements
    told        what recurs from event to event, and what that means
    keeper      the snapshot, kept current in `state.json`
    deciding    the decision for the next wake, after each change of it
    recent      which ids have been stored lately
    spooling    taking in what extensions spooled
    renewing    the extension, when pi has become another
    detach      going to the background
    systemd     socket activation, readiness, watchdog

One thread, asyncio; the disk's slow part (`fdatasync`) runs beside it. Nothing wakes an idle sidecar but the
watchdog's own beat, where a supervisor asks for one.
"""

import sys
from importlib.util import find_spec

# Eight mebibytes that a Unix socket has no use for: asyncio loads TLS if it is there, and hashing loads OpenSSL
# although Python's own hashes do. Where a Python lacks those, OpenSSL stays.
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
if all(map(find_spec, ("_md5", "_sha1", "_sha3", "_blake2"))) and (find_spec("_sha2") or find_spec("_sha256")):
    sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]
