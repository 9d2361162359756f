"""Every spelling of a time that shippers use is read; what is none is no time, and never an exception."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.parsers.clock import moment, without_year

ALMATY = ZoneInfo("Asia/Almaty")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-10-11T17:14:15.003Z", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11T17:14:15Z", "2026-10-11T17:14:15+00:00"),
        ("2026-10-11T17:14:15.0031234Z", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11T17:14:15.003123456Z", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11T22:14:15.003456+0500", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11T22:14:15.003+05:00", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11 17:14:15.003 UTC", "2026-10-11T17:14:15.003+00:00"),
        ("2026-10-11 22:14:15", "2026-10-11T17:14:15+00:00"),
        ("2026-10-11 22:14:15.003", "2026-10-11T17:14:15.003+00:00"),
        (1_791_738_855.003, "2026-10-11T17:14:15.003+00:00"),
        (1_791_738_855, "2026-10-11T17:14:15+00:00"),
        (1_791_738_855_003, "2026-10-11T17:14:15.003+00:00"),
        (1_791_738_855_003_999, "2026-10-11T17:14:15.003+00:00"),
        (1_791_738_855_003_999_999, "2026-10-11T17:14:15.003+00:00"),
        ("1791738855.003", "2026-10-11T17:14:15.003+00:00"),
        ("1791738855003", "2026-10-11T17:14:15.003+00:00"),
        ("/Date(1791738855003)/", "2026-10-11T17:14:15.003+00:00"),
        ("/Date(1791738855003+0500)/", "2026-10-11T17:14:15.003+00:00"),
    ],
)
def test_a_spelling_is_read_to_the_millisecond(said: object, meant: str) -> None:
    assert moment(said, ALMATY) == ms(meant)


@pytest.mark.parametrize(
    "said",
    [None, "", "-", "yesterday", True, [], {}, 0, -1, 2**70, 1e300, "9" * 30, "2026-13-45T99:99:99.000Z",
     "2026-10-11T17:14:15.0a3Z", "2026-10-11T17:14:15.003 ", "/Date()/", "0001-01-01T00:00:00+14:00"],
)  # fmt: skip
def test_what_is_no_time_is_none(said: object) -> None:
    assert moment(said, ALMATY) <= 0


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.datetimes().map(str)))
def test_no_value_raises(said: object) -> None:
    assert isinstance(moment(said, ALMATY), int)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - a zone is added
def test_the_fast_spelling_is_read_as_the_slow_one(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    fast = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert moment(fast, ALMATY) == moment(at.isoformat(timespec="microseconds"), ALMATY) == round(at.timestamp() * 1e3)


@pytest.mark.parametrize(
    ("stamp", "near", "meant"),
    [
        ("Oct 11 22:14:15", "2026-10-11T17:14:20+00:00", "2026-10-11T17:14:15+00:00"),
        ("Dec 31 23:59:58", "2027-01-01T00:00:30+05:00", "2026-12-31T23:59:58+05:00"),
        ("Jan  1 00:00:05", "2026-12-31T23:59:58+05:00", "2027-01-01T00:00:05+05:00"),
        ("Feb 29 12:00:00", "2028-03-01T00:00:00+05:00", "2028-02-29T12:00:00+05:00"),
        ("Oct  1 09:00:00", "2026-10-11T17:14:20+00:00", "2026-10-01T09:00:00+05:00"),
    ],
)
def test_a_stamp_without_a_year_lies_nearest_to_kafkas_time(stamp: str, near: str, meant: str) -> None:
    assert without_year(stamp, ms(near), ALMATY) == ms(meant)


@pytest.mark.parametrize("stamp", ["", "Oct", "Foo 11 22:14:15", "Oct 77 22:14:15", "Oct 11 22:14", "Oct 11 aa:bb:cc"])
def test_a_broken_stamp_is_no_time(stamp: str) -> None:
    assert without_year(stamp, ms("2026-10-11T17:14:20+00:00"), ALMATY) == 0


def test_without_kafkas_time_a_stamp_has_no_year() -> None:
    assert without_year("Oct 11 22:14:15", -1, ALMATY) == 0
