"""The sidecar: takes captures over a Unix socket and appends them to the logs, one process per member.

    service     one life: lock, socket, signals, supervision
    server      connections: lines in, acknowledgements out
    ingest      from an event to the line that the log keeps
    commit      group commit: one lock, one write a batch, then the acknowledgements
    keeper      the snapshot, kept current in `state.json`
    recent      which ids have been stored lately
    systemd     socket activation, readiness, watchdog

One thread, asyncio; the disk's slow part (`fdatasync`) runs beside it. Nothing wakes an idle sidecar but the
watchdog's own beat, where a supervisor asks for one.
"""

import sys

# asyncio loads TLS if it is there: four mebibytes that a Unix socket has no use for.
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
