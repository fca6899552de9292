"""Runs: what a client asks for, what is stored, and what callers and operators do with them."""
