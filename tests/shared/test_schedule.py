"""When crons fire: fields, names, time zones, and the days on which clocks change."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.crons.schedule import Schedule
from lineshaft.errors import BadRequest, Invalid

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def fires(schedule: str, start: str, count: int = 3, zone: str | None = None) -> list[str]:
    """The next times after `start` (in UTC), as the clocks in the zone show them, with their distance to UTC."""
    parsed, moment, shown = Schedule(schedule, zone), ms(start), []
    for _ in range(count):
        moment = parsed.next_after(moment)
        local = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone or "UTC"))
        shown.append(f"{local:%d %H:%M:%S%z}".removesuffix("00"))
    return shown


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/20 * * * *", ["01 00:20:00+00", "01 00:40:00+00", "01 01:00:00+00"]),
        ("30 3 * * *", ["01 03:30:00+00", "02 03:30:00+00", "03 03:30:00+00"]),
        ("0 9 * * MON-FRI", ["02 09:00:00+00", "03 09:00:00+00", "04 09:00:00+00"]),
        ("0 9 * * mon,7", ["01 09:00:00+00", "02 09:00:00+00", "08 09:00:00+00"]),
        ("0 0 13 * 5", ["06 00:00:00+00", "13 00:00:00+00", "20 00:00:00+00"]),
        ("0 0 L JAN,FEB *", ["28 00:00:00+00", "31 00:00:00+00", "28 00:00:00+00"]),
        ("* * * * * *", ["01 00:00:01+00", "01 00:00:02+00", "01 00:00:03+00"]),
        ("0 12 * * * */30", ["01 12:00:00+00", "01 12:00:30+00", "02 12:00:00+00"]),
        ("@hourly", ["01 01:00:00+00", "01 02:00:00+00", "01 03:00:00+00"]),
        (" @Daily ", ["02 00:00:00+00", "03 00:00:00+00", "04 00:00:00+00"]),
        ("@weekly", ["08 00:00:00+00", "15 00:00:00+00", "22 00:00:00+00"]),
        ("@yearly", ["01 00:00:00+00", "01 00:00:00+00", "01 00:00:00+00"]),
    ],
)
def test_fields_and_names(schedule: str, expected: list[str]) -> None:
    assert fires(schedule, "2026-02-01T00:00:00") == expected  # a Sunday


def test_a_moment_between_two_seconds_counts_as_after_the_first() -> None:
    assert Schedule("* * * * * *").next_after(ms("2026-02-01") + 1) == ms("2026-02-01T00:00:01")


# Clocks in Berlin: on 2026-03-29 02:00 becomes 03:00, on 2026-10-25 03:00 becomes 02:00. Starts are on the day before.
GAP, FOLD = "2026-03-28T22:30:00", "2026-10-24T21:30:00"


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        # At a fixed hour: at the end of the gap, once in the fold.
        ("30 2 * * *", GAP, ["29 03:00:00+02", "30 02:30:00+02", "31 02:30:00+02"]),
        ("30 2 * * *", FOLD, ["25 02:30:00+02", "26 02:30:00+01", "27 02:30:00+01"]),
        ("30 2 * * * 0", GAP, ["29 03:00:00+02", "30 02:30:00+02", "31 02:30:00+02"]),
        ("30 2 * * * 15,45", GAP, ["29 03:00:15+02", "29 03:00:45+02", "30 02:30:15+02"]),
        ("30 2 * * * 15,45", FOLD, ["25 02:30:15+02", "25 02:30:45+02", "26 02:30:15+01"]),
        # Two that fall into the gap are one.
        ("0,30 2 * * *", GAP, ["29 03:00:00+02", "30 02:00:00+02", "30 02:30:00+02"]),
        ("0,30 2,3 * * *", GAP, ["29 03:00:00+02", "29 03:30:00+02", "30 02:00:00+02"]),
        # Every hour or minute: the hour that is not there is left out, the one that is there twice counts twice.
        ("15 * * * *", GAP, ["29 00:15:00+01", "29 01:15:00+01", "29 03:15:00+02"]),
        ("15 * * * *", FOLD, ["25 00:15:00+02", "25 01:15:00+02", "25 02:15:00+02"]),
        ("0 1-3 * * *", FOLD, ["25 01:00:00+02", "25 02:00:00+02", "25 03:00:00+01"]),
        ("0 12 * * *", GAP, ["29 12:00:00+02", "30 12:00:00+02", "31 12:00:00+02"]),
        ("0 12 * * *", FOLD, ["25 12:00:00+01", "26 12:00:00+01", "27 12:00:00+01"]),
    ],
)
def test_where_clocks_change(schedule: str, start: str, expected: list[str]) -> None:
    assert fires(schedule, start, zone=BERLIN) == expected


def test_each_of_the_two_hours_has_its_minutes() -> None:
    assert fires("*/30 * * * *", "2026-10-25T00:00:00", 5, BERLIN) == [
        "25 02:30:00+02", "25 02:00:00+01", "25 02:30:00+01", "25 03:00:00+01", "25 03:30:00+01",
    ]  # fmt: skip
    assert fires("* * * * * */30", "2026-10-25T00:59:30", 3, BERLIN) == [
        "25 02:00:00+01", "25 02:00:30+01", "25 02:01:00+01",
    ]  # fmt: skip


def test_a_job_that_fired_in_the_first_of_two_hours_does_not_in_the_second() -> None:
    """cronsim alone, asked in the second hour, answered with the time in the first: it would have fired at once."""
    assert fires("30 2 * * *", "2026-10-25T01:10:00", 1, BERLIN) == ["26 02:30:00+01"]


def test_in_another_zone_of_the_same_day() -> None:
    assert fires("30 3 * * *", "2026-07-01T00:00:00", 1, NEW_YORK) == ["01 03:30:00-04"]
    assert Schedule("30 3 * * *", NEW_YORK).next_after(ms("2026-07-01")) == ms("2026-07-01T07:30:00")


def test_a_window_that_is_late_fires_and_one_that_was_missed_does_not() -> None:
    every_second = Schedule("* * * * * *")
    fired = ms("2026-02-01T00:00:00")
    assert every_second.next_window(fired, fired + 20) == fired + 1000
    assert every_second.next_window(fired, fired + 9_000) == fired + 1000
    assert every_second.next_window(fired, fired + 3_600_000) == fired + 3_601_000
    daily = Schedule("@daily")
    assert daily.next_window(fired, ms("2026-02-09T05:00:00")) == ms("2026-02-10")


@pytest.mark.parametrize(
    "schedule",
    ["", "soon", "* * * *", "61 * * * *", "* * * * * 60", "* * * * * * *", "@reboot", "*/0 * * * *", "5-1 * * * *",
     "1/2/3 * * * *", "0 0 32 2 *", "* " * 300, "0," * 300 + "0 * * * *", "٣ * * * *",
     "0 0 1W * *", "0 0 * * 1#9", "- - - - -"],
)  # fmt: skip
def test_a_schedule_that_is_none_is_refused(schedule: str) -> None:
    with pytest.raises(Invalid, match="Invalid cron schedule"):
        Schedule(schedule)


@pytest.mark.parametrize("schedule", ["0 0 30 2 *", "0 0 31 4,6 *", "* * */20 * 1L", "0 0 30 2 * 5"])
def test_a_date_that_never_comes_is_refused(schedule: str) -> None:
    with pytest.raises(BadRequest, match="failed to find next date"):
        Schedule(schedule).next_after(0)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "..", "Europe", "../../etc/passwd", "a\0b", "x" * 5000])
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match="Unknown timezone"):
        Schedule("@daily", zone)


@settings(deadline=None)  # one that never comes is looked for through fifty years
@given(
    st.lists(st.text("0123456789*/,-#LWMON", min_size=1, max_size=6), min_size=5, max_size=6).map(" ".join),
    st.integers(0, ms("2100-01-01")),
    st.sampled_from([None, BERLIN, "Australia/Lord_Howe"]),
)
def test_whatever_is_written_is_refused_or_comes_after_now(schedule: str, moment: int, zone: str | None) -> None:
    with contextlib.suppress(Invalid, BadRequest):
        assert Schedule(schedule, zone).next_after(moment) > moment
