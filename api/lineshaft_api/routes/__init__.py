"""The operations of the API, one noun per module; each module lists its own in `OPERATIONS`."""
