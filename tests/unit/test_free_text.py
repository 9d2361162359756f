"""Free text gives what stands in it by its form, once, bounded, and no file's name for a domain."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ioc.free_text import observables_in_text
from detectors.ioc.indicators import normal
from detectors.ioc.observables import MAX_OBSERVABLES, MAX_TEXT
from schemas.event import Observable


def found_in(text: str) -> list[tuple[str, str]]:
    found: set[Observable] = set()
    observables_in_text(text, found)
    return sorted(tuple(one) for one in found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Accepted password for root from 203.0.113.7 port 22", [("ipv4", "203.0.113.7")]),
        ("connect 203.0.113.7:443.", [("ipv4", "203.0.113.7")]),
        ("client=[2001:DB8::1]", [("ipv6", "2001:db8::1")]),
        ("src=127.0.0.1 dst=::1", []),
        ("mail (to Bad@Evil.Example)!", [("domain", "evil.example"), ("email", "bad@evil.example")]),
        ("evil.example:8443 bank.example/login", [("domain", "bank.example"), ("domain", "evil.example")]),
        ("GET https://evil.example/a?b=c.", [("domain", "evil.example"), ("url", "https://evil.example/a?b=c")]),
        ("сайт қорған.қаз", [("domain", "xn--80a0abi92bob.xn--80ao21a")]),
        (f"md5 {'A1' * 16} sha256:{'b2' * 32}", [("md5", "a1" * 16), ("sha256", "b2" * 32)]),
        (f"SHA256={'b2' * 32};", [("sha256", "b2" * 32)]),
        ("1" * 32, []),
        ("pay KZ86 125K ZT50 0410 0100 TODAY", [("iban", "KZ86125KZT5004100100")]),
        ("pay KZ86125KZT5004100100", [("iban", "KZ86125KZT5004100100")]),
        ("pay KZ87 125K ZT50 0410 0100", []),
        ("open report.docx, C:\\Windows\\a.exe, nginx.service in /var/log/app.log at 12:30:45.123", []),
        ("std::vector a::b aa:bb:cc:dd:ee:ff 1.2.3 v1.2.3-rc.1 e.g. i.e.", []),
        ("git@git.example:team", [("domain", "git.example"), ("email", "git@git.example")]),
    ],
)  # fmt: skip
def test_what_stands_in_a_text_is_found(text: str, found: list[tuple[str, str]]) -> None:
    assert found_in(text) == found


def test_much_is_bounded() -> None:
    assert len(found_in(" ".join(f"h{n}.example" for n in range(10_000)))) == MAX_OBSERVABLES


def test_a_value_that_the_bound_cuts_in_two_is_none() -> None:
    start = "x" * (MAX_TEXT - 12) + " "
    assert found_in(start + "evil.example.org") == []
    assert found_in(start[8:] + "evil.example org") == [("domain", "evil.example")]


@pytest.mark.parametrize("piece", ["a.", "AB12 ", "a@", "1:", "::", "[", "http://", "AB12", ".", "KZ86125K", "é."])
def test_time_is_linear_whatever_the_text(piece: str) -> None:
    """Ten megabytes cost what their first part costs."""
    started = time.process_time()
    found_in(piece * (10_000_000 // len(piece)))
    assert time.process_time() - started < 0.5


@given(st.text(max_size=200))
def test_what_is_found_is_in_normal_form(text: str) -> None:
    for kind, value in found_in(text):
        assert normal(kind, value) == (kind, value)
