"""Each type has one spelling, of events and indicators alike; what is no such thing is refused, whatever its size."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.ioc import network_forms, observables
from detectors.ioc.indicators import ALIASES, normal, refang, sealed
from enrichers.identity import user_entity
from schemas.event import Observable
from schemas.indicator import TYPES, Indicator

JA4 = "t13d1516h2_8daaf6152771_b186095e22b6"
FUZZY = "96:s4Ud1Lj96tHHlZDrwciQmA+4uy1I0G4HYuL8N3TzS8QsO/wqWXLcMSx:sF1LjEtHHlZDrJzrhuyZvHYm8tKp"
SHA1 = "A9993E364706816ABA3E25717850C26C9CD0D89D"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("cidr", "203.0.113.77/24", "203.0.113.0/24"),
        ("cidr", "203.0.113.7", "203.0.113.7/32"),
        ("cidr", "2001:DB8:0:0::1/32", "2001:db8::/32"),
        ("cidr", "::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("cidr", "203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("email", "Name of <Bad.Guy+x@Evil.Example>", "bad.guy+x@evil.example"),
        ("email", "mailto:a@қорған.қаз", "a@xn--80a0abi92bob.xn--80ao21a"),
        ("email", "a[at]evil[.]example", "a@evil.example"),
        ("file_name", "Mimikatz.EXE", "mimikatz.exe"),
        ("file_path", '"C:/Users/Public//a.EXE"', "c:\\users\\public\\a.exe"),
        ("file_path", "\\??\\C:\\Windows\\Temp\\\\x.dll", "c:\\windows\\temp\\x.dll"),
        ("file_path", "\\\\server\\share\\x.dll", "\\\\server\\share\\x.dll"),
        ("file_path", "/tmp/.X11/a", "/tmp/.x11/a"),
        ("imphash", "A1" * 16, "a1" * 16),
        ("ssdeep", f'{FUZZY},"a.exe"', FUZZY),
        ("ja3", "A1" * 16, "a1" * 16),
        ("ja4", JA4.upper(), JA4),
        ("certificate", ":".join(SHA1[at : at + 2] for at in range(0, 40, 2)), SHA1.lower()),
        ("certificate", " ".join("a1" for _ in range(32)), "a1" * 32),
        ("user_agent", " Evil/1.0 (X) ", "Evil/1.0 (X)"),
        ("mutex", "\\Sessions\\1\\BaseNamedObjects\\Global\\Evil(.)", "Evil(.)"),
        ("registry_key", "HKEY_LOCAL_MACHINE\\Software\\Evil\\", "hklm\\software\\evil"),
        ("registry_key", "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Svc", "hklm\\system\\currentcontrolset\\svc"),
        ("registry_key", "Computer\\HKEY_CURRENT_USER\\Software\\\\x", "hkcu\\software\\x"),
        ("registry_key", "HKLM:\\Software\\x", "hklm\\software\\x"),
        ("registry_key", "HKU\\S-1-5-21-1-2-3-1104\\Software\\x", "hkcu\\software\\x"),
        ("registry_key", "HKU\\S-1-5-21-1-2-3-1104_Classes\\CLSID", "hkcu\\software\\classes\\clsid"),
        ("registry_key", "HKCR\\.exe", "hklm\\software\\classes\\.exe"),
        ("registry_key", "HKU\\S-1-5-18\\Software", "hku\\s-1-5-18\\software"),
        ("account", "BANK\\Aigerim", "aigerim"),
        ("account", "aigerim@bank.example", "aigerim"),
        ("iban", "kz86 125K ZT50 0410 0100", "KZ86125KZT5004100100"),
        ("card_bin", "400000", "400000"),
        ("card_bin", "4000 0012", "40000012"),
        ("ipv4", "10.0.0.0/8", "10.0.0.0/8"),
        ("ipv4", "10.0.0.1/32", "10.0.0.1"),
        ("domain", "*.evil.example", "evil.example"),
        ("filename", "C:\\x\\a.exe", "c:\\x\\a.exe"),
        ("filename", "a.exe", "a.exe"),
        ("x509-fingerprint-sha1", SHA1, SHA1.lower()),
        ("FileHash-IMPHASH", "A1" * 16, "a1" * 16),
    ],
)  # fmt: skip
def test_an_indicators_value_has_one_spelling(kind: str, text: str, value: str) -> None:
    known = normal(kind, text)
    assert known.value == value
    assert normal(known.type, value) == known


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("cidr", "203.0.113.0/33"),
        ("cidr", "fe80::%eth0/64"),
        ("ipv6", "10.0.0.0/8x"),
        ("email", "evil.example"),
        ("email", "a b@evil.example"),
        ("email", "a@localhost"),
        ("file_name", "C:\\a.exe"),
        ("file_name", "-"),
        ("file_path", "a.exe"),
        ("file_path", "C:\\folder\\"),
        ("file_path", "C:\\a\0.exe"),
        ("imphash", "0" * 32),
        ("ja4", "t13d"),
        ("ssdeep", "96:x"),
        ("certificate", "a1" * 17),
        ("user_agent", "-"),
        ("mutex", "Global\\"),
        ("registry_key", "Software\\x"),
        ("registry_key", "user\\x"),
        ("registry_key", "HKLM"),
        ("account", "NT AUTHORITY\\SYSTEM"),
        ("account", "WS-017$"),
        ("account", "DWM-1"),
        ("iban", "KZ86125KZT5004100101"),
        ("iban", "KZ86125KZT500410010"),
        ("iban", "ZZ86125KZT5004100100"),
        ("card_bin", "4000001"),
        ("card_bin", "4000000000000002"),
        ("domain", "a." * 10_000 + "example"),
        ("domain", "evil\0.example"),
        ("domain", "\ud800.example"),
        ("url", "http://" + "a" * 5_000),
        ("no such", "x"),
        ("x" * 1_000_000, "x"),
    ],
)
def test_what_is_no_such_thing_is_refused_by_its_name(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"a value that is no |a value longer than|an unknown type") as refused:
        normal(kind, text)
    assert text not in str(refused.value) or text == "x", "no fault holds a value"


@pytest.mark.parametrize("kind", sorted(ALIASES))
def test_ten_megabytes_are_refused_at_once(kind: str) -> None:
    for text in ("a" * 10_000_000, " " * 10_000_000, "[.]" * 3_000_000, "é." * 5_000_000):
        started = time.process_time()
        with pytest.raises(ValueError, match="longer"):
            normal(kind, text)
        assert time.process_time() - started < 0.5


VALUES = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"(\\\\[?]\\|\\\?\?\\|[cC]:[\\/]|HK(LM|U|CR):?\\|Global\\|BANK\\|\")?[ -~]{0,30}", fullmatch=True),
)


@given(st.sampled_from(TYPES), VALUES)
@example("mutex", "Global\\ x")
@example("file_path", '\\??\\"c:\\x')
@example("account", "ß" * 200)
@example("registry_key", "HKLM\\SYSTEM\\ControlSet001" + "\\x" * 490)
def test_normalising_twice_changes_nothing(kind: str, text: str) -> None:
    """Indicators are published normalised, and read again."""
    try:
        once = normal(kind, text)
    except ValueError:
        return
    assert normal(once.type, once.value) == once


@given(st.from_regex(r"(https?|ftp|HTTP)://[a-zA-Z0-9._-]{1,12}(:80|:81)?(/[ -~é]{0,12})?", fullmatch=True))
@example("http://evil.example/?")
@example("http://evil.example/a?b")
@example("http://10.0.0.1/a")
@example("http://evil.example./a")
@example("http://evil.example/a??")
@example("http://evil.example//")
@example("http://evil.example/\\")
def test_a_url_that_is_plain_is_told_as_if_it_were_taken_apart(text: str) -> None:
    assert network_forms.url(text) == network_forms._split(text.partition("#")[0].strip())


@pytest.mark.parametrize(
    ("fanged", "plain"),
    [
        ("hxxps[:]//evil[.]example/a", "https://evil.example/a"),
        ("hXXp://evil(dot)example", "http://evil.example"),
        ("h**p://evil{.}example", "http://evil.example"),
        ("http[://]evil[.example", "http://evil.example"),
        ("hxxp[s]://evil.]example", "https://evil.example"),
        ("fxp://evil\\.example", "ftp://evil.example"),
        ("a[@]evil [dot] example", "a@evil.example"),
        ("2001[:]db8[:]:1", "2001:db8::1"),
        ("https://host.example/a", "https://host.example/a"),
    ],
)
def test_every_usual_way_of_defanging_is_undone(fanged: str, plain: str) -> None:
    assert refang(fanged) == plain


@pytest.mark.parametrize(
    "name", ["BANK\\Aigerim", "aigerim@bank.example", "NT AUTHORITY\\SYSTEM", "WS$", "-", "umfd-0", "@x"]
)
def test_accounts_are_folded_as_people_are_told_apart(name: str) -> None:
    found = taken("account", name)
    assert (found[0].value if found else "") == user_entity(name)


def taken(name: str, text: str) -> list[Observable]:
    found: set[Observable] = set()
    getattr(observables, f"take_{name}")(text, found)
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("email", "a@evil.example", [("domain", "evil.example"), ("email", "a@evil.example")]),
        ("path", "C:\\x\\A.exe", [("file_path", "c:\\x\\a.exe")]),
        ("path", "System", [("file_name", "system")]),
        ("path", "-", []),
        ("hashes", f"SHA1={SHA1},IMPHASH={'A1' * 16}", [("imphash", "a1" * 16), ("sha1", SHA1.lower())]),
        ("card", "4000-0000 0000 0002", [("card_bin", "400000"), ("card_bin", "40000000")]),
        ("card", "4000000000000003", []),
        ("card", "0000000000000000", []),
        ("iban", "KZ86125KZT5004100100", [("iban", "KZ86125KZT5004100100")]),
        ("registry", "HKLM\\x", [("registry_key", "hklm\\x")]),
        ("agent", "Evil/1", [("user_agent", "Evil/1")]),
    ],
)
def test_takers_take_what_they_are_named_for(name: str, text: str, found: list[tuple[str, str]]) -> None:
    assert taken(name, text) == [Observable(*one) for one in found]


@given(st.sampled_from([name for name in observables.__all__ if name.startswith("take_")]), st.text(max_size=80))
def test_no_taker_raises_and_all_give_normal_forms(name: str, text: str) -> None:
    for one in taken(name.removeprefix("take_"), text):
        assert normal(*one) == one


WHOLE = Indicator("i", "md5", "aa", "t", also=(Observable("ipv4", "10.0.0.1"),), tags=("x",))


@pytest.mark.parametrize(
    "other",
    [
        *(WHOLE._replace(**{name: "other"}) for name in ("id", "type", "value", "title", "level")),
        *(WHOLE._replace(**{name: "other"}) for name in ("source", "tlp", "authority")),
        *(WHOLE._replace(**{name: 7}) for name in ("confidence", "valid_from", "valid_until", "first_seen")),
        *(WHOLE._replace(**{name: ("y",)}) for name in ("tags", "phases")),
        WHOLE._replace(also=()),
        WHOLE._replace(also=(Observable("ipv4", "10.0.0.2"),)),
        WHOLE._replace(title="\ud800"),
    ],
)  # fmt: skip
def test_a_revision_changes_with_all_content(other: Indicator) -> None:
    assert len(sealed(WHOLE).revision) == 16
    assert sealed(other).revision != sealed(WHOLE).revision
    assert sealed(other._replace(revision="before")) == sealed(other)


def test_fangs_within_fangs_are_undone_to_the_end_or_refused() -> None:
    """What `normal` gives is its own normal form: two feeds that fang alike mean the same."""
    once = normal("url", "http://a.example/;203.[.]]example").value
    assert normal("url", once).value == once
    with pytest.raises(ValueError, match="fangs within fangs"):
        normal("domain", "a" + "[" * 40 + "." + "]" * 40 + "example")


def test_half_a_character_is_no_value() -> None:
    with pytest.raises(ValueError, match="no mutex"):
        normal("mutex", "Global\\\ud800x")
