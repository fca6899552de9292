"""The long-term store: items, filters on their values, and vectors to find them by meaning."""
