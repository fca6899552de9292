"""Times. Records keep integer milliseconds of Redis TIME; clients see ISO 8601 in UTC with microseconds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(milliseconds: int) -> str:
    """`2026-11-21T20:21:52.800000+00:00` of milliseconds since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="microseconds")


def iso_of_microseconds(microseconds: int) -> str:
    """The same of microseconds, in which the store keeps the order of its items."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
