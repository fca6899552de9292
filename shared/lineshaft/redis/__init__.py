"""Redis: connections, calls and scripts, the names of all keys, and values too large for one piece."""
