"""Times. Records keep integer milliseconds of Redis TIME; clients see ISO 8601 in UTC with microseconds."""

from datetime import UTC, datetime


def iso(milliseconds: int) -> str:
    """`2026-11-21T20:21:52.800000+00:00` of milliseconds since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="microseconds")
