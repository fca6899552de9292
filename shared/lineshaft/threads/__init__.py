"""Threads: records and states, messages, search, copies, lifetimes, export."""
