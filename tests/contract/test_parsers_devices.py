"""Devices: CEF, LEEF, pairs, Cisco; each alone and framed, told by vendor, with the fields that rules ask for."""

from __future__ import annotations

import time

import pytest

from detectors.sigma.engine import Engine
from detectors.sigma.load import load
from pipeline.settings import TopicSettings
from schemas.event import Event, Source
from tests.parsing import NOW_MS, READER, event, reader, reason
from tests.sigma import rule_text

SECOND = NOW_MS // 1000 * 1000
FRAMES = (
    "{}",
    "<134>Oct 11 22:14:15 fw01 {}",
    "<134>1 2026-10-11T17:14:15.003Z fw01 - - - - {}",
    "Oct 11 22:14:15 fw01 {}",
)


def finds(found: Event, **rule: object) -> bool:
    """Whether a rule of this detection and log source finds an event."""
    logsource = rule.pop("logsource")
    loaded = load("r.yml", rule_text({"sel": rule["sel"], "condition": "sel"}, logsource=logsource))
    return bool(Engine(loaded.rules).match([found]))


# --- CEF

CEF = (
    "CEF:0|Check Point|VPN-1 & FireWall-1|R81|Accept|https|3|act=Accept rt=1791738855003 src=10.0.0.5 spt=50000 "
    "dst=203.0.113.9 dpt=443 proto=6 suser=dana cs2Label=Rule Name cs2=Outbound web cn1Label=Elapsed cn1=5 "
    "msg=two words"
)


@pytest.mark.parametrize("frame", FRAMES)
def test_cef_is_the_same_event_in_every_frame(frame: str) -> None:
    found = event(frame.format(CEF).encode())
    assert (found.format.name, found.format.form) == ("cef", "text")
    assert found.source == Source("checkpoint", "firewall", "vpn-1", 0)
    assert (found.time_ms, found.src_ip, found.dst_ip, found.user) == (NOW_MS, "10.0.0.5", "203.0.113.9", "dana")
    assert found.fields == event(CEF.encode()).fields
    assert (found.fields["RuleName"], found.fields["Elapsed"], found.fields["msg"]) == (
        "Outbound web",
        "5",
        "two words",
    )
    assert [found.fields[f"device{name}"] for name in ("Vendor", "Version", "EventClassId")] == [
        "Check Point", "R81", "Accept"]  # fmt: skip
    assert found.observables == (("ipv4", "10.0.0.5"), ("ipv4", "203.0.113.9"))
    assert found.host == ("fw01" if "fw01" in frame else "")


def test_all_escapes_of_cef_are_undone_and_make_it_opaque() -> None:
    found = event(rb"CEF:0|V\|1|P\\2|1|100|a \| b|3|request=http://x.example/?a\=b msg=one\ntwo\\three\rfour cs1=\\n")
    assert found.format.form == "opaque"
    get = found.fields.get
    assert (get("deviceVendor"), get("deviceProduct"), get("name")) == ("V|1", "P\\2", "a | b")
    assert (get("msg"), get("cs1")) == ("one\ntwo\\three\rfour", "\\n")
    assert ("url", "http://x.example/?a=b") in found.observables
    assert "brokenEscapes" not in found.fields


def test_broken_escapes_stay_and_are_counted() -> None:
    """As devices write Windows paths; what would be lost to a stray backslash is what rules look for."""
    found = event(rb"CEF:0|Kaspersky|KES|12|1|Virus|9|filePath=C:\Users\dana\a.exe src=10.0.0.5 msg=x\ ")
    assert found.fields["filePath"] == "C:\\Users\\dana\\a.exe"
    assert found.fields["brokenEscapes"] == 4
    assert found.source == Source("kaspersky", "antivirus", "endpoint", 0)
    assert ("file_path", "c:\\users\\dana\\a.exe") in found.observables


def test_an_equals_sign_that_is_not_escaped_ends_no_value() -> None:
    found = event(b"CEF:0|V|P|1|1|n|3|request=http://x.example/a?b=c&d=e src=10.0.0.5")
    assert (found.fields["request"], found.src_ip) == ("http://x.example/a?b=c&d=e", "10.0.0.5")


def test_of_a_key_that_stands_twice_the_first_counts() -> None:
    """What a user may write comes late: it must not put another address over the device's own."""
    assert event(b"CEF:0|V|P|1|1|n|3|src=10.0.0.5 msg=x src=192.0.2.1").src_ip == "10.0.0.5"


@pytest.mark.parametrize("line", [b"CEF:0|V|P|1|1", b"CEF:", b"CEF:0|a\\|b\\|c|d|e|f|g"])
def test_a_cut_header_is_a_dead_letter_alone_and_a_message_in_syslog(line: bytes) -> None:
    assert reason(line) == "shape"
    assert event(b"<134>Oct 11 22:14:15 fw01 " + line).format.name == "syslog"


def test_a_header_without_extension_is_an_event() -> None:
    assert event(b"CEF:0|V|P|1|1|n|3|").source == event(b"CEF:0|V|P|1|1|n|3").source == Source("v", "", "p", 0)


@pytest.mark.parametrize("stamp", ["1791738855003", "Oct 11 2026 22:14:15.003", "Oct 11 2026 17:14:15.003 UTC"])
def test_times_of_cef(stamp: str) -> None:
    assert event(f"CEF:0|V|P|1|1|n|3|rt={stamp} src=10.0.0.5".encode()).time_ms == NOW_MS


@pytest.mark.parametrize(
    ("vendor", "product", "name", "source"),
    [
        ("Fortinet", "Fortigate", "traffic:forward deny", ("fortigate", "firewall", "traffic")),
        ("Fortinet", "Fortigate", "event:system", ("fortigate", "", "event")),
        ("Palo Alto Networks", "PAN-OS", "TRAFFIC end", ("paloalto", "firewall", "traffic")),
        ("Palo Alto Networks", "PAN-OS", "GLOBALPROTECT login", ("paloalto", "appliance", "globalprotect")),
        ("Cisco", "ASA", "x", ("cisco", "firewall", "asa")),
        ("Zscaler", "NSSWeblog", "Allowed", ("zscaler", "proxy", "nssweb")),
        ("Infoblox", "NIOS", "DNS Query", ("infoblox", "dns", "nios")),
        ("F5", "ASM", "x", ("f5", "webserver", "asm")),
        ("Acme", "Box", "x", ("acme", "", "box")),
    ],
)
def test_the_log_source_is_the_devices(vendor: str, product: str, name: str, source: tuple[str, str, str]) -> None:
    assert event(f"CEF:0|{vendor}|{product}|1|1|{name}|3|a=b".encode()).source[:3] == source


def test_a_topics_log_source_goes_before_the_devices() -> None:
    told = reader(TopicSettings(topic="raw.*", product="acme", category="proxy"))
    assert event(CEF.encode(), by=told).source == Source("acme", "proxy", "", 0)


def test_rules_of_the_generic_categories_find_cef() -> None:
    firewall = event(CEF.encode())
    assert finds(firewall, logsource={"category": "firewall"}, sel={"dst_ip": "203.0.113.9", "dst_port": 443})
    assert not finds(firewall, logsource={"category": "firewall"}, sel={"dst_ip": "203.0.113.8"})
    proxy = event(
        b"CEF:0|Zscaler|NSSWeblog|6|Allowed|x|3|request=http://evil.example/a.ps1 requestMethod=GET dhost=h.example"
    )
    assert finds(proxy, logsource={"category": "proxy"}, sel={"c-uri|endswith": ".ps1", "cs-method": "GET"})
    virus = event(b"CEF:0|Kaspersky|KES|12|1|Trojan.Mimikatz|9|filePath=C:\\\\a.exe")
    assert finds(virus, logsource={"category": "antivirus"}, sel={"Signature|contains": "Mimikatz"})


# --- LEEF


@pytest.mark.parametrize(
    "line",
    [
        "LEEF:1.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|src=10.0.0.5\tdst=203.0.113.9\tusrName=dana\tdevTime={}",
        "LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|^|src=10.0.0.5^dst=203.0.113.9^usrName=dana^devTime={}",
        "LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|x5E|src=10.0.0.5^dst=203.0.113.9^usrName=dana^devTime={}",
        "LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|0x7c|src=10.0.0.5|dst=203.0.113.9|usrName=dana|devTime={}",
        "LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC||src=10.0.0.5\tdst=203.0.113.9\tusrName=dana\tdevTime={}",
        "LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|src=10.0.0.5\tdst=203.0.113.9\tusrName=dana\tdevTime={}",
        "LEEF:1.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|src=10.0.0.5 dst=203.0.113.9 usrName=dana devTime={}",
    ],
)
@pytest.mark.parametrize("frame", FRAMES)
def test_leef_of_both_versions_and_all_delimiters_is_one_event(line: str, frame: str) -> None:
    found = event(frame.format(line.format("1791738855003")).encode())
    assert found.format.name == "leef"
    assert found.source == Source("paloalto", "firewall", "traffic", 0)
    assert (found.time_ms, found.src_ip, found.dst_ip, found.user) == (NOW_MS, "10.0.0.5", "203.0.113.9", "dana")
    assert found.fields["eventId"] == "TRAFFIC"
    assert finds(found, logsource={"category": "firewall"}, sel={"src_ip": "10.0.0.5"})


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("2026-10-11 22:14:15.003", "yyyy-MM-dd HH:mm:ss.SSS"),
        ("Oct 11 2026 22:14:15.003", "MMM dd yyyy HH:mm:ss.SSS"),
        ("11/10/26 10:14:15.003 PM", "dd/MM/yy hh:mm:ss.SSS a"),
        ("2026-10-11T17:14:15.003+0000", "yyyy-MM-dd'T'HH:mm:ss.SSSZ"),
        ("Oct 11 2026 22:14:15.003", ""),
        ("1791738855003", "nonsense"),
    ],
)
def test_dev_time_is_read_by_its_format(stamp: str, form: str) -> None:
    assert event(f"LEEF:1.0|V|P|1|7|devTime={stamp}\tdevTimeFormat={form}\tsrc=10.0.0.5".encode()).time_ms == NOW_MS


@pytest.mark.parametrize("line", [b"LEEF:", b"LEEF:1.0|V|P"])
def test_a_cut_leef_header_is_a_dead_letter(line: bytes) -> None:
    assert reason(line) == "shape"


# --- pairs

FORTIGATE = (
    'date=2026-10-11 time=22:14:15 devname="FG-01" devid="FG100D" eventtime=1791738855003000000 tz="+0500" '
    'logid="0000000013" type="traffic" subtype="forward" srcip=10.0.0.5 srcport=50000 dstip=203.0.113.9 dstport=443 '
    'user="dana" action="deny" msg="two words"'
)


@pytest.mark.parametrize("frame", ["{}", "<189>{}", "<189>Oct 11 22:14:15 FG-01 {}"])
def test_a_fortigates_pairs_are_the_same_event_in_every_frame(frame: str) -> None:
    found = event(frame.format(FORTIGATE).encode())
    assert (found.format.name, found.format.form) == ("logfmt", "text")
    assert found.source == Source("fortigate", "firewall", "traffic", 0)
    assert (found.time_ms, found.host, found.user) == (NOW_MS, "FG-01", "dana")
    assert (found.src_ip, found.dst_ip, found.fields["msg"]) == ("10.0.0.5", "203.0.113.9", "two words")
    assert finds(found, logsource={"category": "firewall"}, sel={"dst_port": 443, "action": "deny"})


def test_sigmahqs_rules_for_fortigate_find_its_events() -> None:
    line = FORTIGATE.replace("traffic", "event") + ' cfgpath="system.admin"'
    found = event(line.replace('"deny"', '"Add"').encode())
    assert found.source == Source("fortigate", "", "event", 0)
    rule = {"action": "Add", "cfgpath": "system.admin"}
    assert finds(found, logsource={"product": "fortigate", "service": "event"}, sel=rule)


def test_date_and_time_are_in_their_own_zone_else_in_the_topics() -> None:
    line = "date=2026-10-11 time={} devid=1 logid=1 type=event{}"
    assert event(line.format("22:14:15", "").encode()).time_ms == SECOND
    assert event(line.format("17:14:15", ' tz="+0000"').encode()).time_ms == SECOND
    utc = reader(TopicSettings(topic="raw.*", timezone="UTC"))
    assert event(line.format("17:14:15", "").encode(), by=utc).time_ms == SECOND


def test_logfmt_with_escapes_is_opaque() -> None:
    found = event(b'ts=2026-10-11T22:14:15.003+05:00 level=info msg="say \\"hi\\" \\\\ x" user=dana')
    assert (found.format.form, found.fields["msg"], found.time_ms) == ("opaque", 'say "hi" \\ x', NOW_MS)


# --- Cisco


@pytest.mark.parametrize(
    "line",
    [
        "<189>1234: *Oct 11 22:14:15.003: {}",
        "<189>1234: sw01: Oct 11 2026 22:14:15.003 ALMT: {}",
        "<189>sw01: Oct 11 22:14:15.003: {}",
        "<189>:Oct 11 22:14:15.003 ALMT: {}",
        "<189>Oct 11 2026 22:14:15.003 sw01 : {}",
        "<189>Oct 11 2026 22:14:15.003: {}",
        "<189>Oct 11 22:14:15.003 sw01 1234: {}",
        "<189>.Oct 11 22:14:15.003 UTC: {}",
    ],
)
def test_ciscos_stamps_in_all_spellings(line: str) -> None:
    message = "%SYS-5-CONFIG_I: Configured from console by dana on vty0 (10.0.0.5)"
    found = event(line.format(message).encode())
    assert found.fields["message"] == message
    assert (found.fields["facility"], found.fields["severity"], found.fields["mnemonic"]) == ("SYS", "5", "CONFIG_I")
    assert found.source == Source("cisco", "", "syslog", 0)
    assert (found.time_ms, found.user, found.host) == (NOW_MS, "dana", "sw01" if "sw01" in line else "")


@pytest.mark.parametrize(
    ("message", "service", "ends"),
    [
        ("%ASA-4-106023: Deny tcp src outside:203.0.113.9/4242 dst inside:10.0.0.5/22 by access-group \"x\"",
         "asa", ("203.0.113.9", "4242", "10.0.0.5", "22", "Deny")),
        (("%ASA-6-302013: Built inbound TCP connection 1 for outside:203.0.113.9/4242 (203.0.113.9/4242) to "
         "inside:10.0.0.5/22 (10.0.0.5/22)"), "asa", ("203.0.113.9", "4242", "10.0.0.5", "22", "Built")),
        (("%ASA-6-302013: Built outbound TCP connection 1 for outside:203.0.113.9/443 (203.0.113.9/443) to "
         "inside:10.0.0.5/50000 (10.0.0.5/50000)"), "asa", ("10.0.0.5", "50000", "203.0.113.9", "443", "Built")),
        ("%SEC-6-IPACCESSLOGP: list 101 denied tcp 203.0.113.9(4242) -> 10.0.0.5(22), 1 packet",
         "acl", ("203.0.113.9", "4242", "10.0.0.5", "22", "denied")),
    ],
)  # fmt: skip
def test_a_firewalls_message_names_both_ends(message: str, service: str, ends: tuple[str, ...]) -> None:
    found = event(f"<166>Oct 11 2026 22:14:15 fw01 : {message}".encode())
    assert found.source == Source("cisco", "firewall", service, 0)
    assert tuple(found.fields[name] for name in ("src_ip", "src_port", "dst_ip", "dst_port", "action")) == ends
    assert (found.src_ip, found.dst_ip) == (ends[0], ends[2])
    assert finds(found, logsource={"category": "firewall"}, sel={"dst_port": int(ends[3])})


@pytest.mark.parametrize(
    ("message", "source"),
    [
        ("%PARSER-5-CFGLOG_LOGGEDCMD: User:dana  logged command:show running-config", ("cisco", "", "aaa")),
        ("%AAA-5-AAA_CMD: user dana ran show crypto", ("cisco", "", "aaa")),
        ("%TCP-6-BADAUTH: No MD5 digest from 10.0.0.1(179) to 10.0.0.2:179", ("cisco", "", "bgp")),
        ("%LDP-4-PWD: MD5 protection is required", ("cisco", "", "ldp")),
        ("%%01BGP/3/STATE_CHG_UPDOWN(l)[0]: The status of the peer changed", ("huawei", "", "bgp")),
        ("%not a mnemonic", ("linux", "", "syslog")),
    ],
)
def test_the_service_is_told_by_facility_and_mnemonic(message: str, source: tuple[str, str, str]) -> None:
    assert event(f"<189>Oct 11 2026 22:14:15 sw01 : {message}".encode()).source[:3] == source


def test_a_topics_product_goes_before_what_a_message_tells() -> None:
    told = reader(TopicSettings(topic="raw.*", product="cisco", service="aaa"))
    assert event(b"<189>Oct 11 2026 22:14:15 sw01 : %SYS-5-CONFIG_I: x", by=told).source == Source(
        "cisco", "", "aaa", 0
    )


# --- bounded cost

HOSTILE = {
    "cef keys": b"CEF:0|V|P|1|1|n|3|" + b"a=b " * 300_000,
    "cef one key": b"CEF:0|V|P|1|1|n|3|" + b"a" * 1_000_000 + b"=b",
    "cef escapes": b"CEF:0|V|P|1|1|n|3|msg=" + b"\\q" * 500_000,
    "cef head": b"CEF:0|" + b"\\|" * 500_000,
    "cef words": b"CEF:0|V|P|1|1|n|3|" + b" a" * 500_000,
    "leef": b"LEEF:2.0|V|P|1|1|^|" + b"a=b^" * 250_000,
    "leef long": b"LEEF:1.0|V|P|1|1|" + b"a=" + b"\t" * 1_000_000,
    "pairs": b"a=1 b=2 " + b'a="' * 300_000,
    "pairs escapes": b'a=1 b="' + b'\\"' * 500_000,
    "pairs names": b"a=1 b=2 " + b"c" * 1_000_000,
    "cisco": b"<189>Oct 11 2026 22:14:15 sw01 : %ASA-4-106023: Deny tcp src " + b"a:1/1 " * 150_000,
    "mnemonic": b"<189>Oct 11 2026 22:14:15 sw01 : %" + b"A-" * 500_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_made_to_be_slow_is_read_in_time(name: str) -> None:
    from tests.builders import batch_of

    started = time.process_time()
    reading = READER.read(batch_of(HOSTILE[name], timestamp=NOW_MS))
    assert len(reading.events) + len(reading.dead) == 1
    assert not [letter for letter in reading.dead if letter.reason == "fault"]
    assert time.process_time() - started < 1.0
