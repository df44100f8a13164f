"""Asking providers: credentials, turns, and every kind of answer over real sockets."""
