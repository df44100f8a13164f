"""Real pi, run against a loopback provider: a test fixture, never part of the product."""
