"""Configuration: `config.toml` and `TOKMON_…` variables."""
