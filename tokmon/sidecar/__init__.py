"""The sidecar: takes captures over a Unix socket and appends them to the logs, one process per member.

    service       one life: lock, socket, signals, supervision
    server        connections: lines in, acknowledgements out
    ingest        from an event to the line that the log keeps
    group_commit  one lock and one write a batch, then the acknowledgements
    templates     what repeats between events, encoded once, with the reading parsed from it
    state_writer  the snapshot, saved in `state.json`
    dedup         ids stored lately
    spool_drain   events that extensions spooled
    daemonize     going to the background
    systemd       socket activation, readiness, watchdog
    client        one question to a running sidecar

One thread, asyncio; the disk's slow part (`fdatasync`) runs beside it. Nothing wakes an idle sidecar but the
watchdog's own beat, where a supervisor asks for one.
"""
