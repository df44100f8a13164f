"""The wire between extension and sidecar: messages, their schema for other languages, secret scrubbing. Pure."""
