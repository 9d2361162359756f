"""When an indicator counts, by which rule, and how surely: live, in a hunt, beyond its type's look-back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ioc.lookback import DAY_MS, DAYS, LookBack, parse_days, valid
from pipeline.settings import load
from schemas.errors import RefusedError
from schemas.indicator import TYPES, Indicator

PUBLISHED = 1_000 * DAY_MS
IP = Indicator("i", "ipv4", "203.0.113.7", "t", confidence=81, valid_from=PUBLISHED)


@pytest.mark.parametrize(
    ("indicator", "time_ms", "rule", "confidence"),
    [
        (IP, PUBLISHED, "valid", 81),
        (IP, PUBLISHED - 1, "look-back:30d", 81),
        (IP, PUBLISHED - 30 * DAY_MS, "look-back:30d", 81),
        (IP, PUBLISHED - 30 * DAY_MS - 1, "beyond:30d", 40),
        (IP._replace(authority="regulator"), 1, "beyond:30d", 81),
        (IP._replace(authority="sectoral"), 1, "beyond:30d", 81),
        (IP._replace(type="domain"), PUBLISHED - 180 * DAY_MS, "look-back:180d", 81),
        (IP._replace(type="domain"), PUBLISHED - 180 * DAY_MS - 1, "beyond:180d", 40),
        (IP._replace(type="sha256"), 1, "look-back:all", 81),
        (IP._replace(valid_from=0), 1, "valid", 81),
        (IP._replace(valid_until=PUBLISHED + 1), PUBLISHED, "valid", 81),
        (IP._replace(first_seen=PUBLISHED - 100 * DAY_MS), PUBLISHED - 1, "seen", 81),
        (IP._replace(first_seen=PUBLISHED - 100 * DAY_MS), PUBLISHED - 100 * DAY_MS, "seen", 81),
        (IP._replace(first_seen=PUBLISHED - 100 * DAY_MS), PUBLISHED - 101 * DAY_MS, "look-back:30d", 81),
        (IP._replace(first_seen=PUBLISHED - 100 * DAY_MS), PUBLISHED - 130 * DAY_MS - 1, "beyond:30d", 40),
        (IP._replace(first_seen=PUBLISHED + 100 * DAY_MS), PUBLISHED - DAY_MS, "look-back:30d", 81),
    ],
)  # fmt: skip
def test_a_hunts_verdict_names_its_rule(indicator: Indicator, time_ms: int, rule: str, confidence: int) -> None:
    assert LookBack()(indicator, time_ms) == (rule, confidence)


@pytest.mark.parametrize("judge", [valid, LookBack()])
def test_after_its_end_nothing_counts(judge: LookBack) -> None:
    over = IP._replace(type="md5", valid_from=0, valid_until=PUBLISHED)
    assert judge(over, PUBLISHED) is None
    assert judge(over, PUBLISHED - 1) is not None


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5))
def test_the_stream_takes_validity_as_it_is_and_open_ends_are_open(since: int, until: int, at: int) -> None:
    held = valid(IP._replace(valid_from=since, valid_until=until), at)
    assert (held is not None) == ((since == 0 or at >= since) and (until == 0 or at < until))
    assert held is None or held == ("valid", 81)


def test_every_type_has_a_look_back() -> None:
    assert set(DAYS) == set(TYPES)
    assert {DAYS[kind] for kind in ("md5", "sha1", "sha256", "sha512", "imphash")} == {0}
    assert (DAYS["domain"], DAYS["url"], DAYS["ipv4"], DAYS["ipv6"], DAYS["cidr"]) == (180, 180, 30, 30, 30)


def test_the_look_back_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QORGAN_LOOKBACK", "domain=365, ipv4=0")
    settings = load()
    assert settings.lookback == {"domain": 365, "ipv4": 0}
    look_back = LookBack(settings.lookback)
    assert look_back(IP, 1) == ("look-back:all", 81)
    assert look_back(IP._replace(type="domain"), PUBLISHED - 365 * DAY_MS) == ("look-back:365d", 81)
    assert look_back.days["ipv6"] == 30
    monkeypatch.setenv("QORGAN_LOOKBACK", "domain=ever")
    with pytest.raises(RefusedError, match="domain needs days from 0"):
        load()


@pytest.mark.parametrize("text", ["asn=3", "domain", "domain=-1", "domain=36501", "domain=1e3", "=3", "domain=٣"])
def test_a_faulty_look_back_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no indicator type|needs days"):
        parse_days(text)
