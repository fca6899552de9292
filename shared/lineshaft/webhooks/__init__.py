"""Webhooks: which addresses may be called, and the calls that are due."""
