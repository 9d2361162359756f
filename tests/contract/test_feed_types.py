"""Every type of indicator, from every source that can say it, is the same observable."""

from __future__ import annotations

import orjson
import pytest

from schemas.indicator import TYPES
from tests.feeding import attribute, event, given, stix_of

SHA1, SHA256, MD5 = "b2" * 20, "a1" * 32, "c3" * 16
SSDEEP = "96:abcDEF:ghiJKL"
RUN = "HKEY_LOCAL_MACHINE\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\evil"
#: Type: what feeds write, what it is here, the path of STIX and the types of MISP that say it.
CASES = {
    "ipv4": ("203.0.113[.]9", "203.0.113.9", "ipv4-addr:value", ("ip-src", "ip-dst")),
    "ipv6": ("2001:DB8::9", "2001:db8::9", "ipv6-addr:value", ("ip-src", "ip-dst")),
    "cidr": ("198.51.100.0/24", "198.51.100.0/24", "ipv4-addr:value", ("ip-src", "ip-dst")),
    "domain": ("WWW.Evil[.]example", "www.evil.example", "domain-name:value", ("domain", "hostname")),
    "url": ("hxxp://evil.example/a?b=1", "http://evil.example/a?b=1", "url:value", ("url",)),
    "email": ("mallory[@]evil.example", "mallory@evil.example", "email-addr:value", ("email-src", "email-dst")),
    "file_name": ("Invoice.EXE", "invoice.exe", "file:name", ("filename",)),
    "file_path": ("C:\\Temp\\Invoice.exe", "c:\\temp\\invoice.exe", "file:name", ("filename",)),
    "md5": (MD5.upper(), MD5, "file:hashes.MD5", ("md5",)),
    "sha1": (SHA1, SHA1, "file:hashes.'SHA-1'", ("sha1",)),
    "sha256": (SHA256, SHA256, "file:hashes.'SHA-256'", ("sha256",)),
    "sha512": ("d4" * 64, "d4" * 64, "file:hashes.'SHA-512'", ("sha512",)),
    "imphash": (MD5, MD5, "file:hashes.IMPHASH", ("imphash",)),
    "ssdeep": (SSDEEP, SSDEEP, "file:hashes.SSDEEP", ("ssdeep",)),
    "ja3": (MD5, MD5, "network-traffic:x_ja3_hash", ("ja3-fingerprint-md5",)),
    "ja4": ("t13d1516h2_8daaf6152771_b186095e22b6",) * 2 + ("network-traffic:extensions.'x-tls'.ja4", ()),
    "certificate": (SHA1, SHA1, "x509-certificate:hashes.'SHA-1'", ("x509-fingerprint-sha1",)),
    "user_agent": ("Evil/1.0 (x)",) * 2 + (
        "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'", ("user-agent",)
    ),
    "mutex": ("Global\\EvilOnce", "EvilOnce", "mutex:name", ("mutex",)),
    "registry_key": (RUN, "hklm" + RUN[18:].lower(), "windows-registry-key:key", ("regkey",)),
    "account": ("BANK\\Mallory", "mallory", "user-account:account_login", ("target-user",)),
    "iban": ("KZ86 125K ZT50 0410 0100", "KZ86125KZT5004100100", "", ("iban",)),
    "card_bin": ("440563", "440563", "", ("bin",)),
}  # fmt: skip
WRITTEN = [pytest.param(kind, *case, id=kind) for kind, case in CASES.items()]


def test_every_type_has_its_case() -> None:
    assert set(CASES) == set(TYPES)


@pytest.mark.parametrize(("kind", "written", "value", "path", "types"), WRITTEN)
def test_a_type_by_every_source(kind: str, written: str, value: str, path: str, types: tuple[str, ...]) -> None:
    expected = [(kind, value)]
    assert given(f"type,value\n{kind},{written}\n".encode()).values == expected
    assert given(f"{written}\n".encode(), format="list", defaults={"type": kind}).values == expected
    if path:
        said = written.replace("[.]", ".").replace("[@]", "@").replace("\\", "\\\\")
        assert stix_of(f"[{path} = '{said}']").values == expected
        assert stix_of(f"[{path} IN ('{said}')]").values == expected
    for said in types:
        assert given(orjson.dumps(event(attribute(1, said, written)))).values == expected, said


@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256", "sha512"])
def test_a_list_without_a_type_is_told_by_its_values(kind: str) -> None:
    assert given(f"{CASES[kind][0]}\n".encode(), format="list").values == [(kind, CASES[kind][1])]


@pytest.mark.parametrize(
    ("pattern", "row"),
    [
        (
            "[ipv4-addr:value ISSUBSET '198.51.100.0/24' AND domain-name:value = 'evil.example']",
            [("domain", "evil.example"), ("cidr", "198.51.100.0/24")],
        ),
        (
            f"[file:name = 'a.exe' AND file:hashes.'SHA-256' = '{SHA256}']",
            [("sha256", SHA256), ("file_name", "a.exe")],
        ),
        (
            "[file:parent_directory_ref.path = 'C:\\\\Temp' AND file:name = 'A.exe']",
            [("file_path", "c:\\temp\\a.exe")],
        ),
        ("[file:parent_directory_ref.path = '/tmp/' AND file:name = 'a']", [("file_path", "/tmp/a")]),
        (
            "[windows-registry-key:key = 'HKLM\\\\Software\\\\Run' AND windows-registry-key:values[*].name = 'Evil']",
            [("registry_key", "hklm\\software\\run\\evil")],
        ),
        (
            "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '203.0.113.9']",
            [("ipv4", "203.0.113.9")],
        ),
        ("[network-traffic:src_ref.value = 'evil.example']", [("domain", "evil.example")]),
        ("[file:name = 'C:\\Temp\\a.exe']", [("file_path", "c:\\temp\\a.exe")]),
        ("[user-account:user_id = 'mallory']", [("account", "mallory")]),
        ("[artifact:hashes.MD5 = '" + MD5 + "']", [("md5", MD5)]),
    ],
)
def test_what_must_hold_together_is_one_row_the_rarest_first(pattern: str, row: list[tuple[str, str]]) -> None:
    feed = stix_of(pattern)
    assert not feed.faults
    (one,) = feed.indicators
    assert [(one.type, one.value), *one.also] == row


@pytest.mark.parametrize(
    ("kind", "value", "rows", "tags"),
    [
        (f"filename|{digest}", f"x|y.exe|{said}"[2:], [(digest, said)], ("file:y.exe",))
        for digest, said in (("md5", MD5), ("sha1", SHA1), ("sha256", SHA256), ("ssdeep", SSDEEP), ("imphash", MD5))
    ]
    + [
        ("malware-sample", f"a.exe|{MD5}", [("md5", MD5)], ("file:a.exe",)),
        ("domain|ip", "evil.example|203.0.113.9", [("domain", "evil.example"), ("ipv4", "203.0.113.9")], ()),
        ("ip-dst|port", "203.0.113.9|443", [("ipv4", "203.0.113.9")], ("port:443",)),
        ("ip-src|port", "2001:db8::9|443", [("ipv6", "2001:db8::9")], ("port:443",)),
        ("hostname|port", "evil.example|8080", [("domain", "evil.example")], ("port:8080",)),
        ("ip:port", "203.0.113.9:443", [("ipv4", "203.0.113.9")], ("port:443",)),
        ("ip:port", "[2001:db8::9]:443", [("ipv6", "2001:db8::9")], ("port:443",)),
    ],
)
def test_what_holds_two_values_is_split_as_it_is_meant(
    kind: str, value: str, rows: list[tuple[str, str]], tags: tuple[str, ...]
) -> None:
    feed = given(orjson.dumps(event(attribute(1, kind, value))))
    assert feed.values == rows
    assert not any(one.also for one in feed.indicators)
    assert {one.tags for one in feed.indicators} == {tags}
    assert len({one.id for one in feed.indicators}) == 1
    assert given(f"value,type\n{value},{kind}\n".encode()).values == rows


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("regkey|value", "HKLM\\Software\\Run|evil"),
        ("yara", "rule x {}"),
        ("filename|tlsh", "a|b"),
        ("domain|ip", "evil.example"),
        ("ip-dst|port", "203.0.113.9|x"),
        ("ip-dst|port", "203.0.113.9|70000"),
        ("AS", "64496"),
    ],
)
def test_what_cannot_be_matched_is_named_and_never_half_matched(kind: str, value: str) -> None:
    feed = given(orjson.dumps(event(attribute(1, kind, value), attribute(2, "ip-src", "203.0.113.1"))))
    assert feed.values == [("ipv4", "203.0.113.1")]
    (fault,) = feed.faults
    assert fault.where == "attribute 5f000000-0000-4000-8000-000000000001"
    assert value not in fault.why
