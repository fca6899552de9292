"""Schedules of crons: five fields, or six with the seconds last, in a time zone.

Where clocks are put forward, what falls into the gap fires at its end; where they are put back, a job at fixed hours
fires in the first of the two hours only, and one of every hour or minute in both. That is how Debian's cron does it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from lineshaft.errors import BadRequest, Invalid

_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LONGEST = 512  # characters; a list of all minutes has 170
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_CHANGE = timedelta(hours=2)  # after clocks have changed, what belongs before that may still be to come: begin there
_LATE_MS = 10_000  # up to so much after its time a window is late, not missed: as long as a worker's lease


class Schedule:
    """One schedule in its time zone. Times are milliseconds since the epoch."""

    def __init__(self, text: str, timezone: str | None = None) -> None:
        """Raises Invalid for a schedule or a time zone that does not exist, BadRequest for a date that never comes."""
        self._zone = UTC if timezone is None else _zone(timezone)
        fields = _NAMES.get(text.strip().lower(), text).split()
        if len(text) > _LONGEST or len(fields) not in {5, 6}:
            raise Invalid(
                f"Invalid cron schedule {text[:80]!r}: five fields, or six with the seconds last, "
                f"in {_LONGEST} characters at most"
            )
        self._fields = " ".join(fields[:5])
        try:
            self._seconds = sorted(CronSim(f"{(fields[5:] or ['0'])[0]} * * * * *", _EPOCH).seconds)
            CronSim(self._fields, _EPOCH)
        except CronSimError as error:
            if _is_impossible_date(fields):
                raise _never(text) from None
            raise Invalid(f"Invalid cron schedule {text!r}: {error}") from None
        self._text = text

    def next_after(self, moment: int) -> int:
        """The first time after a moment. Raises BadRequest if there is none in fifty years."""
        after = _EPOCH + timedelta(milliseconds=moment)
        for window in self._windows(after):
            if window > after:
                return (window - _EPOCH) // timedelta(milliseconds=1)
        raise _never(self._text)

    def next_window(self, fired: int, now: int) -> int:
        """The time to fire next, after the one that was `fired` just now.

        What was missed, because nobody was there to fire it, is not made up for: it goes on in its rhythm.
        """
        following = self.next_after(fired)
        return following if following > now - _LATE_MS else self.next_after(now)

    def _windows(self, moment: datetime) -> Iterator[datetime]:
        """All times from about a moment on. Some of the first may lie before it, and some come twice."""
        local = moment.astimezone(self._zone)
        before = (moment - _CHANGE).astimezone(self._zone)
        start = before if before.utcoffset() != local.utcoffset() else local
        # Minutes first, then their seconds: so those with seconds do in gaps and folds as all others.
        for minute in CronSim(self._fields, start.replace(second=0, microsecond=0) - _MINUTE):
            for second in self._seconds:
                yield minute.astimezone(UTC) + timedelta(seconds=second)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no such name can be; a folder
        raise Invalid(f"Unknown timezone {name[:80]!r}: use an IANA name, like Europe/Berlin") from None


def _is_impossible_date(fields: list[str]) -> bool:
    """Whether it is only the day of the month that no month of it has."""
    minute, hour, day, _, weekday, *second = fields
    try:
        CronSim(" ".join([*second, minute, hour, day, "*", weekday]), _EPOCH)
        CronSim(" ".join([*second, minute, hour, "1", fields[3], weekday]), _EPOCH)
    except CronSimError:
        return False
    return True


def _never(text: str) -> BadRequest:
    return BadRequest(f"Cron schedule {text!r}: failed to find next date")
