"""The sidecar: receives events over a Unix socket and appends them to the logs. One process per member.

    service       one run: lock, socket, signals, supervision
    listener      the socket in the file system
    server        connections: lines in, acknowledgements out
    line_stream   whole lines of what arrives in pieces
    ingest        from received lines to log lines
    event_reader  the reading, account type and log line of an event
    group_commit  one write per log for all waiting lines, then the acknowledgements
    state_writer  saves the snapshot in `state.json`
    dedup         the set of ids of recently stored events
    stored_ids    keeps that set in an index on disk
    spool_drain   events that extensions spooled
    daemonize     start in the background
    systemd       socket activation, readiness, watchdog
    client        requests the status of a running sidecar

One thread with asyncio; only `fdatasync` runs in a second one. An idle sidecar has no timer except the heartbeat that
a supervisor asks for.
"""
