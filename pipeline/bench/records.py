"""Records of the text and network formats for `qorgan bench parsers`, of usual sizes, no two alike.

Values that change from line to line in a real stream change here (ports, names, ids, seconds), so that what a parser
keeps between records is met as often as it is at work, and no oftener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import orjson

from pipeline.bench.records_json import JSON_RECORDS
from pipeline.settings import TopicSettings

#: 2026-10-11T17:14:15Z; records come a hundred a second.
_START: Final = datetime(2026, 10, 11, 17, 14, 15, tzinfo=UTC)
_WORDS: Final = ("payment", "batch", "settled", "transfer", "queue", "session", "cache", "worker", "terminal", "card")

#: Settings of the topics of those formats that tell nothing by themselves: `bench.FORMAT`.
TOPICS: Final = (
    TopicSettings(topic="bench.csv", format="csv", fields=("time", "host", "user", "src_ip", "dst_ip", "do", "msg")),
    TopicSettings(topic="bench.zeek_tsv", format="zeek_tsv", service="conn"),
)


class Line:
    """What varies of the n-th record."""

    def __init__(self, number: int) -> None:
        random = Random(number)  # noqa: S311 - the same records each time
        self.at = _START + timedelta(milliseconds=10 * number)
        self.number = number
        self.host = f"srv{random.randrange(200):03d}"
        self.user = random.choice(("dana", "arman", "svc-backup", "oracle")) + str(random.randrange(50))
        self.src = f"10.{random.randrange(4)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.dst = f"203.0.113.{random.randrange(1, 255)}"
        self.port = random.randrange(1024, 65_536)
        self.name = f"www{random.randrange(500)}.shop{random.randrange(500)}.example"
        self.text = " ".join(random.choices(_WORDS, k=60))
        self.digest = f"{random.getrandbits(256):064x}"

    @property
    def bsd(self) -> str:
        """RFC 3164's stamp, in UTC+5."""
        return (self.at + timedelta(hours=5)).strftime("%b %e %H:%M:%S")

    @property
    def iso(self) -> str:
        """ISO 8601 to the microsecond, in UTC."""
        return self.at.isoformat(timespec="microseconds").replace("+00:00", "Z")

    @property
    def eve(self) -> str:
        """As Suricata writes it."""
        return self.at.isoformat(timespec="microseconds").replace("+00:00", "+0000")


def _syslog(x: Line) -> str:
    return f"<134>{x.bsd} {x.host} app[{x.port}]: {x.text}"[:500]


def _syslog_5424(x: Line) -> str:
    return f'<134>1 {x.iso} {x.host}.bank.example app {x.port} ID47 [x@1 iut="3" id="{x.number}"] {x.text}'[:500]


def _sshd(x: Line) -> str:
    return f"<38>{x.bsd} {x.host} sshd[{x.port}]: Failed password for {x.user} from {x.dst} port {x.port} ssh2"


def _cef(x: Line) -> str:
    rule = f"cs2Label=Rule Name cs2=Outbound web layer_name=Network layer_uuid={x.digest[:32]} match_id=24 ifname=eth2"
    ends = f"src={x.src} spt={x.port} dst={x.dst} dpt=443 proto=6 suser={x.user}"
    return (
        f"<134>{x.bsd} fw01 CEF:0|Check Point|VPN-1 & FireWall-1|R81|Accept|https|3|act=Accept deviceDirection=1 "
        f"rt={int(x.at.timestamp() * 1000)} {ends} {rule} logid=0 loguid={x.digest[32:]} origin=192.0.2.1 "
        f"sequencenum={x.number} version=5 service_id=https msg={x.text}"
    )[:500]


def _leef(x: Line) -> str:
    return (
        f"<134>{x.bsd} fw01 LEEF:2.0|Palo Alto Networks|PAN-OS|11|TRAFFIC|^|src={x.src}^dst={x.dst}^srcPort={x.port}"
        f"^dstPort=443^usrName={x.user}^devTime={int(x.at.timestamp() * 1000)}^cat=allow^proto=tcp^msg={x.text}"
    )[:500]


def _pairs(x: Line) -> str:
    return (
        f'<189>date={x.at:%Y-%m-%d} time={x.at:%H:%M:%S} devname="FG-01" devid="FG100D" logid="0000000013" '
        f'type="traffic" subtype="forward" level="notice" vd="root" srcip={x.src} srcport={x.port} srcintf="port1" '
        f'dstip={x.dst} dstport=443 dstintf="port2" policyid=5 sessionid={x.number} proto=6 action="close" '
        f'user="{x.user}" service="HTTPS" sentbyte=1850 rcvdbyte=39898 msg="{x.text[:80]}"'
    )


def _access(x: Line) -> str:
    return (
        f'{x.src} - {x.user} [{x.at:%d/%b/%Y:%H:%M:%S} +0000] "GET /api/v1/{x.digest[:24]}?id={x.number} HTTP/1.1" 200 '
        f'{x.port} "https://{x.name}/" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"'
    )


def _csv(x: Line) -> str:
    return f"{x.iso},{x.host},{x.user},{x.src},{x.dst},allow,{x.text[:200]}"


def _zeek_tsv(x: Line) -> str:
    return (
        f"{x.at.timestamp():.6f}\tC{x.digest[:17]}\t{x.src}\t{x.port}\t{x.dst}\t443\ttcp\tssl\t1.5{x.port}\t{x.port}\t"
        f"{x.number}\tSF\tT\tF\t0\tShADadFf\t10\t1500\t12\t8000\t-"
    )


def _eve(kind: str, x: Line, **body: Any) -> dict[str, Any]:
    head = {"timestamp": x.eve, "flow_id": x.number, "in_iface": "eth1", "event_type": kind, "src_ip": x.src}
    return {**head, "src_port": x.port, "dest_ip": x.dst, "dest_port": 443, "proto": "TCP", **body}


def _eve_alert(x: Line) -> dict[str, Any]:
    alert = {"action": "allowed", "gid": 1, "signature_id": 2_024_897, "rev": 3, "severity": 1}
    alert |= {"signature": "ET INFO Observed Suspicious Domain in TLS SNI", "category": "Misc activity"}
    tls = {"sni": x.name, "version": "TLS 1.2", "ja3": {"hash": x.digest[:32], "string": "771,4865-4866,0-23"}}
    flow = {"pkts_toserver": 4, "pkts_toclient": 3, "bytes_toserver": 583, "bytes_toclient": 3_406, "start": x.eve}
    return _eve("alert", x, app_proto="tls", alert=alert, tls=tls, flow=flow, payload_printable=x.text)


def _eve_dns(x: Line) -> dict[str, Any]:
    answers = [{"rrname": x.name, "rrtype": "A", "ttl": 60, "rdata": x.dst}]
    dns = {"version": 2, "type": "answer", "id": x.port, "flags": "8180", "qr": True, "rd": True, "ra": True}
    return _eve("dns", x, dns={**dns, "rrname": x.name, "rrtype": "A", "rcode": "NOERROR", "answers": answers})


def _eve_flow(x: Line) -> dict[str, Any]:
    flow = {"pkts_toserver": 9, "pkts_toclient": 8, "bytes_toserver": 1_583, "bytes_toclient": 3_406, "start": x.eve}
    tcp = {"tcp_flags": "1b", "tcp_flags_ts": "1b", "tcp_flags_tc": "1b", "syn": True, "fin": True, "state": "closed"}
    return _eve("flow", x, app_proto="tls", flow={**flow, "end": x.eve, "age": 5, "state": "closed"}, tcp=tcp)


def _zeek(x: Line, log: str, **body: Any) -> dict[str, Any]:
    head = {"_path": log, "ts": x.at.timestamp(), "uid": f"C{x.digest[:17]}", "id.orig_h": x.src, "id.orig_p": x.port}
    return {**head, "id.resp_h": x.dst, "id.resp_p": 443, **body}


def _zeek_conn(x: Line) -> dict[str, Any]:
    state = {"conn_state": "SF", "local_orig": True, "local_resp": False, "missed_bytes": 0, "history": "ShADadFf"}
    sizes = {"orig_pkts": 10, "orig_ip_bytes": 1_500, "resp_pkts": 12, "resp_ip_bytes": 8_000}
    ends = {"proto": "tcp", "service": "ssl", "duration": 1.5, "orig_bytes": x.port, "resp_bytes": x.number}
    return _zeek(x, "conn", **ends, **state, **sizes)


def _gelf(x: Line) -> dict[str, Any]:
    head = {"version": "1.1", "host": x.host, "short_message": x.text[:200], "timestamp": x.at.timestamp(), "level": 6}
    return {**head, "_user": x.user, "_src_ip": x.src, "_facility": "app", "_pid": x.port}


def _json(x: Line) -> dict[str, Any]:
    return {"timestamp": x.iso, "hostname": x.host, "user": {"name": x.user, "id": x.number}, "src_ip": x.src,
            "action": "login", "result": "ok", "url": {"full": f"https://{x.name}/a"}, "text": x.text}  # fmt: skip


_TEXTS: Final[dict[str, Callable[[Line], str]]] = {
    "syslog": _syslog, "syslog 5424": _syslog_5424, "syslog sshd": _sshd, "cef": _cef, "leef": _leef, "logfmt": _pairs,
    "access": _access, "csv": _csv, "zeek_tsv": _zeek_tsv,
}  # fmt: skip
_OBJECTS: Final[dict[str, Callable[[Line], dict[str, Any]]]] = {
    "eve alert": _eve_alert, "eve dns": _eve_dns, "eve flow": _eve_flow, "zeek conn": _zeek_conn, "gelf": _gelf,
    "json": _json,
}  # fmt: skip


def records(count: int) -> Iterator[tuple[str, list[bytes]]]:
    """Kind (its format is the first word) and `count` records of it."""
    for kind, text in _TEXTS.items():
        yield kind, [text(Line(number)).encode() for number in range(count)]
    for kind, document in (*_OBJECTS.items(), *JSON_RECORDS.items()):
        yield kind, [orjson.dumps(document(Line(number))) for number in range(count)]
