"""Network sensors: Suricata's event types, Zeek's logs as JSON and as tab separated values."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipeline.parsers.zeek_logs import SCHEMAS
from pipeline.settings import TopicSettings
from schemas.event import Event, Source
from tests.parsing import NOW_MS, event, reader, reason

SHA = "c3" * 32
MD5 = "b2" * 16
HEAD = {"timestamp": "2026-10-11T22:14:15.003456+0500", "flow_id": 1, "in_iface": "eth1", "host": "ids-01",
        "src_ip": "10.0.0.5", "src_port": 50000, "dest_ip": "203.0.113.9", "dest_port": 443,
        "proto": "TCP"}  # fmt: skip

#: Event type → its body, what it adds to the observables, and user and domain.
EVE: dict[str, tuple[dict[str, Any], set[tuple[str, str]], str, str]] = {
    "alert": ({"alert": {"signature": "x", "severity": 1}, "app_proto": "tls"}, set(), "", ""),
    "anomaly": ({"anomaly": {"type": "stream", "event": "stream.pkt_invalid_ack"}}, set(), "", ""),
    "drop": ({"drop": {"len": 60, "reason": "rules"}}, set(), "", ""),
    "dns": (
        {"dns": {"version": 3, "type": "response", "queries": [{"rrname": "a.evil.example", "rrtype": "A"}],
                 "answers": [{"rrname": "a.evil.example", "rrtype": "A", "rdata": "198.51.100.7"}]}},
        {("domain", "a.evil.example"), ("ipv4", "198.51.100.7")}, "", "a.evil.example",
    ),
    "http": (
        {"http": {"hostname": "evil.example", "url": "/a", "http_user_agent": "curl/8", "http_method": "GET"}},
        {("domain", "evil.example"), ("url", "http://evil.example/a"), ("user_agent", "curl/8")}, "", "evil.example",
    ),
    "tls": (
        {"tls": {"sni": "evil.example", "version": "TLS 1.3", "ja3": {"hash": MD5, "string": "771,1"},
                 "ja3s": {"hash": "d4" * 16}, "ja4": "t13d1516h2_8daaf6152771_b186095e22b6",
                 "fingerprint": ":".join(["ab"] * 20), "subject": "CN=evil.example"}},
        {("domain", "evil.example"), ("ja3", MD5), ("ja3", "d4" * 16), ("certificate", "ab" * 20),
         ("ja4", "t13d1516h2_8daaf6152771_b186095e22b6")}, "", "evil.example",
    ),
    "fileinfo": (
        {"fileinfo": {"filename": "/tmp/a.exe", "sha256": SHA, "md5": MD5, "size": 5}},
        {("file_path", "/tmp/a.exe"), ("sha256", SHA), ("md5", MD5)}, "", "",
    ),
    "flow": ({"flow": {"pkts_toserver": 4, "state": "closed"}}, set(), "", ""),
    "netflow": ({"netflow": {"pkts": 4, "bytes": 400}}, set(), "", ""),
    "smtp": (
        {"smtp": {"helo": "mx.evil.example", "mail_from": "a@evil.example", "rcpt_to": ["b@bank.example"]},
         "email": {"from": "A <a@evil.example>", "to": ["b@bank.example"], "attachment": ["invoice.js"]}},
        {("domain", "mx.evil.example"), ("email", "a@evil.example"), ("email", "b@bank.example"),
         ("domain", "evil.example"), ("domain", "bank.example"), ("file_name", "invoice.js")}, "", "",
    ),
    "ssh": ({"ssh": {"client": {"software_version": "OpenSSH_9"}, "server": {}}}, set(), "", ""),
    "smb": (
        {"smb": {"command": "SMB2_COMMAND_CREATE", "filename": "share\\a.exe", "ntlmssp": {"user": "dana"}}},
        {("file_path", "share\\a.exe")}, "dana", "",
    ),
    "krb5": ({"krb5": {"msg_type": "KRB_AS_REP", "cname": "dana", "realm": "BANK"}}, set(), "dana", ""),
    "ftp": ({"ftp": {"command": "USER", "command_data": "dana"}}, set(), "dana", ""),
    "ftp_data": ({"ftp_data": {"filename": "/pub/a.exe"}}, {("file_path", "/pub/a.exe")}, "", ""),
    "rdp": ({"rdp": {"event_type": "initial_request", "cookie": "dana"}}, set(), "dana", ""),
    "dhcp": (
        {"dhcp": {"type": "reply", "client_mac": "00:00:5e:00:53:01", "assigned_ip": "10.0.0.77"}},
        {("ipv4", "10.0.0.77")}, "", "",
    ),
    "dnp3": ({"dnp3": {"type": "request", "src": 1}}, set(), "", ""),
    "mqtt": ({"mqtt": {"connect": {"username": "dana", "client_id": "c"}}}, set(), "dana", ""),
    "nfs": ({"nfs": {"procedure": "READ", "filename": "/e/a.sh"}}, {("file_path", "/e/a.sh")}, "", ""),
    "tftp": ({"tftp": {"packet": "read", "file": "boot.cfg"}}, {("file_name", "boot.cfg")}, "", ""),
    "ike": ({"ike": {"version_major": 2, "role": "initiator"}}, set(), "", ""),
    "snmp": ({"snmp": {"version": 2, "community": "public"}}, set(), "", ""),
    "sip": ({"sip": {"method": "REGISTER", "uri": "sip:bank.example"}}, set(), "", ""),
    "rfb": ({"rfb": {"screen_shared": False}}, set(), "", ""),
    "quic": (
        {"quic": {"version": "1", "sni": "evil.example", "ja3": {"hash": MD5}}},
        {("domain", "evil.example"), ("ja3", MD5)}, "", "evil.example",
    ),
}  # fmt: skip
CATEGORIES = {"dns": "dns", "http": "proxy", "alert": "ids", "anomaly": "ids", "drop": "firewall"}


@pytest.mark.parametrize("kind", EVE)
def test_an_event_of_suricata_is_read_whole(kind: str) -> None:
    body, observed, user, domain = EVE[kind]
    found = event({**HEAD, "event_type": kind, **body})
    assert found.format.name == "eve"
    assert found.source == Source("suricata", CATEGORIES.get(kind, ""), kind, 0)
    assert (found.time_ms, found.doubtful, found.host) == (NOW_MS, False, "")
    assert (found.src_ip, found.dst_ip, found.user, found.domain) == ("10.0.0.5", "203.0.113.9", user, domain)
    assert set(found.observables) == {("ipv4", "10.0.0.5"), ("ipv4", "203.0.113.9")} | observed


def test_suricatas_statistics_are_events_without_parties() -> None:
    found = event({"timestamp": HEAD["timestamp"], "event_type": "stats", "stats": {"uptime": 5}})
    assert (found.source, found.observables) == (Source("suricata", "", "stats", 0), ())


def test_an_alerts_dns_is_a_list_and_has_sigmas_names_too() -> None:
    found = event({**HEAD, "event_type": "alert", "alert": {}, "dns": [{"rrname": "a.evil.example", "rrtype": "A"}]})
    assert (found.fields["query"], found.domain) == ("a.evil.example", "a.evil.example")


# --- Zeek

ENDS = {"ts": 1_791_738_855.003, "uid": "CHhAvVGS1DHFjwGM9", "id.orig_h": "10.0.0.5", "id.orig_p": 50000,
        "id.resp_h": "203.0.113.9", "id.resp_p": 443}  # fmt: skip
NONE: dict[str, Any] = {"ts": 1_791_738_855.003}
#: Log → a line as JSON, beside what it adds to the observables.
ZEEK: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "conn": (ENDS | {"proto": "tcp", "duration": 1.5, "conn_state": "SF", "local_orig": True, "orig_bytes": 7}, set()),
    "dns": (
        ENDS | {"proto": "udp", "trans_id": 5, "query": "a.evil.example", "qtype_name": "A", "rejected": False,
                "answers": ["198.51.100.7", "b.evil.example"], "TTLs": [5.0, 60.0], "AA": False},
        {("domain", "a.evil.example"), ("domain", "b.evil.example"), ("ipv4", "198.51.100.7")},
    ),
    "http": (
        ENDS | {"method": "GET", "host": "evil.example", "uri": "/a?b", "user_agent": "curl/8", "status_code": 200,
                "resp_mime_types": ["text/html"]},
        {("domain", "evil.example"), ("user_agent", "curl/8")},
    ),
    "ssl": (
        ENDS | {"version": "TLSv13", "cipher": "x", "server_name": "evil.example", "established": True},
        {("domain", "evil.example")},
    ),
    "x509": (
        NONE | {"fingerprint": "ab" * 32, "certificate.serial": "01", "certificate.version": 3,
                "san.dns": ["evil.example"], "basic_constraints.ca": False},
        {("certificate", "ab" * 32), ("domain", "evil.example")},
    ),
    "files": (
        ENDS | {"fuid": "F1", "source": "HTTP", "mime_type": "x", "filename": "a.exe", "seen_bytes": 5, "md5": MD5,
                "sha256": SHA, "timedout": False, "analyzers": ["MD5", "SHA256"]},
        {("md5", MD5), ("sha256", SHA), ("file_name", "a.exe")},
    ),
    "smtp": (
        ENDS | {"helo": "mx", "mailfrom": "a@evil.example", "rcptto": ["b@bank.example"], "path": ["10.0.0.1"],
                "tls": False, "from": "A"},
        {("email", "a@evil.example"), ("email", "b@bank.example"), ("domain", "evil.example"),
         ("domain", "bank.example")},
    ),
    "ssh": (ENDS | {"version": 2, "auth_success": True, "client": "SSH-2.0-OpenSSH_9", "kex_alg": "x"}, set()),
    "kerberos": (ENDS | {"request_type": "TGS", "client": "dana/BANK", "cipher": "rc4-hmac", "success": True}, set()),
    "ntlm": (ENDS | {"username": "dana", "hostname": "WS01", "domainname": "BANK", "success": True}, set()),
    "smb_files": (ENDS | {"action": "SMB::FILE_OPEN", "path": "\\\\srv\\c$", "name": "a.exe", "size": 5}, set()),
    "smb_mapping": (ENDS | {"path": "\\\\srv\\c$", "share_type": "DISK"}, set()),
    "dce_rpc": (ENDS | {"rtt": 0.5, "named_pipe": "x", "endpoint": "svcctl", "operation": "OpenSCManagerW"}, set()),
    "rdp": (ENDS | {"cookie": "dana", "security_protocol": "HYBRID", "desktop_width": 1280}, set()),
    "ftp": (ENDS | {"user": "dana", "command": "RETR", "reply_code": 226, "data_channel.passive": True}, set()),
    "notice": (ENDS | {"note": "Scan::Port_Scan", "msg": "m", "src": "10.0.0.5", "actions": ["Notice::ACTION_LOG"]},
               set()),
    "weird": (ENDS | {"name": "bad_TCP", "addl": "x", "notice": False}, set()),
    "pe": (NONE | {"id": "F1", "machine": "AMD64", "is_exe": True, "section_names": [".text"]}, set()),
    "dhcp": (
        NONE | {"uids": ["C1"], "client_addr": "10.0.0.5", "server_addr": "203.0.113.9", "mac": "00:00:5e:00:53:01",
                "assigned_addr": "10.0.0.77", "lease_time": 600.0, "msg_types": ["ACK"]},
        {("ipv4", "10.0.0.77")},
    ),
    "software": (NONE | {"host": "10.0.0.5", "software_type": "HTTP::BROWSER", "version.major": 8,
                         "unparsed_version": "x"}, set()),
    "intel": (
        ENDS | {"seen.indicator": "evil.example", "seen.where": "DNS::IN_REQUEST", "matched": ["Intel::DOMAIN"],
                "sources": ["feed"]},
        {("domain", "evil.example")},
    ),
}  # fmt: skip


def test_every_usual_log_has_a_sample() -> None:
    assert set(ZEEK) == set(SCHEMAS)


@pytest.mark.parametrize("log", ZEEK)
def test_a_line_of_zeeks_json_is_read_whole(log: str) -> None:
    """It says no name of its log: the fields tell."""
    doc, observed = ZEEK[log]
    whole(event(doc), log, observed)
    named = event({"_path": log, **doc})
    assert (named.source, named.observables) == (Source("zeek", "", log, 0), event(doc).observables)


def whole(found: Event, log: str, observed: set[tuple[str, str]]) -> None:
    assert found.format.name.startswith("zeek")
    assert found.source == Source("zeek", "", log, 0)
    assert (found.time_ms, found.doubtful) == (NOW_MS, False)
    parties = {("ipv4", "10.0.0.5"), ("ipv4", "203.0.113.9")} if found.dst_ip else set()
    assert set(found.observables) >= parties | observed
    assert found.user == {"kerberos": "dana/BANK", "ntlm": "dana", "rdp": "dana", "ftp": "dana"}.get(log, "")


def written(value: Any) -> str:
    """A value as Zeek writes it between tabs."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        return f"{value:.6f}"
    return ",".join(map(written, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("log", ZEEK)
def test_a_tab_separated_line_is_the_event_that_its_json_is(log: str) -> None:
    doc, _ = ZEEK[log]
    fields = next(each for each in SCHEMAS[log] if set(doc) <= set(each))
    row = "\t".join(written(doc[name]) if name in doc else "-" for name in fields)
    head = f"#path\t{log}\n#fields\t" + "\t".join(fields)
    of_topic = reader(TopicSettings(topic="raw.*", format="zeek_tsv", service=log))
    by_names = reader(TopicSettings(topic="raw.*", format="zeek_tsv", service=log, fields=fields))
    expected = event({"_path": log, **doc})
    for found in (event(f"{head}\n{row}".encode()), event(row.encode(), by=of_topic), event(row.encode(), by=by_names)):
        assert found.fields == doc
        assert found.source == expected.source
        assert found.observables == expected.observables
        assert (found.time_ms, found.user, found.src_ip, found.domain) == (
            expected.time_ms, expected.user, expected.src_ip, expected.domain)  # fmt: skip


def test_what_is_not_in_the_bytes_as_it_is_makes_a_row_opaque_or_derived() -> None:
    """`T` is `true` to a rule, and `\\x09` a tab: no literal may be looked for there."""
    head = b"#fields\tts\tuid\tlocal_orig\tname\n"
    plain, escaped = (event(head + b"1791738855.003\tC1\tT\t" + name) for name in (b"x", b"a\\x09b"))
    assert (plain.format.form, plain.format.derived) == ("text", {"local_orig"})
    assert (escaped.format.form, escaped.fields["name"]) == ("opaque", "a\tb")


@pytest.mark.parametrize(
    "row",
    [b"1791738855.003\tC1\t10.0.0.5", b"#path\tconn\n#fields\tts\tuid\n1791738855.003\tC1\t7", b"#fields\tts\tuid",
     b"#path\tconn\n#fields\tts\tuid\n#close\t2026"],
)  # fmt: skip
def test_a_row_whose_values_have_no_names_is_a_dead_letter(row: bytes) -> None:
    assert reason(row) == "shape"


def test_an_empty_set_is_none_and_no_number_is_no_row() -> None:
    head = b"#fields\tts\tuid\ttags\torig_bytes\n"
    assert event(head + b"1791738855.003\tC1\t(empty)\t5").fields["tags"] == []
    assert reason(head + b"1791738855.003\tC1\t(empty)\tx") == "shape"
    assert reason(head + b"1791738855.003\tC1\t-\t" + b"9" * 10_000) == "shape"


def test_a_sensors_json_over_syslog_is_the_same_event() -> None:
    eve = {**HEAD, "event_type": "alert", "alert": {"signature": "x"}}
    zeek = {"_path": "conn", **ZEEK["conn"][0]}
    for doc, program in ((eve, "suricata[7]"), (zeek, "zeek")):
        direct = event(doc)
        framed = event(b"<13>Oct 11 22:14:15 ids-01 " + program.encode() + b": " + orjson.dumps(doc))
        assert (framed.fields, framed.source, framed.observables) == (direct.fields, direct.source, direct.observables)
        assert (framed.time_ms, framed.host) == (direct.time_ms, "")
