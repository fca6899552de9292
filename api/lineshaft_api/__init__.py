"""The gateway: the HTTP API, which keeps its records in Redis and imports no graph."""
