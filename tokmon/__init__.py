"""tokmon: the quota sidecar for the pi coding agent."""

__version__ = "0.1.0"
