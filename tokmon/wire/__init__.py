"""The wire between extension and sidecar: messages, their schema, secrets taken out of texts. Pure."""
