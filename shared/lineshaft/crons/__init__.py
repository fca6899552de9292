"""Crons: when they are due, and the runs that they start."""
