"""Probes: credentials, rate limit, and every kind of answer over real sockets."""
